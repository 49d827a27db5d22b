//! How many connections one identity holds: a stolen or runaway certificate must not take those of the others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use plugmend_shared::ids::PluginId;

/// All places taken.
#[derive(Debug)]
pub(super) struct Places {
    taken: Mutex<HashMap<PluginId, u32>>,
    of_one: u32,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    plugin_id: PluginId,
    places: Arc<Places>,
}

impl Places {
    /// At most `of_one` connections for each identity.
    pub fn new(of_one: u32) -> Self {
        Self {
            taken: Mutex::default(),
            of_one,
        }
    }

    /// Takes one; none when the identity holds all it may.
    pub fn take(self: &Arc<Self>, plugin_id: PluginId) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let held = taken.entry(plugin_id).or_default();
        if *held >= self.of_one {
            return None;
        }
        *held += 1;
        Some(Place {
            plugin_id,
            places: Arc::clone(self),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = taken.get_mut(&self.plugin_id) {
            *held -= 1;
            if *held == 0 {
                taken.remove(&self.plugin_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_identity_has_its_own_places_and_gets_them_back() {
        let places = Arc::new(Places::new(2));
        let (loud, quiet) = (uuid::Uuid::from_u128(1).into(), uuid::Uuid::from_u128(2).into());
        let held = [places.take(loud), places.take(loud)];
        assert!(held.iter().all(Option::is_some) && places.take(loud).is_none());
        assert!(places.take(quiet).is_some());
        drop(held);
        assert!(places.take(loud).is_some());
        assert!(places.taken.lock().unwrap().is_empty());
    }
}
