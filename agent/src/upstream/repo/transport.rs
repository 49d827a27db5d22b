//! How bytes come from the repository. Nothing that a transport says is trusted.

use std::{error::Error as StdError, future::Future, ops::Range};

use bytes::Bytes;
use thiserror::Error;

/// Why bytes did not come.
#[derive(Debug, Error)]
pub enum TransportError {
    /// The repository can not be reached or is overloaded; trying later may help.
    #[error("the release repository can not be reached")]
    Unreachable(#[source] Box<dyn StdError + Send + Sync>),
    /// The repository answered, and trying again will not help.
    #[error("the release repository refused: {0}")]
    Refused(String),
    /// More bytes than were allowed.
    #[error("the answer is larger than the {0} bytes that are allowed")]
    TooLarge(u64),
}

impl TransportError {
    /// Whether trying later may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

/// Fetches files of the repository.
pub trait Transport: Send + Sync {
    /// The file at `path` (see [`super`]), or only the bytes in `range`; `None` when there is no such file. An answer
    /// that would be longer than `max_bytes` is an error and is not read to its end.
    fn fetch(
        &self,
        path: &str,
        range: Option<Range<u64>>,
        max_bytes: u64,
    ) -> impl Future<Output = Result<Option<Bytes>, TransportError>> + Send;
}

impl<T: Transport> Transport for &T {
    async fn fetch(
        &self,
        path: &str,
        range: Option<Range<u64>>,
        max_bytes: u64,
    ) -> Result<Option<Bytes>, TransportError> {
        (**self).fetch(path, range, max_bytes).await
    }
}

impl<T: Transport> Transport for std::sync::Arc<T> {
    async fn fetch(
        &self,
        path: &str,
        range: Option<Range<u64>>,
        max_bytes: u64,
    ) -> Result<Option<Bytes>, TransportError> {
        (**self).fetch(path, range, max_bytes).await
    }
}
