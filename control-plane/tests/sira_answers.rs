//! What an external decider may say, and what is refused.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "support/question.rs"]
mod question;

use plugmend_control_plane::domain::decision::{
    Action, Method, Standing,
    answer::{MAX_EXPLANATION, Refusal, read},
};
use proptest::prelude::*;
use question::question;
use serde_json::{Value, json};

fn good() -> Value {
    json!({ "action": "patch", "patch_version": "1.2.3", "confidence": 0.87, "explanation": "it mends it",
            "estimated_impact": { "downtime_s": 2 }, "method": "patch" })
}

fn with(field: &str, value: Value) -> Value {
    let mut answer = good();
    answer[field] = value;
    answer
}

fn refusal(answer: &Value) -> String {
    match read(answer.to_string().as_bytes(), &question()) {
        Err(refusal) => refusal.to_string(),
        Ok(taken) => panic!("{answer} was taken: {taken:?}"),
    }
}

#[test]
fn the_reference_shape_is_taken() {
    let answer = read(good().to_string().as_bytes(), &question()).unwrap();
    assert_eq!(answer.decision.action, Action::Patch);
    assert_eq!(answer.decision.method, Some(Method::Patch));
    assert_eq!(answer.decision.current_version, "1.2.2");
    let minimal = json!({ "action": "notify_ops", "confidence": 0.3, "patch_version": null, "method": null });
    let answer = read(minimal.to_string().as_bytes(), &question()).unwrap();
    assert_eq!(
        (answer.decision.action, answer.decision.method),
        (Action::NotifyOps, None)
    );
    let back = json!({ "action": "rollback", "patch_version": "1.2.1", "confidence": 1 });
    read(back.to_string().as_bytes(), &question()).unwrap();
}

#[test]
fn an_unknown_action_or_method_is_refused() {
    assert!(refusal(&with("action", json!("delete_everything"))).contains("action"));
    assert!(refusal(&with("action", json!("Patch"))).contains("action"));
    assert!(refusal(&with("method", json!("format"))).contains("method"));
    assert!(refusal(&with("method", json!("rollback"))).contains("method"));
    assert_eq!(
        refusal(&json!({ "confidence": 0.5 })),
        Refusal::Missing("action").to_string()
    );
}

#[test]
fn a_version_that_may_not_be_installed_is_refused_with_its_reason() {
    for (version, words) in [
        (json!("latest"), "no version"),
        (json!("1.2"), "no version"),
        (json!("1.2.3; rm -rf /"), "no version"),
        (json!("9.9.9"), "no release"),
        (json!("1.2.4"), "revoked"),
        (json!("1.2.5"), "blocked"),
        (json!("1.2.2"), "no version to patch to from 1.2.2"),
        (json!("1.2.1"), "no version to patch to from 1.2.2"),
        (json!(123), "patch_version"),
        (Value::Null, "lacks 'patch_version'"),
    ] {
        let said = refusal(&with("patch_version", version.clone()));
        assert!(said.contains(words), "{version}: {said}");
    }
    let mut question = question();
    question
        .historical_data
        .environment
        .insert("node".to_owned(), "18.0.0".to_owned());
    let misfit = read(good().to_string().as_bytes(), &question).unwrap_err();
    assert!(matches!(misfit, Refusal::Misfit(..)), "{misfit}");
    let forward = json!({ "action": "rollback", "patch_version": "1.2.3", "confidence": 0.9 });
    assert!(refusal(&forward).contains("no version to rollback to"));
}

#[test]
fn a_confidence_is_a_probability() {
    for value in [json!(1.01), json!(-0.1), json!(87), json!(1e300)] {
        assert_eq!(refusal(&with("confidence", value)), Refusal::Confidence.to_string());
    }
    for value in [json!("0.87"), json!([0.87]), json!(true)] {
        assert!(refusal(&with("confidence", value)).contains("not a number"));
    }
    assert!(refusal(&with("confidence", Value::Null)).contains("lacks"));
    let nan = br#"{"action": "notify_ops", "confidence": NaN}"#;
    assert_eq!(read(nan, &question()), Err(Refusal::NoObject));
}

#[test]
fn words_have_an_end_and_no_nul() {
    let long = "x".repeat(MAX_EXPLANATION + 1);
    for (field, value) in [
        ("explanation", json!(long)),
        ("explanation", json!("a\0b")),
        ("estimated_impact", json!(long)),
        ("estimated_impact", json!({ "a": ["b\0"] })),
        ("model_version", json!(long)),
    ] {
        assert!(refusal(&with(field, value)).contains(field), "{field}");
    }
    assert!(refusal(&with("explanation", json!(1))).contains("explanation"));
    assert!(refusal(&with("estimated_impact", json!(3))).contains("estimated_impact"));
}

#[test]
fn settings_are_those_that_the_signed_manifest_lets_be_set() {
    let fix = |config: Value| json!({ "action": "config_fix", "confidence": 0.9, "config": config });
    let answer = read(fix(json!({ "timeout_ms": 3000 })).to_string().as_bytes(), &question()).unwrap();
    assert_eq!(answer.decision.config.unwrap()["timeout_ms"], json!(3000));
    for (config, words) in [
        (json!({ "payout_iban": "XX" }), "payout_iban"),
        (json!({ "unknown": 1 }), "unknown"),
        (json!({ "timeout_ms": 1 }), "at least"),
        (json!({ "timeout_ms": "3000" }), "whole number"),
        (json!({}), "config"),
        (json!([1]), "config"),
    ] {
        let said = refusal(&fix(config));
        assert!(said.contains(words), "{said}");
    }
    let silent = json!({ "action": "config_fix", "confidence": 0.6 });
    assert_eq!(refusal(&silent), Refusal::NoSettings.to_string());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(|n| json!(n)),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        prop_oneof![
            Just("patch"),
            Just("rollback"),
            Just("config_fix"),
            Just("1.2.3"),
            Just("1.2.1"),
            Just("1.2.4"),
            Just("reinstall"),
        ]
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map("[a-z_]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_said_only_what_may_be_done_is_taken(
        fields in proptest::collection::vec((0..7usize, any_json()), 0..7)
    ) {
        let names = ["action", "patch_version", "confidence", "explanation", "estimated_impact", "method", "config"];
        let mut answer = good();
        for (index, value) in fields {
            answer[names[index]] = value;
        }
        let question = question();
        if let Ok(taken) = read(answer.to_string().as_bytes(), &question) {
            let decision = taken.decision;
            prop_assert!((0.0..=1.0).contains(&decision.confidence));
            if let Some(version) = decision.patch_version {
                let release = question.release(&version).unwrap();
                prop_assert_eq!(release.standing, Standing::Offered);
            }
            for name in decision.config.unwrap_or_default().keys() {
                prop_assert!(!question.historical_data.settable[name].host_only);
            }
        }
    }

    #[test]
    fn no_bytes_make_it_stumble(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes, &question());
    }
}
