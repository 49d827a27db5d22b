//! An order that was given: how it ended, and whether the plugin's own telemetry agrees.

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{
    ids::CommandId,
    protocol::command::{CommandKind, CommandPayload},
};
use serde_json::{Map, Value, json};

use super::{
    Healing, HealingError,
    end::{self, End},
};
use crate::{
    domain::attempt::{Attempt, CommandEnd, Ending, Fault, Method, read_end, stages},
    service::command::{GiveError, NewOrder, give_in},
    store::{
        self, Tx,
        attempt::{PluginSituation, Rates},
        audit::Actor,
        incident::Held,
    },
};

/// How often an attempt is looked at whose order has not ended; its end is heard of at once.
pub const LISTEN: SignedDuration = SignedDuration::from_mins(2);
/// How often after that, until the plugin was heard: soon at first, at last every ten seconds.
const CONFIRM: (SignedDuration, SignedDuration) = (SignedDuration::from_secs(1), SignedDuration::from_secs(10));
/// How long the plugin may take to be heard again.
const HEARD_WITHIN: SignedDuration = SignedDuration::from_mins(15);
/// No watch lasts longer than this: an hour, in ms.
const LONGEST_WATCH_MS: i64 = 3_600_000;
/// Fewer requests prove nothing.
const FEWEST_REQUESTS: u64 = 20;
/// How many standard errors worse it must be (one in 700 by chance).
const WORSE_BY: f64 = 3.0;
/// Who gives orders to go back; the kill switch leaves them alone.
const TAKE_BACK: &str = "take-back";

