//! The detector as the agent runs it, second by second: how fast it speaks, and what it keeps quiet about.

use plugmend_shared::detect::{IncidentType, Observation, PluginState, Prior, Settings, advance};

/// A xorshift (Marsaglia, 2003): enough to scatter events, and the same on every machine.
struct Dice(u64);

impl Dice {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        f64::from(u32::try_from(self.0 >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }

    /// How many events fall into a second with `mean` of them (Knuth, 1969).
    fn events(&mut self, mean: f64) -> u64 {
        let (least, mut product, mut count) = ((-mean).exp(), self.unit(), 0);
        while product > least {
            product *= self.unit();
            count += 1;
        }
        count
    }

    fn some_of(&mut self, events: u64, share: f64) -> u64 {
        u64::try_from((0..events).filter(|_| self.unit() < share).count()).unwrap_or(0)
    }
}

/// A shop with so many webhooks a second and four times as many other requests.
struct Shop {
    dice: Dice,
    webhooks: f64,
    state: PluginState,
    at: i64,
}

impl Shop {
    fn new(seed: u64, webhooks: f64) -> Self {
        Self {
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            webhooks,
            state: PluginState::default(),
            at: 1_790_000_000,
        }
    }

    /// One second with such a share of failing webhooks; whether that is found.
    fn second(&mut self, failing: f64) -> bool {
        self.at += 1;
        let requests = self.dice.events(self.webhooks * 4.0);
        let webhooks = self.dice.events(self.webhooks);
        let failed = self.dice.some_of(webhooks, failing);
        let seen = Observation {
            at: self.at,
            window_s: Some(1),
            requests: Some(requests + webhooks),
            errors: Some(self.dice.some_of(requests, 0.005) + failed),
            webhook_total: Some(webhooks),
            webhook_failed: Some(failed),
            version: "1.0.0",
            uptime_s: Some(1_000_000),
            ..Observation::default()
        };
        let found = advance(&mut self.state, &seen, &Prior::default(), &Settings::early());
        !found.opened.is_empty()
    }

    fn is_quiet_for(&mut self, seconds: u32) -> bool {
        (0..seconds).all(|_| !self.second(0.02))
    }
}

#[test]
fn failing_webhooks_are_found_within_eight_seconds_of_the_first_failing_one() {
    for (webhooks, failing) in [(10.0, 0.6), (20.0, 0.6), (100.0, 0.6), (4.0, 1.0), (20.0, 1.0)] {
        for (seed, known_s) in [(1, 120), (2, 3_600), (3, 50_000), (4, 200), (5, 700), (6, 9_000)] {
            let mut shop = Shop::new(seed, webhooks);
            assert!(shop.is_quiet_for(known_s));
            // The second in which it begins is half over.
            let mut found_after = 1;
            let mut found = shop.second(failing / 2.0);
            while !found && found_after < 60 {
                found = shop.second(failing);
                found_after += 1;
            }
            assert!(found_after <= 8, "{webhooks} a second, {failing}: {found_after} s");
            assert!(shop.state.ill().any(|one| one == IncidentType::WebhookFailRate));
        }
    }
}

#[test]
fn what_is_over_within_four_seconds_is_no_illness() {
    for webhooks in [1.0, 20.0, 200.0] {
        for (seed, known_s) in [(1, 120), (2, 3_600), (3, 20_000)] {
            let mut shop = Shop::new(seed, webhooks);
            assert!(shop.is_quiet_for(known_s));
            // A restart, between two looks.
            let seconds = [0.5, 1.0, 1.0, 1.0, 0.5];
            assert!(
                seconds.iter().all(|failing| !shop.second(*failing)),
                "{webhooks} a second"
            );
            assert!(shop.is_quiet_for(600));
        }
    }
}

#[test]
fn a_plugin_that_is_well_is_left_in_peace_second_by_second() {
    for (seed, webhooks) in [(1, 0.01), (2, 0.3), (3, 5.0), (4, 5.0)] {
        assert!(Shop::new(seed, webhooks).is_quiet_for(86_400), "{webhooks} a second");
    }
}
