//! The command line of ops against a real control plane: what merchants wish, the audit trail, webhooks.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use plugmend_tests::{
    postgres::{Durability, Postgres},
    system::{ControlPlane, LIMIT, Options, binaries, sql},
    wait,
};
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection};

/// One control plane and a person before it.
struct Desk {
    control_plane: ControlPlane,
    home: tempfile::TempDir,
    _postgres: Postgres,
}

impl Desk {
    async fn open() -> Self {
        let postgres = Postgres::obtain(Durability::Relaxed).unwrap();
        let url = postgres.database("plugmend_desk").await.unwrap();
        let home = tempfile::tempdir().unwrap();
        let networks = [("PLUGMEND_WEBHOOK_NETWORKS", "127.0.0.0/8".to_owned())];
        let place = home.path().join("control-plane");
        let control_plane = ControlPlane::start_with(&place, &url, Options::default(), &networks).unwrap();
        Self {
            control_plane,
            home,
            _postgres: postgres,
        }
    }

    /// Runs `plugmend`; whatever comes of it.
    fn run(&self, words: &[&str]) -> Output {
        Command::new(binaries::program("plugmend").unwrap())
            .args(words)
            .env("PLUGMEND_API", self.control_plane.api_url())
            .env("PLUGMEND_TOKEN", self.control_plane.ops().token())
            .output()
            .unwrap()
    }

    /// Runs it when nothing but success will do; its answer as data.
    fn does(&self, words: &[&str]) -> Value {
        let out = self.run(&[words, &["--json"]].concat());
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{words:?}: {said}");
        serde_json::from_slice(&out.stdout).unwrap()
    }

    /// Runs it when it must fail so; the words it says.
    fn fails(&self, words: &[&str], code: i32) -> String {
        let out = self.run(words);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(code), "{words:?}: {said}");
        said
    }

    /// What was sent or is to be.
    fn deliveries(&self, words: &[&str]) -> Vec<Value> {
        let found = self.does(&[&["webhook", "deliveries"], words].concat());
        found["deliveries"].as_array().unwrap().clone()
    }

    /// Waits until the deliveries are as `wanted`.
    async fn until(&self, what: &str, wanted: impl Fn(&[Value]) -> bool) {
        let look = async || Ok(wanted(&self.deliveries(&[])).then_some(()));
        wait::until_async(what, LIMIT, look).await.unwrap();
    }

    fn file(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    /// What a superuser of the database can do, who switches its rules off.
    async fn tamper(&self, sql: &str) {
        let mut person = PgConnection::connect(self.control_plane.database_url()).await.unwrap();
        let sql = format!("BEGIN; SET LOCAL session_replication_role = replica; {sql}; COMMIT");
        person.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await.unwrap();
    }
}

