use serde::{Deserialize, Serialize};
use shared_state::SharedState;

fn by_value(_: u8) -> Result<(), String> {
    Ok(())
}

fn text_by_value(_: String) -> Result<(), String> {
    Ok(())
}

fn says_bool(_: &u8) -> bool {
    true
}

fn says_nothing(_: &u8) {}

fn no_display(_: &u8) -> Result<(), ()> {
    Ok(())
}

fn two(_: &u8, _: &u8) -> Result<(), String> {
    Ok(())
}

fn none() -> Result<(), String> {
    Ok(())
}

fn parsed(_: &u8) -> Result<u8, String> {
    Ok(0)
}

fn of_items(_: &String) -> Result<(), String> {
    Ok(())
}

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(validate(custom = by_value))]
    a: u8,
    #[shared(validate(custom = text_by_value))]
    b: String,
    #[shared(validate(custom = says_bool))]
    c: u8,
    #[shared(validate(custom = says_nothing))]
    d: u8,
    #[shared(validate(custom = no_display))]
    e: u8,
    #[shared(validate(custom = two))]
    f: u8,
    #[shared(validate(custom = none))]
    g: u8,
    #[shared(validate(custom = parsed))]
    h: u8,
    #[shared(validate(custom = of_items))]
    i: Vec<String>,
    #[shared(validate(inner(custom = text_by_value)))]
    j: Vec<String>,
    #[shared(validate(custom = Self::method))]
    k: u8,
}

impl Document {
    fn method(&self) -> Result<(), String> {
        Ok(())
    }
}

fn main() {}
