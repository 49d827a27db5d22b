//! What is known of agents, in memory: bounded, and used only while news from the database keep coming.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use plugmend_shared::ids::{Digest, PluginId};

use crate::store::certificate::Bearer;

/// The cache.
pub(super) struct Cache {
    inner: Mutex<Inner>,
    capacity: usize,
    /// How long without news until nothing here is believed.
    patience: Duration,
}

#[derive(Default)]
struct Inner {
    bearers: HashMap<Digest, Arc<Bearer>>,
    of_plugin: HashMap<PluginId, Vec<Digest>>,
    /// Grows with everything that is forgotten, so that what was read before is not put in after.
    age: u64,
    /// When the database was last asked what changed.
    in_step: Option<Instant>,
}

impl Cache {
    pub fn new(capacity: usize, patience: Duration) -> Self {
        Self {
            inner: Mutex::default(),
            capacity,
            patience,
        }
    }

    /// What is known of the certificate; nothing while the news are late.
    pub fn get(&self, fingerprint: &Digest) -> Option<Arc<Bearer>> {
        let inner = self.inner();
        let fresh = inner.in_step.is_some_and(|at| at.elapsed() < self.patience);
        if fresh {
            inner.bearers.get(fingerprint).cloned()
        } else {
            None
        }
    }

    /// To be taken before the database is read, and given to [`Cache::put`].
    pub fn age(&self) -> u64 {
        self.inner().age
    }

    /// Keeps what was read when the cache was of that `age`, unless something was forgotten since.
    pub fn put(&self, fingerprint: Digest, bearer: Arc<Bearer>, age: u64) {
        let mut inner = self.inner();
        if inner.age != age {
            return;
        }
        if inner.bearers.len() >= self.capacity && !inner.bearers.contains_key(&fingerprint) {
            inner.make_room();
        }
        let plugin_id = bearer.identity.plugin_id;
        if inner.bearers.insert(fingerprint, bearer).is_none() {
            inner.of_plugin.entry(plugin_id).or_default().push(fingerprint);
        }
    }

    /// Forgets an agent.
    pub fn forget(&self, plugin_id: PluginId) {
        let mut inner = self.inner();
        inner.age += 1;
        for fingerprint in inner.of_plugin.remove(&plugin_id).unwrap_or_default() {
            inner.bearers.remove(&fingerprint);
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let mut inner = self.inner();
        inner.age += 1;
        inner.bearers.clear();
        inner.of_plugin.clear();
    }

    /// Says that the database was just asked what changed.
    pub fn in_step(&self) {
        self.inner().in_step = Some(Instant::now());
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Drops any one agent: all are as likely to be heard of next.
    fn make_room(&mut self) {
        let Some(plugin_id) = self.of_plugin.keys().next().copied() else {
            return;
        };
        for fingerprint in self.of_plugin.remove(&plugin_id).unwrap_or_default() {
            self.bearers.remove(&fingerprint);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::identity::{AgentIdentity, AgentState, CertificateState, Sightings};

    fn bearer(number: u8) -> (Digest, Arc<Bearer>) {
        let identity = AgentIdentity {
            merchant_id: uuid::Uuid::nil().into(),
            plugin_id: uuid::Uuid::from_bytes([number; 16]).into(),
            serial: String::new(),
            renewals: 0,
        };
        let bearer = Bearer {
            identity,
            certificate: CertificateState {
                not_after: Timestamp::MAX,
                revoked: None,
            },
            agent: AgentState::default(),
            sightings: Sightings::default(),
        };
        (Digest::of(&[number]), Arc::new(bearer))
    }

    fn cache() -> Cache {
        let cache = Cache::new(2, Duration::from_hours(1));
        cache.in_step();
        cache
    }

    #[test]
    fn what_was_read_before_a_revocation_is_not_kept_after_it() {
        let (cache, (name, who)) = (cache(), bearer(1));
        let age = cache.age();
        cache.forget(who.identity.plugin_id);
        cache.put(name, who.clone(), age);
        assert!(cache.get(&name).is_none());
        cache.put(name, who, cache.age());
        assert!(cache.get(&name).is_some());
    }

    #[test]
    fn nothing_is_believed_while_no_news_come() {
        let (name, who) = bearer(1);
        let cache = Cache::new(2, Duration::from_hours(1));
        cache.put(name, who, cache.age());
        assert!(cache.get(&name).is_none());
    }

    #[test]
    fn the_cache_stays_within_its_bound() {
        let cache = cache();
        for number in 0..10 {
            let (name, who) = bearer(number);
            cache.put(name, who, cache.age());
        }
        assert_eq!(cache.inner().bearers.len(), 2);
        assert_eq!(cache.inner().of_plugin.len(), 2);
    }
}
