//! From a sick heartbeat to a proven cure, through the real programs, with nobody awake.

use plugmend_tests::{
    shop::{chatter, shelf},
    system::{FIRST, Healing, Plan},
};
use serde_json::Value;

/// Whether `wanted` is found in `trail`, in this order.
fn in_order(trail: &[String], wanted: &[&str]) -> bool {
    let mut left = trail.iter();
    wanted.iter().all(|action| left.any(|found| found == action))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_whose_webhooks_fail_is_cured_by_a_release_that_says_so() {
    let healing = Healing::start(Plan::default()).await.unwrap();
    healing.offer("1.1.0", shelf::write).unwrap();

    healing.chatter.busy(true);
    let incident = healing
        .until_incident("webhook_fail_rate", "open", |_| true)
        .await
        .unwrap();
    let severity = incident["severity"].as_str().unwrap();
    assert!(matches!(severity, "low" | "medium"), "{incident:#}");
    let attempt = healing.until_attempt("1.1.0", "success").await.unwrap();

    assert_eq!(healing.whole.watcher.version().as_deref(), Some("1.1.0"));
    assert_eq!(attempt["method"], "patch");
    assert_eq!(attempt["executed_by"], "sira");
    assert_eq!(attempt["staging_result"]["passed"], true, "{attempt:#}");
    assert_eq!(attempt["production_result"]["health_check_passed"], true, "{attempt:#}");
    let cured = |incident: &Value| matches!(incident["status"].as_str(), Some("mitigated" | "closed"));
    let incident = healing
        .until_incident("webhook_fail_rate", "cured", cured)
        .await
        .unwrap();
    assert_eq!(incident["sira_decision"]["action"], "patch");
    assert_eq!(incident["escalated_to_ops"], false, "{incident:#}");
    let trail = healing.trail().await.unwrap();
    let steps = [
        "incident_opened",
        "incident_decided",
        "attempt_created",
        "incident_in_progress",
        "attempt_staging",
        "attempt_staged",
        "attempt_applying",
        "attempt_success",
        "incident_mitigated",
    ];
    assert!(in_order(&trail, &steps), "{trail:?}");

    for receiver in [&healing.merchant, &healing.ops] {
        healing.until_told(receiver, "plugin.incident_created").await.unwrap();
        healing.until_told(receiver, "plugin.autopatch_success").await.unwrap();
    }
    let learned = "SELECT actual_outcome || ' ' || feedback_label FROM sira_learning_feedback";
    let lesson = healing
        .until("a lesson", async || {
            Ok(healing.texts(learned).await?.into_iter().next())
        })
        .await
        .unwrap();
    assert_eq!(lesson, "success positive");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_fails_in_production_goes_back_by_itself_and_is_kept_from_the_plugin() {
    let healing = Healing::start(Plan::default()).await.unwrap();
    healing.offer("1.1.0", chatter::write_failing).unwrap();

    healing.chatter.busy(true);
    let attempt = healing.until_attempt("1.1.0", "rolled_back").await.unwrap();

    assert_eq!(attempt["staging_result"]["passed"], true, "{attempt:#}");
    assert_eq!(attempt["end_reason"], "unhealthy");
    assert_eq!(healing.whole.watcher.version().as_deref(), Some(FIRST));
    let quarantined = "SELECT version FROM release_quarantines WHERE plugin_id IS NOT NULL AND lifted_at IS NULL";
    assert_eq!(healing.texts(quarantined).await.unwrap(), ["1.1.0"]);
    // Nothing else is known to help: people are called, and told why.
    let with_people = |incident: &Value| incident["status"] == "escalated";
    healing
        .until_incident("webhook_fail_rate", "with people", with_people)
        .await
        .unwrap();
    for kind in ["plugin.autopatch_rolled_back", "plugin.incident_requires_approval"] {
        healing.until_told(&healing.ops, kind).await.unwrap();
    }
    assert_eq!(healing.attempts().await.unwrap().len(), 1, "it was not tried again");
}
