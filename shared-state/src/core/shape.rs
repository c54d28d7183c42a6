//! The shape of a type: the form in which serde reads it, found by letting the type deserialize itself.
//!
//! A [`Probe`] is a deserializer without data. It notes which kind of value the type asks for, and answers
//! with a made-up value of that kind. A type that does not accept the answer (for example a date, which asks
//! for a string and then parses it) fails. The type is read again and again, each time without the parts that
//! are known already, until it asks for nothing new. A shape holds only what the type asks serde for: a
//! string that has to be a date is a `string`.

use std::any::type_name;
use std::cell::RefCell;
use std::fmt::{self, Write as _};

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

/// The node limit of one shape. Parts beyond it are `any`.
const NODES: usize = 2048;

/// The depth limit of a shape. Deeper parts are `any`.
const DEPTH: usize = 32;

/// The length limit of a shape, in bytes. A longer shape is cut and ends in the hash of its full text.
pub(crate) const MAX_SHAPE: usize = 1024;

/// The shape that `read` asks for. `read` is called until the shape is complete.
pub(crate) fn shape(read: impl FnMut(Probe<'_>)) -> String {
    let tree = traced(read);
    let mut text = String::new();
    // Writing to a `String` does not fail.
    let _ = tree.write(0, &mut text);
    if text.len() > MAX_SHAPE {
        let hash = fnv(text.as_bytes());
        let end = (0..=MAX_SHAPE - 20).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        let _ = write!(text, "..{hash:016x}");
    }
    text
}

/// The names of the members of the struct that `read` asks for, with the names of their types where a member
/// is read as its own type.
pub(crate) fn members(read: impl FnMut(Probe<'_>)) -> Vec<(&'static str, Option<&'static str>)> {
    let tree = traced(read);
    let top = &tree.nodes[0];
    let read = top.names.iter().zip(&top.children).filter(|(_, child)| tree.nodes[**child].seen);
    read.map(|(name, child)| (*name, tree.nodes[*child].type_name)).collect()
}

/// What `read` asks for. `read` is called until nothing new is asked for.
fn traced(mut read: impl FnMut(Probe<'_>)) -> Tree {
    let tree = RefCell::new(Tree { nodes: vec![Node::default()], inside: Vec::new() });
    for _ in 0..NODES {
        let before = tree.borrow().progress();
        tree.borrow_mut().inside.clear();
        read(Probe { tree: &tree, node: 0 });
        let now = tree.borrow();
        if now.is_done(0) || now.progress() == before {
            break;
        }
    }
    tree.into_inner()
}

#[derive(Debug, Default)]
struct Node {
    kind: Kind,
    depth: usize,
    children: Vec<usize>,
    /// The names of the children, where they have names.
    names: Vec<&'static str>,
    /// The node is not to be read again: reading it fails, or its value is not wanted.
    finished: bool,
    /// The type has asked for this node.
    seen: bool,
    /// The type that a member was read as.
    type_name: Option<&'static str>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The type has not asked for this node yet.
    #[default]
    Unknown,
    /// A type inside itself.
    Recursive,
    /// A variant without data.
    Unit,
    Plain(&'static str),
    Option,
    Seq,
    Map,
    Tuple,
    Struct,
    Enum,
}

struct Tree {
    nodes: Vec<Node>,
    /// The names of the types that are being read, outermost first.
    inside: Vec<&'static str>,
}

impl Tree {
    /// A number that grows with everything that is learned.
    fn progress(&self) -> usize {
        self.nodes.iter().map(|node| 1 + usize::from(node.finished) + usize::from(node.seen)).sum()
    }

    fn is_done(&self, node: usize) -> bool {
        let node = &self.nodes[node];
        node.finished || node.seen && node.children.iter().all(|child| self.is_done(*child))
    }

    /// Sets a node's kind and makes its children when the type first asks for it.
    fn set(&mut self, at: usize, kind: Kind, names: &[&'static str], children: usize) {
        if self.nodes[at].seen {
            return;
        }
        self.nodes[at].seen = true;
        let depth = self.nodes[at].depth + 1;
        if self.nodes.len() + children > NODES || depth > DEPTH && children > 0 {
            return;
        }
        self.nodes[at].kind = kind;
        self.nodes[at].names = names.to_vec();
        for _ in 0..children {
            self.nodes.push(Node { depth, ..Node::default() });
            let child = self.nodes.len() - 1;
            self.nodes[at].children.push(child);
        }
    }

    fn write(&self, at: usize, out: &mut String) -> fmt::Result {
        let node = &self.nodes[at];
        let list = |out: &mut String, between: &str| -> fmt::Result {
            for (index, child) in node.children.iter().enumerate() {
                if index > 0 {
                    out.push_str(between);
                }
                self.write(*child, out)?;
            }
            Ok(())
        };
        match node.kind {
            Kind::Unknown | Kind::Unit => out.push_str("any"),
            Kind::Recursive => out.push_str(".."),
            Kind::Plain(name) => out.push_str(name),
            Kind::Option => {
                out.push_str("option<");
                list(out, "")?;
                out.push('>');
            }
            Kind::Seq => {
                out.push('[');
                list(out, "")?;
                out.push(']');
            }
            Kind::Map => {
                out.push_str("map<");
                list(out, ", ")?;
                out.push('>');
            }
            Kind::Tuple => {
                let parts: Vec<String> = node
                    .children
                    .iter()
                    .map(|child| {
                        let mut part = String::new();
                        self.write(*child, &mut part).map(|()| part)
                    })
                    .collect::<Result<_, _>>()?;
                match &parts[..] {
                    [first, _, _, ..] if parts.iter().all(|part| part == first) => {
                        write!(out, "({first}; {})", parts.len())?;
                    }
                    parts => write!(out, "({})", parts.join(", "))?,
                }
            }
            Kind::Struct => {
                out.push('{');
                let mut fields: Vec<_> = node.names.iter().zip(&node.children).collect();
                fields.sort_unstable();
                // A name whose value was never read is an alias of an earlier field.
                fields.retain(|(_, child)| self.nodes[**child].seen);
                for (index, (name, child)) in fields.into_iter().enumerate() {
                    if index > 0 {
                        out.push_str(", ");
                    }
                    write!(out, "{name}: ")?;
                    self.write(*child, out)?;
                }
                out.push('}');
            }
            Kind::Enum => {
                out.push_str("enum(");
                let mut variants: Vec<_> = node.names.iter().zip(&node.children).collect();
                variants.sort_unstable();
                for (index, (name, child)) in variants.into_iter().enumerate() {
                    if index > 0 {
                        out.push_str(" | ");
                    }
                    out.push_str(name);
                    if self.nodes[*child].kind != Kind::Unit {
                        out.push(' ');
                        self.write(*child, out)?;
                    }
                }
                out.push(')');
            }
        }
        Ok(())
    }
}

/// The error of every failed read. Its reason does not matter: only what the type asked for before it failed
/// counts.
#[derive(Debug)]
pub(crate) struct Stop;

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no data")
    }
}

impl std::error::Error for Stop {}

impl Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// A deserializer that notes what is asked of it.
#[derive(Clone, Copy)]
pub(crate) struct Probe<'t> {
    tree: &'t RefCell<Tree>,
    node: usize,
}

impl<'t> Probe<'t> {
    fn set(self, kind: Kind, names: &[&'static str], children: usize) {
        self.tree.borrow_mut().set(self.node, kind, names, children);
    }

    fn child(self, index: usize) -> Option<Self> {
        let node = *self.tree.borrow().nodes[self.node].children.get(index)?;
        Some(Self { node, ..self })
    }

    fn is_done(self) -> bool {
        self.tree.borrow().is_done(self.node)
    }

    /// Marks the node as one that is not to be read again.
    fn finish(self) {
        self.tree.borrow_mut().nodes[self.node].finished = true;
    }

    /// Marks the node as one that cannot be reached.
    fn give_up(self) {
        let node = &mut self.tree.borrow_mut().nodes[self.node];
        (node.seen, node.finished) = (true, true);
    }

    /// Reads a value of a type that may contain itself.
    fn enter<T, R>(self, read: impl FnOnce() -> Result<R, Stop>) -> Result<R, Stop> {
        let name = type_name::<T>();
        if self.tree.borrow().inside.contains(&name) {
            self.set(Kind::Recursive, &[], 0);
            self.finish();
            return Err(Stop);
        }
        self.tree.borrow_mut().inside.push(name);
        let read = read();
        self.tree.borrow_mut().inside.pop();
        read
    }

    /// Reads the node with `seed`.
    fn read<'de, T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Stop> {
        let depth = self.tree.borrow().inside.len();
        let read = seed.deserialize(self);
        let mut tree = self.tree.borrow_mut();
        tree.inside.truncate(depth);
        // A type may ask for nothing at all. Its node is known too.
        tree.nodes[self.node].seen = true;
        read
    }
}

macro_rules! plain {
    ($($method:ident $name:literal $visit:ident($($value:expr)?),)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
            self.set(Kind::Plain($name), &[], 0);
            visitor.$visit($($value)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Stop;

    // Every numeric type accepts 1, also those that exclude zero.
    plain! {
        deserialize_bool "bool" visit_bool(false),
        deserialize_i8 "i8" visit_i8(1),
        deserialize_i16 "i16" visit_i16(1),
        deserialize_i32 "i32" visit_i32(1),
        deserialize_i64 "i64" visit_i64(1),
        deserialize_i128 "i128" visit_i128(1),
        deserialize_u8 "u8" visit_u8(1),
        deserialize_u16 "u16" visit_u16(1),
        deserialize_u32 "u32" visit_u32(1),
        deserialize_u64 "u64" visit_u64(1),
        deserialize_u128 "u128" visit_u128(1),
        deserialize_f32 "f32" visit_f32(1.0),
        deserialize_f64 "f64" visit_f64(1.0),
        deserialize_char "char" visit_char('a'),
        deserialize_str "string" visit_str(""),
        deserialize_string "string" visit_str(""),
        deserialize_bytes "bytes" visit_bytes(&[]),
        deserialize_byte_buf "bytes" visit_bytes(&[]),
        deserialize_unit "null" visit_unit(),
        deserialize_any "any" visit_unit(),
        deserialize_ignored_any "any" visit_unit(),
        deserialize_identifier "string" visit_str(""),
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.enter::<V::Value, _>(|| visitor.visit_newtype_struct(self))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.enter::<V::Value, _>(|| {
            self.set(Kind::Option, &[], 1);
            match self.child(0).filter(|child| !child.is_done()) {
                Some(child) => visitor.visit_some(child),
                None => visitor.visit_none(),
            }
        })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.enter::<V::Value, _>(|| {
            self.set(Kind::Seq, &[], 1);
            visitor.visit_seq(Items { probe: self, next: 0, whole: false })
        })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        self.set(Kind::Tuple, &[], len);
        visitor.visit_seq(Items { probe: self, next: 0, whole: true })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.enter::<V::Value, _>(|| self.deserialize_tuple(len, visitor))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.enter::<V::Value, _>(|| {
            self.set(Kind::Map, &[], 2);
            visitor.visit_map(Entry { probe: self, given: false })
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.enter::<V::Value, _>(|| {
            self.set(Kind::Struct, fields, fields.len());
            visitor.visit_map(Members { probe: self, fields, next: 0, offered: None })
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.enter::<V::Value, _>(|| {
            self.set(Kind::Enum, variants, variants.len());
            visitor.visit_enum(Variants { probe: self, variants })
        })
    }
}

/// The items of a tuple, or of a sequence, where one item is enough.
struct Items<'t> {
    probe: Probe<'t>,
    next: usize,
    whole: bool,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Stop> {
        let Some(child) = self.probe.child(self.next) else { return Ok(None) };
        self.next += 1;
        if !self.whole && child.is_done() {
            return Ok(None);
        }
        let read = child.read(seed);
        if self.whole && read.is_err() && child.is_done() {
            // The rest of the tuple is never reached.
            (self.next..).map_while(|at| self.probe.child(at)).for_each(Probe::give_up);
        }
        read.map(Some)
    }
}

/// One entry of a map.
struct Entry<'t> {
    probe: Probe<'t>,
    given: bool,
}

impl<'de> MapAccess<'de> for Entry<'_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Stop> {
        if std::mem::replace(&mut self.given, true) || self.probe.is_done() {
            return Ok(None);
        }
        let Some(child) = self.probe.child(0) else { return Ok(None) };
        let read = child.read(seed);
        if read.is_err() && child.is_done() {
            // If no key can be read, no value is asked for.
            self.probe.child(1).into_iter().for_each(Probe::give_up);
        }
        read.map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        self.probe.child(1).ok_or(Stop)?.read(seed)
    }
}

/// The fields of a struct, except those that cannot be read and those that are not wanted.
struct Members<'t> {
    probe: Probe<'t>,
    fields: &'static [&'static str],
    next: usize,
    offered: Option<Probe<'t>>,
}

impl Drop for Members<'_> {
    fn drop(&mut self) {
        // The type was given a name and did not ask for its value.
        if let Some(unwanted) = self.offered {
            unwanted.finish();
        }
    }
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Stop> {
        while let (Some(child), Some(name)) = (self.probe.child(self.next), self.fields.get(self.next)) {
            self.next += 1;
            let unwanted = self.probe.tree.borrow().nodes[child.node].finished;
            if unwanted {
                continue;
            }
            self.offered = Some(child);
            return seed.deserialize(StrDeserializer::new(name)).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        let child = self.offered.take().ok_or(Stop)?;
        self.probe.tree.borrow_mut().nodes[child.node].type_name = Some(type_name::<V::Value>());
        let read = child.read(seed);
        if read.is_err() && child.is_done() {
            child.finish();
        }
        read
    }
}

/// One variant of an enum: the first that is not known yet, or else the first that can be read.
struct Variants<'t> {
    probe: Probe<'t>,
    variants: &'static [&'static str],
}

