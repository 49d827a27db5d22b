//! Tokens: which open, which do not, and where the keys come from.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use plugmend_control_plane::http::auth::{
    TokenError, TokenVerifier,
    jwks::{AT_MOST_EVERY, Jwks},
};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use support::{
    http::Answer,
    people::{self, PUBLIC_PEM},
    plane::{Plane, spawn},
};

/// An issuer that publishes keys, or is out of order.
#[derive(Clone, Default)]
struct Issuer {
    keys: Arc<std::sync::Mutex<Option<Value>>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    fn start(keys: &[Value]) -> (Self, Arc<Jwks>) {
        let issuer = Self::default();
        issuer.publish(keys);
        let router = Router::new()
            .route("/keys", get(Self::answer))
            .with_state(issuer.clone());
        let address = spawn(router);
        let jwks = Jwks::new(&format!("http://{address}/keys"), None).unwrap();
        (issuer, Arc::new(jwks))
    }

    #[expect(clippy::unused_async, reason = "the shape of a handler")]
    async fn answer(State(this): State<Self>) -> Result<String, StatusCode> {
        this.asked.fetch_add(1, Ordering::SeqCst);
        let keys = this.keys.lock().unwrap().clone();
        keys.map(|keys| json!({ "keys": keys }).to_string())
            .ok_or(StatusCode::BAD_GATEWAY)
    }

    fn publish(&self, keys: &[Value]) {
        *self.keys.lock().unwrap() = Some(json!(keys));
    }

    fn fails(&self) {
        *self.keys.lock().unwrap() = None;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// An Ed25519 key of an issuer.
struct Signer {
    kid: &'static str,
    pair: Ed25519KeyPair,
}

impl Signer {
    fn new(kid: &'static str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        Self { kid, pair }
    }

    fn published(&self) -> Value {
        let point = URL_SAFE_NO_PAD.encode(self.pair.public_key());
        json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.kid, "x": point })
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "EdDSA", "kid": self.kid });
        people::sign_by(&header, claims, |text| self.pair.sign(text).as_ref().to_vec())
    }
}

fn now() -> Timestamp {
    Timestamp::constant(1_800_000_000, 0)
}

fn claims() -> Value {
    people::claims("ada", &["pay_admin"], now())
}

fn verifier(jwks: &Arc<Jwks>) -> TokenVerifier {
    TokenVerifier::default().with_published(Arc::clone(jwks))
}

#[tokio::test]
async fn published_keys_of_both_kinds_check_tokens() {
    let signer = Signer::new("ed-1");
    let (issuer, jwks) = Issuer::start(&[people::published("rsa-1"), signer.published()]);
    let verifier = verifier(&jwks);
    let by_rsa = people::sign_as(&json!({ "alg": "RS256", "kid": "rsa-1" }), &claims());
    assert_eq!(verifier.check(&by_rsa, now()).await.unwrap().subject, "ada");
    verifier.check(&signer.sign(&claims()), now()).await.unwrap();
    // A token that names no key is checked by the only one of its kind.
    verifier.check(&people::sign(&claims()), now()).await.unwrap();
    assert_eq!(issuer.asked(), 1);
    let stranger = Signer::new("ed-1");
    let forged = verifier.check(&stranger.sign(&claims()), now()).await;
    assert_eq!(forged, Err(TokenError::Invalid));
}

#[tokio::test]
async fn a_new_key_is_fetched_once_and_an_old_one_ends() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let (issuer, jwks) = Issuer::start(&[old.published()]);
    let verifier = verifier(&jwks);
    verifier.check(&old.sign(&claims()), now()).await.unwrap();
    issuer.publish(&[new.published()]);
    // Known still, so nobody is asked.
    verifier.check(&old.sign(&claims()), now()).await.unwrap();
    let later = now() + AT_MOST_EVERY;
    let token = new.sign(&claims());
    let (a, b, c) = tokio::join!(
        verifier.check(&token, later),
        verifier.check(&token, later),
        verifier.check(&token, later)
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(issuer.asked(), 2);
    let ended = verifier.check(&old.sign(&claims()), later).await;
    assert_eq!(ended, Err(TokenError::UnknownKey));
}

