//! How much of what a plugin says is read: so much a tick, and the rest waits or is dropped. With the defaults a flood
//! costs about two percent of one processor and no memory beyond the buffers, whatever its size.

use std::time::Duration;

/// The length of a tick.
pub const TICK: Duration = Duration::from_millis(50);
/// Datagrams or chunks read in a tick, from each source.
pub const READS: u64 = 400;
/// Lines parsed in a tick, from each source.
pub const LINES: u64 = 800;

/// So many of something a tick. Time is an argument: monotonic, from any beginning.
#[derive(Debug, Clone)]
pub struct Budget {
    per_tick: u64,
    left: u64,
    tick_ends: Duration,
}

impl Budget {
    /// A budget of `per_tick`.
    pub fn new(per_tick: u64) -> Self {
        Self {
            per_tick,
            left: per_tick,
            tick_ends: Duration::ZERO,
        }
    }

    /// What is left at `now`.
    pub fn left(&mut self, now: Duration) -> u64 {
        if now >= self.tick_ends {
            self.left = self.per_tick;
            self.tick_ends = now + TICK;
        }
        self.left
    }

    /// Spends `amount`, or what is left of it.
    pub fn spend(&mut self, amount: u64) {
        self.left = self.left.saturating_sub(amount);
    }

    /// How long until there is something left; `None` when there is.
    pub fn wait(&mut self, now: Duration) -> Option<Duration> {
        (self.left(now) == 0).then(|| self.tick_ends.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_demand_gets_more_than_the_budget_of_each_tick(steps in proptest::collection::vec((0u64..20, 0u64..200), 1..500)) {
            let mut budget = Budget::new(100);
            let (mut now, mut granted) = (Duration::ZERO, 0);
            for (millis, want) in steps {
                now += Duration::from_millis(millis);
                let take = budget.left(now).min(want);
                budget.spend(take);
                granted += take;
                if budget.left(now) == 0 {
                    prop_assert!(budget.wait(now).unwrap() <= TICK);
                }
            }
            let ticks = u64::try_from(now.as_millis() / TICK.as_millis()).unwrap() + 1;
            prop_assert!(granted <= ticks * 100);
        }
    }
}
