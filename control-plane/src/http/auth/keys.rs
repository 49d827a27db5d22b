//! Public keys that tokens are checked by: from a PEM file, or from a JSON Web Key Set (RFC 7517).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use thiserror::Error;

/// The most keys that one set may hold.
const MOST_KEYS: usize = 64;
/// The shortest modulus of an RSA key, in bytes: 2048 bits (RFC 7518 section 3.3).
const SHORTEST_MODULUS: usize = 256;
/// The longest one that ring takes: 8192 bits.
const LONGEST_MODULUS: usize = 1024;

/// A key, with the only algorithm that it is used with: what a token's header says must agree, so that no key is taken
/// for one of another kind.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// The key.
    pub decoding: DecodingKey,
}

/// Not a key that can check tokens.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not a public key: the PEM of an RSA key (2048 bits or more) or an Ed25519 key is wanted")]
pub struct BadKey;

/// Why a key set is not taken.
#[derive(Debug, Error)]
pub enum BadKeySet {
    /// Not JSON, or not of this shape.
    #[error("it is not a JSON Web Key Set")]
    Malformed(#[from] serde_json::Error),
    /// More keys than anybody needs.
    #[error("it holds more than {MOST_KEYS} keys")]
    TooMany,
    /// No key in it is of any use here.
    #[error("it holds no RSA key (2048 bits or more) and no Ed25519 key for signatures")]
    Useless,
}

impl Key {
    /// The key in `pem`.
    ///
    /// # Errors
    /// When it is neither an RSA nor an Ed25519 public key.
    pub fn from_pem(pem: &str) -> Result<Self, BadKey> {
        if let Ok(decoding) = DecodingKey::from_ed_pem(pem.as_bytes()) {
            let algorithm = Algorithm::EdDSA;
            return Ok(Self { algorithm, decoding });
        }
        let decoding = DecodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| BadKey)?;
        let algorithm = Algorithm::RS256;
        Ok(Self { algorithm, decoding })
    }
}

/// One key of a set, as RFC 7517 section 4, RFC 7518 section 6.3 and RFC 8037 section 2 write it.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
}

impl Jwk {
    /// The key, when it is for signatures of a kind that we take.
    fn read(&self) -> Option<Key> {
        if self.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let says = |name: &str| self.alg.as_deref().is_none_or(|alg| alg == name);
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) if says("RS256") => {
                let (modulus, exponent) = (number(self.n.as_ref()?)?, number(self.e.as_ref()?)?);
                let fits = (SHORTEST_MODULUS..=LONGEST_MODULUS).contains(&modulus.len());
                fits.then(|| Key {
                    algorithm: Algorithm::RS256,
                    decoding: DecodingKey::from_rsa_raw_components(&modulus, &exponent),
                })
            }
            ("OKP", Some("Ed25519")) if says("EdDSA") || says("Ed25519") => {
                let point = bytes(self.x.as_ref()?)?;
                (point.len() == 32).then(|| Key {
                    algorithm: Algorithm::EdDSA,
                    decoding: DecodingKey::from_ed_der(&point),
                })
            }
            _ => None,
        }
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A number without the zeros that some issuers put in front.
fn number(text: &str) -> Option<Vec<u8>> {
    Some(bytes(text)?.into_iter().skip_while(|byte| *byte == 0).collect())
}

/// The keys of an issuer.
#[derive(Debug, Default)]
pub struct KeySet(Vec<(Option<String>, Key)>);

impl KeySet {
    /// Reads a set. Keys of other kinds and for other purposes are passed over (RFC 7517 section 5).
    ///
    /// # Errors
    /// When it is no set, holds too many keys, or none of use.
    pub fn parse(json: &[u8]) -> Result<Self, BadKeySet> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let set: Set = serde_json::from_slice(json)?;
        if set.keys.len() > MOST_KEYS {
            return Err(BadKeySet::TooMany);
        }
        let known = set
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let keys: Vec<_> = known.filter_map(|jwk| Some((jwk.kid.clone(), jwk.read()?))).collect();
        if keys.is_empty() {
            return Err(BadKeySet::Useless);
        }
        Ok(Self(keys))
    }

    /// The key that a token's header names. A token that names none is checked by the only key of its kind, if there is
    /// one only.
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&Key> {
        let mut of_its_kind = self.0.iter().filter(|(_, key)| key.algorithm == algorithm);
        if let Some(kid) = kid {
            return of_its_kind
                .find(|(id, _)| id.as_deref() == Some(kid))
                .map(|(_, key)| key);
        }
        let only = of_its_kind.next()?;
        of_its_kind.next().is_none().then_some(&only.1)
    }

    /// How many keys it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rsa(kid: &str, bytes: usize) -> Value {
        json!({ "kty": "RSA", "kid": kid, "n": URL_SAFE_NO_PAD.encode(vec![0xc1; bytes]), "e": "AQAB" })
    }

    fn ed25519(kid: &str) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": URL_SAFE_NO_PAD.encode([7; 32]), "use": "sig" })
    }

    fn parse(keys: &[Value]) -> Result<KeySet, BadKeySet> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    #[test]
    fn a_key_serves_its_own_algorithm_only() {
        let set = parse(&[rsa("a", 256), ed25519("b")]).unwrap();
        assert!(set.find(Some("a"), Algorithm::RS256).is_some());
        assert!(set.find(Some("b"), Algorithm::EdDSA).is_some());
        for (kid, algorithm) in [
            ("a", Algorithm::EdDSA),
            ("b", Algorithm::RS256),
            ("a", Algorithm::HS256),
            ("c", Algorithm::RS256),
        ] {
            assert!(set.find(Some(kid), algorithm).is_none(), "{kid} {algorithm:?}");
        }
    }

    #[test]
    fn a_token_that_names_no_key_is_checked_where_there_is_no_choice() {
        let set = parse(&[rsa("a", 256), ed25519("b"), ed25519("c")]).unwrap();
        assert!(set.find(None, Algorithm::RS256).is_some());
        assert!(set.find(None, Algorithm::EdDSA).is_none());
    }

    #[test]
    fn keys_of_other_kinds_and_purposes_are_passed_over() {
        let mut encrypts = rsa("enc", 256);
        encrypts["use"] = json!("enc");
        let mut other = rsa("pss", 256);
        other["alg"] = json!("PS256");
        let elliptic = json!({ "kty": "EC", "crv": "P-256", "kid": "ec", "x": "AA", "y": "AA" });
        let symmetric = json!({ "kty": "oct", "kid": "oct", "k": "AAAA" });
        let odd = json!("not even an object");
        let useless = [
            encrypts,
            other,
            elliptic,
            symmetric,
            odd,
            rsa("short", 128),
            rsa("long", 2048),
        ];
        assert!(matches!(parse(&useless), Err(BadKeySet::Useless)));
        let mut some = useless.to_vec();
        some.push(ed25519("b"));
        assert_eq!(parse(&some).unwrap().len(), 1);
    }

    #[test]
    fn a_set_without_bounds_is_refused() {
        let many: Vec<Value> = (0..=MOST_KEYS).map(|n| ed25519(&n.to_string())).collect();
        assert!(matches!(parse(&many), Err(BadKeySet::TooMany)));
        assert!(matches!(KeySet::parse(b"<html>"), Err(BadKeySet::Malformed(_))));
    }
}
