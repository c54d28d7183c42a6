//! Measures what the derive costs to compile: a crate whose one struct derives `SharedState`, compared with
//! the same struct that derives only serde's two traits; and how many lines the derive generates for each
//! field.
//!
//! ```sh
//! cargo bench -p shared-state-tests --bench compile_cost
//! ```
//!
//! The crates are written into the target directory and built there by `cargo build` in the default profile,
//! without incremental compilation, with the dependencies built before. The contestants take turns, and the
//! minimum of the wall-clock time and of the CPU time is printed, because other programs on the machine can
//! only add to both.

#![allow(missing_docs)]

use std::fmt::Write as _;
use std::io::{Error, Result, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

const ROUNDS: usize = 5;
const FIELDS: [usize; 2] = [50, 200];
const TYPES: [&str; 8] =
    ["String", "u32", "bool", "Option<String>", "Vec<u32>", "f64", "BTreeMap<String, u32>", "i64"];

/// The derives of each contestant.
const CONTESTANTS: [(&str, &str); 2] =
    [("serde", "Serialize, Deserialize"), ("shared", "Clone, Serialize, Deserialize, SharedState")];

fn main() -> Result<()> {
    let workspace = Workspace::write()?;
    for fields in FIELDS {
        for (name, _) in CONTESTANTS {
            workspace.build(&format!("{name}{fields}"))?;
        }
        let mut best = [(Duration::MAX, Duration::MAX); CONTESTANTS.len()];
        for _ in 0..ROUNDS {
            for ((name, _), best) in CONTESTANTS.iter().zip(&mut best) {
                let (wall, cpu) = workspace.build(&format!("{name}{fields}"))?;
                *best = (best.0.min(wall), best.1.min(cpu));
            }
        }
        let lines = |name: &str| workspace.expanded_lines(&format!("{name}{fields}"));
        let [serde, shared] = best;
        let ratio = |ours: Duration, theirs: Duration| ours.as_secs_f64() / theirs.as_secs_f64();
        println!(
            "{fields} fields: serde {:.2?} (cpu {:.2?}), shared {:.2?} (cpu {:.2?}): {:.2} times (cpu {:.2}); {} lines for \
             a field, serde's {}",
            serde.0,
            serde.1,
            shared.0,
            shared.1,
            ratio(shared.0, serde.0),
            ratio(shared.1, serde.1),
            lines("shared")?.saturating_sub(lines("serde")?) / fields,
            lines("serde")? / fields,
        );
    }
    Ok(())
}

/// The crates to build, in a workspace of their own with the dependency versions of this one.
struct Workspace {
    root: PathBuf,
}

impl Workspace {
    fn write() -> Result<Self> {
        let this = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compile_cost");
        let (mut members, library) = (String::new(), this.join("shared-state").canonicalize()?);
        for fields in FIELDS {
            for (name, derives) in CONTESTANTS {
                let name = format!("{name}{fields}");
                let dir = root.join(&name);
                fs::create_dir_all(dir.join("src"))?;
                fs::write(dir.join("src/lib.rs"), source(fields, derives))?;
                let manifest = format!(
                    "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n\
                     serde = {{ version = \"1\", features = [\"derive\"] }}\n\
                     shared-state = {{ path = {library:?}, default-features = false, features = [\"derive\"] }}\n"
                );
                fs::write(dir.join("Cargo.toml"), manifest)?;
                write!(members, "{name:?}, ").map_err(Error::other)?;
            }
        }
        fs::write(
            root.join("Cargo.toml"),
            format!("[workspace]\nresolver = \"3\"\nmembers = [{members}]\n"),
        )?;
        fs::copy(this.join("Cargo.lock"), root.join("Cargo.lock"))?;
        Ok(Self { root })
    }

    fn cargo(&self, command: &str, package: &str) -> Command {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([command, "--quiet", "--offline", "--package", package]).current_dir(&self.root);
        cargo.env("CARGO_INCREMENTAL", "0").env("CARGO_TARGET_DIR", self.root.join("target"));
        cargo
    }

    /// Rebuilds the crate, and its dependencies if they were not built yet; returns the wall-clock time and
    /// the CPU time.
    fn build(&self, package: &str) -> Result<(Duration, Duration)> {
        let source = self.root.join(package).join("src/lib.rs");
        fs::write(&source, fs::read(&source)?)?;
        let (began, spent) = (Instant::now(), children_cpu());
        succeed(&mut self.cargo("build", package))?;
        Ok((began.elapsed(), children_cpu().saturating_sub(spent)))
    }

    /// The number of lines of the crate after macro expansion, formatted.
    fn expanded_lines(&self, package: &str) -> Result<usize> {
        let mut expand = self.cargo("rustc", package);
        // Only a nightly compiler prints the expansion, or one with `RUSTC_BOOTSTRAP`.
        expand.args(["--profile", "check", "--", "-Zunpretty=expanded"]).env("RUSTC_BOOTSTRAP", "1");
        let expanded = expand.stderr(Stdio::null()).output()?.stdout;
        let mut rustfmt = Command::new("rustfmt").args(["--edition", "2024"]).piped()?;
        rustfmt.stdin.take().ok_or_else(|| Error::other("rustfmt takes no input"))?.write_all(&expanded)?;
        let formatted = rustfmt.wait_with_output()?.stdout;
        Ok(formatted.iter().filter(|&&byte| byte == b'\n').count())
    }
}

trait Piped {
    fn piped(&mut self) -> Result<std::process::Child>;
}

impl Piped for Command {
    fn piped(&mut self) -> Result<std::process::Child> {
        self.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
    }
}

fn succeed(command: &mut Command) -> Result<()> {
    match command.status()?.success() {
        true => Ok(()),
        false => Err(Error::other(format!("{command:?} failed"))),
    }
}

fn source(fields: usize, derives: &str) -> String {
    let mut source =
        String::from("use std::collections::BTreeMap;\n\nuse serde::{Deserialize, Serialize};\n");
    if derives.contains("SharedState") {
        source.push_str("use shared_state::SharedState;\n");
    }
    source.push_str(&format!("\n#[derive({derives})]\npub struct Document {{\n"));
    for field in 0..fields {
        source.push_str(&format!("    pub field_{field}: {},\n", TYPES[field % TYPES.len()]));
    }
    source.push_str("}\n");
    source
}

/// The CPU time of the child processes and of theirs.
fn children_cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the program's name in parentheses: cutime and cstime are fields 16 and 17, in hundredths of a
    // second.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(13).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}
