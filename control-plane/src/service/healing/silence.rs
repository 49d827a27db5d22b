//! Plugins of which nothing is heard. Before a plugin is blamed, we ask whether we can hear at all.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{
    detect::{
        PluginState, Settings,
        silence::{self, Silence},
    },
    ids::PluginId,
};
use serde_json::json;

use super::{Observed, observe};
use crate::{
    domain::event::{Event, EventKind},
    store::{
        Db, StoreError, Tx,
        detector::{self, Silent},
        outbox, policy,
    },
};

/// How many plugins one transaction judges.
const BATCH: i64 = 200;
/// Who has been gone for longer is gone for good: nobody calls people at night for a shop that was closed last month.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Nobody heard for this long: it is we who are deaf.
const DEAF: SignedDuration = SignedDuration::from_mins(4);
/// A look that is this late was kept from looking, and so perhaps from hearing.
const LATE: SignedDuration = SignedDuration::from_mins(3);
/// For so long it is believed that those who fell silent together are cut off.
const EXCUSED: SignedDuration = SignedDuration::from_secs(silence::EXCUSED_S);
/// In a smaller fleet everybody may well fall silent at once.
const SMALL_FLEET: u64 = 20;

/// What this process knows of its own hearing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hearing {
    /// When it looked last.
    last_look: Option<Timestamp>,
    /// Since when it has heard somebody, look after look.
    since: Option<Timestamp>,
}

impl Hearing {
    /// After a look at `now`, when the fleet of `fleet` plugins was last heard at `heard`. Silence counts from the moment
    /// that we could hear.
    #[must_use]
    pub fn look(self, now: Timestamp, heard: Option<Timestamp>, fleet: u64) -> Self {
        let was_away = self.last_look.is_none_or(|last| now.duration_since(last) > LATE);
        let is_deaf = fleet >= SMALL_FLEET && heard.is_none_or(|heard| now.duration_since(heard) > DEAF);
        // A small fleet is believed from the start: there is nobody to compare with.
        let starts_anew = is_deaf || was_away && fleet >= SMALL_FLEET;
        Self {
            last_look: Some(now),
            since: if starts_anew { Some(now) } else { self.since },
        }
    }

    /// From when on a silence is counted that began at `last_heard`.
    fn counts_from(self, last_heard: Timestamp) -> Timestamp {
        self.since.map_or(last_heard, |since| since.max(last_heard))
    }
}

/// How many plugins fell silent when, and how many there are: what falls silent together is cut off, not ill.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Together {
    by_minute: BTreeMap<i64, u64>,
    fleet: u64,
}

impl Together {
    fn of(heard: Vec<(Option<i64>, u64)>) -> Self {
        let mut this = Self::default();
        for (minute, plugins) in heard {
            this.fleet += plugins;
            if let Some(minute) = minute {
                this.by_minute.insert(minute, plugins);
            }
        }
        this
    }

    /// How many fell silent at about the same time as one that was last heard then.
    fn with(&self, last_heard: Timestamp) -> u64 {
        let (minute, within) = (last_heard.as_second().div_euclid(60), silence::TOGETHER_S / 60);
        self.by_minute
            .range(minute - within..=minute + within)
            .map(|(_, plugins)| plugins)
            .sum()
    }

    fn is_common(&self, last_heard: Timestamp) -> bool {
        let count = |plugins: u64| usize::try_from(plugins).unwrap_or(usize::MAX);
        silence::is_common(count(self.with(last_heard)), count(self.fleet))
    }
}

/// Who fell silent together, as far as it matters still.
///
/// # Errors
/// When the database fails.
pub async fn listen(db: &Db, now: Timestamp) -> Result<Together, StoreError> {
    let settings = Settings::default();
    let since = now.checked_sub(EXCUSED + EXCUSED).unwrap_or(Timestamp::MIN);
    let silent_before = now
        .checked_sub(seconds(settings.silence_suspect_s))
        .unwrap_or(Timestamp::MIN);
    Ok(Together::of(
        detector::last_heard_by_minute(db, since, silent_before).await?,
    ))
}

