//! From a decision to an attempt, and from an attempt to what the policy judges.

use jiff::Timestamp;
use plugmend_shared::{
    bundle::manifest::Impact,
    ids::{AttemptId, Product},
};
use semver::Version;
use serde_json::Value;

use crate::{
    domain::{
        approval::Approval,
        attempt::{Attempt, Method, Origin, Status, installs, order_kind},
        decision::Decision,
        incident::Incident,
        policy::{Cure, Grounds, PluginFacts, Policy, ReleaseFacts, Verdict},
    },
    service::command::Recipient,
    store::{self, StoreError, Tx, attempt::PluginSituation},
};

/// A cure with everything that it is judged by.
pub struct Judged {
    /// The judgement.
    pub verdict: Verdict,
    /// What it rests on.
    pub grounds: Grounds,
}

/// The attempt that a decision comes to; none when there is nothing to be done to the plugin.
pub fn from_decision(
    decision: &Decision,
    incident: &Incident,
    situation: &PluginSituation,
    id: AttemptId,
    now: Timestamp,
) -> Option<Attempt> {
    let method = decision.method.or_else(|| decision.action.method())?;
    let to_version = match method {
        Method::Reinstall => decision
            .patch_version
            .clone()
            .or_else(|| situation.version.parse().ok()),
        _ => decision.patch_version.clone(),
    };
    Some(Attempt {
        id,
        incident_id: incident.id,
        plugin_id: incident.plugin_id,
        status: Status::Pending,
        origin: Origin::Automatic,
        method,
        from_version: situation.version.clone(),
        to_version,
        product: situation.product.clone(),
        release_digest: None,
        config: decision.config.clone(),
        confidence: decision.confidence,
        impact: impact(decision.estimated_impact.as_ref()),
        requires_approval: false,
        approvals: Vec::new(),
        staged: None,
        staging_tries: 0,
        command_id: None,
        order_ended_at: None,
        status_since: now,
        deadline_at: now,
    })
}

/// How much a mistake would cost, where the decider says it in one of the known words.
fn impact(said: Option<&Value>) -> Option<Impact> {
    let word = match said? {
        Value::Object(fields) => fields.get("level").or_else(|| fields.get("impact"))?,
        word => word,
    };
    serde_json::from_value(word.clone()).ok()
}

/// Judges an attempt by the policy and by what is known at this moment.
///
/// # Errors
/// When the database fails.
pub async fn judge_attempt(
    tx: &mut Tx,
    policy: &Policy,
    incident: &Incident,
    attempt: &Attempt,
    now: Timestamp,
) -> Result<Judged, StoreError> {
    let situation = store::attempt::plugin(tx, attempt.plugin_id, Some(attempt.id), now).await?;
    let release = match (&attempt.product, &attempt.to_version) {
        (Some(product), Some(version)) => known_release(tx, attempt, product, version).await?,
        _ => None,
    };
    let recipient = Recipient {
        id: attempt.plugin_id,
        agent_managed: situation.agent_managed,
        capabilities: situation.capabilities.clone(),
    };
    let plugin = PluginFacts {
        is_capable: recipient.can(order_kind(attempt.method)),
        approvals: said_about(attempt),
        ..situation.facts.clone()
    };
    let cure = Cure {
        method: attempt.method,
        to_version: attempt.to_version.clone(),
        confidence: attempt.confidence,
        impact: attempt.impact,
        origin: attempt.origin,
    };
    let grounds = Grounds {
        severity: incident.severity,
        cure,
        release,
        plugin,
    };
    Ok(Judged {
        verdict: grounds.judge(policy, now),
        grounds,
    })
}

/// The approvals that were given for exactly what the attempt would do. Those that were written by hand name no content.
fn said_about(attempt: &Attempt) -> Vec<Approval> {
    let content = attempt.content();
    let is_about = |approval: &&Approval| approval.content_digest.is_none_or(|about| about == content);
    attempt.approvals.iter().filter(is_about).cloned().collect()
}

/// The release that an attempt names; the same version with another content is another release.
async fn known_release(
    tx: &mut Tx,
    attempt: &Attempt,
    product: &Product,
    version: &Version,
) -> Result<Option<ReleaseFacts>, StoreError> {
    let release = store::attempt::release(tx, (product, version), attempt.plugin_id).await?;
    Ok(release.filter(|release| attempt.release_digest.is_none_or(|digest| digest == release.digest)))
}

/// Whether a roll-back names a release that was never published here (release zero, say): then it can only mean "the one
/// before".
pub fn goes_to_the_one_before(attempt: &Attempt, release: Option<&ReleaseFacts>) -> bool {
    !installs(attempt.method) && attempt.method == Method::Rollback && release.is_none()
}
