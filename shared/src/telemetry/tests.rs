//! The notations, the counters and the summaries, as statements of behaviour.

#![expect(clippy::float_cmp, reason = "whole numbers come out as they went in")]

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{Counters, Distinct, Fact, LatencySketch, REFUSED_METRIC, Refusal, Rolling, Window, event, statsd};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Counts `lines` of DogStatsD and closes the window.
fn counted(lines: &str) -> Window {
    let mut counters = Counters::default();
    let tally = statsd::parse_datagram(lines.as_bytes(), u64::MAX, &mut |fact| counters.record(&fact));
    counters.add_refused(tally.refused);
    let window = counters.close(1, at(0), at(120));
    window.check().unwrap();
    window
}

fn refusal(line: &str) -> Refusal {
    let mut emitted = 0;
    let refusal = statsd::parse_line(line, &mut |_| emitted += 1).unwrap_err();
    assert_eq!(emitted, 0, "{line:?} was half taken");
    refusal
}

#[test]
fn requests_and_webhooks_are_counted_with_how_they_went() {
    let window = counted(
        "requests:3|c\nrequests:1|c|#ok:false\nplugmend.requests:1|c|#status:502,region:eu\nwebhook:2|c\nwebhook:1|c|#ok:false",
    );
    assert_eq!((window.requests, window.errors), (5, 2));
    assert_eq!((window.webhook_total, window.webhook_failed), (3, 1));
}

#[test]
fn a_sampled_counter_stands_for_more() {
    assert_eq!(counted("requests:1|c|@0.1").requests, 10);
    assert_eq!(counted("errors:1:2:3|c|@0.5").errors, 12);
}

#[test]
fn failures_never_outnumber_deliveries() {
    let window = counted("webhook.total:2|c\nwebhook.failed:5|c");
    assert_eq!((window.webhook_total, window.webhook_failed), (5, 5));
}

#[test]
fn metrics_of_other_names_are_kept_under_them() {
    let window = counted("orders:2|c\norders:3|c\nqueue:9|g\nqueue:4|g\nsql:10:20|ms\nusers:a:b:a|s|c:abc|T1656581400");
    assert_eq!(window.custom["orders"], 5.0);
    assert_eq!(window.custom["queue"], 4.0);
    assert_eq!(window.custom["sql.count"], 2.0);
    assert_eq!(window.custom["sql.sum"], 30.0);
    assert_eq!(window.custom["users"], 2.0);
}

#[test]
fn numbers_that_are_none_are_refused() {
    for line in [
        "errors:NaN|c",
        "errors:inf|c",
        "errors:-1|c",
        "latency:-3|ms",
        "latency:1e300|ms",
        "queue:NaN|g",
        "sql:-1|h",
        "errors:|c",
        "errors:1x|c",
    ] {
        assert_eq!(refusal(line), Refusal::BadValue, "{line}");
    }
    assert_eq!(refusal("errors:1:NaN|c"), Refusal::BadValue);
    assert_eq!(refusal("errors:1|c|@0"), Refusal::BadRate);
    assert_eq!(refusal("errors:1|c|@NaN"), Refusal::BadRate);
}

#[test]
fn lines_in_another_notation_are_refused_and_counted() {
    assert_eq!(refusal("errors"), Refusal::Malformed);
    assert_eq!(refusal("errors:1"), Refusal::Malformed);
    assert_eq!(refusal("errors:1|q"), Refusal::UnknownKind);
    assert_eq!(refusal("bad name:1|c"), Refusal::BadName);
    assert_eq!(refusal("_e{5,4}:title|text"), Refusal::BadName);
    assert_eq!(refusal(&format!("{}:1|c", "n".repeat(91))), Refusal::BadName);
    assert_eq!(refusal(&format!("errors:{}|c", "1:".repeat(300))), Refusal::TooLong);
    assert_eq!(counted("errors:1|c\nnonsense\n\n").custom[REFUSED_METRIC], 1.0);
}

#[test]
fn lines_beyond_the_budget_are_not_looked_at() {
    let tally = statsd::parse_datagram(b"errors:1|c\nx\nerrors:1|c\nerrors:1|c\n", 2, &mut |_| {});
    assert_eq!((tally.taken, tally.refused, tally.dropped), (1, 1, 2));
}

#[test]
fn json_events_say_the_same_things() {
    let mut counters = Counters::default();
    let mut version = String::new();
    let mut words = String::new();
    for line in [
        r#"{"type":"hello","version":"1.2.3","env":{"php":"8.2.7"}}"#,
        r#"{"type":"request","ok":true,"ms":12,"unknown":{"deep":[1]}}"#,
        r#"{"type":"request","ok":false}"#,
        r#"{"type":"error","message":"card \"gateway\": time-out"}"#,
        r#"{"type":"webhook","ok":false}"#,
        r#"{"type":"counter","name":"orders","value":2}"#,
        r#"{"type":"gauge","name":"queue","value":-3.5}"#,
    ] {
        event::parse_line(line.as_bytes(), &mut |fact| {
            counters.record(&fact);
            match fact {
                Fact::Version(text) => version = text.to_owned(),
                Fact::Message(text) => words = text.to_owned(),
                _ => {}
            }
        })
        .unwrap();
    }
    let window = counters.close(1, at(0), at(1));
    assert_eq!((window.requests, window.errors, window.webhook_failed), (2, 2, 1));
    assert_eq!(window.latency.unwrap().count, 1);
    assert_eq!((window.custom["orders"], window.custom["queue"]), (2.0, -3.5));
    assert_eq!(
        (version.as_str(), words.as_str()),
        ("1.2.3", "card \"gateway\": time-out")
    );
}