#[tokio::test]
async fn invented_keys_do_not_have_the_issuer_asked_again_and_again() {
    let (issuer, jwks) = Issuer::start(&[people::published("rsa-1")]);
    let verifier = verifier(&jwks);
    for kid in ["a", "b", "c", "d"] {
        let token = people::sign_as(&json!({ "alg": "RS256", "kid": kid }), &claims());
        assert_eq!(verifier.check(&token, now()).await, Err(TokenError::UnknownKey));
    }
    assert_eq!(issuer.asked(), 1);
    let soon = now() + AT_MOST_EVERY - SignedDuration::from_secs(1);
    let token = people::sign_as(&json!({ "alg": "RS256", "kid": "e" }), &claims());
    verifier.check(&token, soon).await.unwrap_err();
    assert_eq!(issuer.asked(), 1);
    verifier.check(&token, now() + AT_MOST_EVERY).await.unwrap_err();
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn while_the_issuer_is_away_the_keys_known_before_are_kept() {
    let signer = Signer::new("ed-1");
    let (issuer, jwks) = Issuer::start(&[signer.published()]);
    let verifier = verifier(&jwks);
    verifier.check(&signer.sign(&claims()), now()).await.unwrap();
    issuer.fails();
    jwks.refresh(now()).await.unwrap_err();
    verifier.check(&signer.sign(&claims()), now()).await.unwrap();
    // What is no key set takes nothing away either.
    for rubbish in [
        json!([]),
        json!([{ "kty": "oct", "k": "AAAA" }]),
        json!("x".repeat(300_000)),
    ] {
        *issuer.keys.lock().unwrap() = Some(rubbish);
        jwks.refresh(now()).await.unwrap_err();
    }
    verifier.check(&signer.sign(&claims()), now()).await.unwrap();
}

#[tokio::test]
async fn a_key_that_was_given_serves_beside_those_that_are_published() {
    let signer = Signer::new("ed-1");
    let (_issuer, jwks) = Issuer::start(&[signer.published()]);
    let verifier = TokenVerifier::from_pem(PUBLIC_PEM).unwrap().with_published(jwks);
    verifier.check(&people::sign(&claims()), now()).await.unwrap();
    let named = people::sign_as(&json!({ "alg": "RS256", "kid": "its name elsewhere" }), &claims());
    verifier.check(&named, now()).await.unwrap();
    verifier.check(&signer.sign(&claims()), now()).await.unwrap();
}

#[tokio::test]
async fn an_audience_is_wanted_where_one_is_named() {
    let verifier = TokenVerifier::from_pem(PUBLIC_PEM)
        .unwrap()
        .for_audience("plugmend".to_owned());
    let with = |audience: Value| {
        let mut claims = claims();
        claims["aud"] = audience;
        people::sign(&claims)
    };
    for good in [json!("plugmend"), json!(["shop", "plugmend"])] {
        verifier.check(&with(good), now()).await.unwrap();
    }
    for bad in [json!("shop"), json!([]), Value::Null] {
        assert_eq!(verifier.check(&with(bad), now()).await, Err(TokenError::Invalid));
    }
    assert_eq!(
        verifier.check(&people::sign(&claims()), now()).await,
        Err(TokenError::Invalid)
    );
}

#[tokio::test]
async fn whatever_is_wrong_with_a_token_it_is_refused_in_the_same_words() {
    let plane = Plane::start().await;
    let good = people::claims("ada", &["pay_admin"], plane.now());
    let second = plane.now().as_second();
    let with = |field: &str, value: Value| {
        let mut claims = good.clone();
        claims[field] = value;
        people::sign(&claims)
    };
    let by_hmac = |secret: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        people::sign_by(&json!({ "alg": "HS256" }), &good, |text| {
            hmac::sign(&key, text).as_ref().to_vec()
        })
    };
    let unsigned = people::sign_by(&json!({ "alg": "none" }), &good, |_| Vec::new());
    let bad = [
        ("alg none", unsigned),
        ("wrong issuer", with("iss", json!("someone-else"))),
        ("expired", with("exp", json!(second - 31))),
        ("not yet", with("nbf", json!(second + 31))),
        ("made in the future", with("iat", json!(second + 31))),
        ("wrong key", Signer::new("x").sign(&good)),
        ("the public key as a secret", by_hmac(PUBLIC_PEM.as_bytes())),
        (
            "what must be understood",
            people::sign_as(&json!({ "alg": "RS256", "crit": ["b64"] }), &good),
        ),
        ("a megabyte", with("locale", json!("x".repeat(700_000)))),
        ("no token", "x.y.z".to_owned()),
        (
            "its signature cut",
            with("sub", json!("eve")).rsplit_once('.').unwrap().0.to_owned() + ".",
        ),
    ];
    let mut words: Option<Answer> = None;
    for (why, token) in bad {
        let answer = plane.api.send("GET", "/api/ops/plugins", &token, "").await;
        answer.refuses(401, "unauthorized");
        if let Some(first) = &words {
            assert_eq!(answer.body, first.body, "{why}");
        }
        words = Some(answer);
    }
    plane
        .api
        .send("GET", "/api/ops/plugins", &people::sign(&good), "")
        .await
        .expect(200);
}
