//! Floor 2: the host. Durable files, swap, locks, probes, hooks, sandbox, facts.

pub mod beneath;
pub mod capability;
pub mod durable;
pub mod error;
pub mod facts;
pub mod fastcgi;
pub mod hooks;
pub mod layout;
pub mod lock;
pub mod memory;
pub mod opcache;
pub mod preserve;
pub mod probe;
pub mod tree;
pub mod watcher;

pub use plugmend_sandbox::{self as sandbox, exec};
