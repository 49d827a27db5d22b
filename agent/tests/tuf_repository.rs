//! The agent and its release repository: what is trusted, kept, fetched and refused.

#![allow(clippy::unwrap_used, reason = "test helpers: a panic is the report")]

#[path = "../../shared/tests/tuf_fixture/mod.rs"]
mod fixture;
#[path = "tuf_support/mod.rs"]
mod support;

use fixture::{PRODUCT, Repo, now, version};
use plugmend_agent::upstream::repo::{Freshness, MetadataStore, RepoError, Repository, TrustAnchor, Updater};
use plugmend_shared::{
    ids::Digest,
    tuf::{Error, Limits, TargetFile},
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
