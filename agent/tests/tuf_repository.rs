//! The agent and its release repository: what is trusted, kept, fetched and refused.

#![allow(clippy::unwrap_used, reason = "test helpers: a panic is the report")]

#[path = "../../shared/tests/tuf_fixture/mod.rs"]
mod fixture;
#[path = "tuf_support/mod.rs"]
mod support;

use fixture::{PRODUCT, Repo, hours, keys, now, version};
use plugmend_agent::upstream::repo::{Freshness, MetadataStore, RepoError, Repository, TrustAnchor, Updater};
use plugmend_shared::{
    ids::Digest,
    tuf::{DelegatedRole, Error, Limits, TargetFile},
};
use support::{Served, agent, options};

fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn a_first_refresh_learns_the_releases_in_six_requests() {
    let (home, repo) = (home(), Repo::new());
    let served = Served::of(&repo);
    let mut agent = agent(home.path(), &repo, &served);
    assert!(matches!(agent.releases(), Err(RepoError::NotLoaded)));
    agent.refresh(now()).await.unwrap();
    let expected = ["2.root", "timestamp", "1.snapshot", "1.targets", "1.shop-plugin"];
    assert_eq!(served.asked(), expected.map(|name| format!("metadata/{name}.json")));
    assert_eq!(agent.freshness().unwrap(), Freshness::Current);
    assert_eq!(agent.releases().unwrap().len(), 2);
    let release = agent.release(&version("1.1.0")).unwrap().unwrap();
    assert_eq!(agent.release_by_digest(&release.digest).unwrap(), Some(release));
    assert!(agent.product_info().unwrap().approvers.is_empty());

    // Nothing new: only root and timestamp are asked for.
    agent.refresh(now()).await.unwrap();
    assert_eq!(served.asked(), ["metadata/2.root.json", "metadata/timestamp.json"]);
}

#[tokio::test]
async fn a_target_is_taken_whole_and_only_as_signed() {
    let (home, repo) = (home(), Repo::new());
    let served = Served::of(&repo);
    let mut agent = agent(home.path(), &repo, &served);
    agent.refresh(now()).await.unwrap();
    let pack = agent.release(&version("1.0.0")).unwrap().unwrap().pack.clone();
    assert_eq!(agent.fetch_target(&pack).await.unwrap(), b"pack one");
    let path = served.asked().pop().unwrap();
    assert_eq!(
        path,
        format!("targets/shop-plugin/1.0.0/{}.pack", Digest::of(b"pack one"))
    );

    served.replace(&path, b"pack 0ne");
    assert!(
        matches!(agent.fetch_target(&pack).await, Err(RepoError::BadTarget { .. })),
        "hash"
    );
    served.replace(&path, b"pack on");
    assert!(
        matches!(agent.fetch_target(&pack).await, Err(RepoError::BadTarget { .. })),
        "length"
    );
    served.replace(&path, b"pack one, and then some");
    let refused = agent.fetch_target(&pack).await.unwrap_err();
    assert!(
        matches!(refused, RepoError::Transport { .. }),
        "no more is read than was signed"
    );
    assert!(!refused.is_transient());
    served.remove(&path);
    assert!(matches!(agent.fetch_target(&pack).await, Err(RepoError::Missing(_))));

    let mut huge = pack;
    huge.file.length = 1 << 40;
    assert!(matches!(
        agent.fetch_target(&huge).await,
        Err(RepoError::TooLarge { .. })
    ));
}

#[tokio::test]
async fn ranges_come_exactly_or_not_at_all() {
    let (home, repo) = (home(), Repo::new());
    let served = Served::of(&repo);
    let mut agent = agent(home.path(), &repo, &served);
    agent.refresh(now()).await.unwrap();
    let pack = agent.release(&version("1.0.0")).unwrap().unwrap().pack.clone();
    assert_eq!(&agent.fetch_range(&pack, 5..8).await.unwrap()[..], b"one");
    assert!(agent.fetch_range(&pack, 3..3).await.unwrap().is_empty());
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is tested")]
    for bad in [5..9, 8..5, 0..u64::MAX] {
        assert!(matches!(
            agent.fetch_range(&pack, bad).await,
            Err(RepoError::BadRange { .. })
        ));
    }
    served.lie();
    assert!(matches!(
        agent.fetch_range(&pack, 5..8).await,
        Err(RepoError::BadRange { .. })
    ));
}

#[tokio::test]
async fn a_transport_that_overruns_its_bound_is_not_believed() {
    let (home, repo) = (home(), Repo::new());
    let served = Served::of(&repo);
    served.lie();
    let refused = agent(home.path(), &repo, &served).refresh(now()).await.unwrap_err();
    assert!(matches!(refused, RepoError::Transport { .. }), "{refused}");
}

#[tokio::test]
async fn metadata_beyond_the_limits_are_refused() {
    type Tighten = fn(&mut Limits);
    let repo = Repo::new();
    let tighten: [Tighten; 4] = [
        |l| l.timestamp_bytes = 100,
        |l| l.snapshot_bytes = 100,
        |l| l.targets_bytes = 100,
        |l| l.root_bytes = 100,
    ];
    for tight in tighten {
        let home = home();
        let mut options = options(home.path(), &repo);
        tight(&mut options.limits);
        let mut repo = repo.clone();
        repo.next_root();
        let mut agent = Repository::open(options, Served::of(&repo)).unwrap();
        assert!(matches!(agent.refresh(now()).await, Err(RepoError::Transport { .. })));
    }
}

