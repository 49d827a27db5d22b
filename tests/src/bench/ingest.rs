//! Heartbeats a second through the real gateway: mutual TLS, one window each, answered after the commit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use jiff::SignedDuration;
use plugmend_shared::{
    clock::{Clock as _, SystemClock},
    protocol::heartbeat::{AgentReport, Heartbeat},
    telemetry::Window,
};
use tokio::task::JoinSet;

use super::table::{Table, share};
use crate::{
    members::{self, Member},
    postgres::Durability,
    system::{Backstage, Terms},
};

/// Agents; the gateway lets one address enrol no more at once.
const AGENTS: usize = 60;
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(8);
const TRIES: usize = 3;

/// Measures and compares with a million plugins that each send one every two minutes.
pub async fn measure(table: &mut Table) -> Result<()> {
    let terms = Terms {
        durability: Durability::Real,
        ..Terms::default()
    };
    let backstage = Backstage::start("fleet", "", terms).await?;
    let (product, folder) = (backstage.releases.product(), backstage.folder("fleet")?);
    let fleet = members::enrol(&backstage.control_plane, product, &folder, AGENTS).await?;
    drive(&fleet, WARM_UP).await?;
    let (mut rates, mut p99) = (Vec::new(), Vec::new());
    for _ in 0..TRIES {
        let took = drive(&fleet, MEASURED).await?;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        rates.push(took.len() as f64 / MEASURED.as_secs_f64());
        p99.push(share(&took, 99));
    }
    let beside = format!(
        "{AGENTS} agents' connections, load generator, gateway and Postgres on this one machine; a million plugins \
         send 8,333/s"
    );
    table.shown(
        "heartbeats through the gateway, durable",
        share(&rates, 50),
        "/s",
        &beside,
    );
    table.shown("the same: time to the answer, p99", share(&p99, 50), "ms", "");
    Ok(())
}

/// Lets every agent send one heartbeat after the other; how long each took, in ms.
async fn drive(fleet: &[Arc<Member>], how_long: Duration) -> Result<Vec<f64>> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for member in fleet {
        tasks.spawn(one(member.clone(), stop.clone()));
    }
    tokio::time::sleep(how_long).await;
    stop.store(true, Ordering::Relaxed);
    let mut all = Vec::new();
    while let Some(took) = tasks.join_next().await {
        all.extend(took??);
    }
    Ok(all)
}

async fn one(member: Arc<Member>, stop: Arc<AtomicBool>) -> Result<Vec<f64>> {
    let mut took = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let heartbeat = heartbeat(&member);
        let begun = Instant::now();
        let answer = member.client.heartbeat(&heartbeat).await?;
        ensure!(answer.ok, "the gateway said no");
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took)
}

fn heartbeat(member: &Member) -> Heartbeat {
    let seq = member.seq.fetch_add(1, Ordering::Relaxed);
    let (merchant_id, plugin_id) = member.client.names();
    let now = SystemClock.now();
    // Windows follow each other and never lie in the future.
    let ago = SignedDuration::from_millis(i64::try_from(seq).unwrap_or(0) % 1_000);
    let mut window = Window::empty(seq, now - SignedDuration::from_secs(120) - ago, now - ago);
    (window.requests, window.errors) = (1_000, 3);
    (window.webhook_total, window.webhook_failed) = (20, 1);
    Heartbeat {
        plugin_id,
        merchant_id,
        plugin_version: "1.0.0".to_owned(),
        env: serde_json::Map::new(),
        errors_last_24h: 3,
        webhook_fail_rate: Some(0.05),
        uptime: seq,
        timestamp: now,
        boot_id: Some(member.boot_id),
        seq: Some(seq),
        windows: vec![window],
        agent: Some(AgentReport {
            version: "0.1.0".to_owned(),
            rss_bytes: 8 << 20,
            spool_dropped: 0,
            reduced_protection: Vec::new(),
        }),
        host: None,
        integrity: None,
        installed: None,
        settings: None,
        early: Vec::new(),
        ill: None,
        audit: None,
    }
}
