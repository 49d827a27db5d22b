//! A repository in memory that can be told to misbehave, and an agent's view of it.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test helper: a panic is the report")]

use std::{
    collections::BTreeMap,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use plugmend_agent::upstream::repo::{Repository, RepositoryOptions, Transport, TransportError, TrustAnchor};
use plugmend_shared::tuf::Limits;

use crate::fixture::{Repo, product};

/// What is served, and what was asked for.
#[derive(Clone, Default)]
pub struct Served(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    asked: Vec<String>,
    /// Answers longer than allowed, and shorter ranges than asked for.
    lying: bool,
    unreachable_after: Option<usize>,
}

impl Served {
    pub fn of(repo: &Repo) -> Self {
        let served = Self::default();
        served.now(repo);
        served
    }

    /// Serves what the repository has published by now.
    pub fn now(&self, repo: &Repo) {
        self.0.lock().unwrap().files.clone_from(&repo.files);
    }

    pub fn replace(&self, path: &str, bytes: &[u8]) {
        self.0.lock().unwrap().files.insert(path.into(), bytes.into());
    }

    pub fn remove(&self, path: &str) {
        self.0.lock().unwrap().files.remove(path).unwrap();
    }

    pub fn lie(&self) {
        self.0.lock().unwrap().lying = true;
    }

    /// Answers so many more requests, then none; `None` heals.
    pub fn unreachable_after(&self, requests: Option<usize>) {
        self.0.lock().unwrap().unreachable_after = requests;
    }

    /// What was asked for since the last call.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }
}

impl Transport for Served {
    async fn fetch(
        &self,
        path: &str,
        range: Option<Range<u64>>,
        max_bytes: u64,
    ) -> Result<Option<Bytes>, TransportError> {
        let mut state = self.0.lock().unwrap();
        match &mut state.unreachable_after {
            Some(0) => return Err(TransportError::Unreachable("told to be".into())),
            Some(left) => *left -= 1,
            None => {}
        }
        state.asked.push(path.to_owned());
        let Some(bytes) = state.files.get(path) else {
            return Ok(None);
        };
        let bytes = match range {
            Some(range) => &bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()],
            None => bytes,
        };
        if state.lying {
            let bytes = [bytes, &vec![0; usize::try_from(max_bytes).unwrap() + 1]].concat();
            return Ok(Some(bytes.into()));
        }
        if bytes.len() as u64 > max_bytes {
            return Err(TransportError::TooLarge(max_bytes));
        }
        Ok(Some(Bytes::copy_from_slice(bytes)))
    }
}

/// Options of an agent that keeps its metadata in `home` and trusts the repository's first root.
pub fn options(home: &Path, repo: &Repo) -> RepositoryOptions {
    RepositoryOptions {
        folder: home.join("metadata"),
        anchor: TrustAnchor::Root(repo.bytes("root", 1).to_vec()),
        product: product(),
        limits: Limits::default(),
    }
}

/// An agent as after a start.
pub fn agent(home: &Path, repo: &Repo, served: &Served) -> Repository<Served> {
    Repository::open(options(home, repo), served.clone()).unwrap()
}
