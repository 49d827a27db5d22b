//! The publishing side: Ed25519 release keys, and documents that several people sign one after another, each on their
//! own machine.

use ring::{
    rand::SecureRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};

use super::{
    delegation::Signers,
    document::{Envelope, Signature},
    error::Error,
    head::{Head, Role},
    key::{Key, KeyId},
    metadata::{RoleKeys, Root},
};

/// A private release key. Its `Debug` shows the name only.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    key: Key,
    id: KeyId,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

impl SigningKey {
    /// Reads an Ed25519 key from PKCS#8 in DER (RFC 8410; with or without the public half).
    ///
    /// # Errors
    /// When it is not such a key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|why| Error::SigningKey(why.to_string()))?;
        let public: &[u8] = pair.public_key().as_ref();
        let public: &[u8; 32] = public
            .try_into()
            .map_err(|_| Error::SigningKey("its public half is not 32 bytes".into()))?;
        let key = Key::ed25519(public);
        let id = key.id().map_err(|why| Error::SigningKey(why.to_string()))?;
        Ok(Self { pair, key, id })
    }

    /// Draws a new key. The first value is its PKCS#8, to be kept secret.
    ///
    /// # Errors
    /// When `random` fails.
    pub fn generate(random: &dyn SecureRandom) -> Result<(Vec<u8>, Self), Error> {
        let der = Ed25519KeyPair::generate_pkcs8(random)
            .map_err(|_| Error::SigningKey("the system gave no randomness".into()))?;
        let key = Self::from_pkcs8(der.as_ref())?;
        Ok((der.as_ref().to_vec(), key))
    }

    /// The public half.
    pub fn public(&self) -> &Key {
        &self.key
    }

    /// The key's name.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Signs bytes (64 bytes of signature, RFC 8032).
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

impl Envelope {
    /// An unsigned document. What signers see and sign is [`Envelope::canonical`].
    ///
    /// # Errors
    /// When the document breaks a rule of its type, so that nobody could trust it.
    pub fn unsigned<R: Role>(document: &R) -> Result<Self, Error> {
        let signed = serde_json::to_value(document).map_err(|source| Error::Shape {
            role: R::KIND.to_owned(),
            source,
        })?;
        let envelope = Self {
            signatures: Vec::new(),
            signed,
            extra: serde_json::Map::new(),
        };
        envelope.read::<R>(R::KIND)?;
        Ok(envelope)
    }

    /// Adds a signature; one that the same key gave before is replaced.
    ///
    /// # Errors
    /// When the document can not be put in canonical form.
    pub fn sign(&mut self, key: &SigningKey) -> Result<(), Error> {
        let message = self.canonical().map_err(|source| Error::Json {
            role: "the".into(),
            source,
        })?;
        let sig = hex::encode(key.sign(&message));
        self.signatures.retain(|s| s.keyid != key.id);
        self.signatures.push(Signature {
            keyid: key.id.clone(),
            sig,
            extra: serde_json::Map::new(),
        });
        Ok(())
    }

    /// Takes over the valid signatures of another copy of the very same document, which somebody signed elsewhere.
    /// Answers how many were new.
    ///
    /// # Errors
    /// When the copy is of another document, or a signature by one of the `signers` is not valid.
    pub fn merge(&mut self, copy: &Self, signers: Signers<'_>) -> Result<usize, Error> {
        if copy.signed != self.signed {
            return Err(Error::rule("the", "the copy with the signature is of another document"));
        }
        let valid = super::verify::tally(copy, signers, "the")?.valid;
        let mut added = 0;
        for signature in &copy.signatures {
            if self.signatures.iter().any(|s| s.keyid == signature.keyid) {
                continue;
            }
            if !valid.contains(&signature.keyid) {
                return Err(Error::BadSignature(signature.keyid.clone()));
            }
            self.signatures.push(signature.clone());
            added += 1;
        }
        Ok(added)
    }
}

impl Root {
    /// The first root of a repository with consistent snapshots. Signers follow with [`Root::set_role`].
    pub fn new(expires: jiff::Timestamp) -> Self {
        Self {
            head: Head::new::<Self>(1, expires),
            consistent_snapshot: Some(true),
            keys: std::collections::BTreeMap::new(),
            roles: std::collections::BTreeMap::new(),
        }
    }

    /// Sets who signs for a top-level role. Keys that no role names any more are dropped.
    ///
    /// # Errors
    /// When fewer keys are given than must sign, or a key has no name (see [`Key::id`]).
    pub fn set_role(&mut self, role: &str, keys: &[Key], threshold: u32) -> Result<(), Error> {
        if (keys.len() as u64) < u64::from(threshold) {
            return Err(Error::rule(
                "root",
                format!("{} keys can not give {threshold} signatures for {role}", keys.len()),
            ));
        }
        let mut keyids = Vec::new();
        for key in keys {
            let id = key.id().map_err(|source| Error::Json {
                role: "root".into(),
                source,
            })?;
            self.keys.insert(id.clone(), key.clone());
            keyids.push(id);
        }
        self.roles.insert(role.to_owned(), RoleKeys::new(keyids, threshold));
        let roles = &self.roles;
        self.keys.retain(|id, _| roles.values().any(|r| r.keyids.contains(id)));
        Ok(())
    }
}

/// The next version of a document, with a new expiry.
///
/// # Errors
/// When versions are used up.
pub fn next<R: Role + Clone>(document: &R, expires: jiff::Timestamp) -> Result<R, Error> {
    let mut next = document.clone();
    let head = next.head_mut();
    head.version = head
        .version
        .checked_add(1)
        .ok_or_else(|| Error::rule(R::KIND, "its version can not grow any more"))?;
    head.expires = expires;
    Ok(next)
}
