//! What handlers share.

use std::sync::Arc;

use plugmend_shared::clock::Clock;
use secrecy::SecretString;

use super::auth::TokenVerifier;
use crate::{
    repo::Repository,
    service::{
        Entropy, audit_chain::NewestCheckpoint, command::Polls, enrolment_token::TokenDesk, events::Events,
        ingest::Ingest, secret::SecretHasher, webhook::WebhookDesk,
    },
    store::Db,
};

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
    /// Makes enrolment tokens.
    pub enrolment_tokens: TokenDesk,
    /// Makes the keyed hashes of plugin secrets.
    pub secrets: SecretHasher,
    /// Takes receivers of webhooks.
    pub webhooks: WebhookDesk,
    /// The audit trail's newest checkpoint, for agents to witness.
    pub audit: NewestCheckpoint,
    /// Takes heartbeats.
    pub ingest: Ingest,
    /// Holds long polls.
    pub polls: Polls,
    /// What happens, live.
    pub events: Events,
    /// The release repository.
    pub repo: Repository,
    /// What `/metrics` is shown for; none: on this machine alone.
    pub metrics_token: Option<SecretString>,
    /// Seconds between heartbeats, told to agents.
    pub heartbeat_interval_s: u32,
}
