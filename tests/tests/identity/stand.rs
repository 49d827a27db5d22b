//! A gateway in this process, on real TLS and a real Postgres, with a clock that tests can turn; and agents for it.

use std::{
    net::{SocketAddr, TcpListener},
    num::NonZeroU32,
    path::Path,
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use plugmend_agent::upstream::{
    client::{Client, ClientError, ClientOptions},
    enrol::{EnrolError, EnrolOptions, enrol},
    identity_store::{IdentityStore, StoredIdentity},
    tls::CaTrust,
};
use plugmend_control_plane::{
    http::{
        AppState,
        agent_api::{
            gateway::Gateway,
            listener::{self, ListenerOptions},
            rates::{RateOptions, Rates},
        },
        auth::TokenVerifier,
        gateway_router,
    },
    notify::Sender,
    pki::{self, AgentCa, CaOptions, gateway_certificate::GatewayCertificate},
    repo::{OnlineKeys, Repository},
    service::{
        Entropy,
        audit_chain::NewestCheckpoint,
        command::Polls,
        enrolment::{Enrolment, IssuingOptions},
        enrolment_token::{self, MadeToken, TokenDesk, TokenOrder},
        events::Events,
        ingest::{self, IngestOptions},
        secret::SecretHasher,
        secret_box::SecretBox,
        standing::{StandingOptions, Standings},
        token_hash::TokenHasher,
        webhook::WebhookDesk,
    },
    store::{Db, DbOptions, audit::Actor, merchant},
};
use plugmend_shared::{
    clock::{Clock, FixedClock, SystemClock},
    ids::{BootId, MerchantId, PluginId},
};
use plugmend_tests::{
    postgres::{Durability, Postgres},
    system::OpsKey,
};
use secrecy::SecretString;
use tokio::sync::watch;

pub const PRODUCT: &str = "molam-pay-node";
pub const LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 30);
pub const GRACE: SignedDuration = SignedDuration::from_hours(24 * 30);
pub const IN_FLIGHT: SignedDuration = SignedDuration::from_secs(60);
/// How long anything may take that happens at once.
pub const SOON: Duration = Duration::from_secs(20);
const SECRET: [u8; 32] = [7; 32];

/// The control plane's side.
pub struct Stand {
    pub db: Db,
    pub database_url: String,
    pub ca: Arc<AgentCa>,
    pub clock: Arc<FixedClock>,
    pub gateway: SocketAddr,
    pub merchant: MerchantId,
    folder: tempfile::TempDir,
    stop: watch::Sender<bool>,
    postgres: Arc<Postgres>,
}

pub fn now() -> Timestamp {
    SystemClock.now()
}

impl Stand {
    /// On a database of its own.
    pub async fn start() -> Self {
        let postgres = Arc::new(Postgres::obtain(Durability::Relaxed).unwrap());
        let url = postgres.database("identity").await.unwrap();
        let db = open(&url);
        db.migrate().await.unwrap();
        let merchant = MerchantId::from_parts(now(), Entropy::new().bytes().unwrap());
        let mut tx = db.begin().await.unwrap();
        merchant::insert(&mut tx, merchant, "A shop", now()).await.unwrap();
        tx.commit().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options = CaOptions {
            dir: folder.path().join("pki"),
            key_pem: None,
            key_file: None,
        };
        let ca = AgentCa::create(&options, now(), Entropy::new().bytes().unwrap()).unwrap();
        let limits = (RateOptions::default(), ListenerOptions::default());
        Self::serve(postgres, url, Arc::new(ca), merchant, limits, folder)
    }

    /// A second replica on the same database and CA.
    pub fn replica(&self) -> Self {
        self.replica_with(RateOptions::default(), ListenerOptions::default())
    }

    /// A second replica that takes one enrolment an hour or so.
    pub fn strict_replica(&self) -> Self {
        let one = NonZeroU32::MIN;
        let rates = RateOptions {
            enrol_per_minute: one,
            enrol_burst: one,
            ..RateOptions::default()
        };
        self.replica_with(rates, ListenerOptions::default())
    }

    /// A second replica with limits of its own.
    pub fn replica_with(&self, rates: RateOptions, doors: ListenerOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (postgres, url) = (Arc::clone(&self.postgres), self.database_url.clone());
        Self::serve(
            postgres,
            url,
            Arc::clone(&self.ca),
            self.merchant,
            (rates, doors),
            folder,
        )
    }

    fn serve(
        postgres: Arc<Postgres>,
        database_url: String,
        ca: Arc<AgentCa>,
        merchant: MerchantId,
        (rates, doors): (RateOptions, ListenerOptions),
        folder: tempfile::TempDir,
    ) -> Self {
        let db = open(&database_url);
        let clock = Arc::new(FixedClock::new(now()));
        let (stop, stopped) = watch::channel(false);
        let standing = StandingOptions {
            grace: GRACE,
            in_flight: IN_FLIGHT,
            ..StandingOptions::default()
        };
        let standings = Arc::new(Standings::new(db.clone(), standing));
        let issuing = IssuingOptions {
            trust_domain: "shop.example".to_owned(),
            lifetime: LIFETIME,
            gateway_ca_pem: None,
        };
        let hasher = TokenHasher::new(&SECRET);
        let gateway = Arc::new(Gateway {
            enrolment: Enrolment::new(db.clone(), Arc::clone(&ca), hasher, Entropy::new(), issuing),
            standings: Arc::clone(&standings),
            rates: Rates::new(rates),
            clock: clock.clone(),
        });
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let random = Entropy::new().bytes().unwrap();
        let certificate = Arc::new(GatewayCertificate::issue(&ca, &names, now(), random).unwrap());
        let tls = pki::tls::server_config(ca.certificate(), certificate, GRACE.unsigned_abs()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let router = gateway_router(state(&db, &clock, &stopped, folder.path()), Arc::clone(&gateway));
        let following = Arc::clone(&standings);
        let follow_until = stopped.clone();
        tokio::spawn(async move { following.follow(follow_until).await });
        tokio::spawn(listener::serve(listener, tls, router, gateway, doors, stopped));
        Self {
            db,
            database_url,
            ca,
            clock,
            gateway: address,
            merchant,
            folder,
            stop,
            postgres,
        }
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.gateway)
    }

