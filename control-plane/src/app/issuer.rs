//! How people's tokens are checked.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use plugmend_shared::clock::Clock;

use crate::{
    config::{ConfigError, IssuerSettings},
    http::auth::{TokenVerifier, jwks::Jwks},
    lifecycle::Lifecycle,
};

/// A verifier by these settings, with the task that keeps its keys fresh.
pub(super) fn tokens(
    settings: &IssuerSettings,
    clock: &Arc<dyn Clock>,
    lifecycle: &mut Lifecycle,
) -> anyhow::Result<TokenVerifier> {
    let mut tokens = match &settings.public_pem {
        Some(pem) => TokenVerifier::from_pem(pem).map_err(|error| ConfigError::Invalid {
            name: "MOLAM_ID_JWT_PUBLIC",
            why: error.to_string(),
        })?,
        None => TokenVerifier::default(),
    };
    if let Some(url) = &settings.jwks_url {
        let read = |path: &PathBuf| std::fs::read(path).with_context(|| format!("can not read {}", path.display()));
        let ca = settings.ca_file.as_ref().map(read).transpose()?;
        let jwks = Arc::new(Jwks::new(url, ca.as_deref())?);
        let following = Arc::clone(&jwks).follow(Arc::clone(clock), lifecycle.stop());
        lifecycle.spawn("issuer's keys", async {
            following.await;
            Ok(())
        });
        tokens = tokens.with_published(jwks);
    }
    Ok(match &settings.audience {
        Some(audience) => tokens.for_audience(audience.clone()),
        None => tokens,
    })
}
