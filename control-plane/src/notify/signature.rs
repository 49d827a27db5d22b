//! Signatures of Standard Webhooks (`standard-webhooks.md`, "Signature scheme"): HMAC-SHA256 over
//! `{id}.{timestamp}.{body}`, written as `v1,<base64>`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;
use zeroize::Zeroizing;

/// What a secret begins with; the rest is Base64.
pub const PREFIX: &str = "whsec_";

/// A secret out of 32 random bytes.
pub fn spell(random: &[u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(format!("{PREFIX}{}", STANDARD.encode(random)))
}

/// The header `webhook-signature`. A secret without the prefix (of the reference system) counts as its own bytes.
pub fn sign(secret: &str, id: &str, timestamp: i64, body: &[u8]) -> String {
    let decoded = secret.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
    let bytes = Zeroizing::new(decoded.unwrap_or_else(|| secret.as_bytes().to_vec()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{id}.{timestamp}.").as_bytes());
    context.update(body);
    format!("v1,{}", STANDARD.encode(context.sign()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_signature_that_receivers_libraries_expect() {
        // The example of the published libraries' own tests.
        let signed = sign(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_has_256_bits_after_its_prefix() {
        let secret = spell(&[7; 32]);
        assert_eq!(STANDARD.decode(secret.strip_prefix(PREFIX).unwrap()).unwrap(), [7; 32]);
    }
}
