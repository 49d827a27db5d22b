//! The client workflow against attackers: what is signed is taken, everything else is refused and changes nothing.

mod tuf_fixture;

use plugmend_shared::tuf::{Error, TrustedSet, trusted::Update};
use proptest::prelude::*;
use serde_json::json;
use tuf_fixture::{PRODUCT, Repo, hours, key, keys, now, sign_value, signed};

/// Everything of the repository, in order.
fn load(repo: &Repo, at: jiff::Timestamp) -> Result<TrustedSet, Error> {
    let mut set = TrustedSet::new(repo.bytes("root", 1), at)?;
    load_into(&mut set, repo)?;
    Ok(set)
}

fn load_into(set: &mut TrustedSet, repo: &Repo) -> Result<(), Error> {
    set.root_unexpired()?;
    set.update_timestamp(repo.bytes("timestamp", 0))?;
    if !set.snapshot_is_current() {
        set.update_snapshot(repo.bytes("snapshot", repo.snapshot.head.version))?;
    }
    set.update_targets("targets", "root", repo.bytes("targets", repo.targets.head.version))?;
    let role = &repo.roles[PRODUCT];
    set.update_targets(PRODUCT, "targets", repo.bytes(PRODUCT, role.head.version))
}

#[test]
fn what_is_signed_in_order_is_trusted() {
    let set = load(&Repo::new(), now()).unwrap();
    assert_eq!(set.root().head.version, 1);
    assert!(set.targets(PRODUCT, "targets").unwrap().targets.len() >= 4);
    assert!(
        set.targets(PRODUCT, "root").is_none(),
        "trusted as the targets role delegates it, not otherwise"
    );
}

#[test]
fn every_role_is_refused_from_the_second_it_expires() {
    type Bend = fn(&mut Repo);
    let bends: [(&str, Bend); 5] = [
        ("root", |r| {
            r.root.head.expires = hours(1);
            r.publish_root();
        }),
        ("timestamp", |r| r.timestamp.head.expires = hours(1)),
        ("snapshot", |r| r.snapshot.head.expires = hours(1)),
        ("targets", |r| r.targets.head.expires = hours(1)),
        (PRODUCT, |r| r.product_role().head.expires = hours(1)),
    ];
    for (role, bend) in bends {
        let mut repo = Repo::new();
        bend(&mut repo);
        repo.publish_all();
        let just_before = hours(1) - jiff::SignedDuration::from_secs(1);
        assert!(load(&repo, just_before).is_ok(), "{role}");
        let refused = load(&repo, hours(1)).unwrap_err();
        assert!(
            matches!(&refused, Error::Expired { role: r, .. } if r == role),
            "{role}: {refused}"
        );
    }
}

#[test]
fn an_unchanged_timestamp_is_refused_once_it_expired() {
    let mut repo = Repo::new();
    repo.timestamp.head.expires = hours(1);
    repo.publish_all();
    let bytes = repo.bytes("timestamp", 0);
    for (at, in_order) in [(now(), true), (hours(2), false)] {
        let mut set = TrustedSet::new(repo.bytes("root", 1), at).unwrap();
        set.restore_timestamp(bytes).unwrap();
        let result = set.update_timestamp(bytes);
        if in_order {
            assert_eq!(result.unwrap(), Update::Unchanged);
        } else {
            assert!(matches!(result, Err(Error::Expired { .. })));
        }
    }
}

#[test]
fn too_few_signatures_are_refused_for_every_role() {
    let mut good = Repo::new();
    for (role, too_few) in [
        ("targets", vec!["targets-1"]),
        ("targets", vec!["targets-1", "release-1"]),
        (PRODUCT, vec!["release-2"]),
        (PRODUCT, vec![]),
        ("snapshot", vec!["timestamp"]),
        ("timestamp", vec!["snapshot"]),
    ] {
        let mut repo = good.clone();
        repo.sign_with(role, &too_few);
        repo.publish_all();
        let refused = load(&repo, now()).unwrap_err();
        assert!(
            matches!(&refused, Error::Threshold { role: r, .. } if r == role),
            "{refused}"
        );
    }
    good.sign_with(PRODUCT, &["release-2", "release-1", "stranger"]);
    good.publish_all();
    assert!(load(&good, now()).is_ok(), "a stranger's signature does no harm");
}

