//! The repository over the agent's own mutual TLS connection.

use std::ops::Range;

use bytes::Bytes;

use super::transport::{Transport, TransportError};
use crate::upstream::client::{Client, ClientError};

const NOT_FOUND: u16 = 404;

impl Transport for Client {
    async fn fetch(
        &self,
        path: &str,
        range: Option<Range<u64>>,
        max_bytes: u64,
    ) -> Result<Option<Bytes>, TransportError> {
        match self.get(&format!("/repo/{path}"), range, max_bytes).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(ClientError::Refused(problem)) if problem.status == NOT_FOUND => Ok(None),
            Err(ClientError::TooLarge { limit }) => Err(TransportError::TooLarge(limit)),
            Err(why) if why.is_transient() => Err(TransportError::Unreachable(Box::new(why))),
            Err(why) => Err(TransportError::Refused(why.to_string())),
        }
    }
}
