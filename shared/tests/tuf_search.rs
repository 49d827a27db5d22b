//! Finding a target through delegations: the order, the ends, and the bound.

mod tuf_fixture;

use plugmend_shared::{
    ids::Digest,
    tuf::{
        Error, TargetFile, TrustedSet,
        search::{Search, Step},
    },
};
use tuf_fixture::{Repo, now};

/// Walks for `path`, loading what is asked for. Answers who signs for it and whom the walk loaded.
fn walk(repo: &Repo, path: &str, most: u32) -> Result<(Option<String>, Vec<String>), Error> {
    let mut set = TrustedSet::new(repo.bytes("root", 1), now())?;
    set.update_timestamp(repo.bytes("timestamp", 0))?;
    set.update_snapshot(repo.bytes("snapshot", 1))?;
    let mut search = Search::new(path, most);
    let mut loaded = Vec::new();
    loop {
        match search.step(&set)? {
            Step::Load { role, delegator } => {
                set.update_targets(&role, &delegator, repo.bytes(&role, 1))?;
                loaded.push(role);
            }
            Step::Found { role, target } => {
                assert_eq!(target.path, path);
                return Ok((Some(role), loaded));
            }
            Step::NotFound => return Ok((None, loaded)),
        }
    }
}

fn file(repo: &mut Repo, role: &str, path: &str) {
    repo.put(role, path, b"x", TargetFile::of(b"x"));
}

#[test]
fn roles_are_visited_depth_first_in_the_order_they_are_named() {
    let mut repo = Repo::new();
    repo.delegate("targets", "a", &["*"], false);
    repo.delegate("targets", "b", &["*"], false);
    repo.delegate("a", "c", &["*"], false);
    file(&mut repo, "b", "found");
    file(&mut repo, "c", "found");
    repo.publish_all();
    assert_eq!(
        walk(&repo, "found", 8).unwrap(),
        (Some("c".into()), vec!["targets".into(), "a".into(), "c".into()])
    );
    let all = ["targets", "a", "c", "b"].map(String::from).to_vec();
    assert_eq!(walk(&repo, "missing", 8).unwrap(), (None, all));
}

#[test]
fn a_terminating_role_shuts_out_what_follows() {
    let mut repo = Repo::new();
    repo.delegate("targets", "a", &["*"], true);
    repo.delegate("targets", "b", &["*"], false);
    file(&mut repo, "b", "x");
    repo.publish_all();
    assert_eq!(walk(&repo, "x", 8).unwrap().0, None);
}

#[test]
fn a_role_is_believed_only_for_its_own_paths() {
    let mut repo = Repo::new();
    repo.delegate("targets", "a", &["a/*"], false);
    file(&mut repo, "a", "b/stolen");
    file(&mut repo, "a", "a/own");
    repo.publish_all();
    assert_eq!(walk(&repo, "b/stolen", 8).unwrap().0, None);
    assert_eq!(walk(&repo, "a/own", 8).unwrap().0, Some("a".into()));
}

#[test]
fn a_role_may_answer_for_hash_prefixes() {
    let mut repo = Repo::new();
    repo.delegate("targets", "bin", &[], false);
    let digest = Digest::of(b"some/file").to_string();
    let role = &mut repo.targets.delegations.as_mut().unwrap().roles.as_mut().unwrap()[1];
    assert_eq!(role.name, "bin");
    role.paths = None;
    role.path_hash_prefixes = Some(vec![digest[..3].to_owned()]);
    file(&mut repo, "bin", "some/file");
    file(&mut repo, "bin", "another/file");
    repo.publish_all();
    assert_eq!(walk(&repo, "some/file", 8).unwrap().0, Some("bin".into()));
    assert_eq!(walk(&repo, "another/file", 8).unwrap().0, None);
}

#[test]
fn paths_and_hash_prefixes_together_or_neither_break_the_rules() {
    for both in [true, false] {
        let mut repo = Repo::new();
        repo.delegate("targets", "bin", &["*"], false);
        let role = &mut repo.targets.delegations.as_mut().unwrap().roles.as_mut().unwrap()[1];
        role.path_hash_prefixes = both.then(|| vec!["00".to_owned()]);
        role.paths = both.then(|| vec!["*".to_owned()]);
        repo.publish_all();
        assert!(matches!(walk(&repo, "x", 8), Err(Error::Rule { .. })));
    }
}

#[test]
fn a_delegation_can_not_take_a_top_level_name() {
    for name in ["root", "targets", "snapshot", "timestamp", ""] {
        let mut repo = Repo::new();
        repo.delegate("targets", "evil", &["*"], false);
        repo.targets.delegations.as_mut().unwrap().roles.as_mut().unwrap()[1].name = name.into();
        repo.publish_all();
        assert!(matches!(walk(&repo, "x", 8), Err(Error::Rule { .. })), "{name}");
    }
}

#[test]
fn circles_end() {
    let mut repo = Repo::new();
    repo.delegate("targets", "a", &["*"], false);
    repo.delegate("a", "b", &["*"], false);
    repo.delegate("b", "a", &["*"], false);
    repo.publish_all();
    assert_eq!(walk(&repo, "x", 8).unwrap().0, None);
}

#[test]
fn the_number_of_visits_is_bounded() {
    let mut repo = Repo::new();
    for n in 0..40 {
        let name = format!("r{n}");
        repo.delegate("targets", &name, &["*"], false);
    }
    file(&mut repo, "r39", "x");
    repo.publish_all();
    assert!(matches!(walk(&repo, "x", 32), Err(Error::TooManyVisits(32))));
    assert_eq!(walk(&repo, "x", 41).unwrap().0, Some("r39".into()));
}
