//! What is remembered of one plugin between its heartbeats.

use super::{kinds::IncidentType, rules::Rule};

/// The layout of the bytes; another number means another layout.
const LAYOUT: u8 = 1;
/// No state takes more bytes than this.
pub const MAX_STATE_BYTES: usize = 288;

/// Everything the detectors remember of one plugin.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PluginState {
    /// End of the last window taken, in seconds since 1970; 0 before the first.
    pub(super) last_at: i64,
    /// The usual time between observations, in seconds; 0 before it is known.
    pub(super) interval_s: f32,
    /// What is ill.
    pub(super) open: Open,
    /// Rule for errors in 24 hours.
    pub(super) rule_errors: Rule,
    /// Rule for the webhook failure rate.
    pub(super) rule_webhooks: Rule,
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
        let mut writer = Writer(Vec::with_capacity(MAX_STATE_BYTES));
        writer.0.push(LAYOUT);
        self.clone().walk(&mut writer);
        writer.0
    }

    /// The state that was stored. Bytes of an unknown layout, and damaged ones, mean that nothing is known: the
    /// detectors start anew, which is safe and slow.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let Some((&LAYOUT, bytes)) = bytes.split_first() else {
            return Self::default();
        };
        let mut reader = Reader { bytes, good: true };
        let mut state = Self::default();
        state.walk(&mut reader);
        if reader.good && reader.bytes.is_empty() {
            state
        } else {
            Self::default()
        }
    }

    /// The usual time between the plugin's observations, in seconds; `None` before it is known.
    pub fn interval_s(&self) -> Option<f64> {
        (self.interval_s > 0.0).then(|| f64::from(self.interval_s))
    }

    /// The illnesses that are known and not over.
    pub fn ill(&self) -> impl Iterator<Item = IncidentType> + '_ {
        IncidentType::ALL.into_iter().filter(|one| self.open.holds(*one))
    }

    /// The one list of fields, for both ways.
    fn walk(&mut self, fields: &mut impl Fields) {
        fields.long(&mut self.last_at);
        fields.number(&mut self.interval_s);
        fields.byte(&mut self.open.0);
        for rule in [&mut self.rule_errors, &mut self.rule_webhooks] {
            fields.number(&mut rule.usual);
            fields.moment(&mut rule.since);
        }
    }
}

/// Takes fields one after the other, to write or to read them.
trait Fields {
    fn byte(&mut self, value: &mut u8);
    fn long(&mut self, value: &mut i64);
    fn moment(&mut self, value: &mut u32);
    fn number(&mut self, value: &mut f32);
}

struct Writer(Vec<u8>);

impl Fields for Writer {
    fn byte(&mut self, value: &mut u8) {
        self.0.push(*value);
    }

    fn long(&mut self, value: &mut i64) {
        self.0.extend(value.to_le_bytes());
    }

    fn moment(&mut self, value: &mut u32) {
        self.0.extend(value.to_le_bytes());
    }

    fn number(&mut self, value: &mut f32) {
        self.0.extend(value.to_le_bytes());
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    good: bool,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((taken, rest)) = self.bytes.split_first_chunk::<N>() else {
            self.good = false;
            return [0; N];
        };
        self.bytes = rest;
        *taken
    }
}

impl Fields for Reader<'_> {
    fn byte(&mut self, value: &mut u8) {
        let [byte] = self.take();
        *value = byte;
    }

    fn long(&mut self, value: &mut i64) {
        *value = i64::from_le_bytes(self.take());
    }

    fn moment(&mut self, value: &mut u32) {
        *value = u32::from_le_bytes(self.take());
    }

    fn number(&mut self, value: &mut f32) {
        *value = f32::from_le_bytes(self.take());
        self.good &= value.is_finite();
    }
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
            rule_errors: Rule { usual: 3.5, since: 7 },
            rule_webhooks: Rule::default(),
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
