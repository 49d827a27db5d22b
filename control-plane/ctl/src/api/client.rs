//! One request at a time, over HTTP or HTTPS.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use http_body_util::{BodyExt as _, Limited};
use hyper::{Method, Request, StatusCode, Uri, body::Bytes, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use plugmend_shared::protocol::problem::Problem;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::{ApiError, Connection, body::Payload};

/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// The most pages that a list is read over; longer ones are for programs of one's own.
const MAX_PAGES: usize = 100;
/// The longest that one request may take; publishing hashes every file anew.
const TIMEOUT: Duration = Duration::from_mins(5);
/// Where systems keep the certificates that they trust.
const SYSTEM_CA: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

type Http = Client<HttpsConnector<HttpConnector>, Payload>;

/// The control plane, ready to be asked.
pub struct Api {
    base: String,
    token: Option<SecretString>,
    http: Http,
    runtime: tokio::runtime::Runtime,
}

impl Api {
    /// Prepares requests; nothing is sent yet.
    ///
    /// # Errors
    /// When the address or a file can not be used, or the token would travel in the clear.
    pub fn connect(connection: &Connection) -> anyhow::Result<Self> {
        let base = connection.api.trim_end_matches('/').to_owned();
        let uri: Uri = base
            .parse()
            .with_context(|| format!("--api {base} is not an address"))?;
        let token = token(connection.token_file.as_deref())?;
        let host = uri.host().with_context(|| format!("--api {base} has no host"))?;
        let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        if uri.scheme_str() == Some("http") && !local && token.is_some() {
            bail!("--api {base} would send your token in the clear; use https");
        }
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(connection.api_ca.as_deref(), uri.scheme_str() == Some("https"))?)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self {
            base,
            token,
            http: Client::builder(TokioExecutor::new()).build(connector),
            runtime,
        })
    }

    /// `GET`, JSON.
    ///
    /// # Errors
    /// When it can not be reached or refuses.
    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        let (status, body) = self.send(Method::GET, path, Payload::Bytes(None), None)?;
        json(status, &body)
    }

    /// A list, all of its pages: `{<name>: [...], next}`, where `next` goes on as `?after=`. One that is longer than
    /// [`MAX_PAGES`] is cut, and that is said on standard error.
    ///
    /// # Errors
    /// When it can not be reached or refuses.
    pub fn list(&self, path: &str, name: &str) -> anyhow::Result<Vec<Value>> {
        let mut out = Vec::new();
        let goes_on = self.pages(path, name, MAX_PAGES, &mut |page| {
            out.extend(page);
            Ok(true)
        })?;
        if goes_on {
            eprintln!("plugmend: the list goes on; these are the first {}", out.len());
        }
        Ok(out)
    }

    /// Takes a list page by page, at most `most` of them, until `take` has enough (false); whether it goes on.
    ///
    /// # Errors
    /// When it can not be reached or refuses, or `take` does.
    pub fn pages(
        &self,
        path: &str,
        name: &str,
        most: usize,
        take: &mut dyn FnMut(Vec<Value>) -> anyhow::Result<bool>,
    ) -> anyhow::Result<bool> {
        let mut page = self.get(path)?;
        for read in 1.. {
            let entries = page.get_mut(name).and_then(Value::as_array_mut).map(std::mem::take);
            let wants_more = take(entries.unwrap_or_default())?;
            let Some(next) = page.get("next").and_then(Value::as_str) else {
                break;
            };
            if !wants_more || read >= most {
                return Ok(true);
            }
            let sign = if path.contains('?') { '&' } else { '?' };
            page = self.get(&format!("{path}{sign}after={next}"))?;
        }
        Ok(false)
    }

    /// `POST`, JSON both ways.
    ///
    /// # Errors
    /// When it can not be reached or refuses.
    pub fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let body = Bytes::from(serde_json::to_vec(body)?);
        let (status, body) = self.send(Method::POST, path, Payload::Bytes(Some(body)), Some("application/json"))?;
        json(status, &body)
    }

    /// Whether something is there.
    ///
    /// # Errors
    /// When it can not be reached or refuses.
    pub fn exists(&self, path: &str) -> anyhow::Result<bool> {
        let (status, _) = self.send(Method::HEAD, path, Payload::Bytes(None), None)?;
        match status {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            // A HEAD has no body that could say why: ask again in a way that has.
            _ => self.get(path).map(|_| true),
        }
    }

    /// `PUT` of a file of `length` bytes.
    ///
    /// # Errors
    /// When the file has another length, or the control plane can not be reached or refuses.
    pub fn put_file(&self, path: &str, file: &Path, length: u64) -> anyhow::Result<()> {
        let at = || format!("can not upload {}", file.display());
        let opened = fs::File::open(file).with_context(at)?;
        ensure!(
            opened.metadata().with_context(at)?.len() == length,
            "{} is not the signed file",
            file.display()
        );
        let payload = Payload::File(opened, length);
        let (status, body) = self.send(Method::PUT, path, payload, Some("application/octet-stream"))?;
        json(status, &body).map(|_| ())
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        body: Payload,
        kind: Option<&str>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let url = format!("{}{path}", self.base);
        let mut request = Request::builder()
            .method(method)
            .uri(&url)
            .header(header::ACCEPT, "application/json");
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        }
        let request = request
            .body(body)
            .context("the request can not be made (is the token one line of text?)")?;
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| ApiError::Unreachable {
            url: self.base.clone(),
            source,
        };
        let exchange = async {
            let answer = self.http.request(request).await.map_err(|e| unreachable(e.into()))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_ANSWER)
                .collect()
                .await
                .map_err(unreachable)?;
            Ok((status, body.to_bytes()))
        };
        let timed = async { tokio::time::timeout(TIMEOUT, exchange).await };
        self.runtime.block_on(timed).map_err(|e| unreachable(e.into()))?
    }
}

