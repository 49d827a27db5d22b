//! Signatures for the agent, looked at as it will look at them.

use jiff::Timestamp;
use plugmend_shared::{bundle::approval, protocol::command::ApprovalSignature};
use uuid::Uuid;

use super::ApprovalError;
use crate::{
    repo::Repository,
    store::{self, Db},
};

/// Checks that a signature is one by an approver that the product's signed metadata list, over the release and the merchant
/// that a question is about. Agents check the same, against metadata that the control plane can not make.
///
/// # Errors
/// When it is not, there is nothing to sign, or something can not be read.
pub async fn verify(
    (db, repo): (&Db, &Repository),
    id: Uuid,
    signature: &ApprovalSignature,
    now: Timestamp,
) -> Result<(), ApprovalError> {
    let refuse = |why: &str| ApprovalError::Signature(why.to_owned());
    let view = store::approval::find(db, id).await?.ok_or(ApprovalError::Unknown)?;
    let product = view.product.as_deref().and_then(|name| name.parse().ok());
    let (Some(product), Some(release)) = (product, view.request.release) else {
        return Err(refuse("no release would be installed, so there is nothing to sign"));
    };
    let info = repo.product_info(&product).await?;
    if !info.approvers.contains_key(&signature.keyid) {
        return Err(refuse("the key is not among the product's approvers"));
    }
    if signature.expires <= now.as_second() {
        return Err(refuse("it has expired"));
    }
    let about = (&product, &release, view.merchant_id.into());
    approval::check(1, &info.approvers, std::slice::from_ref(signature), about, now)
        .map_err(|_| refuse("it is not over this product, release, merchant and expiry"))
}
