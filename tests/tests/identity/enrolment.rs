//! First contact: tokens, and what may be certified.

use plugmend_agent::upstream::{client::ClientError, enrol::EnrolError, tls::CaTrust};
use plugmend_shared::{
    ids::Digest,
    protocol::{identity::AgentName, problem::codes},
};
use x509_parser::{extensions::GeneralName, prelude::FromDer as _};

use crate::{
    raw,
    stand::{Stand, client_of, identity_file, now},
};

fn code(error: EnrolError) -> String {
    match error {
        EnrolError::Client(ClientError::Refused(problem)) => problem.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_becomes_an_identity_that_may_speak() {
    let stand = Stand::start().await;
    let (store, client) = stand.agent("a").await;
    assert!(client.poll_commands(0).await.unwrap().commands.is_empty());
    let identity = store.identity().unwrap().unwrap();
    assert_eq!(identity.merchant_id, stand.merchant);
    assert_eq!(identity.renewals, 0);
    // Two thirds of the lifetime.
    let (renew, end) = (
        identity.renew_after.duration_since(now()),
        identity.not_after.duration_since(now()),
    );
    assert!((renew.as_secs_f64() / end.as_secs_f64() - 2.0 / 3.0).abs() < 0.01);
    let mode = std::fs::metadata(identity_file(&stand, "a", "identity.json")).unwrap();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777,
        0o600
    );
}

#[tokio::test]
async fn a_spent_token_is_refused_to_another_key_and_answered_again_to_its_own() {
    let stand = Stand::start().await;
    let token = stand.token().await.token;
    let store = stand.host("a");
    let first = stand.enrol(&store, &token).await.unwrap();
    assert_eq!(
        code(stand.enrol(&stand.host("b"), &token).await.unwrap_err()),
        codes::TOKEN_REFUSED
    );

    // The answer was lost: the request is still pending on the host, and nothing else is.
    let lost = stand.host("lost");
    let token = stand.token().await.token;
    let pending = |error: EnrolError| matches!(error, EnrolError::Client(error) if error.is_transient());
    let mut unreachable = stand.options();
    unreachable.url = "https://127.0.0.1:1".to_owned();
    let secret = secrecy::SecretString::from(token.clone());
    let clock = plugmend_shared::clock::SystemClock;
    let failed = plugmend_agent::upstream::enrol::enrol(&lost, &unreachable, &secret, &clock).await;
    assert!(pending(failed.unwrap_err()));
    let twin = stand.copy("lost", "twin");
    let one = stand.enrol(&lost, &token).await.unwrap();
    let two = stand.enrol(&twin, &token).await.unwrap();
    assert_eq!(one.certificate_pem, two.certificate_pem);
    assert_ne!(one.plugin_id, first.plugin_id);
}

#[tokio::test]
async fn wrong_expired_and_foreign_tokens_are_refused() {
    let stand = Stand::start().await;
    let store = stand.host("a");
    let token = stand.token().await.token;

    let wrong = format!(
        "{}{}",
        &token[..token.len() - 4],
        if token.ends_with("0000") { "1111" } else { "0000" }
    );
    assert_eq!(
        code(stand.enrol(&store, &wrong).await.unwrap_err()),
        codes::TOKEN_REFUSED
    );
    let unknown = format!("pmt_{}_{}", "0".repeat(32), "0".repeat(64));
    assert_eq!(
        code(stand.enrol(&store, &unknown).await.unwrap_err()),
        codes::TOKEN_REFUSED
    );

    let secret = secrecy::SecretString::from(token.clone());
    let clock = plugmend_shared::clock::SystemClock;
    for (product, cms) in [("another-product", "node"), (crate::stand::PRODUCT, "php")] {
        let mut options = stand.options();
        (options.product, options.cms) = (product.parse().unwrap(), cms.to_owned());
        let refused = plugmend_agent::upstream::enrol::enrol(&store, &options, &secret, &clock).await;
        assert_eq!(code(refused.unwrap_err()), codes::TOKEN_REFUSED);
    }

    stand.turn_clock(2);
    assert_eq!(
        code(stand.enrol(&store, &token).await.unwrap_err()),
        codes::TOKEN_REFUSED
    );
    stand.turn_clock(0);
    // None of that has spent it, and nothing was left behind.
    stand.enrol(&store, &token).await.unwrap();
    let plugins: i64 = sqlx::query_scalar("SELECT count(*) FROM merchant_plugins")
        .fetch_one(stand.db.pool())
        .await
        .unwrap();
    assert_eq!(plugins, 1);
}

#[tokio::test]
async fn of_two_that_race_for_one_token_exactly_one_wins() {
    let stand = Stand::start().await;
    for round in 0..10 {
        let token = stand.token().await.token;
        let hosts = [stand.host(&format!("a{round}")), stand.host(&format!("b{round}"))];
        let (one, two) = tokio::join!(stand.enrol(&hosts[0], &token), stand.enrol(&hosts[1], &token));
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        assert_eq!(code(one.err().or(two.err()).unwrap()), codes::TOKEN_REFUSED);
    }
    let agents: i64 = sqlx::query_scalar("SELECT count(*) FROM agents")
        .fetch_one(stand.db.pool())
        .await
        .unwrap();
    assert_eq!(agents, 10);
}

#[tokio::test]
async fn a_gateway_of_another_ca_gets_no_token() {
    let stand = Stand::start().await;
    let token = stand.token().await.token;
    let mut options = stand.options();
    options.trust = CaTrust::Sha256(Digest::of(b"another"));
    let secret = secrecy::SecretString::from(token.clone());
    let clock = plugmend_shared::clock::SystemClock;
    let error = plugmend_agent::upstream::enrol::enrol(&stand.host("a"), &options, &secret, &clock)
        .await
        .unwrap_err();
    assert!(
        matches!(error, EnrolError::Client(ClientError::Untrusted { .. })),
        "{error:?}"
    );
    stand.enrol(&stand.host("a"), &token).await.unwrap();
}

#[tokio::test]
async fn what_a_request_asks_for_beside_its_key_is_ignored() {
    let stand = Stand::start().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned(), "gateway.example".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::NoCa;
    params.distinguished_name.push(rcgen::DnType::CommonName, "root");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let wish = raw::basic_constraints_ca();
    params.custom_extensions.push(wish);
    let csr = params.serialize_request(&key).unwrap().pem().unwrap();

    let answer = raw::enrol(&stand, &stand.token().await.token, &csr).await;

    assert_eq!(answer.status, 200, "{}", answer.text());
    let identity: plugmend_shared::protocol::identity::Identity = serde_json::from_slice(&answer.body).unwrap();
    let pem = x509_parser::pem::parse_x509_pem(identity.certificate_pem.as_bytes())
        .unwrap()
        .1;
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(&pem.contents).unwrap();
    assert!(!certificate.is_ca());
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    let [GeneralName::URI(uri)] = names.value.general_names.as_slice() else {
        panic!("{names:?}");
    };
    let name = AgentName::from_uri(uri).unwrap();
    assert_eq!(
        (name.merchant_id, name.plugin_id),
        (identity.merchant_id, identity.plugin_id)
    );
    assert!(!certificate.subject().to_string().contains("root"));
}

#[tokio::test]
async fn weak_garbled_and_oversized_requests_are_refused_and_spend_nothing() {
    let stand = Stand::start().await;
    let token = stand.token().await.token;
    let weak = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let weak = rcgen::CertificateParams::default()
        .serialize_request(&weak)
        .unwrap()
        .pem()
        .unwrap();
    let garbage = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n".to_owned();
    for csr in [weak, garbage, String::new(), "x".repeat(20_000)] {
        let answer = raw::enrol(&stand, &token, &csr).await;
        assert_eq!((answer.status, answer.code()), (400, codes::CSR_REFUSED.to_owned()));
    }
    assert_eq!(raw::enrol(&stand, &token, &"x".repeat(100_000)).await.status, 413);
    for body in [&b"{"[..], b"\xff\xfe", b"[]", b"{\"token\":1}", &[b'['; 5000]] {
        let answer = raw::post(&stand, "/v1/enrol", body).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    stand.enrol(&stand.host("a"), &token).await.unwrap();
}

#[tokio::test]
async fn one_address_may_try_so_often_and_no_more() {
    let stand = Stand::start().await.strict_replica();
    let unknown = format!("pmt_{}_{}", "0".repeat(32), "0".repeat(64));
    let answers = [
        raw::enrol(&stand, &unknown, "x").await,
        raw::enrol(&stand, &unknown, "x").await,
    ];
    assert_eq!(answers[0].status, 400);
    assert_eq!(
        (answers[1].status, answers[1].code()),
        (429, codes::RATE_LIMITED.to_owned())
    );
}

#[tokio::test]
async fn an_agents_certificate_does_not_make_a_gateway() {
    let stand = Stand::start().await;
    let (store, _) = stand.agent("a").await;
    let identity = store.identity().unwrap().unwrap();
    let address = raw::impostor(&identity).await;
    let client = client_of(&format!("https://{address}"), &store).unwrap();
    let error = client.poll_commands(0).await.unwrap_err();
    assert!(matches!(error, ClientError::Untrusted { .. }), "{error:?}");
    assert!(!error.is_transient());
}
