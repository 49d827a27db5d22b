//! What is bounded over time and by address.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::{net::TcpListener, num::NonZeroU32, sync::Arc};

use jiff::SignedDuration;
use plugmend_control_plane::{
    http::{
        self,
        address_rates::{AddressRates, limited},
    },
    jobs::{ForgetIdentities, Reconciler as _},
};
use support::{http::HttpClient, plane::Plane};

#[tokio::test]
async fn tokens_and_certificates_that_are_long_of_no_use_are_forgotten() {
    let plane = Plane::start().await;
    let plugin = plane.agent_plugin().await;
    plane
        .database
        .run(&format!(
            "INSERT INTO agents (plugin_id, merchant_id, product, agent_version, enrolled_at, enrolled_from)
             VALUES ('{0}', '{1}', 'p', '0', now(), 'x');
             INSERT INTO agent_certificates
               (fingerprint, serial, plugin_id, renewals, key_sha256, certificate_pem, issued_at, not_after, renew_after)
             SELECT sha256(n::text::bytea), n::text, '{0}', n, sha256('k'), '', now() - n_days, now() - n_days, now()
             FROM (VALUES (1, interval '200 days'), (2, interval '100 days'), (3, interval '1 day')) AS t (n, n_days);
             INSERT INTO enrolment_tokens (id, secret_hash, merchant_id, product, cms, created_by, created_at, expires_at)
             SELECT gen_random_uuid(), sha256('s'), '{1}', 'p', 'node', 'ada', now(), now() - age
             FROM (VALUES (interval '31 days'), (interval '29 days'), (interval '-1 day')) AS t (age);
             UPDATE enrolment_tokens SET spent_at = now(), spent_on = '{0}', spent_key_sha256 = sha256('k')
             WHERE expires_at > now()",
            plugin.id, plugin.merchant_id
        ))
        .await;
    let job = ForgetIdentities::new(plane.state.db.clone(), SignedDuration::from_hours(24 * 30));
    assert_eq!(job.activate(plane.now()).await.unwrap().done, 3);
    assert_eq!(plane.database.number("SELECT count(*) FROM enrolment_tokens").await, 2);
    assert_eq!(
        plane
            .database
            .text("SELECT serial FROM agent_certificates")
            .await
            .as_deref(),
        Some("3")
    );
    // The newest stays, however old: it says whose the agent is.
    plane
        .database
        .run("UPDATE agent_certificates SET not_after = now() - interval '9 years'")
        .await;
    assert_eq!(job.activate(plane.now()).await.unwrap().done, 0);
}

#[tokio::test]
async fn one_address_gets_its_share_of_the_api_and_no_more() {
    let plane = Plane::start().await;
    let three = NonZeroU32::new(3).unwrap();
    let rates = AddressRates::new(NonZeroU32::MIN, three, vec!["127.0.0.1".parse().unwrap()]);
    let router = limited(http::api_router(plane.state.clone()).unwrap(), Arc::new(rates));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let client = HttpClient::new(listener.local_addr().unwrap());
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(http::serve_plain(listener, router, stopped));
    let ask = async |from: &str, path: &str| client.send_with("GET", path, &[("x-forwarded-for", from)], "").await;
    let mut refused = 0;
    for _ in 0..20 {
        let answer = ask("198.51.100.7", "/api/ops/releases").await;
        if answer.status == 429 {
            assert!(answer.headers.contains_key("retry-after"));
            refused += 1;
        } else {
            answer.refuses(401, "unauthorized");
        }
    }
    assert!(refused > 0);
    // Others behind the same proxy have their own share, and health is always told.
    ask("198.51.100.8", "/api/ops/releases")
        .await
        .refuses(401, "unauthorized");
    for _ in 0..9 {
        assert_eq!(ask("198.51.100.7", "/healthz").await.status, 200);
    }
}
