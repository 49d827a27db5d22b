//! Orders: given, delivered, reported on.

mod deliver;
mod give;
mod overdue;
mod poll;
mod report;
mod waiters;

pub use deliver::{Recipient, take_due};
pub use give::{GiveError, Given, NewOrder, give, give_in};
pub use overdue::{announce_due, end_overdue};
pub use poll::{PollError, Polls};
pub use report::{ReportError, Reporter, report};
pub use waiters::{TooManyWaiters, Waiter, Waiters};
