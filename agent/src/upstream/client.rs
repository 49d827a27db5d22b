//! The agent's only way to its control plane: HTTP/1.1 over mutual TLS 1.3.
//!
//! Connections are kept and used again. A long poll occupies the one it waits on, so whatever is sent meanwhile takes
//! a second; an agent that lets its poll end when the next heartbeat is due gets by with one.

use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Method;
use plugmend_shared::{
    clock::Clock,
    ids::{BootId, CommandId, MerchantId, PluginId},
    protocol::{
        LONG_POLL_SECONDS,
        command::{Ack, CommandList, Fail, Go, Progress},
        heartbeat::{Heartbeat, HeartbeatAnswer},
        identity::{Identity, RenewRequest},
    },
};
use rustls::ClientConfig;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Semaphore;

pub use super::error::ClientError;
use super::{
    connection::{Connection, Target},
    identity_store::{IdentityStore, StoredIdentity},
    tls,
    wire::{Call, Reply},
};

/// How long an ordinary request may take until its answer begins.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much longer than asked for a long poll may take.
const POLL_SLACK: Duration = Duration::from_secs(15);
/// The longest JSON answer, in bytes: a batch of commands with their settings.
const MAX_JSON_BYTES: u64 = 1024 * 1024;
/// Connections kept open between requests.
const KEPT: usize = 2;
/// A second connection that has not been used for this long is closed at the next occasion.
const IDLE: Duration = Duration::from_mins(3);
/// The most requests at the same time; more wait their turn.
const AT_ONCE: usize = 3;

/// Where the control plane is, and which life of the agent speaks.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// `https://host:port`.
    pub url: String,
    /// Drawn at the start of the process.
    pub boot_id: BootId,
}

/// The connection to the control plane. Share it by reference or `Arc`.
pub struct Client {
    target: Target,
    boot_id: BootId,
    store: IdentityStore,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    turns: Semaphore,
}

struct State {
    identity: StoredIdentity,
    tls: Arc<ClientConfig>,
    /// Grows when the identity is replaced, so that connections of the one before are not used again.
    epoch: u64,
    kept: Vec<(Connection, Instant)>,
    fenced: Option<String>,
}

impl Client {
    /// Reads the identity from `store`; no connection is made yet.
    pub fn open(options: &ClientOptions, store: IdentityStore, clock: Arc<dyn Clock>) -> Result<Self, ClientError> {
        let target = Target::parse(&options.url)?;
        let state = load(&store, 0)?;
        Ok(Self {
            target,
            boot_id: options.boot_id,
            store,
            clock,
            state: Mutex::new(state),
            turns: Semaphore::new(AT_ONCE),
        })
    }

    /// Whose plugin this agent looks after, and which.
    pub fn names(&self) -> (MerchantId, PluginId) {
        let state = self.state();
        (state.identity.merchant_id, state.identity.plugin_id)
    }

    /// Reads the identity again, after a renewal or an enrolment; the connections of the old one are closed.
    pub fn reload(&self) -> Result<(), ClientError> {
        let mut state = self.state();
        *state = load(&self.store, state.epoch + 1)?;
        Ok(())
    }

    /// Sends a heartbeat; answered after the control plane has committed it.
    pub async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatAnswer, ClientError> {
        self.post("/api/plugins/heartbeat", heartbeat, "the heartbeat").await
    }

    /// Waits up to `wait_s` seconds (55 at most) for commands.
    pub async fn poll_commands(&self, wait_s: u64) -> Result<CommandList, ClientError> {
        let wait_s = wait_s.min(LONG_POLL_SECONDS);
        let mut call = self.call(
            Method::GET,
            format!("/api/plugins/commands?wait={wait_s}"),
            "the wait for commands",
        );
        call.patience = Duration::from_secs(wait_s) + POLL_SLACK;
        json(&self.send(call).await?)
    }

    /// Asks whether a command still stands, right before the plugin is changed.
    pub async fn may_go(&self, id: CommandId) -> Result<Go, ClientError> {
        let path = format!("/api/plugins/commands/{id}/go");
        json(
            &self
                .send(self.call(Method::GET, path, "the last word on a command"))
                .await?,
        )
    }

    /// Says that a command was completed, and how.
    pub async fn ack(&self, id: CommandId, ack: &Ack) -> Result<(), ClientError> {
        self.tell(id, "ack", ack).await
    }

    /// Says how far a command has come.
    pub async fn progress(&self, id: CommandId, progress: &Progress) -> Result<(), ClientError> {
        self.tell(id, "progress", progress).await
    }

    /// Says that a command failed.
    pub async fn fail(&self, id: CommandId, fail: &Fail) -> Result<(), ClientError> {
        self.tell(id, "fail", fail).await
    }

    /// Fetches `path`, or a range of it, of at most `max_bytes`. A missing file is `Refused` with status 404.
    pub async fn get(&self, path: &str, range: Option<Range<u64>>, max_bytes: u64) -> Result<Bytes, ClientError> {
        if let Some(range) = &range {
            if range.is_empty() {
                return Ok(Bytes::new());
            }
            if range.end - range.start > max_bytes {
                return Err(ClientError::TooLarge { limit: max_bytes });
            }
        }
        let mut call = self.call(Method::GET, path.to_owned(), "the download");
        call.range = range;
        call.max_bytes = max_bytes;
        Ok(self.send(call).await?.body)
    }

