//! Whether enough of the right people signed.

use super::{
    delegation::Signers,
    document::Envelope,
    error::Error,
    key::{KeyId, Verifier},
    metadata::Root,
};

/// What the signatures on a document amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Names of the authorised keys whose signatures are valid, each key once whatever its names.
    pub valid: Vec<KeyId>,
    /// What is needed.
    pub threshold: u32,
}

impl Tally {
    /// Whether the threshold is met.
    pub fn suffices(&self) -> bool {
        self.valid.len() as u64 >= u64::from(self.threshold)
    }
}

/// Counts the valid signatures of distinct authorised keys. `role` is the name for errors.
///
/// # Errors
/// When the document can not be put in canonical form.
pub fn tally(envelope: &Envelope, signers: Signers<'_>, role: &str) -> Result<Tally, Error> {
    let message = envelope.canonical().map_err(|source| Error::Json {
        role: role.to_owned(),
        source,
    })?;
    let mut valid: Vec<(KeyId, Verifier)> = Vec::new();
    for signature in &envelope.signatures {
        if !signers.keyids.contains(&signature.keyid) {
            continue;
        }
        let Some(verifier) = signers.keys.get(&signature.keyid).and_then(super::Key::verifier) else {
            continue;
        };
        // One key under two names is one signer.
        if valid.iter().any(|(_, counted)| counted.same_key(&verifier)) {
            continue;
        }
        let Ok(bytes) = hex::decode(&signature.sig) else {
            continue;
        };
        if verifier.verify(&message, &bytes) {
            valid.push((signature.keyid.clone(), verifier));
        }
    }
    Ok(Tally {
        valid: valid.into_iter().map(|(id, _)| id).collect(),
        threshold: signers.threshold,
    })
}

/// Refuses a document that fewer than the threshold signed.
///
/// # Errors
/// With the numbers.
pub fn threshold(envelope: &Envelope, signers: Signers<'_>, role: &str) -> Result<(), Error> {
    let tally = tally(envelope, signers, role)?;
    if tally.suffices() {
        return Ok(());
    }
    Err(Error::Threshold {
        role: role.to_owned(),
        valid: u32::try_from(tally.valid.len()).unwrap_or(u32::MAX),
        threshold: tally.threshold,
    })
}

impl Root {
    /// Who must sign for a top-level role.
    ///
    /// # Errors
    /// When `role` is not one.
    pub fn signers(&self, role: &str) -> Result<Signers<'_>, Error> {
        let keys = self
            .roles
            .get(role)
            .ok_or_else(|| Error::UnknownRole(role.to_owned()))?;
        Ok(Signers {
            keys: &self.keys,
            keyids: &keys.keyids,
            threshold: keys.threshold,
        })
    }
}
