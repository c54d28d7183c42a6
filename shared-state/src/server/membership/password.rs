//! Room passwords, hashed by [Argon2id](https://www.rfc-editor.org/rfc/rfc9106). Hashing is slow on purpose, so the
//! caller of [`PasswordHash::is_of`] runs it on a thread for blocking work.

/// The longest password that is hashed, in bytes.
const MAX_LENGTH: usize = 1024;

#[cfg(feature = "password")]
pub use with_argon2::{PasswordError, PasswordHash};

#[cfg(feature = "password")]
mod with_argon2 {
    use std::fmt;
    use std::sync::Arc;

    use argon2::Argon2;
    use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc};

    /// The hash of a password, with its salt and cost parameters, as in the PHC string format (`$argon2id$v=19$...`).
    /// Cheap to clone.
    #[derive(Clone)]
    pub struct PasswordHash(Arc<phc::PasswordHash>);

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
            Ok(Self(Arc::new(hash)))
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
            Ok(Self(Arc::new(parsed)))
        }

        /// Whether this is the password. As slow as [`of`](Self::of); compares the hashes in constant time.
        pub(in crate::server) fn is_of(&self, password: &str) -> bool {
            password.len() <= super::MAX_LENGTH
                && Argon2::default().verify_password(password.as_bytes(), &*self.0).is_ok()
        }
    }

    /// The PHC string, to be stored.
    impl fmt::Display for PasswordHash {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fmt(f)
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
            for hash in [hash, kept] {
                assert!(hash.is_of("open sesame"));
                assert!(!hash.is_of("open") && !hash.is_of("") && !hash.is_of("open sesame "));
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
    pub(crate) fn is_of(&self, password: &str) -> bool {
        let _ = (password, MAX_LENGTH);
        false
    }
}
