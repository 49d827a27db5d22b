//! Starts the healing loop: who decides, who tries out, and the reconcilers that drive it.

use std::{fs, path::PathBuf, sync::Arc};

use anyhow::Context as _;

use crate::{
    config::Settings,
    http::AppState,
    jobs::{Attempts, Incidents, Learning, Reconciler, Runner, follow_hints},
    lifecycle::Lifecycle,
    outgoing::HttpClient,
    service::{decide::DecisionDesk, healing::Healing},
    sira::{External, Sira},
};

/// Starts the loop's reconcilers and what wakes them.
pub(super) fn start(settings: &Settings, state: &AppState, lifecycle: &mut Lifecycle) -> anyhow::Result<()> {
    let desk = DecisionDesk::new(state.db.clone(), sira(settings)?, state.entropy.clone());
    let healing = Healing {
        db: state.db.clone(),
        clock: Arc::clone(&state.clock),
        entropy: state.entropy.clone(),
        decider: Arc::new(desk),
        staging: super::staging::staging_client(&settings.staging)?,
    };
    let reconcilers: [Arc<dyn Reconciler>; 3] = [
        Arc::new(Incidents::new(healing.clone())),
        Arc::new(Attempts::new(healing)),
        Arc::new(Learning::new(state.db.clone())),
    ];
    let mut wakes = Vec::new();
    for reconciler in reconcilers {
        let runner = Runner::new(reconciler, Arc::clone(&state.clock));
        wakes.push(runner.wake());
        let (name, stop) = (runner.name(), lifecycle.stop());
        lifecycle.spawn(name, async {
            runner.run(stop).await;
            Ok(())
        });
    }
    let hints = follow_hints(state.db.clone(), wakes, lifecycle.stop());
    lifecycle.spawn("hints of the healing loop", async {
        hints.await;
        Ok(())
    });
    Ok(())
}

/// The external SIRA when one is configured, and what stands in for it.
fn sira(settings: &Settings) -> anyhow::Result<Sira> {
    let Some(external) = &settings.sira else {
        return Ok(Sira::new(None));
    };
    let read = |path: &PathBuf| {
        fs::read(path).with_context(|| format!("can not read PLUGMEND_SIRA_CA_FILE {}", path.display()))
    };
    let ca = external.ca_file.as_ref().map(read).transpose()?;
    let http = HttpClient::new(ca.as_deref())?;
    let external = External::new(http, &external.url, external.token.clone())?;
    Ok(Sira::new(Some(Arc::new(external))))
}
