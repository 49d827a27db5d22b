//! The real program, alone on its host: no control plane answers.

#![allow(clippy::unwrap_used, reason = "test helpers: a panic is the report")]

use std::{
    fs,
    io::Write as _,
    os::unix::{
        fs::PermissionsExt as _,
        net::{UnixDatagram, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use plugmend_agent::{
    store::{Kept, Order},
    upstream::identity_store::{IdentityStore, KeyPem, StoredIdentity},
};
use plugmend_shared::{
    clock::{Clock as _, SystemClock},
    ids::CommandId,
    protocol::command::{CommandKind, CommandPayload},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_mins(1);

struct Host {
    dir: tempfile::TempDir,
    running: Option<Child>,
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let plugin = dir.path().join("shop/plugins/pay");
        fs::create_dir_all(&plugin).unwrap();
        fs::create_dir(dir.path().join("spool")).unwrap();
        fs::write(plugin.join("package.json"), r#"{"name":"pay","version":"1.0.0"}"#).unwrap();
        let this = Self { dir, running: None };
        let top = this.path("").display().to_string();
        let config = format!(
            r#"
state_dir = "{top}state"
[control_plane]
url = "https://127.0.0.1:1"
ca_sha256 = "{zeros}"
[plugin]
product = "pay"
cms = "node"
path = "{top}shop/plugins/pay"
layout = "exchange"
[trust]
root_sha256 = "{zeros}"
[telemetry]
socket = "{top}agent.sock"
spool_dir = "{top}spool"
heartbeat_interval_s = 1
"#,
            zeros = "0".repeat(64)
        );
        fs::write(this.path("agent.toml"), config).unwrap();
        this
    }

    /// With an identity whose CA nobody else has.
    fn enrolled() -> Self {
        let this = Self::new();
        let state = this.path("state");
        fs::create_dir(&state).unwrap();
        fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
        let own = rcgen::generate_simple_self_signed(vec!["agent".to_owned()]).unwrap();
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let identity = StoredIdentity {
            merchant_id: "0198c0de-0000-7000-8000-000000000001".parse().unwrap(),
            plugin_id: "0198c0de-0000-7000-8000-000000000002".parse().unwrap(),
            key_pem: KeyPem::new(own.signing_key.serialize_pem()),
            certificate_pem: own.cert.pem(),
            ca_pem: own.cert.pem(),
            renewals: 0,
            not_after: now + SignedDuration::from_hours(24 * 30_000),
            renew_after: now + SignedDuration::from_hours(24 * 20_000),
            received_at: now,
            server_time: now,
        };
        IdentityStore::open(&state).unwrap().adopt(&identity).unwrap();
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plugmend-agent"));
        command
            .env_clear()
            .arg("--config")
            .arg(self.path("agent.toml"))
            .args(words);
        command
    }

    fn says(&self, words: &[&str]) -> (i32, Output) {
        let output = self.command(words).output().unwrap();
        (output.status.code().unwrap(), output)
    }

    fn start(&mut self) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        let child = self
            .command(&["run"])
            .stderr(log)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.running = Some(child);
        self.until(|status| status["running"] == true);
    }

    fn status(&self) -> Value {
        let (_, output) = self.says(&["--json", "status"]);
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn until(&self, what: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if what(&status) {
                return status;
            }
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(Instant::now() < until, "{status:#}\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn end(&mut self, signal: Signal) -> Option<i32> {
        let mut child = self.running.take().unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        child.wait().unwrap().code()
    }
}

fn windows(status: &Value) -> u64 {
    status
        .pointer("/telemetry/spooled_windows")
        .and_then(Value::as_u64)
        .unwrap_or(0)
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn a_bad_configuration_has_an_exit_code_of_its_own_and_opens_nothing() {
    let host = Host::new();
    let text = fs::read_to_string(host.path("agent.toml")).unwrap();
    fs::write(host.path("agent.toml"), text.replace("https", "http")).unwrap();
    for verb in [&["run"][..], &["status"], &["rollback"], &["verify"], &["doctor"]] {
        let (code, output) = host.says(verb);
        assert_eq!(code, 3);
        assert!(said(&output).contains("control_plane.url"), "{}", said(&output));
    }
    assert!(!host.path("state").exists());
    assert_eq!(host.says(&["--json", "run"]).0, 3);
    assert_eq!(host.says(&["dance"]).0, 2);
}

#[test]
fn an_agent_that_is_not_enrolled_says_what_to_do() {
    let host = Host::new();
    let (code, output) = host.says(&["status"]);
    assert_eq!(code, 4);
    assert!(said(&output).contains("plugmend-agent enrol"), "{}", said(&output));
    fs::create_dir(host.path("state")).unwrap();
    assert_eq!(host.says(&["run"]).0, 4);
    fs::write(host.path("token"), "not a token").unwrap();
    let token = host.path("token").display().to_string();
    let (code, output) = host.says(&["enrol", "--token-file", &token]);
    assert_eq!(code, 1);
    assert!(said(&output).contains("pmt_"), "{}", said(&output));
    // Without an identity one can still look and go back.
    assert_eq!(host.says(&["verify"]).0, 0);
    assert!(said(&host.says(&["rollback"]).1).contains("nothing_before"));
    assert_eq!(host.says(&["doctor"]).0, 5);
}

#[test]
fn offline_it_keeps_what_the_plugin_says_through_kills_and_stops_when_asked() {
    let mut host = Host::enrolled();
    host.start();
    let mut stream = UnixStream::connect(host.path("agent.sock")).unwrap();
    stream
        .write_all(b"{\"type\":\"hello\",\"version\":\"1.0.0\"}\n{\"type\":\"error\",\"message\":\"no gateway\"}\n")
        .unwrap();
    let datagrams = UnixDatagram::unbound().unwrap();
    datagrams
        .send_to(b"requests:7|c", host.path("agent.sock.dgram"))
        .unwrap();
    let status = host.until(|status| status.pointer("/telemetry/requests") == Some(&7.into()) && windows(status) >= 2);
    assert_eq!(status["standing"]["state"], "offline");
    assert_eq!(status["telemetry"]["last_error"], "no gateway");
    assert_eq!(status["engine"]["installed"]["version"], "1.0.0");

    let before = windows(&host.status());
    assert_eq!(host.end(Signal::KILL), None);
    assert_eq!(host.status()["running"], false);
    host.start();
    let after = host.until(|status| windows(status) > before);
    assert_eq!(after["standing"]["state"], "offline");

    assert_eq!(host.says(&["verify"]).0, 0);
    let (code, output) = host.says(&["rollback"]);
    assert_eq!(code, 1);
    assert!(said(&output).contains("nothing_before"), "{}", said(&output));
    assert_eq!(host.says(&["doctor"]).0, 5, "offline is found");

    assert_eq!(host.end(Signal::TERM), Some(0));
    assert!(!host.path("agent.sock").exists());
}

#[test]
fn a_store_that_can_not_be_opened_keeps_no_agent_from_its_plugin() {
    let mut host = Host::enrolled();
    // A link to nowhere: sled can make no folder there, as on a full disk, and moving it aside would not help.
    std::os::unix::fs::symlink(host.path("gone/kept"), host.path("state/kept")).unwrap();
    host.start();
    host.until(|status| status["troubles"]["store"].is_string());
    let (code, output) = host.says(&["rollback"]);
    assert_eq!(code, 1);
    assert!(said(&output).contains("nothing_before"), "{}", said(&output));
    // Once it can be made, everything works as ever.
    fs::create_dir_all(host.path("gone/kept")).unwrap();
    host.until(|status| windows(status) >= 1 && status["troubles"]["store"].is_null());
    assert_eq!(host.end(Signal::TERM), Some(0));
}

#[test]
fn a_way_back_that_waits_for_a_restart_is_not_said_to_have_taken_it_back() {
    let mut host = Host::enrolled();
    let text = fs::read_to_string(host.path("agent.toml")).unwrap();
    let hook = format!(
        "[hooks]\nreload = [\"/bin/sh\", \"-c\", \"touch $0; sleep 2\", \"{}\"]\n",
        host.path("reloading").display()
    );
    fs::write(host.path("agent.toml"), text + &hook).unwrap();
    let order = Order {
        command: plugmend_shared::protocol::command::Command {
            id: CommandId(uuid::Uuid::from_u128(1)),
            kind: CommandKind::Restart,
            payload: CommandPayload::default(),
        },
        received_at: SystemClock.now(),
        taken: None,
    };
    let kept = Kept::open(&host.path("state/kept")).unwrap().kept;
    kept.take_order(&order).unwrap();
    drop(kept);
    host.start();
    host.until(|_| host.path("reloading").exists());
    let (code, output) = host.says(&["rollback"]);
    assert_eq!(code, 1, "{}", said(&output));
    assert!(said(&output).contains("nothing_before"), "{}", said(&output));
}

#[test]
fn a_way_back_by_hand_needs_neither_a_sound_identity_nor_the_root_s_file() {
    let host = Host::enrolled();
    let identity = host.path("state/identity/identity.json");
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o644)).unwrap();
    let text = fs::read_to_string(host.path("agent.toml")).unwrap();
    let zeros = format!("root_sha256 = \"{}\"", "0".repeat(64));
    assert!(text.contains(&zeros));
    let missing = format!("root_file = \"{}\"", host.path("gone.json").display());
    fs::write(host.path("agent.toml"), text.replace(&zeros, &missing)).unwrap();
    fs::create_dir(host.path("state/trusted")).unwrap();
    fs::write(host.path("state/trusted/root.json"), "{}").unwrap();
    for spoil in [|_: &Path| {}, |identity: &Path| fs::write(identity, "{").unwrap()] {
        spoil(&identity);
        let (_, output) = host.says(&["rollback"]);
        assert!(said(&output).contains("nothing_before"), "{}", said(&output));
        assert_eq!(host.says(&["run"]).0, 1, "to run it needs them");
    }
}

#[test]
fn a_second_agent_on_the_same_plugin_is_refused() {
    let mut host = Host::enrolled();
    host.start();
    let (code, output) = host.says(&["run"]);
    assert_eq!(code, 6, "{}", said(&output));
    host.until(|status| status["running"] == true);

    // Another state directory does not help.
    let text = fs::read_to_string(host.path("agent.toml")).unwrap();
    let other = text
        .replace("/state\"", "/state2\"")
        .replace("agent.sock", "other.sock");
    fs::write(host.path("other.toml"), other).unwrap();
    copy(&host.path("state/identity"), &host.path("state2/identity"));
    fs::set_permissions(host.path("state2"), fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_plugmend-agent"));
    let output = command
        .arg("--config")
        .arg(host.path("other.toml"))
        .arg("run")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", said(&output));
}

#[test]
fn the_state_directory_is_closed_to_others() {
    let mut host = Host::enrolled();
    fs::set_permissions(host.path("state"), fs::Permissions::from_mode(0o755)).unwrap();
    host.start();
    let mode = fs::metadata(host.path("state")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
}
