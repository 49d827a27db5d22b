use proptest::prelude::*;

use super::*;

fn watch() -> Watch {
    Watch {
        policy: HealthPolicy::default(),
        before: Baseline {
            requests: 1_000,
            errors: 10,
            heard: true,
            ..Baseline::default()
        },
        probes: 1,
        proof_wanted: true,
    }
}

fn seen(seconds: u64) -> Seen {
    Seen {
        elapsed: Duration::from_secs(seconds),
        requests: 100,
        errors: 1,
        heard: true,
        rounds: 10,
        proven: true,
        ..Seen::default()
    }
}

fn code(judgement: &Judgement) -> &str {
    match judgement {
        Judgement::GoOn(_) => "go on",
        Judgement::Decided(Verdict::Healthy) => "healthy",
        Judgement::Decided(Verdict::Inconclusive(_)) => "inconclusive",
        Judgement::Decided(Verdict::Unhealthy(why)) => &why.code,
    }
}

#[test]
fn a_release_is_healthy_when_its_time_is_over_and_all_is_well() {
    assert_eq!(code(&judge(&watch(), &seen(89))), "go on");
    assert_eq!(code(&judge(&watch(), &seen(90))), "healthy");
}

#[test]
fn a_fatal_probe_takes_it_back_at_once() {
    let mut seen = seen(1);
    seen.fatal = Some("the checkout answered 500".to_owned());
    assert_eq!(code(&judge(&watch(), &seen)), "probe_fatal");
}

#[test]
fn one_failed_probe_is_forgiven_and_three_in_a_row_are_not() {
    let mut seen = seen(10);
    seen.failed_in_a_row = 2;
    assert_eq!(code(&judge(&watch(), &seen)), "go on");
    seen.failed_in_a_row = 3;
    assert_eq!(code(&judge(&watch(), &seen)), "probe_failed");
}

#[test]
fn errors_take_it_back_only_when_there_are_more_than_before() {
    let mut seen = seen(30);
    seen.errors = 40;
    assert_eq!(code(&judge(&watch(), &seen)), "error_rate");
    let mut bad_before = watch();
    bad_before.before.errors = 400;
    assert_eq!(code(&judge(&bad_before, &seen)), "go on");
    // And a rate that is high as before is no proof of health either.
    seen.elapsed = Duration::from_secs(90 + 1800);
    assert_eq!(code(&judge(&bad_before, &seen)), "inconclusive");
}

#[test]
fn an_unlucky_start_is_no_proof() {
    let mut seen = seen(3);
    (seen.errors, seen.requests) = (2, 4);
    assert_eq!(code(&judge(&watch(), &seen)), "go on");
}

#[test]
fn without_history_the_threshold_is_the_measure() {
    let mut new = watch();
    new.before = Baseline::default();
    let mut seen = seen(30);
    (seen.errors, seen.requests) = (60, 100);
    assert_eq!(code(&judge(&new, &seen)), "error_rate");
    (seen.errors, seen.requests) = (3, 20);
    assert_eq!(code(&judge(&new, &seen)), "go on");
}

#[test]
fn silence_counts_only_for_a_plugin_that_spoke_before() {
    let mut silent = seen(119);
    (silent.heard, silent.requests, silent.errors) = (false, 0, 0);
    assert_eq!(code(&judge(&watch(), &silent)), "go on");
    silent.elapsed = Duration::from_mins(2);
    assert_eq!(code(&judge(&watch(), &silent)), "silent");
    let mut never = watch();
    never.before.heard = false;
    assert_eq!(code(&judge(&never, &silent)), "healthy");
}

#[test]
fn the_silence_of_a_quiet_shop_is_no_harm_before_it_would_have_spoken() {
    let mut quiet = watch();
    // One event in two minutes: none within two minutes is no more than bad luck.
    (quiet.before.requests, quiet.before.errors, quiet.proof_wanted) = (30, 0, true);
    let mut silent = seen(120);
    (silent.heard, silent.requests, silent.errors, silent.proven) = (false, 0, 0, false);
    assert_eq!(code(&judge(&quiet, &silent)), "go on");
    silent.elapsed = Duration::from_mins(10);
    assert_eq!(code(&judge(&quiet, &silent)), "silent");
    silent.proven = true;
    silent.elapsed = Duration::from_mins(3);
    assert_eq!(code(&judge(&quiet, &silent)), "healthy");
}

#[test]
fn without_probes_and_traffic_it_is_watched_on_and_stays_open() {
    let mut blind = watch();
    (blind.probes, blind.before.heard) = (0, false);
    let mut nothing = Seen {
        elapsed: Duration::from_secs(90),
        ..Seen::default()
    };
    assert_eq!(code(&judge(&blind, &nothing)), "go on");
    nothing.elapsed = Duration::from_secs(90 + 1800);
    assert_eq!(code(&judge(&blind, &nothing)), "inconclusive");
}

#[test]
fn without_proof_of_the_new_version_nothing_is_called_healthy() {
    let mut seen = seen(90 + 1800);
    seen.proven = false;
    assert_eq!(code(&judge(&watch(), &seen)), "inconclusive");
}

#[test]
fn webhooks_that_go_on_failing_are_watched_on_and_never_called_healthy() {
    let mut sick = watch();
    (sick.before.webhook_total, sick.before.webhook_failed) = (100, 60);
    let mut seen = seen(90);
    (seen.webhook_total, seen.webhook_failed) = (50, 30);
    assert_eq!(code(&judge(&sick, &seen)), "go on");
    seen.elapsed = Duration::from_secs(90 + 1800);
    assert_eq!(code(&judge(&sick, &seen)), "inconclusive");
    seen.webhook_failed = 1;
    assert_eq!(code(&judge(&sick, &seen)), "healthy");
}

proptest! {
    #[test]
    fn a_watch_always_ends(
        (elapsed, requests, errors, before_requests, before_errors) in
            (0_u64..4_000, 0_u64..2_000_000, 0_u64..2_000_000, 0_u64..2_000_000, 0_u64..2_000_000),
        (heard, heard_before, proven) in any::<(bool, bool, bool)>(),
        threshold in prop_oneof![Just(f64::NAN), Just(-1.0), 0.0..2.0_f64],
    ) {
        let mut watch = watch();
        watch.before = Baseline { requests: before_requests, errors: before_errors, heard: heard_before, ..Baseline::default() };
        watch.policy.auto_rollback_on_error_rate_threshold = threshold;
        let seen = Seen { elapsed: Duration::from_secs(elapsed), requests, errors, heard, proven, ..seen(0) };
        let judgement = judge(&watch, &seen);
        let over = elapsed >= 120 + 1800;
        prop_assert!(!over || matches!(judgement, Judgement::Decided(_)));
        // No more errors than before, in rate, is never a reason to go back.
        if before_requests > 0 && rate((errors, requests)) <= rate((before_errors, before_requests)) {
            prop_assert_ne!(code(&judgement), "error_rate");
        }
    }
}
