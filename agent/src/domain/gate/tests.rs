use plugmend_shared::bundle::manifest::{Approvals, Compatibility, FORMAT, Impact};

use super::*;

fn manifest_of(version: &str) -> Manifest {
    Manifest {
        format: FORMAT,
        product: "pay".parse().unwrap(),
        version: version.parse().unwrap(),
        impact: Impact::default(),
        files: Vec::new(),
        preserve: Vec::new(),
        compat: Compatibility::default(),
        fixes: Vec::new(),
        undo: Undo::CodeOnly,
        settings: None,
        smoke_tests: Vec::new(),
        approvals: Approvals::default(),
        remedies: Vec::new(),
        min_agent_version: None,
    }
}

struct Facts {
    product: Product,
    installed: Tree,
    env: BTreeMap<String, String>,
    agent: semver::Version,
    quarantine: Vec<quarantine::Entry>,
    snapshot_hook: bool,
}

fn facts() -> Facts {
    Facts {
        product: "pay".parse().unwrap(),
        installed: Tree {
            name: "r1-1.0.0".to_owned(),
            ino: 1,
            version: semver::Version::new(1, 0, 0),
            digest: None,
        },
        env: BTreeMap::from([("php".to_owned(), "8.2.7-1+deb12u1".to_owned())]),
        agent: semver::Version::new(0, 1, 0),
        quarantine: Vec::new(),
        snapshot_hook: false,
    }
}

impl Facts {
    fn host(&self) -> Host<'_> {
        Host {
            product: &self.product,
            merchant: None,
            installed: &self.installed,
            generation: Generation(7),
            env: &self.env,
            agent: &self.agent,
            quarantine: &self.quarantine,
            surroundings: Digest::of(b"here"),
            snapshot_hook: self.snapshot_hook,
        }
    }

    fn release(&self, payload: &CommandPayload, version: &str, minimum: Option<&str>, direction: Direction) -> String {
        let version: semver::Version = version.parse().unwrap();
        let minimum = minimum.map(|v| v.parse().unwrap());
        let signed = Signed {
            version: &version,
            digest: &Digest::of(b"release"),
            revoked: None,
            minimum: minimum.as_ref(),
        };
        code(release(&self.host(), payload, &signed, direction))
    }
}

fn code(result: Result<(), Failure>) -> String {
    result
        .err()
        .map_or_else(|| "allowed".to_owned(), |failure| failure.code)
}

fn payload() -> CommandPayload {
    CommandPayload {
        generation: Generation(7),
        ..CommandPayload::default()
    }
}

#[test]
fn an_order_for_another_product_or_from_the_past_is_refused() {
    let facts = facts();
    let mut order_ = payload();
    assert_eq!(code(order(&facts.host(), &order_, Duration::ZERO)), "allowed");
    order_.generation = Generation(6);
    assert_eq!(code(order(&facts.host(), &order_, Duration::ZERO)), "outdated");
    order_ = payload();
    order_.product = Some("other".parse().unwrap());
    assert_eq!(code(order(&facts.host(), &order_, Duration::ZERO)), "wrong_product");
    order_ = payload();
    order_.expires_in_s = Some(60);
    assert_eq!(code(order(&facts.host(), &order_, Duration::from_secs(59))), "allowed");
    assert_eq!(code(order(&facts.host(), &order_, Duration::from_mins(1))), "expired");
}

#[test]
fn an_order_binds_content_not_a_name() {
    let mut order = payload();
    order.release_digest = Some(Digest::of(b"another"));
    assert_eq!(
        facts().release(&order, "1.1.0", None, Direction::Forward),
        "digest_mismatch"
    );
}

#[test]
fn nothing_goes_below_the_signed_minimum_not_even_back() {
    let facts = facts();
    for direction in [Direction::Forward, Direction::Back] {
        assert_eq!(
            facts.release(&payload(), "1.1.0", Some("1.2.0"), direction),
            "below_minimum"
        );
        assert_eq!(facts.release(&payload(), "1.2.0", Some("1.2.0"), direction), "allowed");
    }
}

