//! What handlers share.

use std::sync::Arc;

use plugmend_shared::clock::Clock;

use super::auth::TokenVerifier;
use crate::{service::Entropy, store::Db};

/// What handlers share. Cloned for each request: everything in it is a handle.
#[derive(Clone)]
pub struct AppState {
    /// The database.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Entropy,
    /// Checks the tokens of people.
    pub tokens: Arc<TokenVerifier>,
}
