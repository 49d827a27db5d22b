//! Sets the stage: Postgres, control plane, release engineers, shop, agent, customers.

use std::{
    fs, net::SocketAddr, os::unix::fs::PermissionsExt as _, path::Path, process::Command, sync::Arc, time::Duration,
};

use anyhow::{Context, Result};
use serde_json::json;
use tempfile::TempDir;

use super::{
    PACE,
    say::{self, Say, bytes},
};
use crate::{
    load::{Load, Plan, Remembering},
    npm, ports,
    postgres::{Durability, Postgres},
    shop::{
        currencies::Made,
        node::{self, NodeShop, Place},
        payments::{self, Customers, Market},
    },
    system::{
        AgentHost, ControlPlane, HOLDERS, Hooks, Host, Options, Plugin, Probe, Receiver, Releases, StagingDoor,
        StagingRunner, THRESHOLD, Watcher, binaries, node_version, sql,
    },
};

/// The product.
pub const PRODUCT: &str = "payment-stripe";
/// The version that is broken on purpose.
pub const BROKEN: &str = "2.21.2";

/// Everything that runs. Fields are dropped in this order, each before what it stands on.
pub struct Stage {
    /// Customers at work.
    pub load: Option<Load>,
    /// The same customers, who remember what they were told.
    pub customers: Arc<Remembering<Customers>>,
    /// In what they pay.
    pub market: Arc<Market>,
    /// Sees each swap from outside.
    pub watcher: Watcher,
    /// Sees each turn of the shop to other code from outside.
    pub turns: Watcher,
    /// The agent.
    pub agent: AgentHost,
    /// The shop.
    pub shop: NodeShop,
    /// The release engineers.
    pub releases: Releases,
    /// Tries releases out.
    pub runner: StagingRunner,
    /// What the merchant is told by webhooks.
    pub merchant: Receiver,
    /// What ops are told.
    pub ops: Receiver,
    /// The control plane.
    pub control_plane: ControlPlane,
    /// Its database.
    pub postgres: Postgres,
    /// The plugin's size, unpacked and packed.
    pub full_size: FullSize,
    home: Option<TempDir>,
}

/// How large a release is as a whole.
#[derive(Debug, Clone, Copy, Default)]
pub struct FullSize {
    /// Its files, in bytes.
    pub files: u64,
    /// Its pack, compressed, in bytes.
    pub pack: u64,
}

impl Stage {
    /// Sets everything up, to the point where customers are served by the first version.
    pub async fn set(say: &Say) -> Result<Self> {
        node::ensure()?;
        let home = tempfile::Builder::new().prefix("plugmend-demo-").tempdir()?;
        say.line(&format!(
            "policy: a heartbeat every {} s; a change is watched for {} s, every {} s",
            PACE.heartbeat_s, PACE.watch_s, PACE.interval_s
        ));
        let postgres = Postgres::obtain(Durability::Real)?;
        let door = StagingDoor::new()?;
        let control_plane = control_plane(say, &home.path().join("control-plane"), &postgres, &door).await?;
        let releases = Releases::begin(&home.path().join("engineers"), PRODUCT, &control_plane)?;
        say.line(&format!(
            "release keys: {HOLDERS} holders, {THRESHOLD} must sign; the control plane has none of them"
        ));
        let full_size = publish_real_ones(say, &releases)?;
        let runner = StagingRunner::start(&door, &control_plane, &releases)?;
        say.line(&format!("staging runner: {}", runner.protection().await?));

        let place = Place::prepare(&home.path().join("shop"))?;
        copy(&payments::tree(&payments::FIRST)?, &place.plugin)?;
        let (port, udp) = (node::port()?, ports::free()?);
        let udp = SocketAddr::from(([127, 0, 0, 1], udp));
        let shop = NodeShop::start(&place, port, Some(udp))?;
        say.line(&format!(
            "shop: http://{} (Node), with the plugin as somebody installed it",
            shop.at()
        ));
        let agent = AgentHost::start(
            &home.path().join("agent"),
            &host(&place, &shop, udp),
            &control_plane,
            &releases,
        )
        .await?;
        say.line(&format!(
            "agent: enrolled with a one-time token as plugin {}",
            agent.plugin_id()
        ));
        let (merchant, ops) = receivers(say, &control_plane, &agent).await?;
        let watcher = Watcher::start(place.plugin.clone(), node_version);
        let market = Arc::<Market>::default();
        let customers = Arc::new(Remembering::new(Customers::of(market.clone())));
        let load = Load::start(shop.at(), customers.clone(), PLAN);
        say.line("customers: four on kept connections and four that come anew each time; payments by signed webhook, and forgeries");
        Ok(Self {
            load: Some(load),
            customers,
            market,
            watcher,
            turns: Watcher::start(place.home.join("run"), node::serving),
            agent,
            shop,
            releases,
            runner,
            merchant,
            ops,
            control_plane,
            postgres,
            full_size,
            home: Some(home),
        })
    }

