//! Making one-time enrolment tokens.

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::ids::{Digest, MerchantId, PluginId, Product};
use serde_json::json;
use thiserror::Error;
use uuid::Uuid;

use super::{
    Entropy, NoEntropy,
    token_hash::{self, TokenHasher},
};
use crate::store::{
    Db, StoreError,
    audit::{self, Actor, Entry},
    enrolment_token::{self, NewToken},
    merchant, plugin,
};

/// How long a token is good for unless its maker says otherwise.
pub const DEFAULT_TTL: SignedDuration = SignedDuration::from_hours(24);
/// The longest a token may be good for.
pub const MAX_TTL: SignedDuration = SignedDuration::from_hours(24 * 30);

/// `merchant_plugins.cms`: the platforms that there are plugins for.
const PLATFORMS: [&str; 8] = [
    "woocommerce",
    "shopify",
    "magento",
    "prestashop",
    "wix",
    "node",
    "php",
    "python",
];

/// What the token shall be good for.
#[derive(Debug, Clone)]
pub struct TokenOrder {
    /// Whose plugin.
    pub merchant_id: MerchantId,
    /// What is installed there.
    pub product: Product,
    /// The platform.
    pub cms: String,
    /// The plugin to enrol anew; none: a new one is made.
    pub plugin_id: Option<PluginId>,
    /// How long it is good for.
    pub ttl: SignedDuration,
}

/// A token, shown this once.
#[derive(Clone)]
pub struct MadeToken {
    /// `pmt_<id>_<secret>`.
    pub token: String,
    /// The part that is no secret.
    pub id: Uuid,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Why there is no token.
#[derive(Debug, Error)]
pub enum TokenOrderError {
    /// The duration is out of bounds.
    #[error("a token is good for 1 second to 30 days")]
    Ttl,
    /// The platform is not one that there are plugins for.
    #[error("cms is one of woocommerce, shopify, magento, prestashop, wix, node, php, python")]
    Cms,
    /// There is no such merchant.
    #[error("there is no merchant {0}")]
    NoMerchant(MerchantId),
    /// There is no such plugin at this merchant.
    #[error("merchant {merchant_id} has no plugin {plugin_id} of that product and platform")]
    NoPlugin {
        /// Whose it should be.
        merchant_id: MerchantId,
        /// Which was named.
        plugin_id: PluginId,
    },
    /// The database failed.
    #[error("the token was not made")]
    Store(#[from] StoreError),
    /// The system has no randomness.
    #[error("the token was not made")]
    Entropy(#[from] NoEntropy),
}

/// What is needed to make tokens: no part of the CA but its fingerprint.
#[derive(Debug, Clone)]
pub struct TokenDesk {
    /// Makes the keyed hashes.
    pub hasher: TokenHasher,
    /// SHA-256 of the certificate that agents check the gateway against (DER); none in a process that serves nobody.
    pub ca_sha256: Option<Digest>,
}

/// Makes a token for `actor`.
pub async fn make(
    db: &Db,
    hasher: &TokenHasher,
    entropy: &Entropy,
    (actor, created_by): (&Actor, &str),
    order: &TokenOrder,
    now: Timestamp,
) -> Result<MadeToken, TokenOrderError> {
    if order.ttl < SignedDuration::from_secs(1) || order.ttl > MAX_TTL {
        return Err(TokenOrderError::Ttl);
    }
    if !PLATFORMS.contains(&order.cms.as_str()) {
        return Err(TokenOrderError::Cms);
    }
    let expires_at = now.checked_add(order.ttl).map_err(|_| TokenOrderError::Ttl)?;
    // The id is time-ordered like every other; only the secret has to be unguessable.
    let id = PluginId::from_parts(now, entropy.bytes()?).0;
    let secret: [u8; 32] = entropy.bytes()?;
    let mut tx = db.begin().await?;
    if !merchant::exists(&mut tx, order.merchant_id).await? {
        return Err(TokenOrderError::NoMerchant(order.merchant_id));
    }
    if let Some(plugin_id) = order.plugin_id {
        let found = plugin::lock(&mut tx, plugin_id).await?;
        let fits = found.is_some_and(|plugin| {
            plugin.merchant_id == order.merchant_id
                && plugin.cms == order.cms
                && plugin.product.is_none_or(|product| product == order.product.as_str())
        });
        if !fits {
            return Err(TokenOrderError::NoPlugin {
                merchant_id: order.merchant_id,
                plugin_id,
            });
        }
    }
    let token = NewToken {
        id,
        secret_hash: hasher.hash(id, &secret),
        merchant_id: order.merchant_id,
        product: &order.product,
        cms: &order.cms,
        plugin_id: order.plugin_id,
        created_by,
        expires_at,
    };
    enrolment_token::insert(&mut tx, &token, now).await?;
    let entry = Entry {
        actor,
        action: "enrolment_token_created",
        merchant_id: Some(order.merchant_id),
        plugin_id: order.plugin_id,
        details: json!({
            "token_id": id, "product": order.product, "cms": order.cms, "expires_at": expires_at.to_string(),
        }),
    };
    audit::log(&mut tx, &entry).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(MadeToken {
        token: token_hash::write(id, &secret),
        id,
        expires_at,
    })
}
