//! Published releases: fresh, ordered, blocked, revoked and served.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod support;

use jiff::SignedDuration;
use plugmend_control_plane::{
    repo::{KnownReleases, OnlineKeys, Repository, Submission},
    service,
};
use plugmend_shared::{
    ids::Digest,
    tuf::{
        Document, Timestamp,
        product::{ManifestCustom, Revoked},
        sign,
        trusted::TrustedSet,
    },
};
use ring::rand::SystemRandom;
use serde_json::{Value, json};

use support::releases::{PRODUCT, begin, build, order, publish, published, put, stored, upload};

#[tokio::test]
async fn snapshot_and_timestamp_are_renewed_before_they_expire() {
    let (plane, ..) = published().await;
    let state = &plane.state;
    let renew = async || {
        service::release::refresh_if_due(&state.db, &state.repo, plane.now())
            .await
            .unwrap()
    };
    assert!(!renew().await, "nothing was due");
    let root = stored(&plane, "metadata/1.root.json").unwrap();
    let mut seen = TrustedSet::new(&root, plane.now()).unwrap();
    seen.update_timestamp(&stored(&plane, "metadata/timestamp.json").unwrap())
        .unwrap();
    let mut timestamps = 1;
    for day in 1..=30 {
        plane.advance(24 * 3600 + 60);
        assert!(renew().await, "day {day}");
        assert!(!renew().await, "day {day}, twice");
        timestamps += 1;
        // An agent that was there all the while goes along.
        let bytes = stored(&plane, "metadata/timestamp.json").unwrap();
        assert_eq!(
            Document::<Timestamp>::parse(&bytes, "timestamp").unwrap().version(),
            timestamps
        );
        let mut agent = TrustedSet::new(&root, plane.now()).unwrap();
        agent.restore_timestamp(&bytes).unwrap();
        agent.update_timestamp(&bytes).unwrap();
        let version = agent.timestamp().unwrap().snapshot().unwrap().version;
        agent
            .update_snapshot(&stored(&plane, &format!("metadata/{version}.snapshot.json")).unwrap())
            .unwrap();
        agent
            .update_targets("targets", "root", &stored(&plane, "metadata/1.targets.json").unwrap())
            .unwrap();
    }
}

#[tokio::test]
async fn an_upload_that_nobody_publishes_is_removed_after_a_day() {
    let (plane, _) = begin().await;
    put(&plane, &Digest::of(b"left"), b"left").await.expect(201);
    let path = format!("incoming/{}", Digest::of(b"left"));
    service::release::refresh_if_due(&plane.state.db, &plane.state.repo, plane.now())
        .await
        .unwrap();
    assert!(stored(&plane, &path).is_some());
    plane.advance(25 * 3600);
    service::release::refresh_if_due(&plane.state.db, &plane.state.repo, plane.now())
        .await
        .unwrap();
    assert_eq!(stored(&plane, &path), None);
}

#[tokio::test]
async fn an_order_carries_the_digest_of_what_is_signed() {
    let (plane, _, built) = published().await;
    let plugin = plane.agent_plugin().await;
    let given = order(&plane, &plugin, "1.0.0").await.expect(201);
    let path = format!("/api/ops/commands/{}", given["id"].as_str().unwrap());
    let shown = plane.ops("GET", &path, Value::Null).await.expect(200);
    assert_eq!(
        shown["payload"]["release_digest"],
        json!(built.manifest.digest().unwrap())
    );
    assert!(order(&plane, &plugin, "9.9.9").await.status >= 400);
}

#[tokio::test]
async fn a_blocked_release_is_offered_no_more_at_once() {
    let (plane, ..) = published().await;
    let plugin = plane.agent_plugin().await;
    let waiting = order(&plane, &plugin, "1.0.0").await.expect(201);
    let path = format!("/api/ops/releases/{PRODUCT}/1.0.0/block");
    plane
        .ops("POST", &path, json!({ "reason": "" }))
        .await
        .refuses(400, "invalid_field");
    let blocked = plane
        .ops("POST", &path, json!({ "reason": "wrong totals" }))
        .await
        .expect(200);
    assert_eq!(blocked["orders_ended"], 1);
    let waiting = format!("/api/ops/commands/{}", waiting["id"].as_str().unwrap());
    assert_eq!(
        plane.ops("GET", &waiting, Value::Null).await.expect(200)["status"],
        "failed"
    );
    assert!(order(&plane, &plugin, "1.0.0").await.status >= 400);
    let list = plane.ops("GET", "/api/ops/releases", Value::Null).await.expect(200);
    assert_eq!(list["releases"][0]["state"], "blocked");
    plane
        .ops("POST", &path, json!({ "reason": "was fine", "lift": true }))
        .await
        .expect(200);
    order(&plane, &plugin, "1.0.0").await.expect(201);
    let unknown = format!("/api/ops/releases/{PRODUCT}/7.0.0/block");
    plane
        .ops("POST", &unknown, json!({ "reason": "x" }))
        .await
        .refuses(404, "unknown_release");
}

