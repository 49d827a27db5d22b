//! Figures about the fleet: counted from many rows, and kept so that not everybody counts.

mod fleet;
mod kept;
mod kpis;
mod loops;

pub use fleet::{Healths, PluginCount, health, plugins};
pub use kept::{Kept, keep, kept};
pub use kpis::{Durations, Ended, KpiSpan, Share, confidences, ended, incidents, mttd, mttr, patch_time, summed};
pub use loops::{Counted, Loops, loops};
