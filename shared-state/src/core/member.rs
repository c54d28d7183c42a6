//! The name that a field of a struct has in the struct's JSON.
//!
//! Serde's attributes decide it, and only serde's generated code knows it. So the name is looked up there: an
//! [`example`] of the struct is serialized, and the member whose value is the field is the one that is looked
//! for. If no example can be made, the name is chosen among those that the struct asks serde for.

use std::any::{TypeId, type_name};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde::ser::{self, Impossible, Serializer};

use crate::core::Value;
use crate::core::example::example;
use crate::core::key::{NotAKey, with_key};
use crate::core::shape::members;

/// The number of examples that are compared where the field's address does not tell its name.
const ROUNDS: u32 = 16;

/// A field of a struct: its type, and where it is in a value.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Null if there is no value to point into.
    at: *const (),
    type_name: &'static str,
}

impl Member {
    /// The field that `get` returns. It asks nothing of the types, so that what they lack is reported where it is
    /// needed.
    pub fn of<T, K>(value: Option<&T>, get: fn(&T) -> &K) -> Self {
        let at = value.map_or(std::ptr::null(), |value| std::ptr::from_ref(get(value)).cast());
        Self { at, type_name: type_name::<K>() }
    }

    /// A field of which neither is known.
    pub(crate) const UNKNOWN: Self = Self { at: std::ptr::null(), type_name: "" };

    fn is<T: ?Sized>(self, value: &T) -> bool {
        std::ptr::from_ref(value).cast::<()>() == self.at && type_name::<T>() == self.type_name
    }
}

/// How the field is found in a `T`.
pub(crate) struct Lookup<T> {
    /// The field's name in Rust.
    pub(crate) spelled: &'static str,
    pub(crate) member: fn(Option<&T>) -> Member,
    /// Whether a text is the field's value as a key.
    pub(crate) is: fn(&T, &str) -> bool,
}

/// The name of the field in the JSON of a `T`. Computed once for each `Of`; later calls look it up in a table.
pub(crate) fn member_name<Of: 'static, T: Value>(lookup: &Lookup<T>) -> &'static str {
    let spelled = lookup.spelled;
    static KNOWN: Mutex<BTreeMap<(TypeId, TypeId), &'static str>> = Mutex::new(BTreeMap::new());
    let table = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let id = (TypeId::of::<Of>(), TypeId::of::<T>());
    if let Some(known) = table().get(&id) {
        return known;
    }
    // Computed without the lock, because this runs serde's code of the type.
    let found = find(lookup);
    table().entry(id).or_insert_with(|| match found {
        Some(name) if name != spelled => Box::leak(name.into_boxed_str()),
        _ => spelled,
    })
}

fn find<T: Value>(lookup: &Lookup<T>) -> Option<String> {
    let Some(first) = example::<T>(0) else { return chosen(lookup) };
    let field = (lookup.member)(Some(&first));
    if let Err(Found::Name(name)) = first.serialize(Search { field, name: None }) {
        return Some(name);
    }
    // The type writes a copy of the field.
    let mut names: Option<Vec<String>> = None;
    for round in 0..ROUNDS {
        let Some(example) = example::<T>(round) else { continue };
        let Ok(serde_json::Value::Object(members)) = serde_json::to_value(&example) else { return None };
        let is_key =
            |value: &serde_json::Value| with_key(value, |text| (lookup.is)(&example, text)).unwrap_or(false);
        let equal = |name: &String| members.get(name).is_some_and(is_key);
        match &mut names {
            None => names = Some(members.keys().filter(|name| equal(name)).cloned().collect()),
            Some(names) => names.retain(equal),
        }
    }
    names.filter(|names| names.len() == 1).and_then(|mut names| names.pop())
}

/// The name that the field most likely has, of those that `T` asks for: the only one of its type, or else one
/// that differs from the field's own in case and separators only.
fn chosen<T: Value>(lookup: &Lookup<T>) -> Option<String> {
    let (spelled, of) = (lookup.spelled, (lookup.member)(None).type_name);
    let named = members(|probe| drop(T::deserialize(probe)));
    let plain = |name: &str| name.replace(['_', '-'], "").to_lowercase();
    let of_type: Vec<_> = named.iter().filter(|(_, found)| *found == Some(of)).collect();
    let alike: Vec<_> = named.iter().filter(|(name, _)| plain(name) == plain(spelled)).collect();
    match (&of_type[..], &alike[..]) {
        ([(name, _)], _) | (_, [(name, _)]) => Some((*name).to_owned()),
        _ => None,
    }
}

/// How a search ends.
#[derive(Debug)]
enum Found {
    Name(String),
    Nothing,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the search has ended")
    }
}

impl std::error::Error for Found {}

impl ser::Error for Found {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self::Nothing
    }
}

/// A serializer that looks for the member of an object whose value is `field`.
struct Search {
    field: Member,
    /// The name of the member that is being written.
    name: Option<String>,
}

impl Search {
    fn look<T: ?Sized>(&self, name: &str, value: &T) -> Result<(), Found> {
        if self.field.is(value) { Err(Found::Name(name.to_owned())) } else { Ok(()) }
    }
}

macro_rules! nothing {
    ($($method:ident($($type:ty),*) -> $result:ty;)*) => {$(
        fn $method(self, $(_: $type),*) -> Result<$result, Found> {
            Err(Found::Nothing)
        }
    )*};
}

