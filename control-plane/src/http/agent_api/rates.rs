//! How many requests one identity, and how many enrolments one address, may make.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::keyed::DashMapStateStore,
};
use plugmend_shared::ids::PluginId;

type Keyed<K> = RateLimiter<K, DashMapStateStore<K>, DefaultClock>;

/// The limits.
#[derive(Debug, Clone, Copy)]
pub struct RateOptions {
    /// Requests a second of one agent, on average.
    pub agent_per_second: NonZeroU32,
    /// Requests of one agent at once.
    pub agent_burst: NonZeroU32,
    /// Enrolments a minute from one address, on average.
    pub enrol_per_minute: NonZeroU32,
    /// Enrolments from one address at once.
    pub enrol_burst: NonZeroU32,
}

const fn at_least_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

impl Default for RateOptions {
    fn default() -> Self {
        Self {
            agent_per_second: at_least_one(100),
            agent_burst: at_least_one(2000),
            enrol_per_minute: at_least_one(60),
            enrol_burst: at_least_one(60),
        }
    }
}

/// The counters.
pub struct Rates {
    agents: Keyed<PluginId>,
    enrolments: Keyed<IpAddr>,
}

impl Rates {
    /// Nothing counted yet.
    pub fn new(options: RateOptions) -> Self {
        let agents = Quota::per_second(options.agent_per_second).allow_burst(options.agent_burst);
        let enrolments = Quota::per_minute(options.enrol_per_minute).allow_burst(options.enrol_burst);
        Self {
            agents: RateLimiter::dashmap(agents),
            enrolments: RateLimiter::dashmap(enrolments),
        }
    }

    /// Counts a request; the error is how long to wait.
    pub fn agent(&self, plugin_id: PluginId) -> Result<(), Duration> {
        count(&self.agents, &plugin_id)
    }

    /// Counts an enrolment; the error is how long to wait.
    pub fn enrolment(&self, network: IpAddr) -> Result<(), Duration> {
        count(&self.enrolments, &network)
    }

    /// Forgets whom nothing was heard of lately, so that memory follows the living.
    pub fn tidy(&self) {
        self.agents.retain_recent();
        self.enrolments.retain_recent();
    }
}

fn count<K: std::hash::Hash + Eq + Clone>(limiter: &Keyed<K>, key: &K) -> Result<(), Duration> {
    limiter
        .check_key(key)
        .map_err(|wait| wait.wait_time_from(DefaultClock::default().now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_flooding_agent_does_not_take_anothers_turn() {
        let options = RateOptions {
            agent_burst: at_least_one(3),
            ..RateOptions::default()
        };
        let rates = Rates::new(options);
        let (loud, quiet) = (uuid::Uuid::from_u128(1).into(), uuid::Uuid::from_u128(2).into());
        for _ in 0..3 {
            assert!(rates.agent(loud).is_ok());
        }
        assert!((0..3).any(|_| rates.agent(loud).is_err()));
        assert!(rates.agent(quiet).is_ok());
    }
}
