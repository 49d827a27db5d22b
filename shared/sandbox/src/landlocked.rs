//! Landlock on ourselves: which paths may be read, and which written.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};

/// The newest rights that are asked for; an older kernel gives what it has.
const WANTED: ABI = ABI::V6;

/// Whether the kernel has Landlock: a ruleset can be made, which restricts nothing yet.
pub(crate) fn works() -> bool {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .is_ok_and(|ruleset| ruleset.create().is_ok())
}

/// Binds this process, and what it becomes and starts, for good. Paths that are not there are left out.
///
/// # Errors
/// The kernel refused.
pub(crate) fn restrict(read: &[PathBuf], write: &[&Path]) -> Result<(), String> {
    let all = AccessFs::from_all(WANTED);
    let devices = ["/dev/urandom", "/dev/random", "/dev/zero"].map(PathBuf::from);
    let readable = read.iter().chain(&devices);
    let writable = write
        .iter()
        .copied()
        .chain([Path::new("/dev/null"), Path::new("/dev/full")]);
    let restricted = Ruleset::default()
        .handle_access(all)
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(WANTED)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(WANTED)))
        .and_then(Ruleset::create)
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(readable, AccessFs::from_read(WANTED))))
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(writable, all)))
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(|e| format!("Landlock refused: {e}"))?;
    if restricted.ruleset == RulesetStatus::NotEnforced {
        return Err("the kernel does not enforce Landlock".to_owned());
    }
    Ok(())
}
