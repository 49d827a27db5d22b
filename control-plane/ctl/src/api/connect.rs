//! What it takes to connect: the token, and whom to trust.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, sync::Arc};

use anyhow::{Context as _, ensure};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use secrecy::SecretString;

use super::body::Payload;

/// Where systems keep the certificates that they trust.
const SYSTEM_CA: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// HTTP with and without TLS.
pub type Http = Client<HttpsConnector<HttpConnector>, Payload>;

/// TLS that trusts the certificates of `ca`, or the system's when `is_https`.
///
/// # Errors
/// When there are none that can be used.
pub fn tls(ca: Option<&Path>, is_https: bool) -> anyhow::Result<rustls::ClientConfig> {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(ca, is_https)?)
        .with_no_client_auth();
    Ok(tls)
}

/// A client that speaks TLS so.
pub fn http(tls: &rustls::ClientConfig) -> Http {
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls.clone())
        .https_or_http()
        .enable_http1()
        .build();
    Client::builder(TokioExecutor::new()).build(connector)
}

/// The token of `PLUGMEND_TOKEN` or of a file that only its owner can read.
///
/// # Errors
/// When the file can not be read, or others can read it too.
pub fn token(file: Option<&Path>) -> anyhow::Result<Option<SecretString>> {
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
