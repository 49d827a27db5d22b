//! Replaces the certificate in time, so that it never matters when the process dies.
//!
//! New key and request are on disk before the request leaves. When the answer is lost, the same request is sent again
//! and the control plane, which knows its key, answers with the certificate that it has already made.

use plugmend_shared::protocol::identity::Identity;
use thiserror::Error;

use super::{
    client::{Client, ClientError},
    identity_store::{IdentityStoreError, Pending, Purpose, StoredIdentity},
    key::{self, KeyError},
};

/// Why there is no new certificate. The old one stays in use.
#[derive(Debug, Error)]
pub enum RenewalError {
    /// The control plane could not be asked, or refused.
    #[error("the certificate was not renewed")]
    Client(#[from] ClientError),
    /// No key could be made.
    #[error("the certificate was not renewed")]
    Key(#[from] KeyError),
    /// The identity could not be read or kept.
    #[error("the certificate was not renewed")]
    Store(#[from] IdentityStoreError),
    /// The answer is about someone else, or not the next in line.
    #[error(
        "the control plane answered with a certificate for another plugin, or not the next one; nothing was changed"
    )]
    Mismatch,
}

impl RenewalError {
    /// Whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Client(error) if error.is_transient())
    }
}

/// Asks for the next certificate, adopts it, and lets `client` go on with it.
///
/// [`crate::domain::renewal::due`] says when. It is safe to cancel and to repeat.
pub async fn renew(client: &Client) -> Result<StoredIdentity, RenewalError> {
    let store = client.store();
    let current = store.identity()?.ok_or(ClientError::NotEnrolled)?;
    let purpose = Purpose::Renew {
        renewals: current.renewals,
    };
    let pending = key::request_for(store, purpose)?;
    let (answer, server_time) = client
        .request_renewal(pending.csr_pem.clone(), current.renewals)
        .await?;
    let next_in_line = answer.merchant_id == current.merchant_id
        && answer.plugin_id == current.plugin_id
        && answer.renewals == current.renewals + 1;
    if !next_in_line {
        return Err(RenewalError::Mismatch);
    }
    let received_at = client.clock().now();
    let renewed = stored(answer, pending, received_at, server_time.unwrap_or(received_at));
    // Key and certificate are compared before they replace the ones that work.
    super::tls::for_identity(&renewed)?;
    store.adopt(&renewed)?;
    client.reload()?;
    Ok(renewed)
}

/// The answer and the key that it belongs to, as they are kept.
pub(super) fn stored(
    answer: Identity,
    pending: Pending,
    received_at: jiff::Timestamp,
    server_time: jiff::Timestamp,
) -> StoredIdentity {
    StoredIdentity {
        merchant_id: answer.merchant_id,
        plugin_id: answer.plugin_id,
        key_pem: pending.key_pem,
        certificate_pem: answer.certificate_pem,
        ca_pem: answer.ca_pem,
        renewals: answer.renewals,
        not_after: answer.not_after,
        renew_after: answer.renew_after,
        received_at,
        server_time,
    }
}
