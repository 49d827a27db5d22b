//! Has a PHP pool run a small script of ours by speaking FastCGI to its socket: no HTTP, no root, no restart. Only as
//! much of the FastCGI Specification 1.0 as one request needs.
//!
//! The script lies in the working folder for the time of the call only. Its token travels as a FastCGI parameter,
//! which no visitor of the site can set, so that nobody else can use it.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use thiserror::Error;

use super::{beneath::Dir, durable, error::FsError};

const LIMIT: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const MAX_ANSWER: usize = 64 * 1024;
/// What a script's text has where its token belongs.
const TOKEN: &str = "@TOKEN@";

/// Where a pool of PHP-FPM listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pool {
    /// `unix:/run/php/php-fpm.sock`.
    Unix(PathBuf),
    /// `127.0.0.1:9000`.
    Tcp(String),
}

impl Pool {
    /// Reads the host's configuration: `unix:` and a path, or an address of this machine.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Some(Self::Unix(path.into())),
            Some(_) => None,
            None => {
                let (host, port) = text.rsplit_once(':')?;
                let local = matches!(host, "127.0.0.1" | "[::1]" | "localhost");
                (local && port.parse::<u16>().is_ok()).then(|| Self::Tcp(text.to_owned()))
            }
        }
    }
}

/// Why a script was not run.
#[derive(Debug, Error)]
pub enum FastCgiError {
    /// The pool did not answer.
    #[error("the PHP pool did not answer; check hooks.opcache_fastcgi")]
    Io(#[from] io::Error),
    /// It answered something else.
    #[error("the PHP pool refused: {0}")]
    Refused(String),
    /// The script could not be put in place.
    #[error("the script for the PHP pool could not be put in place")]
    Fs(#[from] FsError),
}

trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// A script for a pool.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    /// Its file's name.
    pub name: &'static str,
    /// Its text; `@TOKEN@` stands for the token, which it compares with `PLUGMEND_TOKEN`.
    pub code: &'static str,
}

impl Script {
    /// Has `pool` run it and gives its answer, at most 64 KiB. `token` is random; the script lies in `work` meanwhile.
    ///
    /// # Errors
    /// It can not be put in place, or the pool did not answer.
    pub fn run(&self, pool: &Pool, work: &Dir, token: &str, params: &[(&str, &str)]) -> Result<String, FastCgiError> {
        let path = Path::new(self.name);
        durable::write_atomic(work, path, self.code.replace(TOKEN, token).as_bytes(), 0o644)?;
        let asked = ask(pool, &work.path().join(path), token, params);
        work.remove_file(path)?;
        Ok(asked?)
    }
}

fn ask(pool: &Pool, script: &Path, token: &str, params: &[(&str, &str)]) -> io::Result<String> {
    let mut wire: Box<dyn Wire> = match pool {
        Pool::Unix(path) => {
            let socket = UnixStream::connect(path)?;
            socket.set_read_timeout(Some(LIMIT))?;
            socket.set_write_timeout(Some(LIMIT))?;
            Box::new(socket)
        }
        Pool::Tcp(address) => {
            let socket = TcpStream::connect(address)?;
            socket.set_read_timeout(Some(LIMIT))?;
            socket.set_write_timeout(Some(LIMIT))?;
            Box::new(socket)
        }
    };
    wire.write_all(&request(script, token, params))?;
    wire.flush()?;
    read_answer(&mut wire)
}

/// Record types (FastCGI 1.0, section 8).
const BEGIN_REQUEST: u8 = 1;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;

fn request(script: &Path, token: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let script = script.to_string_lossy();
    let mut params = Vec::new();
    for (name, value) in [
        ("SCRIPT_FILENAME", script.as_ref()),
        ("SCRIPT_NAME", "/plugmend"),
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", "/plugmend"),
        ("QUERY_STRING", ""),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("PLUGMEND_TOKEN", token),
    ] {
        pair(&mut params, name, value);
    }
    for (name, value) in more {
        pair(&mut params, name, value);
    }
    let mut bytes = record(BEGIN_REQUEST, &[0, 1, 0, 0, 0, 0, 0, 0]); // responder, connection closed after it
    bytes.extend(record(PARAMS, &params));
    bytes.extend(record(PARAMS, &[]));
    bytes.extend(record(STDIN, &[]));
    bytes
}

fn pair(out: &mut Vec<u8>, name: &str, value: &str) {
    for length in [name.len(), value.len()] {
        match u8::try_from(length) {
            Ok(short) if short < 0x80 => out.push(short),
            _ => out.extend((u32::try_from(length).unwrap_or(0) | 0x8000_0000).to_be_bytes()),
        }
    }
    out.extend(name.as_bytes());
    out.extend(value.as_bytes());
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
    let mut bytes = vec![1, kind, 0, 1];
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(content.iter().take(length.into()));
    bytes
}

fn read_answer(wire: &mut dyn Wire) -> io::Result<String> {
    let (mut answer, mut complaint) = (Vec::new(), Vec::new());
    let (mut read, deadline) = (0, Instant::now() + LIMIT);
    loop {
        if Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut head = [0; 8];
        wire.read_exact(&mut head)?;
        let [_, kind, _, _, high, low, padding, _] = head;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let mut content = vec![0; length + usize::from(padding)];
        wire.read_exact(&mut content)?;
        content.truncate(length);
        match kind {
            STDOUT => answer.extend(content),
            STDERR => complaint.extend(content),
            END_REQUEST => break,
            _ => {}
        }
        read += head.len() + length;
        if read > MAX_ANSWER {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
    answer.extend(complaint);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    const SCRIPT: Script = Script {
        name: "small.php",
        code: "<?php // @TOKEN@",
    };

    #[test]
    fn a_pool_is_on_this_machine() {
        assert!(Pool::parse("unix:/run/php.sock").is_some());
        assert!(Pool::parse("127.0.0.1:9000").is_some());
        for bad in ["10.0.0.1:9000", "unix:relative", "example.com:9000", "127.0.0.1", ""] {
            assert!(Pool::parse(bad).is_none(), "{bad} was let in");
        }
    }

    fn pool_that_answers(records: Vec<u8>) -> (tempfile::TempDir, Pool, std::thread::JoinHandle<Vec<u8>>) {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("pool");
        let listener = UnixListener::bind(&path).unwrap();
        let served = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut asked = vec![0; 4096];
            let n = client.read(&mut asked).unwrap();
            asked.truncate(n);
            let _ = client.write_all(&records);
            asked
        });
        (top, Pool::Unix(path), served)
    }

    #[test]
    fn the_script_is_named_called_and_gone() {
        let mut records = record(STDOUT, b"Content-type: text/html\r\n\r\ndone");
        records.extend(record(END_REQUEST, &[0; 8]));
        let (top, pool, served) = pool_that_answers(records);
        let work = Dir::open(top.path()).unwrap();
        assert!(
            SCRIPT
                .run(&pool, &work, "t0ken", &[("MORE", "word")])
                .unwrap()
                .ends_with("done")
        );
        let asked = String::from_utf8_lossy(&served.join().unwrap()).into_owned();
        assert!(asked.contains("small.php") && asked.contains("PLUGMEND_TOKENt0ken") && asked.contains("MOREword"));
        assert!(!top.path().join("small.php").exists());
    }

    #[test]
    fn a_complaint_is_part_of_the_answer_and_a_broken_one_is_an_error() {
        let mut records = record(STDERR, b"Primary script unknown");
        records.extend(record(END_REQUEST, &[0; 8]));
        let (top, pool, _served) = pool_that_answers(records);
        let work = Dir::open(top.path()).unwrap();
        assert!(SCRIPT.run(&pool, &work, "t", &[]).unwrap().contains("Primary script"));
        let (top, pool, _served) = pool_that_answers(vec![1, STDOUT, 0, 1]);
        assert!(matches!(
            SCRIPT.run(&pool, &Dir::open(top.path()).unwrap(), "t", &[]),
            Err(FastCgiError::Io(_))
        ));
    }
}
