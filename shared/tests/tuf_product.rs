//! Signing by several people, and what a product's metadata say.

mod tuf_fixture;

use plugmend_shared::{
    ids::Digest,
    tuf::{
        Document, Envelope, Error, TargetFile, Targets,
        product::{self, ManifestCustom, ProductField, ProductInfo, Revoked},
        sign::{self, SigningKey},
        verify,
    },
};
use ring::rand::SystemRandom;
use tuf_fixture::{PRODUCT, Repo, hours, key, now, product as shop, version};

#[test]
fn people_sign_one_after_the_other_on_their_own_machines() {
    let repo = Repo::new();
    let (delegations, _) = repo.targets.delegation(PRODUCT).unwrap();
    let signers = delegations.signers(PRODUCT).unwrap();
    let mut first = Envelope::unsigned(&repo.roles[PRODUCT]).unwrap();
    assert!(!verify::tally(&first, signers, "x").unwrap().suffices());
    first.sign(&key("release-1")).unwrap();

    // Carried to another machine as a file, and back.
    let mut second = Envelope::parse(&first.to_bytes().unwrap()).unwrap();
    second.sign(&key("release-2")).unwrap();
    second.sign(&key("release-2")).unwrap();
    assert_eq!(second.signatures.len(), 2, "signing again replaces");
    let tally = verify::tally(&second, signers, "x").unwrap();
    assert!(tally.suffices());
    assert_eq!(
        tally.valid,
        [key("release-1").id().clone(), key("release-2").id().clone()]
    );

    // Or signed at the same time and put together.
    let mut apart = Envelope::unsigned(&repo.roles[PRODUCT]).unwrap();
    apart.sign(&key("release-3")).unwrap();
    assert_eq!(first.merge(&apart, signers).unwrap(), 1);
    assert_eq!(first.merge(&apart, signers).unwrap(), 0);
    assert!(verify::tally(&first, signers, "x").unwrap().suffices());
}

#[test]
fn a_signature_on_another_document_or_by_a_stranger_is_not_taken_over() {
    let repo = Repo::new();
    let (delegations, _) = repo.targets.delegation(PRODUCT).unwrap();
    let signers = delegations.signers(PRODUCT).unwrap();
    let mut envelope = Envelope::unsigned(&repo.roles[PRODUCT]).unwrap();
    let mut other = Envelope::unsigned(&Targets::new(7, hours(1))).unwrap();
    other.sign(&key("release-1")).unwrap();
    assert!(matches!(envelope.merge(&other, signers), Err(Error::Rule { .. })));
    let mut stranger = envelope.clone();
    stranger.sign(&key("stranger")).unwrap();
    assert!(matches!(
        envelope.merge(&stranger, signers),
        Err(Error::BadSignature(_))
    ));
    assert!(envelope.signatures.is_empty());
}

#[test]
fn a_drawn_key_can_be_kept_and_read_again() {
    let (secret, drawn) = SigningKey::generate(&SystemRandom::new()).unwrap();
    let read = SigningKey::from_pkcs8(&secret).unwrap();
    assert_eq!(drawn.id(), read.id());
    assert_eq!(
        format!("{read:?}"),
        format!("SigningKey({})", read.id()),
        "the secret is not shown"
    );
    assert!(matches!(SigningKey::from_pkcs8(b"no key"), Err(Error::SigningKey(_))));
    let message = b"message";
    assert!(read.public().verifier().unwrap().verify(message, &read.sign(message)));
    assert!(
        !read
            .public()
            .verifier()
            .unwrap()
            .verify(b"another", &read.sign(message))
    );
}

#[test]
fn a_document_that_nobody_could_trust_is_not_made() {
    let mut targets = Targets::new(0, hours(1));
    assert!(Envelope::unsigned(&targets).is_err(), "version 0");
    targets.head.version = 1;
    assert!(Envelope::unsigned(&targets).is_ok());
    let next = sign::next(&targets, hours(9)).unwrap();
    assert_eq!((next.head.version, next.head.expires), (2, hours(9)));
    targets.head.version = u64::MAX;
    assert!(sign::next(&targets, hours(9)).is_err());
    let mut root = Repo::new().root;
    assert!(root.set_role("root", &tuf_fixture::keys(&["one"]), 2).is_err());
}