/// What a superuser of the database may do to the trail: what it is, how it is done and undone, and what is said of it.
const DEEDS: [(&str, &str, &str, &str); 5] = [
    (
        "edited",
        "UPDATE plugin_audit SET action = 'merchant_praised' WHERE details ->> 'name' = 'Shop 1'",
        "UPDATE plugin_audit SET action = 'merchant_created' WHERE details ->> 'name' = 'Shop 1'",
        "was edited",
    ),
    (
        "removed",
        "CREATE TABLE aside AS SELECT * FROM plugin_audit WHERE details ->> 'name' = 'Shop 2';
             DELETE FROM plugin_audit WHERE details ->> 'name' = 'Shop 2'",
        "INSERT INTO plugin_audit SELECT * FROM aside; DROP TABLE aside",
        "was removed",
    ),
    (
        "inserted",
        "INSERT INTO plugin_audit (actor_type, action, created_at) VALUES ('ops', 'never_was', now() - interval '1 day')",
        "DELETE FROM plugin_audit WHERE action = 'never_was'",
        "was put in past the chain",
    ),
    ("reordered", SWAP, SWAP, "differs"),
    (
        "cut off",
        "CREATE TABLE aside AS SELECT * FROM audit_leaves WHERE seq > 5; DELETE FROM audit_leaves WHERE seq > 5",
        "INSERT INTO audit_leaves SELECT * FROM aside; DROP TABLE aside",
        "cut off",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_superuser_does_to_the_trail_is_found_from_the_command_line() {
    let desk = Desk::open().await;
    for n in 0..4 {
        let id = desk.does(&["merchant", "create", "--name", &format!("Shop {n}")])["id"].clone();
        desk.does(&["merchant", "opt-out", id.as_str().unwrap()]);
    }
    let key = desk.control_plane.audit_key().unwrap();
    // The witness outside of the database: a copy that nobody of the control plane can write.
    let witness = desk.file("witnessed");
    let kept = desk.control_plane.audit_dir().join("checkpoints");
    let verify = ["audit", "verify", "--key", &key, "--checkpoints", &witness];
    let sealed = wait::until_async("the trail to be sealed", LIMIT, async || {
        if std::fs::copy(&kept, &witness).is_err() {
            return Ok(None);
        }
        let report = desk.does(&verify);
        Ok((report["covered"].as_u64() >= Some(8) && report["waiting"] == 0).then_some(report))
    });
    let report = sealed.await.unwrap();
    assert_eq!(
        (&report["entries"], &report["witnessed_outside"]),
        (&report["covered"], &true.into())
    );

    // Offline, from an export; which is never written over another.
    let trail = desk.file("trail.ndjson");
    assert_eq!(
        desk.does(&["audit", "export", "--out", &trail])["entries"],
        report["entries"]
    );
    let said = desk.fails(&["audit", "export", "--out", &trail], 1);
    assert!(said.contains("can not write") && said.contains(&trail), "{said}");
    desk.does(&[&verify[..], &["--entries", &trail]].concat());
    let text = std::fs::read_to_string(&trail).unwrap();
    std::fs::write(&trail, text.replacen("Shop 1", "Shop 9", 1)).unwrap();
    let said = desk.fails(&[&verify[..], &["--entries", &trail]].concat(), 1);
    assert!(said.contains("was edited"), "{said}");

    // In the database itself; each is undone before the next.
    for (what, deed, undoing, words) in DEEDS {
        desk.tamper(deed).await;
        let said = desk.fails(&verify, 1);
        assert!(
            said.contains("not what was witnessed") && said.contains(words),
            "{what}: {said}"
        );
        desk.tamper(undoing).await;
        desk.does(&verify);
    }

    // What people get wrong.
    let said = desk.fails(&["audit", "verify", "--key", "nonsense"], 1);
    assert!(said.contains("not a key of an audit log"), "{said}");
    let said = desk.fails(
        &[
            "audit",
            "verify",
            "--key",
            &key,
            "--checkpoints",
            &trail,
            "--entries",
            &trail,
        ],
        1,
    );
    assert!(said.contains("no checkpoint"), "{said}");
    let said = desk.fails(&["audit", "verify", "--key", &key, "--checkpoints", "/nowhere"], 1);
    assert!(said.contains("/nowhere"), "{said}");
    let nobody = ["audit", "verify", "--key", &key, "--api", "http://127.0.0.1:9"];
    assert!(desk.fails(&nobody, 69).contains("is it running"));
}

/// Two entries change places, with their leaves.
const SWAP: &str = "ALTER TABLE audit_leaves DROP CONSTRAINT IF EXISTS audit_leaves_entry_id_key;
     UPDATE audit_leaves l SET entry_id = o.entry_id, leaf = o.leaf FROM audit_leaves o
     WHERE l.seq + o.seq = 5 AND l.seq IN (2, 3)";

/// A receiver of webhooks that answers as it is told.
async fn receiver(status: Arc<AtomicU16>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let status = Arc::clone(&status);
            let service = service_fn(move |_| {
                let mut answer = Response::new(Full::new(Bytes::new()));
                *answer.status_mut() = StatusCode::from_u16(status.load(Ordering::Relaxed)).unwrap();
                async move { Ok::<_, std::convert::Infallible>(answer) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    at
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_are_run_from_the_command_line() {
    let desk = Desk::open().await;
    let status = Arc::new(AtomicU16::new(500));
    let url = format!("http://{}/hook", receiver(Arc::clone(&status)).await);
    let secret = desk.file("secret");
    let add = ["webhook", "add", "--event", "*", "--url", &url, "--secret-out", &secret];
    let hook = desk.does(&add)["id"].as_str().unwrap().to_owned();
    assert!(std::fs::read_to_string(&secret).unwrap().starts_with("whsec_"));
    // A secret is shown once: without a place for it there is no webhook.
    assert!(desk.fails(&add, 1).contains("not there yet"));
    let other = desk.file("other");
    let again = [&add[..7], &[other.as_str()]].concat();
    assert!(desk.fails(&again, 5).contains("go to this address already"));
    assert!(!Path::new(&other).exists());
    let never = [
        "webhook",
        "add",
        "--event",
        "*",
        "--url",
        "ftp://shop.example",
        "--secret-out",
        &other,
    ];
    assert!(desk.fails(&never, 2).contains("http"));
    assert_eq!(desk.does(&["webhook", "list"])["webhooks"].as_array().unwrap().len(), 1);

    // Two events that it does not take; then it is disabled, and they are given up.
    desk.tamper("INSERT INTO outbox_events (kind, data) VALUES ('plugin.incident_created', '{}'), ('plugin.incident_created', '{}')")
        .await;
    let tried = |all: &[Value]| all.len() == 2 && all.iter().any(|one| one["attempts"].as_i64() > Some(0));
    desk.until("a failed try", tried).await;
    desk.does(&["webhook", "disable", &hook]);
    let dead = desk.deliveries(&["--dead"]);
    assert_eq!(dead.len(), 2, "{dead:?}");
    let words = String::from_utf8(desk.run(&["webhook", "deliveries", "--dead"]).stdout).unwrap();
    assert!(words.contains("LAST ERROR") && words.contains("disabled"), "{words}");

    // Back again: one by its id, then all that are left.
    status.store(204, Ordering::Relaxed);
    desk.does(&["webhook", "enable", &hook]);
    desk.does(&["webhook", "replay", dead[0]["id"].as_str().unwrap()]);
    let one_taken = |all: &[Value]| all.iter().any(|one| one["status"] == "delivered");
    desk.until("one that was taken", one_taken).await;
    assert_eq!(desk.does(&["webhook", "replay", "--all-of", &hook])["deliveries"], 1);
    let all_taken = |all: &[Value]| all.iter().all(|one| one["status"] == "delivered");
    desk.until("both taken", all_taken).await;
    let hooks = desk.does(&["webhook", "list"])["webhooks"].clone();
    assert_eq!(
        (&hooks[0]["status"], &hooks[0]["success_count"]),
        (&"active".into(), &2.into())
    );

    // What people get wrong.
    let nobody = "00000000-0000-4000-8000-000000000009";
    assert!(
        desk.fails(&["webhook", "replay", nobody], 4)
            .contains("no such delivery")
    );
    assert!(
        desk.fails(&["webhook", "disable", nobody], 4)
            .contains("no such webhook")
    );
    assert!(desk.fails(&["webhook", "replay"], 2).contains("required"));
    assert!(
        desk.fails(&["webhook", "replay", "--all-of", nobody], 4)
            .contains("no such webhook")
    );
    let stranger = Command::new(binaries::program("plugmend").unwrap())
        .args(["webhook", "list", "--api", &desk.control_plane.api_url()])
        .env_remove("PLUGMEND_TOKEN")
        .output()
        .unwrap();
    assert_eq!(
        stranger.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&stranger.stderr)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_decisions_are_replayed_as_were_asked_for_and_whether_there_are_older_ones_is_said() {
    let desk = Desk::open().await;
    let merchant = desk.does(&["merchant", "create", "--name", "Shop"]);
    let decided = format!(
        "WITH plugin AS (
           INSERT INTO merchant_plugins (merchant_id, cms, plugin_version) VALUES ('{}', 'node', '1.0.0')
           RETURNING id, merchant_id)
         INSERT INTO sira_decisions (id, merchant_id, merchant_plugin_id, input, output, source, model_version,
           training_epoch, created_at)
         SELECT gen_random_uuid(), merchant_id, id, '{{}}', '{{}}', 'built_in', 'another', 1, now() - n * interval '1 minute'
         FROM plugin, generate_series(1, 45) n",
        merchant["id"].as_str().unwrap()
    );
    sql::run(desk.control_plane.database_url(), &decided).await.unwrap();
    for (limit, looked_at, more) in [
        ("1", 1, true),
        ("30", 30, true),
        ("40", 40, true),
        ("45", 45, false),
        ("2000", 45, false),
    ] {
        let said = desk.does(&["decide", "replay", "--limit", limit]);
        assert_eq!(
            (&said["not_ours"], &said["more"]),
            (&json!(looked_at), &json!(more)),
            "--limit {limit}"
        );
    }
    let words = desk.run(&["decide", "replay", "--limit", "30"]);
    assert!(String::from_utf8_lossy(&words.stdout).contains("older ones were not looked at"));
    desk.fails(&["decide", "replay", "--limit", "0"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_merchants_wish_is_said_from_the_command_line() {
    let desk = Desk::open().await;
    let id = desk.does(&["merchant", "create", "--name", "Shop"])["id"].clone();
    let id = id.as_str().unwrap();
    let window = [
        "merchant", "window", id, "--from", "22:00", "--to", "05:00", "--days", "1,2",
    ];
    let stands = desk.does(&[&window[..], &["--utc-offset-minutes", "-60"]].concat());
    assert_eq!(stands["maintenance_window"]["utc_offset_minutes"], -60);
    assert_eq!(
        desk.does(&["merchant", "opt-out", id])["maintenance_window"]["days"],
        json!([1, 2])
    );
    assert_eq!(desk.does(&["merchant", "opt-in", id])["autopatch_opt_out"], false);
    desk.does(&["merchant", "window", id, "--any-time"]);
    assert!(desk.does(&["merchant", "show", id])["maintenance_window"].is_null());
    assert_eq!(
        desk.does(&["merchant", "list"])["merchants"].as_array().unwrap().len(),
        1
    );
    let never = ["merchant", "window", id, "--from", "25:00", "--to", "05:00"];
    assert!(desk.fails(&never, 2).contains("HH:MM"));
    assert!(
        desk.fails(&["merchant", "window", id, "--from", "22:00"], 2)
            .contains("--to")
    );
    let nobody = "00000000-0000-4000-8000-000000000009";
    assert!(
        desk.fails(&["merchant", "show", nobody], 4)
            .contains("no such merchant")
    );
}
