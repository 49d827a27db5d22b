//! What `plugmend-agent status` shows of a running agent.

use std::{collections::BTreeMap, path::PathBuf};

use jiff::Timestamp;
use plugmend_shared::ids::Product;
use serde::Serialize;
use serde_json::Value;

use super::{
    Common,
    board::{InHand, Standing, chain},
};
use crate::{
    domain::trial::LiveCounters as _,
    platform::facts,
    upstream::identity_store::{IdentityStore, IdentitySummary},
};

/// What does not change while the agent runs.
#[derive(Debug, Clone, Serialize)]
pub struct Place {
    /// The product.
    pub product: Product,
    /// Where it lies.
    pub path: PathBuf,
    /// How it is swapped.
    pub layout: &'static str,
    /// The control plane.
    pub control_plane: String,
}

/// Everything that is shown.
#[derive(Debug, Clone, Serialize)]
pub struct AgentStatus {
    /// Whether the agent runs.
    pub running: bool,
    /// The agent's version.
    pub agent_version: &'static str,
    /// What it looks after.
    pub place: Place,
    /// Who it is; absent before enrolment.
    pub identity: Option<IdentitySummary>,
    /// The engine's own word: what is installed, what was before, what is quarantined.
    pub engine: Value,
    /// What only a running agent knows.
    #[serde(flatten)]
    pub live: Option<Live>,
    /// What is wrong, by what it is about.
    pub troubles: BTreeMap<String, String>,
}

/// What only a running agent knows.
#[derive(Debug, Clone, Serialize)]
pub struct Live {
    /// How it stands with its control plane.
    pub standing: Standing,
    /// When a heartbeat was last answered.
    pub last_answer: Option<Timestamp>,
    /// Seconds between heartbeats.
    pub heartbeat_interval_s: u64,
    /// The order in hand.
    pub order: Option<InHand>,
    /// Seconds since its start.
    pub uptime_s: u64,
    /// Its resident memory, in bytes.
    pub rss_bytes: u64,
    /// What the plugin said.
    pub telemetry: Heard,
}

/// What the plugin said.
#[derive(Debug, Clone, Serialize)]
pub struct Heard {
    /// Requests since the agent's start.
    pub requests: u64,
    /// Errors since the agent's start.
    pub errors: u64,
    /// Webhook deliveries since the agent's start.
    pub webhook_total: u64,
    /// Failed ones.
    pub webhook_failed: u64,
    /// Seconds since it was last heard; absent when it never was.
    pub silent_for_s: Option<u64>,
    /// The version it says it runs.
    pub version: Option<String>,
    /// The words of its last error.
    pub last_error: Option<String>,
    /// Windows that wait for the control plane.
    pub spooled_windows: u64,
    /// Windows that were dropped from a full spool, ever.
    pub spool_dropped: u64,
}

/// The status of a running agent.
pub fn of_running(common: &Common, place: &Place, identity: &IdentityStore, engine: Value) -> AgentStatus {
    let shown = common.board.shown();
    let heard = common.hub.heard();
    let mut troubles = shown.troubles;
    troubles.extend(
        heard
            .troubles
            .into_iter()
            .map(|(way, what)| (format!("telemetry.{way}"), what)),
    );
    let summary = identity.summary().unwrap_or_else(|error| {
        troubles.insert("identity".to_owned(), chain(&error));
        None
    });
    let spool_dropped = common.kept.spool_dropped().unwrap_or_else(|error| {
        troubles.insert("store".to_owned(), chain(&error));
        0
    });
    let counts = common.hub.counts();
    AgentStatus {
        running: true,
        agent_version: env!("CARGO_PKG_VERSION"),
        place: place.clone(),
        identity: summary,
        engine,
        live: Some(Live {
            standing: shown.standing,
            last_answer: shown.last_answer,
            heartbeat_interval_s: shown.heartbeat_interval_s,
            order: shown.in_hand,
            uptime_s: common.hub.elapsed().as_secs(),
            rss_bytes: facts::own_rss(),
            telemetry: Heard {
                requests: counts.requests,
                errors: counts.errors,
                webhook_total: counts.webhook_total,
                webhook_failed: counts.webhook_failed,
                silent_for_s: counts.silent_for.map(|silence| silence.as_secs()),
                version: heard.version,
                last_error: heard.last_error,
                spooled_windows: common.kept.spool_size().windows,
                spool_dropped,
            },
        }),
        troubles,
    }
}

/// The status when no agent runs.
pub fn of_stopped(place: Place, identity: Result<Option<IdentitySummary>, String>, engine: Value) -> AgentStatus {
    let mut troubles = BTreeMap::new();
    let identity = identity.unwrap_or_else(|error| {
        troubles.insert("identity".to_owned(), error);
        None
    });
    AgentStatus {
        running: false,
        agent_version: env!("CARGO_PKG_VERSION"),
        place,
        identity,
        engine,
        live: None,
        troubles,
    }
}
