//! The checked settings of Molam ID, who issues people's tokens.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ConfigError, dev};
use crate::outgoing::Endpoint;

/// The longest audience, in bytes.
const MAX_AUDIENCE: usize = 200;

/// `[molam_id]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawIssuer {
    /// `MOLAM_ID_JWKS_URL`: where it publishes its keys.
    pub jwks_url: Option<String>,
    /// `MOLAM_ID_CA_FILE`: certificates to trust for it beside the public ones (PEM).
    pub ca_file: Option<PathBuf>,
    /// `MOLAM_ID_AUDIENCE`: tokens must be meant for it; without it, any may be.
    pub audience: Option<String>,
}

/// How people's tokens are checked: there is a key, an address of keys, or both.
#[derive(Debug, Clone, Default)]
pub struct IssuerSettings {
    /// A key, PEM.
    pub public_pem: Option<String>,
    /// Where the keys are published.
    pub jwks_url: Option<String>,
    /// Certificates to trust there beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// Whom tokens must be meant for.
    pub audience: Option<String>,
}

impl RawIssuer {
    /// Lays the environment over the file.
    pub fn overlay_environment(&mut self, lookup: &impl Fn(&str) -> Option<String>) {
        if let Some(url) = lookup("MOLAM_ID_JWKS_URL") {
            self.jwks_url = Some(url);
        }
        if let Some(path) = lookup("MOLAM_ID_CA_FILE") {
            self.ca_file = Some(path.into());
        }
        if let Some(audience) = lookup("MOLAM_ID_AUDIENCE") {
            self.audience = Some(audience);
        }
    }

    /// Checks the merged layers. With `--dev` a missing key is made in `dev_dir`.
    ///
    /// # Errors
    /// When there is neither key nor address, or the keys would come in the clear from elsewhere.
    pub fn check(self, public: Option<String>, dev_dir: Option<&Path>) -> Result<IssuerSettings, ConfigError> {
        // An environment file can hold one line only, so people write the line ends as two characters.
        let public = public.map(|pem| pem.replace("\\n", "\n"));
        let public_pem = match (public, &self.jwks_url, dev_dir) {
            (None, None, Some(dir)) => Some(dev::public_key_pem(dir)?),
            (None, None, None) => {
                return Err(ConfigError::Missing {
                    name: "MOLAM_ID_JWT_PUBLIC",
                    hint: "the PEM of the key that Molam ID signs tokens with, or MOLAM_ID_JWKS_URL, where it publishes its keys",
                });
            }
            (public, ..) => public,
        };
        let name = "MOLAM_ID_JWKS_URL";
        if let Some(url) = &self.jwks_url {
            let endpoint = Endpoint::parse(url).map_err(|error| ConfigError::Invalid {
                name,
                why: error.to_string(),
            })?;
            if !endpoint.is_encrypted() && !endpoint.is_here() {
                let why = "whoever is on the way could put in a key of their own; use https".to_owned();
                return Err(ConfigError::Invalid { name, why });
            }
        }
        let fits = |audience: &String| (1..=MAX_AUDIENCE).contains(&audience.len());
        if !self.audience.as_ref().is_none_or(fits) {
            return Err(ConfigError::Invalid {
                name: "MOLAM_ID_AUDIENCE",
                why: format!("1 to {MAX_AUDIENCE} bytes are taken"),
            });
        }
        Ok(IssuerSettings {
            public_pem,
            jwks_url: self.jwks_url,
            ca_file: self.ca_file,
            audience: self.audience,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: Option<&str>, public: Option<&str>) -> Result<IssuerSettings, ConfigError> {
        let raw = RawIssuer {
            jwks_url: url.map(str::to_owned),
            ..RawIssuer::default()
        };
        raw.check(public.map(str::to_owned), None)
    }

    #[test]
    fn there_is_a_key_or_an_address_of_keys_or_both() {
        assert!(check(None, None).is_err());
        let address = "https://id.molam.example/keys";
        let both = check(Some(address), Some("a\\nb")).unwrap();
        assert_eq!(
            (both.public_pem.as_deref(), both.jwks_url.as_deref()),
            (Some("a\nb"), Some(address))
        );
        assert_eq!(check(Some(address), None).unwrap().public_pem, None);
    }

    #[test]
    fn keys_come_encrypted_or_from_this_machine() {
        for good in [
            "https://id.example/jwks",
            "http://127.0.0.1:9/jwks",
            "http://localhost:9",
            "http://[::1]:9/",
        ] {
            assert!(check(Some(good), None).is_ok(), "{good}");
        }
        for bad in [
            "http://id.example/jwks",
            "http://127.0.0.1.example/",
            "ftp://id.example",
            "id.example",
        ] {
            assert!(check(Some(bad), None).is_err(), "{bad}");
        }
    }
}
