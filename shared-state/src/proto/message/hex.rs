//! Numbers of 64 bits as 16 hexadecimal digits, because JavaScript cannot represent them as numbers.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::json::Text;

/// A number that is written as 16 hexadecimal digits.
pub(super) struct Hex(pub(super) u64);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        let wrong = || de::Error::custom(format_args!("expected 16 hexadecimal digits, found `{text}`"));
        u64::from_str_radix(&text, 16).map(Self).map_err(|_| wrong())
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    Hex(*number).serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Hex::deserialize(deserializer).map(|hex| hex.0)
}

/// The same for a member that may be absent.
pub(super) mod optional {
    use super::{Deserialize, Deserializer, Hex, Serialize, Serializer};

    #[allow(clippy::ref_option)] // serde's signature
    pub(crate) fn serialize<S: Serializer>(number: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        number.map(Hex).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        Option::<Hex>::deserialize(deserializer).map(|number| number.map(|hex| hex.0))
    }
}
