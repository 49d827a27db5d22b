//! What the agent costs its host while nothing happens, and how fast an order is in its hands.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{
    store,
    table::{Table, share},
};
use crate::{
    shop::shelf::{self, Shelf},
    system::{AgentHost, Backstage, Hooks, Host, Plugin, Probe, Terms, binaries},
    wait,
};

const ORDERS: usize = 100;
/// How long the idle agent is watched.
const IDLE: Duration = Duration::from_mins(1);
/// How long it may settle before that: once a minute it gives back what the orders needed.
const SETTLE: Duration = Duration::from_secs(70);

/// Heartbeats, one a second, over which its memory must stay as it is.
const HEARTBEATS: u64 = 300;
/// An agent gives memory back once a minute: what it has is the median of so many seconds.
const ROUND: usize = 60;

/// Measures one agent with one connection, its store open and the host sampled.
pub async fn measure(table: &mut Table) -> Result<()> {
    let program = binaries::program("plugmend-agent")?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let size = fs::metadata(&program)?.len() as f64;
    table.at_most("agent: the program, stripped", size, 5e6, "B");
    at_rest(table).await?;
    after_many(table).await
}

async fn at_rest(table: &mut Table) -> Result<()> {
    let terms = Terms::with_heartbeat(120);
    let backstage = Backstage::start("shelf", "", terms).await?;
    let plugin = backstage.folder("site")?.join("shelf");
    shelf::write(&plugin, "1.0.0")?;
    let shop = Shelf::start(plugin.clone()).await?;
    let agent = backstage
        .agent(&backstage.folder("agent")?, &host(&plugin, &shop))
        .await?;
    orders(table, &backstage, &agent).await?;
    idle(table, &agent).await
}

/// What an agent that is told to speak every second has grown to, and by how much, after some hundred heartbeats.
async fn after_many(table: &mut Table) -> Result<()> {
    let terms = Terms::with_heartbeat(1);
    let backstage = Backstage::start("shelf", "", terms).await?;
    let plugin = backstage.folder("site")?.join("shelf");
    shelf::write(&plugin, "1.0.0")?;
    let shop = Shelf::start(plugin.clone()).await?;
    let agent = backstage
        .agent(&backstage.folder("agent")?, &host(&plugin, &shop))
        .await?;
    let pid = agent.pid().context("the agent runs")?;
    let (mut resident, mut own) = (Vec::new(), Vec::new());
    for _ in 0..HEARTBEATS {
        tokio::time::sleep(Duration::from_secs(1)).await;
        resident.push(resident_bytes(pid)?);
        own.push(own_bytes(pid)?);
    }
    let last_round = |all: &[f64]| share(all.get(all.len().saturating_sub(ROUND)..).unwrap_or_default(), 50);
    let what = format!("agent after {HEARTBEATS} heartbeats: resident memory");
    table.at_most(&what, last_round(&resident), 8.0 * 1_048_576.0, "MiB");
    let first = share(own.get(..ROUND).unwrap_or_default(), 50);
    let what = format!("agent: its own memory grew from minute 1 to heartbeat {HEARTBEATS} by");
    table.shown(
        &what,
        last_round(&own) - first,
        "B",
        "the store fills up, see the next two",
    );
    let more = store::measure(table)?;
    let what = "agent when its store is full: resident memory, by both";
    table.at_most(what, last_round(&resident) + more, 8.0 * 1_048_576.0, "MiB");
    Ok(())
}

/// A host with a plugin that nothing is asked of.
pub(super) fn host(plugin: &Path, shop: &Shelf) -> Host {
    Host {
        plugin: Plugin {
            product: "shelf".to_owned(),
            cms: "php".to_owned(),
            path: plugin.to_owned(),
            layout: "exchange".to_owned(),
            version: "1.0.0".to_owned(),
            entries: Vec::new(),
        },
        hooks: Hooks::default(),
        probes: vec![Probe {
            http: format!("http://{}/probe", shop.at()),
            status: 200,
            contains: None,
        }],
        udp: None,
    }
}

/// From the moment an order is given over the API until the agent has said that it has it.
async fn orders(table: &mut Table, backstage: &Backstage, agent: &AgentHost) -> Result<()> {
    let ops = backstage.control_plane.ops();
    let order = json!({"type": "health_check", "reason": "bench"});
    let mut took = Vec::new();
    for _ in 0..ORDERS {
        let begun = Instant::now();
        let id = ops.order(agent.plugin_id(), &order).await?;
        let path = format!("/api/ops/commands/{id}");
        wait::until_async(
            "the order to be in the agent's hands",
            Duration::from_secs(30),
            async || {
                let command = ops.get(&path).await?;
                let status = command
                    .get("status")
                    .and_then(serde_json::Value::as_str)
                    .unwrap_or_default();
                Ok((!matches!(status, "pending" | "sent")).then_some(()))
            },
        )
        .await?;
        took.push(begun.elapsed().as_secs_f64());
        ops.ended(&id, Duration::from_secs(30)).await?;
    }
    let what = "order to agent and back by long poll";
    table.shown(
        &format!("{what}, p50 of {ORDERS}"),
        share(&took, 50),
        "s",
        "looked at every 20 ms",
    );
    table.at_most(&format!("{what}, p95 of {ORDERS}"), share(&took, 95), 1.0, "s");
    Ok(())
}

async fn idle(table: &mut Table, agent: &AgentHost) -> Result<()> {
    let pid = agent.pid().context("the agent runs")?;
    tokio::time::sleep(SETTLE).await;
    let (before, begun) = (cpu_seconds(pid)?, Instant::now());
    let mut resident = Vec::new();
    while begun.elapsed() < IDLE {
        tokio::time::sleep(Duration::from_secs(1)).await;
        resident.push(resident_bytes(pid)?);
    }
    let share_of_cpu = (cpu_seconds(pid)? - before) / begun.elapsed().as_secs_f64() * 100.0;
    ensure!(!resident.is_empty(), "nothing was measured");
    table.at_most(
        "agent idle: resident memory, median",
        share(&resident, 50),
        8.0 * 1_048_576.0,
        "MiB",
    );
    let what = "agent idle: processor, by default heartbeats and long poll";
    table.at_most(what, share_of_cpu, 0.1, "%");
    Ok(())
}

/// Resident memory in bytes, the program's own code among it.
pub(super) fn resident_bytes(pid: u32) -> Result<f64> {
    memory(pid, "VmRSS:")
}

/// What the process has allocated, in bytes, without the pages of the program's file that happen to be in use.
pub(super) fn own_bytes(pid: u32) -> Result<f64> {
    memory(pid, "RssAnon:")
}

/// A line of `/proc/<pid>/status` in bytes (proc(5)).
fn memory(pid: u32, name: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .context("proc status")?;
    let kilobytes: f64 = value.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024.0)
}

/// Seconds of processor time, user and system, from `/proc/<pid>/stat` (proc(5), fields 14 and 15, in ticks of 10 ms).
pub(super) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field may hold spaces and brackets; nothing after its last bracket does.
    let (_, rest) = stat.rsplit_once(')').context("proc stat")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |n: usize| -> Result<f64> { Ok(fields.get(n).context("proc stat")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}