    /// Where to look after something went wrong; the folder is kept for that.
    pub fn explain(&mut self, say: &Say) {
        if let Some(home) = self.home.take() {
            let kept = home.keep();
            say.line(&format!("logs are kept in {}", kept.display()));
        }
    }

    /// Leaves everything running and says where to look, until Ctrl-C.
    pub async fn leave_open(&mut self) -> Result<()> {
        let ops = self.control_plane.ops();
        let token = self.control_plane.state_dir().join("operator-token");
        fs::write(&token, ops.token())?;
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600))?;
        let agent = binaries::program("plugmend-agent")?;
        say::title("Left running (Ctrl-C ends it)");
        let lines = [
            format!("shop           http://{}/checkout", self.shop.at()),
            format!(
                "API            {} (token in {})",
                self.control_plane.api_url(),
                token.display()
            ),
            format!("database       {}", self.control_plane.database_url()),
            format!("Postgres       {}", self.postgres.url()),
            format!(
                "agent          {} --config {} status",
                agent.display(),
                self.agent.config().display()
            ),
            format!("agent's log    {}", self.agent.log().display()),
            format!("control's log  {}", self.control_plane.log().display()),
            format!("plugin         {}", self.shop.place().plugin.display()),
        ];
        for line in lines {
            println!("  {line}");
        }
        tokio::signal::ctrl_c().await.context("wait for Ctrl-C")
    }
}

const PLAN: Plan = Plan {
    keep_alive: 4,
    fresh: 4,
    pause: Duration::from_millis(20),
    limit: 2_000_000,
};

/// What the release engineers say about each release: one setting may be set from afar.
pub const SETTINGS: &str = "impact = \"medium\"\n[settings]\nfile = \"settings.json\"\n\
    [settings.keys.capture]\ntype = \"boolean\"\n";
/// What would take too long to wait for here, and who is not asked: cures may follow each other at once, and a changed file
/// heals with nobody awake. Everything else is as it comes.
const QUICK: &str = "UPDATE ops_policy SET autopatch_cooldown_seconds = 0, autopatch_max_attempts_per_day = 20, \
    autopatch_max_severity = 'critical' WHERE id = 1";

async fn control_plane(say: &Say, home: &Path, postgres: &Postgres, door: &StagingDoor) -> Result<ControlPlane> {
    let database = postgres.database("plugmend_demo").await?;
    say.line(&format!("Postgres: {}", host_of(&database)));
    let options = Options {
        heartbeat_s: PACE.heartbeat_s,
    };
    let mut env = door.env();
    env.push(("PLUGMEND_WEBHOOK_NETWORKS", "127.0.0.0/8".to_owned()));
    let control_plane = ControlPlane::start_with(home, &database, options, &env)?;
    PACE.set(&database).await?;
    sql::run(&database, QUICK).await?;
    say.line(&format!(
        "control plane: API {}, agents' gateway {} (mutual TLS)",
        control_plane.api_url(),
        control_plane.gateway_url()
    ));
    Ok(control_plane)
}