#[test]
fn one_key_under_two_names_is_one_signer() {
    let mut repo = Repo::new();
    let one = key("release-1");
    let delegations = repo.targets.delegations.as_mut().unwrap();
    delegations.keys.insert("another name".into(), one.public().clone());
    let mut spelt = one.public().clone();
    spelt.keyval.public = spelt.keyval.public.to_uppercase();
    delegations.keys.insert("upper case".into(), spelt);
    let role = &mut delegations.roles.as_mut().unwrap()[0];
    role.keyids.extend(["another name".into(), "upper case".into()]);
    repo.sign_with(PRODUCT, &["release-1"]);
    repo.publish_all();
    // The one key's signature, under all three names.
    let path = format!("metadata/1.{PRODUCT}.json");
    let mut file: serde_json::Value = serde_json::from_slice(&repo.files[&path]).unwrap();
    let sig = file["signatures"][0]["sig"].clone();
    for name in ["another name", "upper case"] {
        let more = json!({"keyid": name, "sig": sig});
        file["signatures"].as_array_mut().unwrap().push(more);
    }
    let bytes = serde_json::to_vec(&file).unwrap();
    repo.hashed = false;
    repo.publish_all();
    let mut set = TrustedSet::new(repo.bytes("root", 1), now()).unwrap();
    set.update_timestamp(repo.bytes("timestamp", 0)).unwrap();
    set.update_snapshot(repo.bytes("snapshot", 1)).unwrap();
    set.update_targets("targets", "root", repo.bytes("targets", 1)).unwrap();
    let refused = set.update_targets(PRODUCT, "targets", &bytes).unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Threshold {
                valid: 1,
                threshold: 2,
                ..
            }
        ),
        "{refused}"
    );
}

#[test]
fn another_major_version_of_the_specification_is_refused() {
    for (spec_version, fine) in [
        ("1.0.31", true),
        ("1.9", true),
        ("2.0.0", false),
        ("", false),
        ("1.0.0-x", false),
    ] {
        let mut repo = Repo::new();
        repo.snapshot.head.spec_version = spec_version.into();
        repo.publish_all();
        assert_eq!(load(&repo, now()).is_ok(), fine, "{spec_version}");
    }
}

#[test]
fn a_document_of_another_type_is_refused() {
    let repo = Repo::new();
    let mut set = TrustedSet::new(repo.bytes("root", 1), now()).unwrap();
    let mut snapshot = serde_json::to_value(&repo.timestamp).unwrap();
    snapshot["_type"] = "snapshot".into();
    assert!(set.update_timestamp(&sign_value(snapshot, &["timestamp"])).is_err());
    assert!(set.timestamp().is_none());
}

#[test]
fn nothing_goes_back_to_an_older_version() {
    let old = Repo::new();
    let mut repo = old.clone();
    repo.next();
    let trusted = load(&repo, now()).unwrap();

    let refused = trusted.clone().update_timestamp(old.bytes("timestamp", 0)).unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Version {
                found: 1,
                wanted: 2,
                ..
            }
        ),
        "{refused}"
    );

    let mut attack = repo.clone();
    attack.timestamp.head.version = 3;
    attack.snapshot.head.version = 1;
    attack.publish_online();
    let refused = trusted
        .clone()
        .update_timestamp(attack.bytes("timestamp", 0))
        .unwrap_err();
    assert!(
        matches!(&refused, Error::Version { role, .. } if role == "snapshot"),
        "{refused}"
    );

    for role in ["targets.json", "shop-plugin.json"] {
        let mut attack = repo.clone();
        attack.timestamp.head.version = 3;
        attack.snapshot.head.version = 3;
        attack.snapshot.meta.get_mut(role).unwrap().version = 1;
        attack.publish_online();
        let refused = load_into(&mut trusted.clone(), &attack).unwrap_err();
        assert!(
            matches!(
                refused,
                Error::Version {
                    found: 1,
                    wanted: 2,
                    ..
                }
            ),
            "{refused}"
        );

        attack.snapshot.meta.remove(role);
        attack.publish_online();
        let refused = load_into(&mut trusted.clone(), &attack).unwrap_err();
        assert!(matches!(refused, Error::Rule { .. }), "{refused}");
    }
}

