//! The release verbs, as people run them: several signers, each on a machine of their own, and rotations.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use plugmend_shared::tuf::{Document, Root, Targets, product, verify};
use serde_json::{Value, json};

/// Keys and a workspace.
struct Engineers {
    home: tempfile::TempDir,
}

const PRODUCT: &str = "demo-pay";

impl Engineers {
    /// Three holders, two of whom must sign everything.
    fn begin() -> Self {
        let this = Self {
            home: tempfile::tempdir().unwrap(),
        };
        for name in ["a", "b", "c", "d", "online"] {
            this.ok(&["keygen", "--out", &this.path(name)]);
        }
        let online = this.public("online")["key"].clone();
        let file = this.path("online.json");
        fs::write(
            &file,
            json!({ "snapshot": [online], "timestamp": [online] }).to_string(),
        )
        .unwrap();
        let mut init = vec![
            "init".to_owned(),
            "--product".into(),
            PRODUCT.into(),
            "--online-keys".into(),
            file,
        ];
        for name in ["a", "b", "c"] {
            for flag in ["--root-key", "--release-key"] {
                init.extend([flag.to_owned(), this.path(&format!("{name}.pub"))]);
            }
        }
        init.extend(["--root-threshold", "2", "--release-threshold", "2"].map(str::to_owned));
        this.ok_in("ws", &init.iter().map(String::as_str).collect::<Vec<_>>());
        this
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    fn public(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(&format!("{name}.pub"))).unwrap()).unwrap()
    }

    fn keyid(&self, name: &str) -> String {
        self.public(name)["keyid"].as_str().unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_plugmend"))
            .args(["--json", "release"])
            .args(arguments)
            .env_remove("PLUGMEND_TOKEN")
            .env("PLUGMEND_API", "http://127.0.0.1:1")
            .current_dir(self.home.path())
            .output()
            .unwrap()
    }

    fn run_in(&self, workspace: &str, arguments: &[&str]) -> Output {
        let (verb, rest) = arguments.split_first().unwrap();
        let mut all = vec![*verb];
        if *verb == "rotate" {
            all.push(rest[0]);
        }
        all.extend(["--workspace", workspace]);
        all.extend(if *verb == "rotate" { &rest[1..] } else { rest });
        self.run(&all)
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> Value {
        said(&self.run(arguments))
    }

    #[track_caller]
    fn ok_in(&self, workspace: &str, arguments: &[&str]) -> Value {
        said(&self.run_in(workspace, arguments))
    }

    #[track_caller]
    fn refused(&self, workspace: &str, arguments: &[&str], code: i32, words: &str) {
        let out = self.run_in(workspace, arguments);
        let err = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(code), "{err}");
        assert!(err.contains(words), "{err}");
    }

    fn folder(&self, files: &[(&str, &str)]) -> String {
        let folder = self.home.path().join("plugin");
        let _ = fs::remove_dir_all(&folder);
        for (path, text) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::write(
            folder.join("plugmend-release.toml"),
            format!("product = \"{PRODUCT}\"\n"),
        )
        .unwrap();
        folder.display().to_string()
    }

    fn copy(&self, from: &str, to: &str) {
        let status = Command::new("cp")
            .args(["-r", &self.path(from), &self.path(to)])
            .status()
            .unwrap();
        assert!(status.success());
    }

    fn staged(&self, role: &str) -> PathBuf {
        self.home.path().join("ws/staged").join(format!("{role}.json"))
    }

    /// What the control plane's answer would make of the staged files.
    fn as_published(&self) {
        for (role, name) in [("root", "1.root"), ("targets", "targets"), (PRODUCT, PRODUCT)] {
            let to = self.home.path().join("ws/metadata").join(format!("{name}.json"));
            fs::rename(self.staged(role), to).unwrap();
        }
    }

    fn complete(&self) -> bool {
        let status = self.ok_in("ws", &["status"]);
        status["staged"]
            .as_array()
            .unwrap()
            .iter()
            .all(|s| s["complete"] == true)
    }
}

