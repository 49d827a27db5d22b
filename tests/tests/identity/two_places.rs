//! One identity on two hosts is fenced on both sides; one host, whatever happens to it, is not.

use plugmend_agent::upstream::{client::ClientError, identity_store::IdentityStore, renewal};
use plugmend_control_plane::store::agent;

use crate::stand::{Stand, client_of};

async fn fence_of(stand: &Stand, store: &IdentityStore) -> Option<serde_json::Value> {
    let plugin_id = store.identity().unwrap().unwrap().plugin_id;
    let agent = agent::find(&stand.db, plugin_id).await.unwrap().unwrap();
    agent.fenced_at.map(|_| agent.fence_evidence.unwrap())
}

#[tokio::test]
async fn a_renewal_is_told_by_its_number_and_repeated_when_its_answer_was_lost() {
    let stand = Stand::start().await;
    let (store, client) = stand.agent("a").await;
    client.poll_commands(0).await.unwrap();
    // The request was on disk, and then the gateway could not be reached.
    let nowhere = client_of("https://127.0.0.1:1", &store).unwrap();
    assert!(renewal::renew(&nowhere).await.unwrap_err().is_transient());
    let before_the_answer = stand.copy("a", "lost");

    let first = renewal::renew(&client).await.unwrap();
    // As if that answer had never come: the same host asks again.
    let again = renewal::renew(&stand.client(&before_the_answer)).await.unwrap();
    assert_eq!((first.renewals, &first.certificate_pem), (1, &again.certificate_pem));
    assert!(fence_of(&stand, &store).await.is_none());
    for expected in 2..5 {
        assert_eq!(renewal::renew(&client).await.unwrap().renewals, expected);
        client.poll_commands(0).await.unwrap();
    }
    assert!(fence_of(&stand, &store).await.is_none());
}

#[tokio::test]
async fn two_hosts_that_renew_one_identity_are_fenced_until_one_is_enrolled_anew() {
    let stand = Stand::start().await;
    let (store, original) = stand.agent("a").await;
    let copied = stand.copy("a", "b");
    let copy = stand.client(&copied);
    renewal::renew(&original).await.unwrap();
    let error = renewal::renew(&copy).await.unwrap_err();
    assert!(
        matches!(error, renewal::RenewalError::Client(ClientError::Fenced(_))),
        "{error:?}"
    );

    // Both are silent from now on, also after a restart.
    assert!(matches!(original.poll_commands(0).await, Err(ClientError::Fenced(_))));
    for store in [&store, &copied] {
        assert!(store.summary().unwrap().unwrap().fenced.is_some());
        assert!(matches!(
            stand.client(store).poll_commands(0).await,
            Err(ClientError::Fenced(_))
        ));
    }
    let evidence = fence_of(&stand, &store).await.unwrap();
    assert_eq!(evidence["kind"], "two_renewals");
    assert_eq!(evidence["address"], "127.0.0.1");

    // A person enrols one of them anew; the running agent notices by itself, and the other stays out.
    let plugin_id = store.identity().unwrap().unwrap().plugin_id;
    let token = stand.token_for(Some(plugin_id)).await;
    let identity = stand.enrol(&store, &token.token).await.unwrap();
    assert_eq!((identity.plugin_id, identity.renewals), (plugin_id, 0));
    original.poll_commands(0).await.unwrap();
    assert!(fence_of(&stand, &store).await.is_none());
    let left = crate::raw::shown(&copied.identity().unwrap().unwrap());
    let mut request = crate::raw::get("/api/plugins/commands?wait=0");
    let boot = "0198c0de-0000-7000-8000-000000000009".parse().unwrap();
    request.headers_mut().insert("plugmend-boot-id", boot);
    let answer = crate::raw::send(&stand, Some(left), request).await.unwrap();
    assert_eq!((answer.status, answer.code()), (403, "certificate_revoked".to_owned()));
}

#[tokio::test]
async fn two_lives_that_speak_by_turns_are_fenced_with_evidence() {
    let stand = Stand::start().await;
    let (store, original) = stand.agent("a").await;
    let copy = stand.client(&stand.copy("a", "b"));
    let mut outcomes = Vec::new();
    for _ in 0..6 {
        outcomes.push(original.poll_commands(0).await);
        stand.pass(50);
        outcomes.push(copy.poll_commands(0).await);
        stand.pass(50);
    }
    assert!(outcomes[0].is_ok() && outcomes[1].is_ok());
    assert!(matches!(original.poll_commands(0).await, Err(ClientError::Fenced(_))));
    assert!(matches!(copy.poll_commands(0).await, Err(ClientError::Fenced(_))));
    let evidence = fence_of(&stand, &store).await.unwrap();
    assert_eq!(evidence["kind"], "two_lives");
    assert_ne!(evidence["current"]["id"], evidence["returned"]["id"]);
    let logged: i64 = sqlx::query_scalar("SELECT count(*) FROM plugin_audit WHERE action = 'agent_fenced'")
        .fetch_one(stand.db.pool())
        .await
        .unwrap();
    assert_eq!(logged, 1);
}

#[tokio::test]
async fn a_host_that_restarts_again_and_again_is_not_fenced() {
    let stand = Stand::start().await;
    let (store, mut client) = stand.agent("a").await;
    for _ in 0..10 {
        client.poll_commands(0).await.unwrap();
        stand.pass(100);
        // The life before has one request under way that arrives after the next has spoken.
        let next = stand.client(&store);
        next.poll_commands(0).await.unwrap();
        client.poll_commands(0).await.unwrap();
        client = next;
    }
    assert!(fence_of(&stand, &store).await.is_none());
}

#[tokio::test]
async fn a_copy_left_with_the_old_certificate_is_fenced() {
    let stand = Stand::start().await;
    let (store, original) = stand.agent("a").await;
    original.poll_commands(0).await.unwrap();
    let copy = stand.client(&stand.copy("a", "b"));
    renewal::renew(&original).await.unwrap();
    original.poll_commands(0).await.unwrap();
    let mut fenced = false;
    for _ in 0..4 {
        stand.pass(100);
        fenced |= matches!(copy.poll_commands(0).await, Err(ClientError::Fenced(_)));
    }
    assert!(fenced);
    assert_eq!(fence_of(&stand, &store).await.unwrap()["kind"], "old_certificate");
    assert!(matches!(original.poll_commands(0).await, Err(ClientError::Fenced(_))));
}