#[test]
fn keys_that_no_role_names_any_more_are_dropped() {
    let mut root = Repo::new().root;
    let before = root.keys.len();
    root.set_role("timestamp", &tuf_fixture::keys(&["timestamp-new"]), 1)
        .unwrap();
    assert_eq!(root.keys.len(), before);
    assert!(!root.keys.contains_key(key("timestamp").id()));
}

#[test]
fn releases_are_read_in_the_order_of_their_versions() {
    let mut repo = Repo::new();
    repo.add_release("1.10.0", b"ten");
    let from = Digest::of(b"1.0.0");
    let delta = product::delta_path(&shop(), &version("1.10.0"), &from);
    repo.put(PRODUCT, &delta, b"delta", TargetFile::of(b"delta"));
    for not_a_release in [
        "shop-plugin/latest/manifest.json.zst",
        "shop-plugin/1.0.0/notes",
        "other/1.0.0/pack",
    ] {
        repo.put(PRODUCT, not_a_release, b"", TargetFile::of(b""));
    }
    let releases = product::releases(&shop(), &repo.roles[PRODUCT]).unwrap();
    let versions: Vec<String> = releases.iter().map(|r| r.version.to_string()).collect();
    assert_eq!(versions, ["1.0.0", "1.1.0", "1.10.0"]);
    let newest = &releases[2];
    assert_eq!(newest.digest, Digest::of(b"1.10.0"));
    assert_eq!(newest.pack.file.length, 3);
    assert_eq!(newest.deltas.keys().collect::<Vec<_>>(), [&from.short()]);
    assert!(releases[1].deltas.is_empty());
    assert_eq!(
        product::release(&shop(), &version("9.0.0"), &repo.roles[PRODUCT]).unwrap(),
        None
    );
}

#[test]
fn a_revoked_release_says_since_when_and_why() {
    let mut repo = Repo::new();
    let path = product::manifest_path(&shop(), &version("1.0.0"));
    let revoked = Revoked {
        at: now(),
        reason: "loses orders".into(),
    };
    let custom = ManifestCustom {
        release_digest: Digest::of(b"1.0.0"),
        size: 5,
        revoked: Some(revoked.clone()),
    };
    repo.product_role().targets.get_mut(&path).unwrap().custom = Some(custom.to_value().unwrap());
    let release = product::release(&shop(), &version("1.0.0"), &repo.roles[PRODUCT])
        .unwrap()
        .unwrap();
    assert_eq!(release.revoked, Some(revoked));
}

#[test]
fn a_release_that_is_not_whole_is_an_error() {
    let mut repo = Repo::new();
    let manifest = product::manifest_path(&shop(), &version("1.0.0"));
    let pack = product::pack_path(&shop(), &version("1.0.0"));
    let whole = repo.roles[PRODUCT].clone();
    repo.product_role().targets.remove(&pack);
    assert!(product::releases(&shop(), &repo.roles[PRODUCT]).is_err());
    repo.roles.insert(PRODUCT.into(), whole);
    repo.product_role().targets.get_mut(&manifest).unwrap().custom = None;
    assert!(product::releases(&shop(), &repo.roles[PRODUCT]).is_err());
}

#[test]
fn the_product_s_own_rules_survive_signing() {
    let mut repo = Repo::new();
    assert_eq!(ProductInfo::of(&repo.roles[PRODUCT]).unwrap(), ProductInfo::default());
    let field = ProductField {
        minimum_version: Some(version("1.1.0")),
        approvers: [("anna".into(), "ab".repeat(32))].into(),
    };
    field.store(repo.product_role()).unwrap();
    repo.publish_all();
    let read = Document::<Targets>::parse(repo.bytes(PRODUCT, 1), PRODUCT)
        .unwrap()
        .signed;
    let info = ProductInfo::of(&read).unwrap();
    assert_eq!(info.approvers["anna"], [0xab; 32]);
    assert!(!info.allows(&version("1.0.9")));
    assert!(info.allows(&version("1.1.0")));
    assert!(!info.allows(&version("1.1.0-rc.1")));
}

#[test]
fn half_a_rule_is_no_rule() {
    for malformed in [
        serde_json::json!({"minimum_version": "one"}),
        serde_json::json!({"approvers": {"anna": "abc"}}),
        serde_json::json!([]),
    ] {
        let mut repo = Repo::new();
        repo.product_role()
            .head
            .extra
            .insert(product::FIELD.into(), malformed.clone());
        assert!(ProductInfo::of(&repo.roles[PRODUCT]).is_err(), "{malformed}");
    }
}
