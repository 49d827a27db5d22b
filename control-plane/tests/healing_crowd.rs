//! Many incidents at once, worked off by two replicas that are killed at random along with their connections: none is
//! lost, doubled or stuck.
//!
//! `PLUGMEND_CROWD` says how many; the ignored test takes ten thousand.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use plugmend_control_plane::{
    domain::command::{Report, ReportKind},
    jobs::{Attempts, Incidents, Reconciler, Runner},
    outgoing::HttpClient,
    service::{
        Entropy,
        command::{Recipient, Reporter, report, take_due},
        healing::Healing,
    },
    staging::StagingClient,
    store::{Db, DbOptions, plugin},
};
use plugmend_shared::{
    clock::{Clock, SystemClock},
    ids::{CommandId, MerchantId, PluginId},
};
use serde_json::json;
use support::{
    database::TestDatabase,
    healing::{PASSES, Says, patch},
};
use tokio::{sync::watch, task::JoinSet};

/// The world turns so much faster than its clocks: a lease of a minute lasts six seconds.
const FASTER: i32 = 10;

#[derive(Clone)]
struct FastClock(Timestamp, Instant);

impl Clock for FastClock {
    fn now(&self) -> Timestamp {
        self.0 + SignedDuration::try_from(self.1.elapsed()).unwrap() * FASTER
    }
}

/// A small linear generator: which replica dies when is no secret.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

async fn fill(database: &TestDatabase, count: u32) {
    let digest = plugmend_shared::ids::Digest::of(b"1.2.3");
    database
        .run(&format!(
            "INSERT INTO merchants (id, name) VALUES ('00000000-0000-4000-8000-000000000001', 'Everybody');
             INSERT INTO releases (product, version, digest, impact, undo, files, bytes, pack_bytes, manifest, published_at)
             VALUES ('molam-pay-node', '1.2.3', '\\x{digest}', 'medium', 'code_only', 1, 1, 1, '{{}}', now());
             INSERT INTO merchant_plugins (merchant_id, cms, plugin_version, product, agent_managed, last_heartbeat)
             SELECT '00000000-0000-4000-8000-000000000001', 'node', '1.2.2', 'molam-pay-node', true, now()
             FROM generate_series(1, {count});
             UPDATE ops_policy SET autopatch_max_fleet_percent = 100;
             INSERT INTO plugin_incidents (merchant_plugin_id, incident_type, severity, telemetry_snapshot)
             SELECT id, 'webhook_fail_rate', 'medium', '{{}}' FROM merchant_plugins;"
        ))
        .await;
}

fn open(url: &str) -> Db {
    Db::open(&DbOptions {
        url: url.to_owned().into(),
        max_connections: 12,
    })
    .unwrap()
}

/// One life of a replica, until it is dropped in the middle of whatever it does.
fn replica(url: &str, clock: &FastClock, runner_url: &str, decider: &Arc<Says>) -> JoinSet<()> {
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let staging = StagingClient::new(HttpClient::new(None).unwrap(), runner_url, "t".to_owned().into()).unwrap();
    let healing = Healing {
        db: open(url),
        clock: Arc::clone(&clock),
        entropy: Entropy::new(),
        decider: decider.clone(),
        staging: Some(staging),
    };
    let mut tasks = JoinSet::new();
    let jobs: [Arc<dyn Reconciler>; 2] = [
        Arc::new(Incidents::new(healing.clone())),
        Arc::new(Attempts::new(healing.clone())),
    ];
    for job in jobs {
        let runner = Runner::new(job, Arc::clone(&clock));
        let wake = runner.wake();
        let stop = watch::Sender::new(false);
        tasks.spawn(async move {
            let ears = async {
                loop {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    wake.wake();
                }
            };
            tokio::select! {
                () = runner.run(stop.subscribe()) => {}
                () = ears => {}
            }
        });
    }
    tasks
}

/// The agents of the whole fleet: they take what they are given, do it, say so, and are heard with the new version.
async fn agents(db: Db, clock: FastClock) {
    loop {
        let waiting: Vec<uuid::Uuid> = sqlx::query_scalar(
            "SELECT DISTINCT merchant_plugin_id FROM plugin_agent_commands WHERE status IN ('pending', 'sent') LIMIT 50",
        )
        .fetch_all(db.pool())
        .await
        .unwrap_or_default();
        if waiting.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for id in waiting {
            // Whatever fails here because a connection was killed is done again.
            let _again = obey(&db, id.into(), clock.now()).await;
        }
        let _again = sqlx::query(
            "UPDATE merchant_plugins SET last_heartbeat = $1, plugin_version = '1.2.3'
             WHERE id IN (SELECT merchant_plugin_id FROM plugin_autopatch_attempts
                          WHERE status = 'applying' AND order_ended_at IS NOT NULL)",
        )
        .bind(jiff_sqlx::ToSqlx::to_sqlx(clock.now()))
        .execute(db.pool())
        .await;
    }
}