/// Judges a batch of silent plugins; the id to go on after, when there are more, and how many were marked.
///
/// # Errors
/// When the database fails.
pub async fn find_silent(
    db: &Db,
    (hearing, together): (Hearing, &Together),
    after: Option<PluginId>,
    now: Timestamp,
) -> Result<(Option<PluginId>, u64), StoreError> {
    let mut settings = Settings::default();
    let suspect_after = seconds(settings.silence_suspect_s);
    let before = now.checked_sub(suspect_after).unwrap_or(Timestamp::MIN);
    let not_before = now.checked_sub(FORGOTTEN).unwrap_or(Timestamp::MIN);
    let mut tx = db.begin().await?;
    settings.severity = policy::severities(&mut tx).await?;
    let found = detector::lock_silent(&mut tx, (not_before, before), after, BATCH).await?;
    let (mut marked, mut missed) = (0, Vec::new());
    for silent in &found {
        let excused = silent
            .excused_until
            .filter(|until| Some(*until) == excused_until(silent.last_heard));
        let from = hearing.counts_from(excused.unwrap_or(silent.last_heard));
        let interval = PluginState::from_bytes(&silent.remembered.state).interval_s();
        let interval = interval.unwrap_or(settings.heartbeat_interval_s);
        match silence::judge_at(from.as_second(), now.as_second(), interval, &settings) {
            Silence::Heard => {}
            Silence::Suspect if silent.is_suspect => {}
            Silence::Missed if excused.is_none() && together.is_common(silent.last_heard) => {
                excuse(&mut tx, silent, together, now).await?;
                marked += 1;
            }
            verdict => {
                detector::mark_silent(&mut tx, silent, verdict == Silence::Missed, now).await?;
                marked += 1;
                if verdict == Silence::Missed {
                    missed.push(observed(&mut tx, silent, from, now, &settings).await?);
                }
            }
        }
    }
    observe(&mut tx, &missed, now).await?;
    tx.commit().await?;
    let is_full = i64::try_from(found.len()).is_ok_and(|count| count >= BATCH);
    Ok((found.last().filter(|_| is_full).map(|silent| silent.plugin_id), marked))
}

/// Until when a silence that began then may be somebody else's fault.
fn excused_until(last_heard: Timestamp) -> Option<Timestamp> {
    last_heard.checked_add(EXCUSED).ok()
}

/// Leaves a plugin in peace that fell silent with many others; ops are told of them all once.
async fn excuse(tx: &mut Tx, silent: &Silent, together: &Together, now: Timestamp) -> Result<(), StoreError> {
    let Some(until) = excused_until(silent.last_heard) else {
        return Ok(());
    };
    detector::excuse(tx, silent, until, now).await?;
    let event = Event {
        kind: EventKind::SilentTogether,
        merchant_id: None,
        plugin_id: None,
        data: json!({
            "plugins": together.with(silent.last_heard), "fleet": together.fleet, "last_heard": silent.last_heard,
            "excused_until": until,
        }),
    };
    outbox::put_unless_told(tx, &event, now.checked_sub(EXCUSED).unwrap_or(Timestamp::MIN)).await
}

async fn observed(
    tx: &mut Tx,
    silent: &Silent,
    from: Timestamp,
    now: Timestamp,
    settings: &Settings,
) -> Result<Observed, StoreError> {
    let situation = crate::store::attempt::plugin(tx, silent.plugin_id, None, now).await?;
    Ok(Observed {
        merchant_id: situation.facts.merchant_id,
        plugin_id: silent.plugin_id,
        version: situation.version,
        findings: vec![silence::finding(from.as_second(), now.as_second(), settings)],
        recovered: Vec::new(),
        snapshot: json!({
            "last_heartbeat": silent.last_heard,
            "seconds_since_heartbeat": now.duration_since(silent.last_heard).as_secs(),
        }),
    })
}

#[expect(clippy::cast_possible_truncation, reason = "a few minutes")]
fn seconds(seconds: f64) -> SignedDuration {
    SignedDuration::from_secs(seconds as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

    fn at(minutes: i64) -> Timestamp {
        NOW + SignedDuration::from_mins(minutes)
    }

    #[test]
    fn after_an_outage_of_ours_silence_is_counted_anew() {
        let hearing = Hearing::default()
            .look(NOW, Some(NOW), 1000)
            .look(at(1), Some(at(1)), 1000);
        assert_eq!(hearing.counts_from(at(-8)), at(0), "whoever starts hears from then on");
        let deaf = hearing.look(at(2), Some(at(-3)), 1000);
        assert_eq!(deaf.counts_from(at(-9)), at(2));
        let hears_again = deaf.look(at(3), Some(at(3)), 1000);
        assert_eq!(hears_again.counts_from(at(-9)), at(2));
        assert_eq!(hears_again.counts_from(at(3)), at(3));
    }

    #[test]
    fn together_is_within_four_minutes_and_a_tenth_of_the_fleet() {
        let minute = |minutes: i64| Some(at(minutes).as_second().div_euclid(60));
        let fell_silent = |there: u64, elsewhere: u64, well: u64| {
            Together::of(vec![
                (minute(-10), there),
                (minute(-14), there),
                (minute(-15), elsewhere),
                (None, well),
            ])
        };
        assert!(fell_silent(10, 0, 100).is_common(at(-10)));
        assert!(!fell_silent(9, 50, 100).is_common(at(-10)), "those were earlier");
        assert!(!fell_silent(10, 0, 300).is_common(at(-10)), "too small a part");
        assert_eq!(fell_silent(10, 5, 100).with(at(-14)), 25);
    }

    #[test]
    fn in_a_small_fleet_silence_is_silence() {
        let hearing = Hearing::default().look(NOW, Some(at(-9)), 1);
        assert_eq!(hearing.counts_from(at(-9)), at(-9));
    }
}
