//! Probes of the plugin, from the host's own configuration: a page on this machine, or a program.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    time::{Duration, Instant},
};

use super::exec::{self, Program};

/// The longest one probe may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The most of an answer that is read.
const MAX_ANSWER: u64 = 1024 * 1024;

/// One probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What is asked.
    pub ask: Ask,
    /// Text that the answer must contain; `{version}` stands for the version that should run, and then the probe is
    /// a proof of it.
    pub contains: Option<String>,
    /// Whether one failure takes the release back at once; else it takes three in a row.
    pub fatal: bool,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// A page on this machine, by plain HTTP.
    Http {
        /// Host and port, as written in the address.
        authority: String,
        /// Path and query.
        path: String,
        /// The `Host` header, where the shop tells sites apart by it.
        host: Option<String>,
        /// The status that is right.
        status: u16,
    },
    /// A program; exit code 0 is right. `{version}` in an argument stands for the version that should run.
    Program(Vec<String>),
}

impl Ask {
    /// An address as in the configuration: `http://127.0.0.1:8080/health`. Only addresses of this machine are taken.
    pub fn http(url: &str, status: u16, host: Option<String>) -> Option<Self> {
        let rest = url.strip_prefix("http://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let name = authority.rsplit_once(':').map_or(authority, |(name, _)| name);
        let local = name == "localhost" || name == "[::1]" || name.starts_with("127.");
        let clean = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        (local && clean(authority) && clean(path) && host.as_deref().is_none_or(clean)).then(|| Self::Http {
            authority: authority.to_owned(),
            path: format!("/{path}"),
            host,
            status,
        })
    }
}

impl Probe {
    /// Whether its success shows which version runs.
    pub fn proves_version(&self) -> bool {
        let args = match &self.ask {
            Ask::Program(argv) => argv.as_slice(),
            Ask::Http { .. } => &[],
        };
        args.iter().chain(&self.contains).any(|text| text.contains("{version}"))
    }

    /// Asks once. `nonce` makes the address new to every cache.
    ///
    /// # Errors
    /// What was wrong, in words.
    pub fn ask(&self, version: &semver::Version, nonce: u64) -> Result<(), String> {
        let said = match &self.ask {
            Ask::Http {
                authority,
                path,
                host,
                status,
            } => {
                let host = host.as_deref().unwrap_or(authority);
                let (got, body) = get(authority, path, host, nonce).map_err(|e| format!("{authority}{path}: {e}"))?;
                if got != *status {
                    return Err(format!("{authority}{path} answered {got} instead of {status}"));
                }
                body
            }
            Ask::Program(argv) => {
                let argv: Vec<String> = argv
                    .iter()
                    .map(|arg| arg.replace("{version}", &version.to_string()))
                    .collect();
                let ended = exec::run(&Program {
                    argv: &argv,
                    folder: None,
                    env: None,
                    limit: LIMIT,
                })
                .map_err(|e| e.to_string())?;
                if ended.code != Some(0) {
                    return Err(format!(
                        "{}: {}",
                        argv.first().map_or("", String::as_str),
                        ended.words()
                    ));
                }
                ended.stdout
            }
        };
        let wanted = self
            .contains
            .as_ref()
            .map(|text| text.replace("{version}", &version.to_string()));
        match wanted {
            Some(wanted) if !said.contains(&wanted) => Err(format!("the answer does not contain '{wanted}'")),
            _ => Ok(()),
        }
    }
}

fn get(authority: &str, path: &str, host: &str, nonce: u64) -> io::Result<(u16, String)> {
    let with_port = if authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
    {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let local: Option<SocketAddr> = with_port.to_socket_addrs()?.find(|a| a.ip().is_loopback());
    let address = local.ok_or(io::ErrorKind::AddrNotAvailable)?;
    let mut socket = TcpStream::connect_timeout(&address, LIMIT)?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.set_write_timeout(Some(LIMIT))?;
    let mark = if path.contains('?') { '&' } else { '?' };
    // One write: a server that answers early must not meet the rest of the question.
    let question = format!(
        "GET {path}{mark}plugmend_probe={nonce} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: plugmend-probe\r\n\
         Cache-Control: no-cache, no-store\r\nPragma: no-cache\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(question.as_bytes())?;
    let bytes = read_all(&mut socket, Instant::now() + LIMIT)?;
    parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

/// Reads to the end, or to [`MAX_ANSWER`], within one time limit: an answer that drips may not hold up a trial.
fn read_all(socket: &mut TcpStream, deadline: Instant) -> io::Result<Vec<u8>> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 8192]);
    while (bytes.len() as u64) < MAX_ANSWER {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut chunk)? {
            0 => break,
            n => bytes.extend_from_slice(&chunk[..n]),
        }
    }
    Ok(bytes)
}

