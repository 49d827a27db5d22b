//! One swap as the host's running code sees it: what requests under way hold is kept for them, the one call that
//! decides, and then nobody keeps anything of before.

use std::time::Duration;

use super::{Engine, chain, swap_failure};
use crate::{
    domain::{change::Failure, installed::Tree},
    platform::{hooks::HookError, opcache::Held},
    upstream::repo::Transport,
};

/// Between the two tries of a hook.
const HOOK_PAUSE: Duration = Duration::from_secs(1);

/// How a release is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// For another: requests under way end whole and every hook works, or it is not left.
    Forward,
    /// For the one before, with a second for requests under way. No hook stands in the way.
    Back,
    /// The same at once: every second in a release that does harm costs orders.
    BackAtOnce,
}

impl<T: Transport> Engine<T> {
    /// Puts `to` in the place of `from`. Gives whether PHP then forgot what it had compiled: that is a hook's failure,
    /// and none of the swap.
    pub(super) fn swap(&mut self, from: &Tree, to: &Tree, leave: Leave) -> Result<Result<(), Failure>, Failure> {
        let layout = self.layout();
        layout.prepare(from, to).map_err(|e| swap_failure(&e))?;
        crash_point!("engine.swap.prepared");
        let waits = leave != Leave::BackAtOnce
            && layout.changes_in_place()
            && layout.active().map_err(|e| swap_failure(&e))?.ino != to.ino;
        let held = match if waits { self.hold_code() } else { Ok(None) } {
            // A pool that is down, or a disk without room for the script, may be why somebody goes back.
            Err(failure) if leave == Leave::Back => Some(failure.words),
            held => match held? {
                Some(Held::Not(why)) => Some(why.to_owned()),
                _ => None,
            },
        };
        // Until here every write was the old version's; one that comes to its tree from now on comes late.
        if layout.active().map_err(|e| swap_failure(&e))?.ino == to.ino {
            self.site.before.forget();
        } else {
            self.site.remember(from.ino, &self.data_of(from).unwrap_or_default());
        }
        layout.flip(from, to).map_err(|e| swap_failure(&e))?;
        // Before anything else, however small: what is held is held for a moment only.
        let dropped = self.drop_code();
        crash_point!("engine.swap.flipped");
        let settled = layout.settle(from, to).map_err(|e| swap_failure(&e));
        drop(layout);
        if let Some(why) = held {
            self.note(format!(
                "requests under way at the swap may have met both versions ({why}): with the stub layout none can"
            ));
        }
        settled.map(|()| dropped)
    }

    fn hold_code(&self) -> Result<Option<Held>, Failure> {
        let plugin = self.site.plugin_path();
        let token = self.token()?;
        twice(|| self.options.hooks.hold_code(&self.site.work, &token, &plugin))
    }

    /// Has PHP forget what it compiled.
    pub(super) fn drop_code(&self) -> Result<(), Failure> {
        let token = self.token()?;
        twice(|| self.options.hooks.drop_code(&self.site.work, &token))
    }

    /// What the host does after a swap or a change of settings, compiled code aside.
    pub(super) fn after_swap(&self) -> Result<(), Failure> {
        twice(|| self.options.hooks.after_swap())
    }

    /// What a hook's failure is to a change: the end of one that leads on, a word about one that leads back. The files
    /// are back then, and what a person does about the host must not have to be done first.
    pub(super) fn weigh_hook(&mut self, leave: Leave, done: Result<(), Failure>) -> Result<(), Failure> {
        match (done, leave) {
            (Ok(()), _) => Ok(()),
            (Err(mut failure), Leave::Forward) => {
                failure
                    .words
                    .push_str(". Mend it on the host, then send the order again");
                Err(failure)
            }
            (Err(failure), _) => {
                let words = failure.words;
                self.note(format!(
                    "{words}; the files are in place, and what runs may not have taken them up: mend it and run it by hand"
                ));
                Ok(())
            }
        }
    }

    fn token(&self) -> Result<String, Failure> {
        let mut token = [0_u8; 16];
        let filled = self.random.fill(&mut token);
        filled.map_err(|_| Failure::passing("no_randomness", "the system gave no randomness"))?;
        Ok(hex::encode(token))
    }
}

/// A hook that fails is tried once more: a service that is just being reloaded, say. Failing twice it is the host's
/// trouble: no release is held back for it, and the order is not tried again by itself, which would swap the plugin to
/// and fro as long as the hook is broken.
fn twice<R>(hook: impl Fn() -> Result<R, HookError>) -> Result<R, Failure> {
    let done = hook().or_else(|e| {
        tracing::warn!(error = chain(&e), "a hook failed; it is tried once more");
        std::thread::sleep(HOOK_PAUSE);
        hook()
    });
    done.map_err(|e| Failure::lasting("hook_failed", chain(&e)))
}
