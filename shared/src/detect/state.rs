//! What is remembered of one plugin between its heartbeats.

use super::{
    codec::{Fields, Reader, Writer},
    errors::Errors,
    kinds::IncidentType,
    latency::Latency,
    rules::Rule,
    settings::Settings,
    trial::{Scatter, Trial},
    watch::Watch,
    webhooks::Webhooks,
};

/// The layout of the bytes; another number means another layout.
const LAYOUT: u8 = 4;
/// No state takes more bytes than this.
pub const MAX_STATE_BYTES: usize = 384;

/// Everything the detectors remember of one plugin.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PluginState {
    /// End of the last window taken, in seconds since 1970; 0 before the first.
    pub(super) last_at: i64,
    /// The usual time between observations, in seconds; 0 before it is known.
    pub(super) interval_s: f32,
    /// How long the plugin has been observed, gaps left out, in seconds.
    pub(super) observed_s: f32,
    /// When the plugin started, as its uptime says; 0 before it is known.
    pub(super) started: u32,
    /// A hash of the version that runs; 0 before it is known.
    pub(super) version: u32,
    /// What is ill.
    pub(super) open: Open,
    /// Rule for errors in 24 hours.
    pub(super) rule_errors: Rule,
    /// Rule for the webhook failure rate.
    pub(super) rule_webhooks: Rule,
    /// Model of errors.
    pub(super) errors: Errors,
    /// Model of webhooks.
    pub(super) webhooks: Webhooks,
    /// Model of latency.
    pub(super) latency: Latency,
    /// The plugin after a change of its version.
    pub(super) trial: Trial,
}

/// The illnesses that are known and not over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Open(u8);

impl Open {
    fn bit(incident_type: IncidentType) -> u8 {
        1 << IncidentType::ALL
            .iter()
            .position(|one| *one == incident_type)
            .unwrap_or(7)
    }

    pub(super) fn holds(self, incident_type: IncidentType) -> bool {
        self.0 & Self::bit(incident_type) != 0
    }

    pub(super) fn put(&mut self, incident_type: IncidentType, ill: bool) {
        if ill {
            self.0 |= Self::bit(incident_type);
        } else {
            self.0 &= !Self::bit(incident_type);
        }
    }
}

impl PluginState {
    /// The state as it is stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        self.clone().walk(&mut writer);
        let mut bytes = vec![LAYOUT];
        writer.finish(&mut bytes);
        bytes
    }

    /// The state that was stored. Bytes of an unknown layout, and damaged ones, mean that nothing is known: the
    /// detectors start anew, which is safe and slow.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let Some((&LAYOUT, bytes)) = bytes.split_first() else {
            return Self::default();
        };
        let mut reader = Reader::new(bytes);
        let mut state = Self::default();
        state.walk(&mut reader);
        if reader.is_whole() { state } else { Self::default() }
    }

    /// The usual time between the plugin's observations, in seconds; `None` before it is known.
    pub fn interval_s(&self) -> Option<f64> {
        (self.interval_s > 0.0).then(|| f64::from(self.interval_s))
    }

    /// The plugin's word about the release it changed to, in nats: positive speaks against it. `None` when no change is
    /// watched.
    pub fn word(&self) -> Option<f64> {
        let scatter = Scatter {
            errors: self.errors.dispersion(),
            webhooks: self.webhooks.dispersion(),
            latency: self.latency.scatter(),
        };
        self.trial.is_on().then(|| self.trial.weight(scatter))
    }

    /// The illnesses that are known and not over.
    pub fn ill(&self) -> impl Iterator<Item = IncidentType> + '_ {
        IncidentType::ALL.into_iter().filter(|one| self.open.holds(*one))
    }

    /// The illnesses that have gone on for so long that they count as usual, and have not got better since.
    pub fn settled(&self, settings: &Settings) -> impl Iterator<Item = IncidentType> + use<> {
        let settled = [
            (
                IncidentType::WebhookFailRate,
                self.webhooks.watch.settled || self.rule_webhooks.settled,
            ),
            (
                IncidentType::ErrorSpike,
                self.errors.watch.settled || self.rule_errors.settled,
            ),
            (IncidentType::TelemetryAnomaly, self.latency.is_settled(settings)),
        ];
        settled
            .into_iter()
            .filter_map(|(incident_type, is_settled)| is_settled.then_some(incident_type))
    }

    /// The one list of fields, for both ways.
    fn walk(&mut self, fields: &mut impl Fields) {
        fields.long(&mut self.last_at);
        fields.numbers(&mut [&mut self.interval_s, &mut self.observed_s]);
        fields.moments(&mut [&mut self.started, &mut self.version]);
        fields.byte(&mut self.open.0);
        for rule in [&mut self.rule_errors, &mut self.rule_webhooks] {
            fields.numbers(&mut [&mut rule.usual]);
            fields.moments(&mut [&mut rule.since]);
            fields.flag(&mut rule.ill);
            fields.flag(&mut rule.settled);
        }
        walk_errors(&mut self.errors, fields);
        walk_webhooks(&mut self.webhooks, fields);
        walk_latency(&mut self.latency, fields);
        let trial = &mut self.trial;
        fields.moments(&mut [&mut trial.since]);
        fields.numbers(&mut [
            &mut trial.usual.own,
            &mut trial.usual.load,
            &mut trial.usual_share,
            &mut trial.seen,
            &mut trial.expected,
            &mut trial.webhooks.failed,
            &mut trial.webhooks.total,
            &mut trial.latency,
            &mut trial.blocks,
        ]);
    }
}

