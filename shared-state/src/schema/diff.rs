//! The comparison of two schemas: whether their programs can share a room, and what a client then has to
//! translate.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::schema::join;
use crate::core::{FieldPath, FieldSchema, Schema, SchemaError};

impl Schema {
    /// Checks that a program with this schema and one with `other` can share a room: the two have the same
    /// version, and every field that both have, under one name or an alias, has the same policy and the same
    /// shape. Fields that only one of them has do not matter. The entries of a list or map may have more
    /// fields in `other` than in this schema.
    ///
    /// # Errors
    /// The first field that differs. `self` is what is expected.
    pub fn check(&self, other: &Self) -> Result<(), SchemaError> {
        SchemaDiff::between(self, other, &Fields::new()).map(drop)
    }
}

impl FieldSchema {
    fn described(&self) -> String {
        let shape = if self.shape.is_empty() { "a struct" } else { &self.shape };
        let short: String = shape.chars().take(120).collect();
        let cut = if short.len() < shape.len() { ".." } else { "" };
        format!("{short}{cut} ({})", self.policy)
    }

    pub(crate) fn is_nested(&self) -> bool {
        self.policy == "nested" && self.shape.is_empty()
    }

    /// Checks that the values and operations of the two fields are the same, apart from the fields inside.
    ///
    /// # Errors
    /// They are not. `self` is what is expected.
    pub(crate) fn fits(&self, field: &str, other: &Self) -> Result<(), SchemaError> {
        let entries = self.has_entries() && other.has_entries() && self.around() == other.around();
        if self.policy != other.policy || !entries && self.shape != other.shape {
            return Err(SchemaError::new(field, self.described(), other.described()));
        }
        if !entries {
            return Ok(());
        }
        // The other side may know more fields of the entries. If it knew fewer, it would lose values.
        self.fields.iter().try_for_each(|(name, inner)| match other.fields.get(name) {
            Some(counterpart) => inner.fits_all(&join(field, name), counterpart),
            None => Err(SchemaError::new(&join(field, name), inner.described(), "entries without it")),
        })
    }

    /// As [`fits`](Self::fits), for all fields inside too, which need the same names on both sides.
    fn fits_all(&self, field: &str, other: &Self) -> Result<(), SchemaError> {
        let names = |schema: &Self| schema.fields.keys().cloned().collect::<Vec<_>>().join(", ");
        if self.fields.len() != other.fields.len() {
            return Err(SchemaError::new(
                field,
                format!("{{{}}}", names(self)),
                format!("{{{}}}", names(other)),
            ));
        }
        self.fits(field, other)?;
        self.fields.iter().try_for_each(|(name, inner)| match other.fields.get(name) {
            Some(counterpart) => inner.fits_all(&join(field, name), counterpart),
            None => Err(SchemaError::new(&join(field, name), inner.described(), "nothing")),
        })
    }

    /// Whether `fields` describes the entries of a list or map.
    pub(crate) fn has_entries(&self) -> bool {
        !self.shape.is_empty() && !self.fields.is_empty()
    }

    /// The shape up to that of an entry: `[`, or `map<string, `.
    fn around(&self) -> &str {
        self.shape.split('{').next().unwrap_or_default()
    }
}

/// The differences between a client's struct and the room's that a client needs in order to use its own
/// fields in the room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SchemaDiff {
    /// The client's paths whose names in the room differ, with the room's paths.
    renamed: BTreeMap<String, String>,
    /// The same, from the room's paths to the client's.
    named: BTreeMap<String, String>,
    /// The client's nested structs that differ inside.
    differs_inside: BTreeSet<String>,
    /// The client's fields that the room's struct does not have: nested structs, and everything inside them.
    unknown: BTreeMap<String, FieldSchema>,
    /// Those of `unknown` that the room does not store.
    missing: BTreeSet<String>,
    /// The client's lists and maps whose entries have more fields in the room.
    partial: BTreeSet<String>,
}

type Fields = BTreeMap<String, FieldSchema>;

/// The room's side of a comparison.
#[derive(Clone, Copy)]
struct Side<'a> {
    /// The fields at some path, including the unknown fields that the room stores.
    fields: &'a Fields,
    /// The fields of the room's struct at this path; `None` if the struct has no nested struct here.
    of_struct: Option<&'a Fields>,
    at: &'a str,
}

impl SchemaDiff {
    /// The differences that `own` has from the schema of a room which also stores the unknown fields
    /// `stored`.
    ///
    /// # Errors
    /// The first field that differs. `own` is what is expected.
    pub(crate) fn between(own: &Schema, room: &Schema, stored: &Fields) -> Result<Self, SchemaError> {
        // An untyped room accepts every version.
        if own.version != room.version && !room.fields.is_empty() {
            let version = |schema: &Schema| format!("version {} of the state", schema.version);
            return Err(SchemaError::new("", version(own), version(room)));
        }
        let mut fields = room.fields.clone();
        for (path, field) in stored {
            put(&mut fields, FieldPath::new(path), field);
        }
        let mut this = Self::default();
        this.compare(&own.fields, "", Side { fields: &fields, of_struct: Some(&room.fields), at: "" })?;
        Ok(this)
    }

