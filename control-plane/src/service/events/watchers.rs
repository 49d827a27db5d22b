//! Who watches: bounded in all, and for each caller.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use thiserror::Error;

/// Streams that one process serves.
const MOST: usize = 2_000;
/// Streams of one caller: pages that are open in a browser.
const MOST_OF_ONE: usize = 20;

/// Who watches.
#[derive(Debug, Default)]
pub(super) struct Watchers(Mutex<HashMap<String, usize>>);

/// There is no place left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TooMany {
    /// For anybody.
    #[error("too many people watch at this moment; try again later")]
    InAll,
    /// For this caller.
    #[error("you watch {MOST_OF_ONE} times already; close a page")]
    Yours,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct Admission {
    watchers: Arc<Watchers>,
    who: String,
}

impl Watchers {
    pub fn admit(this: &Arc<Self>, who: &str) -> Result<Admission, TooMany> {
        let mut places = this.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.values().sum::<usize>() >= MOST {
            return Err(TooMany::InAll);
        }
        let own = places.entry(who.to_owned()).or_default();
        if *own >= MOST_OF_ONE {
            return Err(TooMany::Yours);
        }
        *own += 1;
        Ok(Admission {
            watchers: Arc::clone(this),
            who: who.to_owned(),
        })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut places = self.watchers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = places.get_mut(&self.who) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                places.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_watches_without_end() {
        let watchers = Arc::default();
        let mut held: Vec<_> = (0..MOST_OF_ONE)
            .map(|_| Watchers::admit(&watchers, "ada").unwrap())
            .collect();
        assert_eq!(Watchers::admit(&watchers, "ada").unwrap_err(), TooMany::Yours);
        assert!(Watchers::admit(&watchers, "bob").is_ok());
        held.pop();
        assert!(Watchers::admit(&watchers, "ada").is_ok());
    }

    #[test]
    fn there_is_an_end_to_places() {
        let watchers = Arc::default();
        let held: Vec<_> = (0..MOST)
            .map(|n| Watchers::admit(&watchers, &format!("person {n}")).unwrap())
            .collect();
        assert_eq!(Watchers::admit(&watchers, "one more").unwrap_err(), TooMany::InAll);
        drop(held);
        assert!(Watchers::admit(&watchers, "one more").is_ok());
    }
}
