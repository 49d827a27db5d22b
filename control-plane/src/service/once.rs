//! Writes that are done once, however often they are asked for with the same `Idempotency-Key`.

use jiff::Timestamp;
use ring::digest;
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::store::{
    StoreError, Tx,
    idempotency::{self, Remembered},
};

/// The longest key, in bytes.
pub const MAX_KEY: usize = 128;

/// A key with who gave it and the digest of what was asked.
#[derive(Debug, Clone)]
pub struct OnceKey {
    actor: String,
    key: String,
    request_hash: Vec<u8>,
}

/// Why a key is of no use.
#[derive(Debug, Error)]
pub enum OnceError {
    /// The same key came with another request.
    #[error("this Idempotency-Key was used for another request; take a new one")]
    Reused,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OnceKey {
    /// The key that `actor` gave for `request` (what it asks and where).
    pub fn new(actor: &str, key: &str, endpoint: &str, request: &impl Serialize) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(endpoint.as_bytes());
        context.update(&[0]);
        context.update(&serde_json::to_vec(request).unwrap_or_default());
        Self {
            actor: actor.to_owned(),
            key: key.to_owned(),
            request_hash: context.finish().as_ref().to_vec(),
        }
    }
}

/// The answer that was given before, if the write was done already.
///
/// # Errors
/// When the key was used for something else, or the database fails.
pub async fn before<T: DeserializeOwned>(tx: &mut Tx, key: Option<&OnceKey>) -> Result<Option<T>, OnceError> {
    let Some(key) = key else { return Ok(None) };
    let Some(found) = idempotency::find(tx, &key.actor, &key.key).await? else {
        return Ok(None);
    };
    if found.request_hash != key.request_hash {
        return Err(OnceError::Reused);
    }
    let answer = serde_json::from_value(found.body).map_err(|error| StoreError::corrupt("answer", error))?;
    Ok(Some(answer))
}

/// Keeps the answer for later repeats, in the transaction that does the write.
///
/// # Errors
/// When the database fails.
pub async fn after<T: Serialize>(
    tx: &mut Tx,
    key: Option<&OnceKey>,
    answer: &T,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(key) = key else { return Ok(()) };
    let body = serde_json::to_value(answer).map_err(|error| StoreError::corrupt("answer", error))?;
    let remembered = Remembered {
        request_hash: key.request_hash.clone(),
        status: 201,
        body,
    };
    idempotency::remember(tx, &key.actor, &key.key, &remembered, now).await
}