impl Serializer for Search {
    type Ok = ();
    type Error = Found;
    type SerializeSeq = Impossible<(), Found>;
    type SerializeTuple = Impossible<(), Found>;
    type SerializeTupleStruct = Impossible<(), Found>;
    type SerializeTupleVariant = Impossible<(), Found>;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), Found>;

    nothing! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_i128(i128) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_u128(u128) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_str(&str) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Found> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), Found> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _value: &T,
    ) -> Result<(), Found> {
        Err(Found::Nothing)
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Self, Found> {
        Ok(self)
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Self, Found> {
        Ok(self)
    }
}

impl ser::SerializeStruct for Search {
    type Ok = ();
    type Error = Found;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Found> {
        self.look(name, value)
    }

    fn end(self) -> Result<(), Found> {
        Err(Found::Nothing)
    }
}

impl ser::SerializeMap for Search {
    type Ok = ();
    type Error = Found;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Found> {
        self.name = with_key(key, str::to_owned).map_err(|NotAKey(_)| Found::Nothing)?.into();
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Found> {
        match self.name.take() {
            Some(name) => self.look(&name, value),
            None => Err(Found::Nothing),
        }
    }

    fn end(self) -> Result<(), Found> {
        Err(Found::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    macro_rules! name_of {
        ($item:ty, $key:ident) => {{
            enum Here {}
            member_name::<Here, $item>(&Lookup {
                spelled: stringify!($key),
                member: |item| Member::of(item, |item: &$item| &item.$key),
                is: |item, text| with_key(&item.$key, |key| key == text).unwrap_or(false),
            })
        }};
    }

    #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
    #[serde(rename_all = "camelCase")]
    struct Renamed {
        other_id: u32,
        #[serde(rename = "_id")]
        card_id: u32,
        last_one: u32,
        due: Date,
        seen: std::net::IpAddr,
    }

    #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
    #[serde(try_from = "String", into = "String")]
    struct Date(String);

    impl TryFrom<String> for Date {
        type Error = &'static str;
        fn try_from(text: String) -> Result<Self, Self::Error> {
            let is_date = text.len() == 10 && text.matches('-').count() == 2;
            if is_date { Ok(Self(text)) } else { Err("no date") }
        }
    }

    impl From<Date> for String {
        fn from(date: Date) -> Self {
            date.0
        }
    }

    #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
    #[serde(rename_all(serialize = "SCREAMING-KEBAB-CASE", deserialize = "snake_case"))]
    struct TwoNames {
        #[serde(alias = "AN-ID")]
        an_id: bool,
        a: bool,
        b: bool,
        c: bool,
    }

    #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
    struct Flat {
        #[serde(flatten)]
        rest: Renamed,
        #[serde(rename = "key")]
        name: u32,
        #[serde(flatten)]
        more: BTreeMap<String, u32>,
    }

    /// Writes copies of its fields.
    #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
    #[serde(from = "Form", into = "Form")]
    struct Copied {
        on: bool,
        off: bool,
        seat: Seat,
    }

    #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
    #[serde(rename_all = "UPPERCASE")]
    struct Form {
        a: bool,
        b: bool,
        seat: Seat,
    }

    #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
    enum Seat {
        North,
        East { of: Option<Box<Self>> },
    }

    impl From<Form> for Copied {
        fn from(Form { a, b, seat }: Form) -> Self {
            Self { on: b, off: a, seat }
        }
    }

    impl From<Copied> for Form {
        fn from(Copied { on, off, seat }: Copied) -> Self {
            Self { a: off, b: on, seat }
        }
    }

    /// Accepts no example.
    #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
    #[serde(rename_all = "camelCase")]
    struct Never {
        first_id: u16,
        second_id: u16,
        of_a_type: String,
        none: Closed,
    }

    #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
    enum Closed {}

    /// Contains itself many times over.
    #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
    struct Wide {
        a: Option<Box<Self>>,
        b: Option<Box<Self>>,
        c: Option<Box<Self>>,
        d: Vec<Self>,
        e: Vec<Self>,
        f: Vec<Branch>,
        g: Vec<Branch>,
        #[serde(rename = "_id")]
        id: u8,
    }

    #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
    enum Branch {
        Two(Box<Self>, Box<Self>),
        Three(Box<Self>, Box<Self>, Box<Self>),
        Wide(Box<Wide>),
        Leaf,
    }

    #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
    struct Raw {
        r#type: u8,
    }

    #[test]
    fn a_member_has_the_name_that_serde_gives_it() {
        assert_eq!(name_of!(Renamed, card_id), "_id");
        assert_eq!(name_of!(Renamed, other_id), "otherId");
        assert_eq!(name_of!(Renamed, due), "due");
        assert_eq!(name_of!(Renamed, seen), "seen");
        assert_eq!(name_of!(TwoNames, an_id), "AN-ID");
        assert_eq!(name_of!(TwoNames, c), "C");
        assert_eq!(name_of!(Flat, name), "key");
        assert_eq!(name_of!(Raw, r#type), "type");
        assert_eq!(name_of!(Wide, id), "_id");
    }

    #[test]
    fn a_member_that_is_a_copy_is_found_by_its_values() {
        assert_eq!(name_of!(Copied, on), "B");
        assert_eq!(name_of!(Copied, off), "A");
    }

    #[test]
    fn a_type_without_an_example_is_asked_for_names_and_types() {
        assert_eq!(name_of!(Never, second_id), "secondId");
        assert_eq!(name_of!(Never, of_a_type), "ofAType");
    }
}
