//! A control plane on ports of its own: the real listener, handlers, flushers and database.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use axum::Extension;
use jiff::Timestamp;
use plugmend_control_plane::{
    domain::identity::AgentIdentity,
    http::{self, AppState, auth::TokenVerifier},
    notify::Sender,
    repo::{OnlineKeys, Repository},
    service::{
        Entropy,
        audit_chain::NewestCheckpoint,
        command::Polls,
        enrolment_token::TokenDesk,
        events::Events,
        ingest::{self, IngestOptions},
        secret::SecretHasher,
        secret_box::SecretBox,
        token_hash::TokenHasher,
        webhook::WebhookDesk,
    },
    store::{self, Db, DbOptions},
};
use plugmend_shared::{
    clock::{Clock, FixedClock},
    ids::{Digest, MerchantId, PluginId},
};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet};

use super::{
    database::TestDatabase,
    http::{Answer, HttpClient},
    people,
};

/// A running control plane.
pub struct Plane {
    /// Its database.
    pub database: TestDatabase,
    /// Its clock.
    pub clock: Arc<FixedClock>,
    /// Speaks to port 8112's routes.
    pub api: HttpClient,
    /// Where they are.
    pub address: SocketAddr,
    /// What handlers share.
    pub state: AppState,
    /// Where its release repository is.
    pub repository: tempfile::TempDir,
    /// A `pay_admin`'s token.
    pub token: String,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// How the tests gather heartbeats: small batches, so that several are under way.
pub const INGEST: IngestOptions = IngestOptions {
    flushers: 4,
    batch: 20,
    delay: Duration::from_millis(2),
    queue: 200,
};

impl Plane {
    /// On a fresh database.
    pub async fn start() -> Self {
        let database = TestDatabase::migrated().await;
        let url = database.url.clone();
        Self::start_on(database, &url, INGEST)
    }

    /// On a database that is reached by another URL.
    pub fn start_on(database: TestDatabase, url: &str, options: IngestOptions) -> Self {
        let db = Db::open(&DbOptions {
            url: url.to_owned().into(),
            max_connections: 16,
        })
        .unwrap();
        // Whole seconds: the database keeps no more than microseconds.
        let now = Timestamp::from_second(plugmend_shared::clock::SystemClock.now().as_second()).unwrap();
        let clock = Arc::new(FixedClock::new(now));
        let dyn_clock: Arc<dyn Clock> = clock.clone();
        let stop = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        let (ingest, flushers) = ingest::start(&db, &dyn_clock, options);
        for flusher in flushers {
            tasks.spawn(flusher);
        }
        let polls = Polls::new(db.clone(), Arc::clone(&dyn_clock), 1000, stop.subscribe());
        tasks.spawn(polls.clone().listen());
        let events = Events::new(db.clone(), stop.subscribe());
        tasks.spawn(events.clone().follow());
        let repository = tempfile::tempdir().unwrap();
        let keys = OnlineKeys::load_or_make(&repository.path().join("keys"), &ring::rand::SystemRandom::new()).unwrap();
        let state = AppState {
            repo: Repository::open(&repository.path().join("repository"), keys).unwrap(),
            db,
            clock: dyn_clock,
            entropy: Entropy::new(),
            tokens: Arc::new(TokenVerifier::from_pem(people::PUBLIC_PEM).unwrap()),
            enrolment_tokens: TokenDesk {
                hasher: TokenHasher::new(&[7; 32]),
                ca_sha256: Some(Digest::of(b"a CA")),
            },
            secrets: SecretHasher::new(&[7; 32]),
            audit: NewestCheckpoint::default(),
            webhooks: WebhookDesk {
                secrets: SecretBox::new(&[7; 32]).unwrap(),
                sender: Sender::new(vec!["127.0.0.0/8".parse().unwrap()], None).unwrap(),
            },
            ingest,
            polls,
            events: events.clone(),
            metrics_token: None,
            heartbeat_interval_s: 120,
        };
        let (listener, address) = listen();
        let serving = http::serve_plain(listener, http::api_router(state.clone()).unwrap(), stop.subscribe());
        tasks.spawn(async move { serving.await.unwrap() });
        let token = people::sign(&people::claims("ada", &["pay_admin"], clock.now()));
        Self {
            database,
            clock,
            api: HttpClient::new(address),
            address,
            state,
            repository,
            token,
            stop,
            tasks,
        }
    }

    /// Speaks to port 8443's routes as the agent of a plugin, as if its certificate had been found good.
    pub fn gateway(&mut self, plugin: &Plugin) -> HttpClient {
        let identity = AgentIdentity {
            merchant_id: plugin.merchant_id,
            plugin_id: plugin.id,
            serial: "01".to_owned(),
            renewals: 0,
        };
        self.serve(http::agent_router(self.state.clone()).layer(Extension(identity)))
    }

