//! A crash or a full disk inside every file operation of the metadata store: what is stored is wholly the old or wholly
//! the new, the floor never sinks, and the next start goes on.
#![cfg(feature = "failpoints")]
#![allow(clippy::unwrap_used, reason = "test helpers: a panic is the report")]

#[path = "../../shared/tests/tuf_fixture/mod.rs"]
mod fixture;
#[path = "tuf_support/mod.rs"]
mod support;

use std::{collections::BTreeMap, fs, path::Path};

use fixture::{PRODUCT, Repo, keys, now};
use plugmend_agent::upstream::repo::RepoError;
use support::{Served, agent};

const STEPS: [&str; 5] = [
    "metadata.write",
    "metadata.sync",
    "metadata.rename",
    "metadata.sync_folder",
    "metadata.remove",
];

/// A repository at its first publication, and after everything changed, online keys included.
fn before_and_after() -> (Repo, Repo) {
    let before = Repo::new();
    let mut after = before.clone();
    after.root.set_role("snapshot", &keys(&["snapshot-new"]), 1).unwrap();
    after.sign_with("snapshot", &["snapshot-new"]);
    after.next_root();
    after.next();
    (before, after)
}

/// The stored roles' files by name; half-written ones stand beside them under other names.
fn stored(home: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(home.join("metadata"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter_map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            let role = name.strip_suffix(".json")?.to_owned();
            Some((role, fs::read(entry.path()).unwrap()))
        })
        .collect()
}

fn assert_wholly_old_or_new(home: &Path, before: &Repo, after: &Repo) {
    for (role, bytes) in stored(home) {
        let new = after.bytes(&role, 2);
        assert!(bytes == before.bytes(&role, 1) || bytes == new, "{role} is neither");
    }
}

/// Old metadata are refused as soon as a newer timestamp was stored.
async fn assert_the_floor_holds(home: &Path, before: &Repo, after: &Repo, served: &Served) {
    let floor_was_raised = stored(home)
        .get("timestamp")
        .is_some_and(|b| b == after.bytes("timestamp", 0));
    served.now(before);
    let result = agent(home, before, served).refresh(now()).await;
    if floor_was_raised {
        assert!(matches!(result, Err(RepoError::Untrusted(_))), "{result:?}");
    }
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_whole_files_and_the_floor() {
    let (before, after) = before_and_after();
    for step in STEPS {
        let mut crashes = 0;
        for passed in 0.. {
            let home = tempfile::tempdir().unwrap();
            let served = Served::of(&before);
            agent(home.path(), &before, &served).refresh(now()).await.unwrap();
            served.now(&after);
            fail::cfg(step, &format!("{passed}*off->panic")).unwrap();
            let mut dying = agent(home.path(), &before, &served);
            let result = tokio::spawn(async move { dying.refresh(now()).await }).await;
            fail::remove(step);
            assert_wholly_old_or_new(home.path(), &before, &after);
            if let Ok(finished) = result {
                finished.unwrap();
                break;
            }
            crashes += 1;
            assert_the_floor_holds(home.path(), &before, &after, &served).await;
            served.now(&after);
            let mut restarted = agent(home.path(), &before, &served);
            restarted.refresh(now()).await.unwrap();
            assert_eq!(restarted.releases().unwrap().len(), 2);
        }
        assert!(crashes >= 2, "{step} was reached {crashes} times");
    }
}

#[tokio::test]
async fn a_full_disk_at_any_step_is_said_and_nothing_is_built_on_it() {
    let (before, after) = before_and_after();
    for step in STEPS {
        for passed in 0.. {
            let home = tempfile::tempdir().unwrap();
            let served = Served::of(&before);
            let mut agent = agent(home.path(), &before, &served);
            agent.refresh(now()).await.unwrap();
            served.now(&after);
            fail::cfg(step, &format!("{passed}*off->return")).unwrap();
            let result = agent.refresh(now()).await;
            fail::remove(step);
            assert_wholly_old_or_new(home.path(), &before, &after);
            let Err(refused) = result else {
                break;
            };
            assert!(matches!(refused, RepoError::Store(_)), "{step}: {refused}");
            assert!(matches!(agent.releases(), Err(RepoError::NotLoaded)));
            // Space returns.
            agent.refresh(now()).await.unwrap();
            assert_eq!(stored(home.path())[PRODUCT], after.bytes(PRODUCT, 2));
        }
    }
}
