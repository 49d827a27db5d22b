//! Wires what seals the audit trail and hands its checkpoints to witnesses.

use std::sync::Arc;

use anyhow::Context as _;
use plugmend_shared::audit::checkpoint::LogKey;
use ring::rand::SystemRandom;

use super::run_reconciler;
use crate::{
    config::{Role, Settings},
    http::AppState,
    jobs::{Checkpoints, WitnessedCheckpoint},
    lifecycle::Lifecycle,
    pki::audit_key,
    service::audit_chain::{NewestCheckpoint, Sealer},
};

/// The log's name, in its checkpoints and its key.
fn origin(settings: &Settings) -> String {
    format!("{}/audit", settings.gateway.trust_domain)
}

/// What `plugmend audit verify` takes as `--key`; the key is made when there is none.
///
/// # Errors
/// When it can not be read or made.
pub fn key(settings: &Settings) -> anyhow::Result<LogKey> {
    let dir = &settings.audit_dir;
    let pair = audit_key::load_or_make(dir, &SystemRandom::new())
        .with_context(|| format!("the key of the audit trail in {} can not be used", dir.display()))?;
    Ok(LogKey::of(&origin(settings), &pair)?)
}

/// The newest checkpoint. The key that agents' words are checked by is the worker's; a process on another machine may
/// have it, and does without if not.
pub(super) fn newest(settings: &Settings, roles: &[Role]) -> anyhow::Result<NewestCheckpoint> {
    if roles.contains(&Role::Worker) {
        return Ok(NewestCheckpoint::new(Some(key(settings)?)));
    }
    let pair = audit_key::load(&settings.audit_dir).ok();
    let key = pair.and_then(|pair| LogKey::of(&origin(settings), &pair).ok());
    Ok(NewestCheckpoint::new(key))
}

/// Seals, in a worker.
pub(super) fn start_sealing(settings: &Settings, state: &AppState, lifecycle: &mut Lifecycle) -> anyhow::Result<()> {
    let dir = &settings.audit_dir;
    let pair = audit_key::load_or_make(dir, &SystemRandom::new())
        .with_context(|| format!("the key of the audit trail in {} can not be used", dir.display()))?;
    let sealer = Sealer::new(state.db.clone(), &origin(settings), pair, dir)?;
    run_reconciler(Arc::new(Checkpoints::new(sealer)), state, lifecycle);
    Ok(())
}

/// Keeps the newest checkpoint at hand, in a gateway.
pub(super) fn start_witnessing(state: &AppState, lifecycle: &mut Lifecycle) {
    let job = WitnessedCheckpoint::new(state.db.clone(), state.audit.clone());
    run_reconciler(Arc::new(job), state, lifecycle);
}
