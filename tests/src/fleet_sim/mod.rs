//! A simulated fleet of shops, the truth about its illnesses, and how well the detectors find them.
//!
//! Pure and seeded: the same fleet every time. Styles differ by seed on purpose (noise, intervals, missing fields), so
//! that what holds here does not hold by a habit of the simulator.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::indexing_slicing,
    reason = "a simulation of small numbers; a mistake shows as a failed run, not in the product"
)]

mod fate;
mod life;
mod oracle;
mod rng;
pub mod score;
mod shop;
pub mod truth;
pub mod world;
