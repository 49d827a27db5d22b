//! First contact: a one-time token becomes an identity.

use std::{
    io::{self, Read},
    path::PathBuf,
};

use bytes::Bytes;
use http::Method;
use plugmend_shared::{
    clock::Clock,
    ids::{Digest, Product},
    protocol::{
        MAX_BODY_BYTES,
        identity::{EnrolRequest, Identity},
    },
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;

use super::{
    client::{ClientError, json},
    connection::{Connection, Target},
    identity_store::{IdentityStore, IdentityStoreError, Purpose, StoredIdentity},
    key::{self, KeyError},
    renewal::stored,
    tls::{self, CaTrust},
    wire::Call,
};

/// The longest token, in bytes.
const MAX_TOKEN: u64 = 512;

/// Where the token is read from. Never from the command line, where every user of the host could see it.
#[derive(Debug, Clone)]
pub enum TokenSource {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// With whom, and as what.
#[derive(Debug, Clone)]
pub struct EnrolOptions {
    /// `https://host:port` of the gateway.
    pub url: String,
    /// How the gateway proves itself.
    pub trust: CaTrust,
    /// What this agent looks after.
    pub product: Product,
    /// The platform it runs on.
    pub cms: String,
    /// The version installed now, when it can be told.
    pub plugin_version: Option<String>,
    /// Replace an identity that is there already; without it an enrolled agent is left as it is.
    pub anew: bool,
}

/// Why there is no identity. Nothing that was there before is lost.
#[derive(Debug, Error)]
pub enum EnrolError {
    /// The token could not be read.
    #[error("the enrolment token can not be read from {from}")]
    Token {
        /// The file, or standard input.
        from: String,
        /// Why.
        source: io::Error,
    },
    /// What was read is no token.
    #[error("that is not an enrolment token: one line pmt_<id>_<secret> is wanted, as shown when it was made")]
    NotAToken,
    /// There is an identity already.
    #[error("this agent is enrolled already; say --anew to replace its identity")]
    AlreadyEnrolled,
    /// The control plane could not be asked, or refused.
    #[error("the agent was not enrolled")]
    Client(#[from] ClientError),
    /// No key could be made.
    #[error("the agent was not enrolled")]
    Key(#[from] KeyError),
    /// The identity could not be kept.
    #[error("the agent was not enrolled")]
    Store(#[from] IdentityStoreError),
    /// The CA in the answer is not the one that was pinned.
    #[error("the control plane answered with another CA than the pinned one; nothing was changed")]
    OtherCa,
}

/// Reads the token.
pub fn read_token(source: &TokenSource) -> Result<SecretString, EnrolError> {
    let mut text = String::new();
    let read = match source {
        TokenSource::File(path) => {
            std::fs::File::open(path).and_then(|file| file.take(MAX_TOKEN).read_to_string(&mut text))
        }
        TokenSource::Stdin => io::stdin().take(MAX_TOKEN).read_to_string(&mut text),
    };
    let from = match source {
        TokenSource::File(path) => path.display().to_string(),
        TokenSource::Stdin => "standard input".to_owned(),
    };
    read.map_err(|source| EnrolError::Token { from, source })?;
    let token = text.trim();
    token_id(token)?;
    Ok(token.into())
}

/// The part of `pmt_<id>_<secret>` that is no secret.
fn token_id(token: &str) -> Result<&str, EnrolError> {
    let mut parts = token.split('_');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("pmt"), Some(id), Some(secret), None) if !id.is_empty() && !secret.is_empty() => Ok(id),
        _ => Err(EnrolError::NotAToken),
    }
}

/// Spends `token`. Repeating it after a lost answer is safe: the key is on disk before the request leaves, and the
/// control plane answers the same key with the same certificate.
pub async fn enrol(
    store: &IdentityStore,
    options: &EnrolOptions,
    token: &SecretString,
    clock: &dyn Clock,
) -> Result<StoredIdentity, EnrolError> {
    if !options.anew && store.identity()?.is_some() {
        return Err(EnrolError::AlreadyEnrolled);
    }
    let target = Target::parse(&options.url)?;
    let token_id = token_id(token.expose_secret())?.to_owned();
    let purpose = Purpose::Enrol { token_id };
    let pending = key::request_for(store, purpose)?;
    let request = EnrolRequest {
        token: token.expose_secret().to_owned(),
        csr_pem: pending.csr_pem.clone(),
        product: options.product.clone(),
        cms: options.cms.clone(),
        plugin_version: options.plugin_version.clone(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let (answer, server_time) = ask(&target, &options.trust, &request).await?;
    check_ca(&options.trust, &answer)?;
    let received_at = clock.now();
    let identity = stored(answer, pending, received_at, server_time.unwrap_or(received_at));
    tls::for_identity(&identity)?;
    store.adopt(&identity)?;
    Ok(identity)
}

async fn ask(
    target: &Target,
    trust: &CaTrust,
    request: &EnrolRequest,
) -> Result<(Identity, Option<jiff::Timestamp>), ClientError> {
    let body = serde_json::to_vec(request).map_err(|error| ClientError::Malformed {
        what: error.to_string(),
    })?;
    let call = Call {
        method: Method::POST,
        path: "/v1/enrol".to_owned(),
        body: Bytes::from(body),
        range: None,
        boot_id: None,
        max_bytes: MAX_BODY_BYTES as u64,
        patience: std::time::Duration::from_secs(30),
        doing: "the enrolment",
    };
    let mut connection = Connection::open(target, tls::for_enrolment(trust)?).await?;
    let reply = call.exchange(&mut connection, target).await?;
    Ok((json(&reply)?, reply.server_time))
}

/// A fingerprint that a person compared holds for what the agent trusts from now on, not only for this connection.
fn check_ca(trust: &CaTrust, answer: &Identity) -> Result<(), EnrolError> {
    let CaTrust::Sha256(pin) = trust else { return Ok(()) };
    let pinned = CertificateDer::pem_slice_iter(answer.ca_pem.as_bytes())
        .all(|certificate| certificate.is_ok_and(|certificate| Digest::of(&certificate) == *pin));
    if pinned { Ok(()) } else { Err(EnrolError::OtherCa) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_line_of_three_parts() {
        assert_eq!(token_id("pmt_abc_def").unwrap(), "abc");
        for bad in ["", "pmt", "pmt_abc", "pmt__def", "pmt_abc_", "xyz_abc_def", "pmt_a_b_c"] {
            assert!(matches!(token_id(bad), Err(EnrolError::NotAToken)), "{bad}");
        }
    }
}