    /// Asks for the next certificate; the answer comes with the control plane's clock.
    pub(super) async fn request_renewal(
        &self,
        csr_pem: String,
        renewals: u64,
    ) -> Result<(Identity, Option<jiff::Timestamp>), ClientError> {
        let boot_id = self.boot_id;
        let mut call = self.call(Method::POST, "/v1/renew".to_owned(), "the renewal");
        call.body = body(&RenewRequest {
            csr_pem,
            renewals,
            boot_id,
        })?;
        let reply = self.send(call).await?;
        Ok((json(&reply)?, reply.server_time))
    }

    pub(super) fn store(&self) -> &IdentityStore {
        &self.store
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    async fn tell<T: Serialize + Sync>(&self, id: CommandId, verb: &str, what: &T) -> Result<(), ClientError> {
        let path = format!("/api/plugins/commands/{id}/{verb}");
        let _: serde::de::IgnoredAny = self.post(&path, what, "the report on a command").await?;
        Ok(())
    }

    async fn post<T: Serialize + Sync, R: DeserializeOwned>(
        &self,
        path: &str,
        what: &T,
        doing: &'static str,
    ) -> Result<R, ClientError> {
        let mut call = self.call(Method::POST, path.to_owned(), doing);
        call.body = body(what)?;
        json(&self.send(call).await?)
    }

    fn call(&self, method: Method, path: String, doing: &'static str) -> Call {
        Call {
            method,
            path,
            body: Bytes::new(),
            range: None,
            boot_id: Some(self.boot_id.to_string()),
            max_bytes: MAX_JSON_BYTES,
            patience: PATIENCE,
            doing,
        }
    }

    async fn send(&self, call: Call) -> Result<Reply, ClientError> {
        self.refuse_when_fenced()?;
        let Ok(_turn) = self.turns.acquire().await else {
            return Err(ClientError::NotEnrolled);
        };
        let answer = self.send_over_some_connection(&call).await;
        if let Err(ClientError::Fenced(detail)) = &answer {
            self.remember_fence(detail)?;
        }
        answer
    }

    async fn send_over_some_connection(&self, call: &Call) -> Result<Reply, ClientError> {
        let (epoch, tls, kept) = self.take();
        if let Some(connection) = kept {
            match self.exchange(connection, epoch, call).await {
                // The server may close a kept connection just as we use it. Every request here may be repeated.
                Err(ClientError::Unreachable { .. }) => {}
                answer => return answer,
            }
        }
        let connection = Connection::open(&self.target, tls).await?;
        self.exchange(connection, epoch, call).await
    }

    async fn exchange(&self, mut connection: Connection, epoch: u64, call: &Call) -> Result<Reply, ClientError> {
        let answer = call.exchange(&mut connection, &self.target).await;
        // A refusal has been read to its end; after any other failure the rest may still be under way.
        if matches!(answer, Ok(_) | Err(ClientError::Refused(_))) {
            self.keep(connection, epoch);
        }
        answer
    }

    fn take(&self) -> (u64, Arc<ClientConfig>, Option<Connection>) {
        let mut state = self.state();
        state
            .kept
            .retain(|(connection, used)| !connection.is_closed() && used.elapsed() < IDLE);
        let kept = state.kept.pop().map(|(connection, _)| connection);
        (state.epoch, state.tls.clone(), kept)
    }

    fn keep(&self, connection: Connection, epoch: u64) {
        let mut state = self.state();
        if state.epoch == epoch && state.kept.len() < KEPT {
            state.kept.push((connection, Instant::now()));
        }
    }

    /// A fenced agent is silent. A person may have enrolled it anew from the command line meanwhile.
    fn refuse_when_fenced(&self) -> Result<(), ClientError> {
        let Some(detail) = self.state().fenced.clone() else {
            return Ok(());
        };
        self.reload()?;
        match &self.state().fenced {
            Some(_) => Err(ClientError::Fenced(detail)),
            None => Ok(()),
        }
    }

    fn remember_fence(&self, detail: &str) -> Result<(), ClientError> {
        let mut state = self.state();
        state.kept.clear();
        state.fenced = Some(detail.to_owned());
        self.store
            .mark_fenced(&state.identity, self.clock.now(), detail.to_owned())?;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(store: &IdentityStore, epoch: u64) -> Result<State, ClientError> {
    let identity = store.identity()?.ok_or(ClientError::NotEnrolled)?;
    Ok(State {
        tls: tls::for_identity(&identity)?,
        fenced: store.fence(&identity)?.map(|mark| mark.detail),
        identity,
        epoch,
        kept: Vec::new(),
    })
}

fn body<T: Serialize>(what: &T) -> Result<Bytes, ClientError> {
    serde_json::to_vec(what)
        .map(Bytes::from)
        .map_err(|error| ClientError::Malformed {
            what: format!("the request can not be written as JSON: {error}"),
        })
}

pub(super) fn json<T: DeserializeOwned>(reply: &Reply) -> Result<T, ClientError> {
    serde_json::from_slice(&reply.body).map_err(|error| ClientError::Malformed {
        what: error.to_string(),
    })
}
