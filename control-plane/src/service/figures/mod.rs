//! Figures for people: the fleet at a glance, and how well it is kept. What costs much is counted by a worker every minute;
//! what costs little is counted when it is asked for.

mod kept;
mod kpis;
mod overview;

pub use kpis::{Confidence, DEFAULT_DAYS, KpiView, Kpis, MOST_DAYS, Target, fresh_kpis, kpis};
pub use overview::{Fleet, KillSwitch, Overview, PluginFigures, VersionCount, fresh_fleet, overview};
