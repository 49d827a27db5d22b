//! Shops that load a plugin from where an agent installs it, and customers who can tell which version served them.

pub mod chatter;
pub mod currencies;
pub mod gateway;
pub mod node;
pub mod orders;
pub mod payments;
pub mod php;
pub mod shelf;
