//! An order that was given: how it ended, and whether the plugin's own telemetry agrees.

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{
    ids::CommandId,
    protocol::command::{CommandKind, CommandPayload},
};
use serde_json::{Value, json};

use super::{
    Healing, HealingError,
    end::{self, End},
};
use crate::{
    domain::attempt::{Attempt, Ending, Method, read_end},
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
/// How often after that, until the plugin was heard.
const CONFIRM: SignedDuration = SignedDuration::from_secs(10);
/// How long the plugin may take to be heard again.
const HEARD_WITHIN: SignedDuration = SignedDuration::from_mins(15);
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
                words,
            } => {
                let said = Said {
                    healthy,
                    rates: (error_rate_before, error_rate_after),
                    words,
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
        let situation = store::attempt::plugin(tx, attempt.plugin_id, Some(attempt.id), now).await?;
        let ended_at = attempt.order_ended_at.unwrap_or(now);
        let is_heard = attempt.order_ended_at.is_some() && situation.last_heard.is_some_and(|heard| heard >= ended_at);
        if !is_heard || !is_in_force(attempt, &situation) {
            if now.duration_since(ended_at) < HEARD_WITHIN {
                store::attempt::look_again(tx, attempt.id, now + CONFIRM, (None, None), now).await?;
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
        let rates = store::attempt::error_rates(tx, parties, attempt.status_since).await?;
        let result = production_result(attempt, said, &rates);
        if is_worse(&rates, policy.auto_rollback_on_error_rate_threshold) {
            let words = "more requests fail since the change than before it, by the plugin's own telemetry";
            let end = End::rolled_back("worse", words).produced(result).blaming();
            self.go_back(tx, held, attempt, words, now).await?;
            end::end(tx, held, attempt, &end, now).await?;
        } else {
            let end = End::success(&said.words).produced(result);
            end::end(tx, held, attempt, &end, now).await?;
        }
        Ok(())
    }

    /// Orders the way back.
    async fn go_back(
        &self,
        tx: &mut Tx,
        _held: &Held,
        attempt: &Attempt,
        why: &str,
        now: Timestamp,
    ) -> Result<(), HealingError> {
        // Settings go back with the agent's own copy: a roll-back of a release would be something else.
        if attempt.method == Method::ConfigFix {
            return Ok(());
        }
        let id = CommandId::from_parts(now, self.entropy.bytes()?);
        let order = NewOrder {
            kind: CommandKind::Rollback,
            payload: CommandPayload {
                reason: Some(why.to_owned()),
                attempt_id: Some(attempt.id),
                ..CommandPayload::default()
            },
            max_retries: None,
        };
        match give_in(tx, &Actor::Sira, TAKE_BACK, attempt.plugin_id, order, id, now).await {
            Ok(_) => Ok(()),
            Err(GiveError::Once(crate::service::once::OnceError::Store(error))) => Err(error.into()),
            Err(refused) => {
                tracing::warn!(attempt = %attempt.id, error = %refused, "the way back can not be ordered");
                Ok(())
            }
        }
    }
}

/// What the plugin said about a change that it kept.
struct Said {
    healthy: Option<bool>,
    rates: (Option<f64>, Option<f64>),
    words: String,
}

fn ended(ending: Ending, attempt: &Attempt) -> End {
    match ending {
        Ending::TakenBack {
            why,
            error_rate_before,
            error_rate_after,
        } => {
            let result = json!({
                "applied_at": attempt.status_since, "health_check_passed": false,
                "error_rate_before": error_rate_before, "error_rate_after": error_rate_after,
            });
            End::rolled_back("unhealthy", why).produced(result).blaming()
        }
        Ending::Rejected { why } => End::failed("rejected", why).blaming(),
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
        "error_rate_before": said.rates.0.or_else(|| share(rates.errors_before, rates.requests_before)),
        "error_rate_after": said.rates.1.or_else(|| share(rates.errors_after, rates.requests_after)),
        "explanation": said.words,
    })
}

fn share(part: u64, whole: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a share does not need more than 52 bits")]
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Whether the errors since a change are over the limit and worse than before it, by more than chance does (the
/// difference of two shares against its standard error).
fn is_worse(rates: &Rates, limit: f64) -> bool {
    let (Some(before), Some(after)) = (
        share(rates.errors_before, rates.requests_before),
        share(rates.errors_after, rates.requests_after),
    ) else {
        return false;
    };
    if rates.requests_after < FEWEST_REQUESTS || rates.requests_before < FEWEST_REQUESTS || after <= limit {
        return false;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    let (n, m) = (rates.requests_before as f64, rates.requests_after as f64);
    let pooled = (before * n + after * m) / (n + m);
    let error = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    after - before > WORSE_BY * error.max(f64::EPSILON)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(requests_before: u64, errors_before: u64, requests_after: u64, errors_after: u64) -> Rates {
        Rates {
            requests_before,
            errors_before,
            requests_after,
            errors_after,
        }
    }

    #[test]
    fn worse_means_over_the_limit_and_worse_than_before() {
        assert!(is_worse(&rates(1000, 10, 100, 60), 0.1));
        assert!(!is_worse(&rates(1000, 600, 100, 60), 0.1), "as bad as before");
        assert!(!is_worse(&rates(1000, 10, 100, 5), 0.1), "below the limit");
        assert!(!is_worse(&rates(1000, 10, 10, 10), 0.1), "too few to tell");
        assert!(!is_worse(&rates(0, 0, 100, 100), 0.1), "nothing to compare with");
    }
}