impl Healing {
    /// Follows an attempt's order.
    pub(super) async fn follow(
        &self,
        tx: &mut Tx,
        held: &Held,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<(), HealingError> {
        let order = match attempt.command_id {
            Some(id) => store::attempt::order_end(tx, id).await?,
            None => None,
        };
        let Some(order) = order else {
            store::attempt::look_again(tx, attempt.id, now + LISTEN, (None, None), now).await?;
            return Ok(());
        };
        store::attempt::order_ended(tx, attempt.id, now).await?;
        match read_end(&order) {
            Ending::Kept {
                healthy,
                error_rate_before,
                error_rate_after,
                settings_before,
                words,
            } => {
                let said = Said {
                    healthy,
                    rates: (error_rate_before, error_rate_after),
                    settings_before,
                    words,
                    watched: watched(&order),
                };
                self.confirm(tx, held, attempt, &said, now).await?;
            }
            other => {
                let end = ended(other, attempt);
                end::end(tx, held, attempt, &end, now).await?;
            }
        }
        Ok(())
    }

    /// The plugin says that the change is in force. It is believed when it is heard again with the new version, and does
    /// no worse than before.
    async fn confirm(
        &self,
        tx: &mut Tx,
        held: &Held,
        attempt: &Attempt,
        said: &Said,
        now: Timestamp,
    ) -> Result<(), HealingError> {
        if said.healthy == Some(false) {
            return self.unhealthy(tx, held, attempt, said, now).await;
        }
        let situation = store::attempt::plugin(tx, attempt.plugin_id, Some(attempt.id), now).await?;
        let ended_at = attempt.order_ended_at.unwrap_or(now);
        let is_heard = attempt.order_ended_at.is_some() && situation.last_heard.is_some_and(|heard| heard >= ended_at);
        if !is_heard || !is_in_force(attempt, &situation) {
            if now.duration_since(ended_at) < HEARD_WITHIN {
                let pause = (now.duration_since(ended_at) / 2).clamp(CONFIRM.0, CONFIRM.1);
                store::attempt::look_again(tx, attempt.id, now + pause, (None, None), now).await?;
                return Ok(());
            }
            let end = if is_heard {
                End::failed("not_in_force", "the plugin says that it runs something else").escalating()
            } else {
                End::failed("not_heard", "the plugin was not heard after the change").escalating()
            };
            end::end(tx, held, attempt, &end, now).await?;
            return Ok(());
        }
        let policy = store::policy::health(tx).await?;
        let parties = (held.merchant_id, attempt.plugin_id);
        // Between the order and the change the plugin was as it had been.
        let changed_at = ended_at.checked_sub(said.watched).unwrap_or(ended_at);
        let rates = Rates {
            before: store::attempt::error_rates(tx, parties, attempt.status_since)
                .await?
                .before,
            after: store::attempt::error_rates(tx, parties, changed_at.max(attempt.status_since))
                .await?
                .after,
        };
        let result = production_result(attempt, said, &rates);
        if is_worse(&rates, policy.auto_rollback_on_error_rate_threshold) {
            let words = "more requests or webhooks fail since the change than before it, by the plugin's own telemetry";
            let end = if self.go_back(tx, attempt, said, words, now).await? {
                End::rolled_back("worse", words).blaming(Fault::Release)
            } else {
                let words = format!("{words}, and {}", no_way_back(attempt.method));
                End::failed("not_undone", words).escalating()
            };
            let end = end.produced(result);
            end::end(tx, held, attempt, &end, now).await?;
        } else {
            let end = End::success(&said.words).produced(result);
            end::end(tx, held, attempt, &end, now).await?;
        }
        Ok(())
    }

    /// The change is in force and the plugin itself says that it is not well. What was installed goes back; where the cure
    /// was a way back already there is nothing further back, and people must look.
    async fn unhealthy(
        &self,
        tx: &mut Tx,
        held: &Held,
        attempt: &Attempt,
        said: &Said,
        now: Timestamp,
    ) -> Result<(), HealingError> {
        let words = format!("the plugin is not healthy after the change; {}", said.words);
        let words = words.trim_end_matches("; ");
        let parties = (held.merchant_id, attempt.plugin_id);
        let rates = store::attempt::error_rates(tx, parties, attempt.status_since).await?;
        let end = if self.go_back(tx, attempt, said, words, now).await? {
            End::rolled_back("unhealthy", words).blaming(Fault::Release)
        } else {
            End::failed("unhealthy_kept", words).escalating()
        };
        let end = end.produced(production_result(attempt, said, &rates));
        end::end(tx, held, attempt, &end, now).await?;
        Ok(())
    }

    /// Orders the way back: to the version before or, key by key, to the settings before. Whether it could be ordered.
    async fn go_back(
        &self,
        tx: &mut Tx,
        attempt: &Attempt,
        said: &Said,
        why: &str,
        now: Timestamp,
    ) -> Result<bool, HealingError> {
        if !stages(attempt.method) && attempt.method != Method::ConfigFix {
            return Ok(false);
        }
        let (kind, config) = if attempt.method == Method::ConfigFix {
            let before = said.settings_before.clone().filter(|before| !before.is_empty());
            // A plugin without an agent does not say what was there.
            let Some(before) = before else { return Ok(false) };
            (CommandKind::ConfigUpdate, Some(before))
        } else {
            (CommandKind::Rollback, None)
        };
        let id = CommandId::from_parts(now, self.entropy.bytes()?);
        let order = NewOrder {
            kind,
            payload: CommandPayload {
                config,
                reason: Some(why.to_owned()),
                attempt_id: Some(attempt.id),
                ..CommandPayload::default()
            },
            max_retries: None,
        };
        match give_in(tx, &Actor::Sira, TAKE_BACK, attempt.plugin_id, order, id, now).await {
            Ok(_) => Ok(true),
            Err(GiveError::Once(crate::service::once::OnceError::Store(error))) => Err(error.into()),
            Err(refused) => {
                tracing::warn!(attempt = %attempt.id, error = %refused, "the way back can not be ordered");
                Ok(false)
            }
        }
    }
}

/// Why a change that made it worse stays.
fn no_way_back(method: Method) -> &'static str {
    match method {
        // The agent would refuse it: what ran before was ill, which is why it went back.
        Method::Rollback => "the cure was a way back itself: there is nothing further back",
        // The version before is not what ran before: the same did.
        Method::Reinstall => "what ran before was the same release",
        Method::Patch | Method::Hotfix | Method::ConfigFix => "the way back could not be ordered",
    }
}

/// What the plugin said about a change that it kept.
struct Said {
    healthy: Option<bool>,
    rates: (Option<f64>, Option<f64>),
    /// What its settings held before.
    settings_before: Option<Map<String, Value>>,
    words: String,
    /// For how long it watched the change before it said so.
    watched: SignedDuration,
}

/// How long an agent watched a change, as its report says; of others it is not known.
fn watched(order: &CommandEnd) -> SignedDuration {
    let CommandEnd::Completed { result } = order else {
        return SignedDuration::ZERO;
    };
    let trial = result.pointer("/timings_ms/trial").and_then(Value::as_i64);
    SignedDuration::from_millis(trial.unwrap_or(0).clamp(0, LONGEST_WATCH_MS))
}

