//! The external SIRA: whatever it does, there is a decision, in time.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "support/question.rs"]
mod question;
#[path = "support/sira.rs"]
mod sira;

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use plugmend_control_plane::{
    domain::decision::{Action, Decided, Source},
    outgoing::HttpClient,
    sira::{External, Sira},
};
use question::question;
use serde_json::{Value, json};
use sira::{FakeSira, Manner};

/// Long enough for a busy machine, short enough for a test of who hangs.
const WITHIN: Duration = Duration::from_millis(800);

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn good() -> Value {
    json!({
        "action": "patch", "patch_version": "1.2.3", "confidence": 0.87, "explanation": "1.2.3 mends the signature check",
        "estimated_impact": "low", "method": "patch", "model_version": "sira-7",
    })
}

fn asking(fake: &FakeSira, within: Duration) -> Sira {
    let http = HttpClient::new(None).unwrap();
    let external = External::new(http, &fake.url(), "s3cret-token".into()).unwrap();
    Sira::new(Some(Arc::new(external.within(within))))
}

async fn decide(sira: &Sira) -> Decided {
    sira.decide(&question(), now()).await
}

#[tokio::test]
async fn what_it_answers_is_what_is_decided() {
    let fake = FakeSira::start(Manner::Json(good())).await;
    let decided = decide(&asking(&fake, Duration::from_secs(10))).await;
    assert_eq!(decided.source, Source::External);
    assert_eq!(decided.model_version, "sira-7");
    assert_eq!(decided.decision.action, Action::Patch);
    assert_eq!(decided.decision.patch_version, Some("1.2.3".parse().unwrap()));
    assert!((decided.decision.confidence - 0.87).abs() < 1e-9);
    let request = fake.seen().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /api/sira/decide HTTP/1.1"), "{head}");
    assert!(head.to_ascii_lowercase().contains("authorization: bearer s3cret-token"));
    let body: Value = serde_json::from_str(body).unwrap();
    for field in [
        "merchant_id",
        "plugin_id",
        "telemetry",
        "severity",
        "incident_type",
        "current_version",
        "historical_data",
    ] {
        assert!(!body[field].is_null(), "{field} is missing");
    }
}

#[tokio::test]
async fn a_short_fault_is_tried_again() {
    let fake = FakeSira::start(Manner::Recovers(503, good())).await;
    let decided = decide(&asking(&fake, Duration::from_secs(10))).await;
    assert_eq!((decided.source, fake.asked()), (Source::External, 2));
}

#[tokio::test]
async fn whatever_it_does_there_is_a_decision() {
    let mut rubbish = good();
    rubbish["patch_version"] = json!("9.9.9");
    let manners = [
        ("silent", Manner::Silent, 1),
        ("dripping", Manner::Drips, 1),
        ("closing", Manner::Closes, 3),
        ("no HTTP", Manner::NotHttp, 3),
        ("500", Manner::Status(500), 3),
        ("401", Manner::Status(401), 1),
        ("404", Manner::Status(404), 1),
        ("204", Manner::Status(204), 1),
        ("redirecting", Manner::Redirect, 1),
        ("huge", Manner::Huge(65 * 1024), 1),
        ("no JSON", Manner::Bytes(b"<html>busy</html>".to_vec()), 1),
        ("no UTF-8", Manner::Bytes(vec![0xff; 100]), 1),
        ("deep", Manner::Bytes(vec![b'['; 60_000]), 1),
        ("wrong version", Manner::Json(rubbish), 1),
        ("null", Manner::Json(Value::Null), 1),
    ];
    for (name, manner, tries) in manners {
        let fake = FakeSira::start(manner).await;
        let hangs = matches!(name, "silent" | "dripping");
        let within = if hangs { WITHIN } else { Duration::from_secs(10) };
        let decided = decide(&asking(&fake, within)).await;
        assert_eq!(decided.source, Source::BuiltIn, "{name}");
        assert_eq!(decided.decision.action, Action::Patch, "{name}");
        assert_eq!(decided.passed_over.len(), 1, "{name}");
        assert!(
            decided.passed_over[0].starts_with("external: "),
            "{:?}",
            decided.passed_over
        );
        assert!(!decided.passed_over[0].contains("s3cret"), "{:?}", decided.passed_over);
        assert_eq!(fake.asked(), tries, "{name}: {:?}", decided.passed_over);
    }
}

#[tokio::test]
async fn one_that_is_not_there_is_passed_over() {
    let fake = FakeSira::start(Manner::Silent).await;
    let sira = asking(&fake, Duration::from_secs(10));
    drop(fake);
    let decided = decide(&sira).await;
    assert_eq!(decided.source, Source::BuiltIn);
}

#[tokio::test]
async fn who_fails_five_times_in_a_row_is_left_in_peace_and_then_asked_once() {
    let fake = FakeSira::start(Manner::Status(404)).await;
    let sira = asking(&fake, Duration::from_secs(10));
    for _ in 0..5 {
        decide(&sira).await;
    }
    assert_eq!(fake.asked(), 5);
    let decided = decide(&sira).await;
    assert_eq!((decided.source, fake.asked()), (Source::BuiltIn, 5), "not asked");
    fake.becomes(Manner::Json(good()));
    let later = now() + SignedDuration::from_secs(31);
    let decided = sira.decide(&question(), later).await;
    assert_eq!(
        (decided.source, fake.asked()),
        (Source::External, 6),
        "the trial closed it"
    );
    assert_eq!(sira.decide(&question(), later).await.source, Source::External);
}

#[tokio::test]
async fn one_that_was_demoted_is_not_asked() {
    let fake = FakeSira::start(Manner::Json(good())).await;
    let mut question = question();
    question.historical_data.experience.external_demoted = true;
    let decided = asking(&fake, Duration::from_secs(10)).decide(&question, now()).await;
    assert_eq!((decided.source, fake.asked()), (Source::BuiltIn, 0));
    question.historical_data.experience.demoted = true;
    let decided = asking(&fake, Duration::from_secs(10)).decide(&question, now()).await;
    assert_eq!(decided.source, Source::Heuristics, "both were");
    assert_eq!(
        decided.decision.action,
        Action::ConfigFix,
        "the documented rule for webhooks"
    );
    assert_eq!(decided.passed_over.len(), 2);
}