impl<'t, 'de> EnumAccess<'de> for Variants<'t> {
    type Error = Stop;
    type Variant = Variant<'t>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Variant<'t>), Stop> {
        let children = || (0..self.variants.len()).filter_map(|at| Some((at, self.probe.child(at)?)));
        let finished = |child: &Probe<'_>| self.probe.tree.borrow().nodes[child.node].finished;
        let next = children().find(|(_, child)| !child.is_done());
        let (at, child) = next.or_else(|| children().find(|(_, child)| !finished(child))).ok_or(Stop)?;
        let name = self.variants[at];
        let identified = seed.deserialize(StrDeserializer::new(name));
        if identified.is_err() {
            child.finish();
        }
        Ok((identified?, Variant(child)))
    }
}

struct Variant<'t>(Probe<'t>);

impl Variant<'_> {
    fn ended<T>(child: Probe<'_>, read: Result<T, Stop>) -> Result<T, Stop> {
        if read.is_err() && child.is_done() {
            child.finish();
        }
        read
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Stop;

    fn unit_variant(self) -> Result<(), Stop> {
        self.0.set(Kind::Unit, &[], 0);
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Stop> {
        Self::ended(self.0, self.0.read(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        Self::ended(self.0, self.0.deserialize_tuple(len, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.0.set(Kind::Struct, fields, fields.len());
        Self::ended(self.0, visitor.visit_map(Members { probe: self.0, fields, next: 0, offered: None }))
    }
}

/// The FNV-1a hash, 64 bits.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    #![allow(dead_code)]

    use std::collections::{BTreeMap, HashSet};

    use serde::Deserialize;
    use serde::de::DeserializeOwned;

    use super::*;

    fn of<T: DeserializeOwned>() -> String {
        // The read may fail: only what the type asks for counts.
        shape(|probe| drop(T::deserialize(probe)))
    }

    #[derive(Deserialize)]
    struct Point {
        y: f32,
        x: Option<u8>,
    }

    #[derive(Deserialize)]
    enum Figure {
        Empty,
        Circle(Point, u32),
        Text { at: Point, text: String },
        Tag(String),
    }

    #[derive(Deserialize)]
    enum Tree {
        Node(Box<Tree>, Vec<Tree>),
        Leaf(u8),
    }

    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Many(Vec<Many>);

    #[derive(Deserialize)]
    struct Wrapper<T> {
        inner: T,
    }

    #[derive(Deserialize)]
    #[serde(try_from = "String")]
    struct Date(String);

    impl TryFrom<String> for Date {
        type Error = String;
        fn try_from(text: String) -> Result<Self, String> {
            if text.len() == 10 { Ok(Self(text)) } else { Err("no date".into()) }
        }
    }

    #[derive(Deserialize)]
    struct Dated {
        from: Date,
        to: Option<Date>,
        days: Vec<Date>,
        by_day: BTreeMap<Date2, u8>,
        pair: (Date, u8),
        count: std::num::NonZeroU8,
        #[serde(default, alias = "remark", alias = "zz")]
        note: String,
    }

    #[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
    struct Date2(String);

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(u8),
        Text(String),
    }

    #[derive(Deserialize)]
    struct Flat {
        a: u8,
        #[serde(flatten)]
        rest: Point,
    }

    #[test]
    fn shapes_are_what_serde_is_asked_for() {
        for (found, expected) in [
            (of::<String>(), "string"),
            (of::<bool>(), "bool"),
            (of::<u8>(), "u8"),
            (of::<i64>(), "i64"),
            (of::<f64>(), "f64"),
            (of::<()>(), "null"),
            (of::<char>(), "char"),
            (of::<Vec<String>>(), "[string]"),
            (of::<HashSet<u32>>(), "[u32]"),
            (of::<Option<Vec<u8>>>(), "option<[u8]>"),
            (of::<BTreeMap<String, Vec<bool>>>(), "map<string, [bool]>"),
            (of::<(u8, String)>(), "(u8, string)"),
            (of::<[u8; 9]>(), "(u8; 9)"),
            (of::<Point>(), "{x: option<u8>, y: f32}"),
            (of::<Vec<Point>>(), "[{x: option<u8>, y: f32}]"),
            (of::<serde_json::Value>(), "any"),
            (of::<Box<serde_json::value::RawValue>>(), "any"),
            (of::<Untagged>(), "any"),
            (of::<Flat>(), "map<string, any>"),
            (
                of::<Figure>(),
                "enum(Circle ({x: option<u8>, y: f32}, u32) | Empty | Tag string | \
                 Text {at: {x: option<u8>, y: f32}, text: string})",
            ),
            (of::<Wrapper<Wrapper<u8>>>(), "{inner: {inner: u8}}"),
            (of::<std::time::Duration>(), "{nanos: u32, secs: u64}"),
        ] {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn types_that_contain_themselves_end() {
        assert_eq!(of::<Tree>(), "enum(Leaf u8 | Node (.., any))");
        assert_eq!(of::<Many>(), "[..]");
    }

    #[test]
    fn what_cannot_be_made_up_is_stepped_over() {
        assert_eq!(
            of::<Dated>(),
            "{by_day: map<string, u8>, count: u8, days: [string], from: string, note: string, pair: (string, any), \
             to: option<string>}"
        );
    }

    #[test]
    fn a_long_shape_ends_in_a_hash() {
        #[derive(Deserialize)]
        struct Long(#[serde(with = "wide")] u8);
        mod wide {
            pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
                struct Any;
                impl serde::de::Visitor<'_> for Any {
                    type Value = u8;
                    fn expecting(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        Ok(())
                    }
                }
                const NAMES: [&str; 300] = ["variant"; 300];
                from.deserialize_enum("E", &NAMES, Any)
            }
        }
        let long = of::<Long>();
        assert!(long.len() <= MAX_SHAPE && long.contains(".."), "{long}");
    }
}
