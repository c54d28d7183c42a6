//! Arithmetic on JSON numbers for counters whose type is known only by its name in a shape.

use serde_json::value::RawValue;

/// A JSON number: an exact integer or a float.
enum Number {
    Integer(i128),
    Float(f64),
}

fn number(json: &str) -> Option<Number> {
    match json.parse() {
        Ok(integer) => Some(Number::Integer(integer)),
        Err(_) => serde_json::from_str(json).ok().map(Number::Float),
    }
}

/// The smallest and the largest value of an integer type; for any other shape, those of `i64`.
fn bounds(shape: &str) -> (i128, i128) {
    match shape {
        "i8" => (i8::MIN.into(), i8::MAX.into()),
        "i16" => (i16::MIN.into(), i16::MAX.into()),
        "i32" => (i32::MIN.into(), i32::MAX.into()),
        "u8" => (0, u8::MAX.into()),
        "u16" => (0, u16::MAX.into()),
        "u32" => (0, u32::MAX.into()),
        "u64" => (0, u64::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    }
}

/// Whether a JSON number is a value that a counter of this shape can have, or be increased or decreased by.
pub(super) fn counts(json: &str, shape: &str) -> bool {
    match number(json) {
        Some(Number::Integer(integer)) if !shape.starts_with('f') => {
            let (least, most) = bounds(shape);
            (least..=most).contains(&integer)
        }
        Some(Number::Integer(_)) => true,
        Some(Number::Float(float)) => shape.starts_with('f') && float.is_finite(),
        None => false,
    }
}

/// Whether an addition or subtraction by `by` led nowhere from `before`, because that is the bound of its type.
pub(super) fn is_at_bound(before: &str, result: &str, by: &str, shape: &str) -> bool {
    let is_zero = match number(by) {
        Some(Number::Integer(by)) => by == 0,
        Some(Number::Float(by)) => by == 0.0,
        None => true,
    };
    if is_zero {
        return false;
    }
    match (number(before), number(result)) {
        (Some(Number::Integer(before)), Some(Number::Integer(result))) => before == result,
        // A float between its bounds may be too large for a small number to change it. That is rounding.
        #[allow(clippy::cast_possible_truncation, clippy::float_cmp)] // equal, and not near
        (Some(Number::Float(before)), Some(Number::Float(result))) => match shape {
            "f32" => before as f32 == result as f32 && (before as f32).abs() == f32::MAX,
            _ => before == result && before.abs() == f64::MAX,
        },
        _ => false,
    }
}

/// Whether an operation is one that changes a counter by a number.
pub(super) fn is_arithmetic(op: Option<&str>) -> bool {
    matches!(op, Some("add" | "sub"))
}

/// The result of `op`, which [is arithmetic](is_arithmetic), on two JSON numbers for a counter of this shape, as
/// [`Counter`](crate::merge::Counter) computes it: integers saturate at the bounds of their type, floats at the
/// largest finite value. `None` if one is not a number.
pub(super) fn computed(before: &str, op: &str, by: &str, shape: &str) -> Option<Box<RawValue>> {
    let subtracts = op == "sub";
    let float = |number| match number {
        #[allow(clippy::cast_precision_loss)]
        Number::Integer(integer) => integer as f64,
        Number::Float(float) => float,
    };
    let (before, by) = (number(before)?, number(by)?);
    let text = match (before, by) {
        (Number::Integer(before), Number::Integer(by)) if !shape.starts_with('f') => {
            let (least, most) = bounds(shape);
            let exact = if subtracts { before.saturating_sub(by) } else { before.saturating_add(by) };
            exact.clamp(least, most).to_string()
        }
        (before, by) if shape == "f32" => {
            #[allow(clippy::cast_possible_truncation)]
            let (before, by) = (float(before) as f32, float(by) as f32);
            let result = if subtracts { before - by } else { before + by };
            serde_json::to_string(&result.clamp(f32::MIN, f32::MAX)).ok()?
        }
        (before, by) => {
            let (before, by) = (float(before), float(by));
            let result = if subtracts { before - by } else { before + by };
            serde_json::to_string(&result.clamp(f64::MIN, f64::MAX)).ok()?
        }
    };
    RawValue::from_string(text).ok()
}