fn ended(ending: Ending, attempt: &Attempt) -> End {
    match ending {
        Ending::TakenBack {
            fault,
            why,
            error_rate_before,
            error_rate_after,
        } => {
            let result = json!({
                "applied_at": attempt.status_since, "health_check_passed": false,
                "error_rate_before": error_rate_before, "error_rate_after": error_rate_after,
            });
            match fault {
                Fault::Release => End::rolled_back("unhealthy", why),
                // Another release would meet the same trouble.
                Fault::Host => End::rolled_back("hosts_trouble", why).escalating(),
                // Whoever wished it has taken the matter in hand.
                Fault::Nobody => End::rolled_back("asked_to_go_back", why).escalating(),
            }
            .produced(result)
            .blaming(fault)
        }
        Ending::Rejected { fault, why } => End::failed("rejected", why).blaming(fault),
        Ending::NotDone { why } => End::failed("not_done", why),
        Ending::CalledOff { why } => End::cancelled("withdrawn", why),
        Ending::Unknown { why } => End::failed("unknown", why).escalating(),
        Ending::Kept { words, .. } => End::success(words),
    }
}

/// Whether what the plugin reports is what the attempt was to bring.
fn is_in_force(attempt: &Attempt, situation: &PluginSituation) -> bool {
    if attempt.method == Method::ConfigFix {
        return true;
    }
    if attempt.release_digest.is_some() && situation.installed == attempt.release_digest {
        return true;
    }
    match &attempt.to_version {
        Some(version) => situation.facts.current_version.as_ref() == Some(version),
        // "The one before" has no name that we know.
        None => true,
    }
}

fn production_result(attempt: &Attempt, said: &Said, rates: &Rates) -> Value {
    json!({
        "applied_at": attempt.status_since,
        "health_check_passed": said.healthy,
        "error_rate_before": said.rates.0.or_else(|| share(rates.before.errors, rates.before.requests)),
        "error_rate_after": said.rates.1.or_else(|| share(rates.after.errors, rates.after.requests)),
        "explanation": said.words,
    })
}

fn share(part: u64, whole: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a share does not need more than 52 bits")]
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Whether requests or webhooks fail more since a change than before it.
fn is_worse(rates: &Rates, limit: f64) -> bool {
    let (before, after) = (rates.before, rates.after);
    worse((before.errors, before.requests), (after.errors, after.requests), limit)
        || worse(
            (before.webhooks_failed, before.webhooks),
            (after.webhooks_failed, after.webhooks),
            limit,
        )
}

/// Whether the failures since a change, each with of how many, are over the limit and worse than before it, by more than
/// chance does (the difference of two shares against its standard error).
fn worse(before: (u64, u64), after: (u64, u64), limit: f64) -> bool {
    let (Some(was), Some(is)) = (share(before.0, before.1), share(after.0, after.1)) else {
        return false;
    };
    if before.1 < FEWEST_REQUESTS || after.1 < FEWEST_REQUESTS || is <= limit {
        return false;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    let (n, m) = (before.1 as f64, after.1 as f64);
    let pooled = (was * n + is * m) / (n + m);
    let error = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    is - was > WORSE_BY * error.max(f64::EPSILON)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::attempt::Counts;

    fn errors(requests_before: u64, before: u64, requests_after: u64, after: u64) -> Rates {
        let side = |requests, errors| Counts {
            requests,
            errors,
            ..Counts::default()
        };
        Rates {
            before: side(requests_before, before),
            after: side(requests_after, after),
        }
    }

    #[test]
    fn worse_means_over_the_limit_and_worse_than_before() {
        assert!(is_worse(&errors(1000, 10, 100, 60), 0.1));
        assert!(!is_worse(&errors(1000, 600, 100, 60), 0.1), "as bad as before");
        assert!(!is_worse(&errors(1000, 10, 100, 5), 0.1), "below the limit");
        assert!(!is_worse(&errors(1000, 10, 10, 10), 0.1), "too few to tell");
        assert!(!is_worse(&errors(0, 0, 100, 100), 0.1), "nothing to compare with");
    }

    #[test]
    fn webhooks_that_fail_count_like_requests_that_do() {
        let side = |webhooks, webhooks_failed| Counts {
            requests: 1000,
            webhooks,
            webhooks_failed,
            ..Counts::default()
        };
        let rates = |before, after| Rates { before, after };
        assert!(is_worse(&rates(side(200, 100), side(100, 100)), 0.1));
        assert!(
            !is_worse(&rates(side(200, 100), side(100, 50)), 0.1),
            "as bad as before"
        );
    }
}
