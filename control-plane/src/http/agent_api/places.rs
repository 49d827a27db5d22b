//! How many connections one identity, or one network of strangers, holds: nobody may take those of the others.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

/// All places taken.
#[derive(Debug)]
pub(super) struct Places<K> {
    taken: Mutex<HashMap<K, u32>>,
    of_one: u32,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place<K: Copy + Eq + Hash> {
    who: K,
    places: Arc<Places<K>>,
}

impl<K: Copy + Eq + Hash> Places<K> {
    /// At most `of_one` connections for each.
    pub fn new(of_one: u32) -> Self {
        Self {
            taken: Mutex::default(),
            of_one,
        }
    }

    /// Takes one; none when `who` holds all it may.
    pub fn take(self: &Arc<Self>, who: K) -> Option<Place<K>> {
        self.take_of(who, self.of_one)
    }

    /// Takes one, however many `who` holds.
    pub fn take_more(self: &Arc<Self>, who: K) -> Option<Place<K>> {
        self.take_of(who, u32::MAX)
    }

    fn take_of(self: &Arc<Self>, who: K, most: u32) -> Option<Place<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let held = taken.entry(who).or_default();
        if *held >= most {
            return None;
        }
        *held += 1;
        Some(Place {
            who,
            places: Arc::clone(self),
        })
    }
}

impl<K: Copy + Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = taken.get_mut(&self.who) {
            *held -= 1;
            if *held == 0 {
                taken.remove(&self.who);
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
        let (loud, quiet) = (1, 2);
        let held = [places.take(loud), places.take(loud)];
        assert!(held.iter().all(Option::is_some) && places.take(loud).is_none());
        assert!(places.take_more(loud).is_some());
        assert!(places.take(quiet).is_some());
        drop(held);
        assert!(places.take(loud).is_some());
        assert!(places.taken.lock().unwrap().is_empty());
    }
}
