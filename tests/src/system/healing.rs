//! The whole system with everything that heals: a plugin at work, a staging runner, and receivers for merchant and ops.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{LIMIT, Pace, Receiver, StagingDoor, StagingRunner, Whole, WriteVersion, sql};
use crate::{
    postgres::{Durability, Postgres},
    shop::chatter::{self, Chatter},
    wait,
};

/// What the release engineers say about a release that is to cure: tried before it goes to a shop.
const SMOKE_TEST: &str = "\n[[smoke_tests]]\nname = \"it is whole\"\nargv = [\"sh\", \"-c\", \"test -s VERSION && test -s lib/part1\"]\n\
     timeout_ms = 10000\n";
/// So that a cure may follow the other at once; everything else is as it comes.
const QUICK: &str =
    "UPDATE ops_policy SET autopatch_cooldown_seconds = 0, autopatch_max_attempts_per_day = 20 WHERE id = 1";
/// The longest that a whole healing may take here, beside the pace: an illness that is found slowly, a trial, a
/// confirmation.
const HEALED_WITHIN: Duration = Duration::from_mins(2);

/// What may differ.
pub struct Plan {
    /// How version [`super::FIRST`] is laid out.
    pub first: WriteVersion,
    /// Further variables of the control plane's environment.
    pub env: Vec<(&'static str, String)>,
    /// How fast everything goes.
    pub pace: Pace,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            first: chatter::write_fragile,
            env: Vec::new(),
            pace: Pace::default(),
        }
    }
}

/// Everything. Fields are dropped in this order, each before what it stands on.
pub struct Healing {
    /// The plugin at work.
    pub chatter: Chatter,
    /// Tries releases out.
    pub runner: StagingRunner,
    /// The system.
    pub whole: Whole,
    /// What the merchant is told.
    pub merchant: Receiver,
    /// What ops are told.
    pub ops: Receiver,
    pace: Pace,
}

impl Healing {
    /// Starts everything, to the point where the plugin works well and the control plane has heard so.
    pub async fn start(plan: Plan) -> Result<Self> {
        let door = StagingDoor::new()?;
        let mut env = door.env();
        env.push(("PLUGMEND_WEBHOOK_NETWORKS", "127.0.0.0/8".to_owned()));
        env.extend(plan.env);
        let postgres = Postgres::obtain(Durability::Relaxed)?;
        let whole = Whole::with(postgres, "exchange", &env, plan.first, plan.pace).await?;
        sql::run(whole.control_plane.database_url(), QUICK).await?;
        let api = whole.control_plane.ops();
        let this = Self {
            chatter: Chatter::start(whole.plugin.clone(), whole.udp)?,
            runner: StagingRunner::start(&door, &whole.control_plane, &whole.releases)?,
            merchant: Receiver::start(&api, Some(whole.agent.merchant_id())).await?,
            ops: Receiver::start(&api, None).await?,
            whole,
            pace: plan.pace,
        };
        let counted = format!(
            "SELECT coalesce(sum(webhook_total), 0)::text FROM plugin_telemetry WHERE plugin_id = '{}'",
            this.whole.agent.plugin_id()
        );
        this.until("webhooks in the telemetry", async || {
            let seen = this.texts(&counted).await?;
            Ok(seen
                .first()
                .is_some_and(|n| n.parse::<u64>().unwrap_or(0) > 40)
                .then_some(()))
        })
        .await?;
        Ok(this)
    }

    /// Publishes a version that claims to cure failing webhooks, and that can be tried out.
    pub fn offer(&self, version: &str, write: WriteVersion) -> Result<Value> {
        let keys = "fixes = [\"webhook_fail_rate\"]\n";
        self.whole.publish_as(version, write, keys, SMOKE_TEST)
    }

    /// The incidents of a type, as the API shows them, newest first.
    pub async fn incidents(&self, kind: &str) -> Result<Vec<Value>> {
        let page = self
            .whole
            .control_plane
            .ops()
            .get("/api/ops/plugin-incidents?limit=100")
            .await?;
        let all = page["incidents"].as_array().context("a list of incidents")?;
        Ok(all.iter().filter(|one| one["incident_type"] == kind).cloned().collect())
    }

    /// Waits until the newest incident of a type is as `wanted` likes it.
    pub async fn until_incident(&self, kind: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let what = format!("an incident {kind} that is {what}");
        self.until(&what, async || {
            Ok(self.incidents(kind).await?.into_iter().next().filter(|one| wanted(one)))
        })
        .await
    }

    /// Waits until the newest attempt at a version stands as `status`.
    pub async fn until_attempt(&self, to_version: &str, status: &str) -> Result<Value> {
        let what = format!("an attempt at {to_version} that is {status}");
        self.until(&what, async || {
            let newest = self
                .attempts()
                .await?
                .into_iter()
                .find(|one| one["to_version"] == to_version);
            Ok(newest.filter(|one| one["status"] == status))
        })
        .await
    }

    /// The attempts as the API shows them, newest first.
    pub async fn attempts(&self) -> Result<Vec<Value>> {
        let page = self
            .whole
            .control_plane
            .ops()
            .get("/api/ops/autopatch-attempts?limit=100")
            .await?;
        Ok(page["attempts"].as_array().context("a list of attempts")?.clone())
    }

    /// Waits until a receiver was told of such an event.
    pub async fn until_told(&self, receiver: &Receiver, kind: &str) -> Result<()> {
        self.until(kind, async || Ok(receiver.knows(kind)?.then_some(()))).await
    }

    /// What the audit trail says was done, oldest first.
    pub async fn trail(&self) -> Result<Vec<String>> {
        self.texts(
            "SELECT action FROM plugin_audit LEFT JOIN audit_waiting USING (entry_id) LEFT JOIN audit_leaves USING (entry_id)
             ORDER BY audit_leaves.seq NULLS LAST, audit_waiting.number",
        )
        .await
    }

    /// Runs a statement as people of ops do.
    pub async fn by_hand(&self, statement: &str) -> Result<u64> {
        sql::run(self.whole.control_plane.database_url(), statement).await
    }

    /// The first column of what a query gives, as text.
    pub async fn texts(&self, query: &str) -> Result<Vec<String>> {
        sql::texts(self.whole.control_plane.database_url(), query).await
    }

    /// Waits for a value, for as long as a whole healing may take.
    pub async fn until<T>(&self, what: &str, look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
        let pace = Duration::from_secs(u64::from(self.pace.heartbeat_s * 4 + self.pace.watch_s));
        let found = wait::until_async(what, HEALED_WITHIN.max(LIMIT) + pace, look).await;
        match found {
            Ok(value) => Ok(value),
            Err(error) => {
                let incidents = self
                    .whole
                    .control_plane
                    .ops()
                    .get("/api/ops/plugin-incidents?limit=5")
                    .await;
                let attempts = self.attempts().await.unwrap_or_default();
                let told = json!({"incidents": incidents.unwrap_or_default(), "attempts": attempts});
                Err(error).with_context(|| format!("{told:#}\n{}", self.whole.logs()))
            }
        }
    }
}
