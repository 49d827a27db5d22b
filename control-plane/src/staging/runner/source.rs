//! Where releases come from: the repository's folder, or the repository over HTTP. Nothing that it says is trusted.

use std::{
    io::{Read as _, Seek as _, SeekFrom},
    ops::Range,
    path::PathBuf,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use secrecy::SecretString;

use super::RunError;
use crate::outgoing::{Call, Endpoint, HttpClient};

/// The longest that one file or piece may take.
const WITHIN: Duration = Duration::from_mins(1);
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Where releases come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The repository's folder on this host.
    Folder(PathBuf),
    /// A server that has `metadata/…` and `targets/…` beneath this address.
    Http {
        /// How it is spoken to.
        client: HttpClient,
        /// Where it is.
        at: Endpoint,
        /// The token it wants, if it wants one.
        token: Option<SecretString>,
    },
}

impl Source {
    /// The file at `path`, or the bytes of it in `range`; at most `most`. `None` when there is no such file.
    pub(super) async fn fetch(
        &self,
        path: &str,
        range: Option<Range<u64>>,
        most: u64,
    ) -> Result<Option<Bytes>, RunError> {
        match self {
            Self::Folder(folder) => read(folder.join(path), range.as_ref(), most),
            Self::Http { client, at, token } => {
                let path = format!("/{}", encode(path));
                let mut headers = Vec::new();
                if let Some(range) = &range {
                    // The last byte is included (RFC 9110 section 14.1.2).
                    let words = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
                    let value = HeaderValue::try_from(words).map_err(|e| RunError::Internal(e.to_string()))?;
                    headers.push((header::RANGE, value));
                }
                let call = Call {
                    method: Method::GET,
                    path: &path,
                    headers,
                    bearer: token.as_ref(),
                    body: Bytes::new(),
                    within: WITHIN,
                    at_most: most,
                };
                let answer = client.call(at, call).await.map_err(RunError::Unreachable)?;
                let wanted = if range.is_some() {
                    StatusCode::PARTIAL_CONTENT
                } else {
                    StatusCode::OK
                };
                match answer.status {
                    status if status == wanted => Ok(Some(answer.body)),
                    StatusCode::NOT_FOUND => Ok(None),
                    status => Err(RunError::Status(status.as_u16())),
                }
            }
        }
    }
}

fn read(path: PathBuf, range: Option<&Range<u64>>, most: u64) -> Result<Option<Bytes>, RunError> {
    let reading = || -> std::io::Result<Option<Vec<u8>>> {
        let mut file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let mut length = most;
        if let Some(range) = range {
            file.seek(SeekFrom::Start(range.start))?;
            length = length.min(range.end.saturating_sub(range.start));
        } else if file.metadata()?.len() > most {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    };
    match reading() {
        Ok(bytes) => Ok(bytes.map(Bytes::from)),
        Err(source) => Err(RunError::Unreadable { path, source }),
    }
}

/// Percent-encodes all but unreserved characters and the slashes between (RFC 3986 section 2.3).
fn encode(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b'.' | b'/') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_versions_plus_sign_survives_the_way() {
        assert_eq!(encode("targets/pay/1.0.0+b 1/x"), "targets/pay/1.0.0%2Bb%201/x");
    }

    #[tokio::test]
    async fn a_folder_gives_files_and_ranges_and_no_more_than_is_allowed() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("f"), b"0123456789").unwrap();
        let source = Source::Folder(home.path().to_owned());
        assert_eq!(source.fetch("f", None, 10).await.unwrap().unwrap(), "0123456789");
        assert_eq!(source.fetch("f", Some(2..5), 3).await.unwrap().unwrap(), "234");
        assert!(source.fetch("f", None, 9).await.is_err());
        assert!(source.fetch("g", None, 9).await.unwrap().is_none());
    }
}
