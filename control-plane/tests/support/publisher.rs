//! A control plane's process that publishes releases, and an agent's look at what it published.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use plugmend_shared::{
    clock::{Clock as _, SystemClock},
    ids::Digest,
    tuf::{product, trusted::TrustedSet},
};
use serde_json::Value;

use super::{
    database::TestDatabase,
    http::HttpClient,
    releases::{Built, Engineers, PRODUCT},
};

/// A control plane's process.
pub struct Process {
    pub child: Child,
    pub client: HttpClient,
    pub token: String,
}

/// More of its environment.
pub type Environment = Vec<(&'static str, String)>;

fn command(state: &Path, database: &TestDatabase, more: &Environment, port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plugmend-control-plane"));
    command
        .env_clear()
        .env("DATABASE_URL", &database.url)
        .env("PLUGMEND_STATE_DIR", state)
        .env("PLUGMEND_API_BIND", "127.0.0.1")
        .env("PORT", port.to_string())
        .envs(more.iter().map(|(name, value)| (name, value)))
        .stderr(Stdio::null())
        .arg("--dev");
    command
}

impl Process {
    pub async fn start(state: &Path, database: &TestDatabase, more: &Environment) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let command = || command(state, database, more, address.port());
        let token = command().arg("dev-token").output().unwrap();
        let token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
        let child = command()
            .args(["serve", "--migrate", "--roles", "api"])
            .spawn()
            .unwrap();
        super::eventually("the API", || async {
            tokio::net::TcpStream::connect(address).await.ok().map(drop)
        })
        .await;
        Self {
            child,
            client: HttpClient::new(address),
            token,
        }
    }

    pub async fn upload(&self, built: &Built) {
        for file in &built.files {
            let path = format!("/api/ops/releases/blobs/{}", Digest::of(file));
            self.client
                .send("PUT", &path, &self.token, file.clone())
                .await
                .expect(201);
        }
    }

    pub async fn publish(&self, submission: &Value) -> Value {
        let body = submission.to_string();
        self.client
            .send("POST", "/api/ops/releases/publish", &self.token, body)
            .await
            .expect(200)
    }

    /// Publishes; whether there was an answer before the process ended.
    pub async fn try_publish(&self, submission: &Value) -> bool {
        let (path, body) = ("/api/ops/releases/publish", submission.to_string());
        let answer = self.client.try_send("POST", path, &self.token, body);
        tokio::time::timeout(std::time::Duration::from_mins(1), answer)
            .await
            .expect("an answer or an end")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Fetches everything as an agent does; the versions that it could install.
///
/// # Panics
/// When anything is missing or not what was signed.
pub fn as_an_agent(fetch: impl Fn(&str) -> Option<Vec<u8>>) -> Vec<String> {
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
        for target in [&release.manifest, &release.pack].into_iter().chain(&release.blocks) {
            let (folder, name) = target.path.rsplit_once('/').unwrap();
            let sha256 = target.file.hashes.sha256().unwrap();
            let bytes = need(&format!("targets/{folder}/{sha256}.{name}"));
            target.file.check(&bytes).unwrap();
        }
    }
    releases.iter().map(|release| release.version.to_string()).collect()
}
