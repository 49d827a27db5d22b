//! An order on its way: what it may become, and when.
//!
//! ```text
//! pending -> sent -> acknowledged -> executing -> completed
//!    ^        |           |             |     \-> failed
//!    +--------+-----------+-------------+         (a try that failed or fell silent, while tries are left)
//!    \-> timeout, failed  (tries or time used up)
//! ```

mod go;
mod report;
mod schedule;
mod state;

#[cfg(test)]
mod tests;

pub use go::{Standing, withdrawn};
pub use report::{Report, ReportKind, take_report};
pub use schedule::{LIFETIME, MAX_RETRIES, backoff, dispatch, give_up_waiting, may_pass};
pub use state::{Change, Illegal, InFlight, Order, Retries, Stage, State};
