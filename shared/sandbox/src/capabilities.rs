//! Rights of the superuser: carried over to the inner helper, which needs two of them for its mounts, and given up.

use rustix::{
    io::{Errno, Result},
    thread::{
        CapabilitySet, capabilities, clear_ambient_capability_set, configure_capability_in_ambient_set,
        remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
    },
};

/// For mounts, and for giving up the rest for good.
const NEEDED: [CapabilitySet; 2] = [CapabilitySet::SYS_ADMIN, CapabilitySet::SETPCAP];

/// Lets the program that this process starts keep what it needs, though its user is not root.
pub(crate) fn hand_on() -> Result<()> {
    let mut sets = capabilities(None)?;
    sets.inheritable = NEEDED.into_iter().fold(CapabilitySet::empty(), |all, one| all | one);
    set_capabilities(None, sets)?;
    NEEDED
        .into_iter()
        .try_for_each(|one| configure_capability_in_ambient_set(one, true))
}

/// Gives up everything, for this process and all that it starts.
pub(crate) fn give_up() -> Result<()> {
    set_no_new_privs(true)?;
    // A kernel without ambient rights has none to clear.
    match clear_ambient_capability_set() {
        Ok(()) | Err(Errno::INVAL) => {}
        Err(e) => return Err(e),
    }
    let mut sets = capabilities(None)?;
    if sets.effective.contains(CapabilitySet::SETPCAP) {
        for number in 0..64 {
            match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
                Ok(()) | Err(Errno::INVAL) => {}
                Err(e) => return Err(e),
            }
        }
    }
    sets.effective = CapabilitySet::empty();
    sets.permitted = CapabilitySet::empty();
    sets.inheritable = CapabilitySet::empty();
    set_capabilities(None, sets)
}
