//! `#[shared(garde)]`: the struct's own `garde::Validate` in the place of rules in its attributes.

use crate::core::rules::Invalid;

/// What `#[shared(garde)]` needs: the feature `garde`, and a struct that derives `garde::Validate` with a context that
/// has a default.
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
    /// The first error that garde reports: the path of the field, and the message.
    fn first_error(&self) -> Option<(String, String)>;
}

#[cfg(feature = "garde")]
impl<T: garde::Validate<Context: Default>> Garde for T {
    fn first_error(&self) -> Option<(String, String)> {
        let report = self.validate().err()?;
        report.iter().next().map(|(path, error)| (path.to_string(), error.message().to_owned()))
    }
}

/// Asks garde about the whole state; `wire` gives a field its name on the wire.
///
/// # Errors
/// The first error that garde reports, at its field.
pub fn garde<T: Garde>(value: &T, wire: fn(&str) -> &str) -> Result<(), Invalid> {
    let Some((path, message)) = value.first_error() else { return Ok(()) };
    let (field, inside) = path.split_at(path.find(['.', '[']).unwrap_or(path.len()));
    let invalid = Invalid { field: slashed(inside), rule: "garde", message };
    Err(if field.is_empty() { invalid } else { invalid.in_field(wire(field)) })
}

/// `[0].text`, as garde writes the rest of a path, as `0/text`.
fn slashed(path: &str) -> String {
    path.trim_start_matches(['.', '['])
        .replace("].", "/")
        .replace("][", "/")
        .replace(['.', '['], "/")
        .replace(']', "")
}

/// Without the feature it is an error of its own.
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
