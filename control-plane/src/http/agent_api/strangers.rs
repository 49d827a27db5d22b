//! Connections that have not shown yet who they are: bounded together, and a network may not take all their places.

use std::{net::IpAddr, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::places::{Place, Places};
use crate::domain::network::subscriber;

/// Once half of the places are taken, no network holds more than this part of them.
const SHARE_OF_ONE: u32 = 32;

/// All places.
#[derive(Debug)]
pub(super) struct Strangers {
    all: Arc<Semaphore>,
    networks: Arc<Places<IpAddr>>,
    most: u32,
}

/// A stranger's place; given back when dropped.
#[derive(Debug)]
pub struct Stranger {
    _among_all: OwnedSemaphorePermit,
    _in_its_network: Place<IpAddr>,
}

impl Strangers {
    /// At most `most` at once.
    pub fn new(most: u32) -> Self {
        Self {
            all: Arc::new(Semaphore::new(most as usize)),
            networks: Arc::new(Places::new((most / SHARE_OF_ONE).max(1))),
            most,
        }
    }

    /// Takes a place; none when there is no more, or when there is a crowd and many of it come from the same network. A
    /// host of many shops behind one address has all the places that nobody else wants.
    pub fn enter(&self, address: IpAddr) -> Option<Stranger> {
        let network = subscriber(address);
        let in_its_network = if self.is_crowded() {
            self.networks.take(network)
        } else {
            self.networks.take_more(network)
        };
        Some(Stranger {
            _among_all: Arc::clone(&self.all).try_acquire_owned().ok()?,
            _in_its_network: in_its_network?,
        })
    }

    /// Whether more than half of the places are taken.
    pub fn is_crowded(&self) -> bool {
        self.all.available_permits() * 2 < self.most as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_can_not_keep_the_others_out() {
        let strangers = Strangers::new(64);
        let flood: IpAddr = "192.0.2.1".parse().unwrap();
        let held: Vec<Stranger> = std::iter::repeat_with(|| strangers.enter(flood))
            .map_while(|it| it)
            .collect();
        assert_eq!(held.len(), 33, "half of the places, and the one that made it a crowd");
        for other in 0..31_u8 {
            let other = IpAddr::from([198, 51, 100, other]);
            std::mem::forget(strangers.enter(other).unwrap());
        }
        assert!(
            strangers.enter("203.0.113.1".parse().unwrap()).is_none(),
            "all places are taken"
        );
        drop(held);
        assert!(strangers.enter(flood).is_some());
    }
}