    /// Compares the fields of two structs. Returns whether they are the same.
    fn compare(&mut self, own: &Fields, own_at: &str, room: Side<'_>) -> Result<bool, SchemaError> {
        let mut same = room.of_struct.is_some_and(|fields| fields.len() == own.len());
        let mut taken = BTreeMap::new();
        for (name, field) in own {
            let path = join(own_at, name);
            let is_same = |other: &&String| {
                *other == name || field.also.contains(*other) || room.fields[*other].also.contains(name)
            };
            let others: Vec<_> = room.fields.keys().filter(is_same).collect();
            let Some(other) = others.first().copied() else {
                same = false;
                self.add_missing(path, field);
                continue;
            };
            if let [first, second, ..] = &others[..] {
                let found = format!("both `{first}` and `{second}`");
                return Err(SchemaError::new(&path, "one field", found));
            }
            if let Some(first) = taken.insert(other, name) {
                let found = format!("`{other}`, which is `{first}` too");
                return Err(SchemaError::new(&path, "a field of its own", found));
            }
            let (counterpart, room_path) = (&room.fields[other], join(room.at, other));
            field.fits(&path, counterpart)?;
            if field.has_entries() && field.fields.len() < counterpart.fields.len() {
                self.partial.insert(path.clone());
                same = false;
            }
            let of_struct = room.of_struct.and_then(|fields| fields.get(other));
            let inner = Side {
                fields: &counterpart.fields,
                of_struct: of_struct.map(|field| &field.fields),
                at: &room_path,
            };
            if field.is_nested() && !self.compare(&field.fields, &path, inner)? {
                self.differs_inside.insert(path.clone());
                same = false;
            }
            if of_struct.is_none() {
                self.unknown.insert(path.clone(), field.clone());
            }
            same &= of_struct.is_some() && name == other;
            if path != room_path {
                self.named.insert(room_path.clone(), path.clone());
                self.renamed.insert(path, room_path);
            }
        }
        Ok(same)
    }

    /// Records that the room has no field for the client's field at `path`.
    fn add_missing(&mut self, path: String, field: &FieldSchema) {
        if field.is_nested() {
            for (name, inner) in &field.fields {
                self.add_missing(join(&path, name), inner);
            }
            self.differs_inside.insert(path.clone());
        } else {
            self.missing.insert(path.clone());
        }
        self.unknown.insert(path, field.clone());
    }

    /// The client's fields (not nested structs) that the room's struct does not have. For each: its path in
    /// the room, whether the room stores it, the client's path, and its schema.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = (String, bool, &str, &FieldSchema)> {
        let fields = self.unknown.iter().filter(|(_, field)| !field.is_nested());
        fields.map(|(path, field)| {
            let room_path = self.to_room(path).unwrap_or_else(|| path.clone());
            (room_path, !self.missing.contains(path), path.as_str(), field)
        })
    }

    pub(crate) fn is_unknown(&self, path: &str) -> bool {
        prefixes(path).any(|prefix| self.unknown.contains_key(prefix))
    }

    pub(crate) fn differs_inside(&self, path: &str) -> bool {
        self.differs_inside.contains(path)
    }

    /// Whether `path` is an entry of which the room knows more fields.
    pub(crate) fn is_partial(&self, path: &str) -> bool {
        path.rsplit_once('/').is_some_and(|(within, _)| self.partial.contains(within))
    }

    /// The room's path for one of the client's, if the two differ.
    pub(crate) fn to_room(&self, path: &str) -> Option<String> {
        replaced(&self.renamed, path)
    }

    /// The client's path for one of the room's, if the two differ.
    pub(crate) fn to_own(&self, path: &str) -> Option<String> {
        replaced(&self.named, path)
    }
}

/// Adds a stored field to the fields of the room at its path. If the path leads through a field that is not a
/// struct, the field is left out.
fn put(fields: &mut Fields, mut path: FieldPath<'_>, field: &FieldSchema) {
    let Some(name) = path.next_segment() else { return };
    if path.is_end() {
        fields.entry(name.into_owned()).or_insert_with(|| field.clone());
        return;
    }
    let nested = FieldSchema { policy: "nested".to_owned(), ..FieldSchema::default() };
    let within = fields.entry(name.into_owned()).or_insert(nested);
    if within.is_nested() {
        put(&mut within.fields, path, field);
    }
}

/// The path and the paths that it lies in, the longest first.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(within, _)| within))
}

