//! The detectors, one heartbeat further, in the transaction that takes it: any replica can take any heartbeat.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{
    bundle::manifest::Compatibility,
    detect::{Finding, IncidentType, PluginState, Settings, fleet::AGAINST},
    ids::{MerchantId, PluginId},
    protocol::heartbeat::Heartbeat,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    facts::{MODELLED, early, facts, once},
    models::{Fleet, run_models},
};
use crate::{
    service::healing::{Observed, observe},
    store::{
        StoreError, Tx,
        detector::{self, Remembered, States},
        policy, release,
    },
};

/// How long an agent's early word counts, unless it says that it goes on or that it is over; by then our own detectors
/// agree, or it is over.
const EARLY_LASTS: SignedDuration = SignedDuration::from_mins(15);

/// A plugin that was found ill by its release is held for so until its word against it falls below this, in nats.
const HELD: f64 = AGAINST / 3.0;

/// What a plugin said in a batch that was not known yet.
pub(super) struct News<'a> {
    /// Whose.
    pub merchant_id: MerchantId,
    /// Which.
    pub plugin_id: PluginId,
    /// What is installed.
    pub product: Option<String>,
    /// The platform, for plugins that do not say it themselves.
    pub cms: String,
    /// The version it ran until now, as far as we knew.
    pub version_before: String,
    /// Its heartbeats, in the order they came.
    pub heartbeats: Vec<&'a Heartbeat>,
}

