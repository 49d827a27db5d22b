//! Lists: a page at a time, filtered, searched, and nothing twice.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::{
    fleet::{Size, fill},
    people,
    plane::Plane,
};

const SMALL: Size = Size {
    merchants: 10,
    plugins: 400,
    incidents: 1400,
    audit: 1400,
};

async fn get(plane: &Plane, path: &str) -> Value {
    plane.ops("GET", path, Value::Null).await.expect(200)
}

/// Every id of a list, page by page.
async fn leaf(plane: &Plane, path: &str, things: &str, id: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let page = get(plane, &format!("{path}{after}")).await;
        let entries = page[things].as_array().unwrap();
        all.extend(entries.iter().map(|entry| entry[id].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else {
            assert!(page.get("next").is_some(), "the last page says so");
            return all;
        };
        after = format!("&after={next}");
    }
}

#[tokio::test]
async fn every_list_is_leafed_through_without_a_gap_or_a_repeat() {
    let plane = Plane::start().await;
    fill(&plane.database, SMALL).await;
    // Many at the same moment.
    plane
        .database
        .run(
            "SET session_replication_role = replica; UPDATE plugin_incidents SET detected_at = date_trunc('hour', detected_at);
             UPDATE agent_certificates SET not_after = date_trunc('hour', not_after)",
        )
        .await;
    for (path, things, id, count) in [
        ("/api/ops/plugin-incidents?limit=97", "incidents", "id", 1400),
        ("/api/ops/autopatch-attempts?limit=97", "attempts", "id", 1400),
        ("/api/ops/commands?limit=97", "commands", "id", 1400),
        ("/api/ops/audit?limit=97", "entries", "id", 1400),
        ("/api/ops/plugins?limit=97", "plugins", "id", 400),
        ("/api/ops/agents?limit=97", "agents", "plugin_id", 400),
        ("/api/ops/certificates?limit=97", "certificates", "serial", 400),
        ("/api/ops/plugins?health=ill&limit=2", "plugins", "id", 6),
        ("/api/ops/plugin-incidents?limit=100", "incidents", "id", 1400),
    ] {
        let all = leaf(&plane, path, things, id).await;
        let once: BTreeSet<_> = all.iter().collect();
        assert_eq!((all.len(), once.len()), (count, count), "{path}");
    }
}

#[tokio::test]
async fn what_comes_in_meanwhile_moves_no_page() {
    let plane = Plane::start().await;
    fill(&plane.database, SMALL).await;
    let first = get(&plane, "/api/ops/plugin-incidents?limit=3").await;
    plane
        .database
        .run(
            "INSERT INTO plugin_incidents (merchant_plugin_id, incident_type, severity, status)
             SELECT id, 'error_spike', 'low', 'closed' FROM merchant_plugins LIMIT 5",
        )
        .await;
    let next = first["next"].as_str().unwrap();
    let second = get(&plane, &format!("/api/ops/plugin-incidents?limit=3&after={next}")).await;
    assert_eq!(
        second["incidents"][0]["id"],
        json!(format!("00000003-0000-7000-8000-{:012x}", 1400 - 4))
    );
}

#[tokio::test]
async fn the_reference_lists_keep_limit_and_offset() {
    let plane = Plane::start().await;
    fill(&plane.database, SMALL).await;
    for path in ["plugin-incidents", "autopatch-attempts"] {
        let things = path.rsplit('-').next().unwrap();
        let page = get(&plane, &format!("/api/ops/{path}?limit=2&offset=5")).await;
        let deeper = get(&plane, &format!("/api/ops/{path}?limit=8")).await;
        assert_eq!(
            page[things].as_array().unwrap()[..],
            deeper[things].as_array().unwrap()[5..7]
        );
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn each_filter_narrows_and_all_of_them_together() {
    let plane = Plane::start().await;
    fill(&plane.database, SMALL).await;
    let plugin = "00000002-0000-7000-8000-000000000005";
    let merchant = "00000001-0000-7000-8000-000000000005";
    for (path, things, sql) in [
        (
            "plugin-incidents?status=closed",
            "incidents",
            "plugin_incidents WHERE status = 'closed'",
        ),
        (
            "plugin-incidents?severity=high",
            "incidents",
            "plugin_incidents WHERE severity = 'high'",
        ),
        (
            "plugin-incidents?incident_type=config_drift&severity=low&status=closed",
            "incidents",
            "plugin_incidents WHERE incident_type = 'config_drift' AND severity = 'low' AND status = 'closed'",
        ),
        (
            &format!("plugin-incidents?plugin_id={plugin}"),
            "incidents",
            &format!("plugin_incidents WHERE merchant_plugin_id = '{plugin}'"),
        ),
        (
            &format!("plugin-incidents?merchant_id={merchant}"),
            "incidents",
            &format!("plugin_incidents WHERE merchant_id = '{merchant}'"),
        ),
        (
            "autopatch-attempts?status=failed",
            "attempts",
            "plugin_autopatch_attempts WHERE status = 'failed'",
        ),
        (
            "autopatch-attempts?method=hotfix",
            "attempts",
            "plugin_autopatch_attempts WHERE method = 'hotfix'",
        ),
        (
            "autopatch-attempts?awaiting_approval=true",
            "attempts",
            "plugin_autopatch_attempts WHERE status = 'pending' AND requires_approval",
        ),
        (
            "commands?status=timeout&type=restart",
            "commands",
            "plugin_agent_commands WHERE status = 'timeout' AND command_type = 'restart'",
        ),
        (
            "audit?actor=person%207",
            "entries",
            "plugin_audit WHERE actor_id = 'person 7'",
        ),
        (
            "audit?actor_type=ops&action=agent_revoked",
            "entries",
            "plugin_audit WHERE actor_type = 'ops' AND action = 'agent_revoked'",
        ),
        (
            "plugins?cms=wix&status=error",
            "plugins",
            "merchant_plugins WHERE cms = 'wix' AND status = 'error'",
        ),
        (
            "plugins?product=molam-pay-1&version=1.7.0",
            "plugins",
            "merchant_plugins WHERE product = 'molam-pay-1' AND plugin_version = '1.7.0'",
        ),
        (
            "plugins?health=off",
            "plugins",
            "merchant_plugins WHERE status IN ('disabled', 'blocked')",
        ),
        (
            "plugins?health=unknown",
            "plugins",
            "merchant_plugins WHERE plugmend_health(id, status, heard) = 'unknown'",
        ),
        (
            "plugins?health=healthy&cms=php",
            "plugins",
            "merchant_plugins WHERE plugmend_health(id, status, heard) = 'healthy' AND cms = 'php'",
        ),
        (
            "plugins?health=silent",
            "plugins",
            "merchant_plugins WHERE plugmend_health(id, status, heard) = 'silent'",
        ),
        (
            "agents?standing=revoked",
            "agents",
            "agents WHERE revoked_at IS NOT NULL",
        ),
        (
            &format!("certificates?plugin_id={plugin}"),
            "certificates",
            &format!("agent_certificates WHERE plugin_id = '{plugin}'"),
        ),
    ] {
        let listed = get(&plane, &format!("/api/ops/{path}&limit=500")).await;
        let count = plane.database.number(&format!("SELECT count(*) FROM {sql}")).await;
        let listed = i64::try_from(listed[things].as_array().unwrap().len()).unwrap();
        assert!(count > 0, "{path} finds nothing to show");
        assert_eq!(listed, count.min(500), "{path}");
    }
}

#[tokio::test]
async fn a_span_of_time_has_a_beginning_and_an_end() {
    let plane = Plane::start().await;
    fill(&plane.database, SMALL).await;
    let newest = get(&plane, "/api/ops/plugin-incidents?limit=30").await;
    let moment = |n: usize| newest["incidents"][n]["detected_at"].as_str().unwrap();
    let (since, until) = (moment(20), moment(10));
    let path = format!("/api/ops/plugin-incidents?since={since}&until={until}&limit=500");
    assert_eq!(get(&plane, &path).await["incidents"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn a_text_finds_ids_products_and_merchants() {
    let plane = Plane::start().await;
    fill(&plane.database, SMALL).await;
    for (q, count) in [
        ("00000002-0000-7000-8000-000000000005", 1),
        ("shop%207", 40),
        ("SHO", 400),
        ("molam-pay-2", 133),
        ("ada", 400),
        ("nobody", 0),
        ("%27%20OR%201%3D1%20--", 0),
        ("%26%20%7C%20!%20:*", 0),
        ("%E2%80%AE%F0%9F%92%A9", 0),
    ] {
        let found = get(&plane, &format!("/api/ops/plugins?q={q}&limit=500")).await;
        assert_eq!(found["plugins"].as_array().unwrap().len(), count, "{q}");
    }
    let incident = "00000003-0000-7000-8000-0000000000ff";
    let found = get(&plane, &format!("/api/ops/plugin-incidents?q={incident}")).await;
    assert_eq!(found["incidents"][0]["id"], json!(incident));
    let found = get(&plane, "/api/ops/plugin-incidents?q=shop%207&limit=500").await;
    assert_eq!(found["incidents"].as_array().unwrap().len(), 140);
}

#[tokio::test]
async fn a_plugin_is_listed_with_how_it_is_doing() {
    let plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    let listed = get(&plane, "/api/ops/plugins").await["plugins"][0].clone();
    assert_eq!(
        (&listed["health"], &listed["merchant_name"]),
        (&json!("unknown"), &json!("Shop"))
    );
    plane
        .database
        .run(&format!(
            "UPDATE merchant_plugins SET heard = true;
             INSERT INTO plugin_incidents (merchant_plugin_id, incident_type, severity) VALUES
               ('{0}', 'error_spike', 'low'), ('{0}', 'config_drift', 'low')",
            plugin.id
        ))
        .await;
    let listed = get(&plane, "/api/ops/plugins?health=ill").await["plugins"][0].clone();
    assert_eq!(
        (&listed["health"], &listed["open_incidents"]),
        (&json!("ill"), &json!(2))
    );
}

#[tokio::test]
async fn what_means_nothing_is_refused() {
    let plane = Plane::start().await;
    for query in [
        "plugin-incidents?after=x",
        "plugin-incidents?after=%00",
        "plugin-incidents?incident_type=rain",
        "plugin-incidents?since=yesterday",
        "plugin-incidents?since=-009999-01-01T00:00:00Z",
        "plugin-incidents?plugin_id=5",
        "plugin-incidents?limit=-1",
        "autopatch-attempts?method=magic",
        "commands?type=explode",
        "commands?typ=update",
        "audit?actor_type=cat",
        "audit?action=%00",
        "plugins?health=fine",
        "plugins?product=a%00b",
        "agents?standing=tall",
        "certificates?after=1",
        "certificates?after=-5.aa",
    ] {
        let answer = plane.ops("GET", &format!("/api/ops/{query}"), Value::Null).await;
        answer.refuses(400, "invalid_query");
    }
    let long = "x".repeat(101);
    let answer = plane
        .ops("GET", &format!("/api/ops/plugins?q={long}"), Value::Null)
        .await;
    answer.refuses(400, "invalid_query");
}

#[tokio::test]
async fn a_merchants_person_sees_their_own_and_learns_of_nobody_else() {
    let plane = Plane::start().await;
    fill(&plane.database, SMALL).await;
    let own = "00000001-0000-7000-8000-000000000005";
    let mut claims = people::claims("mia", &["merchant_admin"], plane.now());
    claims["merchant_id"] = json!(own);
    let token = people::sign(&claims);
    let ask = async |path: &str| plane.api.send("GET", &format!("/api/ops/{path}"), &token, "").await;
    for (list, things, count) in [
        ("plugins", "plugins", 40),
        ("plugin-incidents", "incidents", 140),
        ("autopatch-attempts", "attempts", 140),
        ("commands", "commands", 140),
        ("audit", "entries", 140),
        ("agents", "agents", 40),
        ("certificates", "certificates", 40),
    ] {
        let page = ask(&format!("{list}?limit=500")).await.expect(200);
        let entries = page[things].as_array().unwrap();
        assert_eq!(entries.len(), count, "{list}");
        let others = entries
            .iter()
            .filter(|entry| entry.get("merchant_id").is_some_and(|id| id != own));
        assert_eq!(others.count(), 0, "{list}");
        let other = ask(&format!("{list}?merchant_id=00000001-0000-7000-8000-000000000006")).await;
        other.refuses(404, "unknown_merchant");
    }
    // Somebody else's plugin and incident: as if there were none.
    for (path, things) in [
        (
            "plugin-incidents?plugin_id=00000002-0000-7000-8000-000000000006",
            "incidents",
        ),
        ("plugin-incidents?q=00000003-0000-7000-8000-000000000006", "incidents"),
        ("plugins?q=00000002-0000-7000-8000-000000000006", "plugins"),
        ("plugins?q=shop%206", "plugins"),
        (
            "autopatch-attempts?incident_id=00000003-0000-7000-8000-000000000006",
            "attempts",
        ),
    ] {
        assert_eq!(ask(path).await.expect(200)[things], json!([]), "{path}");
    }
    for (path, own, code) in [
        ("plugins", "00000002-0000-7000-8000-000000000005", "unknown_plugin"),
        ("agents", "00000002-0000-7000-8000-000000000005", "unknown_agent"),
        (
            "plugin-incidents",
            "00000003-0000-7000-8000-000000000005",
            "unknown_incident",
        ),
        ("commands", "00000005-0000-7000-8000-000000000005", "unknown_command"),
        ("merchants", "00000001-0000-7000-8000-000000000005", "unknown_merchant"),
    ] {
        ask(&format!("{path}/{own}")).await.expect(200);
        ask(&format!("{path}/{}6", &own[..35])).await.refuses(404, code);
    }
    assert_eq!(
        ask("merchants").await.expect(200)["merchants"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let theirs = ask("plugin-incidents/00000003-0000-7000-8000-000000000006/timeline").await;
    theirs.refuses(404, "unknown_incident");
    ask("plugin-incidents/00000003-0000-7000-8000-000000000005/timeline")
        .await
        .expect(200);
    assert_eq!(ask("overview").await.expect(200)["plugins"]["total"], 40);
    ask("kpis?days=7").await.expect(200);
}