/// Replaces the longest prefix of the path that the table has an entry for.
fn replaced(table: &BTreeMap<String, String>, path: &str) -> Option<String> {
    let (prefix, other) = prefixes(path).find_map(|prefix| Some((prefix, table.get(prefix)?)))?;
    Some(format!("{other}{}", &path[prefix.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(policy: &str, shape: &str) -> FieldSchema {
        FieldSchema { policy: policy.into(), shape: shape.into(), also: Vec::new(), fields: Fields::new() }
    }

    fn also(mut field: FieldSchema, alias: &str) -> FieldSchema {
        field.also.push(alias.into());
        field
    }

    fn nested<const N: usize>(fields: [(&str, FieldSchema); N]) -> FieldSchema {
        FieldSchema { fields: fields.map(|(name, field)| (name.into(), field)).into(), ..field("nested", "") }
    }

    fn schema<const N: usize>(fields: [(&str, FieldSchema); N]) -> Schema {
        Schema { version: 1, fields: nested(fields).fields }
    }

    #[test]
    fn fields_that_one_side_lacks_do_not_matter() {
        let old = schema([("title", field("lww", "string"))]);
        let layout = nested([("columns", field("lww", "u8"))]);
        let new = schema([("title", field("lww", "string")), ("layout", layout)]);
        assert_eq!((old.check(&new), new.check(&old)), (Ok(()), Ok(())));
        let unknown = |stored: &Fields| {
            let differences = SchemaDiff::between(&new, &old, stored).expect("they fit");
            assert!(differences.is_unknown("layout") && differences.differs_inside("layout"));
            assert!(!differences.is_unknown("title"));
            differences.unknown().map(|(path, is_stored, ..)| (path, is_stored)).collect::<Vec<_>>()
        };
        assert_eq!(unknown(&Fields::new()), [("layout/columns".into(), false)]);
        assert_eq!(
            unknown(&[("layout/columns".into(), field("lww", "u8"))].into()),
            [("layout/columns".into(), true)]
        );
        let another = [("layout/columns".into(), field("lww", "bool"))].into();
        assert!(SchemaDiff::between(&new, &old, &another).is_err());
    }

    #[test]
    fn a_stored_unknown_field_may_lie_inside_a_known_one() {
        let old = schema([("style", nested([("columns", field("lww", "u8"))]))]);
        let inner = nested([("columns", field("lww", "u8")), ("wide", also(field("lww", "bool"), "broad"))]);
        let new = schema([("layout", also(inner, "style"))]);
        let stored = [("style/broad".into(), field("lww", "bool"))].into();
        let differences = SchemaDiff::between(&new, &old, &stored).expect("they fit");
        let unknown: Vec<_> =
            differences.unknown().map(|(path, is_stored, own, _)| (path, is_stored, own)).collect();
        assert_eq!(unknown, [("style/broad".into(), true, "layout/wide")]);
        assert!(differences.differs_inside("layout") && !differences.is_unknown("layout"));
    }

    #[test]
    fn the_first_field_that_is_another_is_named() {
        let own = schema([("layout", nested([("columns", field("lww", "u8"))]))]);
        for (other, message) in [
            (field("lww", "u32"), "`layout/columns`: expected u8 (lww), found u32 (lww)"),
            (field("counter", "u8"), "`layout/columns`: expected u8 (lww), found u8 (counter)"),
        ] {
            let room = schema([("layout", nested([("columns", other)]))]);
            assert_eq!(own.check(&room).map_err(|error| error.to_string()), Err(message.into()));
        }
        let room = Schema { version: 3, ..own.clone() };
        let message = "expected version 1 of the state, found version 3 of the state";
        assert_eq!(own.check(&room).map_err(|error| error.to_string()), Err(message.into()));
    }

    #[test]
    fn an_alias_is_the_same_field_from_both_sides() {
        let old = schema([("style", nested([("cols", field("lww", "u8"))]))]);
        let inner = nested([("columns", also(field("lww", "u8"), "cols"))]);
        let new = schema([("layout", also(inner, "style"))]);
        let newer = SchemaDiff::between(&new, &old, &Fields::new()).expect("they fit");
        assert_eq!(newer.to_room("layout/columns").as_deref(), Some("style/cols"));
        assert_eq!(newer.to_room("layout").as_deref(), Some("style"));
        assert_eq!(newer.to_own("style/cols").as_deref(), Some("layout/columns"));
        let older = SchemaDiff::between(&old, &new, &Fields::new()).expect("they fit");
        assert_eq!(older.to_own("layout/columns").as_deref(), Some("style/cols"));
        assert_eq!(older.to_room("title"), None);
        assert!(older.differs_inside("style") && older.unknown().next().is_none());
    }

    #[test]
    fn two_fields_that_are_one_there_are_refused() {
        let two = schema([("name", field("lww", "string")), ("title", field("lww", "string"))]);
        let one = schema([("title", also(field("lww", "string"), "name"))]);
        assert!(two.check(&one).is_err() && one.check(&two).is_err());
    }
}
