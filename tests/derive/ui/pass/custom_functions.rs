//! Functions of rules that take what a reference to the value coerces to, or anything with some trait.
#![deny(warnings)]
#![allow(dead_code, clippy::box_collection)]

use std::fmt::{Debug, Display};
use std::ops::Deref;

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
#[shared(validate = inside, validate_change = grows, version = 2, migrate = older)]
struct Document {
    #[shared(validate(custom = text))]
    title: String,
    #[shared(validate(custom = generic))]
    body: String,
    #[shared(validate(custom = generic::<u8>))]
    exact: u8,
    #[shared(validate(custom = by_value))]
    name: String,
    #[shared(validate(custom = of_some_type))]
    unit: u16,
    #[shared(validate(custom = object))]
    size: u8,
    #[shared(validate(custom = slice, inner(custom = text)))]
    parts: Vec<String>,
    #[shared(validate(custom = slice))]
    array: [String; 2],
    #[shared(validate(custom = text))]
    boxed: Box<String>,
    #[shared(validate(custom = POINTER))]
    pointer: String,
    #[shared(validate(custom = Inside::method))]
    method: Inside,
    #[shared(validate(custom = Checked::checked))]
    by_trait: Inside,
    inside: Inside,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Inside(u8);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
#[shared(validate = Self::check)]
struct Around<T> {
    #[shared(validate(custom = Self::one))]
    value: T,
    #[shared(validate(custom = generic))]
    other: Option<T>,
}

impl<T: Debug> Around<T> {
    fn check(&self) -> Result<(), String> {
        Err(format!("{:?}", self.value))
    }

    fn one(_: &T) -> Result<(), String> {
        Ok(())
    }
}

impl Deref for Document {
    type Target = Inside;

    fn deref(&self) -> &Inside {
        &self.inside
    }
}

impl Inside {
    fn method(&self) -> Result<(), &'static str> {
        Ok(())
    }
}

trait Checked {
    type Error: Display;

    fn checked(&self) -> Result<(), Self::Error>;
}

impl Checked for Inside {
    type Error = u8;

    fn checked(&self) -> Result<(), u8> {
        if self.0 < 9 { Ok(()) } else { Err(self.0) }
    }
}

const POINTER: fn(&str) -> Result<(), &'static str> = text;

fn text(text: &str) -> Result<(), &'static str> {
    if text.is_empty() { Err("empty") } else { Ok(()) }
}

fn generic<T: Debug>(_: &T) -> Result<(), String> {
    Ok(())
}

fn by_value(text: impl AsRef<str>) -> Result<(), Box<dyn std::error::Error>> {
    self::text(text.as_ref()).map_err(Into::into)
}

fn of_some_type<T: Copy + Into<u32>>(value: &T) -> Result<(), std::fmt::Error> {
    if (*value).into() < 9 { Ok(()) } else { Err(std::fmt::Error) }
}

fn object(value: &dyn Display) -> Result<(), String> {
    Err(value.to_string())
}

fn slice(parts: &[String]) -> Result<(), &str> {
    parts.first().map_or(Ok(()), |part| Err(part))
}

fn inside(inside: &Inside) -> Result<(), String> {
    inside.checked().map_err(|error| error.to_string())
}

fn grows<S: Deref<Target = Inside>>(before: &S, after: &S, _: &shared_state::Author) -> Result<(), String> {
    if before.0 <= after.0 { Ok(()) } else { Err("it only grows".to_owned()) }
}

fn older(_: u32, state: serde_json::Value) -> serde_json::Result<serde_json::Value> {
    Ok(state)
}

pub fn main() {
    let document = Document {
        title: "a".into(),
        body: String::new(),
        exact: 0,
        name: "a".into(),
        unit: 1,
        size: 0,
        parts: vec![],
        array: [String::new(), String::new()],
        boxed: Box::new("a".to_owned()),
        pointer: "a".into(),
        method: Inside(0),
        by_trait: Inside(0),
        inside: Inside(9),
    };
    let message =
        |outcome: Result<(), shared_state::Invalid>| outcome.err().map(|invalid| invalid.to_string());
    assert_eq!(message(document.check(&Document::SIZE.set(7))).as_deref(), Some("size: 0"));
    let parts = Document { parts: vec!["a".to_owned()], ..document.clone() };
    assert_eq!(message(parts.check(&Document::PARTS.set(vec![]))).as_deref(), Some("parts: a"));
    let empty = Document { pointer: String::new(), ..document.clone() };
    assert_eq!(
        message(empty.check(&Document::POINTER.set(String::new()))).as_deref(),
        Some("pointer: empty")
    );
    assert_eq!(message(document.check_rule()).as_deref(), Some("9"));
    let around = Around { value: 1_u8, other: None };
    assert_eq!(message(around.check_rule()).as_deref(), Some("1"));
}
