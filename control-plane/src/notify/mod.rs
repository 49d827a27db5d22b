//! Floor 2: webhooks out. Signed as Standard Webhooks, bounded in time and bytes, to addresses that may be called.

mod sender;
pub mod signature;

pub use sender::{Message, Sender, Tried};
