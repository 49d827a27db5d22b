//! What a plugin says about itself, counted.
//!
//! # What a plugin may say
//!
//! Two notations, one meaning. DogStatsD, one metric a line, over a datagram socket:
//!
//! ```text
//! requests:1|c|#ok:true,version:1.2.3      a request served; ok:false or status:5.. makes it an error as well
//! errors:1|c                               an error outside of a request (a cron run, a queue)
//! webhook:1|c|#ok:false                    a webhook delivery and how it went
//! webhook.total:5|c  webhook.failed:1|c    the same, counted by the plugin itself
//! latency:12.5|ms                          how long a request took, in ms (also as h or d)
//! anything.else:3|c  |g  |ms  |s           kept under its own name, at most 63 of them a window
//! ```
//!
//! and JSON, one object a line, over the stream socket or in a spool file; see [`event`]. The prefix `plugmend.` before
//! a well-known name is allowed and ignored. Everything here is fixed in memory, whatever the plugin says.

mod counters;
pub mod event;
mod fact;
mod rolling;
mod sketch;
pub mod statsd;
#[cfg(test)]
mod tests;
mod window;

pub use counters::{Counters, REFUSED_METRIC};
pub use fact::{Fact, MAX_NAME, MAX_TEXT, Refusal};
pub use rolling::{Bucket, Rolling};
pub use sketch::{Distinct, LatencySketch};
pub use window::{Latency, MAX_COUNT, MAX_CUSTOM_METRICS, Window, WindowError};
