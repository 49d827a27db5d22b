//! One host is left alone, two are found.

use proptest::prelude::*;

use super::*;

const IN_FLIGHT: SignedDuration = SignedDuration::from_secs(60);

fn sign(host: u8, renewals: u64, second: i64) -> Sign {
    Sign {
        boot_id: Some(life_of(host)),
        renewals,
        address: format!("192.0.2.{host}"),
        at: Timestamp::from_second(1_800_000_000 + second).unwrap(),
    }
}

fn life_of(host: u8) -> BootId {
    BootId::from_parts(Timestamp::UNIX_EPOCH, [host; 10])
}

/// Feeds signs in the order of their arrival and says whether the identity was fenced, and when.
fn fenced_at(signs: &[Sign]) -> Option<Timestamp> {
    let mut seen = Sightings::default();
    for sign in signs {
        let (next, sighting) = observe(&seen, sign, IN_FLIGHT);
        if matches!(sighting, Sighting::TwoPlaces(_)) {
            return Some(sign.at);
        }
        seen = next.unwrap_or(seen);
    }
    None
}

#[test]
fn restarts_and_moves_to_another_host_are_nothing_special() {
    let signs: Vec<_> = (0..200_u8).map(|life| sign(life, 0, i64::from(life) * 7)).collect();
    assert_eq!(fenced_at(&signs), None);
}

#[test]
fn two_hosts_that_speak_by_turns_are_fenced() {
    let signs: Vec<_> = (0..9).map(|n| sign(u8::from(n % 2 == 0), 0, n * 60)).collect();
    assert!(fenced_at(&signs).is_some());
}

#[test]
fn fresh_lives_do_not_wash_away_the_trace_of_a_second_host() {
    // Six fresh lives between any two signs of the host that stays; and as many as will be taken.
    for lives in [6, 200] {
        let mut signs = Vec::new();
        for minute in 0..10 {
            signs.push(sign(0, 0, minute * 60));
            for n in 0..lives {
                let mut fresh = sign(1, 0, minute * 60 + 1 + n * 58 / lives);
                let number = u8::try_from(n).unwrap();
                fresh.boot_id = Some(BootId::from_parts(fresh.at, [number; 10]));
                signs.push(fresh);
            }
        }
        assert!(fenced_at(&signs).is_some(), "{lives}");
    }
}

#[test]
fn a_process_that_begins_again_and_again_is_bounded_and_not_fenced() {
    let mut seen = Sightings::default();
    let mut taken = 0;
    for n in 0..50_u8 {
        let (next, sighting) = observe(&seen, &sign(n, 0, i64::from(n)), IN_FLIGHT);
        assert!(matches!(sighting, Sighting::Seen | Sighting::Restless), "{sighting:?}");
        taken += usize::from(sighting == Sighting::Seen);
        seen = next.unwrap_or(seen);
    }
    assert_eq!(taken, MOST_LIVES + 1);
    let later = observe(&seen, &sign(99, 0, 200), IN_FLIGHT).1;
    assert_eq!(later, Sighting::Seen);
}

#[test]
fn one_late_request_of_a_dead_process_fences_nobody() {
    let signs = [
        sign(1, 0, 0),
        sign(2, 0, 10),
        sign(1, 0, 200),
        sign(1, 0, 201),
        sign(2, 0, 210),
    ];
    assert_eq!(fenced_at(&signs), None);
}

#[test]
fn a_copy_that_uses_the_replaced_certificate_is_fenced() {
    let signs = [
        sign(1, 0, 0),
        sign(1, 1, 10),
        sign(1, 0, 20),
        sign(1, 0, 100),
        sign(1, 1, 120),
        sign(1, 0, 190),
    ];
    let at = fenced_at(&signs).unwrap();
    assert_eq!(at, signs[5].at);
}

#[test]
fn requests_for_release_files_say_nothing_about_lives() {
    let anonymous = Sign {
        boot_id: None,
        ..sign(1, 0, 500)
    };
    let seen = observe(&Sightings::default(), &sign(2, 0, 0), IN_FLIGHT).0.unwrap();
    assert_eq!(observe(&seen, &anonymous, IN_FLIGHT), (None, Sighting::Seen));
}

#[test]
fn what_is_remembered_stays_small() {
    let mut seen = Sightings::default();
    for life in 0..100 {
        seen = observe(&seen, &sign(life, 0, i64::from(life)), IN_FLIGHT)
            .0
            .unwrap_or(seen);
    }
    assert!(seen.former.len() <= REMEMBERED);
}

proptest! {
    /// One host that restarts and renews at random; some requests arrive up to `IN_FLIGHT` after they were
    /// overtaken by what the host did next.
    #[test]
    fn one_host_is_never_fenced(
        steps in prop::collection::vec((0_u8..10, 1_i64..200, 0_i64..60), 1..80),
    ) {
        let (mut life, mut renewals, mut clock) = (0_u8, 0_u64, 0_i64);
        let mut signs = Vec::new();
        for (what, pause, delay) in steps {
            signs.push(sign(life, renewals, clock + delay));
            signs.push(sign(life, renewals, clock));
            match what {
                0 | 1 => life = life.wrapping_add(1),
                2 => renewals += 1,
                _ => {}
            }
            clock += pause;
        }
        signs.sort_by_key(|sign| sign.at);
        prop_assert_eq!(fenced_at(&signs), None);
    }

    /// Two hosts with one identity that both keep speaking: seen within a few of their intervals.
    #[test]
    fn two_hosts_are_always_fenced(
        every in 1_i64..130, shift in 0_i64..130, jitter in prop::collection::vec(0_i64..5, 60),
    ) {
        // From the moment at which both speak.
        let enough = (shift + 4 * 60) / every + 8;
        let mut signs = Vec::new();
        for n in 0..enough {
            let wobble = jitter[usize::try_from(n).unwrap() % jitter.len()];
            signs.push(sign(1, 0, n * every + wobble));
            signs.push(sign(2, 0, n * every + shift + wobble));
        }
        signs.sort_by_key(|sign| sign.at);
        prop_assert!(fenced_at(&signs).is_some());
    }
}