fn walk_watch(watch: &mut Watch, fields: &mut impl Fields) {
    watch.sums.iter_mut().for_each(|sum| fields.small(sum));
    fields.small(&mut watch.ease);
    fields.flag(&mut watch.settled);
    watch.noise.iter_mut().for_each(|one| fields.number(one));
    fields.numbers(&mut [&mut watch.block_noise, &mut watch.block_off, &mut watch.block_before]);
    fields.moments(&mut [&mut watch.block_from, &mut watch.since, &mut watch.alarm_at]);
}

fn walk_errors(errors: &mut Errors, fields: &mut impl Fields) {
    for split in [&mut errors.base, &mut errors.pending] {
        fields.numbers(&mut [
            &mut split.own_events,
            &mut split.seconds,
            &mut split.load_events,
            &mut split.requests,
        ]);
    }
    walk_watch(&mut errors.watch, fields);
    fields.numbers(&mut [
        &mut errors.block_seen,
        &mut errors.block_expected,
        &mut errors.ill_seen,
        &mut errors.ill_expected,
    ]);
    let jobs = &mut errors.jobs;
    jobs.hours.iter_mut().for_each(|hour| fields.byte(hour));
    fields.byte(&mut jobs.hour);
    fields.numbers(&mut [&mut jobs.peak, &mut jobs.total]);
    fields.moments(&mut [&mut jobs.from, &mut jobs.last]);
}

fn walk_webhooks(webhooks: &mut Webhooks, fields: &mut impl Fields) {
    for share in [
        &mut webhooks.base,
        &mut webhooks.pending,
        &mut webhooks.hour,
        &mut webhooks.ill,
        &mut webhooks.block,
    ] {
        fields.numbers(&mut [&mut share.failed, &mut share.total]);
    }
    fields.number(&mut webhooks.pending_s);
    walk_watch(&mut webhooks.watch, fields);
}

fn walk_latency(latency: &mut Latency, fields: &mut impl Fields) {
    fields.numbers(&mut [
        &mut latency.blocks,
        &mut latency.mean_load,
        &mut latency.mean_log,
        &mut latency.load_variation,
        &mut latency.covariation,
        &mut latency.scatter,
        &mut latency.weight,
        &mut latency.load,
        &mut latency.logs,
        &mut latency.requests,
        &mut latency.level,
        &mut latency.peak,
        &mut latency.settled,
    ]);
    fields.small(&mut latency.sum);
    fields.moments(&mut [&mut latency.block_from, &mut latency.since, &mut latency.alarm_at]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_being_stored() {
        let state = PluginState {
            last_at: 1_790_000_000,
            interval_s: 120.0,
            open: Open(4),
            rule_errors: Rule {
                usual: 3.5,
                since: 7,
                ill: true,
                settled: true,
            },
            ..PluginState::default()
        };
        let bytes = state.to_bytes();
        assert!(bytes.len() <= MAX_STATE_BYTES);
        assert_eq!(PluginState::from_bytes(&bytes), state);
    }

    #[test]
    fn unknown_or_damaged_bytes_start_anew() {
        let bytes = PluginState {
            last_at: 5,
            ..PluginState::default()
        }
        .to_bytes();
        let mut other = bytes.clone();
        other[0] = 250;
        let mut longer = bytes.clone();
        longer.push(0);
        for damaged in [&[][..], &other, &longer, &bytes[..bytes.len() - 1]] {
            assert_eq!(PluginState::from_bytes(damaged), PluginState::default());
        }
    }
}
