//! Approvals that people sign with keys of their own: collected here, checked by the agent.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use plugmend_shared::{
    bundle::{
        approval::{self, statement},
        manifest::{Approvals, Manifest},
    },
    ids::{Digest, MerchantId},
    protocol::command::ApprovalSignature,
    tuf::{product::ProductField, sign::SigningKey},
};
use serde_json::{Value, json};
use support::{
    http::{Answer, HttpClient},
    people,
    plane::{Plane, Plugin},
    releases::{Engineers, begin, build, from_manifest, key, order, publish, upload},
};

const EVE: (&str, &str) = ("eve", "pay_admin");
const BOB: (&str, &str) = ("bob", "compliance_ops");

/// A published release that takes two signatures, and a plugin to install it on.
struct Stage {
    plane: Plane,
    plugin: Plugin,
    gateway: HttpClient,
    release: Digest,
    keys: Vec<SigningKey>,
    engineers: Engineers,
}

async fn stage() -> Stage {
    let (mut plane, mut engineers) = begin().await;
    let keys = vec![key(), key()];
    let mut field = ProductField::of(&engineers.releases).unwrap();
    for key in &keys {
        field
            .approvers
            .insert(key.id().clone(), key.public().keyval.public.clone());
    }
    field.store(&mut engineers.releases).unwrap();
    let files = [("index.js", "one")];
    let plain = build("1.0.0", &files);
    let asks = Manifest {
        approvals: Approvals { required: 2 },
        ..plain.manifest
    };
    let built = from_manifest(asks, &files);
    upload(&plane, &built).await;
    engineers.add(&built);
    publish(&plane, engineers.submission()).await.expect(200);
    let plugin = plane.agent_plugin().await;
    let gateway = plane.gateway(&plugin);
    let release = built.manifest.digest().unwrap();
    Stage {
        plane,
        plugin,
        gateway,
        release,
        keys,
        engineers,
    }
}

impl Stage {
    fn sign(&self, key: &SigningKey, merchant: MerchantId, expires: i64) -> ApprovalSignature {
        let message = statement(&Engineers::product(), &self.release, merchant, expires);
        ApprovalSignature {
            keyid: key.id().0.clone(),
            sig: hex::encode(key.sign(&message)),
            expires,
        }
    }

    async fn approve(&self, (who, role): (&str, &str), path: &str, signature: Option<ApprovalSignature>) -> Answer {
        let token = people::sign(&people::claims(who, &[role], self.plane.now()));
        let body = json!({ "signature": signature });
        let path = format!("{path}/approve");
        self.plane.api.send("POST", &path, &token, body.to_string()).await
    }

    async fn polled(&self) -> Value {
        let polled = self.gateway.send("GET", "/api/plugins/commands?wait=0", "", "").await;
        polled.expect(200)["commands"][0].clone()
    }
}

#[tokio::test]
async fn two_signatures_travel_with_the_order_and_an_agent_takes_them() {
    let stage = stage().await;
    let plane = &stage.plane;
    let asked = order(plane, &stage.plugin, "1.0.0").await.expect(202);
    let path = format!("/api/ops/approvals/{}", asked["approval_id"].as_str().unwrap());
    let shown = plane.ops("GET", &path, Value::Null).await.expect(200);
    assert_eq!(
        (&shown["reasons"][0]["code"], &shown["missing"]["signatures"]),
        (&json!("signed_approvals_needed"), &json!(2))
    );
    let (here, later) = (stage.plugin.merchant_id, plane.now().as_second() + 3 * 24 * 3600);
    let elsewhere = MerchantId(uuid::Uuid::from_u128(9));
    for wrong in [
        stage.sign(&key(), here, later),
        stage.sign(&stage.keys[0], elsewhere, later),
        stage.sign(&stage.keys[0], here, plane.now().as_second()),
        ApprovalSignature {
            expires: later + 1,
            ..stage.sign(&stage.keys[0], here, later)
        },
    ] {
        stage
            .approve(EVE, &path, Some(wrong))
            .await
            .refuses(400, "invalid_signature");
    }
    let first = stage.sign(&stage.keys[0], here, later);
    let eve = stage.approve(EVE, &path, Some(first.clone())).await.expect(200);
    assert_eq!(
        eve["missing"],
        json!({ "people": 1, "one_of_each": [], "signatures": 1 })
    );
    stage.approve(BOB, &path, Some(first)).await.refuses(409, "key_used");
    // A yes is a yes; what the agent wants can come after it.
    let unsigned = stage.approve(BOB, &path, None).await.expect(200);
    assert_eq!(
        (&unsigned["status"], &unsigned["missing"]["signatures"]),
        (&json!("pending"), &json!(1))
    );
    assert_eq!(stage.polled().await, Value::Null);
    let second = stage.sign(&stage.keys[1], here, later);
    let done = stage.approve(BOB, &path, Some(second)).await.expect(200);
    assert_eq!(done["status"], "approved");
    let order = stage.polled().await;
    let signatures: Vec<ApprovalSignature> = serde_json::from_value(order["payload"]["approvals"].clone()).unwrap();
    assert_eq!(signatures.len(), 2);
    let known = plugmend_shared::tuf::product::ProductInfo::of(&stage.engineers.releases)
        .unwrap()
        .approvers;
    let about = (&Engineers::product(), &stage.release, here);
    assert_eq!(approval::check(2, &known, &signatures, about, plane.now()), Ok(()));
}

#[tokio::test]
async fn an_order_that_brings_its_signatures_asks_nobody() {
    let stage = stage().await;
    let plane = &stage.plane;
    let (here, later) = (stage.plugin.merchant_id, plane.now().as_second() + 3600);
    let signatures: Vec<ApprovalSignature> = stage.keys.iter().map(|key| stage.sign(key, here, later)).collect();
    let body = json!({ "type": "update", "version": "1.0.0", "approvals": signatures });
    let path = format!("/api/ops/plugins/{}/commands", stage.plugin.id);
    plane.ops("POST", &path, body).await.expect(201);
    let order = stage.polled().await;
    assert_eq!(order["payload"]["approvals"].as_array().unwrap().len(), 2);
}
