//! Where the agent's trust starts, how it moves on, and what it keeps through restarts, outages and failures.

#![allow(clippy::unwrap_used, reason = "test helpers: a panic is the report")]

#[path = "../../shared/tests/tuf_fixture/mod.rs"]
mod fixture;
#[path = "tuf_support/mod.rs"]
mod support;

use fixture::{PRODUCT, Repo, hours, keys, now, version};
use plugmend_agent::upstream::repo::{Freshness, RepoError, Repository, TrustAnchor};
use plugmend_shared::{
    ids::Digest,
    tuf::{DelegatedRole, Error},
};
use support::{Served, agent, options};

fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn the_floor_outlives_a_restart() {
    let (home, old) = (home(), Repo::new());
    let mut repo = old.clone();
    repo.next();
    let served = Served::of(&repo);
    agent(home.path(), &repo, &served).refresh(now()).await.unwrap();
    served.now(&old);
    let refused = agent(home.path(), &repo, &served).refresh(now()).await.unwrap_err();
    assert!(
        matches!(
            refused,
            RepoError::Untrusted(Error::Version {
                found: 1,
                wanted: 2,
                ..
            })
        ),
        "{refused}"
    );
}

#[tokio::test]
async fn a_frozen_repository_is_noticed_when_its_timestamp_expires() {
    let (home, repo) = (home(), Repo::new());
    let served = Served::of(&repo);
    let mut agent = agent(home.path(), &repo, &served);
    agent.refresh(now()).await.unwrap();
    agent.refresh(hours(24 * 7 - 1)).await.unwrap();
    let refused = agent.refresh(hours(24 * 7)).await.unwrap_err();
    assert!(
        matches!(refused, RepoError::Untrusted(Error::Expired { .. })),
        "{refused}"
    );
    assert!(
        matches!(agent.releases(), Err(RepoError::NotLoaded)),
        "nothing is installed from it"
    );
}

#[tokio::test]
async fn what_was_trusted_is_recalled_without_the_repository() {
    let (home, repo) = (home(), Repo::new());
    let served = Served::of(&repo);
    assert!(
        agent(home.path(), &repo, &served).recall().is_err(),
        "nothing was trusted yet"
    );
    agent(home.path(), &repo, &served).refresh(now()).await.unwrap();
    served.unreachable_after(Some(0));
    let mut agent = agent(home.path(), &repo, &served);
    let refused = agent.refresh(now()).await.unwrap_err();
    assert!(refused.is_transient());
    agent.recall().unwrap();
    assert_eq!(agent.freshness().unwrap(), Freshness::Recalled);
    assert_eq!(agent.releases().unwrap().len(), 2);
}

#[tokio::test]
async fn a_refresh_that_broke_off_does_not_bar_the_way_back() {
    let before = Repo::new();
    let mut after = before.clone();
    after.root.set_role("timestamp", &keys(&["timestamp-new"]), 1).unwrap();
    after.next_root();
    after.sign_with("timestamp", &["timestamp-new"]);
    after.next();
    for requests in 0..6 {
        let home = home();
        let served = Served::of(&before);
        let mut agent = agent(home.path(), &before, &served);
        agent.refresh(now()).await.unwrap();
        served.now(&after);
        served.unreachable_after(Some(requests));
        let refused = agent.refresh(now()).await.unwrap_err();
        assert!(refused.is_transient(), "after {requests}: {refused}");
        agent.recall().unwrap();
        assert_eq!(agent.releases().unwrap().len(), 2, "after {requests}");
        served.unreachable_after(None);
        agent.refresh(now()).await.unwrap();
    }
}

#[tokio::test]
async fn what_revoked_keys_signed_is_not_recalled() {
    let (home, mut repo) = (home(), Repo::new());
    let served = Served::of(&repo);
    agent(home.path(), &repo, &served).refresh(now()).await.unwrap();
    let product = DelegatedRole::of_product(&fixture::product(), 1);
    repo.targets.delegate(product, &keys(&["release-new"])).unwrap();
    repo.next();
    served.now(&repo);
    let mut agent = agent(home.path(), &repo, &served);
    assert!(
        agent.refresh(now()).await.is_err(),
        "the product's role is still signed by the old keys"
    );
    assert!(matches!(
        agent.recall(),
        Err(RepoError::Untrusted(Error::Threshold { .. }))
    ));
}

