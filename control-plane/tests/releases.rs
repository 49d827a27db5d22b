//! Publishing and refusing releases, over HTTP.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod support;

use jiff::SignedDuration;
use plugmend_control_plane::repo::OnlineKeys;
use plugmend_shared::{
    ids::Digest,
    tuf::{Root, sign},
};
use ring::rand::SystemRandom;
use serde_json::{Value, json};

use support::{
    people,
    releases::{Engineers, PRODUCT, begin, build, from_manifest, publish, published, put, stored, upload},
};

#[tokio::test]
async fn a_release_is_published_once_its_threshold_is_met() {
    let (plane, mut engineers) = begin().await;
    let built = build("1.0.0", &[("index.js", "one")]);
    upload(&plane, &built).await;
    engineers.add(&built);
    for who in [&[][..], &[0], &[2]] {
        publish(&plane, engineers.submission_by(who))
            .await
            .refuses(422, "release_refused");
        assert_eq!(
            stored(&plane, "metadata/timestamp.json"),
            None,
            "something was published"
        );
    }
    let answer = publish(&plane, engineers.submission_by(&[0, 2])).await.expect(200);
    assert_eq!(answer["new_releases"], json!(["molam-pay-node 1.0.0"]));
    let list = plane.ops("GET", "/api/ops/releases", Value::Null).await.expect(200);
    assert_eq!(list["releases"][0]["digest"], json!(built.manifest.digest().unwrap()));
    assert_eq!(list["releases"][0]["state"], "published");
    let again = publish(&plane, engineers.submission_by(&[0, 2])).await.expect(200);
    assert_eq!((&again["changed"], &again["timestamp"]), (&json!(false), &json!(1)));
}

#[tokio::test]
async fn one_persons_key_counts_once() {
    let (plane, mut engineers) = begin().await;
    engineers.add(&build("1.0.0", &[("a", "a")]));
    let mut twice: Value = serde_json::from_str(&engineers.sign(&engineers.releases, &[0])).unwrap();
    let one = twice["signatures"][0].clone();
    twice["signatures"].as_array_mut().unwrap().push(one);
    let mut submission = engineers.submission();
    submission["metadata"][PRODUCT] = json!(twice.to_string());
    publish(&plane, submission).await.refuses(422, "release_refused");
}

#[tokio::test]
async fn an_upload_is_kept_only_under_its_own_hash() {
    let (plane, mut engineers) = begin().await;
    let built = build("1.0.0", &[("index.js", "one")]);
    put(&plane, &Digest::of(b"something else"), &built.files[0])
        .await
        .refuses(422, "wrong_upload");
    put(&plane, &Digest::of(&built.files[0]), &built.files[0][1..])
        .await
        .refuses(422, "wrong_upload");
    let path = format!("/api/ops/releases/blobs/{}", Digest::of(&built.files[0]));
    plane
        .ops("GET", &path, Value::Null)
        .await
        .refuses(404, "unknown_upload");
    engineers.add(&built);
    publish(&plane, engineers.submission())
        .await
        .refuses(422, "missing_upload");
    assert_eq!(stored(&plane, "metadata/timestamp.json"), None);
    upload(&plane, &built).await;
    assert_eq!(plane.ops("GET", &path, Value::Null).await.status, 204);
    publish(&plane, engineers.submission()).await.expect(200);
}

#[tokio::test]
async fn only_pay_admins_publish() {
    let (plane, engineers) = begin().await;
    let token = people::sign(&people::claims("bo", &["compliance_ops"], plane.now()));
    let body = engineers.submission().to_string();
    let answer = plane.api.send("POST", "/api/ops/releases/publish", &token, body).await;
    answer.refuses(403, "forbidden");
    plane.api.send("GET", "/api/ops/releases", &token, "").await.expect(200);
    plane
        .api
        .send("GET", "/api/ops/releases", "", "")
        .await
        .refuses(401, "unauthorized");
}

#[tokio::test]
async fn a_manifest_must_be_that_of_its_signed_place() {
    let (plane, mut engineers) = begin().await;
    let honest = build("1.0.0", &[("index.js", "one")]);
    // Signed by two people, in a place that says 2.0.0.
    let mut misplaced = from_manifest(honest.manifest.clone(), &[("index.js", "one")]);
    misplaced.entries = misplaced
        .entries
        .into_iter()
        .map(|(path, f)| (path.replace("1.0.0", "2.0.0"), f))
        .collect();
    upload(&plane, &misplaced).await;
    engineers.add(&misplaced);
    publish(&plane, engineers.submission())
        .await
        .refuses(422, "release_refused");
}

#[tokio::test]
async fn a_pack_of_another_release_is_refused() {
    let (plane, mut engineers) = begin().await;
    let mut built = build("1.0.0", &[("index.js", "one"), ("b.js", "two")]);
    let other = build("1.0.0", &[("index.js", "one")]);
    let pack = format!("{PRODUCT}/1.0.0/pack");
    built.entries.insert(pack.clone(), other.entries[&pack].clone());
    built.files[1].clone_from(&other.files[1]);
    upload(&plane, &built).await;
    engineers.add(&built);
    publish(&plane, engineers.submission())
        .await
        .refuses(422, "release_refused");
}

