//! The schema: made once however many start at once, over a filled database of the reference system too.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use support::database::TestDatabase;

const REFERENCE: &str = include_str!("fixtures/reference_system.sql");
const TABLES: [&str; 8] = [
    "merchant_plugins",
    "plugin_incidents",
    "plugin_autopatch_attempts",
    "ops_policy",
    "sira_learning_feedback",
    "plugin_agent_commands",
    "plugin_audit",
    "merchant_webhooks",
];

#[tokio::test]
async fn several_that_start_at_once_migrate_once() {
    let database = TestDatabase::empty().await;
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let db = database.db.clone();
        starts.spawn(async move { db.migrate().await });
    }
    while let Some(ended) = starts.join_next().await {
        ended.unwrap().unwrap();
    }
    database.db.ready().await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM ops_policy").await, 1);
}

#[tokio::test]
async fn several_processes_that_start_at_once_migrate_once() {
    let database = TestDatabase::empty().await;
    let state = tempfile::tempdir().unwrap();
    let start = |_| {
        std::process::Command::new(env!("CARGO_BIN_EXE_plugmend-control-plane"))
            .args(["--dev", "migrate"])
            .env("DATABASE_URL", &database.url)
            .env("PLUGMEND_STATE_DIR", state.path())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let started: Vec<_> = (0..4).map(start).collect();
    for process in started {
        let ended = process.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }
    database.db.ready().await.unwrap();
}

#[tokio::test]
async fn a_database_that_lacks_migrations_is_not_ready() {
    let database = TestDatabase::empty().await;
    assert!(database.db.ready().await.is_err());
}

#[tokio::test]
async fn a_filled_database_of_the_reference_system_loses_nothing() {
    let database = TestDatabase::empty().await;
    database.run(REFERENCE).await;
    let mut before = Vec::new();
    for table in TABLES {
        before.push(fingerprint(&database, table, None).await);
    }
    database.db.migrate().await.unwrap();
    for (table, (columns, was)) in TABLES.into_iter().zip(before) {
        let (_, is) = fingerprint(&database, table, Some(&columns)).await;
        assert_eq!(is, was, "{table} was changed");
    }
    // Every merchant that was known by number only has a row.
    assert_eq!(database.number("SELECT count(*) FROM merchants").await, 101);
}

/// The columns of a table and a digest of all its rows over them, as text.
async fn fingerprint(database: &TestDatabase, table: &str, columns: Option<&str>) -> (String, Option<String>) {
    let columns = if let Some(columns) = columns {
        columns.to_owned()
    } else {
        let names = format!(
            "SELECT string_agg(quote_ident(column_name) || '::text', ',' ORDER BY column_name)
             FROM information_schema.columns WHERE table_name = '{table}'"
        );
        database.text(&names).await.unwrap()
    };
    let rows =
        format!("SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM (SELECT {columns} FROM {table}) AS t");
    let digest = database.text(&rows).await;
    (columns, digest)
}

#[tokio::test]
async fn over_the_reference_system_the_new_rules_hold() {
    let database = TestDatabase::empty().await;
    database.run(REFERENCE).await;
    database.db.migrate().await.unwrap();
    // One merchant, two shops on the same platform.
    database
        .run(
            "INSERT INTO merchant_plugins (merchant_id, cms, plugin_version)
             SELECT merchant_id, cms, '2.0.0' FROM merchant_plugins LIMIT 1",
        )
        .await;
    // A new kind of incident.
    database
        .run(
            "INSERT INTO plugin_incidents (merchant_plugin_id, incident_type, severity)
             SELECT id, 'telemetry_anomaly', 'low' FROM merchant_plugins LIMIT 1",
        )
        .await;
    // An actor that is no uuid.
    database
        .run("SELECT log_plugin_audit(NULL, NULL, 'ada', 'ops', 'looked')")
        .await;
    assert!(
        database
            .refusal("UPDATE merchant_plugins SET status = 'weird'")
            .await
            .contains("status_values")
    );
    assert_eq!(
        database.number("SELECT count(*) FROM plugin_incidents_stats").await,
        101
    );
    // What the policy said before still holds.
    let allowed = "SELECT is_autopatch_allowed(gen_random_uuid(), 'high')";
    assert_eq!(database.text(allowed).await.as_deref(), Some("true"));
}

#[tokio::test]
async fn severity_follows_the_promised_example() {
    let database = TestDatabase::migrated().await;
    // The table that tests the Rust function as well.
    let cases = include_str!("../../shared/src/detect/severity_cases.json");
    let cases: Vec<serde_json::Value> = serde_json::from_str(cases).unwrap();
    for case in cases {
        let (kind, telemetry) = (case["incident_type"].as_str().unwrap(), &case["telemetry"]);
        let said = case.get("policy").and_then(serde_json::Value::as_object);
        for (name, value) in said.into_iter().flatten() {
            let says = format!("UPDATE ops_policy SET severity_{name} = {value}");
            database.run(&says).await;
        }
        let asked = format!("SELECT compute_incident_severity('{kind}', '{telemetry}')");
        assert_eq!(
            database.text(&asked).await.as_deref(),
            case["severity"].as_str(),
            "{kind} {telemetry}"
        );
        for (name, _) in said.into_iter().flatten() {
            database
                .run(&format!("UPDATE ops_policy SET severity_{name} = DEFAULT"))
                .await;
        }
    }
    let nonsense = "UPDATE ops_policy SET severity_share_high = 0.1";
    assert!(database.refusal(nonsense).await.contains("ops_policy_severities"));
}

#[tokio::test]
async fn the_kill_switch_and_the_caps_decide_whether_a_cure_may_run() {
    let database = TestDatabase::migrated().await;
    let merchant = "00000000-0000-4000-8000-000000000001";
    let allowed = |severity: &str| format!("SELECT is_autopatch_allowed('{merchant}', '{severity}')");
    assert_eq!(database.text(&allowed("medium")).await.as_deref(), Some("true"));
    assert_eq!(database.text(&allowed("high")).await.as_deref(), Some("false"));
    assert_eq!(database.text(&allowed("unheard-of")).await.as_deref(), Some("false"));
    database
        .run("UPDATE ops_policy SET autopatch_whitelist = '[\"00000000-0000-4000-8000-000000000002\"]'")
        .await;
    assert_eq!(database.text(&allowed("low")).await.as_deref(), Some("false"));
    database
        .run(&format!(
            "UPDATE ops_policy SET autopatch_whitelist = '[\"{merchant}\"]'"
        ))
        .await;
    assert_eq!(database.text(&allowed("low")).await.as_deref(), Some("true"));
    database
        .run("UPDATE ops_policy SET autopatch_enabled = false WHERE id = 1")
        .await;
    assert_eq!(database.text(&allowed("low")).await.as_deref(), Some("false"));
}

#[tokio::test]
async fn the_audit_trail_can_only_grow() {
    let database = TestDatabase::migrated().await;
    database
        .run("SELECT log_plugin_audit(NULL, NULL, 'ada', 'ops', 'looked')")
        .await;
    for change in [
        "UPDATE plugin_audit SET action = 'x'",
        "DELETE FROM plugin_audit",
        "TRUNCATE plugin_audit",
    ] {
        assert!(database.refusal(change).await.contains("append-only"), "{change}");
    }
    assert_eq!(database.number("SELECT count(*) FROM plugin_audit").await, 1);
}

#[tokio::test]
async fn telemetry_partitions_are_made_ahead_and_dropped_when_old() {
    use plugmend_control_plane::store::telemetry;
    let database = TestDatabase::migrated().await;
    let day = |days: i64| jiff::Timestamp::from_second(2_000_000_000 + days * 86_400).unwrap();
    assert_eq!(
        telemetry::ensure_partitions(&database.db, day(0), day(9))
            .await
            .unwrap(),
        10
    );
    assert_eq!(
        telemetry::ensure_partitions(&database.db, day(5), day(10))
            .await
            .unwrap(),
        1
    );
    let before = database.number("SELECT count(*) FROM pg_inherits").await;
    assert_eq!(telemetry::drop_partitions(&database.db, day(0), 3).await.unwrap(), 3);
    assert_eq!(
        database.number("SELECT count(*) FROM pg_inherits").await,
        before - 3 * 3
    );
}
