//! `#[shared(garde)]`: the rules are those of the struct's own `garde::Validate`, not of its `shared`
//! attributes.

use crate::core::rules::Invalid;

/// What `#[shared(garde)]` needs: the feature `garde`, and a struct that derives `garde::Validate` with a
/// context that implements `Default`.
#[cfg_attr(
    not(feature = "garde"),
    diagnostic::on_unimplemented(
        message = "`#[shared(garde)]` is behind a feature",
        label = "the feature `garde` of `shared-state` is off",
        note = "write `features = [\"garde\"]` at `shared-state` in `Cargo.toml`"
    )
)]
#[cfg_attr(
    feature = "garde",
    diagnostic::on_unimplemented(
        message = "`{Self}` has no rules of the crate `garde`",
        label = "does not derive `garde::Validate`",
        note = "write `#[derive(garde::Validate)]` above the struct, or put rules on its fields with \
                `#[shared(validate(..))]`; the context of the rules needs a `Default`"
    )
)]
pub trait Garde {
    /// The first error that garde reports: the field's path as garde writes it, and the message.
    fn first_error(&self) -> Option<(String, String)>;
}

#[cfg(feature = "garde")]
impl<T: garde::Validate<Context: Default>> Garde for T {
    fn first_error(&self) -> Option<(String, String)> {
        let report = self.validate().err()?;
        report.iter().next().map(|(path, error)| (path.to_string(), error.message().to_owned()))
    }
}

/// Validates the whole state with garde. `wire` maps a field's name in the struct to its name on the wire.
///
/// # Errors
/// The first error that garde reports, at its field.
pub fn garde<T: Garde>(value: &T, wire: fn(&str) -> &str) -> Result<(), Invalid> {
    let Some((path, message)) = value.first_error() else { return Ok(()) };
    let (field, inside) = path.split_at(path.find(['.', '[']).unwrap_or(path.len()));
    let invalid = Invalid { field: slashed(inside), rule: "garde", message };
    Err(if field.is_empty() { invalid } else { invalid.in_field(wire(field)) })
}

/// Converts the rest of a path from garde's form, `[0].text`, to this crate's, `0/text`.
fn slashed(path: &str) -> String {
    path.trim_start_matches(['.', '['])
        .replace("].", "/")
        .replace("][", "/")
        .replace(['.', '['], "/")
        .replace(']', "")
}

/// Without the feature, the attribute is a compile error of its own.
///
/// ```compile_fail,E0277
/// #[derive(Clone, serde::Serialize, serde::Deserialize, shared_state::SharedState)]
/// #[shared(garde)]
/// struct Document {
///     title: String,
/// }
/// ```
#[cfg(all(doctest, feature = "derive", not(feature = "garde")))]
struct FeatureIsOff;

#[cfg(test)]
mod tests {
    use super::slashed;

    #[test]
    fn paths_are_written_with_slashes() {
        for (path, expected) in [
            ("", ""),
            (".columns", "columns"),
            ("[0]", "0"),
            ("[0].text", "0/text"),
            (".rows[1][2].text", "rows/1/2/text"),
        ] {
            assert_eq!(slashed(path), expected, "{path}");
        }
    }
}