/// Who is told by webhooks: the merchant, and ops.
async fn receivers(say: &Say, control_plane: &ControlPlane, agent: &AgentHost) -> Result<(Receiver, Receiver)> {
    let api = control_plane.ops();
    let merchant = Receiver::start(&api, Some(agent.merchant_id())).await?;
    let ops = Receiver::start(&api, None).await?;
    say.line(&format!(
        "webhooks: the merchant listens at {}, ops at {}",
        merchant.at(),
        ops.at()
    ));
    Ok((merchant, ops))
}

fn host(place: &Place, shop: &NodeShop, udp: SocketAddr) -> Host {
    let probe = Probe {
        http: format!("http://{}/probe", shop.at()),
        status: 200,
        contains: Some("\"version\":\"{version}\"".to_owned()),
    };
    Host {
        plugin: Plugin {
            product: PRODUCT.to_owned(),
            cms: "node".to_owned(),
            path: place.plugin.clone(),
            layout: "symlink".to_owned(),
            version: payments::FIRST.version.to_owned(),
            entries: Vec::new(),
        },
        hooks: Hooks {
            reload: Some(place.reload_hook()),
            opcache_fastcgi: None,
        },
        probes: vec![probe],
        udp: Some(udp),
    }
}

fn publish_real_ones(say: &Say, releases: &Releases) -> Result<FullSize> {
    let mut size = FullSize::default();
    for package in [&payments::FIRST, &payments::SECOND] {
        let tree = payments::tree(package)?;
        let built = releases.release(&tree, package.version, SETTINGS)?;
        size.files = built["bytes"].as_u64().context("a build says its size")?;
        size.pack = built["pack_bytes"].as_u64().context("a build says its pack's size")?;
        say.line(&format!(
            "published {} {} from npm: {} files, {}, packed {}",
            package.name,
            package.version,
            built["files"],
            bytes(size.files),
            bytes(size.pack)
        ));
    }
    Ok(size)
}

/// Builds, signs and publishes a third version that can not even be loaded: its main module is cut off in the middle.
pub fn publish_broken(stage: &Stage) -> Result<()> {
    let work = tempfile::tempdir()?;
    let tree = work.path().join("package");
    copy(&payments::tree(&payments::SECOND)?, &tree)?;
    let package = tree.join("package.json");
    let renamed = fs::read_to_string(&package)?.replace(payments::SECOND.version, BROKEN);
    fs::write(&package, renamed)?;
    let module = tree.join("dist/core/stripe-base.js");
    let code = fs::read(&module)?;
    fs::write(&module, &code[..code.len() / 2])?;
    stage.releases.release(&tree, BROKEN, SETTINGS)?;
    Ok(())
}

/// Builds, signs and publishes a version that was made here, with its smoke tests; `claims` to mend failing webhooks.
pub fn publish_made(stage: &Stage, made: &Made, claims: bool) -> Result<()> {
    let work = tempfile::tempdir()?;
    let tree = work.path().join("package");
    made.write(&tree)?;
    let fixes = if claims {
        "fixes = [\"webhook_fail_rate\"]\n"
    } else {
        ""
    };
    let descriptor = format!("{fixes}{SETTINGS}{}", made.smoke_tests());
    stage.releases.release(&tree, made.version, &descriptor)?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    npm::run(Command::new("cp").arg("-r").arg(from).arg(to))
}

fn host_of(url: &str) -> String {
    // A given URL may hold a password.
    url.rsplit_once('@').map_or(url, |(_, rest)| rest).to_owned()
}

/// An order's body.
pub fn order(kind: &str, payload: serde_json::Value) -> serde_json::Value {
    let mut order = json!({"type": kind});
    if let (Some(order), serde_json::Value::Object(payload)) = (order.as_object_mut(), payload) {
        order.extend(payload);
    }
    order
}