#[test]
fn documents_of_different_moments_can_not_be_mixed() {
    let old = Repo::new();
    let mut repo = old.clone();
    repo.add_release("1.2.0", b"new");
    repo.next();
    let mut set = TrustedSet::new(repo.bytes("root", 1), now()).unwrap();
    assert!(matches!(
        set.update_snapshot(old.bytes("snapshot", 1)),
        Err(Error::OutOfOrder(_))
    ));
    set.update_timestamp(repo.bytes("timestamp", 0)).unwrap();
    assert!(matches!(
        set.update_snapshot(old.bytes("snapshot", 1)),
        Err(Error::Mismatch { .. })
    ));
    assert!(matches!(
        set.update_targets("targets", "root", repo.bytes("targets", 2)),
        Err(Error::OutOfOrder(_))
    ));
    set.update_snapshot(repo.bytes("snapshot", 2)).unwrap();
    assert!(matches!(
        set.update_targets("targets", "root", old.bytes("targets", 1)),
        Err(Error::Mismatch { .. })
    ));
    set.update_targets("targets", "root", repo.bytes("targets", 2)).unwrap();
    assert!(matches!(
        set.update_targets(PRODUCT, "targets", old.bytes(PRODUCT, 1)),
        Err(Error::Mismatch { .. })
    ));
    // Without signed hashes the version alone must tell.
    repo.hashed = false;
    repo.publish_all();
    let mut set = TrustedSet::new(repo.bytes("root", 1), now()).unwrap();
    set.update_timestamp(repo.bytes("timestamp", 0)).unwrap();
    assert!(matches!(
        set.update_snapshot(old.bytes("snapshot", 1)),
        Err(Error::Version { .. })
    ));
    set.update_snapshot(repo.bytes("snapshot", 2)).unwrap();
    assert!(matches!(
        set.update_targets("targets", "root", old.bytes("targets", 1)),
        Err(Error::Version { .. })
    ));
}

#[test]
fn a_root_follows_only_the_one_before_it_with_both_signatures() {
    let repo = Repo::new();
    let mut next = repo.root.clone();
    next.head.version = 2;
    next.set_role("root", &keys(&["new-1", "new-2"]), 2).unwrap();
    let start = || TrustedSet::new(repo.bytes("root", 1), now()).unwrap();

    for too_few in [
        vec!["new-1", "new-2"],
        vec!["root-1", "root-2"],
        vec!["root-1", "new-1", "new-2"],
        vec!["root-1", "root-2", "new-1"],
    ] {
        let refused = start().next_root(&signed(&next, &too_few)).unwrap_err();
        assert!(matches!(refused, Error::Threshold { .. }), "{too_few:?}");
    }
    let all = ["root-1", "root-3", "new-1", "new-2"];
    start().next_root(&signed(&next, &all)).unwrap();
    for version in [1, 3] {
        next.head.version = version;
        let refused = start().next_root(&signed(&next, &all)).unwrap_err();
        assert!(matches!(refused, Error::Version { wanted: 2, .. }), "{refused}");
    }
}

