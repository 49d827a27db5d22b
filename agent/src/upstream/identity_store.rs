//! Where the agent keeps who it is: one folder, readable by the agent alone.
//!
//! - `identity.json`: key, certificate, CA and dates in one file, replaced as a whole, so that no crash can leave a
//!   key without its certificate.
//! - `pending.json`: the key and request of an enrolment or renewal that has begun. It is on disk before the request
//!   leaves, so that a lost answer is asked for again with the *same* key; another key would look like a second host.
//! - `fenced.json`: the control plane saw this identity in two places. While it exists the agent is silent.

use std::{fmt, path::PathBuf};

use jiff::Timestamp;
use plugmend_shared::ids::{Digest, MerchantId, PluginId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

use super::private_file::{self, PrivateFileError};
use crate::domain::renewal::Lease;

/// A private key, PKCS #8 in PEM. It is wiped from memory when dropped and never shown.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyPem(String);

impl KeyPem {
    /// Takes the text of a key.
    pub fn new(pem: String) -> Self {
        Self(pem)
    }

    /// The key itself; for signing only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for KeyPem {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for KeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPem(hidden)")
    }
}

/// Who this agent is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredIdentity {
    /// Whose plugin.
    pub merchant_id: MerchantId,
    /// Which plugin.
    pub plugin_id: PluginId,
    /// The key that never leaves this host.
    pub key_pem: KeyPem,
    /// The certificate and what chains it to the CA.
    pub certificate_pem: String,
    /// What the gateway's certificate is checked against.
    pub ca_pem: String,
    /// How many renewals this identity has had.
    pub renewals: u64,
    /// When the certificate ends, by the control plane's clock.
    pub not_after: Timestamp,
    /// When the next one should be asked for, by the control plane's clock.
    pub renew_after: Timestamp,
    /// When it was received, by this host's clock.
    pub received_at: Timestamp,
    /// The control plane's clock at that moment.
    pub server_time: Timestamp,
}

impl StoredIdentity {
    /// Names the certificate.
    pub fn certificate_digest(&self) -> Digest {
        Digest::of(self.certificate_pem.as_bytes())
    }

    /// The dates that decide about renewal.
    pub fn lease(&self) -> Lease {
        Lease {
            not_after: self.not_after,
            renew_after: self.renew_after,
            received_at: self.received_at,
            server_time: self.server_time,
        }
    }
}

/// A request that has begun, and may have been answered without the answer arriving.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pending {
    /// What it is for.
    pub purpose: Purpose,
    /// The new key.
    pub key_pem: KeyPem,
    /// The request that it signed.
    pub csr_pem: String,
}

/// What a pending request is for; a request for anything else starts over with a new key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Enrolment with the token of this id (the part of a token that is no secret).
    Enrol {
        /// The token's id.
        token_id: String,
    },
    /// Renewal of the identity that has had this many renewals.
    Renew {
        /// The count before the renewal.
        renewals: u64,
    },
}

/// The control plane saw this identity in two places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceMark {
    /// The certificate that was fenced: a mark for any other is of an identity that has been replaced.
    pub certificate: Digest,
    /// When this host was told, by its own clock.
    pub at: Timestamp,
    /// What the control plane said.
    pub detail: String,
}

/// Who this agent is, for a person: nothing secret in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IdentitySummary {
    /// Whose plugin.
    pub merchant_id: MerchantId,
    /// Which plugin.
    pub plugin_id: PluginId,
    /// When the certificate ends.
    pub not_after: Timestamp,
    /// When the next one will be asked for.
    pub renew_after: Timestamp,
    /// How many renewals there have been.
    pub renewals: u64,
    /// Set when the identity was seen in two places; the agent is silent until it is enrolled anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fenced: Option<FenceMark>,
}

/// Why the identity could not be read or kept.
#[derive(Debug, Error)]
pub enum IdentityStoreError {
    /// The file could not be read or written.
    #[error("the agent's identity can not be kept")]
    File(#[from] PrivateFileError),
    /// The file is there but makes no sense.
    #[error("{path} is damaged; enrol this agent anew with a new token")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where it stops making sense.
        source: serde_json::Error,
    },
}

/// The folder with the agent's identity.
#[derive(Debug, Clone)]
pub struct IdentityStore {
    dir: PathBuf,
}

impl IdentityStore {
    /// Opens `<state_dir>/identity`, making it when it is not there; `state_dir` itself must exist.
    pub fn open(state_dir: &std::path::Path) -> Result<Self, IdentityStoreError> {
        let dir = state_dir.join("identity");
        private_file::make_dir(&dir)?;
        Ok(Self { dir })
    }

    /// The identity; `None` before enrolment.
    pub fn identity(&self) -> Result<Option<StoredIdentity>, IdentityStoreError> {
        self.read("identity.json")
    }

    /// Makes `identity` the agent's own, and ends what was pending and any fence.
    pub fn adopt(&self, identity: &StoredIdentity) -> Result<(), IdentityStoreError> {
        self.write("identity.json", identity)?;
        // Should this be cut short: a fence and a pending request name the identity that they belong to, which is
        // this one no longer.
        private_file::remove(&self.dir.join("fenced.json"))?;
        private_file::remove(&self.dir.join("pending.json"))?;
        Ok(())
    }

    /// The request that has begun for `purpose`; `None` when there is none for exactly that.
    pub fn pending(&self, purpose: &Purpose) -> Result<Option<Pending>, IdentityStoreError> {
        let pending: Option<Pending> = self.read("pending.json")?;
        Ok(pending.filter(|pending| pending.purpose == *purpose))
    }

    /// Remembers a request before it is sent.
    pub fn begin(&self, pending: &Pending) -> Result<(), IdentityStoreError> {
        self.write("pending.json", pending)
    }

    /// Whether the control plane has fenced `identity`.
    pub fn fence(&self, identity: &StoredIdentity) -> Result<Option<FenceMark>, IdentityStoreError> {
        let mark: Option<FenceMark> = self.read("fenced.json")?;
        Ok(mark.filter(|mark| mark.certificate == identity.certificate_digest()))
    }

    /// Remembers that it did, with what it said.
    pub fn mark_fenced(
        &self,
        identity: &StoredIdentity,
        at: Timestamp,
        detail: String,
    ) -> Result<(), IdentityStoreError> {
        let certificate = identity.certificate_digest();
        self.write(
            "fenced.json",
            &FenceMark {
                certificate,
                at,
                detail,
            },
        )
    }

    /// What a person may see; `None` before enrolment.
    pub fn summary(&self) -> Result<Option<IdentitySummary>, IdentityStoreError> {
        let Some(identity) = self.identity()? else {
            return Ok(None);
        };
        Ok(Some(IdentitySummary {
            merchant_id: identity.merchant_id,
            plugin_id: identity.plugin_id,
            not_after: identity.not_after,
            renew_after: identity.renew_after,
            renewals: identity.renewals,
            fenced: self.fence(&identity)?,
        }))
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, IdentityStoreError> {
        let path = self.dir.join(name);
        let Some(bytes) = private_file::read(&path)? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| IdentityStoreError::Damaged { path, source })
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), IdentityStoreError> {
        let path = self.dir.join(name);
        let bytes = serde_json::to_vec(value).map(Zeroizing::new);
        let bytes = bytes.map_err(|source| IdentityStoreError::Damaged {
            path: path.clone(),
            source,
        })?;
        Ok(private_file::replace(&path, &bytes)?)
    }
}
