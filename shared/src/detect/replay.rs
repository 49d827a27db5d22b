//! A whole fleet in one process: recorded heartbeats in, detections out, in the order of the lines and without look
//! ahead. What the command line does with a recording, and the tests with a simulated fleet.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use super::{
    advance::advance,
    finding::Finding,
    fleet::{BadRelease, FleetState},
    observation::Observation,
    settings::{Prior, Settings},
    silence::{self, Silence},
    state::PluginState,
};

/// A clock that is so far ahead of the others, in seconds, is believed when a second plugin agrees.
const AHEAD_S: i64 = 600;
/// From so many plugins on, all of them silent at once means that nobody listened.
const ENOUGH: usize = 20;

/// Something was detected.
#[derive(Debug, Clone, PartialEq)]
pub enum Detection {
    /// At one plugin.
    Plugin {
        /// Which, as the recording names it.
        plugin_id: String,
        /// When, in seconds since 1970: the time of the line that shows it.
        at: i64,
        /// What.
        finding: Finding,
    },
    /// Across the fleet.
    Release {
        /// When, in seconds since 1970.
        at: i64,
        /// Which.
        release: BadRelease,
    },
}

#[derive(Debug)]
struct Watched {
    id: String,
    state: PluginState,
    heard: i64,
    missed: bool,
    /// Until when its silence is put down to what is between it and us.
    excused: i64,
}

/// The fleet as the recording has shown it so far: a fixed amount of memory for each plugin.
#[derive(Debug)]
pub struct Replay {
    settings: Settings,
    prior: Prior,
    by_id: HashMap<String, usize>,
    plugins: Vec<Watched>,
    fleet: FleetState,
    /// When each plugin's silence is to be judged next.
    due: BinaryHeap<Reverse<(i64, usize)>>,
    now: i64,
    /// A plugin whose clock is far ahead, and what it said.
    ahead: Option<(usize, i64)>,
    /// When the recording went on after all had been silent.
    resumed: i64,
}

impl Replay {
    /// A fleet of which nothing is known.
    pub fn new(settings: Settings, prior: Prior) -> Self {
        Self {
            settings,
            prior,
            by_id: HashMap::new(),
            plugins: Vec::new(),
            fleet: FleetState::default(),
            due: BinaryHeap::new(),
            now: i64::MIN,
            ahead: None,
            resumed: i64::MIN,
        }
    }

    /// Takes the next line of the recording.
    pub fn observe(&mut self, plugin_id: &str, seen: &Observation<'_>) -> Vec<Detection> {
        let known = self.by_id.get(plugin_id).copied();
        let index = known.unwrap_or(self.plugins.len());
        self.tell_time(index, seen.at);
        let mut detections = self.judge_silence();
        if known.is_none() {
            self.by_id.insert(plugin_id.to_owned(), index);
            self.plugins.push(Watched {
                id: plugin_id.to_owned(),
                state: PluginState::default(),
                heard: self.now,
                missed: false,
                excused: i64::MIN,
            });
            self.due
                .push(Reverse((self.now.saturating_add(self.longest(index)), index)));
        }
        self.prior.now = self.fleet.now();
        let again = self.now.saturating_add(self.longest(index));
        let Some(plugin) = self.plugins.get_mut(index) else {
            return detections;
        };
        if std::mem::take(&mut plugin.missed) {
            self.due.push(Reverse((again, index)));
        }
        plugin.heard = plugin.heard.max(self.now);
        plugin.excused = i64::MIN;
        let findings = advance(&mut plugin.state, seen, &self.prior, &self.settings);
        detections.extend(findings.opened.iter().map(|finding| Detection::Plugin {
            plugin_id: plugin_id.to_owned(),
            at: seen.at,
            finding: *finding,
        }));
        let blamed = self.fleet.advance(seen, &findings.deviation);
        detections.extend(
            blamed
                .into_iter()
                .map(|release| Detection::Release { at: seen.at, release }),
        );
        detections
    }

    /// Moves the clock on, by what the lines say; one clock that is far ahead moves nothing.
    fn tell_time(&mut self, plugin: usize, at: i64) {
        if self.now == i64::MIN {
            self.now = at;
        }
        let far = at.saturating_sub(self.now) > AHEAD_S && self.plugins.len() > 2;
        if !far {
            self.now = self.now.max(at);
            return;
        }
        match self.ahead {
            Some((other, said)) if other != plugin => {
                let before = self.now;
                self.now = said.min(at);
                self.ahead = None;
                self.wake(before);
            }
            _ => self.ahead = Some((plugin, at)),
        }
    }

