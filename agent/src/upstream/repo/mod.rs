//! The release repository: signed metadata and files, fetched over any [`Transport`], checked by `shared::tuf`, and
//! trusted only once they lie safely in the [`MetadataStore`].
//!
//! Paths on the transport are `metadata/<file>` and `targets/<path>`, percent-encoded folder by folder.

mod anchor;
mod error;
mod names;
mod over_client;
pub mod plain_http;
mod product;
mod store;
mod transport;
mod updater;

pub use anchor::TrustAnchor;
pub use error::RepoError;
pub use names::encode;
pub use product::{Freshness, Repository, RepositoryOptions};
pub use store::{MetadataStore, StoreError};
pub use transport::{Transport, TransportError};
pub use updater::Updater;