#[test]
fn a_release_that_hurt_this_host_is_refused_on_the_way_on_only() {
    let mut facts = facts();
    facts.quarantine.push(quarantine::Entry {
        digest: Digest::of(b"release"),
        version: semver::Version::new(1, 1, 0),
        reason: "it answered 500".to_owned(),
        at: Timestamp::UNIX_EPOCH,
        surroundings: Digest::of(b"here"),
    });
    assert_eq!(
        facts.release(&payload(), "1.1.0", None, Direction::Forward),
        "quarantined"
    );
    assert_eq!(facts.release(&payload(), "1.1.0", None, Direction::Back), "allowed");
}

#[test]
fn a_manifest_must_fit_the_host() {
    let facts = facts();
    let gate = |new: &Manifest| code(manifest(&facts.host(), new, Direction::Forward));
    let mut new = manifest_of("2.0.0");
    assert_eq!(gate(&new), "allowed");
    new.compat.from = Some("^1.5".parse().unwrap());
    assert_eq!(gate(&new), "incompatible_from");
    new = manifest_of("2.0.0");
    new.compat.env.insert("php".to_owned(), ">=8.1".parse().unwrap());
    assert_eq!(gate(&new), "allowed");
    new.compat.env.insert("php".to_owned(), ">=8.3".parse().unwrap());
    assert_eq!(gate(&new), "incompatible_environment");
    new.compat.env = BTreeMap::from([("node".to_owned(), "*".parse().unwrap())]);
    assert_eq!(gate(&new), "unknown_environment");
    new = manifest_of("2.0.0");
    new.min_agent_version = Some(semver::Version::new(9, 0, 0));
    assert_eq!(gate(&new), "agent_too_old");
    new = manifest_of("2.0.0");
    new.product = "other".parse().unwrap();
    assert_eq!(gate(&new), "wrong_product");
}

#[test]
fn what_can_not_be_undone_needs_a_snapshot_before_and_a_person_to_go_back() {
    let mut facts = facts();
    let mut new = manifest_of("2.0.0");
    new.undo = Undo::NeedsSnapshot;
    assert_eq!(
        code(manifest(&facts.host(), &new, Direction::Forward)),
        "no_snapshot_hook"
    );
    facts.snapshot_hook = true;
    assert_eq!(code(manifest(&facts.host(), &new, Direction::Forward)), "allowed");
    assert_eq!(code(way_back(&new)), "data_changed");
    assert_eq!(code(way_back(&manifest_of("1.0.0"))), "allowed");
}

#[test]
fn approvals_are_counted_only_for_an_enrolled_merchant() {
    let facts = facts();
    let mut new = manifest_of("2.0.0");
    let check = |new: &Manifest| {
        let nobody = (&ApproverKeys::new(), &[][..]);
        code(approvals(
            &facts.host(),
            new,
            &Digest::of(b"release"),
            nobody,
            Timestamp::UNIX_EPOCH,
        ))
    };
    assert_eq!(check(&new), "allowed");
    new.approvals.required = 1;
    assert_eq!(check(&new), "not_approved");
}

#[test]
fn a_full_disk_is_named_with_its_numbers() {
    let refused = room(3 << 20, 1 << 20, "/srv").unwrap_err();
    assert!(refused.retryable);
    assert!(refused.words.contains("3 MiB are needed at /srv and 1 MiB are free"));
    assert!(room(1, 1, "/srv").is_ok());
}

#[test]
fn versions_of_platforms_are_read_loosely() {
    for (text, version) in [
        ("8.2", "8.2.0"),
        ("v20.1.0", "20.1.0"),
        ("8.2.7-1+deb12", "8.2.7"),
        ("6", "6.0.0"),
    ] {
        assert_eq!(loose_version(text).unwrap(), version.parse().unwrap());
    }
    assert!(loose_version("unknown").is_none());
}
