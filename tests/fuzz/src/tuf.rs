//! A root and its keys, always the same.

use std::sync::OnceLock;

use plugmend_shared::tuf::{Envelope, Root, sign::SigningKey};

/// How many keys there are: root's, timestamp's, and that of the others.
pub const SIGNERS: usize = 3;

fn key(number: usize) -> &'static SigningKey {
    static KEYS: OnceLock<Vec<SigningKey>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        (1..=SIGNERS)
            .map(|seed| {
                // PKCS#8 of an Ed25519 key (RFC 8410) whose seed is one byte repeated.
                let mut der = hex::decode("302e020100300506032b657004220420").expect("constant");
                der.extend([u8::try_from(seed).expect("small"); 32]);
                SigningKey::from_pkcs8(&der).expect("a key")
            })
            .collect()
    });
    &keys[number]
}

/// A self-signed root.
pub fn root() -> &'static [u8] {
    static ROOT: OnceLock<Vec<u8>> = OnceLock::new();
    ROOT.get_or_init(|| {
        let mut root = Root::new("2036-01-01T00:00:00Z".parse().expect("a time"));
        for (role, signer) in [("root", 0), ("timestamp", 1), ("snapshot", 2), ("targets", 2)] {
            root.set_role(role, &[key(signer).public().clone()], 1).expect("a role");
        }
        let mut envelope = Envelope::unsigned(&root).expect("a root");
        envelope.sign(key(0)).expect("signed");
        envelope.to_bytes().expect("bytes")
    })
}

/// The fuzzer's document, signed by one of the keys; `None` when it is not JSON.
pub fn signed(bytes: &[u8], signer: usize) -> Option<Vec<u8>> {
    let mut envelope = Envelope {
        signatures: Vec::new(),
        signed: serde_json::from_slice(bytes).ok()?,
        extra: serde_json::Map::new(),
    };
    envelope.sign(key(signer)).ok()?;
    envelope.to_bytes().ok()
}
