//! Tokens as Molam ID would sign them, by a key that is for tests only.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::{
    rand::SystemRandom,
    signature::{self, RsaPublicKeyComponents},
};
use serde_json::{Value, json};

/// The public key of the tests' issuer.
pub const PUBLIC_PEM: &str = include_str!("../fixtures/test-only-rsa.pub.pem");
const PRIVATE_DER: &[u8] = include_bytes!("../fixtures/test-only-rsa.pk8.der");

/// The claims of a token that is good for an hour from `now`.
pub fn claims(sub: &str, roles: &[&str], now: Timestamp) -> Value {
    let now = now.as_second();
    json!({ "iss": "molam-id", "sub": sub, "roles": roles, "nbf": now - 1, "exp": now + 3600, "locale": "fr" })
}

/// Signs claims with RS256.
pub fn sign(claims: &Value) -> String {
    sign_as(&json!({ "alg": "RS256", "typ": "JWT" }), claims)
}

/// Signs claims under a header of one's own.
pub fn sign_as(header: &Value, claims: &Value) -> String {
    let text = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let key = signature::RsaKeyPair::from_pkcs8(PRIVATE_DER).unwrap();
    let mut out = vec![0; key.public().modulus_len()];
    key.sign(
        &signature::RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        text.as_bytes(),
        &mut out,
    )
    .unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(out))
}

/// The key of the tests' issuer as one publishes it.
pub fn published(kid: &str) -> Value {
    let key = signature::RsaKeyPair::from_pkcs8(PRIVATE_DER).unwrap();
    let components = RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
    json!({ "kty": "RSA", "alg": "RS256", "use": "sig", "kid": kid,
        "n": URL_SAFE_NO_PAD.encode(components.n), "e": URL_SAFE_NO_PAD.encode(components.e) })
}

/// Signs claims under a header of one's own in a way of one's own.
pub fn sign_by(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let text = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let signature = sign(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}
