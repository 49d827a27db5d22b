//! The release repository in object storage, and a control plane that is killed at every step of publishing to it.
#![cfg(feature = "object-storage")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

mod support;

use std::net::SocketAddr;

use plugmend_control_plane::repo::OnlineKeys;
use plugmend_shared::clock::{Clock as _, SystemClock};
use ring::rand::SystemRandom;
use serde_json::json;
use support::{
    database::TestDatabase,
    publisher::{Environment, Process, as_an_agent},
    releases::{Engineers, build},
    s3::S3,
};

fn bucket(s3: SocketAddr) -> Environment {
    vec![
        ("PLUGMEND_REPO_URL", "s3://bucket/shop/releases".to_owned()),
        ("AWS_ENDPOINT", format!("http://{s3}")),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "key".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
    ]
}

fn look(s3: &S3) -> Vec<String> {
    as_an_agent(|path| Some(s3.object(&format!("shop/releases/{path}"))?.to_vec()))
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
    let process = Process::start(state.path(), &database, &bucket(address)).await;
    process.upload(&first).await;
    process.publish(&engineers.submission()).await;
    drop(process);
    assert_eq!(look(&s3), ["1.0.0"]);

    let mut published = 1;
    for step in 1..=20_u32 {
        let version = format!("1.{step}.0");
        let built = build(&version, &[("index.js", &version)]);
        engineers.next();
        engineers.add(&built);
        let submission = engineers.submission();
        let process = Process::start(state.path(), &database, &bucket(address)).await;
        process.upload(&built).await;
        let pid = rustix::process::Pid::from_child(&process.child);
        s3.after_each_change(move |change| {
            if change == step {
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            }
        });
        let answered = process.try_publish(&submission).await;
        let changes = s3.changes();
        s3.leave_alone();
        drop(process);
        // Whole, whether it has come to the new release or not.
        let seen = look(&s3);
        assert!(
            seen.len() == published || seen.len() == published + 1,
            "step {step}: {seen:?}"
        );

        let process = Process::start(state.path(), &database, &bucket(address)).await;
        process.publish(&submission).await;
        published += 1;
        assert_eq!(look(&s3).len(), published, "step {step}");
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
        Process::start(state.path(), &database, &bucket(address)).await,
        Process::start(state.path(), &database, &bucket(address)).await,
        Process::start(state.path(), &database, &bucket(address)).await,
    ];
    replicas[0].upload(&first).await;
    let submission = engineers.submission();
    let together = replicas.iter().map(|replica| replica.publish(&submission));
    let answers = futures_util::future::join_all(together).await;
    let changed = answers.iter().filter(|answer| answer["changed"] == json!(true)).count();
    assert_eq!(changed, 1, "{answers:?}");
    assert_eq!(look(&s3), ["1.0.0"]);
}

/// Two control planes with databases of their own share no lock: only the bucket keeps them apart.
#[tokio::test(flavor = "multi_thread")]
async fn publishers_that_know_nothing_of_each_other_do_not_overwrite_each_other() {
    let (s3, address) = S3::start().await;
    let state = tempfile::tempdir().unwrap();
    let keys = OnlineKeys::load_or_make(&state.path().join("repository-keys"), &SystemRandom::new()).unwrap();
    let mut engineers = Engineers::new(keys.public(), SystemClock.now());
    let databases = [TestDatabase::migrated().await, TestDatabase::migrated().await];
    let slow = Process::start(state.path(), &databases[0], &bucket(address)).await;
    let fast = Process::start(state.path(), &databases[1], &bucket(address)).await;
    for (n, held) in ["timestamp.json", "snapshot.json", "timestamp.json"].iter().enumerate() {
        let version = format!("1.{n}.0");
        let built = build(&version, &[("index.js", &version)]);
        if n > 0 {
            engineers.next();
        }
        engineers.add(&built);
        slow.upload(&built).await;
        let submission = engineers.submission();
        let gate = s3.hold(held);
        let (answer, head) = tokio::join!(slow.publish(&submission), async {
            gate.here.notified().await;
            assert_eq!(fast.publish(&submission).await["changed"], json!(true));
            let head = s3.object("shop/releases/metadata/timestamp.json").unwrap();
            gate.go.notify_one();
            head
        });
        // It has looked again, and found everything done.
        assert_eq!(answer["changed"], json!(false), "{held}");
        assert_eq!(s3.object("shop/releases/metadata/timestamp.json").unwrap(), head);
        assert_eq!(look(&s3).len(), n + 1);
    }
}