    /// Turns the gateway's clock so many days from the present.
    pub fn turn_clock(&self, days: i64) {
        self.clock.set(now() + SignedDuration::from_hours(24 * days));
    }

    /// Lets the gateway's clock go on.
    pub fn pass(&self, seconds: i64) {
        self.clock.set(self.clock.now() + SignedDuration::from_secs(seconds));
    }

    pub async fn token(&self) -> MadeToken {
        self.token_for(None).await
    }

    /// A token, as ops make them; for a plugin that exists, or a new one.
    pub async fn token_for(&self, plugin_id: Option<PluginId>) -> MadeToken {
        let order = TokenOrder {
            merchant_id: self.merchant,
            product: PRODUCT.parse().unwrap(),
            cms: "node".to_owned(),
            plugin_id,
            ttl: enrolment_token::DEFAULT_TTL,
        };
        let by = (&Actor::System, "a test");
        let at = self.clock.now();
        enrolment_token::make(&self.db, &TokenHasher::new(&SECRET), &Entropy::new(), by, &order, at)
            .await
            .unwrap()
    }

    pub fn options(&self) -> EnrolOptions {
        EnrolOptions {
            url: self.url(),
            trust: CaTrust::Sha256(self.ca.fingerprint()),
            product: PRODUCT.parse().unwrap(),
            cms: "node".to_owned(),
            plugin_version: Some("1.0.0".to_owned()),
            anew: true,
        }
    }

    /// A host's state folder.
    pub fn host(&self, name: &str) -> IdentityStore {
        let dir = self.folder.path().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        IdentityStore::open(&dir).unwrap()
    }

    /// A copy of a host's state folder, as of a cloned disk.
    pub fn copy(&self, of: &str, name: &str) -> IdentityStore {
        let (from, to) = (
            self.folder.path().join(of).join("identity"),
            self.folder.path().join(name),
        );
        std::fs::create_dir_all(&to).unwrap();
        let to_identity = IdentityStore::open(&to).unwrap();
        for file in std::fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            // Keeps the mode, which is looked at.
            std::fs::copy(file.path(), to.join("identity").join(file.file_name())).unwrap();
        }
        to_identity
    }

    pub async fn enrol(&self, store: &IdentityStore, token: &str) -> Result<StoredIdentity, EnrolError> {
        enrol(
            store,
            &self.options(),
            &SecretString::from(token.to_owned()),
            &SystemClock,
        )
        .await
    }

    /// An enrolled agent on a host of that name.
    pub async fn agent(&self, host: &str) -> (IdentityStore, Client) {
        let store = self.host(host);
        let token = self.token().await;
        self.enrol(&store, &token.token).await.unwrap();
        let client = self.client(&store);
        (store, client)
    }

    /// A new life of the agent's process.
    pub fn client(&self, store: &IdentityStore) -> Client {
        client_of(&self.url(), store).unwrap()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

pub fn client_of(url: &str, store: &IdentityStore) -> Result<Client, ClientError> {
    let boot_id = BootId::from_parts(now(), Entropy::new().bytes().unwrap());
    let options = ClientOptions {
        url: url.to_owned(),
        boot_id,
    };
    Client::open(&options, store.clone(), Arc::new(SystemClock))
}

/// Where a store lies, for looking into its files.
pub fn identity_file(stand: &Stand, host: &str, file: &str) -> std::path::PathBuf {
    Path::new(stand.folder.path()).join(host).join("identity").join(file)
}

fn open(url: &str) -> Db {
    Db::open(&DbOptions {
        url: url.to_owned().into(),
        max_connections: 8,
    })
    .unwrap()
}

fn state(db: &Db, clock: &Arc<FixedClock>, stop: &watch::Receiver<bool>, folder: &Path) -> AppState {
    let clock: Arc<dyn Clock> = clock.clone();
    let options = IngestOptions {
        flushers: 1,
        batch: 10,
        delay: Duration::from_millis(1),
        queue: 16,
    };
    let (ingest, flushers) = ingest::start(db, &clock, options);
    for flusher in flushers {
        tokio::spawn(flusher);
    }
    let polls = Polls::new(db.clone(), Arc::clone(&clock), 100, stop.clone());
    tokio::spawn(polls.clone().listen());
    let keys = OnlineKeys::load_or_make(&folder.join("keys"), &ring::rand::SystemRandom::new()).unwrap();
    AppState {
        db: db.clone(),
        repo: Repository::open(&folder.join("repository"), keys).unwrap(),
        clock,
        entropy: Entropy::new(),
        tokens: Arc::new(TokenVerifier::from_pem(&OpsKey::generate().unwrap().public_pem()).unwrap()),
        enrolment_tokens: TokenDesk {
            hasher: TokenHasher::new(&SECRET),
            ca_sha256: None,
        },
        secrets: SecretHasher::new(&SECRET),
        audit: NewestCheckpoint::default(),
        webhooks: WebhookDesk {
            secrets: SecretBox::new(&SECRET).unwrap(),
            sender: Sender::new(Vec::new(), None).unwrap(),
        },
        ingest,
        polls,
        events: Events::new(db.clone(), stop.clone()),
        metrics_token: None,
        heartbeat_interval_s: 120,
    }
}
