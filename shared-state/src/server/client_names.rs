//! Client names: the public ids by which others, logs and the store know a client.
//!
//! A name is computed from the server's key, the user and the client's secret id. So a client id is bound to its user:
//! with another user's client id, somebody gets another name, and with it none of that client's sessions, answers and
//! sequence numbers. Without the key, nobody can test guesses of a secret against the names that are shown. Called when
//! a connection's user is known.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::proto::{ClientId, Secret};

/// The length of a name, in bytes; it is written in hexadecimal. Half of the hash, which is why the key may simply be
/// hashed first: the hash of a longer text cannot be computed from half of this one.
const LENGTH: usize = 16;

/// Computes the names of a server's clients.
pub(super) struct ClientNames {
    key: [u8; 32],
}

impl Default for ClientNames {
    /// Names without a secret key, for stores that have none: the same in every process.
    fn default() -> Self {
        Self { key: [0; 32] }
    }
}

impl ClientNames {
    /// Names by the key of the server's store.
    pub(super) const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The name of this user's client; `user` is `None` where users have no ids.
    pub(super) fn name(&self, user: Option<&str>, secret: &Secret) -> ClientId {
        let mut hash = Sha256::new_with_prefix(self.key);
        hash.update(b"shared-state client\0");
        if let Some(user) = user {
            // The length keeps the end of the user's id from counting as the beginning of the secret.
            hash.update(b"user");
            hash.update((user.len() as u64).to_le_bytes());
            hash.update(user);
        } else {
            hash.update(b"none");
        }
        hash.update(secret.reveal());
        hexadecimal(&hash.finalize()[..LENGTH])
    }

    /// A random name, for a client that has no secret id.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(super) fn random() -> Result<ClientId, getrandom::Error> {
        let mut bits = [0; LENGTH];
        getrandom::fill(&mut bits)?;
        Ok(hexadecimal(&bits))
    }
}

fn hexadecimal(bytes: &[u8]) -> ClientId {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_one_key_one_user_and_one_secret() {
        let secret = Secret::from("0123456789abcdef");
        let names = ClientNames::new([7; 32]);
        let own = names.name(Some("ann"), &secret);
        assert_eq!((own.len(), &own), (32, &names.name(Some("ann"), &secret)));
        let others = [
            names.name(Some("bob"), &secret),
            names.name(None, &secret),
            names.name(Some("ann0"), &Secret::from("123456789abcdef")),
            ClientNames::new([8; 32]).name(Some("ann"), &secret),
            ClientNames::default().name(Some("ann"), &secret),
        ];
        assert!(others.iter().all(|other| *other != own), "{others:?}");
        assert_ne!(ClientNames::random(), ClientNames::random());
    }
}
