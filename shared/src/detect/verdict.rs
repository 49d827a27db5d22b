//! What one detector thinks after an observation, and what all of them have in common.

use super::{
    finding::Evidence,
    num,
    settings::{Prior, Settings},
};

/// What one detector thinks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// Nothing new can be said: as before.
    Unknown,
    /// Nothing is wrong.
    Well,
    /// Something is wrong.
    Ill {
        /// Why.
        evidence: Evidence,
        /// How sure, 0 to 1.
        confidence: f64,
    },
    /// It was wrong for so long that it counts as usual.
    Settled,
}

impl Verdict {
    /// Whether something is wrong.
    pub fn is_ill(self) -> bool {
        matches!(self, Self::Ill { .. })
    }

    /// The verdict, unless something else explains the illness.
    pub fn unless(self, explained: bool) -> Self {
        if explained && self.is_ill() { Self::Well } else { self }
    }

    /// The verdict of two detectors on one subject: whoever sees an illness is heard first.
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Ill { .. }, _) | (_, Self::Unknown) => self,
            (_, Self::Ill { .. }) | (Self::Unknown, _) => other,
            (Self::Settled, _) | (_, Self::Settled) => Self::Settled,
            (Self::Well, Self::Well) => Self::Well,
        }
    }
}

/// What all detectors are told beside their sample.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// End of the window, in seconds since 1970.
    pub at: i64,
    /// Length of the window, in seconds, at least 1.
    pub window_s: f64,
    /// Seconds since the observation before.
    pub elapsed_s: f64,
    /// How long the plugin has been observed, in seconds.
    pub observed_s: f64,
    /// Whether it has just started: caches are cold and the first errors mean little.
    pub starting: bool,
    /// What plugins are like.
    pub prior: &'a Prior,
    /// How sensitive to be.
    pub settings: &'a Settings,
}

impl Context<'_> {
    /// The most evidence this one window may give: a share of what an alarm takes, less for one that is shorter than
    /// usual and for a plugin that has just started; for errors also in its first day, as no night of it is known. What
    /// is gross takes two windows, however short they are.
    pub fn cap(&self, threshold: f64, nights_matter: bool, is_gross: bool) -> f64 {
        let settings = self.settings;
        let length = (self.window_s / settings.heartbeat_interval_s).clamp(0.02, 1.0);
        let share = if self.starting {
            settings.cap_starting * length
        } else if is_gross {
            settings.cap_gross
        } else if nights_matter && self.is_new() {
            settings.cap_new * length
        } else if nights_matter && self.observed_s < settings.first_day_s {
            settings.cap_first_day * length
        } else {
            settings.cap * length
        };
        threshold * share
    }

    /// How much more a plugin may scatter than seen, because not many of its hours are known.
    pub fn youth(&self) -> f64 {
        1.0 + 0.8 * (-self.observed_s / self.settings.first_day_s).exp()
    }

    /// Whether too little is known for a model to speak.
    pub fn is_new(&self) -> bool {
        self.observed_s < self.settings.warm_up_s
    }

    /// A cumulative sum after this window: it forgets a little, and gains or loses what the window says.
    pub fn pour(&self, sum: f32, gain: f64, threshold: f64, cap: f64) -> f32 {
        let kept = num::decay(self.elapsed_s, self.settings.forget_half_life_s);
        let gain = gain.min(cap);
        num::kept((f64::from(sum) * kept + gain).clamp(0.0, threshold * 1.5))
    }
}

/// How sure a model may be that an alarm is real: more with the evidence beyond its threshold and with the size of the
/// effect, never certain.
pub fn confidence(peak_sum: f64, threshold: f64, effect: f64) -> f64 {
    let beyond = ((peak_sum / threshold - 1.0) / 0.5).clamp(0.0, 1.0);
    (0.8 + 0.1 * beyond + 0.08 * effect.clamp(0.0, 1.0)).min(0.98)
}

/// The mean square of the steps between neighbouring hours, in units of chance: 1 for independent events, more where
/// rates swing within hours, while an illness that grows slowly hardly shows in it. Gives it after one more step.
pub fn swing(before: f32, square: f64, context: &Context<'_>) -> f64 {
    let square = square.min(context.settings.block_noise_clip);
    let share = (1.0 / 30.0_f64).max(3_600.0 / context.observed_s.max(1.0)).min(0.5);
    f64::from(before) + share * (square - f64::from(before))
}

/// The dispersion that steps between hours speak of: neighbouring hours are alike, so that the whole swing is larger.
pub fn swings(mean_square: f32) -> f64 {
    1.0 + 2.3 * (f64::from(mean_square) - 1.0).max(0.0)
}