#[track_caller]
fn said(out: &Output) -> Value {
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn read<R: plugmend_shared::tuf::Role>(path: &Path, role: &str) -> Document<R> {
    Document::parse(&fs::read(path).unwrap(), role).unwrap()
}

#[test]
fn several_people_sign_on_machines_of_their_own() {
    let people = Engineers::begin();
    let folder = people.folder(&[("index.js", "one"), ("lib/pay.js", "pay")]);
    people.ok_in("ws", &["build", &folder, "--version", "1.0.0"]);
    people.refused("ws", &["publish"], 3, "signatures are missing");
    // Each takes a copy home, signs there, and sends the signed files back.
    for name in ["a", "c"] {
        people.copy("ws", name.to_uppercase().as_str());
        people.ok_in(&name.to_uppercase(), &["sign", "--key", name]);
        assert!(!people.complete());
        let files = ["root", "targets", PRODUCT].map(|role| format!("{}/staged/{role}.json", name.to_uppercase()));
        let files: Vec<&str> = std::iter::once("collect")
            .chain(files.iter().map(String::as_str))
            .collect();
        assert_eq!(people.ok_in("ws", &files)["taken"], 3);
        assert_eq!(people.ok_in("ws", &files)["taken"], 0, "twice");
    }
    assert!(people.complete());
    let targets = read::<Targets>(&people.staged("targets"), "targets");
    let role = read::<Targets>(&people.staged(PRODUCT), PRODUCT);
    let signers = targets.signed.delegations.as_ref().unwrap().signers(PRODUCT).unwrap();
    verify::threshold(&role.envelope, signers, PRODUCT).unwrap();
    let releases = product::releases(&PRODUCT.parse().unwrap(), &role.signed).unwrap();
    assert_eq!(releases.len(), 1);
    // Nobody is there to publish to: nothing is lost.
    people.refused("ws", &["publish"], 69, "can not be reached");
    assert!(people.complete());
}

#[test]
fn a_strangers_key_signs_nothing() {
    let people = Engineers::begin();
    people.refused("ws", &["sign", "--key", "d"], 3, "may not sign");
    people.copy("ws", "elsewhere");
    let mut copy: Value =
        serde_json::from_slice(&fs::read(people.path("elsewhere/staged/targets.json")).unwrap()).unwrap();
    copy["signatures"] = json!([{ "keyid": people.keyid("a"), "sig": "00".repeat(64) }]);
    fs::write(people.path("forged.json"), copy.to_string()).unwrap();
    people.refused("ws", &["collect", "forged.json"], 1, "forged.json");
    copy["signed"]["version"] = json!(7);
    fs::write(people.path("other.json"), copy.to_string()).unwrap();
    people.refused(
        "ws",
        &["collect", "other.json"],
        1,
        "not a copy of anything that is staged",
    );
}

#[test]
fn nobody_signs_for_files_that_were_changed() {
    let people = Engineers::begin();
    let folder = people.folder(&[("index.js", "one")]);
    people.ok_in("ws", &["build", &folder, "--version", "1.0.0"]);
    let pack = people.path(&format!("ws/targets/{PRODUCT}/1.0.0/pack"));
    let mut bytes = fs::read(&pack).unwrap();
    bytes[3] ^= 1;
    fs::write(&pack, bytes).unwrap();
    people.refused("ws", &["sign", "--key", "a"], 1, "can not be checked");
}

#[test]
fn a_tampered_workspace_deceives_no_signer() {
    let people = Engineers::begin();
    let folder = people.folder(&[("index.js", "one")]);
    people.ok_in("ws", &["build", &folder, "--version", "1.0.0"]);
    for name in ["a", "b"] {
        people.ok_in("ws", &["sign", "--key", name]);
    }
    people.as_published();
    // Somebody adds a release, and makes it look as if it had been published.
    let folder = people.folder(&[("index.js", "evil")]);
    people.ok_in("ws", &["build", &folder, "--version", "2.0.0"]);
    let published = people.path(&format!("ws/metadata/{PRODUCT}.json"));
    let honest = fs::read(&published).unwrap();
    fs::copy(people.staged(PRODUCT), &published).unwrap();
    let said = people.ok_in("ws", &["sign", "--key", "a"]).to_string();
    assert!(
        said.contains("NOT signed by those who may") && said.contains("releases 2.0.0"),
        "{said}"
    );
    // A lower minimum and a release that is gone are no smaller news.
    fs::write(&published, honest).unwrap();
    people.ok_in("ws", &["minimum", "2.0.0"]);
    let said = people.ok_in("ws", &["sign", "--key", "b"]).to_string();
    assert!(
        said.contains("lowest version that may be installed: 2.0.0 (it was none)"),
        "{said}"
    );
    // Nor does a repository of somebody's own pass for the one that the key has signed under.
    let others = Engineers::begin();
    others.as_published();
    fs::copy(
        others.path("ws/metadata/1.root.json"),
        people.path("ws/metadata/1.root.json"),
    )
    .unwrap();
    people.refused("ws", &["sign", "--key", "a"], 3, "begins with the root");
}

#[test]
fn the_same_folder_gives_the_same_bytes() {
    let people = Engineers::begin();
    let folder = people.folder(&[("index.js", "one"), ("b.js", &"two ".repeat(40_000))]);
    let first = people.ok_in("ws", &["build", &folder, "--version", "1.0.0"]);
    let pack = people.path(&format!("ws/targets/{PRODUCT}/1.0.0/pack"));
    let bytes = fs::read(&pack).unwrap();
    let again = people.ok_in("ws", &["build", &folder, "--version", "1.0.0"]);
    assert_eq!(first["digest"], again["digest"]);
    assert_eq!(bytes, fs::read(&pack).unwrap());
}

#[test]
fn a_published_version_is_never_reused_and_the_next_one_comes_with_a_delta() {
    let people = Engineers::begin();
    let folder = people.folder(&[("index.js", "one")]);
    people.ok_in("ws", &["build", &folder, "--version", "1.0.0"]);
    for key in ["a", "b"] {
        people.ok_in("ws", &["sign", "--key", key]);
    }
    people.as_published();
    let folder = people.folder(&[("index.js", "another")]);
    people.refused("ws", &["build", &folder, "--version", "1.0.0"], 1, "never reused");
    let built = people.ok_in("ws", &["build", &folder, "--version", "1.0.1"]);
    assert_eq!(built["deltas"][0]["from"], "1.0.0");
    let size = people.ok_in("ws", &["size", "1.0.0", "1.0.1"]);
    assert!(size["delta_bytes"].as_u64().unwrap() < 300, "{size}");
    people.ok_in("ws", &["revoke", "1.0.0", "--reason", "it loses orders"]);
    let list = &people.ok_in("ws", &["list"])["releases"];
    assert_eq!(
        (&list[0]["state"], &list[1]["state"]),
        (&json!("revocation staged"), &json!("staged"))
    );
    people.ok_in("ws", &["minimum", "1.0.1"]);
    people.refused("ws", &["minimum", "1.0.0"], 1, "--lower");
}

#[test]
fn a_root_is_rotated_by_the_old_and_the_new_holders() {
    let people = Engineers::begin();
    for key in ["a", "b"] {
        people.ok_in("ws", &["sign", "--key", key]);
    }
    people.as_published();
    people.ok_in(
        "ws",
        &["rotate", "root", "--add", "d.pub", "--remove", &people.keyid("a")],
    );
    people.ok_in("ws", &["sign", "--key", "d"]);
    people.ok_in("ws", &["sign", "--key", "b"]);
    assert!(!people.complete(), "one of the old holders is missing");
    people.ok_in("ws", &["sign", "--key", "a"]);
    assert!(people.complete());
    let old = read::<Root>(&people.home.path().join("ws/metadata/1.root.json"), "root");
    let new = read::<Root>(&people.staged("root"), "root");
    assert_eq!(new.version(), 2);
    for signers in [&old.signed, &new.signed] {
        verify::threshold(&new.envelope, signers.signers("root").unwrap(), "root").unwrap();
    }
}

#[test]
fn after_a_rotation_of_release_keys_the_product_is_signed_anew() {
    let people = Engineers::begin();
    for key in ["a", "b"] {
        people.ok_in("ws", &["sign", "--key", key]);
    }
    people.as_published();
    people.ok_in(
        "ws",
        &[
            "rotate",
            "product",
            "--add",
            "d.pub",
            "--remove",
            &people.keyid("a"),
            "--threshold",
            "3",
        ],
    );
    for key in ["b", "c"] {
        people.ok_in("ws", &["sign", "--key", key]);
    }
    assert!(!people.complete());
    people.ok_in("ws", &["sign", "--key", "d"]);
    assert!(people.complete());
    people.refused(
        "ws",
        &["rotate", "product", "--threshold", "9"],
        1,
        "can not give 9 signatures",
    );
}

#[test]
fn a_threshold_that_nobody_can_reach_and_an_online_key_offline_are_refused() {
    let people = Engineers::begin();
    let init = [
        "init",
        "--product",
        PRODUCT,
        "--online-keys",
        "online.json",
        "--root-key",
        "a.pub",
    ];
    let unreachable = [&init[..], &["--release-key", "b.pub", "--release-threshold", "2"]].concat();
    people.refused("ws2", &unreachable, 1, "can not give 2 signatures");
    people.refused("ws2", &["status"], 1, "not a release workspace");
    let captured = [&init[..], &["--release-key", "online.pub"]].concat();
    people.refused("ws3", &captured, 1, "online key");
    people.refused("nowhere", &["status"], 1, "not a release workspace");
}
