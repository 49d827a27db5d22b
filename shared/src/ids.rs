//! Names of things: one type for each, so that a merchant's id can not be passed where a plugin's is wanted.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new time-ordered id (UUID version 7, RFC 9562 section 5.7) from a moment and 10 random bytes.
            pub fn from_parts(now: Timestamp, random: [u8; 10]) -> Self {
                Self(uuid_v7(now, random))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(s: &str) -> Result<Self, Self::Err> {
                Uuid::from_str(s).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    };
}

uuid_id!(
    /// A shop owner.
    MerchantId
);
uuid_id!(
    /// One installation of a product on one merchant's host (`merchant_plugins.id`).
    PluginId
);
uuid_id!(
    /// One order to one plugin (`plugin_agent_commands.id`).
    CommandId
);
uuid_id!(
    /// One try at a cure (`plugin_autopatch_attempts.id`).
    AttemptId
);
uuid_id!(
    /// One life of an agent's process: drawn anew at each start, so that a copied host shows.
    BootId
);

fn uuid_v7(now: Timestamp, random: [u8; 10]) -> Uuid {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// The longest product name, in bytes.
pub const MAX_PRODUCT_LEN: usize = 64;

/// What is installed, say `molam-pay-woocommerce`: lower-case letters, digits and single hyphens, starting with a
/// letter. It names a delegated role and a folder, so nothing else is let in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(max_length = 64, pattern = "^[a-z](-?[a-z0-9])*$"))]
#[serde(transparent)]
pub struct Product(String);

/// Why a text is not a product name.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "'{0}' is not a product name: use 1 to 64 lower-case letters, digits and single hyphens, starting with a letter, \
     and not one of root, targets, snapshot, timestamp"
)]
pub struct InvalidProduct(String);

impl Product {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Product {
    type Err = InvalidProduct;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let shape = !s.is_empty()
            && s.len() <= MAX_PRODUCT_LEN
            && s.starts_with(|c: char| c.is_ascii_lowercase())
            && s.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !s.ends_with('-')
            && !s.contains("--");
        // The product names a TUF role, so it may not shadow one of the top-level roles.
        let reserved = matches!(s, "root" | "targets" | "snapshot" | "timestamp");
        if shape && !reserved {
            Ok(Self(s.to_owned()))
        } else {
            Err(InvalidProduct(s.chars().take(MAX_PRODUCT_LEN).collect()))
        }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Product {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A SHA-256 digest (FIPS 180-4). A release is named by the digest of its manifest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[0-9a-f]{64}$"))]
pub struct Digest(pub [u8; 32]);

/// Why a text is not a digest.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not a SHA-256 digest: 64 lower-case hexadecimal digits are wanted")]
pub struct InvalidDigest;

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The first 16 hexadecimal digits: enough for a person and for a folder's name.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..8])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        // One spelling only: two texts never name the same digest.
        if s.len() != 64 || !s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(InvalidDigest);
        }
        let mut out = [0; 32];
        hex::decode_to_slice(s, &mut out).map_err(|_| InvalidDigest)?;
        Ok(Self(out))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_name_is_a_safe_folder_and_role_name() {
        for good in ["a", "molam-pay-woocommerce", "p2"] {
            assert_eq!(good.parse::<Product>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "-a",
            "a-",
            "a--b",
            "A",
            "a/b",
            "..",
            "1a",
            "root",
            "timestamp",
            &"a".repeat(65),
        ] {
            assert!(bad.parse::<Product>().is_err(), "{bad:?} was let in");
        }
    }

    #[test]
    fn a_digest_has_one_spelling() {
        let digest = Digest::of(b"plugmend");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert!(digest.to_string().to_uppercase().parse::<Digest>().is_err());
        assert!("00".parse::<Digest>().is_err());
    }

    #[test]
    fn ids_sort_by_the_moment_they_were_made() {
        let early = CommandId::from_parts(Timestamp::from_second(1_000).unwrap(), [255; 10]);
        let late = CommandId::from_parts(Timestamp::from_second(1_001).unwrap(), [0; 10]);
        assert!(early < late);
        assert_eq!(late.0.get_version_num(), 7);
    }
}
