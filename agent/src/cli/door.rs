//! Asks the agent that runs.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use crate::tasks::local::{Question, Reply, door};

/// The longest reply, in bytes.
const MAX_REPLY: u64 = 4 * 1024 * 1024;

/// The agent's reply; `None` when no agent runs.
///
/// # Errors
/// When one runs and does not answer in `patience`.
pub(super) fn ask(state_dir: &Path, question: &Question, patience: Duration) -> io::Result<Option<Reply>> {
    let mut stream = match UnixStream::connect(door(state_dir)) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut text = String::new();
    BufReader::new(stream.take(MAX_REPLY)).read_line(&mut text)?;
    if text.is_empty() {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
    }
    Ok(Some(serde_json::from_str(&text)?))
}
