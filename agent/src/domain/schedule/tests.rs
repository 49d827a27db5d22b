use plugmend_shared::ids::PluginId;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const INTERVAL: Duration = Duration::from_mins(2);

fn plugin(n: u128) -> PluginId {
    PluginId(Uuid::from_u128(n))
}

fn wall(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn a_fleet_is_spread_evenly_over_the_interval() {
    for spacing in [1u128, 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834] {
        let mut slots = [0u32; 120];
        for n in 0..120_000u128 {
            let at = phase(plugin(n.wrapping_mul(spacing)), INTERVAL);
            slots[usize::try_from(at.as_secs()).unwrap()] += 1;
        }
        assert!(slots.iter().all(|count| (800..1200).contains(count)), "{slots:?}");
    }
}

#[test]
fn an_interval_is_clamped_to_what_can_do_no_harm() {
    assert_eq!(clamp_interval(0), MIN_INTERVAL);
    assert_eq!(clamp_interval(120), INTERVAL);
    assert_eq!(clamp_interval(u32::MAX), MAX_INTERVAL);
}

#[test]
fn an_hour_offline_closes_every_window_and_tries_now_and_then() {
    let mut rhythm = Rhythm::start(plugin(7), INTERVAL, u64::MAX / 2);
    let (mut closed, mut tried, mut random) = (0, 0, 1u64);
    let mut now = Duration::ZERO;
    while now < Duration::from_hours(1) {
        now = rhythm.wake_at();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let due = rhythm.due(now);
        if due.close {
            closed += 1;
            rhythm.closed(now, wall(1_700_000_000 + i64::try_from(now.as_secs()).unwrap()));
        }
        if due.send {
            tried += 1;
            rhythm.failed(now, random);
        }
    }
    assert!((29..=32).contains(&closed), "{closed} windows");
    assert!((30..=130).contains(&tried), "{tried} attempts");
    rhythm.answered(now, true, random);
    assert!(rhythm.wake_at() <= now + DRAIN_PAUSE, "the spool is emptied at once");
    rhythm.answered(now, false, random);
    assert_eq!(rhythm.wake_at(), rhythm.close_at);
}

#[test]
fn after_an_outage_a_fleet_comes_back_spread_over_the_interval() {
    let mut seconds = [0u32; 120];
    for n in 0..12_000u64 {
        let wait = backoff(10, INTERVAL, n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        seconds[usize::try_from(wait.as_secs()).unwrap()] += 1;
    }
    assert!(seconds.iter().all(|count| (50..200).contains(count)), "{seconds:?}");
}

#[test]
fn an_urgent_heartbeat_goes_at_once_but_not_again_and_again() {
    let mut rhythm = Rhythm::start(plugin(7), INTERVAL, 0);
    rhythm.closed(Duration::from_secs(1), wall(1_700_000_000));
    rhythm.urgent(Duration::from_mins(1), false);
    assert_eq!(rhythm.wake_at(), Duration::from_mins(1));
    rhythm.closed(Duration::from_mins(1), wall(1_700_000_060));
    rhythm.urgent(Duration::from_secs(61), false);
    assert_eq!(rhythm.wake_at(), Duration::from_secs(65));
    rhythm.urgent(Duration::from_millis(60_500), true);
    assert_eq!(
        rhythm.wake_at(),
        Duration::from_secs(61),
        "an illness is told of at once"
    );
}

proptest! {
    #[test]
    fn a_turn_always_comes_within_one_interval(
        second in -100_000_000i64..10_000_000_000, id in any::<u128>(), interval in 1u32..3600
    ) {
        let interval = clamp_interval(interval);
        let wait = until_turn(wall(second), plugin(id), interval);
        prop_assert!(wait > Duration::ZERO && wait <= interval);
    }

    #[test]
    fn a_clock_that_jumps_never_stalls_the_rhythm(jumps in proptest::collection::vec(-200_000i64..200_000, 1..50)) {
        let mut rhythm = Rhythm::start(plugin(3), INTERVAL, 99);
        let mut clock = 1_700_000_000i64;
        for jump in jumps {
            let before = rhythm.wake_at();
            clock += jump;
            rhythm.closed(before, wall(clock));
            let wait = rhythm.wake_at().saturating_sub(before);
            prop_assert!(wait >= INTERVAL / 4 && wait <= INTERVAL * 5 / 4);
        }
    }

    #[test]
    fn a_backoff_is_never_longer_than_its_ceiling(failures in any::<u32>(), random in any::<u64>(), interval in 1u32..3600) {
        let wait = backoff(failures, clamp_interval(interval), random);
        prop_assert!(wait <= BACKOFF_CEILING);
    }
}