#[test]
fn bad_json_events_are_refused_whole() {
    for (line, why) in [
        ("{}", Refusal::Malformed),
        ("[]", Refusal::Malformed),
        (r#"{"type":"dance"}"#, Refusal::UnknownKind),
        (r#"{"type":"request","ms":-1}"#, Refusal::BadValue),
        (r#"{"type":"request","ms":1e999}"#, Refusal::Malformed),
        (r#"{"type":"counter","name":"a","value":-1}"#, Refusal::BadValue),
        (r#"{"type":"counter","value":1}"#, Refusal::Malformed),
    ] {
        let mut emitted = 0;
        let result = event::parse_line(line.as_bytes(), &mut |_| emitted += 1);
        assert_eq!(result, Err(why), "{line}");
        assert_eq!(emitted, 0);
    }
    assert_eq!(event::parse_line(b"\xff", &mut |_| {}), Err(Refusal::NotText));
    assert_eq!(event::parse_line(&[b' '; 9000], &mut |_| {}), Err(Refusal::TooLong));
}

#[test]
fn depth_is_bounded_by_length() {
    for depth in [100, 4_000] {
        let line = format!(
            "{{\"type\":\"webhook\",\"x\":{}{}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        );
        let _ = event::parse_line(line.as_bytes(), &mut |_| {});
    }
}

#[test]
fn a_window_has_at_most_so_many_metrics_and_says_what_it_refused() {
    let lines: Vec<String> = (0..100).map(|n| format!("metric{n}:1|c")).collect();
    let window = counted(&lines.join("\n"));
    assert_eq!(window.custom.len(), super::MAX_CUSTOM_METRICS);
    assert_eq!(window.custom[REFUSED_METRIC], 37.0);
}

#[test]
fn counts_saturate() {
    let window = counted("requests:1e18|c\nrequests:1e18|c\norders:1e300|c\norders:1e300|c");
    assert_eq!(window.requests, super::MAX_COUNT);
    assert!(window.custom["orders"] <= 1e15);
}

#[test]
fn the_last_day_is_remembered_and_no_longer() {
    let mut rolling = Rolling::default();
    let start = at(1_700_000_000);
    let hour = SignedDuration::from_hours(1);
    for n in 0..30 {
        let to = start + hour * n;
        let mut window = Window::empty(1, to - hour, to);
        (window.errors, window.webhook_total, window.webhook_failed) = (1, 10, u64::from(n == 29));
        rolling.add(&window, to);
    }
    let now = start + hour * 29;
    assert!((24..=25).contains(&rolling.errors_last_24h(now)));
    assert_eq!(rolling.errors_last_24h(now + hour * 48), 0);
    let rate = rolling.webhook_fail_rate(now).unwrap();
    assert!((0.05..=0.1).contains(&rate), "{rate}");
    assert_eq!(rolling.webhook_fail_rate(now + hour * 2), None);
}

#[test]
fn a_clock_that_jumps_keeps_the_memory_bounded_and_the_last_day_right() {
    let mut rolling = Rolling::default();
    let day = SignedDuration::from_hours(24);
    for n in 0..2_000i32 {
        let now = at(1_700_000_000) + SignedDuration::from_mins(5) * (n % 700) - day * (n % 3);
        let mut window = Window::empty(1, now, now);
        window.errors = 1;
        rolling.add(&window, now);
        assert!(rolling.errors_last_24h(now) >= 1);
    }
}

#[test]
fn distinct_members_are_estimated() {
    let mut set = Distinct::default();
    for n in 0..1000 {
        set.add(&format!("user-{n}"));
        set.add(&format!("user-{n}"));
    }
    assert!((940.0..1060.0).contains(&set.estimate()), "{}", set.estimate());
}

proptest! {
    #[test]
    fn arbitrary_datagrams_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let mut counters = Counters::default();
        let tally = statsd::parse_datagram(&bytes, 100, &mut |fact| counters.record(&fact));
        counters.add_refused(tally.refused);
        counters.close(1, at(0), at(1)).check().unwrap();
        let _ = event::parse_line(&bytes, &mut |fact| counters.record(&fact));
    }

    #[test]
    fn lines_that_look_right_make_windows_that_are_right(
        lines in proptest::collection::vec("(plugmend\\.)?(requests|errors|webhook(\\.total|\\.failed)?|latency|[a-z.]{1,95}):[-+0-9.eEinfNa:]{1,12}\\|(c|g|ms|h|s)(\\|@[0-9.e-]{1,6})?(\\|#(ok:false|version:1|,){1,3})?", 1..30)
    ) {
        counted(&lines.join("\n"));
    }

    #[test]
    fn json_that_looks_right_makes_windows_that_are_right(
        kind in "(hello|request|error|webhook|counter|gauge)", name in "[a-z.]{0,100}", value in any::<f64>(), ms in any::<f64>(), ok in any::<bool>(), message in ".{0,400}"
    ) {
        let line = serde_json::json!({"type": kind, "name": name, "value": value, "ms": ms, "ok": ok, "message": message}).to_string();
        let mut counters = Counters::default();
        let _ = event::parse_line(line.as_bytes(), &mut |fact| counters.record(&fact));
        counters.close(1, at(0), at(1)).check().unwrap();
    }

    #[test]
    fn a_quantile_is_within_five_percent(mut values in proptest::collection::vec(0.02f64..80_000_000.0, 1..400), q in 0.0f64..=1.0) {
        let mut sketch = LatencySketch::default();
        for value in &values {
            sketch.record(*value, 1);
        }
        values.sort_by(f64::total_cmp);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "an index")]
        let exact = values[(q * (values.len() - 1) as f64).floor() as usize];
        let estimate = sketch.quantile(q).unwrap();
        prop_assert!((estimate - exact).abs() <= exact * 0.0501, "{estimate} for {exact}");
    }
}
