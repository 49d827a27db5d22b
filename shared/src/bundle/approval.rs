//! What an approver signs, and how an agent checks it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ring::signature::{ED25519, UnparsedPublicKey};
use thiserror::Error;

use crate::{
    ids::{Digest, MerchantId, Product},
    protocol::command::ApprovalSignature,
};

/// Public keys of approvers by their id, as the product's signed metadata lists them.
pub type ApproverKeys = BTreeMap<String, [u8; 32]>;

/// Why the approvals do not suffice.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{valid} of {required} approvals are valid; ask ops for the missing ones")]
pub struct TooFewApprovals {
    /// Valid signatures of distinct approvers.
    pub valid: u32,
    /// What the manifest asks for.
    pub required: u32,
}

/// The bytes an approver signs: one release, for one merchant, until `expires` (seconds since the epoch).
pub fn statement(product: &Product, release: &Digest, merchant: MerchantId, expires: i64) -> Vec<u8> {
    format!("plugmend approval v1\n{product}\n{release}\n{merchant}\n{expires}\n").into_bytes()
}

/// Checks that at least `required` distinct listed approvers signed this release for this merchant and that their
/// approvals have not expired at `now`.
///
/// # Errors
/// When fewer did.
pub fn check(
    required: u32,
    keys: &ApproverKeys,
    signatures: &[ApprovalSignature],
    (product, release, merchant): (&Product, &Digest, MerchantId),
    now: Timestamp,
) -> Result<(), TooFewApprovals> {
    let mut signers: Vec<&[u8; 32]> = Vec::new();
    for signature in signatures.iter().take(64) {
        let Some(key) = keys.get(&signature.keyid) else {
            continue;
        };
        // One key under two names is one person.
        if signers.contains(&key) || signature.expires <= now.as_second() {
            continue;
        }
        let Ok(bytes) = hex::decode(&signature.sig) else {
            continue;
        };
        let message = statement(product, release, merchant, signature.expires);
        if UnparsedPublicKey::new(&ED25519, key).verify(&message, &bytes).is_ok() {
            signers.push(key);
        }
    }
    let valid = u32::try_from(signers.len()).unwrap_or(u32::MAX);
    if valid >= required {
        Ok(())
    } else {
        Err(TooFewApprovals { valid, required })
    }
}