#[tokio::test]
async fn blocks_of_another_release_are_refused() {
    let (plane, mut engineers) = begin().await;
    let mut built = build("1.0.0", &[("index.js", "one"), ("b.js", "two")]);
    let other = build("1.0.0", &[("index.js", "one")]);
    let blocks = format!("{PRODUCT}/1.0.0/blocks");
    built.entries.insert(blocks.clone(), other.entries[&blocks].clone());
    built.files[2].clone_from(&other.files[2]);
    upload(&plane, &built).await;
    engineers.add(&built);
    let answer = publish(&plane, engineers.submission()).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(stored(&plane, "metadata/timestamp.json").is_none());
}

#[tokio::test]
async fn what_is_published_is_neither_taken_back_nor_replaced() {
    let (plane, mut engineers, built) = published().await;
    let before = engineers.submission();
    // Another release under the same version.
    let other = build("1.0.0", &[("index.js", "other")]);
    upload(&plane, &other).await;
    engineers.next();
    engineers.add(&other);
    publish(&plane, engineers.submission())
        .await
        .refuses(422, "release_refused");
    // Metadata that were signed before.
    engineers.add(&built);
    publish(&plane, engineers.submission()).await.expect(200);
    publish(&plane, before).await.refuses(422, "release_refused");
    // A file that is no release.
    engineers.next();
    let stray = engineers.releases.targets.values().next().unwrap().clone();
    engineers
        .releases
        .targets
        .insert(format!("{PRODUCT}/1.0.0/install.sh"), stray);
    publish(&plane, engineers.submission())
        .await
        .refuses(422, "release_refused");
}

#[tokio::test]
async fn the_root_must_name_this_control_planes_online_keys() {
    let (plane, _) = begin().await;
    let foreign = OnlineKeys::load_or_make(&plane.repository.path().join("other"), &SystemRandom::new()).unwrap();
    let engineers = Engineers::new(foreign.public(), plane.now());
    let answer = publish(&plane, engineers.submission()).await;
    answer.refuses(422, "release_refused");
    assert!(
        answer.body["detail"].as_str().unwrap().contains("rotate online"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn a_new_root_is_signed_by_the_old_and_the_new_keys() {
    let (plane, mut engineers, _) = published().await;
    let first = engineers.sign(&engineers.root, &[0, 1]);
    let old = std::mem::replace(&mut engineers.keys[2], support::releases::key());
    engineers.root = sign::next(&engineers.root, engineers.root.head.expires).unwrap();
    engineers.set_root(2);
    let submit = |root: String, engineers: &Engineers| {
        json!({ "roots": [first.clone(), root], "metadata": {
            "targets": engineers.sign(&engineers.targets, &[0, 1]), PRODUCT: engineers.sign(&engineers.releases, &[0, 1]) } })
    };
    // The old threshold alone, of which one key is gone.
    let mut by_old = plugmend_shared::tuf::Envelope::unsigned(&engineers.root).unwrap();
    by_old.sign(&engineers.keys[0]).unwrap();
    by_old.sign(&old).unwrap();
    let by_old = String::from_utf8(by_old.to_bytes().unwrap()).unwrap();
    publish(&plane, submit(by_old, &engineers))
        .await
        .refuses(422, "release_refused");
    // Two of the new keys, one of which the old root does not know.
    let by_new = engineers.sign(&engineers.root, &[0, 2]);
    publish(&plane, submit(by_new, &engineers))
        .await
        .refuses(422, "release_refused");
    let by_both = engineers.sign(&engineers.root, &[0, 1]);
    let answer = publish(&plane, submit(by_both.clone(), &engineers)).await.expect(200);
    assert_eq!(answer["root"], 2);
    assert_eq!(stored(&plane, "metadata/2.root.json").unwrap(), by_both.as_bytes());
    // A root may not be swapped for another of the same version.
    let mut other = engineers.root.clone();
    other.head.expires += SignedDuration::from_hours(1);
    let other = engineers.sign(&other, &[0, 1]);
    publish(&plane, submit(other, &engineers))
        .await
        .refuses(422, "release_refused");
}

#[tokio::test]
async fn hostile_submissions_are_refused_in_words() {
    let (plane, engineers) = begin().await;
    for body in ["", "{", "{\"roots\": 1}", "{\"surprise\": []}"] {
        let answer = plane
            .api
            .send("POST", "/api/ops/releases/publish", &plane.token, body)
            .await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
    }
    let deep = "[".repeat(100_000);
    for root in ["", "{}", "null", &deep, "{\"signatures\":[],\"signed\":{}}"] {
        publish(&plane, json!({ "roots": [root], "metadata": {} }))
            .await
            .refuses(422, "release_refused");
    }
    publish(&plane, json!({})).await.refuses(422, "release_refused");
    let mut stray = engineers.submission();
    stray["metadata"]["somebody-else"] = stray["metadata"][PRODUCT].clone();
    publish(&plane, stray).await.refuses(422, "release_refused");
    let second: Root = sign::next(&engineers.root, engineers.root.head.expires).unwrap();
    let mut late = engineers.submission();
    late["roots"] = json!([engineers.sign(&second, &[0, 1])]);
    publish(&plane, late).await.refuses(422, "release_refused");
    assert_eq!(stored(&plane, "metadata/timestamp.json"), None);
}
