//! `POST /api/ops/plugins/{id}/secret`: a new plugin secret, shown once.

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::StatusCode,
};
use jiff::{SignedDuration, Timestamp};
use plugmend_shared::protocol::MAX_BODY_BYTES;
use serde::{Deserialize, Serialize};

use super::write::{actor, id_in_path};
use crate::{
    http::{ApiError, AppState, auth::Caller, body, openapi::Conflict},
    service::plugin::{LONGEST_OVERLAP, OVERLAP, PluginError, rotate_secret},
    store,
};

/// How to rotate.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// How long the secret before is still taken, in seconds; a day unless told otherwise, 0 ends it at once.
    overlap_s: Option<i64>,
}

/// The new secret.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct NewSecret {
    plugin_secret: String,
    previous_taken_until: Timestamp,
}

/// Makes a secret. No `Idempotency-Key` here: that would keep the secret; a lost answer is mended by rotating again.
#[utoipa::path(
    post,
    path = "/api/ops/plugins/{id}/secret",
    tag = "plugins",
    params(("id" = Uuid, Path, description = "Its id.")),
    request_body = Option<Rotation>,
    responses((status = 201, description = "The secret, shown this once.", body = NewSecret), Conflict)
)]
pub async fn rotate(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    request: Body,
) -> Result<(StatusCode, Json<NewSecret>), ApiError> {
    let bytes = body::read(request, MAX_BODY_BYTES).await?;
    let rotation: Rotation = if bytes.is_empty() {
        Rotation::default()
    } else {
        body::parse(&bytes)?
    };
    let overlap = rotation.overlap_s.map_or(OVERLAP, SignedDuration::from_secs);
    if overlap.is_negative() || overlap > LONGEST_OVERLAP {
        return Err(ApiError::bad_request("invalid_field", "A field can not be read")
            .detail("overlap_s is 0 to 2592000 (30 days)"));
    }
    let id = id_in_path(&id, "plugin")?;
    // A plugin does not change hands, so that what was found holds.
    let plugin = store::plugin::find(&state.db, id).await?;
    if !plugin.is_some_and(|plugin| caller.scope.covers(plugin.merchant_id)) {
        return Err(PluginError::UnknownPlugin.into());
    }
    let now = state.clock.now();
    let random = state.entropy.bytes()?;
    let secret = rotate_secret(&state.db, &actor(&caller), &state.secrets, id, random, overlap, now).await?;
    let previous_taken_until = now.checked_add(overlap).unwrap_or(Timestamp::MAX);
    Ok((
        StatusCode::CREATED,
        Json(NewSecret {
            plugin_secret: secret.to_string(),
            previous_taken_until,
        }),
    ))
}
