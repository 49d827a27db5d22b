//! A signed document: the envelope as it travels, and the checked document it holds.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    error::Error,
    head::Role,
    json::{self, JsonError},
    key::KeyId,
    limits::MAX_SIGNATURES,
};

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Whose.
    pub keyid: KeyId,
    /// In hexadecimal; empty where a signer has yet to sign.
    pub sig: String,
    /// Fields we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Signatures and what they cover, not yet checked. The signed part is kept as it came, so that fields we do not know
/// stay covered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The signatures so far.
    pub signatures: Vec<Signature>,
    /// What they cover, in canonical form.
    pub signed: Value,
    /// Fields we do not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Envelope {
    /// Reads a metadata file, whatever its role. Never panics, whatever the bytes.
    ///
    /// # Errors
    /// When it is not an envelope of strict JSON, or carries a key's signature twice or too many of them.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Self::parse_as(bytes, "the")
    }

    pub(super) fn parse_as(bytes: &[u8], role: &str) -> Result<Self, Error> {
        let value = json::parse(bytes).map_err(|source| Error::Json {
            role: role.to_owned(),
            source,
        })?;
        let envelope: Self = serde_json::from_value(value).map_err(|source| Error::Shape {
            role: role.to_owned(),
            source,
        })?;
        if envelope.signatures.len() > MAX_SIGNATURES {
            return Err(Error::rule(role, format!("more than {MAX_SIGNATURES} signatures")));
        }
        let mut seen = std::collections::BTreeSet::new();
        if !envelope.signatures.iter().all(|s| seen.insert(&s.keyid)) {
            return Err(Error::rule(role, "two signatures under one key's name"));
        }
        Ok(envelope)
    }

    /// The typed signed part, checked against the rules of its type. `role` is the name for errors.
    ///
    /// # Errors
    /// When the shape or a rule is broken. Says nothing about signatures.
    pub fn read<R: Role>(&self, role: &str) -> Result<R, Error> {
        typed(self.signed.clone(), role)
    }

    /// Like [`Envelope::read`], for a document whose signatures have been checked already: large ones are not held
    /// twice.
    pub(super) fn into_signed<R: Role>(self, role: &str) -> Result<R, Error> {
        typed(self.signed, role)
    }

    /// The bytes that signatures cover.
    ///
    /// # Errors
    /// When the document can not be put in canonical form.
    pub fn canonical(&self) -> Result<Vec<u8>, JsonError> {
        json::canonical(&self.signed)
    }

    /// The file: JSON for people to read, with a line end.
    ///
    /// # Errors
    /// Never for documents that were read or made here.
    pub fn to_bytes(&self) -> Result<Vec<u8>, JsonError> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(JsonError::Syntax)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

fn typed<R: Role>(signed: Value, role: &str) -> Result<R, Error> {
    let signed: R = serde_json::from_value(signed).map_err(|source| Error::Shape {
        role: role.to_owned(),
        source,
    })?;
    signed.head().check::<R>(role)?;
    signed.check(role)?;
    Ok(signed)
}

/// A document of a known role, with the envelope it came in. Whether its signatures suffice is
/// [`super::verify`]'s to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document<R> {
    /// The typed content.
    pub signed: R,
    /// Signatures and the signed part as they came.
    pub envelope: Envelope,
}

impl<R: Role> Document<R> {
    /// Reads the metadata of one role and checks the rules of its type.
    ///
    /// # Errors
    /// When it is not such a document. Never panics, whatever the bytes.
    pub fn parse(bytes: &[u8], role: &str) -> Result<Self, Error> {
        let envelope = Envelope::parse_as(bytes, role)?;
        let signed = envelope.read(role)?;
        Ok(Self { signed, envelope })
    }

    /// The document's version.
    pub fn version(&self) -> u64 {
        self.signed.head().version
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{Root, Snapshot, Targets, Timestamp},
        *,
    };

    proptest! {
        #[test]
        fn reading_a_document_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..256), text in ".{0,200}") {
            for input in [bytes.as_slice(), text.as_bytes()] {
                let _ = Document::<Root>::parse(input, "root");
                let _ = Document::<Targets>::parse(input, "targets");
                let _ = Document::<Snapshot>::parse(input, "snapshot");
                let _ = Document::<Timestamp>::parse(input, "timestamp");
            }
        }

        #[test]
        fn a_damaged_document_never_panics(at in 0usize..400, byte in any::<u8>()) {
            let document = br#"{"signatures":[{"keyid":"aa","sig":""}],"signed":{"_type":"targets","spec_version":"1.0.31","version":1,"expires":"2030-01-01T00:00:00Z","targets":{"a":{"length":1,"hashes":{"sha256":"00"}}},"delegations":{"keys":{},"roles":[{"name":"r","keyids":[],"threshold":1,"terminating":true,"paths":["*"]}]}}}"#;
            let mut damaged = document.to_vec();
            let at = at % damaged.len();
            damaged[at] = byte;
            let _ = Document::<Targets>::parse(&damaged, "targets");
        }
    }

    #[test]
    fn two_signatures_under_one_name_are_refused() {
        let text = br#"{"signatures":[{"keyid":"a","sig":"00"},{"keyid":"a","sig":"01"}],"signed":{}}"#;
        assert!(matches!(Envelope::parse(text), Err(Error::Rule { .. })));
    }

    #[test]
    fn too_many_signatures_are_refused() {
        let one = |n: usize| format!(r#"{{"keyid":"{n}","sig":""}}"#);
        let many: Vec<String> = (0..=MAX_SIGNATURES).map(one).collect();
        let text = format!(r#"{{"signatures":[{}],"signed":{{}}}}"#, many.join(","));
        assert!(matches!(Envelope::parse(text.as_bytes()), Err(Error::Rule { .. })));
    }

    #[test]
    fn fields_we_do_not_know_survive_a_round_trip() {
        let text = br#"{"signatures":[],"signed":{"_type":"timestamp","spec_version":"1.0.0","version":1,"expires":"2030-01-01T00:00:00Z","meta":{"snapshot.json":{"version":1,"x":[1]}},"x-new":{"a":"b"}},"x":1}"#;
        let document = Document::<Timestamp>::parse(text, "timestamp").unwrap();
        assert_eq!(
            serde_json::to_value(&document.signed).unwrap(),
            document.envelope.signed
        );
        assert_eq!(
            Envelope::parse(&document.envelope.to_bytes().unwrap()).unwrap(),
            document.envelope
        );
    }
}
