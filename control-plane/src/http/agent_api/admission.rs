//! The doorkeeper: no request reaches a handler unless its sender may speak at this moment, and one that waits is
//! ended when that changes.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use plugmend_shared::{
    ids::BootId,
    protocol::{LONG_POLL_SECONDS, identity::BOOT_HEADER, problem::codes},
};
use tokio::{pin, sync::watch, time::timeout};

use super::{
    gateway::{Gateway, refused, too_many},
    peer::{Peer, PeerCertificate},
};
use crate::{
    domain::identity::AgentIdentity,
    http::ApiError,
    service::standing::{Refusal, Shown, StandingError},
};

/// No request takes longer than the longest poll and a little.
const LONGEST: Duration = Duration::from_secs(LONG_POLL_SECONDS + 20);
/// Where release files are: requests for them tell nothing about lives of the process.
const RELEASE_FILES: &str = "/repo/";

/// Lets an agent in good standing through, with its [`AgentIdentity`].
pub async fn ordinary(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    admit(&gateway, false, request, next).await
}

/// The same for a renewal, which a certificate that expired within the grace may ask for as well.
pub async fn renewal(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    admit(&gateway, true, request, next).await
}

async fn admit(gateway: &Gateway, renewal: bool, mut request: Request, next: Next) -> Response {
    let Some(peer) = request.extensions().get::<Arc<Peer>>().cloned() else {
        return ApiError::internal(anyhow::anyhow!("a request came by no listener of ours")).into_response();
    };
    let Some(certificate) = &peer.certificate else {
        return no_certificate();
    };
    // Counted before anything is looked up: a flood must cost the flooder, not the database.
    if let Some(plugin_id) = certificate.plugin_id
        && let Err(wait) = gateway.rates.agent(plugin_id)
    {
        return too_many(wait);
    }
    let mut news = peer.news();
    // What changes from here on is heard; what changed before is found below.
    news.iter_mut().for_each(watch::Receiver::mark_unchanged);
    let boot_id = match boot_id(&request) {
        Ok(boot_id) => boot_id,
        Err(error) => return error.into_response(),
    };
    match judge(gateway, &peer, certificate, (renewal, boot_id)).await {
        Ok(identity) => request.extensions_mut().insert(identity),
        Err(response) => return response,
    };
    let running = timeout(LONGEST, next.run(request));
    pin!(running);
    loop {
        tokio::select! {
            ended = &mut running => return ended.unwrap_or_else(|_| ApiError::busy().into_response()),
            () = heard(news.as_mut()) => {
                let now = gateway.clock.now();
                if let Err(error) = gateway.standings.recheck(&certificate.fingerprint, renewal, now).await {
                    return refused(error);
                }
            }
        }
    }
}

async fn judge(
    gateway: &Gateway,
    peer: &Peer,
    certificate: &PeerCertificate,
    (renewal, boot_id): (bool, Option<BootId>),
) -> Result<AgentIdentity, Response> {
    let address = peer.address_text();
    let shown = Shown {
        fingerprint: certificate.fingerprint,
        boot_id,
        address: &address,
        renewal,
    };
    if certificate.plugin_id.is_none() {
        return Err(refused(StandingError::Refused(Refusal::Unknown)));
    }
    let admitted = gateway.standings.admit(&shown, gateway.clock.now()).await;
    // An agent that can not be judged for want of a database is not taken for a stranger.
    if !matches!(admitted, Err(StandingError::Refused(_))) {
        peer.admit();
    }
    admitted.map_err(refused)
}

/// Which life of the agent's process speaks.
fn boot_id(request: &Request) -> Result<Option<BootId>, ApiError> {
    if request.uri().path().starts_with(RELEASE_FILES) {
        return Ok(None);
    }
    let told = request.headers().get(BOOT_HEADER).and_then(|value| value.to_str().ok());
    let boot_id = told.and_then(|text| text.parse().ok());
    boot_id.map(Some).ok_or_else(|| {
        ApiError::bad_request(codes::MISSING_FIELDS, "The life of the agent's process is not told")
            .detail(format!("the header {BOOT_HEADER} has to hold its UUID"))
    })
}

/// Resolves at the next news; never when there are none to come.
async fn heard(news: Option<&mut watch::Receiver<()>>) {
    if let Some(news) = news
        && news.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

fn no_certificate() -> Response {
    ApiError::problem(
        StatusCode::UNAUTHORIZED,
        codes::CERTIFICATE_REQUIRED,
        "A client certificate is wanted",
    )
    .detail("enrol this agent with a token, then use the certificate that it was given")
    .into_response()
}
