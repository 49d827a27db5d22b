//! Who waits for news about which agent: its open connections.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use plugmend_shared::ids::PluginId;
use tokio::sync::watch;

/// All who wait.
#[derive(Default)]
pub(super) struct Watchers {
    of_plugin: Mutex<HashMap<PluginId, watch::Sender<()>>>,
}

/// Wakes its holder when the standing of one plugin's agent may have changed.
#[derive(Debug)]
pub struct Subscription {
    receiver: Option<watch::Receiver<()>>,
    plugin_id: PluginId,
    watchers: Arc<Watchers>,
}

impl std::fmt::Debug for Watchers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watchers")
    }
}

impl Watchers {
    pub fn subscribe(self: &Arc<Self>, plugin_id: PluginId) -> Subscription {
        let mut of_plugin = self.of_plugin.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = of_plugin.entry(plugin_id).or_default().subscribe();
        Subscription {
            receiver: Some(receiver),
            plugin_id,
            watchers: self.clone(),
        }
    }

    pub fn wake(&self, plugin_id: PluginId) {
        let of_plugin = self.of_plugin.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = of_plugin.get(&plugin_id) {
            sender.send_replace(());
        }
    }

    pub fn wake_all(&self) {
        let of_plugin = self.of_plugin.lock().unwrap_or_else(PoisonError::into_inner);
        of_plugin.values().for_each(|sender| {
            sender.send_replace(());
        });
    }
}

impl Subscription {
    /// Something to wait on, beside the connection itself.
    pub fn receiver(&self) -> Option<watch::Receiver<()>> {
        self.receiver.clone()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut of_plugin = self.watchers.of_plugin.lock().unwrap_or_else(PoisonError::into_inner);
        self.receiver = None;
        if of_plugin
            .get(&self.plugin_id)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            of_plugin.remove(&self.plugin_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_concerned_are_woken_and_nothing_is_left_behind() {
        let watchers = Arc::new(Watchers::default());
        let (one, two) = (uuid::Uuid::from_u128(1).into(), uuid::Uuid::from_u128(2).into());
        let (first, second) = (watchers.subscribe(one), watchers.subscribe(two));
        watchers.wake(one);
        assert!(first.receiver().unwrap().has_changed().unwrap());
        assert!(!second.receiver().unwrap().has_changed().unwrap());
        drop((first, second));
        assert!(watchers.of_plugin.lock().unwrap().is_empty());
    }
}