/// Advances the detectors of the plugins in a batch, whose rows are held, and opens what they find.
///
/// # Errors
/// When the database fails.
pub(super) async fn detect(tx: &mut Tx, news: &[News<'_>], fleet: &Fleet, now: Timestamp) -> Result<(), StoreError> {
    if news.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = news.iter().map(|one| one.plugin_id.0).collect();
    let mut remembered = detector::load(tx, &ids).await?;
    let limits = compatibilities(tx, news).await?;
    let settings = Settings {
        severity: policy::severities(tx).await?,
        ..Settings::default()
    };
    let (mut states, mut observed) = (States::default(), Vec::new());
    for one in news {
        let known = remembered.remove(&one.plugin_id).unwrap_or_default();
        let last = one.heartbeats.last().map_or("", |last| last.plugin_version.as_str());
        let limit = one
            .product
            .clone()
            .and_then(|product| limits.get(&(product, last.to_owned())));
        let (next, word, seen) = examine(one, &known, (limit, fleet, &settings), now);
        states.push(one.plugin_id, &next, word);
        if last != one.version_before && one.version_before != "unknown" {
            detector::version_changed(tx, one.plugin_id, (&one.version_before, last), now).await?;
        }
        if !seen.findings.is_empty() || !seen.recovered.is_empty() {
            observed.push(seen);
        }
    }
    detector::save(tx, &states, now).await?;
    observe(tx, &observed, now).await
}

/// What the releases that run there say about what they run on.
async fn compatibilities(
    tx: &mut Tx,
    news: &[News<'_>],
) -> Result<HashMap<(String, String), Compatibility>, StoreError> {
    let mut wanted = BTreeSet::new();
    for one in news {
        if let (Some(product), Some(last)) = (&one.product, one.heartbeats.last()) {
            wanted.insert((product.clone(), last.plugin_version.clone()));
        }
    }
    release::compatibilities(tx, &wanted).await
}

/// One plugin's news against what is remembered of it: what is to be remembered now, and what was seen.
fn examine(
    news: &News<'_>,
    known: &Remembered,
    (limit, fleet, settings): (Option<&Compatibility>, &Fleet, &Settings),
    now: Timestamp,
) -> (Remembered, Option<f64>, Observed) {
    let mut state = PluginState::from_bytes(&known.state);
    let mut ill: BTreeSet<IncidentType> = known.ill.iter().filter_map(|name| name.parse().ok()).collect();
    let (mut findings, mut recovered) = (BTreeMap::new(), BTreeSet::new());
    let mut early_until = known.early_until;
    let mut agent_holds: Option<&[IncidentType]> = None;
    // Whoever speaks is not silent.
    recovered.insert(IncidentType::HeartbeatMissed);
    for heartbeat in &news.heartbeats {
        run_models(
            &mut state,
            heartbeat,
            (&news.cms, fleet, settings),
            (&mut findings, &mut recovered),
        );
        // The agent's own detector looks at windows of seconds, which come here summed up.
        for finding in early(heartbeat, &settings.severity) {
            recovered.remove(&finding.incident_type);
            findings.entry(finding.incident_type).or_insert(finding);
            early_until = now.checked_add(EARLY_LASTS).ok();
        }
        if let Some(ill) = &heartbeat.ill {
            agent_holds = Some(ill);
            if early_until.is_some() && !ill.is_empty() {
                early_until = now.checked_add(EARLY_LASTS).ok();
            }
        }
        for (incident_type, verdict) in facts(heartbeat, limit) {
            if let Some(finding) = verdict {
                recovered.remove(&incident_type);
                findings.insert(incident_type, finding);
            } else {
                findings.remove(&incident_type);
                recovered.insert(incident_type);
            }
        }
    }
    once(&mut findings, (&ill, &recovered), &news.heartbeats);
    let backed: BTreeSet<IncidentType> = state.ill().collect();
    early_until = early_until.filter(|until| now < *until);
    // Its word stands until its time is over or it says itself that the illness is.
    let agent_holds = |one: &IncidentType| early_until.is_some() && agent_holds.is_none_or(|ill| ill.contains(one));
    recovered.extend(
        MODELLED
            .into_iter()
            .filter(|one| !backed.contains(one) && !findings.contains_key(one) && !agent_holds(one)),
    );
    // What the release does that runs there is over when the plugin's own numbers no longer speak against it.
    if ill.contains(&IncidentType::TelemetryAnomaly) && state.word().is_some_and(|word| word >= HELD) {
        recovered.remove(&IncidentType::TelemetryAnomaly);
    }
    // What has gone on for a day counts as usual to the detectors; it is not over for that.
    let settled: BTreeSet<IncidentType> = state.settled(settings).collect();
    recovered.retain(|over| !settled.contains(over) && ill.remove(over));
    ill.extend(findings.keys());
    let next = Remembered {
        state: state.to_bytes(),
        early_until,
        ill: ill
            .into_iter()
            .map(|incident_type| incident_type.as_str().to_owned())
            .collect(),
    };
    (next, state.word(), observed(news, findings, recovered))
}

fn observed(news: &News<'_>, findings: BTreeMap<IncidentType, Finding>, recovered: BTreeSet<IncidentType>) -> Observed {
    let last = news.heartbeats.last();
    Observed {
        merchant_id: news.merchant_id,
        plugin_id: news.plugin_id,
        version: last.map(|last| last.plugin_version.clone()).unwrap_or_default(),
        findings: findings.into_values().collect(),
        recovered: recovered.into_iter().collect(),
        snapshot: last.map_or(Value::Null, |last| snapshot(last)),
    }
}

/// What is kept with an incident: the heartbeat but its windows, and the last of them.
fn snapshot(heartbeat: &Heartbeat) -> Value {
    let mut snapshot = serde_json::to_value(Heartbeat {
        windows: Vec::new(),
        ..heartbeat.clone()
    })
    .unwrap_or(Value::Null);
    if let (Some(fields), Some(window)) = (snapshot.as_object_mut(), heartbeat.windows.last()) {
        fields.insert("last_window".to_owned(), json!(window));
    }
    snapshot
}

#[cfg(test)]
mod tests {
    use super::{super::facts::certain, *};

    fn heartbeat(extra: Value) -> Heartbeat {
        let mut beat = json!({
            "plugin_id": "018f3a10-0000-7000-8000-000000000001", "merchant_id": "018f3a10-0000-7000-8000-000000000002",
            "plugin_version": "1.2.2", "env": { "node": "18.1" }, "errors_last_24h": 0, "uptime": 100,
            "timestamp": "2026-11-01T00:10:00Z",
        });
        let Value::Object(extra) = extra else {
            panic!("{extra} is no object");
        };
        beat.as_object_mut().unwrap().extend(extra);
        serde_json::from_value(beat).unwrap()
    }

    fn look(heartbeat: &Heartbeat, known: &Remembered, limit: Option<&Compatibility>) -> (Remembered, Observed) {
        let news = News {
            merchant_id: heartbeat.merchant_id,
            plugin_id: heartbeat.plugin_id,
            product: None,
            cms: "node".to_owned(),
            version_before: "1.2.2".to_owned(),
            heartbeats: vec![heartbeat],
        };
        let (next, _word, seen) = examine(
            &news,
            known,
            (limit, &Fleet::default(), &Settings::default()),
            heartbeat.timestamp,
        );
        (next, seen)
    }

    #[test]
    fn the_worked_example_is_found_and_a_healthy_heartbeat_finds_nothing() {
        let sick = heartbeat(json!({ "errors_last_24h": 50, "webhook_fail_rate": 0.6 }));
        let (next, seen) = look(&sick, &Remembered::default(), None);
        assert_eq!(next.ill, ["webhook_fail_rate"]);
        let found = seen.findings[0];
        assert_eq!(
            (found.incident_type.as_str(), found.severity.as_str()),
            ("webhook_fail_rate", "medium")
        );
        let (next, seen) = look(
            &heartbeat(json!({ "webhook_fail_rate": 0.01 })),
            &Remembered::default(),
            None,
        );
        assert!(next.ill.is_empty() && seen.findings.is_empty() && seen.recovered.is_empty());
    }

    #[test]
    fn whoever_was_silent_and_speaks_has_recovered() {
        let silent = Remembered {
            ill: vec!["heartbeat_missed".to_owned()],
            ..Remembered::default()
        };
        let (next, seen) = look(&heartbeat(json!({})), &silent, None);
        assert_eq!(
            (next.ill.len(), seen.recovered.as_slice()),
            (0, &[IncidentType::HeartbeatMissed][..])
        );
    }

    #[test]
    fn a_tampered_tree_is_critical_until_it_is_intact() {
        let report = |intact: bool| json!({ "integrity": { "checked_at": "2026-11-01T00:09:00Z", "intact": intact, "differing": ["a.js"] } });
        let (tampered, seen) = look(&heartbeat(report(false)), &Remembered::default(), None);
        assert_eq!(
            (tampered.ill.as_slice(), seen.findings[0].severity.as_str()),
            (&["signature_invalid".to_owned()][..], "critical")
        );
        // A heartbeat that does not speak of it changes nothing.
        let (still, seen) = look(&heartbeat(json!({})), &tampered, None);
        assert_eq!((still.ill.len(), seen.recovered.len()), (1, 0));
        let (intact, seen) = look(&heartbeat(report(true)), &still, None);
        assert_eq!((intact.ill.len(), seen.recovered.len()), (0, 1));
    }

    #[test]
    fn an_agents_early_word_counts_until_our_own_detectors_had_their_time() {
        let finding = certain(IncidentType::ErrorSpike, 1_793_491_800, 9);
        let (early, seen) = look(&heartbeat(json!({ "early": [finding] })), &Remembered::default(), None);
        assert_eq!(
            (early.ill.as_slice(), seen.findings.len()),
            (&["error_spike".to_owned()][..], 1)
        );
        let (still, seen) = look(&heartbeat(json!({ "timestamp": "2026-11-01T00:12:00Z" })), &early, None);
        assert_eq!((still.ill.len(), seen.recovered.len()), (1, 0));
        let (over, seen) = look(&heartbeat(json!({ "timestamp": "2026-11-01T00:26:00Z" })), &still, None);
        assert_eq!((over.ill.len(), seen.recovered.len()), (0, 1));
    }

    #[test]
    fn an_agent_says_itself_that_what_it_found_early_is_over() {
        let finding = certain(IncidentType::ErrorSpike, 1_793_491_800, 9);
        let said = json!({ "early": [finding], "ill": ["error_spike"] });
        let (early, _) = look(&heartbeat(said), &Remembered::default(), None);
        let goes_on = json!({ "timestamp": "2026-11-01T00:20:00Z", "ill": ["error_spike"] });
        let (still, seen) = look(&heartbeat(goes_on), &early, None);
        assert_eq!((still.ill.len(), seen.recovered.len()), (1, 0));
        let later = json!({ "timestamp": "2026-11-01T00:30:00Z", "ill": ["error_spike"] });
        let (still, _) = look(&heartbeat(later), &still, None);
        assert_eq!(still.ill.len(), 1, "it says that it goes on");
        let (over, seen) = look(
            &heartbeat(json!({ "timestamp": "2026-11-01T00:31:00Z", "ill": [] })),
            &still,
            None,
        );
        assert_eq!((over.ill.len(), seen.recovered.len()), (0, 1));
    }

    #[test]
    fn errors_that_are_failing_webhooks_are_one_illness() {
        let found = |kind| certain(kind, 1_793_491_800, 9);
        let both = [found(IncidentType::WebhookFailRate), found(IncidentType::ErrorSpike)];
        let said = |errors: u64| {
            let window = json!({ "seq": 1, "from": "2026-11-01T00:09:55Z", "to": "2026-11-01T00:10:00Z", "requests": 100,
                "errors": errors, "webhook_total": 50, "webhook_failed": 30 });
            look(
                &heartbeat(json!({ "early": both, "windows": [window] })),
                &Remembered::default(),
                None,
            )
            .0
            .ill
        };
        assert_eq!(said(31), ["webhook_fail_rate"]);
        assert_eq!(said(60), ["webhook_fail_rate", "error_spike"]);
    }

    #[test]
    fn a_managed_setting_that_was_changed_is_drift() {
        let report = |drifted: &[&str]| {
            let (managed, found) = ("11".repeat(32), if drifted.is_empty() { "11" } else { "22" }.repeat(32));
            json!({ "settings": { "checked_at": "2026-11-01T00:09:00Z", "file": "settings.json", "drifted": drifted,
                "managed_sha256": managed, "found_sha256": found } })
        };
        let (drifted, seen) = look(&heartbeat(report(&["timeout_ms"])), &Remembered::default(), None);
        assert_eq!(
            (drifted.ill.as_slice(), seen.findings[0].severity.as_str()),
            (&["config_drift".to_owned()][..], "low")
        );
        let (healed, _) = look(&heartbeat(report(&[])), &drifted, None);
        assert!(healed.ill.is_empty());
    }

    #[test]
    fn a_release_that_does_not_fit_its_surroundings_is_found() {
        let limit: Compatibility = serde_json::from_value(json!({ "env": { "node": ">=20" } })).unwrap();
        let (next, _) = look(&heartbeat(json!({})), &Remembered::default(), Some(&limit));
        assert_eq!(next.ill, ["version_incompatibility"]);
        let (next, seen) = look(&heartbeat(json!({ "env": { "node": "v22.1.0" } })), &next, Some(&limit));
        assert_eq!((next.ill.len(), seen.recovered.len()), (0, 1));
        let (unknown, _) = look(&heartbeat(json!({ "env": {} })), &Remembered::default(), Some(&limit));
        assert!(unknown.ill.is_empty(), "what is not said is no finding");
    }
    #[test]
    fn what_is_ill_for_more_than_a_day_is_not_over_until_it_is_better() {
        let (mut known, mut settled) = (Remembered::default(), false);
        let start = 1_793_491_200;
        for i in 0..1_000 {
            // Webhooks fail from the first hour on, and no longer after 28 hours.
            let rate = if (30..840).contains(&i) { 0.6 } else { 0.01 };
            let at = jiff::Timestamp::from_second(start + i * 120).unwrap();
            let beat = heartbeat(json!({ "webhook_fail_rate": rate, "timestamp": at }));
            let (next, seen) = look(&beat, &known, None);
            settled |= seen.findings.is_empty() && (30..840).contains(&i);
            let is_ill = (30..840).contains(&i);
            assert_eq!(next.ill.contains(&"webhook_fail_rate".to_owned()), is_ill, "{i}");
            known = next;
        }
        assert!(settled, "the detectors took it for usual after a day");
    }
}
