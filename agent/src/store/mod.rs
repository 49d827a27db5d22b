//! Floor 2: the only place with sled; and the ledger, the fsynced file that the swap trusts.

mod inbox;
mod kept;
pub mod ledger;
mod memory;
mod outbox;
mod sequence;
mod spool;

pub use inbox::{MAX_ORDERS, Order};
pub use kept::{Kept, Opened, StoreError, or_nothing};
pub use outbox::Answer;
pub use sequence::{Counted, Sequence};
pub use spool::Size;