#[tokio::test]
async fn without_consistent_snapshots_files_have_plain_names() {
    let (home, mut repo) = (home(), Repo::new());
    repo.root.consistent_snapshot = None;
    repo.files.clear();
    repo.add_release("2.0.0", b"plain");
    repo.publish_root();
    repo.publish_all();
    let served = Served::of(&repo);
    let mut agent = agent(home.path(), &repo, &served);
    agent.refresh(now()).await.unwrap();
    let expected = ["2.root", "timestamp", "snapshot", "targets", "shop-plugin"];
    assert_eq!(served.asked(), expected.map(|name| format!("metadata/{name}.json")));
    let pack = agent.release(&version("2.0.0")).unwrap().unwrap().pack.clone();
    assert_eq!(agent.fetch_target(&pack).await.unwrap(), b"plain");
    assert_eq!(served.asked(), ["targets/shop-plugin/2.0.0/pack"]);
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
async fn only_the_agent_s_own_product_is_accepted() {
    let (home, mut repo) = (home(), Repo::new());
    let other = "other-plugin";
    repo.delegate("targets", other, &["other-plugin/*/*"], true);
    // The other product's keys sign for ours, and for themselves.
    let stolen = repo.roles[PRODUCT].targets.clone();
    let role = repo.roles.get_mut(other).unwrap();
    role.targets = stolen;
    repo.publish_all();
    let mut options = options(home.path(), &repo);
    options.product = other.parse().unwrap();
    let mut agent = Repository::open(options.clone(), Served::of(&repo)).unwrap();
    agent.refresh(now()).await.unwrap();
    assert!(agent.releases().unwrap().is_empty());

    options.product = "no-such-plugin".parse().unwrap();
    let mut agent = Repository::open(options, Served::of(&repo)).unwrap();
    assert!(matches!(agent.refresh(now()).await, Err(RepoError::UnknownProduct(_))));
}

#[tokio::test]
async fn a_release_outside_the_delegated_paths_is_not_seen() {
    let (home, mut repo) = (home(), Repo::new());
    let delegations = repo.targets.delegations.as_mut().unwrap();
    delegations.roles.as_mut().unwrap()[0].paths = Some(vec!["shop-plugin/1.0.0/*".into()]);
    repo.publish_all();
    let mut agent = agent(home.path(), &repo, &Served::of(&repo));
    agent.refresh(now()).await.unwrap();
    let versions: Vec<String> = agent
        .releases()
        .unwrap()
        .iter()
        .map(|r| r.version.to_string())
        .collect();
    assert_eq!(versions, ["1.0.0"]);
}

#[tokio::test]
async fn the_search_for_a_target_fetches_a_bounded_number_of_roles() {
    let (home, mut repo) = (home(), Repo::new());
    for n in 0..50 {
        let (from, name) = match n {
            0 => ("targets".to_owned(), "r0".to_owned()),
            n => (format!("r{}", n - 1), format!("r{n}")),
        };
        repo.delegate(&from, &name, &["deep"], false);
    }
    repo.put("r49", "deep", b"x", TargetFile::of(b"x"));
    repo.publish_all();
    let served = Served::of(&repo);
    let store = MetadataStore::open(&home.path().join("metadata")).unwrap();
    let anchor = TrustAnchor::Root(repo.bytes("root", 1).to_vec());
    let mut updater = Updater::new(served.clone(), store, anchor, Limits::default());
    updater.refresh(now()).await.unwrap();
    served.asked();
    let refused = updater.find("deep").await.unwrap_err();
    assert!(
        matches!(refused, RepoError::Untrusted(Error::TooManyVisits(32))),
        "{refused}"
    );
    assert_eq!(served.asked().len(), 31, "the targets role was there already");
}

#[tokio::test]
async fn garbage_instead_of_metadata_is_refused() {
    let repo = Repo::new();
    for garbage in [
        b"".as_slice(),
        b"\xff\xfe",
        b"{",
        b"[]",
        b"{\"signatures\":[],\"signed\":{}}",
    ] {
        for file in ["timestamp", "1.snapshot", "1.targets", "1.shop-plugin", "2.root"] {
            let home = home();
            let served = Served::of(&repo);
            served.replace(&format!("metadata/{file}.json"), garbage);
            let refused = agent(home.path(), &repo, &served).refresh(now()).await.unwrap_err();
            assert!(matches!(refused, RepoError::Untrusted(_)), "{file}: {refused}");
        }
    }
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

#[tokio::test]
async fn a_role_that_the_snapshot_does_not_name_is_refused() {
    let (home, mut repo) = (home(), Repo::new());
    repo.roles.remove(PRODUCT);
    repo.publish_all();
    let refused = agent(home.path(), &repo, &Served::of(&repo))
        .refresh(now())
        .await
        .unwrap_err();
    assert!(
        matches!(refused, RepoError::Untrusted(Error::UnknownRole(_))),
        "{refused}"
    );
}
