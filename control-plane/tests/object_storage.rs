//! The release repository in object storage, and a control plane that is killed at every step of publishing to it.
#![cfg(feature = "object-storage")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

mod support;

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use plugmend_control_plane::repo::OnlineKeys;
use plugmend_shared::{
    clock::{Clock as _, SystemClock},
    ids::Digest,
    tuf::{product, trusted::TrustedSet},
};
use ring::rand::SystemRandom;
use serde_json::{Value, json};
use support::{
    database::TestDatabase,
    http::HttpClient,
    releases::{Built, Engineers, PRODUCT, build},
    s3::S3,
};

/// A control plane's process over the bucket.
struct Process {
    child: Child,
    client: HttpClient,
    token: String,
}

fn command(state: &Path, database: &TestDatabase, s3: SocketAddr, port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plugmend-control-plane"));
    command
        .env_clear()
        .env("DATABASE_URL", &database.url)
        .env("PLUGMEND_STATE_DIR", state)
        .env("PLUGMEND_API_BIND", "127.0.0.1")
        .env("PORT", port.to_string())
        .env("PLUGMEND_REPO_URL", "s3://bucket/shop/releases")
        .env("AWS_ENDPOINT", format!("http://{s3}"))
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .stderr(Stdio::null())
        .arg("--dev");
    command
}

impl Process {
    async fn start(state: &Path, database: &TestDatabase, s3: SocketAddr) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let command = || command(state, database, s3, address.port());
        let token = command().arg("dev-token").output().unwrap();
        let token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
        let child = command()
            .args(["serve", "--migrate", "--roles", "api"])
            .spawn()
            .unwrap();
        support::eventually("the API", || async {
            tokio::net::TcpStream::connect(address).await.ok().map(drop)
        })
        .await;
        Self {
            child,
            client: HttpClient::new(address),
            token,
        }
    }

    async fn upload(&self, built: &Built) {
        for file in &built.files {
            let path = format!("/api/ops/releases/blobs/{}", Digest::of(file));
            self.client
                .send("PUT", &path, &self.token, file.clone())
                .await
                .expect(201);
        }
    }

    async fn publish(&self, submission: &Value) -> Value {
        let body = submission.to_string();
        self.client
            .send("POST", "/api/ops/releases/publish", &self.token, body)
            .await
            .expect(200)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Fetches everything as an agent does; the versions that it could install.
fn as_an_agent(s3: &S3) -> Vec<String> {
    let fetch = |path: &str| s3.object(&format!("shop/releases/{path}"));
    let need = |path: &str| fetch(path).unwrap_or_else(|| panic!("{path} is missing"));
    let mut trusted = TrustedSet::new(&need("metadata/1.root.json"), SystemClock.now()).unwrap();
    trusted.update_timestamp(&need("metadata/timestamp.json")).unwrap();
    let version = trusted.timestamp().unwrap().snapshot().unwrap().version;
    trusted
        .update_snapshot(&need(&format!("metadata/{version}.snapshot.json")))
        .unwrap();
    for (role, delegator) in [("targets", "root"), (PRODUCT, "targets")] {
        let version = trusted.promised(role).unwrap().version;
        trusted
            .update_targets(role, delegator, &need(&format!("metadata/{version}.{role}.json")))
            .unwrap();
    }
    let targets = trusted.targets(PRODUCT, "targets").unwrap();
    let releases = product::releases(&Engineers::product(), targets).unwrap();
    for release in &releases {
        for target in [&release.manifest, &release.pack] {
            let (folder, name) = target.path.rsplit_once('/').unwrap();
            let sha256 = target.file.hashes.sha256().unwrap();
            let bytes = need(&format!("targets/{folder}/{sha256}.{name}"));
            target.file.check(&bytes).unwrap();
        }
    }
    releases.iter().map(|release| release.version.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_that_is_killed_anywhere_leaves_agents_whole_and_can_be_repeated() {
    let (s3, address) = S3::start().await;
    let database = TestDatabase::migrated().await;
    let state = tempfile::tempdir().unwrap();
    let keys = state.path().join("repository-keys");
    let keys = OnlineKeys::load_or_make(&keys, &SystemRandom::new()).unwrap();
    let mut engineers = Engineers::new(keys.public(), SystemClock.now());
    let first = build("1.0.0", &[("index.js", "one")]);
    engineers.add(&first);
    let process = Process::start(state.path(), &database, address).await;
    process.upload(&first).await;
    process.publish(&engineers.submission()).await;
    drop(process);
    assert_eq!(as_an_agent(&s3), ["1.0.0"]);

    let mut published = 1;
    for step in 1..=20_u32 {
        let version = format!("1.{step}.0");
        let built = build(&version, &[("index.js", &version)]);
        engineers.next();
        engineers.add(&built);
        let submission = engineers.submission();
        let process = Process::start(state.path(), &database, address).await;
        process.upload(&built).await;
        let pid = rustix::process::Pid::from_child(&process.child);
        s3.after_each_change(move |change| {
            if change == step {
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            }
        });
        let answered = tokio::time::timeout(std::time::Duration::from_mins(1), async {
            let body = submission.to_string();
            process
                .client
                .try_send("POST", "/api/ops/releases/publish", &process.token, body)
                .await
        })
        .await
        .expect("an answer or an end");
        let changes = s3.changes();
        s3.leave_alone();
        drop(process);
        // Whole, whether it has come to the new release or not.
        let seen = as_an_agent(&s3);
        assert!(
            seen.len() == published || seen.len() == published + 1,
            "step {step}: {seen:?}"
        );

        let process = Process::start(state.path(), &database, address).await;
        process.publish(&submission).await;
        published += 1;
        assert_eq!(as_an_agent(&s3).len(), published, "step {step}");
        let listed = process
            .client
            .send("GET", "/api/ops/releases", &process.token, "")
            .await
            .expect(200);
        assert_eq!(listed["releases"].as_array().unwrap().len(), published, "step {step}");
        if answered {
            assert!(changes < step && step > 6, "only {changes} steps in {step}");
            return;
        }
    }
    panic!("a publication takes more than 20 steps");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_replicas_that_publish_to_one_bucket_do_not_overwrite_each_other() {
    let (s3, address) = S3::start().await;
    let database = TestDatabase::migrated().await;
    let state = tempfile::tempdir().unwrap();
    let keys = OnlineKeys::load_or_make(&state.path().join("repository-keys"), &SystemRandom::new()).unwrap();
    let mut engineers = Engineers::new(keys.public(), SystemClock.now());
    let first = build("1.0.0", &[("index.js", "one")]);
    engineers.add(&first);
    let replicas = [
        Process::start(state.path(), &database, address).await,
        Process::start(state.path(), &database, address).await,
        Process::start(state.path(), &database, address).await,
    ];
    replicas[0].upload(&first).await;
    let submission = engineers.submission();
    let together = replicas.iter().map(|replica| replica.publish(&submission));
    let answers = futures_util::future::join_all(together).await;
    let changed = answers.iter().filter(|answer| answer["changed"] == json!(true)).count();
    assert_eq!(changed, 1, "{answers:?}");
    assert_eq!(as_an_agent(&s3), ["1.0.0"]);
}
