//! From what the host configured to what each floor wants to know.

use super::AppError;
use crate::{
    config::{Settings, Telemetry},
    ingest::{IngestOptions, group_id},
    tasks::status::Place,
};

pub(super) fn ingest(telemetry: &Telemetry) -> Result<IngestOptions, AppError> {
    let group = match &telemetry.group {
        Some(name) => Some(group_id(name).ok_or_else(|| AppError::NoSuchGroup(name.clone()))?),
        None => None,
    };
    Ok(IngestOptions {
        socket: telemetry.socket.clone(),
        group,
        users: telemetry.users.clone(),
        udp: telemetry.udp,
        spool_dir: telemetry.spool_dir.clone(),
    })
}

/// What `status` says of the place, also when no agent runs.
pub fn place(settings: &Settings) -> Place {
    Place {
        product: settings.plugin.product.clone(),
        path: settings.plugin.path.clone(),
        layout: settings.plugin.layout.as_str(),
        control_plane: settings.url.clone(),
    }
}
