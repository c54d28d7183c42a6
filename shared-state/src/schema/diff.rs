//! Two schemas compared: whether their programs can share a room, and what a client then has to translate.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::schema::join;
use crate::core::{FieldPath, FieldSchema, Schema, SchemaError};

impl Schema {
    /// Whether a program with this schema and one with `other` can share a room: they have the same version, and
    /// every field that both have, under one name or an alias, has the same policy and the same shape. Fields that
    /// only one of them has do not matter, and of the entries of a list or map `other` may have fields that this one lacks.
    ///
    /// # Errors
    /// The first field that is not the same; `self` is what is expected.
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

    /// Whether values and operations of the one are those of the other, fields inside aside.
    ///
    /// # Errors
    /// They are not; `self` is what is expected.
    pub(crate) fn fits(&self, field: &str, other: &Self) -> Result<(), SchemaError> {
        let entries = self.has_entries() && other.has_entries() && self.around() == other.around();
        if self.policy != other.policy || !entries && self.shape != other.shape {
            return Err(SchemaError::new(field, self.described(), other.described()));
        }
        if !entries {
            return Ok(());
        }
        // The other may know more of the entries. It knows all of what is known here, or it would lose it.
        self.fields.iter().try_for_each(|(name, inner)| match other.fields.get(name) {
            Some(counterpart) => inner.fits_all(&join(field, name), counterpart),
            None => Err(SchemaError::new(&join(field, name), inner.described(), "entries without it")),
        })
    }

    /// The same, with all fields inside, which have to have the same names.
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

    /// Whether its fields are those of its entries.
    pub(crate) fn has_entries(&self) -> bool {
        !self.shape.is_empty() && !self.fields.is_empty()
    }

    /// The shape up to that of an entry: `[`, or `map<string, `.
    fn around(&self) -> &str {
        self.shape.split('{').next().unwrap_or_default()
    }
}

/// What a client has to know to speak of its own fields with a room that has others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SchemaDiff {
    /// Own paths whose names in the room are others.
    renamed: BTreeMap<String, String>,
    /// The same, the other way round.
    named: BTreeMap<String, String>,
    /// Own nested structs that are not the same inside.
    differs_inside: BTreeSet<String>,
    /// Own fields that the room's struct does not have: nested structs, and everything in them.
    unknown: BTreeMap<String, FieldSchema>,
    /// Those of them that the room does not keep.
    missing: BTreeSet<String>,
    /// Own lists and maps of whose entries the room knows more.
    partial: BTreeSet<String>,
}

type Fields = BTreeMap<String, FieldSchema>;

/// The room's side of a comparison.
#[derive(Clone, Copy)]
struct Side<'a> {
    /// The fields at some path, kept ones among them.
    fields: &'a Fields,
    /// Those of the room's struct; `None` if it does not have such a nested struct.
    of_struct: Option<&'a Fields>,
    at: &'a str,
}

impl SchemaDiff {
    /// What is different, as `own` sees it, from a room that keeps the fields `kept` beside its struct's.
    ///
    /// # Errors
    /// The first field that is not the same; `own` is what is expected.
    pub(crate) fn between(own: &Schema, room: &Schema, kept: &Fields) -> Result<Self, SchemaError> {
        // A room that knows no struct takes any.
        if own.version != room.version && !room.fields.is_empty() {
            let version = |schema: &Schema| format!("version {} of the state", schema.version);
            return Err(SchemaError::new("", version(own), version(room)));
        }
        let mut fields = room.fields.clone();
        for (path, field) in kept {
            put(&mut fields, FieldPath::new(path), field);
        }
        let mut this = Self::default();
        this.compare(&own.fields, "", Side { fields: &fields, of_struct: Some(&room.fields), at: "" })?;
        Ok(this)
    }

    /// Compares the fields of two structs; says whether they are the same.
    fn compare(&mut self, own: &Fields, own_at: &str, room: Side<'_>) -> Result<bool, SchemaError> {
        let mut same = room.of_struct.is_some_and(|fields| fields.len() == own.len());
        let mut taken = BTreeMap::new();
        for (name, field) in own {
            let path = join(own_at, name);
            let is_it = |other: &&String| {
                *other == name || field.also.contains(*other) || room.fields[*other].also.contains(name)
            };
            let others: Vec<_> = room.fields.keys().filter(is_it).collect();
            let Some(other) = others.first().copied() else {
                same = false;
                self.miss(path, field);
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

    fn miss(&mut self, path: String, field: &FieldSchema) {
        if field.is_nested() {
            for (name, inner) in &field.fields {
                self.miss(join(&path, name), inner);
            }
            self.differs_inside.insert(path.clone());
        } else {
            self.missing.insert(path.clone());
        }
        self.unknown.insert(path, field.clone());
    }

    /// Own fields, not structs, that the room's struct does not have: by their paths in the room, whether the room
    /// keeps them, and the own path.
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

    /// Whether it is an entry of whose fields the room knows more.
    pub(crate) fn is_partial(&self, path: &str) -> bool {
        path.rsplit_once('/').is_some_and(|(within, _)| self.partial.contains(within))
    }

    /// The room's path of an own one.
    pub(crate) fn to_room(&self, path: &str) -> Option<String> {
        replaced(&self.renamed, path)
    }

    /// The own path of one of the room's.
    pub(crate) fn to_own(&self, path: &str) -> Option<String> {
        replaced(&self.named, path)
    }
}

/// Puts a kept field where it belongs; what is no struct there is left as it is.
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

/// A path and those it lies in, the longest first.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(within, _)| within))
}

/// The path with its longest prefix that the table has replaced.
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
        let unknown = |kept: &Fields| {
            let differences = SchemaDiff::between(&new, &old, kept).expect("they fit");
            assert!(differences.is_unknown("layout") && differences.differs_inside("layout"));
            assert!(!differences.is_unknown("title"));
            differences.unknown().map(|(path, is_kept, ..)| (path, is_kept)).collect::<Vec<_>>()
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
    fn what_a_room_keeps_may_lie_in_what_it_has() {
        let old = schema([("style", nested([("columns", field("lww", "u8"))]))]);
        let inner = nested([("columns", field("lww", "u8")), ("wide", also(field("lww", "bool"), "broad"))]);
        let new = schema([("layout", also(inner, "style"))]);
        let kept = [("style/broad".into(), field("lww", "bool"))].into();
        let differences = SchemaDiff::between(&new, &old, &kept).expect("they fit");
        let unknown: Vec<_> = differences.unknown().map(|(path, kept, own, _)| (path, kept, own)).collect();
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
