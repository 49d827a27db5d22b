//! An oracle that knows the true rates with and without the illness: what it can not see, nobody can.

use super::truth::{Illness, Kind};

/// Evidence that makes it sure, in nats: a third more than the product's own alarm takes, which must learn what is usual.
const SURE: f64 = 16.0;

/// What really was in one window.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    pub errors: f64,
    pub well: f64,
    pub ill: f64,
    pub failed: f64,
    pub total: f64,
    pub usual: f64,
    pub share: f64,
    pub latency: f64,
    pub shift: f64,
    pub latency_variance: f64,
    pub noise: f64,
}

/// Watches one illness.
#[derive(Debug, Clone, Copy, Default)]
pub struct Oracle {
    sum: f64,
}

impl Oracle {
    /// One window of the illness further.
    pub fn look(&mut self, illness: &mut Illness, facts: &Facts, at: i64, says: [bool; 3]) {
        illness.oracle_beats += u32::from(illness.oracle_at.is_none());
        let gain = match illness.kind {
            Kind::ErrorSpike | Kind::SlowDrift if says[0] => {
                let (well, ill) = (facts.well.max(1e-6), facts.ill.max(1e-6));
                (facts.errors * (ill / well).ln() - (ill - well)) / (1.0 + facts.noise * well)
            }
            Kind::WebhookStep if says[1] => {
                facts.failed * (facts.share / facts.usual).ln()
                    + (facts.total - facts.failed) * ((1.0 - facts.share) / (1.0 - facts.usual)).ln()
            }
            Kind::LatencyCreep if says[2] => {
                (facts.latency * facts.shift - facts.shift.powi(2) / 2.0) / facts.latency_variance
            }
            _ => 0.0,
        };
        self.sum = (self.sum + gain).max(0.0);
        illness.oracle_nats = illness.oracle_nats.max(self.sum);
        if self.sum >= SURE && illness.oracle_at.is_none() {
            illness.oracle_at = Some(at);
        }
    }
}