    /// Speaks to a router of one's own.
    pub fn serve(&mut self, router: axum::Router) -> HttpClient {
        let (listener, address) = listen();
        let serving = http::serve_plain(listener, router, self.stop.subscribe());
        self.tasks.spawn(async move { serving.await.unwrap() });
        HttpClient::new(address)
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Moves the clock on.
    pub fn advance(&self, seconds: i64) {
        self.clock.set(
            self.now()
                .checked_add(jiff::SignedDuration::from_secs(seconds))
                .unwrap(),
        );
    }

    /// Asks as the `pay_admin`.
    pub async fn ops(&self, method: &str, path: &str, body: Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let token = people::sign(&people::claims("ada", &["pay_admin"], self.now()));
        self.api.send(method, path, &token, body).await
    }

    /// A merchant with a plugin that has no agent, and its secret.
    pub async fn plugin(&self) -> Plugin {
        let merchant = self
            .ops("POST", "/api/ops/merchants", json!({ "name": "Shop" }))
            .await
            .expect(201);
        let wanted = json!({ "merchant_id": merchant["id"], "cms": "node", "product": "molam-pay-node" });
        let plugin = self.ops("POST", "/api/ops/plugins", wanted).await.expect(201);
        let id: PluginId = plugin["id"].as_str().unwrap().parse().unwrap();
        let secret = self
            .ops("POST", &format!("/api/ops/plugins/{id}/secret"), Value::Null)
            .await
            .expect(201);
        Plugin {
            id,
            merchant_id: merchant["id"].as_str().unwrap().parse().unwrap(),
            secret: secret["plugin_secret"].as_str().unwrap().to_owned(),
        }
    }

    /// Has a release of the plugins' product in the database, as if it had been published; gives its digest.
    pub async fn release(&self, version: &str) -> plugmend_shared::ids::Digest {
        let digest = plugmend_shared::ids::Digest::of(version.as_bytes());
        let new = store::release::NewRelease {
            product: "molam-pay-node".parse().unwrap(),
            version: version.parse().unwrap(),
            digest,
            impact: "medium",
            fixes: Vec::new(),
            undo: "code_only",
            approvals_required: 0,
            files: 1,
            bytes: 1,
            pack_bytes: 1,
            manifest: json!({}),
        };
        let mut tx = self.state.db.begin().await.unwrap();
        store::release::insert(&mut tx, &new, None, self.now()).await.unwrap();
        tx.commit().await.unwrap();
        digest
    }

    /// A plugin that an agent looks after.
    pub async fn agent_plugin(&self) -> Plugin {
        let plugin = self.plugin().await;
        let mut tx = self.state.db.begin().await.unwrap();
        let product = "molam-pay-node".parse().unwrap();
        plugmend_control_plane::store::plugin::hand_to_agent(&mut tx, plugin.id, &product, self.now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        plugin
    }

    /// Asks everything to finish and waits for it.
    pub async fn stop(mut self) -> TestDatabase {
        self.stop.send_replace(true);
        drop(self.state);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.database
    }
}

/// Serves a router on a port of its own, for as long as the test runs.
pub fn spawn(router: axum::Router) -> SocketAddr {
    let (listener, address) = listen();
    tokio::spawn(async move {
        let stop = watch::Sender::new(false);
        http::serve_plain(listener, router, stop.subscribe()).await.unwrap();
    });
    address
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A plugin of the tests.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// Its id.
    pub id: PluginId,
    /// Whose.
    pub merchant_id: MerchantId,
    /// Its secret, while it has one.
    pub secret: String,
}

impl Plugin {
    /// A heartbeat in the reference shape.
    pub fn beat(&self, now: Timestamp) -> Value {
        json!({
            "plugin_id": self.id, "merchant_id": self.merchant_id, "plugin_version": "1.0.0", "env": { "node": "22" },
            "errors_last_24h": 5, "webhook_fail_rate": 0.25, "uptime": 60, "timestamp": now,
        })
    }

    /// An agent's heartbeat: numbered, with windows of a minute that end at `now` and before.
    pub fn agent_beat(&self, now: Timestamp, seq: u64, windows: &[(u64, i64)]) -> Value {
        let mut beat = self.beat(now);
        beat["seq"] = json!(seq);
        beat["boot_id"] = json!("0198c0de-0000-7000-8000-00000000b007");
        beat["windows"] = windows
            .iter()
            .map(|(seq, minutes_ago)| {
                let to = now - jiff::SignedDuration::from_mins(*minutes_ago);
                let from = to - jiff::SignedDuration::from_mins(1);
                json!({ "seq": seq, "from": from, "to": to, "requests": 100, "errors": 1,
                        "webhook_total": 4, "webhook_failed": 1 })
            })
            .collect();
        beat
    }
}
