//! The models, run over what a plugin reports, beside what this process hears of the fleet.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use plugmend_shared::{
    detect::{
        Finding, FleetNow, IncidentType, Observation, PluginState, Prior, Settings, advance,
        fleet::{Deviation, FleetState},
    },
    protocol::heartbeat::Heartbeat,
};

/// What this process hears of the fleet as a whole: a large sample, by which one plugin's trouble is told from everybody's
/// (a payment service that is down, say). It corrects, and decides nothing; a new process starts without.
#[derive(Debug, Default)]
pub(super) struct Fleet(Mutex<FleetState>);

impl Fleet {
    fn now(&self) -> FleetNow {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).now()
    }

    fn take(&self, seen: &Observation<'_>, deviation: &Deviation) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whom it would blame is found from what all replicas have stored.
        let _blamed_by_this_sample = state.advance(seen, deviation);
    }
}

/// Advances the models over a heartbeat's windows, and keeps what is ill after them and what is no longer.
pub(super) fn run_models(
    state: &mut PluginState,
    heartbeat: &Heartbeat,
    (cms, fleet, settings): (&str, &Fleet, &Settings),
    (findings, recovered): (&mut BTreeMap<IncidentType, Finding>, &mut BTreeSet<IncidentType>),
) {
    for mut observation in Observation::of(heartbeat) {
        if observation.platform.is_empty() {
            observation.platform = cms;
        }
        let prior = Prior {
            now: fleet.now(),
            ..Prior::default()
        };
        let seen = advance(state, &observation, &prior, settings);
        fleet.take(&observation, &seen.deviation);
        for finding in seen.ill() {
            recovered.remove(&finding.incident_type);
            findings.insert(finding.incident_type, *finding);
        }
        for over in seen.recovered {
            findings.remove(&over);
            recovered.insert(over);
        }
    }
}
