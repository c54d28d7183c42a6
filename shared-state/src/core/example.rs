//! Makes an example of a type by letting the type deserialize itself.
//!
//! A [`MadeUp`] is a deserializer without data. It answers each question with the first of several answers:
//! for a string a word, then a UUID, a date and so on. If the type refuses what it was told, it is asked
//! again, with the next answer to the last question. A map is first empty; a name that the type misses is in
//! it at the next attempt.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::value::{StrDeserializer, StringDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

/// The number of attempts at one example.
const ATTEMPTS: usize = 1_000;

/// The depth below which an option is `None` and a list is empty, so that a type that contains itself ends.
const DEPTH: usize = 12;

/// The number of questions after which the same is true: a type may contain itself many times over.
const QUESTIONS: usize = 500;

/// An example of `T`. `None` if none could be made. Two parts of the same type, for example two bools, that
/// are equal in the example of one round differ in that of another: the number of a question is shifted right
/// by `round`.
pub(crate) fn example<T: DeserializeOwned>(round: u32) -> Option<T> {
    let attempt = RefCell::new(Attempt { round, ..Attempt::default() });
    for _ in 0..ATTEMPTS {
        let error = match T::deserialize(MadeUp { attempt: &attempt, depth: 0 }) {
            Ok(example) => return Some(example),
            Err(error) => error,
        };
        let mut attempt = attempt.borrow_mut();
        let asked = std::mem::take(&mut attempt.asked);
        attempt.maps = 0;
        if error.is_solved {
            continue;
        }
        // The next combination of answers: the last question's next answer, or else that of the one before.
        attempt.answers.truncate(asked);
        while let Some(answer) = attempt.answers.pop() {
            if answer.index + 1 < answer.count {
                attempt.answers.push(Answer { index: answer.index + 1, ..answer });
                break;
            }
        }
        if attempt.answers.is_empty() {
            return None;
        }
    }
    None
}

#[derive(Default)]
struct Attempt {
    round: u32,
    /// The answers so far, in the order of the questions.
    answers: Vec<Answer>,
    /// The number of questions in this attempt.
    asked: usize,
    /// The number of maps in this attempt.
    maps: usize,
    /// The names that a map has to have, by its number.
    names: BTreeMap<usize, Vec<&'static str>>,
    /// The names that a struct does not take, by its number: other names of a field that it had already.
    unwanted: BTreeMap<usize, BTreeSet<&'static str>>,
}

#[derive(Clone, Copy)]
struct Answer {
    index: usize,
    count: usize,
}

/// The error of an attempt.
#[derive(Debug, Default)]
struct Refused {
    /// The name of which there is none, or one too many.
    missing: Option<&'static str>,
    duplicate: bool,
    /// The next attempt will be another already.
    is_solved: bool,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no example")
    }
}

impl std::error::Error for Refused {}

impl Error for Refused {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::default()
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field), ..Self::default() }
    }

    fn duplicate_field(_: &'static str) -> Self {
        Self { duplicate: true, ..Self::default() }
    }
}

/// A deserializer that answers what it is asked.
#[derive(Clone, Copy)]
struct MadeUp<'a> {
    attempt: &'a RefCell<Attempt>,
    depth: usize,
}

