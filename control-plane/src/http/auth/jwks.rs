//! An issuer's keys, followed: fetched at the start, every few minutes, and when a token names one that is not known.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::Algorithm;
use plugmend_shared::clock::Clock;
use thiserror::Error;
use tokio::sync::{Mutex, watch};

use super::keys::{BadKeySet, Key, KeySet};
use crate::outgoing::{Call, Endpoint, HttpClient, OutgoingError};

/// The longest set, in bytes.
const LONGEST: u64 = 256 * 1024;
/// How long a fetch may take.
const WITHIN: Duration = Duration::from_secs(5);
/// How often the keys are fetched anew: for so long a key that was withdrawn is still believed.
const EVERY: Duration = Duration::from_mins(5);
/// Between two fetches for keys that are not known: whoever invents names of keys has the issuer asked no more often.
pub const AT_MOST_EVERY: SignedDuration = SignedDuration::from_secs(30);

/// Why the keys could not be fetched.
#[derive(Debug, Error)]
pub enum JwksError {
    /// The address or its authority can not be used, or nobody answers there.
    #[error("the keys can not be fetched")]
    Outgoing(#[from] OutgoingError),
    /// Answered with something else than the keys.
    #[error("asked for its keys, the issuer answered {0}")]
    Status(u16),
    /// What came is no key set.
    #[error("the issuer's keys can not be used")]
    Keys(#[from] BadKeySet),
}

/// The keys behind an address.
#[derive(Debug)]
pub struct Jwks {
    client: HttpClient,
    endpoint: Endpoint,
    known: RwLock<Arc<KeySet>>,
    /// When it was last asked; held while it is asked, so that it is asked once.
    asked: Mutex<Option<Timestamp>>,
}

impl Jwks {
    /// Those at `url`. None are known before the first [`Jwks::refresh`].
    ///
    /// # Errors
    /// When the address or the authorities in `ca_pem` can not be used.
    pub fn new(url: &str, ca_pem: Option<&[u8]>) -> Result<Self, OutgoingError> {
        let endpoint = Endpoint::parse(url)?;
        let mut client = HttpClient::new(ca_pem)?;
        if !endpoint.is_encrypted() {
            // Whatever the name says: in the clear the keys come from this machine, or not at all.
            client = client.only_to(|at: IpAddr| at.is_loopback());
        }
        Ok(Self {
            client,
            endpoint,
            known: RwLock::default(),
            asked: Mutex::default(),
        })
    }

    /// The key that a token's header names; the issuer is asked anew when it is not known, unless it was asked lately.
    pub async fn key(&self, kid: Option<&str>, algorithm: Algorithm, now: Timestamp) -> Option<Key> {
        if let Some(key) = self.known().find(kid, algorithm) {
            return Some(key.clone());
        }
        let mut asked = self.asked.lock().await;
        // Someone else may have fetched it while we waited.
        if let Some(key) = self.known().find(kid, algorithm) {
            return Some(key.clone());
        }
        if asked.is_some_and(|at| now.duration_since(at) < AT_MOST_EVERY) {
            return None;
        }
        *asked = Some(now);
        if let Err(error) = self.fetch().await {
            tracing::warn!(
                error = format!("{:#}", anyhow::Error::from(error)),
                "tokens are checked by the keys known before"
            );
        }
        self.known().find(kid, algorithm).cloned()
    }

    /// Fetches the keys. When that fails, those known before stay.
    ///
    /// # Errors
    /// When nobody answers, or with something else than keys.
    pub async fn refresh(&self, now: Timestamp) -> Result<(), JwksError> {
        let mut asked = self.asked.lock().await;
        *asked = Some(now);
        self.fetch().await
    }

    /// Keeps the keys fresh until told to stop.
    pub async fn follow(self: Arc<Self>, clock: Arc<dyn Clock>, mut stop: watch::Receiver<bool>) {
        loop {
            if let Err(error) = self.refresh(clock.now()).await {
                tracing::warn!(
                    error = format!("{:#}", anyhow::Error::from(error)),
                    "tokens are checked by the keys known before"
                );
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    async fn fetch(&self) -> Result<(), JwksError> {
        let call = Call {
            method: Method::GET,
            path: "",
            headers: Vec::new(),
            bearer: None,
            body: Bytes::new(),
            within: WITHIN,
            at_most: LONGEST,
        };
        let answer = self.client.call(&self.endpoint, call).await?;
        if !answer.status.is_success() {
            return Err(JwksError::Status(answer.status.as_u16()));
        }
        let keys = KeySet::parse(&answer.body)?;
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }

    fn known(&self) -> Arc<KeySet> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }
}