fn json(status: StatusCode, body: &[u8]) -> anyhow::Result<Value> {
    if status.is_success() {
        if body.is_empty() {
            return Ok(Value::Null);
        }
        return Ok(serde_json::from_slice(body).map_err(|_| ApiError::Malformed {
            status: status.as_u16(),
        })?);
    }
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => Err(ApiError::Refused(problem).into()),
        Err(_) => Err(ApiError::Malformed {
            status: status.as_u16(),
        }
        .into()),
    }
}

/// The token of `PLUGMEND_TOKEN` or of a file that only its owner can read.
fn token(file: Option<&Path>) -> anyhow::Result<Option<SecretString>> {
    let Some(path) = file else {
        let text = std::env::var("PLUGMEND_TOKEN").ok().filter(|t| !t.trim().is_empty());
        return Ok(text.map(|t| t.trim().to_owned().into()));
    };
    let at = || format!("can not read the token {}", path.display());
    let meta = fs::metadata(path).with_context(at)?;
    // No bit for group and others may be set.
    ensure!(
        meta.mode().trailing_zeros() >= 6,
        "others can read {}: run 'chmod 600' on it",
        path.display()
    );
    ensure!(meta.len() <= 64 * 1024, "{} is no token", path.display());
    Ok(Some(
        fs::read_to_string(path).with_context(at)?.trim().to_owned().into(),
    ))
}

fn roots(file: Option<&Path>, needed: bool) -> anyhow::Result<rustls::RootCertStore> {
    use rustls_pki_types::{CertificateDer, pem::PemObject as _};
    let mut store = rustls::RootCertStore::empty();
    let path = match file {
        Some(path) => path,
        None if needed => SYSTEM_CA
            .iter()
            .map(Path::new)
            .find(|p| p.exists())
            .context("this system has no file of trusted certificates; give one with --api-ca")?,
        None => return Ok(store),
    };
    let certificates =
        CertificateDer::pem_file_iter(path).with_context(|| format!("can not read {}", path.display()))?;
    store.add_parsable_certificates(certificates.filter_map(Result::ok));
    ensure!(
        !store.is_empty(),
        "{} has no certificate that can be used",
        path.display()
    );
    Ok(store)
}
