//! The watch: probes and counts at each interval, judged by [`crate::domain::trial`].

use std::time::{Duration, Instant};

use super::{Engine, ProgressSink, answer::ASKED_TO_GO_BACK, run::verdict_name};
use crate::{
    domain::{
        change::{Change, ChangeKind, Failure},
        installed::Tree,
        machine::{Baseline, Verdict},
        trial::{self, Judgement, RequestCounts, Seen, Watch},
    },
    upstream::repo::Transport,
};

impl<T: Transport> Engine<T> {
    /// How it was, just before the swap.
    pub(super) fn baseline(&self, change: &Change) -> Baseline {
        let recent = self.counters.recent();
        let silence = Duration::from_secs(change.health.auto_rollback_on_heartbeat_missed_seconds.into());
        Baseline {
            requests: recent.requests,
            errors: recent.errors,
            webhook_total: recent.webhook_total,
            webhook_failed: recent.webhook_failed,
            heard: self.counters.counts().silent_for.is_some_and(|silent| silent < silence),
        }
    }

    /// Watches until it is decided; `None` when the agent stops first.
    pub(super) async fn watch(
        &mut self,
        change: &Change,
        to: &Tree,
        before: Baseline,
        sink: &dyn ProgressSink,
    ) -> Option<Verdict> {
        let watch = Watch {
            policy: change.health,
            before,
            probes: self.options.probes.len(),
            proof_wanted: change.kind != ChangeKind::Config,
        };
        let interval = Duration::from_secs(change.health.health_check_interval_seconds.clamp(1, 3600).into());
        let (began, start) = (Instant::now(), self.counters.counts());
        let mut seen = Seen::default();
        let mut said = "";
        loop {
            if self.signals.wants_stop() {
                return None;
            }
            if self.signals.wants_back() {
                return Some(called_back(change.kind));
            }
            crash_point!("engine.trial.look");
            self.look(&mut seen, to, &start, began);
            match trial::judge(&watch, &seen) {
                Judgement::Decided(verdict) => {
                    tracing::info!(version = %to.version, verdict = verdict_name(&verdict), "the trial is over");
                    return Some(verdict);
                }
                Judgement::GoOn(words) if words != said => {
                    said = words;
                    sink.progress(change.command, "trial", words, None);
                }
                Judgement::GoOn(_) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = self.signals.woken() => {}
            }
        }
    }
}

/// The verdict on a change that is asked to go back while it is watched. It is nobody's fault, so that nothing is held
/// back; and it is not tried again, which would undo the wish.
fn called_back(kind: ChangeKind) -> Verdict {
    match kind {
        // It is the way back.
        ChangeKind::Rollback => Verdict::Inconclusive("the watch was cut short by another order to go back".to_owned()),
        _ => Verdict::Unhealthy(asked_to_go_back("while it was watched")),
    }
}

/// Somebody wants the release before.
pub(super) fn asked_to_go_back(when: &str) -> Failure {
    Failure::lasting(ASKED_TO_GO_BACK, format!("it was asked to go back {when}"))
}

impl<T> Engine<T> {
    fn look(&self, seen: &mut Seen, to: &Tree, start: &RequestCounts, began: Instant) {
        if !self.options.probes.is_empty() {
            match self.probe_round(&to.version, seen.rounds) {
                Ok(proven) => {
                    seen.failed_in_a_row = 0;
                    seen.proven |= proven;
                }
                Err((words, fatal)) => {
                    seen.failed_in_a_row += 1;
                    if fatal {
                        seen.fatal = Some(words.clone());
                    }
                    seen.last_failure = Some(words);
                }
            }
            seen.rounds += 1;
        }
        let now = self.counters.counts();
        seen.elapsed = began.elapsed();
        seen.requests = now.requests.saturating_sub(start.requests);
        seen.errors = now.errors.saturating_sub(start.errors);
        seen.webhook_total = now.webhook_total.saturating_sub(start.webhook_total);
        seen.webhook_failed = now.webhook_failed.saturating_sub(start.webhook_failed);
        seen.heard |= now.silent_for.is_some_and(|silent| silent < seen.elapsed);
        seen.proven |= seen.heard && now.version_seen.as_deref() == Some(to.version.to_string().as_str());
    }

    /// Asks every probe once: whether one proved the version, or what failed and whether that is fatal.
    pub(super) fn probe_round(&self, version: &semver::Version, round: u32) -> Result<bool, (String, bool)> {
        let mut proven = false;
        let nonce = self
            .clock
            .now()
            .as_millisecond()
            .unsigned_abs()
            .wrapping_add(u64::from(round));
        for probe in &self.options.probes {
            probe.ask(version, nonce).map_err(|words| (words, probe.fatal))?;
            proven |= probe.proves_version();
        }
        Ok(proven)
    }
}
