//! Who may speak: missing, foreign, expired and revoked certificates, also on connections that are open.

use std::time::Duration;

use plugmend_agent::upstream::{client::ClientError, renewal};
use plugmend_control_plane::{service::standing, store::audit::Actor};
use plugmend_shared::protocol::problem::codes;
use tokio::{io::AsyncReadExt as _, time::timeout};

use crate::{
    raw,
    stand::{SOON, Stand, now},
};

async fn revoke(stand: &Stand, store: &plugmend_agent::upstream::identity_store::IdentityStore) {
    let plugin_id = store.identity().unwrap().unwrap().plugin_id;
    assert!(
        standing::revoke(&stand.db, (&Actor::System, "a test"), plugin_id, "lost", now())
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn without_a_certificate_only_enrolment_is_served() {
    let stand = Stand::start().await;
    for path in ["/api/plugins/commands?wait=0", "/api/plugins/heartbeat", "/v1/renew"] {
        let mut request = raw::get(path);
        if path != "/api/plugins/commands?wait=0" {
            *request.method_mut() = http::Method::POST;
        }
        let answer = raw::send(&stand, None, request).await.unwrap();
        assert_eq!(
            (answer.status, answer.code()),
            (401, codes::CERTIFICATE_REQUIRED.to_owned()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_certificate_of_another_ca_ends_the_handshake_with_a_reason() {
    let (ours, theirs) = (Stand::start().await, Stand::start().await);
    let (store, _) = theirs.agent("a").await;
    let mut identity = store.identity().unwrap().unwrap();
    // It trusts our gateway, but its certificate is not ours.
    identity.ca_pem = ours.ca.certificate_pem().to_owned();
    store.adopt(&identity).unwrap();
    let error = ours.client(&store).poll_commands(0).await.unwrap_err();
    assert!(matches!(error, ClientError::NotTaken { .. }), "{error:?}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_certificate_that_nobody_remembers_is_refused() {
    let stand = Stand::start().await;
    let (_store, client) = stand.agent("a").await;
    client.poll_commands(0).await.unwrap();
    sqlx::raw_sql(
        "UPDATE enrolment_tokens SET spent_at = NULL, spent_on = NULL, spent_key_sha256 = NULL;
                   DELETE FROM agent_certificates",
    )
    .execute(stand.db.pool())
    .await
    .unwrap();
    let refused =
        plugmend_tests::wait::until_async("the refusal", SOON, async || Ok(client.poll_commands(0).await.err()));
    let error = refused.await.unwrap();
    assert!(
        matches!(error, ClientError::Refused(ref problem) if problem.code == codes::CERTIFICATE_UNKNOWN),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_life_of_the_process_has_to_be_told() {
    let stand = Stand::start().await;
    let (store, _) = stand.agent("a").await;
    let shown = raw::shown(&store.identity().unwrap().unwrap());
    let answer = raw::send(&stand, Some(shown), raw::get("/api/plugins/commands?wait=0"))
        .await
        .unwrap();
    assert_eq!((answer.status, answer.code()), (400, codes::MISSING_FIELDS.to_owned()));
}

#[tokio::test]
async fn a_certificate_that_expired_within_the_grace_may_renew_and_nothing_else() {
    let stand = Stand::start().await;
    stand.turn_clock(-31);
    let (store, client) = stand.agent("a").await;
    stand.turn_clock(0);
    let error = client.poll_commands(0).await.unwrap_err();
    assert!(matches!(error, ClientError::Expired(_)), "{error:?}");
    let renewed = renewal::renew(&client).await.unwrap();
    assert_eq!(renewed.renewals, 1);
    client.poll_commands(0).await.unwrap();
    assert_eq!(store.identity().unwrap().unwrap().renewals, 1);
}

#[tokio::test]
async fn a_certificate_that_expired_beyond_the_grace_is_not_taken() {
    let stand = Stand::start().await;
    stand.turn_clock(-61);
    let (_store, client) = stand.agent("a").await;
    stand.turn_clock(0);
    let error = renewal::renew(&client).await.unwrap_err();
    assert!(
        matches!(error, renewal::RenewalError::Client(ClientError::NotTaken { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_gateway_whose_clock_is_a_day_off_serves_all_the_same() {
    for days in [-1, 1] {
        let stand = Stand::start().await;
        stand.turn_clock(days);
        let (_store, client) = stand.agent("a").await;
        client.poll_commands(0).await.unwrap();
        stand.turn_clock(-days);
        client.poll_commands(0).await.unwrap();
        renewal::renew(&client).await.unwrap();
        client.poll_commands(0).await.unwrap();
    }
}

#[tokio::test]
async fn a_revocation_ends_an_open_long_poll_and_the_next_request() {
    let stand = Stand::start().await;
    let (store, client) = stand.agent("a").await;
    client.poll_commands(0).await.unwrap();
    let polling = async {
        timeout(SOON, client.poll_commands(55))
            .await
            .expect("the poll outlived the revocation")
    };
    let (polled, ()) = tokio::join!(polling, async {
        until_waiting(&stand, 1).await;
        revoke(&stand, &store).await;
    });
    assert!(matches!(polled, Err(ClientError::Revoked(_))), "{polled:?}");
    assert!(matches!(client.poll_commands(0).await, Err(ClientError::Revoked(_))));
    let error = renewal::renew(&client).await.unwrap_err();
    assert!(matches!(error, renewal::RenewalError::Client(ClientError::Revoked(_))));
}

/// Until so many requests have been admitted, which shows by what is remembered of the agent's life.
async fn until_waiting(stand: &Stand, agents: i64) {
    plugmend_tests::wait::until_async("a sign of life", SOON, async || {
        let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM agents WHERE sightings -> 'boot' IS NOT NULL")
            .fetch_one(stand.db.pool())
            .await?;
        Ok((seen >= agents).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_revocation_closes_a_connection_that_stands_idle() {
    let stand = Stand::start().await;
    let (store, _) = stand.agent("a").await;
    let shown = raw::shown(&store.identity().unwrap().unwrap());
    let mut idle = raw::connect(&stand, Some(shown)).await.unwrap();
    // In TLS 1.3 the client is done first: only an answer shows that the gateway has seen the certificate.
    tokio::io::AsyncWriteExt::write_all(&mut idle, b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut buffer = [0; 4096];
    assert!(idle.read(&mut buffer).await.unwrap() > 0);
    revoke(&stand, &store).await;
    let closed = timeout(SOON, async {
        while idle.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    });
    closed.await.expect("the connection outlived the revocation");
}

#[tokio::test]
async fn a_revocation_written_by_hand_counts_on_every_replica() {
    let stand = Stand::start().await;
    let replica = stand.replica();
    let (store, _) = stand.agent("a").await;
    let client = replica.client(&store);
    client.poll_commands(0).await.unwrap();
    let polling = async {
        timeout(SOON, client.poll_commands(55))
            .await
            .expect("the poll outlived the revocation")
    };
    let (polled, ()) = tokio::join!(polling, async {
        until_waiting(&stand, 1).await;
        sqlx::query("UPDATE agents SET revoked_at = now(), revoked_reason = 'by hand'")
            .execute(stand.db.pool())
            .await
            .unwrap();
    });
    assert!(
        matches!(&polled, Err(ClientError::Revoked(why)) if why.contains("by hand")),
        "{polled:?}"
    );
}

#[tokio::test]
async fn a_gateway_that_is_away_is_a_fault_that_passes() {
    let stand = Stand::start().await;
    let (store, _) = stand.agent("a").await;
    let client = crate::stand::client_of("https://127.0.0.1:1", &store).unwrap();
    let error = client.poll_commands(0).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    let slow = timeout(Duration::from_mins(1), renewal::renew(&client)).await.unwrap();
    assert!(slow.unwrap_err().is_transient());
}

#[tokio::test]
async fn a_certificate_that_was_revoked_since_its_request_was_let_through_is_not_renewed() {
    let stand = Stand::start().await;
    let (store, client) = stand.agent("a").await;
    renewal::renew(&client).await.unwrap();
    let client = stand.client(&store);
    client.poll_commands(0).await.unwrap();
    // Somebody holds the agent's row: the renewal is let through, and waits.
    let mut held = stand.db.begin().await.unwrap();
    sqlx::query("SELECT plugin_id FROM agents FOR UPDATE")
        .fetch_all(&mut *held)
        .await
        .unwrap();
    let renewing = renewal::renew(&client);
    let (renewed, ()) = tokio::join!(renewing, async {
        plugmend_tests::wait::until_async("a renewal that waits", SOON, async || {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )
            .fetch_one(stand.db.pool())
            .await?;
            Ok((waiting > 0).then_some(()))
        })
        .await
        .unwrap();
        // Only the certificate it showed, by hand and in silence, as if no news had come yet.
        sqlx::raw_sql(
            "ALTER TABLE agent_certificates DISABLE TRIGGER USER;
             UPDATE agent_certificates SET revoked_at = now(), revoked_reason = 'stolen' WHERE renewals = 1;
             ALTER TABLE agent_certificates ENABLE TRIGGER USER",
        )
        .execute(&mut *held)
        .await
        .unwrap();
        held.commit().await.unwrap();
    });
    assert!(renewed.is_err(), "{renewed:?}");
    let made: i64 = sqlx::query_scalar("SELECT count(*) FROM agent_certificates")
        .fetch_one(stand.db.pool())
        .await
        .unwrap();
    assert_eq!(made, 2);
}
