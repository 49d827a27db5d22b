//! The smallest shop: a server that answers from the files of a plugin of many parts, each of which says its version.
//! Needs nothing but this test program, so whole-system tests run everywhere.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinHandle};

/// How many parts the plugin has.
const PARTS: usize = 24;

/// Writes version `version` of the plugin into `folder`.
pub fn write(folder: &Path, version: &str) -> Result<()> {
    fs::create_dir_all(folder.join("lib"))?;
    for n in 0..PARTS {
        fs::write(
            folder.join(format!("lib/part{n}")),
            format!("{version}\n{}\n", "stays as it is\n".repeat(n * 40)),
        )?;
    }
    Ok(fs::write(folder.join("VERSION"), format!("{version}\n"))?)
}

/// Writes a version with which the shop answers every customer with an error.
pub fn write_broken(folder: &Path, version: &str) -> Result<()> {
    write(folder, version)?;
    Ok(fs::write(folder.join("BROKEN"), "on purpose\n")?)
}

/// The version that is installed at `plugin`, when all of its parts say the same.
pub fn version(plugin: &Path) -> Option<String> {
    // Through one handle, so that a swap meanwhile changes nothing: the way a program sees its own folder.
    let root = plugin.canonicalize().ok()?;
    let whole = fs::read_to_string(root.join("VERSION")).ok()?;
    Some(whole.trim().to_owned())
}

/// Every file below `folder`, by its path from there, with its content.
pub fn contents(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else if entry.file_type()?.is_file() {
                found.insert(entry.path().strip_prefix(folder)?.to_owned(), fs::read(entry.path())?);
            }
        }
    }
    Ok(found)
}

/// A running shop.
pub struct Shelf {
    at: SocketAddr,
    task: JoinHandle<()>,
}

impl Shelf {
    /// Serves the plugin at `plugin`: every answer names its version; 500 when it is broken.
    pub async fn start(plugin: PathBuf) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("bind the shop's port")?;
        let at = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let plugin = plugin.clone();
                let service = service_fn(move |_| {
                    let answer = answer(&plugin);
                    async move { Ok::<_, std::convert::Infallible>(answer) }
                });
                tokio::spawn(async move {
                    // A customer that hangs up is no concern of the shop's.
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self { at, task })
    }

    /// Where customers come in.
    pub fn at(&self) -> SocketAddr {
        self.at
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn answer(plugin: &Path) -> Response<Full<Bytes>> {
    let version = version(plugin);
    let broken = version.is_none() || plugin.join("BROKEN").exists();
    let body = serde_json::json!({"version": version});
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    if broken {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    response
}