    /// After a pause of the whole recording: when many were well before it, nobody had listened.
    fn wake(&mut self, before: i64) {
        let well = |plugin: &&Watched| silence::judge(plugin.heard, before, &self.settings) == Silence::Heard;
        if self.plugins.iter().filter(well).count() >= ENOUGH {
            self.resumed = self.now;
        }
    }

    /// How long a plugin may be silent, in whole seconds.
    #[expect(clippy::cast_possible_truncation, reason = "rounded, and far below 2^52 s")]
    fn longest(&self, index: usize) -> i64 {
        let interval = self.interval(index);
        silence::longest(interval, &self.settings).ceil() as i64
    }

    fn interval(&self, index: usize) -> f64 {
        let known = self.plugins.get(index).and_then(|plugin| plugin.state.interval_s());
        known.unwrap_or(silence::UNKNOWN_INTERVAL_S)
    }

    /// Excuses all who fell silent together with a plugin, when there are many of them: a part of the way to us is cut.
    fn excuse(&mut self, heard: i64) {
        let (now, settings) = (self.now, &self.settings);
        let together = |plugin: &Watched| {
            let interval = plugin.state.interval_s().unwrap_or(silence::UNKNOWN_INTERVAL_S);
            (plugin.heard - heard).abs() <= silence::TOGETHER_S
                && silence::judge_at(plugin.heard, now, interval, settings) != Silence::Heard
        };
        let silent = self.plugins.iter().filter(|plugin| together(plugin)).count();
        let fleet = self.plugins.iter().filter(|plugin| !plugin.missed).count();
        if silence::is_common(silent, fleet) {
            for plugin in self.plugins.iter_mut().filter(|plugin| together(plugin)) {
                plugin.excused = plugin.heard.saturating_add(silence::EXCUSED_S);
            }
        }
    }

    /// All whose time has come, the plugin that speaks now as well: it was silent until now.
    fn judge_silence(&mut self) -> Vec<Detection> {
        let mut detections = Vec::new();
        while let Some(Reverse((due, index))) = self.due.peek().copied() {
            if due > self.now {
                break;
            }
            self.due.pop();
            let interval = self.interval(index);
            let longest = self.longest(index);
            let (now, resumed) = (self.now, self.resumed);
            let heard = self.plugins.get(index).map_or(now, |plugin| plugin.heard);
            if heard >= resumed && silence::judge_at(heard, now, interval, &self.settings) == Silence::Missed {
                self.excuse(heard);
            }
            let Some(plugin) = self.plugins.get_mut(index) else {
                continue;
            };
            let since = plugin.heard.max(resumed).max(plugin.excused);
            if silence::judge_at(since, now, interval, &self.settings) == Silence::Missed {
                plugin.missed = true;
                detections.push(Detection::Plugin {
                    plugin_id: plugin.id.clone(),
                    at: now,
                    finding: silence::finding(plugin.heard, now, &self.settings),
                });
            } else {
                self.due
                    .push(Reverse((since.saturating_add(longest).max(now + 1), index)));
            }
        }
        detections
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fleet of 100 that speaks every two minutes for two hours, but for those that are silent in the second one; how
    /// many silences were detected.
    fn missed(is_silent: impl Fn(i64) -> bool) -> usize {
        let mut replay = Replay::new(Settings::default(), Prior::default());
        let mut found = 0;
        for minute in (0..120).step_by(2) {
            for plugin in 0..100 {
                if minute >= 60 && is_silent(plugin) {
                    continue;
                }
                let seen = Observation {
                    at: 1_790_000_000 + minute * 60 + plugin,
                    ..Observation::default()
                };
                found += replay.observe(&plugin.to_string(), &seen).len();
            }
        }
        found
    }

    #[test]
    fn a_plugin_that_falls_silent_alone_is_missed_and_many_at_once_are_not_to_blame() {
        assert_eq!(missed(|_| false), 0);
        assert_eq!(missed(|plugin| plugin == 7), 1);
        assert_eq!(missed(|plugin| plugin < 10), 10);
        assert_eq!(missed(|plugin| plugin % 3 == 0), 0);
    }

    #[test]
    fn a_plugin_is_given_time_until_it_is_known_how_often_it_speaks() {
        let mut replay = Replay::new(Settings::default(), Prior::default());
        for ten_minutes in 0..6 {
            for plugin in ["seldom", "other"] {
                let seen = Observation {
                    at: 1_790_000_000 + ten_minutes * 600,
                    ..Observation::default()
                };
                assert_eq!(replay.observe(plugin, &seen), []);
            }
        }
    }
}
