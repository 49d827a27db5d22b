//! A kill -9 or a full disk inside every file operation of the metadata store: what is stored is wholly the old or wholly
//! the new, the floor never sinks, and the next start goes on.
#![cfg(feature = "failpoints")]
#![allow(clippy::unwrap_used, reason = "test helpers: a panic is the report")]

#[path = "../../shared/tests/tuf_fixture/mod.rs"]
mod fixture;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::{Arc, Mutex},
    thread,
};

use fixture::{PRODUCT, Repo, keys};
use jiff::SignedDuration;
use plugmend_shared::clock::{Clock as _, SystemClock};

const STEPS: [&str; 5] = ["write", "sync", "rename", "sync_folder", "remove"];
const KILL: i32 = 9;

/// Serves whatever the repository has published, as long as the test runs.
struct Server {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    address: SocketAddr,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let files: Arc<Mutex<BTreeMap<String, Vec<u8>>>> = Arc::default();
        let served = files.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                let path = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
                let found = served.lock().unwrap().get(path).cloned();
                let status = if found.is_some() { "200 OK" } else { "404 Not Found" };
                let body = found.unwrap_or_default();
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                // A client that was killed hangs up early.
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            }
        });
        Self { files, address }
    }

    fn publish(&self, repo: &Repo) {
        self.files.lock().unwrap().clone_from(&repo.files);
    }
}

/// The fixture lives in 2030; the command reads the real clock.
fn repo_of_today() -> Repo {
    let mut repo = Repo::new();
    let expires = SystemClock.now() + SignedDuration::from_hours(48);
    repo.root.head.expires = expires;
    repo.timestamp.head.expires = expires;
    repo.snapshot.head.expires = expires;
    repo.targets.head.expires = expires;
    repo.product_role().head.expires = expires;
    repo.publish_root();
    repo.publish_all();
    repo
}

struct Host {
    home: tempfile::TempDir,
    address: SocketAddr,
}

impl Host {
    /// A host that trusts `repo`, refreshed once.
    fn new(server: &Server, repo: &Repo) -> Self {
        let host = Self {
            home: tempfile::tempdir().unwrap(),
            address: server.address,
        };
        let root = host.home.path().join("given-root.json");
        fs::write(&root, repo.bytes("root", 1)).unwrap();
        server.publish(repo);
        let init = host.command().arg("init").arg(&root).status().unwrap();
        assert!(init.success());
        assert!(host.download(None).success());
        host
    }

    fn metadata(&self) -> PathBuf {
        self.home.path().join("metadata")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tuf-client"));
        command.arg("--metadata-dir").arg(self.metadata());
        command
    }

    /// Refreshes, the product's role included.
    fn download(&self, fault: Option<String>) -> ExitStatus {
        let mut command = self.command();
        if let Some(fault) = fault {
            command.env("PLUGMEND_FAULT", fault);
        }
        command
            .arg("--metadata-url")
            .arg(format!("http://{}/metadata", self.address))
            .arg("--target-base-url")
            .arg(format!("http://{}/targets", self.address))
            .arg("--target-dir")
            .arg(self.home.path())
            .args(["--target-name", "shop-plugin/1.0.0/pack", "download"])
            .status()
            .unwrap()
    }

    /// The stored roles' files by name; half-written ones stand beside them under other names.
    fn stored(&self) -> BTreeMap<String, Vec<u8>> {
        fs::read_dir(self.metadata())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "json"))
            .map(|path| (stem(&path), fs::read(&path).unwrap()))
            .collect()
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// The repository at its first publication, and after everything changed, online keys included.
fn before_and_after() -> (Repo, Repo) {
    let before = repo_of_today();
    let mut after = before.clone();
    after.root.set_role("snapshot", &keys(&["snapshot-new"]), 1).unwrap();
    after.sign_with("snapshot", &["snapshot-new"]);
    after.next_root();
    after.next();
    (before, after)
}

fn assert_wholly_old_or_new(host: &Host, before: &Repo, after: &Repo) {
    for (role, bytes) in host.stored() {
        assert!(
            bytes == before.bytes(&role, 1) || bytes == after.bytes(&role, 2),
            "{role} is neither"
        );
    }
}

#[test]
fn a_kill_at_any_step_leaves_whole_files_and_the_floor() {
    let (before, after) = before_and_after();
    let server = Server::start();
    for step in STEPS {
        let mut kills = 0;
        for nth in 1..=20 {
            let host = Host::new(&server, &before);
            server.publish(&after);
            let ended = host.download(Some(format!("metadata.{step}#{nth}=kill")));
            assert_wholly_old_or_new(&host, &before, &after);
            if ended.signal() != Some(KILL) {
                assert!(ended.success());
                break;
            }
            kills += 1;
            // Old metadata are refused as soon as a newer timestamp was stored.
            let raised = host
                .stored()
                .get("timestamp")
                .is_some_and(|b| b == after.bytes("timestamp", 0));
            server.publish(&before);
            assert!(
                !(raised && host.download(None).success()),
                "{step} #{nth}: the floor sank"
            );
            server.publish(&after);
            assert!(host.download(None).success(), "{step} #{nth}: the next start goes on");
            assert_eq!(host.stored()[PRODUCT], after.bytes(PRODUCT, 2));
        }
        assert!(kills >= 2, "{step} was reached {kills} times");
    }
}

#[test]
fn a_full_disk_at_any_step_is_a_refusal_and_heals() {
    let (before, after) = before_and_after();
    let server = Server::start();
    for step in STEPS {
        for nth in 1..=20 {
            let host = Host::new(&server, &before);
            server.publish(&after);
            let ended = host.download(Some(format!("metadata.{step}#{nth}=enospc")));
            assert_wholly_old_or_new(&host, &before, &after);
            if ended.success() {
                break;
            }
            assert_eq!(ended.code(), Some(1), "{step} #{nth}");
            // Space returns.
            assert!(host.download(None).success(), "{step} #{nth}");
            assert_eq!(host.stored()[PRODUCT], after.bytes(PRODUCT, 2));
        }
    }
}
