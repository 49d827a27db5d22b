//! What the documents of all roles have in common (specification section 4.3 to 4.6).

use jiff::Timestamp as Moment;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{SPEC_VERSION, error::Error};

/// What every role's signed part starts with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// `root`, `timestamp`, `snapshot` or `targets` (delegated roles too).
    #[serde(rename = "_type")]
    pub kind: String,
    /// The version of the specification the document follows.
    pub spec_version: String,
    /// Grows by one with each publication; at least 1.
    pub version: u64,
    /// From then on the document is refused.
    #[serde(with = "expiry")]
    pub expires: Moment,
    /// Fields we do not know: kept, since the signatures cover them.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Head {
    /// A head for our own documents.
    pub fn new<R: Role>(version: u64, expires: Moment) -> Self {
        Self {
            kind: R::KIND.to_owned(),
            spec_version: SPEC_VERSION.to_owned(),
            version,
            expires,
            extra: Map::new(),
        }
    }

    /// Checks type, specification version and version number.
    pub(super) fn check<R: Role>(&self, role: &str) -> Result<(), Error> {
        if self.kind != R::KIND {
            return Err(Error::rule(
                role,
                format!("the type is '{}', not '{}'", self.kind, R::KIND),
            ));
        }
        if !supported(&self.spec_version) {
            return Err(Error::rule(
                role,
                format!("specification version '{}' is not 1.x", self.spec_version),
            ));
        }
        if self.version == 0 {
            return Err(Error::rule(role, "versions start at 1"));
        }
        Ok(())
    }
}

/// `1.x` or `1.x.y`: a new major version may change how documents must be checked.
fn supported(spec_version: &str) -> bool {
    let parts: Vec<&str> = spec_version.split('.').collect();
    let numbers = parts
        .iter()
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    numbers && matches!(parts.len(), 2 | 3) && parts.first() == Some(&"1")
}

/// A document of one role.
pub trait Role: Serialize + DeserializeOwned {
    /// The value of `_type`.
    const KIND: &'static str;

    /// The common part.
    fn head(&self) -> &Head;

    /// The common part, to publish the next version.
    fn head_mut(&mut self) -> &mut Head;

    /// The rules of this type that its shape alone does not ensure.
    ///
    /// # Errors
    /// With the rule that `role` breaks.
    fn check(&self, role: &str) -> Result<(), Error>;
}

/// `expires` as the specification writes it: `YYYY-MM-DDTHH:MM:SSZ`.
mod expiry {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        if !text.ends_with('Z') {
            return Err(D::Error::custom("an expiry is written YYYY-MM-DDTHH:MM:SSZ"));
        }
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Root, *};

    #[test]
    fn only_major_version_one_is_supported() {
        for good in ["1.0", "1.0.31", "1.99.0"] {
            assert!(supported(good), "{good}");
        }
        for bad in ["1", "2.0.0", "0.9", "1.", "1.0.0.0", "1.a", "", "10.0", "-1.0", "01.0"] {
            assert!(!supported(bad), "{bad}");
        }
    }

    #[test]
    fn expiry_is_written_in_whole_seconds() {
        let head = Head::new::<Root>(1, "2030-01-02T03:04:05.678Z".parse().unwrap());
        let text = serde_json::to_string(&head).unwrap();
        assert!(text.contains("\"2030-01-02T03:04:05Z\""), "{text}");
        assert!(serde_json::from_str::<Head>(&text.replace("05Z", "05+01:00")).is_err());
    }
}
