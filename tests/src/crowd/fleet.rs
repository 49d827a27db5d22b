//! The plugins of the crowd.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::Plan;
use crate::{
    helpers::{self, CURED},
    load::Connection,
    system::ControlPlane,
};

/// The version that all of them run, and that is ill.
pub const ILL: &str = "1.2.2";
/// Plugins that speak at the same time.
const AT_ONCE: usize = 16;
/// So many are looked after in one round.
const ROUND: i64 = 512;
/// The longest that one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
const MERCHANT: Uuid = Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0001);

/// The orders that each plugin carried out, by their ids.
pub type CarriedOut = BTreeMap<Uuid, BTreeSet<String>>;

struct Shared {
    pool: PgPool,
    replicas: [SocketAddr; 2],
    turn: AtomicUsize,
    stop: AtomicBool,
    carried_out: Mutex<CarriedOut>,
}

/// The plugins, at work.
pub struct Fleet {
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

fn plugin(number: u32) -> Uuid {
    Uuid::from_u128(0x0000_0000_0000_4000_8000_0001_0000_0000 + u128::from(number))
}

fn secret(plugin: Uuid) -> String {
    format!("pms_of_{}", plugin.simple())
}

impl Fleet {
    /// Puts plugins, release and incidents into the database, and lets the plugins speak.
    pub async fn open(pool: &PgPool, replicas: &[ControlPlane; 2], plan: &Plan) -> Result<Self> {
        fill(pool, &replicas[0], plan).await.context("open the incidents")?;
        let shared = Arc::new(Shared {
            pool: pool.clone(),
            replicas: [replicas[0].ops().at(), replicas[1].ops().at()],
            turn: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            carried_out: Mutex::default(),
        });
        let task = tokio::spawn(live(Arc::clone(&shared)));
        Ok(Self { shared, task })
    }

    /// Falls silent; what each of them carried out.
    pub async fn end(self) -> Result<CarriedOut> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.task.await?;
        let carried_out = self.shared.carried_out.lock();
        Ok(carried_out.unwrap_or_else(PoisonError::into_inner).clone())
    }
}

async fn fill(pool: &PgPool, control_plane: &ControlPlane, plan: &Plan) -> Result<()> {
    let ids: Vec<Uuid> = (1..=plan.incidents).map(plugin).collect();
    let hashes: Vec<Vec<u8>> = ids.iter().map(|id| control_plane.secret_hash(&secret(*id))).collect();
    let mut tx = pool.begin().await?;
    sqlx::query("INSERT INTO merchants (id, name) VALUES ($1, 'Everybody')")
        .bind(MERCHANT)
        .execute(&mut *tx)
        .await?;
    helpers::offer(&mut tx, "crowd").await?;
    sqlx::query(
        "INSERT INTO merchant_plugins
           (id, merchant_id, cms, plugin_version, product, capabilities, last_heartbeat, secret_hash)
         SELECT id, $3, 'node', $4, 'crowd', '{update,rollback}', now(), hash FROM unnest($1, $2) AS known (id, hash)",
    )
    .bind(&ids)
    .bind(&hashes)
    .bind(MERCHANT)
    .bind(ILL)
    .execute(&mut *tx)
    .await?;
    sqlx::query("UPDATE ops_policy SET autopatch_max_fleet_percent = $1")
        .bind(i32::from(plan.fleet_percent))
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "INSERT INTO plugin_incidents (merchant_plugin_id, incident_type, severity, telemetry_snapshot)
         SELECT id, 'webhook_fail_rate', 'medium', '{\"errors_last_24h\": 50, \"webhook_fail_rate\": 0.6}'
         FROM merchant_plugins",
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Whoever has an order, or is waited for after one, speaks at once: as an agent would that holds a long poll open.
async fn live(shared: Arc<Shared>) {
    while !shared.stop.load(Ordering::Relaxed) {
        // Nobody answers while Postgres or a replica is dead: what was not done is done in the next round.
        let waiting = waiting(&shared.pool).await.unwrap_or_default();
        if waiting.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut tasks = JoinSet::new();
        for some in waiting.chunks(waiting.len().div_ceil(AT_ONCE).max(1)) {
            tasks.spawn(speak(Arc::clone(&shared), some.to_vec()));
        }
        while tasks.join_next().await.is_some() {}
    }
}

async fn waiting(pool: &PgPool) -> Result<Vec<Uuid>> {
    let ids = "SELECT merchant_plugin_id FROM plugin_agent_commands WHERE status IN ('pending', 'sent')
               UNION
               SELECT merchant_plugin_id FROM plugin_autopatch_attempts
               WHERE status = 'applying' AND order_ended_at IS NOT NULL
               LIMIT $1";
    Ok(sqlx::query_scalar(ids).bind(ROUND).fetch_all(pool).await?)
}

async fn speak(shared: Arc<Shared>, plugins: Vec<Uuid>) {
    let at = shared.replicas[shared.turn.fetch_add(1, Ordering::Relaxed) % 2];
    let mut line = None;
    for id in plugins {
        match tokio::time::timeout(ANSWER_LIMIT, visit(&shared, id, at, line.take())).await {
            Ok(Ok(open)) => line = open,
            // The replica died: the rest of the round belongs to the next.
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

async fn visit(shared: &Shared, id: Uuid, at: SocketAddr, line: Option<Connection>) -> Result<Option<Connection>> {
    let line = match line {
        Some(line) => line,
        None => Connection::open(at).await?,
    };
    let done = |all: &CarriedOut| all.contains_key(&id);
    let is_cured = done(&shared.carried_out.lock().unwrap_or_else(PoisonError::into_inner));
    let beat = json!({
        "plugin_id": id, "merchant_id": MERCHANT, "plugin_version": if is_cured { CURED } else { ILL }, "env": {},
        "errors_last_24h": 0, "webhook_fail_rate": 0.0, "uptime": 60,
    });
    let (answer, mut line) = say(line, at, id, "/api/plugins/heartbeat", &beat).await?;
    for order in answer["commands"].as_array().into_iter().flatten() {
        let order_id = order["id"].as_str().context("an order has an id")?.to_owned();
        ensure!(order["type"] == "update", "{order}");
        {
            let mut all = shared.carried_out.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(id).or_default().insert(order_id.clone());
        }
        let open = match line.take() {
            Some(line) => line,
            None => Connection::open(at).await?,
        };
        let result = json!({ "result": { "version": CURED, "health_check_passed": true } });
        (_, line) = say(open, at, id, &format!("/api/plugins/commands/{order_id}/ack"), &result).await?;
    }
    Ok(line)
}

async fn say(
    mut line: Connection,
    at: SocketAddr,
    plugin: Uuid,
    path: &str,
    body: &Value,
) -> Result<(Value, Option<Connection>)> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, at.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {}", secret(plugin)))
        .body(Full::new(Bytes::from(body.to_string())))?;
    let (status, bytes, again) = line.ask(request).await?;
    ensure!(
        status.is_success(),
        "{path}: {status} {}",
        String::from_utf8_lossy(&bytes)
    );
    Ok((serde_json::from_slice(&bytes)?, again.then_some(line)))
}
