//! What a plugin says about itself, counted.

mod window;

pub use window::{Latency, MAX_CUSTOM_METRICS, Window, WindowError};
