//! Starts the agents' gateway: CA, its own certificate, standings, listener.

use std::{net::TcpListener, sync::Arc};

use anyhow::Context as _;
use plugmend_shared::{
    clock::{Clock, SystemClock},
    ids::Digest,
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tokio::sync::watch;

use crate::{
    config::{GatewaySettings, Role, Settings},
    http::{
        self, AppState,
        agent_api::{
            gateway::Gateway,
            listener::{self, ListenerOptions},
            rates::{RateOptions, Rates},
        },
    },
    lifecycle::Lifecycle,
    pki::{self, AgentCa, CaError, CaOptions, gateway_certificate::GatewayCertificate},
    service::{
        Entropy,
        enrolment::{Enrolment, IssuingOptions},
        enrolment_token::TokenDesk,
        standing::{StandingOptions, Standings},
        token_hash::TokenHasher,
    },
};

/// Makes a new CA.
///
/// # Errors
/// When there is one already, or it can not be written.
pub fn init_ca(settings: &Settings) -> anyhow::Result<Digest> {
    let random = Entropy::new().bytes()?;
    Ok(AgentCa::create(&ca_options(&settings.gateway), SystemClock.now(), random)?.fingerprint())
}

/// What is needed to make enrolment tokens. A process that only works needs no CA.
pub(super) fn token_desk(settings: &Settings, roles: &[Role]) -> anyhow::Result<TokenDesk> {
    let serves = roles.iter().any(|role| matches!(role, Role::Api | Role::Gateway));
    Ok(TokenDesk {
        hasher: TokenHasher::new(&settings.auth.secret_key),
        ca_sha256: serves.then(|| ca_sha256(settings)).transpose()?,
    })
}

/// SHA-256 of the CA that agents check the gateway against (DER). With `--dev`, a missing CA is made.
pub(super) fn ca_sha256(settings: &Settings) -> anyhow::Result<Digest> {
    let options = ca_options(&settings.gateway);
    let certificate = match pki::ca::certificate_of(&options) {
        Err(CaError::Missing(_)) if settings.dev => {
            make_dev_ca(settings)?;
            pki::ca::certificate_of(&options)?
        }
        found => found?,
    };
    let Some(configured) = &settings.gateway.certificate else {
        return Ok(Digest::of(&certificate));
    };
    let path = &configured.ca;
    let der = CertificateDer::from_pem_file(path).with_context(|| format!("can not read {}", path.display()))?;
    Ok(Digest::of(&der))
}

/// Two processes may start at the same time: whoever comes second takes what the first has made.
fn make_dev_ca(settings: &Settings) -> anyhow::Result<()> {
    match init_ca(settings) {
        Ok(_) => Ok(()),
        Err(error) => match error.downcast_ref() {
            Some(CaError::Exists(_)) => Ok(()),
            _ => Err(error),
        },
    }
}

/// Starts the gateway and its tasks.
pub(super) fn start(
    settings: &Settings,
    listener: TcpListener,
    state: &AppState,
    lifecycle: &mut Lifecycle,
) -> anyhow::Result<()> {
    let options = &settings.gateway;
    let ca = Arc::new(AgentCa::load(&ca_options(options))?);
    let certificate = Arc::new(own_certificate(options, &ca, state)?);
    let grace = options.certificate_grace.unsigned_abs();
    let tls = pki::tls::server_config(ca.certificate(), Arc::clone(&certificate), grace)?;
    let standing_options = StandingOptions {
        grace: options.certificate_grace,
        in_flight: options.in_flight,
        ..StandingOptions::default()
    };
    let standings = Arc::new(Standings::new(state.db.clone(), standing_options));
    let gateway = Arc::new(Gateway {
        enrolment: enrolment(settings, &ca, state)?,
        standings: Arc::clone(&standings),
        rates: Rates::new(RateOptions::default()),
        clock: Arc::clone(&state.clock),
    });
    let stop = lifecycle.stop();
    lifecycle.spawn("standings", async move { standings.follow(stop).await });
    if options.certificate.is_none() {
        let renewing = keep_renewed(certificate, ca, options.names.clone(), state.clone(), lifecycle.stop());
        lifecycle.spawn("gateway certificate", renewing);
    }
    tracing::info!(address = %listener.local_addr()?, "the gateway listens");
    let router = http::gateway_router(state.clone(), Arc::clone(&gateway));
    let serving = listener::serve(
        listener,
        tls,
        router,
        gateway,
        ListenerOptions::default(),
        lifecycle.stop(),
    );
    lifecycle.spawn("gateway", serving);
    Ok(())
}

fn ca_options(settings: &GatewaySettings) -> CaOptions {
    CaOptions {
        dir: settings.pki_dir.clone(),
        key_pem: settings.ca_key.clone(),
        key_file: settings.ca_key_file.clone(),
    }
}

fn enrolment(settings: &Settings, ca: &Arc<AgentCa>, state: &AppState) -> anyhow::Result<Enrolment> {
    let gateway_ca_pem = match &settings.gateway.certificate {
        None => None,
        Some(configured) => {
            let path = &configured.ca;
            Some(std::fs::read_to_string(path).with_context(|| format!("can not read {}", path.display()))?)
        }
    };
    let issuing = IssuingOptions {
        trust_domain: settings.gateway.trust_domain.clone(),
        lifetime: settings.gateway.certificate_lifetime,
        gateway_ca_pem,
    };
    let hasher = TokenHasher::new(&settings.auth.secret_key);
    Ok(Enrolment::new(
        state.db.clone(),
        Arc::clone(ca),
        hasher,
        state.entropy.clone(),
        issuing,
    ))
}

fn own_certificate(options: &GatewaySettings, ca: &AgentCa, state: &AppState) -> anyhow::Result<GatewayCertificate> {
    Ok(match &options.certificate {
        Some(configured) => GatewayCertificate::configured(&configured.chain, &configured.key)?,
        None => GatewayCertificate::issue(ca, &options.names, state.clock.now(), state.entropy.bytes()?)?,
    })
}

/// Replaces the gateway's own certificate long before it ends.
async fn keep_renewed(
    certificate: Arc<GatewayCertificate>,
    ca: Arc<AgentCa>,
    names: Vec<String>,
    state: AppState,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = tokio::time::sleep(GatewayCertificate::RENEW_AFTER) => {}
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        }
        certificate.replace(&ca, &names, state.clock.now(), state.entropy.bytes()?)?;
        tracing::info!("the gateway has a new certificate");
    }
}