impl MadeUp<'_> {
    /// A number that is the question's own in at least one round, and the index of the answer, one of `count`.
    fn answer(self, count: usize) -> (usize, usize) {
        let mut attempt = self.attempt.borrow_mut();
        let asked = attempt.asked;
        attempt.asked += 1;
        if asked >= attempt.answers.len() {
            attempt.answers.push(Answer { index: 0, count });
        }
        (asked.checked_shr(attempt.round).unwrap_or(0), attempt.answers[asked].index)
    }

    /// One of `count` choices that all suit the type.
    fn choice(self, count: usize) -> Result<usize, Refused> {
        let (number, index) = self.answer(count);
        (number + index).checked_rem(count).ok_or_else(Refused::default)
    }

    fn is_deep(self) -> bool {
        self.depth >= DEPTH || self.attempt.borrow().asked > QUESTIONS
    }

    fn inside(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    /// A number that is most likely different from the others.
    fn number(self) -> u8 {
        let (number, index) = self.answer(3);
        let distinct = u8::try_from(number % 100 + 1).unwrap_or(1);
        [distinct, 1, 0][index.min(2)]
    }

    fn text(self) -> String {
        const FORMS: usize = 24;
        let (number, index) = self.answer(FORMS);
        let n = number % 28 + 1;
        match index {
            0 => format!("word{number}"),
            1 => format!("00000000-0000-4000-8000-{n:012}"),
            2 => format!("2000-01-01T00:00:{n:02}Z"),
            3 => format!("2000-01-{n:02}"),
            4 => format!("00:00:{n:02}"),
            5 => format!("2000-01-01T00:00:{n:02}"),
            6 => format!("https://example.com/{n}"),
            7 => format!("a{n}@example.com"),
            8 => format!("127.0.0.{n}"),
            9 => format!("::{n}"),
            10 => format!("127.0.0.1:{n}"),
            11 => n.to_string(),
            12 => format!("{n:024x}"),
            13 => format!("{n:026}"),
            14 => format!("1.0.{n}"),
            15 => format!("#0000{n:02}"),
            16 => format!("{n:032x}"),
            17 => "a".to_owned(),
            18 => "A".to_owned(),
            19 => "EUR".to_owned(),
            20 => "en".to_owned(),
            21 => "AAAA".to_owned(),
            22 => "UTC".to_owned(),
            _ => String::new(),
        }
    }

    /// Calls `read` with the number of a map, and notes the names that the map should have had, or not.
    fn map<R>(self, read: impl FnOnce(usize) -> Result<R, Refused>) -> Result<R, Refused> {
        let number = self.attempt.borrow().maps;
        self.attempt.borrow_mut().maps += 1;
        read(number).map_err(|error| match error.missing {
            Some(name) => {
                let mut attempt = self.attempt.borrow_mut();
                let names = attempt.names.entry(number).or_default();
                let is_new = !names.contains(&name);
                names.push(name);
                Refused { is_solved: is_new, ..Refused::default() }
            }
            None => error,
        })
    }

    fn members<'de, V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.map(|number| {
            let attempt = self.attempt.borrow();
            let unwanted = attempt.unwanted.get(&number);
            let names =
                fields.iter().filter(|name| unwanted.is_none_or(|unwanted| !unwanted.contains(*name)));
            let names: Vec<_> = names.copied().collect();
            drop(attempt);
            let mut members = Members { made_up: self.inside(), names, next: 0 };
            visitor.visit_map(&mut members).map_err(|error| match members.next.checked_sub(1) {
                Some(last) if error.duplicate => {
                    let name = members.names[last];
                    let is_new = self.attempt.borrow_mut().unwanted.entry(number).or_default().insert(name);
                    Refused { is_solved: is_new, ..Refused::default() }
                }
                _ => error,
            })
        })
    }

    fn entries<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.map(|number| {
            let names = self.attempt.borrow().names.get(&number).cloned().unwrap_or_default();
            visitor.visit_map(&mut Members { made_up: self.inside(), names, next: 0 })
        })
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
            visitor.$visit(self.number().into())
        }
    )*};
}

impl<'de> Deserializer<'de> for MadeUp<'_> {
    type Error = Refused;

    numbers! {
        deserialize_i16 visit_i16
        deserialize_i32 visit_i32
        deserialize_i64 visit_i64
        deserialize_i128 visit_i128
        deserialize_u8 visit_u8
        deserialize_u16 visit_u16
        deserialize_u32 visit_u32
        deserialize_u64 visit_u64
        deserialize_u128 visit_u128
        deserialize_f32 visit_f32
        deserialize_f64 visit_f64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        let (_, index) = self.answer(6);
        match index {
            0 => visitor.visit_string(self.text()),
            1 => visitor.visit_u64(self.number().into()),
            2 => visitor.visit_bool(self.choice(2)? == 1),
            3 => visitor.visit_unit(),
            4 => visitor.visit_seq(Items { made_up: self.inside(), left: 0 }),
            _ => self.entries(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_bool(self.choice(2)? == 1)
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_i8(i8::try_from(self.number()).unwrap_or(1))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        let (number, _) = self.answer(1);
        visitor.visit_char(u32::try_from(number).ok().and_then(|n| char::from_u32(0x61 + n)).unwrap_or('a'))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_string(self.text())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        let (number, index) = self.answer(4);
        let number = u8::try_from(number).unwrap_or(0);
        visitor.visit_bytes(&[number; 32][..[8, 16, 32, 12][index.min(3)]])
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        let (_, index) = self.answer(2);
        match index == 0 && !self.is_deep() {
            true => visitor.visit_some(self.inside()),
            false => visitor.visit_none(),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self.inside())
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        let (_, index) = self.answer(2);
        visitor.visit_seq(Items { made_up: self.inside(), left: usize::from(index == 0 && !self.is_deep()) })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_seq(Items { made_up: self.inside(), left: len })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.entries(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.members(fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        // There may be no end in a variant that contains the enum.
        if self.depth > 2 * DEPTH || self.attempt.borrow().asked > 2 * QUESTIONS {
            return Err(Refused::default());
        }
        let variant = variants[self.choice(variants.len())?];
        visitor.visit_enum(Variant { made_up: self.inside(), variant })
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_unit()
    }
}

struct Items<'a> {
    made_up: MadeUp<'a>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refused> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(self.made_up).map(Some)
    }
}

struct Members<'a> {
    made_up: MadeUp<'a>,
    names: Vec<&'static str>,
    next: usize,
}

impl<'de> MapAccess<'de> for &mut Members<'_> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refused> {
        let Some(name) = self.names.get(self.next) else { return Ok(None) };
        self.next += 1;
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refused> {
        seed.deserialize(self.made_up)
    }
}

struct Variant<'a> {
    made_up: MadeUp<'a>,
    variant: &'static str,
}

impl<'a, 'de> EnumAccess<'de> for Variant<'a> {
    type Error = Refused;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Refused> {
        let name: StringDeserializer<Refused> = StringDeserializer::new(self.variant.to_owned());
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Refused;

    fn unit_variant(self) -> Result<(), Refused> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refused> {
        seed.deserialize(self.made_up)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Refused> {
        self.made_up.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.made_up.members(fields, visitor)
    }
}