async fn obey(db: &Db, id: PluginId, now: Timestamp) -> anyhow::Result<()> {
    let mut tx = db.begin().await?;
    let Some(plugin) = plugin::lock(&mut tx, id).await? else {
        return Ok(());
    };
    let recipient = Recipient {
        id,
        agent_managed: true,
        capabilities: Vec::new(),
    };
    let orders = take_due(&mut tx, &[recipient], now, SignedDuration::ZERO).await?;
    tx.commit().await?;
    for order in orders.into_values().flatten() {
        let result = json!({ "status": "committed", "version": "1.2.3", "health_check_passed": true });
        done(db, plugin.merchant_id, id, order.id, result, now).await?;
    }
    Ok(())
}

async fn done(
    db: &Db,
    merchant_id: MerchantId,
    plugin_id: PluginId,
    id: CommandId,
    result: serde_json::Value,
    now: Timestamp,
) -> anyhow::Result<()> {
    let who = Reporter { plugin_id, merchant_id };
    let said = Report {
        generation: None,
        kind: ReportKind::Completed { result },
    };
    report(db, who, id, said, None, now, 0).await?;
    Ok(())
}

async fn worked_off(count: u32, seed: u64) {
    let database = TestDatabase::migrated().await;
    fill(&database, count).await;
    let clock = FastClock(SystemClock.now(), Instant::now());
    let runner = support::healing::Runner::start(PASSES).await;
    let decider = Arc::new(Says::new(patch("1.2.3")));
    let fleet = tokio::spawn(agents(open(&database.url), clock.clone()));
    let mut replicas = [
        replica(&database.url, &clock, &runner.url, &decider),
        replica(&database.url, &clock, &runner.url, &decider),
    ];
    let (mut dice, mut deaths, mut cuts, mut left) = (Dice(seed), 0_u32, 0_u32, i64::from(count));
    let mut unchanged = 0;
    while left > 0 {
        tokio::time::sleep(Duration::from_millis(100 + dice.roll(400))).await;
        match dice.roll(4) {
            0 => {
                let which = usize::try_from(dice.roll(2)).unwrap();
                replicas[which].abort_all();
                replicas[which] = replica(&database.url, &clock, &runner.url, &decider);
                deaths += 1;
            }
            1 => {
                let cut = "SELECT count(pg_terminate_backend(pid)) FROM (
                             SELECT pid FROM pg_stat_activity WHERE datname = current_database()
                               AND pid <> pg_backend_pid() ORDER BY random() LIMIT 2) AS some_of_them";
                // Our own question may be the one that is cut.
                if sqlx::query(cut).execute(database.db.pool()).await.is_ok() {
                    cuts += 1;
                }
            }
            _ => {}
        }
        let open = "SELECT count(*) FROM plugin_incidents WHERE status NOT IN ('mitigated', 'closed')";
        let Ok(now_left) = sqlx::query_scalar::<_, i64>(open).fetch_one(database.db.pool()).await else {
            continue;
        };
        unchanged = if now_left == left { unchanged + 1 } else { 0 };
        assert!(unchanged < 400, "stuck with {left} left: {:?}", stuck(&database).await);
        left = now_left;
    }
    for one in &mut replicas {
        one.abort_all();
    }
    fleet.abort();
    let number = |sql: &'static str| database.number(sql);
    let count = i64::from(count);
    let seconds = clock.1.elapsed().as_secs();
    println!("{count} incidents in {seconds} s, with {deaths} deaths and {cuts} cuts");
    assert_eq!(number("SELECT count(*) FROM plugin_autopatch_attempts").await, count);
    assert_eq!(
        number("SELECT count(*) FROM plugin_autopatch_attempts WHERE status = 'success'").await,
        count
    );
    assert_eq!(number("SELECT count(*) FROM plugin_agent_commands").await, count);
    assert_eq!(
        number("SELECT count(*) FROM plugin_agent_commands WHERE status = 'completed'").await,
        count
    );
    for action in [
        "attempt_created",
        "attempt_applying",
        "attempt_success",
        "incident_mitigated",
    ] {
        let entries = format!("SELECT count(*) FROM plugin_audit WHERE action = '{action}'");
        assert_eq!(database.number(&entries).await, count, "{action}");
    }
    assert_eq!(
        number("SELECT count(*) FROM outbox_events WHERE kind = 'plugin.autopatch_success'").await,
        count
    );
}

async fn stuck(database: &TestDatabase) -> Option<String> {
    database
        .text(
            "SELECT string_agg(a.status || ' ' || coalesce(a.end_reason, '') || ' ' || i.status || ' '
                               || coalesce(i.escalation_reason, ''), '; ')
             FROM (SELECT * FROM plugin_incidents WHERE status NOT IN ('mitigated', 'closed') LIMIT 5) i
             LEFT JOIN plugin_autopatch_attempts a ON a.incident_id = i.id",
        )
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_is_worked_off_while_replicas_and_connections_die() {
    let count = std::env::var("PLUGMEND_CROWD")
        .ok()
        .and_then(|count| count.parse().ok());
    worked_off(count.unwrap_or(60), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "takes many minutes: run it by name with --run-ignored only"]
async fn ten_thousand_are_worked_off_while_replicas_and_connections_die() {
    worked_off(10_000, 2).await;
}
