//! One transaction for many heartbeats.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{
    ids::PluginId,
    protocol::{command::Command, heartbeat::Heartbeat},
};
use uuid::Uuid;

use super::{
    Arrival, IngestError, Proof,
    detect::{News, detect},
    models::Fleet,
};
use crate::{
    domain::heartbeat::LastHeard,
    service::command::{Recipient, take_due},
    store::{
        Db, StoreError,
        heartbeat::{self, Known, Latest, Windows},
    },
};

/// Commits the heartbeats; one outcome for each, in their order.
pub(super) async fn commit(
    db: &Db,
    arrivals: &[Arrival],
    fleet: &Fleet,
    now: Timestamp,
) -> Result<Vec<Result<Vec<Command>, IngestError>>, StoreError> {
    let mut ids: Vec<Uuid> = arrivals.iter().map(|arrival| arrival.heartbeat.plugin_id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut tx = db.begin().await?;
    let known: HashMap<PluginId, Known> = heartbeat::lock_free(&mut tx, &ids)
        .await?
        .into_iter()
        .map(|known| (known.id, known))
        .collect();
    ids.retain(|id| !known.contains_key(&PluginId(*id)));
    let held = if ids.is_empty() {
        HashSet::new()
    } else {
        heartbeat::existing(&mut tx, &ids).await?
    };
    let plan = Plan::make(arrivals, known.clone(), &held, now);
    heartbeat::append_windows(&mut tx, &plan.windows, now).await?;
    heartbeat::update_latest(&mut tx, &plan.latest, now).await?;
    for (id, capabilities) in &plan.declared {
        heartbeat::update_capabilities(&mut tx, *id, capabilities).await?;
    }
    detect(&mut tx, &news(&plan, &known), fleet, now).await?;
    // A heartbeat is no tight circle: whatever was sent before without an echo goes along again.
    let mut commands = take_due(&mut tx, &plan.recipients, now, SignedDuration::ZERO).await?;
    tx.commit().await?;
    let answer = |(arrival, verdict): (&Arrival, Result<(), IngestError>)| {
        verdict.map(|()| commands.remove(&arrival.heartbeat.plugin_id).unwrap_or_default())
    };
    Ok(arrivals.iter().zip(plan.verdicts).map(answer).collect())
}

/// What the plugins said that was not known before this batch.
fn news<'a>(plan: &Plan<'a>, known: &HashMap<PluginId, Known>) -> Vec<News<'a>> {
    let said = plan.news.iter().filter_map(|(id, heartbeats)| {
        let before = known.get(id)?;
        Some(News {
            merchant_id: before.merchant_id,
            plugin_id: *id,
            product: before.product.clone(),
            cms: before.cms.clone(),
            version_before: before.version.clone(),
            heartbeats: heartbeats.clone(),
        })
    });
    said.collect()
}

/// What a batch will do, decided before anything is written.
#[derive(Default)]
struct Plan<'a> {
    verdicts: Vec<Result<(), IngestError>>,
    windows: Windows,
    latest: Latest,
    declared: Vec<(PluginId, Vec<String>)>,
    recipients: Vec<Recipient>,
    /// The news of each plugin, in the order they came; by id, as the rows were locked.
    news: BTreeMap<PluginId, Vec<&'a Heartbeat>>,
}

impl<'a> Plan<'a> {
    fn make(
        arrivals: &'a [Arrival],
        mut known: HashMap<PluginId, Known>,
        held: &HashSet<PluginId>,
        now: Timestamp,
    ) -> Self {
        let mut plan = Self::default();
        for arrival in arrivals {
            let heartbeat = &arrival.heartbeat;
            let verdict = if held.contains(&heartbeat.plugin_id) {
                Err(IngestError::Held)
            } else {
                authorize(arrival, known.get(&heartbeat.plugin_id), now)
            };
            if verdict.is_ok() {
                for window in &heartbeat.windows {
                    plan.windows.push(heartbeat.merchant_id, heartbeat.plugin_id, window);
                }
                if let Some(known) = known.get_mut(&heartbeat.plugin_id) {
                    plan.welcome(arrival, known);
                    if known.last.is_news(heartbeat) {
                        known.last = LastHeard::after(heartbeat);
                        plan.news.entry(heartbeat.plugin_id).or_default().push(heartbeat);
                    }
                }
            }
            plan.verdicts.push(verdict);
        }
        for (id, heartbeats) in &plan.news {
            let Some(heartbeat) = heartbeats.last() else { continue };
            let heard = LastHeard::after(heartbeat);
            plan.latest.push(
                *id,
                &heartbeat.plugin_version,
                report(heartbeat),
                heartbeat.errors_last_24h,
                heard,
            );
        }
        plan
    }

    fn welcome(&mut self, arrival: &Arrival, known: &mut Known) {
        if let Some(capabilities) = arrival
            .capabilities
            .as_ref()
            .filter(|declared| **declared != known.capabilities)
        {
            known.capabilities.clone_from(capabilities);
            self.declared.push((known.id, capabilities.clone()));
        }
        // Twice in one batch is possible (a repeat); orders go with the first answer.
        if self.recipients.iter().all(|recipient| recipient.id != known.id) {
            self.recipients.push(Recipient {
                id: known.id,
                agent_managed: known.agent_managed,
                capabilities: known.capabilities.clone(),
            });
        }
    }
}

fn authorize(arrival: &Arrival, known: Option<&Known>, now: Timestamp) -> Result<(), IngestError> {
    const UNKNOWN: IngestError = IngestError::Unauthorized("plugin, merchant and secret do not belong together");
    let known = known
        .filter(|known| known.merchant_id == arrival.heartbeat.merchant_id)
        .ok_or(UNKNOWN)?;
    match &arrival.proof {
        Proof::Agent => Ok(()),
        Proof::Secret(_) if known.agent_managed => Err(IngestError::Unauthorized(
            "an agent looks after this plugin; a plugin secret is not taken",
        )),
        Proof::Secret(hash) if known.has_secret(hash, now) => Ok(()),
        Proof::Secret(_) => Err(UNKNOWN),
    }
}

/// The heartbeat as JSON text for `merchant_plugins.telemetry`: all but its windows, which have a table of their own.
fn report(heartbeat: &Heartbeat) -> String {
    let without_windows = Heartbeat {
        windows: Vec::new(),
        ..heartbeat.clone()
    };
    serde_json::to_string(&without_windows).unwrap_or_else(|_| "{}".to_owned())
}
