//! Room passwords, hashed by [Argon2id](https://www.rfc-editor.org/rfc/rfc9106). Hashing is slow on purpose, so the
//! caller of [`PasswordHash::is_of`] runs it on a thread for blocking work.

/// The longest password that is hashed, in bytes.
const MAX_LENGTH: usize = 1024;

#[cfg(feature = "password")]
pub use with_argon2::{PasswordError, PasswordHash};

#[cfg(feature = "password")]
mod with_argon2 {
    use std::fmt;
    use std::sync::{Arc, OnceLock};

    use argon2::Argon2;
    use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc};

    use crate::server::membership::known_password::KnownPassword;

    /// The hash of a password, with its salt and cost parameters, as in the PHC string format (`$argon2id$v=19$...`).
    /// Cheap to clone.
    ///
    /// A hash that was made [of](Self::of) its password, and its clones, know the password by a fast hash that is never
    /// written, so that everybody's password is checked at once. A hash that was [parsed](Self::parse), and its clones,
    /// learn it when somebody gives the right one.
    #[derive(Clone)]
    pub struct PasswordHash(Arc<Hashed>);

    struct Hashed {
        hash: phc::PasswordHash,
        /// The password, once it is known.
        known: OnceLock<KnownPassword>,
    }

    /// A password could not be hashed, or a text is not a hash.
    #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
    #[non_exhaustive]
    pub enum PasswordError {
        /// The password is empty or longer than 1,024 bytes.
        #[error("a password has 1 to {} bytes, found {found}", super::MAX_LENGTH)]
        Length {
            /// The password's length, in bytes.
            found: usize,
        },
        /// The system has no randomness for the salt, or not enough memory.
        #[error("the password cannot be hashed: {message}")]
        Hash {
            /// What happened.
            message: String,
        },
        /// The text is not an Argon2 hash in the PHC string format.
        #[error("expected a hash like `$argon2id$v=19$...`: {message}")]
        Format {
            /// What was expected and found.
            message: String,
        },
    }

    impl PasswordHash {
        /// Hashes a password with a random salt, by Argon2id with 19 MiB of memory and two passes.
        ///
        /// Takes tens of milliseconds and does not yield: in async code, store the hash rather than the password, or
        /// hash with `spawn_blocking`.
        ///
        /// # Errors
        /// [`PasswordError::Length`] if the password is empty or longer than 1,024 bytes, [`PasswordError::Hash`] if
        /// the system has no randomness.
        pub fn of(password: &str) -> Result<Self, PasswordError> {
            if password.is_empty() || password.len() > super::MAX_LENGTH {
                return Err(PasswordError::Length { found: password.len() });
            }
            let hash = Argon2::default().hash_password(password.as_bytes());
            let hash = hash.map_err(|error| PasswordError::Hash { message: error.to_string() })?;
            let known = KnownPassword::new(password).map_or_else(OnceLock::new, OnceLock::from);
            Ok(Self(Arc::new(Hashed { hash, known })))
        }

        /// Reads a hash in the PHC string format, as [`Display`](fmt::Display) writes it, or as another program made
        /// it.
        ///
        /// # Errors
        /// [`PasswordError::Format`] if the text is not an Argon2 hash.
        pub fn parse(hash: &str) -> Result<Self, PasswordError> {
            let wrong = |message: String| PasswordError::Format { message };
            let parsed = phc::PasswordHash::new(hash).map_err(|error| wrong(error.to_string()))?;
            if !parsed.algorithm.as_str().starts_with("argon2") {
                return Err(wrong(format!("found one of `{}`", parsed.algorithm)));
            }
            Ok(Self(Arc::new(Hashed { hash: parsed, known: OnceLock::new() })))
        }

        /// Whether this is the password; `None` if the password is not known yet, so that it takes
        /// [`is_of`](Self::is_of) to find out. Fast, and in constant time.
        pub(in crate::server) fn is_known(&self, password: &str) -> Option<bool> {
            self.0.known.get().map(|known| known.is(password))
        }

        /// Whether this is the password, which is known then. As slow as [`of`](Self::of); compares the hashes in
        /// constant time.
        pub(in crate::server) fn is_of(&self, password: &str) -> bool {
            let is_right = password.len() <= super::MAX_LENGTH
                && Argon2::default().verify_password(password.as_bytes(), &self.0.hash).is_ok();
            if is_right && let Some(known) = KnownPassword::new(password) {
                // Another thread may have found it out at the same time.
                let _ = self.0.known.set(known);
            }
            is_right
        }
    }

    /// The PHC string, to be stored.
    impl fmt::Display for PasswordHash {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.hash.fmt(f)
        }
    }

    impl fmt::Debug for PasswordHash {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("PasswordHash(..)")
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_hash_is_of_its_password_and_no_other_also_when_it_was_kept() {
            let hash = PasswordHash::of("open sesame").unwrap();
            let kept = PasswordHash::parse(&hash.to_string()).unwrap();
            assert_eq!((hash.is_known("open sesame"), kept.is_known("open sesame")), (Some(true), None));
            for hash in [hash, kept] {
                assert!(hash.is_of("open sesame"));
                assert!(!hash.is_of("open") && !hash.is_of("") && !hash.is_of("open sesame "));
                assert_eq!(hash.is_known("open sesame"), Some(true));
                assert_eq!(hash.is_known("open"), Some(false));
            }
            assert!(matches!(PasswordHash::of(""), Err(PasswordError::Length { found: 0 })));
            assert!(PasswordHash::of(&"x".repeat(1025)).is_err());
            assert!(PasswordHash::parse("open sesame").is_err());
            assert!(PasswordHash::parse("$pbkdf2-sha256$i=1$c2FsdHNhbHQ$aGFzaGhhc2g").is_err());
        }
    }
}

/// Without the feature `password`, no value of this type is ever made.
#[cfg(not(feature = "password"))]
#[derive(Clone)]
#[allow(dead_code)]
pub(crate) struct PasswordHash;

#[cfg(not(feature = "password"))]
impl PasswordHash {
    pub(crate) fn is_known(&self, _: &str) -> Option<bool> {
        Some(false)
    }

    pub(crate) fn is_of(&self, password: &str) -> bool {
        let _ = (password, MAX_LENGTH);
        false
    }
}
