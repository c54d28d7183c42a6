//! Generates the structs of the test `random_structs`. The environment variable `SHARED_STATE_STRUCTS` is the
//! seed.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use fastrand::Rng;

/// How many root structs are generated from one seed.
const ROOTS: usize = 3;

/// How deep collections nest.
const DEPTH: usize = 2;

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=SHARED_STATE_STRUCTS");
    let seed = env::var("SHARED_STATE_STRUCTS").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("cargo:rustc-env=SHARED_STATE_STRUCTS={seed}");
    let mut writer = Writer { rng: Rng::with_seed(seed), structs: String::new(), count: 0 };
    let mut tests = String::new();
    for _ in 0..ROOTS {
        let root = writer.shared(0, &[]);
        let _ = write!(
            tests,
            "#[test]\nfn g1_to_g8_hold_for_{}() {{\n    seeds::simulate(&Simulation::new({root}::default()), SEEDS);\n}}\n\n",
            root.to_lowercase()
        );
    }
    let out = env::var_os("OUT_DIR").ok_or_else(|| std::io::Error::other("cargo names no directory"))?;
    fs::write(Path::new(&out).join("random_structs.rs"), writer.structs + &tests)
}

/// A field's type and its merge policy, as written in `shared(..)`.
struct Field {
    policy: Option<String>,
    ty: String,
}

struct Writer {
    rng: Rng,
    structs: String,
    count: usize,
}

impl Writer {
    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.rng.usize(..choices.len())]
    }

    /// Writes a shared struct and returns its name. `first` are its first fields.
    fn shared(&mut self, depth: usize, first: &[&str]) -> String {
        let mut fields: String = first.iter().map(|field| format!("    {field},\n")).collect();
        let count = if depth == 0 { self.rng.usize(3..6) } else { self.rng.usize(1..4) };
        for number in 0..count {
            let Field { policy, ty } = self.field(depth);
            let mut attributes: Vec<String> = policy.into_iter().collect();
            if let Some(timing) = self.timing(attributes.first().map(String::as_str)) {
                attributes.push(timing.to_owned());
            }
            if ty == "String" && self.rng.bool() {
                attributes.push("validate(length(max = 9))".to_owned());
            }
            if !attributes.is_empty() {
                let _ = writeln!(fields, "    #[shared({})]", attributes.join(", "));
            }
            let _ = writeln!(fields, "    field_{number}: {ty},");
        }
        self.write("SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default", &fields)
    }

    fn write(&mut self, derives: &str, fields: &str) -> String {
        self.count += 1;
        let name = format!("Struct{}", self.count);
        let _ = writeln!(self.structs, "#[derive({derives})]\nstruct {name} {{\n{fields}}}\n");
        name
    }

    /// When a field's updates are sent, if not immediately.
    fn timing(&mut self, policy: Option<&str>) -> Option<&'static str> {
        match (self.rng.u8(..8), policy) {
            (_, Some("nested")) => None,
            (0, Some("counter")) => None,
            (0, _) => Some("debounce = \"200ms\""),
            (1, _) => Some("throttle = \"100ms\""),
            _ => None,
        }
    }

    /// The type of a value that is replaced as a whole.
    fn plain(&mut self) -> String {
        let types =
            ["String", "u8", "i64", "bool", "f64", "Option<u8>", "Vec<Option<String>>", "(u8, String)"];
        self.one_of(&types).to_owned()
    }

    fn key(&mut self) -> &'static str {
        self.one_of(&["u8", "String", "i16", "bool"])
    }

    /// A field of a struct at this depth.
    fn field(&mut self, depth: usize) -> Field {
        if depth < DEPTH && self.rng.u8(..6) == 0 {
            let inner = self.shared(depth + 1, &[]);
            return Field { policy: Some("nested".to_owned()), ty: format!("Option<{inner}>") };
        }
        self.entry(depth)
    }

    /// A field, or an entry of a map, at this depth.
    fn entry(&mut self, depth: usize) -> Field {
        let kinds = if depth < DEPTH { 10 } else { 5 };
        let (policy, ty) = match self.rng.u8(..kinds) {
            0 | 1 => return Field { policy: None, ty: self.plain() },
            2 => ("counter".to_owned(), self.one_of(&["i64", "u8", "i16", "f64"]).to_owned()),
            3 => ("text".to_owned(), "Text".to_owned()),
            4 => {
                let kind = self.one_of(&["BTreeSet", "HashSet", "IndexSet"]);
                ("set".to_owned(), format!("{kind}<{}>", self.key()))
            }
            5 | 6 => {
                let kind = self.one_of(&["BTreeMap", "HashMap", "IndexMap"]);
                let (key, Field { policy, ty }) = (self.key(), self.entry(depth + 1));
                let policy = policy.map_or_else(|| "map".to_owned(), |policy| format!("map({policy})"));
                (policy, format!("{kind}<{key}, {ty}>"))
            }
            7 | 8 => {
                let kind = self.one_of(&["Vec", "List"]);
                let key = self.one_of(&["u8", "String"]);
                let id = format!("id: {key}");
                let (policy, item) = match self.rng.bool() {
                    true => ("list(key = id, nested)", self.shared(depth + 1, &[&id])),
                    false => {
                        let fields = format!("    {id},\n    value: {},\n", self.plain());
                        let derives = "Serialize, Deserialize, Clone, Debug, PartialEq, Default";
                        ("list(key = id)", self.write(derives, &fields))
                    }
                };
                (policy.to_owned(), format!("{kind}<{item}>"))
            }
            _ => ("nested".to_owned(), self.shared(depth + 1, &[])),
        };
        Field { policy: Some(policy), ty }
    }
}
