//! `validate(email)` and `validate(url)`. Each relies on a crate for that purpose and is behind a feature of
//! its own.

use crate::core::rules::{Invalid, Textual};

/// What `validate(email)` needs: the feature `email`.
#[diagnostic::on_unimplemented(
    message = "`validate(email)` is behind a feature",
    label = "the feature `email` of `shared-state` is off",
    note = "write `features = [\"email\"]` at `shared-state` in `Cargo.toml`"
)]
pub trait EmailFeature {}

/// What `validate(url)` needs: the feature `url`.
#[diagnostic::on_unimplemented(
    message = "`validate(url)` is behind a feature",
    label = "the feature `url` of `shared-state` is off",
    note = "write `features = [\"url\"]` at `shared-state` in `Cargo.toml`"
)]
pub trait UrlFeature {}

#[cfg(feature = "email")]
impl<T: ?Sized> EmailFeature for T {}

#[cfg(feature = "url")]
impl<T: ?Sized> UrlFeature for T {}

/// `validate(email)`: an address by RFC 5321 and 5322, without a display name or a domain literal, and with a
/// domain of at least two parts. The crate `email_address` checks it.
///
/// # Errors
/// The string is not such an address.
pub fn email<T: Textual + EmailFeature>(value: &T) -> Result<(), Invalid> {
    #[cfg(feature = "email")]
    if let Some(text) = value.text() {
        let strict = email_address::Options::default()
            .with_required_tld()
            .without_domain_literal()
            .without_display_text();
        if let Err(error) = email_address::EmailAddress::parse_with_options(text, strict) {
            return Err(Invalid::new("email", format!("expected an email address: {error}")));
        }
    }
    let _ = value;
    Ok(())
}

/// `validate(url)`: an absolute URL as browsers read it (the WHATWG standard). The crate `url` checks it.
///
/// # Errors
/// The string is not such a URL.
pub fn url<T: Textual + UrlFeature>(value: &T) -> Result<(), Invalid> {
    #[cfg(feature = "url")]
    if let Some(text) = value.text()
        && let Err(error) = url::Url::parse(text)
    {
        return Err(Invalid::new("url", format!("expected a URL: {error}")));
    }
    let _ = value;
    Ok(())
}
