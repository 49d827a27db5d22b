//! The checked settings of the gateway and of the agents' CA.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use jiff::SignedDuration;
use secrecy::SecretString;

use super::{ConfigError, raw::RawGateway, settings::in_range};

/// The agents' gateway.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// DNS names and addresses that agents use for it.
    pub names: Vec<String>,
    /// Of the agents' names.
    pub trust_domain: String,
    /// The agents' CA.
    pub pki_dir: PathBuf,
    /// The CA's key, when it does not lie there.
    pub ca_key: Option<SecretString>,
    /// The file with the CA's key, when that is not there.
    pub ca_key_file: Option<PathBuf>,
    /// The gateway's own certificate, when the CA does not issue it.
    pub certificate: Option<ConfiguredCertificate>,
    /// How long an agent's certificate is good for.
    pub certificate_lifetime: SignedDuration,
    /// How long after its end it may still be renewed.
    pub certificate_grace: SignedDuration,
    /// How long a request may have been under way when its sender was replaced.
    pub in_flight: SignedDuration,
}

/// A certificate from elsewhere.
#[derive(Debug, Clone)]
pub struct ConfiguredCertificate {
    /// The certificate and its chain, PEM.
    pub chain: PathBuf,
    /// Its key, PEM, mode 0600.
    pub key: PathBuf,
    /// The CA that agents check it against, PEM.
    pub ca: PathBuf,
}

/// Checks the merged layers.
pub fn check(raw: RawGateway, state_dir: &Path, dev: bool) -> Result<GatewaySettings, ConfigError> {
    let listen = raw.listen.unwrap_or_else(|| "0.0.0.0:8443".to_owned());
    let names = match raw.names {
        Some(names) if !names.is_empty() => names,
        _ if dev => vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
        _ => {
            return Err(ConfigError::Missing {
                name: "PLUGMEND_GATEWAY_NAMES",
                hint: "the names that agents reach the gateway by, for its certificate",
            });
        }
    };
    let trust_domain = raw.trust_domain.unwrap_or_else(|| "plugmend.example".to_owned());
    if trust_domain.is_empty()
        || !trust_domain
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
    {
        return Err(ConfigError::Invalid {
            name: "PLUGMEND_TRUST_DOMAIN",
            why: "a domain name is wanted".to_owned(),
        });
    }
    Ok(GatewaySettings {
        listen: listen.parse().map_err(|_| ConfigError::Invalid {
            name: "PLUGMEND_GATEWAY_BIND",
            why: format!("'{listen}' is not an address and port"),
        })?,
        names,
        trust_domain,
        pki_dir: raw.pki_dir.unwrap_or_else(|| state_dir.join("pki")),
        ca_key: raw.ca_key.map(SecretString::from),
        ca_key_file: raw.ca_key_file,
        certificate: check_certificate(raw.certificate_file, raw.key_file, raw.ca_file)?,
        certificate_lifetime: seconds(
            "PLUGMEND_CERTIFICATE_LIFETIME_S",
            raw.certificate_lifetime_s,
            (30 * 86_400, 1, 398 * 86_400),
        )?,
        certificate_grace: seconds(
            "PLUGMEND_CERTIFICATE_GRACE_S",
            raw.certificate_grace_s,
            (30 * 86_400, 0, 398 * 86_400),
        )?,
        in_flight: seconds("PLUGMEND_IN_FLIGHT_S", raw.in_flight_s, (60, 1, 3600))?,
    })
}

fn check_certificate(
    chain: Option<PathBuf>,
    key: Option<PathBuf>,
    ca: Option<PathBuf>,
) -> Result<Option<ConfiguredCertificate>, ConfigError> {
    match (chain, key, ca) {
        (None, None, None) => Ok(None),
        (Some(chain), Some(key), Some(ca)) => Ok(Some(ConfiguredCertificate { chain, key, ca })),
        _ => Err(ConfigError::Invalid {
            name: "PLUGMEND_GATEWAY_CERTIFICATE_FILE",
            why: "certificate, key and CA of the gateway go together: give all three files, or none".to_owned(),
        }),
    }
}

fn seconds(
    name: &'static str,
    given: Option<u32>,
    (default, least, most): (u32, u32, u32),
) -> Result<SignedDuration, ConfigError> {
    let seconds = given.unwrap_or(default);
    in_range(name, seconds.into(), least.into(), most.into())?;
    Ok(SignedDuration::from_secs(seconds.into()))
}