#[test]
fn a_root_must_name_the_four_roles_with_real_thresholds() {
    let repo = Repo::new();
    for bend in [
        json!({"threshold": 0, "keyids": []}),
        json!({"threshold": -1, "keyids": []}),
        json!({"threshold": 1.5, "keyids": []}),
        json!({"threshold": 1, "keyids": ["a", "a"]}),
        json!(null),
    ] {
        let mut root = serde_json::to_value(&repo.root).unwrap();
        root["roles"]["timestamp"] = bend.clone();
        let mut bytes = serde_json::to_vec(&json!({"signatures": [], "signed": root})).unwrap();
        if !bend.to_string().contains('.') {
            bytes = sign_value(root, &["root-1", "root-2"]);
        }
        assert!(TrustedSet::new(&bytes, now()).is_err(), "{bend}");
    }
    let mut root = repo.root.clone();
    root.roles.remove("targets");
    assert!(TrustedSet::new(&signed(&root, &["root-1", "root-2"]), now()).is_err());
}

#[test]
fn a_role_is_checked_anew_when_another_role_delegates_to_it() {
    let mut repo = Repo::new();
    repo.delegate("targets", "a", &["*"], false);
    repo.delegate("targets", "b", &["*"], false);
    repo.delegate("a", "shared", &["*"], false);
    repo.delegate("b", "shared", &["*"], false);
    // What b asks for is another key.
    let delegations = repo.roles.get_mut("b").unwrap().delegations.as_mut().unwrap();
    let id = delegations.roles.as_ref().unwrap()[0].keyids[0].clone();
    delegations.keys.insert(id, key("somebody-else").public().clone());
    repo.publish_all();
    let mut set = load(&repo, now()).unwrap();
    for role in ["a", "b"] {
        set.update_targets(role, "targets", repo.bytes(role, 1)).unwrap();
    }
    set.update_targets("shared", "a", repo.bytes("shared", 1)).unwrap();
    assert!(set.targets("shared", "a").is_some());
    assert!(set.targets("shared", "b").is_none());
    let refused = set.update_targets("shared", "b", repo.bytes("shared", 1)).unwrap_err();
    assert!(matches!(refused, Error::Threshold { .. }), "{refused}");
    assert!(matches!(
        set.update_targets("stranger", "a", repo.bytes("shared", 1)),
        Err(Error::UnknownRole(_))
    ));
}

#[test]
fn what_is_recalled_may_have_expired_but_must_be_signed() {
    let repo = Repo::new();
    let mut set = TrustedSet::recalled(repo.bytes("root", 1)).unwrap();
    set.update_targets("targets", "root", repo.bytes("targets", 1)).unwrap();
    let forged = signed(&repo.roles[PRODUCT], &["release-1"]);
    assert!(set.update_targets(PRODUCT, "targets", &forged).is_err());
    set.update_targets(PRODUCT, "targets", repo.bytes(PRODUCT, 1)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_damaged_file_is_refused_or_says_the_same(at in any::<prop::sample::Index>(), flip in 1u8..=255, which in 0usize..5) {
        let mut repo = Repo::new();
        repo.hashed = false;
        repo.publish_all();
        let good = load(&repo, now()).unwrap();
        let paths = ["1.root", "timestamp", "1.snapshot", "1.targets", "1.shop-plugin"];
        let file = repo.files.get_mut(&format!("metadata/{}.json", paths[which])).unwrap();
        let at = at.index(file.len());
        file[at] ^= flip;
        if let Ok(set) = load(&repo, now()) {
            prop_assert_eq!(set.root(), good.root());
            prop_assert_eq!(set.timestamp(), good.timestamp());
            prop_assert_eq!(set.snapshot(), good.snapshot());
            prop_assert_eq!(set.targets("targets", "root"), good.targets("targets", "root"));
            prop_assert_eq!(set.targets(PRODUCT, "targets"), good.targets(PRODUCT, "targets"));
        }
    }
}