#[tokio::test]
async fn a_block_waits_for_a_plugin_before_it_holds_an_order() {
    let (plane, ..) = published().await;
    let plugin = plane.agent_plugin().await;
    order(&plane, &plugin, "1.0.0").await.expect(201);
    // As a heartbeat does: first the plugin, then its orders.
    let mut heartbeat = plane.database.db.begin().await.unwrap();
    let lock = |sql: &'static str| sqlx::query(sql);
    lock("SELECT FROM merchant_plugins FOR NO KEY UPDATE")
        .execute(&mut *heartbeat)
        .await
        .unwrap();
    let path = format!("/api/ops/releases/{PRODUCT}/1.0.0/block");
    let block = plane.ops("POST", &path, json!({ "reason": "wrong totals" }));
    let heartbeat = async {
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()
                     AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())";
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
        while plane.database.number(waits).await == 0 {
            assert!(
                tokio::time::Instant::now() < deadline,
                "the block does not wait for the plugin"
            );
            tokio::task::yield_now().await;
        }
        lock("SELECT FROM plugin_agent_commands FOR UPDATE NOWAIT")
            .execute(&mut *heartbeat)
            .await
            .unwrap();
        heartbeat.rollback().await.unwrap();
    };
    let (blocked, ()) = tokio::join!(block, heartbeat);
    assert_eq!(blocked.expect(200)["orders_ended"], 1);
}

#[tokio::test]
async fn a_signed_revocation_ends_the_orders_for_a_release() {
    let (plane, mut engineers, built) = published().await;
    let plugin = plane.agent_plugin().await;
    order(&plane, &plugin, "1.0.0").await.expect(201);
    engineers.next();
    let entry = engineers
        .releases
        .targets
        .get_mut(&format!("{PRODUCT}/1.0.0/manifest.json.zst"))
        .unwrap();
    let custom = ManifestCustom {
        release_digest: built.manifest.digest().unwrap(),
        size: built.manifest.to_bytes().unwrap().len() as u64,
        revoked: Some(Revoked {
            at: plane.now(),
            reason: "it loses orders".to_owned(),
        }),
    };
    entry.custom = Some(custom.to_value().unwrap());
    publish(&plane, engineers.submission()).await.expect(200);
    let list = plane.ops("GET", "/api/ops/releases", Value::Null).await.expect(200);
    assert_eq!(list["releases"][0]["state"], "revoked");
    assert_eq!(list["releases"][0]["reason"], "it loses orders");
    assert!(order(&plane, &plugin, "1.0.0").await.status >= 400);
}

#[tokio::test]
async fn releases_come_back_into_a_database_that_lost_them() {
    let (plane, engineers, _) = published().await;
    plane.database.run("DELETE FROM releases").await;
    assert_eq!(
        plane.ops("GET", "/api/ops/releases", Value::Null).await.expect(200)["releases"],
        json!([])
    );
    let answer = publish(&plane, engineers.submission()).await.expect(200);
    assert_eq!(answer["new_releases"], json!(["molam-pay-node 1.0.0"]));
}

#[tokio::test]
async fn the_repository_is_served_in_ranges() {
    let (mut plane, _, built) = published().await;
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    let get = async |path: &str, headers: &[(&str, &str)]| gateway.send_with("GET", path, headers, "").await;
    let timestamp = get("/repo/metadata/timestamp.json", &[]).await;
    assert_eq!(
        (timestamp.status, &timestamp.headers["cache-control"]),
        (200, &"no-cache".parse().unwrap())
    );
    assert_eq!(get("/repo/metadata/1.root.json", &[]).await.status, 200);

    let pack = &built.files[1];
    let path = format!("/repo/targets/{PRODUCT}/1.0.0/{}.pack", Digest::of(pack));
    let whole = get(&path, &[]).await;
    assert_eq!((whole.status, &whole.bytes[..]), (200, &pack[..]));
    let tag = whole.headers["etag"].to_str().unwrap().to_owned();
    let part = get(&path, &[("range", "bytes=3-9"), ("if-range", &tag)]).await;
    assert_eq!((part.status, &part.bytes[..]), (206, &pack[3..10]));
    assert_eq!(part.headers["content-range"], format!("bytes 3-9/{}", pack.len()));
    assert_eq!(
        get(&path, &[("range", "bytes=3-9"), ("if-range", "\"old\"")])
            .await
            .status,
        200
    );
    assert_eq!(get(&path, &[("range", "bytes=99999-")]).await.status, 416);
    assert_eq!(get(&path, &[("if-none-match", &tag)]).await.status, 304);
    let head = gateway.send_with("HEAD", &path, &[], "").await;
    assert_eq!(head.headers["content-length"], pack.len().to_string());

    for hidden in [
        "/repo/metadata/nothing.json",
        "/repo/metadata/..%2f..%2fkeys%2fsnapshot.pem",
        "/repo/targets/..%2f..%2fkeys%2fsnapshot.pem",
        "/repo/targets/../../keys/snapshot.pem",
        &format!("/repo/targets/..%2fincoming%2f{}", Digest::of(b"x")),
        &format!("/repo/targets/{PRODUCT}/1.0.0/pack"),
    ] {
        assert_eq!(get(hidden, &[]).await.status, 404, "{hidden}");
    }
}