#[tokio::test]
async fn a_chain_of_root_rotations_is_followed_link_by_link() {
    let (home, mut repo) = (home(), Repo::new());
    for n in 1..=4 {
        let old: Vec<String> = repo.signers["root"].clone();
        let new: Vec<String> = (0..3).map(|k| format!("root-{n}-{k}")).collect();
        let new: Vec<&str> = new.iter().map(String::as_str).collect();
        repo.root.set_role("root", &keys(&new), 2).unwrap();
        let both: Vec<&str> = old.iter().map(String::as_str).chain(new[..2].iter().copied()).collect();
        repo.sign_with("root", &both);
        repo.next_root();
        repo.sign_with("root", &new[..2]);
    }
    let served = Served::of(&repo);
    // The way breaks off in the middle; what was learnt stays.
    served.unreachable_after(Some(2));
    assert!(
        agent(home.path(), &repo, &served)
            .refresh(now())
            .await
            .unwrap_err()
            .is_transient()
    );
    served.unreachable_after(None);
    served.asked();
    agent(home.path(), &repo, &served).refresh(now()).await.unwrap();
    assert_eq!(
        served.asked()[..3],
        ["metadata/4.root.json", "metadata/5.root.json", "metadata/6.root.json"]
    );

    // A link that is missing can not be skipped.
    let fresh = self::home();
    served.remove("metadata/3.root.json");
    let mut agent = agent(fresh.path(), &repo, &served);
    agent.refresh(now()).await.unwrap();
    served.asked();
    agent.refresh(now()).await.unwrap();
    assert_eq!(served.asked()[0], "metadata/3.root.json", "still at the second root");
}

#[tokio::test]
async fn the_number_of_roots_followed_at_once_is_bounded() {
    let (home, mut repo) = (home(), Repo::new());
    for _ in 0..6 {
        repo.next_root();
    }
    let served = Served::of(&repo);
    let mut options = options(home.path(), &repo);
    options.limits.root_rotations = 3;
    let mut agent = Repository::open(options, served.clone()).unwrap();
    agent.refresh(now()).await.unwrap();
    assert_eq!(served.asked()[..4].last().unwrap(), "metadata/timestamp.json");
    agent.refresh(now()).await.unwrap();
    assert_eq!(
        served.asked()[0],
        "metadata/5.root.json",
        "the next refresh goes on from there"
    );
}

#[tokio::test]
async fn release_and_online_keys_can_be_rotated() {
    let (home, mut repo) = (home(), Repo::new());
    let served = Served::of(&repo);
    let mut agent = agent(home.path(), &repo, &served);
    agent.refresh(now()).await.unwrap();

    repo.root.set_role("timestamp", &keys(&["timestamp-new"]), 1).unwrap();
    repo.root.set_role("snapshot", &keys(&["snapshot-new"]), 1).unwrap();
    repo.next_root();
    repo.sign_with("timestamp", &["timestamp-new"]);
    repo.sign_with("snapshot", &["snapshot-new"]);
    let product = DelegatedRole::of_product(&fixture::product(), 1);
    repo.targets.delegate(product, &keys(&["release-new"])).unwrap();
    repo.next();
    served.now(&repo);
    let refused = agent.refresh(now()).await.unwrap_err();
    assert!(
        matches!(refused, RepoError::Untrusted(Error::Threshold { .. })),
        "old release keys: {refused}"
    );

    repo.sign_with(PRODUCT, &["release-new"]);
    repo.add_release("1.2.0", b"signed by the new key");
    repo.next();
    served.now(&repo);
    agent.refresh(now()).await.unwrap();
    assert!(agent.release(&version("1.2.0")).unwrap().is_some());
}

