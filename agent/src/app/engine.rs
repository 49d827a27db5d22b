//! Opens the engine, for the agent that runs and for the command line without one.

use std::{collections::BTreeMap, future::Future, ops::Range, os::unix::fs::MetadataExt as _, pin::Pin, sync::Arc};

use bytes::Bytes;
use plugmend_shared::{
    clock::Clock,
    ids::{CommandId, MerchantId},
    protocol::command::Go,
};
use ring::rand::SystemRandom;

use super::{AppError, convert};
use crate::{
    config::Settings,
    domain::trial::LiveCounters,
    engine::{Always, Engine, EngineDeps, LastWord, Signals},
    platform::sandbox::{self, Confinement},
    tasks::board::chain,
    upstream::{
        client::{Client, ClientError},
        repo::{Repository, Transport, TransportError},
    },
};

/// The way to the release repository. An agent that is not enrolled has none, and can still go back to what it keeps.
pub enum Way {
    /// Over the agent's own connection.
    Enrolled(Arc<Client>),
    /// None.
    Closed,
}

impl Transport for Way {
    async fn fetch(
        &self,
        path: &str,
        range: Option<Range<u64>>,
        max_bytes: u64,
    ) -> Result<Option<Bytes>, TransportError> {
        match self {
            Self::Enrolled(client) => client.fetch(path, range, max_bytes).await,
            Self::Closed => Err(TransportError::Unreachable(Box::new(ClientError::NotEnrolled))),
        }
    }
}

impl LastWord for Client {
    fn ask<'a>(&'a self, command: CommandId) -> Pin<Box<dyn Future<Output = Result<Go, String>> + Send + 'a>> {
        Box::pin(async move {
            match self.may_go(command).await {
                Ok(go) => Ok(go),
                // It does not know the order, or not this agent's: that is an answer.
                Err(ClientError::Refused(problem)) => Ok(Go {
                    go: false,
                    reason: Some(problem.title),
                }),
                Err(error) => Err(chain(&error)),
            }
        })
    }
}

/// What the engine is opened with.
pub(super) struct Parts {
    pub(super) way: Way,
    pub(super) merchant: Option<MerchantId>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Arc<dyn LiveCounters>,
    pub(super) signals: Arc<Signals>,
}

pub(super) fn open(settings: &Settings, parts: Parts) -> Result<Engine<Way>, AppError> {
    let options = convert::engine(settings, parts.merchant, parts.env)?;
    let last_word: Arc<dyn LastWord> = match &parts.way {
        Way::Enrolled(client) => client.clone(),
        Way::Closed => Arc::new(Always),
    };
    let deps = EngineDeps {
        last_word,
        repository: Repository::open(convert::repository(settings)?, parts.way)?,
        clock: parts.clock,
        counters: parts.counters,
        signals: parts.signals,
        random: Arc::new(SystemRandom::new()),
    };
    Ok(Engine::open(options, deps)?)
}

/// What of the host's protection can not be had, in words.
pub(super) fn reduced_protection(settings: &Settings) -> Result<Vec<String>, AppError> {
    let mut reduced = Vec::new();
    let own = rustix::process::geteuid().as_raw();
    if std::fs::metadata(&settings.plugin.path).is_ok_and(|found| found.uid() == own) {
        reduced.push("one user for agent and plugin: the plugin could read the agent's key".to_owned());
    }
    match sandbox::available(&convert::sandbox(settings)?) {
        Ok(protection) if protection.confinement == Confinement::None => {
            reduced.push("releases' own tests run without confinement".to_owned());
        }
        Ok(_) => {}
        Err(_) => {
            reduced.push("releases with tests of their own are refused: nothing here can confine them".to_owned());
        }
    }
    Ok(reduced)
}