#[tokio::test]
async fn a_version_that_was_dropped_can_not_come_back_with_other_content() {
    let (plane, mut engineers, _) = published().await;
    engineers.next();
    engineers.releases.targets.clear();
    publish(&plane, engineers.submission()).await.expect(200);
    let other = build("1.0.0", &[("index.js", "other")]);
    let good = build("1.1.0", &[("index.js", "two")]);
    upload(&plane, &other).await;
    upload(&plane, &good).await;
    engineers.next();
    engineers.add(&other);
    engineers.add(&good);
    let refused = publish(&plane, engineers.submission()).await;
    refused.refuses(422, "release_refused");
    assert!(refused.body["detail"].as_str().unwrap().contains("another version"));
    // Nothing of it was published, so the others can be.
    engineers.releases.targets.clear();
    engineers.add(&good);
    let answer = publish(&plane, engineers.submission()).await.expect(200);
    assert_eq!(answer["new_releases"], json!(["molam-pay-node 1.1.0"]));
}

#[tokio::test]
async fn a_release_that_contradicts_the_database_does_not_keep_the_others_out() {
    let (plane, mut engineers, _) = published().await;
    // What is known here as 1.0.0 is another one: the database came from a backup of elsewhere, say.
    plane
        .database
        .run("UPDATE releases SET digest = sha256('elsewhere'::bytea)")
        .await;
    // The check before publishing refuses that, too late for what was published before the check was there.
    let known = KnownReleases::new();
    let good = build("1.2.0", &[("index.js", "three")]);
    upload(&plane, &good).await;
    engineers.next();
    engineers.add(&good);
    let submission = engineers.submission();
    let text = |role: &str| bytes::Bytes::from(submission["metadata"][role].as_str().unwrap().to_owned());
    let metadata = [
        ("targets".to_owned(), text("targets")),
        (PRODUCT.to_owned(), text(PRODUCT)),
    ];
    let submission = Submission {
        roots: Vec::new(),
        metadata: metadata.into(),
    };
    plane.state.repo.publish(submission, &known, plane.now()).await.unwrap();
    let synced = service::release::take_stock(&plane.state.db, &plane.state.repo, plane.now())
        .await
        .unwrap();
    assert_eq!(synced, 1);
    let list = plane.ops("GET", "/api/ops/releases", Value::Null).await.expect(200);
    assert_eq!(list["releases"][1]["version"], "1.2.0");
}

#[tokio::test]
async fn one_products_expired_metadata_do_not_keep_the_others_from_publishing() {
    let (plane, mut engineers, _) = published().await;
    engineers.add_product("molam-ship-node", plane.now() + SignedDuration::from_hours(24));
    publish(&plane, engineers.submission()).await.expect(200);
    plane.advance(48 * 3600);
    let good = build("1.1.0", &[("index.js", "two")]);
    upload(&plane, &good).await;
    engineers.next();
    engineers.add(&good);
    publish(&plane, engineers.submission()).await.expect(200);
    // What is new must not be expired, of course.
    engineers.releases = sign::next(&engineers.releases, plane.now() - SignedDuration::from_hours(1)).unwrap();
    publish(&plane, engineers.submission())
        .await
        .refuses(422, "release_refused");
}

#[tokio::test]
async fn replicas_that_find_the_metadata_due_at_once_renew_them_once() {
    let (plane, ..) = published().await;
    let keys = || OnlineKeys::load_or_make(&plane.repository.path().join("keys"), &SystemRandom::new()).unwrap();
    for day in 1..=5 {
        plane.advance(24 * 3600 + 60);
        let mut replicas = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let repo = Repository::open(&plane.repository.path().join("repository"), keys()).unwrap();
            let (db, now) = (plane.state.db.clone(), plane.now());
            replicas.spawn(async move { service::release::refresh_if_due(&db, &repo, now).await.unwrap() });
        }
        let renewed = replicas.join_all().await.into_iter().filter(|renewed| *renewed).count();
        assert_eq!(renewed, 1, "day {day}");
        let bytes = stored(&plane, "metadata/timestamp.json").unwrap();
        let version = Document::<Timestamp>::parse(&bytes, "timestamp").unwrap().version();
        assert_eq!(version, day + 1);
    }
}
