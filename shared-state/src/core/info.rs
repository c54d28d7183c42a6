//! The description of a struct at run time, for tools, inspectors and clients in other languages.
//!
//! All of it is constant and costs nothing until it is used. `Display` writes it for people, `Serialize` for
//! programs.

use std::borrow::Cow;
use std::fmt;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::core::{FieldInfo, PolicyInfo, SharedState, Timing};

/// A rule of `#[shared(validate(..))]`, as data. Bounds are the text that the struct spells, since they may
/// be names of constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuleInfo {
    /// The length, in `unit`, is within the bounds.
    Length {
        /// `"chars"`, `"bytes"` or `"items"`; empty if the field's type decides.
        unit: &'static str,
        /// The least length.
        min: Option<&'static str>,
        /// The greatest length.
        max: Option<&'static str>,
    },
    /// The number is within the bounds.
    Range {
        /// The least value.
        min: Option<&'static str>,
        /// The greatest value.
        max: Option<&'static str>,
    },
    /// The text matches this regular expression.
    Pattern(&'static str),
    /// The function of this name accepts the value.
    Custom(&'static str),
    /// The text is an email address.
    Email,
    /// The text is a URL with its scheme.
    Url,
    /// Each item satisfies the rules of its own type.
    Dive,
    /// Each item satisfies these rules.
    Inner(&'static [RuleInfo]),
}

/// A struct as it is described at run time: [`SharedState::INFO`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StructInfo {
    /// The struct's name.
    pub name: &'static str,
    /// Its shared fields, in declaration order.
    pub fields: &'static [FieldInfo],
}

impl StructInfo {
    /// The description of `S`.
    #[must_use]
    pub const fn of<S: SharedState>() -> Self {
        Self { name: S::NAME, fields: S::FIELDS }
    }
}

/// The depth to which nested structs are described. A struct may contain itself, so there has to be an end.
const DEPTH: usize = 8;

impl fmt::Display for StructInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        lines(f, self.fields, 1)
    }
}

/// A field's policy, as its attribute spells it.
fn policy(field: &FieldInfo) -> Cow<'static, str> {
    field.about.map_or(Cow::Borrowed(field.policy), |about| Cow::Owned(about.to_string()))
}

fn lines(f: &mut fmt::Formatter<'_>, fields: &[FieldInfo], depth: usize) -> fmt::Result {
    for field in fields {
        write!(
            f,
            "\n{:indent$}{}: {} ({}",
            "",
            field.name,
            field.type_name,
            policy(field),
            indent = depth * 2
        )?;
        if field.read_only {
            f.write_str(", read only")?;
        }
        if let Some(role) = field.read {
            write!(f, ", read by {role}")?;
        }
        if let Some(role) = field.write {
            write!(f, ", written by {role}")?;
        }
        match field.timing {
            Timing::Immediate => {}
            Timing::Debounce { wait, max_wait } => write!(f, ", debounced {wait:?} to {max_wait:?}")?,
            Timing::Throttle { every } => write!(f, ", throttled {every:?}")?,
        }
        for alias in field.aliases {
            write!(f, ", also {alias}")?;
        }
        f.write_str(")")?;
        for rule in field.rules {
            write!(f, " [{rule}]")?;
        }
        if let Some(line) = field.docs.trim().lines().next() {
            write!(f, " -- {}", line.trim())?;
        }
        if let Some(parts) = field.parts.filter(|_| depth < DEPTH) {
            lines(f, parts(), depth + 1)?;
        }
    }
    Ok(())
}

impl fmt::Display for RuleInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { unit, min, max } => {
                f.write_str("length")?;
                bounds(f, *min, *max)?;
                if unit.is_empty() { Ok(()) } else { write!(f, " {unit}") }
            }
            Self::Range { min, max } => {
                f.write_str("range")?;
                bounds(f, *min, *max)
            }
            Self::Pattern(pattern) => write!(f, "pattern {pattern}"),
            Self::Custom(path) => write!(f, "checked by {path}"),
            Self::Email => f.write_str("email"),
            Self::Url => f.write_str("url"),
            Self::Dive => f.write_str("each item by its own rules"),
            Self::Inner(rules) => {
                f.write_str("each item:")?;
                rules.iter().try_for_each(|rule| write!(f, " [{rule}]"))
            }
        }
    }
}

fn bounds(f: &mut fmt::Formatter<'_>, min: Option<&str>, max: Option<&str>) -> fmt::Result {
    write!(f, " {}..={}", min.unwrap_or_default(), max.unwrap_or_default())
}

impl Serialize for StructInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", self.name)?;
        map.serialize_entry("fields", &Fields { fields: self.fields, depth: 1 })?;
        map.end()
    }
}

struct Fields {
    fields: &'static [FieldInfo],
    depth: usize,
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.fields.len()))?;
        for field in self.fields {
            list.serialize_element(&One { field, depth: self.depth })?;
        }
        list.end()
    }
}

struct One {
    field: &'static FieldInfo,
    depth: usize,
}

impl Serialize for One {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { field, depth } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", field.name)?;
        map.serialize_entry("type", field.type_name)?;
        map.serialize_entry("policy", &policy(field))?;
        // The policy has the field's name in Rust.
        let list =
            std::iter::successors(field.about, |about| about.entries).find(|about| about.key.is_some());
        if let Some(name) = list
            .and_then(PolicyInfo::name_of_key)
            .filter(|name| list.and_then(|list| list.key) != Some(*name))
        {
            map.serialize_entry("key", name)?;
        }
        if field.read_only {
            map.serialize_entry("read_only", &true)?;
        }
        if let Some(role) = field.read {
            map.serialize_entry("read", role)?;
        }
        if let Some(role) = field.write {
            map.serialize_entry("write", role)?;
        }
        match field.timing {
            Timing::Immediate => {}
            Timing::Debounce { wait, max_wait } => {
                map.serialize_entry("debounce_ms", &wait.as_millis())?;
                map.serialize_entry("max_wait_ms", &max_wait.as_millis())?;
            }
            Timing::Throttle { every } => map.serialize_entry("throttle_ms", &every.as_millis())?,
        }
        if !field.aliases.is_empty() {
            map.serialize_entry("aliases", field.aliases)?;
        }
        if !field.rules.is_empty() {
            map.serialize_entry("rules", field.rules)?;
        }
        if !field.docs.is_empty() {
            map.serialize_entry("docs", field.docs)?;
        }
        if let Some(parts) = field.parts.filter(|_| *depth < DEPTH) {
            map.serialize_entry("fields", &Fields { fields: parts(), depth: depth + 1 })?;
        }
        map.end()
    }
}

impl Serialize for RuleInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut bounded = |rule, unit: &str, min: Option<&str>, max: Option<&str>| {
            map.serialize_entry("rule", rule)?;
            if !unit.is_empty() {
                map.serialize_entry("unit", unit)?;
            }
            if let Some(min) = min {
                map.serialize_entry("min", min)?;
            }
            max.map_or(Ok(()), |max| map.serialize_entry("max", max))
        };
        match self {
            Self::Length { unit, min, max } => bounded("length", unit, *min, *max)?,
            Self::Range { min, max } => bounded("range", "", *min, *max)?,
            Self::Pattern(pattern) => map.serialize_entry("pattern", pattern)?,
            Self::Custom(path) => map.serialize_entry("custom", path)?,
            Self::Email => map.serialize_entry("rule", "email")?,
            Self::Url => map.serialize_entry("rule", "url")?,
            Self::Dive => map.serialize_entry("rule", "dive")?,
            Self::Inner(rules) => map.serialize_entry("inner", rules)?,
        }
        map.end()
    }
}