#[tokio::test]
async fn versions_driven_up_with_stolen_online_keys_can_be_recovered_from() {
    for rotated in [vec!["timestamp", "snapshot"], vec!["snapshot"]] {
        let (home, repo) = (home(), Repo::new());
        let mut stolen = repo.clone();
        stolen.timestamp.head.version = 1_000_000;
        stolen.snapshot.head.version = 1_000_000;
        stolen.publish_online();
        let served = Served::of(&stolen);
        let mut agent = agent(home.path(), &repo, &served);
        agent.refresh(now()).await.unwrap();

        let mut repo = repo.clone();
        for role in rotated {
            let fresh = format!("{role}-new");
            repo.root.set_role(role, &keys(&[&fresh]), 1).unwrap();
            repo.sign_with(role, &[&fresh]);
        }
        repo.next();
        served.now(&repo);
        assert!(
            agent.refresh(now()).await.is_err(),
            "without a new root it is a rollback"
        );
        repo.next_root();
        served.now(&repo);
        agent.refresh(now()).await.unwrap();
        assert_eq!(agent.releases().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_store_that_fails_stops_everything_and_keeps_the_floor() {
    for role in ["root", "timestamp", "snapshot", "targets", PRODUCT] {
        let (home, mut repo) = (home(), Repo::new());
        let served = Served::of(&repo);
        let mut agent = agent(home.path(), &repo, &served);
        agent.refresh(now()).await.unwrap();
        let store = home.path().join("metadata");
        let before = std::fs::read(store.join(format!("{role}.json"))).unwrap();
        repo.next_root();
        repo.next();
        served.now(&repo);
        // As root, permissions would not stop a write; a folder in its way does.
        let in_the_way = store.join(format!("{role}.new"));
        std::fs::create_dir(&in_the_way).unwrap();
        let refused = agent.refresh(now()).await.unwrap_err();
        assert!(matches!(refused, RepoError::Store(_)), "{role}: {refused}");
        assert!(matches!(agent.releases(), Err(RepoError::NotLoaded)));
        assert_eq!(std::fs::read(store.join(format!("{role}.json"))).unwrap(), before);
        std::fs::remove_dir(&in_the_way).unwrap();
        agent.refresh(now()).await.unwrap();
    }
}

#[tokio::test]
async fn trust_may_start_from_a_fingerprint() {
    let mut repo = Repo::new();
    repo.next_root();
    repo.next_root();
    let served = Served::of(&repo);
    let start = |digest| {
        let home = home();
        let mut options = options(home.path(), &repo);
        options.anchor = TrustAnchor::Sha256(digest);
        (Repository::open(options, served.clone()).unwrap(), home)
    };
    let (mut agent, home) = start(Digest::of(repo.bytes("root", 2)));
    agent.refresh(now()).await.unwrap();
    // The next start needs it no more.
    let mut options = options(home.path(), &repo);
    options.anchor = TrustAnchor::Stored;
    Repository::open(options, served.clone())
        .unwrap()
        .refresh(now())
        .await
        .unwrap();

    let (mut agent, _home) = start(Digest::of(b"another root"));
    assert!(matches!(agent.refresh(now()).await, Err(RepoError::NoSuchRoot)));
}

#[tokio::test]
async fn a_newer_root_in_the_package_replaces_the_stored_one_and_an_older_does_not() {
    let (home, mut repo) = (home(), Repo::new());
    let served = Served::of(&repo);
    agent(home.path(), &repo, &served).refresh(now()).await.unwrap();
    // All root keys were lost: a new root comes by another way, not signed by the old keys.
    repo.root.set_role("root", &keys(&["after-the-fire"]), 1).unwrap();
    repo.sign_with("root", &["after-the-fire"]);
    repo.next_root();
    served.now(&repo);
    assert!(agent(home.path(), &repo, &served).refresh(now()).await.is_err());
    let mut options = options(home.path(), &repo);
    options.anchor = TrustAnchor::Root(repo.bytes("root", 2).to_vec());
    Repository::open(options, served.clone())
        .unwrap()
        .refresh(now())
        .await
        .unwrap();
    // The old package's root does not take it back.
    served.asked();
    agent(home.path(), &repo, &served).refresh(now()).await.unwrap();
    assert_eq!(served.asked()[0], "metadata/3.root.json");
}

#[tokio::test]
async fn a_root_that_is_not_one_is_neither_trusted_nor_stored() {
    let (home, repo) = (home(), Repo::new());
    let served = Served::of(&repo);
    let forged = fixture::signed(&repo.root, &["root-1"]);
    for bytes in [forged, b"{}".to_vec(), Vec::new()] {
        let mut options = options(home.path(), &repo);
        options.anchor = TrustAnchor::Root(bytes);
        let refused = Repository::open(options, served.clone())
            .unwrap()
            .refresh(now())
            .await
            .unwrap_err();
        assert!(matches!(refused, RepoError::Untrusted(_)), "{refused}");
    }
    let mut options = options(home.path(), &repo);
    options.anchor = TrustAnchor::Stored;
    let refused = Repository::open(options, served.clone())
        .unwrap()
        .refresh(now())
        .await
        .unwrap_err();
    assert!(matches!(refused, RepoError::NoRoot), "{refused}");
    assert!(served.asked().is_empty());
}

#[tokio::test]
async fn a_damaged_store_heals_from_the_repository() {
    let repo = Repo::new();
    for role in ["timestamp", "snapshot", "targets", PRODUCT] {
        let home = home();
        let served = Served::of(&repo);
        agent(home.path(), &repo, &served).refresh(now()).await.unwrap();
        std::fs::write(home.path().join(format!("metadata/{role}.json")), b"half a fi").unwrap();
        agent(home.path(), &repo, &served).refresh(now()).await.unwrap();
    }
    // The root alone does not: it is what everything else is judged by.
    let home = home();
    let served = Served::of(&repo);
    agent(home.path(), &repo, &served).refresh(now()).await.unwrap();
    std::fs::write(home.path().join("metadata/root.json"), b"half a fi").unwrap();
    assert!(agent(home.path(), &repo, &served).refresh(now()).await.is_err());
}
