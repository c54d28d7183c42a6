//! A password that is known to be right, in a form that is fast to compare.

use sha2::{Digest as _, Sha256};

/// The right password under SHA-256 with a random salt. A fast hash is safe here, because it exists only in memory.
pub(crate) struct KnownPassword {
    salt: [u8; 32],
    digest: [u8; 32],
}

impl KnownPassword {
    fn digest(salt: &[u8; 32], password: &str) -> [u8; 32] {
        Sha256::new_with_prefix(salt).chain_update(password).finalize().into()
    }

    /// `None` if the system has no randomness.
    pub(crate) fn new(password: &str) -> Option<Self> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).ok()?;
        Some(Self { digest: Self::digest(&salt, password), salt })
    }

    /// Compares in constant time: looks at every byte, whatever the first ones are.
    pub(crate) fn is(&self, password: &str) -> bool {
        let given = Self::digest(&self.salt, password);
        given.iter().zip(&self.digest).fold(0, |differs, (given, right)| differs | (given ^ right)) == 0
    }
}
