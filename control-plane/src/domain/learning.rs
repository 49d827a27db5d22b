//! Learning: how cures turned out, what that says of those who chose them, and whether their word is worth anything.
//!
//! What is believed of a cure is [`plugmend_shared::decide::believe`]'s; here is what its tallies are made of.

mod calibration;
mod lesson;
#[cfg(test)]
mod simulation;
mod trust;

pub use calibration::{Bin, Calibration, Forecast, calibrate};
pub use lesson::{Ended, Label, Lesson, Outcome, SeedChange, Was, learn};
pub use trust::{MOST_JUDGED, Trust, judge};
