//! Fixed thresholds, for heartbeats that carry no counts: `errors_last_24h` and `webhook_fail_rate` alone.
//!
//! A shop that always has more errors than the threshold would be ill for ever, so what lasts for a day counts as usual
//! and only twice as much is news.

use super::{num, settings::Settings};

/// Below this share of its threshold a rule lets go.
const LET_GO: f64 = 0.7;
/// A reading just over the threshold is looked at for so long before it is an illness, in seconds.
const LOOK_S: f64 = 1_800.0;
/// How many times the usual errors are news; and while a plugin is new, whose 24 hours still fill up: a number that grows
/// steadily from nothing is twice its own mean, and more on a morning.
const NEWS_RATIO: f64 = 2.0;
const NEWS_RATIO_NEW: f64 = 4.0;
/// How much above its usual value a webhook failure rate is news.
const NEWS_POINTS: f64 = 0.25;

/// What had become usual is over at this share of it.
const BETTER: f64 = 0.5;

/// One rule's memory of one plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rule {
    /// What the plugin usually says.
    pub usual: f32,
    /// When it went over the threshold; 0 while it is not.
    pub since: u32,
    /// Whether it is an illness: far over the threshold, or over it for a while.
    pub ill: bool,
    /// An illness counts as usual, and has not got better since.
    pub settled: bool,
}

/// What a rule says to one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Nothing.
    Fine,
    /// Over the threshold.
    Ill,
    /// It has been over for so long that it counts as usual from now on.
    Settled,
}

/// A value that a rule is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// What the plugin says.
    pub value: f64,
    /// From where on it is ill.
    pub threshold: f64,
    /// When, in seconds since 1970.
    pub at: i64,
    /// Seconds since the reading before.
    pub elapsed_s: f64,
    /// Seconds since the first reading.
    pub observed_s: f64,
    /// Far enough over the threshold to need no second look.
    pub plain: f64,
}

/// Errors in 24 hours: the threshold for this plugin, which was observed for `observed_s` seconds.
pub fn errors_threshold(rule: Rule, observed_s: f64, settings: &Settings) -> f64 {
    let ratio = if observed_s < settings.first_day_s {
        NEWS_RATIO_NEW
    } else {
        NEWS_RATIO
    };
    settings.rule_errors_24h.max(f64::from(rule.usual) * ratio)
}

/// Webhook failure rate: the threshold for this plugin.
pub fn webhook_threshold(rule: Rule, settings: &Settings) -> f64 {
    settings.rule_webhook_rate.max(f64::from(rule.usual) + NEWS_POINTS)
}

impl Rule {
    /// Judges one reading and learns from it.
    pub fn judge(&mut self, reading: Reading, settings: &Settings) -> Said {
        let Reading { value, threshold, .. } = reading;
        let over = value > threshold || (self.ill && value > threshold * LET_GO);
        if !over {
            (self.since, self.ill) = (0, false);
            self.settled &= value > f64::from(self.usual) * BETTER;
            self.learn(reading, settings);
            return Said::Fine;
        }
        if self.since == 0 {
            self.since = num::moment(reading.at);
        }
        let lasted = num::seconds(reading.at - i64::from(self.since));
        self.ill |= value > reading.plain || lasted >= LOOK_S;
        if !self.ill {
            return Said::Fine;
        }
        if lasted < settings.new_normal_s {
            return Said::Ill;
        }
        *self = Self {
            usual: num::kept(value),
            settled: true,
            ..Self::default()
        };
        Said::Settled
    }

    /// The mean of what was read, with a half-life once there is enough of it.
    fn learn(&mut self, reading: Reading, settings: &Settings) {
        let faded = 1.0 - num::decay(reading.elapsed_s, settings.half_life_s);
        let share = faded.max(reading.elapsed_s / reading.observed_s.max(1.0)).min(1.0);
        let usual = f64::from(self.usual);
        self.usual = num::kept(usual + share * (reading.value - usual));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(rule: &mut Rule, value: f64, at: i64) -> Said {
        let settings = Settings::default();
        let threshold = errors_threshold(*rule, 200_000.0, &settings);
        let reading = Reading {
            value,
            threshold,
            at,
            elapsed_s: 120.0,
            observed_s: 200_000.0,
            plain: threshold,
        };
        rule.judge(reading, &settings)
    }

    #[test]
    fn a_rule_opens_above_its_threshold_and_lets_go_well_below() {
        let mut rule = Rule::default();
        assert_eq!(said(&mut rule, 20.0, 1_000), Said::Fine);
        assert_eq!(said(&mut rule, 21.0, 1_120), Said::Ill);
        assert_eq!(said(&mut rule, 18.0, 1_240), Said::Ill, "just below is not over yet");
        assert_eq!(said(&mut rule, 13.0, 1_360), Said::Fine);
    }

    #[test]
    fn what_lasts_a_day_is_usual_and_twice_as_much_is_news() {
        let mut rule = Rule::default();
        let day: Vec<Said> = (0..=720).map(|i| said(&mut rule, 40.0, 1_000 + i * 120)).collect();
        assert_eq!(day.iter().filter(|said| **said == Said::Ill).count(), 720);
        assert_eq!(day.last(), Some(&Said::Settled));
        assert_eq!(said(&mut rule, 45.0, 90_000), Said::Fine);
        assert_eq!(said(&mut rule, 85.0, 90_120), Said::Ill);
    }
    #[test]
    fn a_new_plugin_whose_day_fills_up_is_well_and_one_that_breaks_meanwhile_is_not() {
        let settings = Settings::default();
        let say = |rule: &mut Rule, i: i64, value: f64| {
            let observed_s = num::seconds(i * 120);
            let threshold = errors_threshold(*rule, observed_s, &settings);
            let reading = Reading {
                value,
                threshold,
                at: 1_000 + i * 120,
                elapsed_s: if i == 0 { 0.0 } else { 120.0 },
                observed_s,
                plain: threshold * 1.5,
            };
            rule.judge(reading, &settings)
        };
        let mut rule = Rule::default();
        for i in 0..=720 {
            assert_eq!(say(&mut rule, i, num::seconds(i) / 6.0), Said::Fine, "{i}");
        }
        for i in 721..1_400 {
            assert_eq!(say(&mut rule, i, 120.0), Said::Fine, "{i}");
        }
        let mut rule = Rule::default();
        for i in 0..=200 {
            say(&mut rule, i, num::seconds(i) / 6.0);
        }
        assert_eq!(say(&mut rule, 201, 150.0), Said::Ill);
    }
}