/// Status and body of an HTTP/1.1 answer (RFC 9112).
fn parse(bytes: &[u8]) -> Option<(u16, String)> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let body = bytes.get(end + 4..)?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let chunked = head.lines().any(|line| {
        let line = line.to_ascii_lowercase();
        line.starts_with("transfer-encoding:") && line.contains("chunked")
    });
    let body = if chunked { unchunk(body) } else { body.to_vec() };
    Some((status, String::from_utf8_lossy(&body).into_owned()))
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).ok();
        let size = size.and_then(|line| usize::from_str_radix(line.split(';').next()?.trim(), 16).ok());
        let Some(size) = size.filter(|size| *size > 0) else {
            break;
        };
        let from = end + 2;
        let Some(chunk) = rest.get(from..from.saturating_add(size).min(rest.len())) else {
            break;
        };
        body.extend_from_slice(chunk);
        rest = rest
            .get(from.saturating_add(size).saturating_add(2)..)
            .unwrap_or_default();
    }
    body
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use proptest::prelude::*;

    use super::*;

    fn shop(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut client = client;
                let (mut asked, mut all) = ([0; 2048], Vec::new());
                while !all.ends_with(b"\r\n\r\n") {
                    match client.read(&mut asked) {
                        Ok(n) if n > 0 => all.extend_from_slice(&asked[..n]),
                        _ => break,
                    }
                }
                let _ = client.write_all(answer.as_bytes());
            }
        });
        format!("http://{address}/health")
    }

    fn probe(url: &str, contains: &str) -> Probe {
        Probe {
            ask: Ask::http(url, 200, None).unwrap(),
            contains: Some(contains.to_owned()),
            fatal: false,
        }
    }

    #[test]
    fn an_answer_with_the_version_proves_it() {
        let url = shop("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nv 1.\r\n3\r\n2.3\r\n0\r\n\r\n");
        let probe = probe(&url, "v {version}");
        assert!(probe.proves_version());
        probe.ask(&semver::Version::new(1, 2, 3), 1).unwrap();
        assert!(
            probe
                .ask(&semver::Version::new(1, 2, 4), 2)
                .unwrap_err()
                .contains("v 1.2.4")
        );
    }

    #[test]
    fn a_wrong_status_and_a_silent_port_are_failures() {
        let url = shop("HTTP/1.1 500 Oh\r\n\r\n");
        assert!(
            probe(&url, "")
                .ask(&semver::Version::new(1, 0, 0), 1)
                .unwrap_err()
                .contains("500")
        );
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(
            probe(&format!("http://{nobody}"), "")
                .ask(&semver::Version::new(1, 0, 0), 1)
                .is_err()
        );
    }

    #[test]
    fn only_this_machine_is_probed() {
        assert!(Ask::http("http://127.0.0.1/x", 200, None).is_some());
        for bad in [
            "http://169.254.169.254/",
            "https://127.0.0.1/",
            "http://example.com/",
            "http://127.0.0.1/a b",
        ] {
            assert!(Ask::http(bad, 200, None).is_none(), "{bad} was let in");
        }
    }

    proptest! {
        #[test]
        fn no_answer_is_too_odd_to_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes);
            let _ = unchunk(&bytes);
        }
    }
}
