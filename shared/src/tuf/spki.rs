//! The little of DER that a public key in PEM needs (RFC 5280 section 4.1, `SubjectPublicKeyInfo`; RFC 7468).

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The longest PEM text that is looked at: an RSA key of 8,192 bits needs 1,500 bytes.
const MAX_PEM: usize = 8 * 1024;

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

const SEQUENCE: u8 = 0x30;
const OID: u8 = 0x06;
const BIT_STRING: u8 = 0x03;

/// What kind of key a `SubjectPublicKeyInfo` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// The kind and the raw key (an RSA key as DER, a curve's point, 32 bytes) in a PEM `PUBLIC KEY`; `None` for anything
/// else.
pub(super) fn from_pem(pem: &str) -> Option<(Kind, Vec<u8>)> {
    if pem.len() > MAX_PEM {
        return None;
    }
    let body = pem.trim().strip_prefix("-----BEGIN PUBLIC KEY-----")?;
    let body = body.strip_suffix("-----END PUBLIC KEY-----")?;
    let body: String = body.split_ascii_whitespace().collect();
    from_der(&STANDARD.decode(body).ok()?)
}

fn from_der(der: &[u8]) -> Option<(Kind, Vec<u8>)> {
    let (info, rest) = element(der, SEQUENCE)?;
    let (algorithm, key) = element(info, SEQUENCE)?;
    let (bits, after) = element(key, BIT_STRING)?;
    if !rest.is_empty() || !after.is_empty() {
        return None;
    }
    let (oid, parameters) = element(algorithm, OID)?;
    let kind = match oid {
        RSA => Kind::Rsa,
        ED25519 => Kind::Ed25519,
        EC => match element(parameters, OID)?.0 {
            P256 => Kind::P256,
            P384 => Kind::P384,
            _ => return None,
        },
        _ => return None,
    };
    // The first byte of a bit string counts unused bits: keys are whole bytes.
    let (&0, raw) = bits.split_first()? else {
        return None;
    };
    Some((kind, raw.to_vec()))
}

/// Splits off the content of one element with the given tag.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    if found != tag {
        return None;
    }
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => {
            let (&length, rest) = rest.split_first()?;
            (usize::from(length), rest)
        }
        0x82 => {
            let (bytes, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*bytes)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_reader_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..128), text in any::<String>()) {
            let _ = from_der(&bytes);
            let _ = from_pem(&text);
        }
    }

    #[test]
    fn an_ed25519_key_is_read() {
        let mut der = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        der.extend([7; 32]);
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(&der)
        );
        assert_eq!(from_pem(&pem), Some((Kind::Ed25519, vec![7; 32])));
        der.push(0);
        assert_eq!(from_der(&der), None);
    }
}
