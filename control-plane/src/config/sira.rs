//! The checked settings of the external SIRA.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use super::ConfigError;
use crate::outgoing::Endpoint;

/// `[sira]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSira {
    /// `SIRA_API_URL`: the external SIRA; without it, the built-in model decides.
    pub api_url: Option<String>,
    /// `SIRA_API_TOKEN`.
    pub api_token: Option<String>,
    /// `PLUGMEND_SIRA_CA_FILE`: certificates to trust for it beside the public ones (PEM).
    pub ca_file: Option<PathBuf>,
}

/// The external SIRA.
#[derive(Debug, Clone)]
pub struct SiraSettings {
    /// Its base address.
    pub url: String,
    /// The bearer token.
    pub token: SecretString,
    /// Certificates to trust beside the public ones.
    pub ca_file: Option<PathBuf>,
}

impl RawSira {
    /// Lays the environment over the file.
    pub fn overlay_environment(&mut self, lookup: &impl Fn(&str) -> Option<String>) {
        if let Some(url) = lookup("SIRA_API_URL") {
            self.api_url = Some(url);
        }
        if let Some(token) = lookup("SIRA_API_TOKEN") {
            self.api_token = Some(token);
        }
        if let Some(path) = lookup("PLUGMEND_SIRA_CA_FILE") {
            self.ca_file = Some(path.into());
        }
    }

    /// Checks the merged layers; none when no external SIRA is named.
    ///
    /// # Errors
    /// When the address can not be used, would have the token travel in the clear, or there is no token.
    pub fn check(self, dev: bool) -> Result<Option<SiraSettings>, ConfigError> {
        let Some(url) = self.api_url else {
            return Ok(None);
        };
        let name = "SIRA_API_URL";
        let endpoint = Endpoint::parse(&url).map_err(|error| ConfigError::Invalid {
            name,
            why: error.to_string(),
        })?;
        if !endpoint.is_encrypted() && !dev && !endpoint.is_here() {
            let why = "it would send SIRA_API_TOKEN in the clear; use https".to_owned();
            return Err(ConfigError::Invalid { name, why });
        }
        let token = self.api_token.ok_or(ConfigError::Missing {
            name: "SIRA_API_TOKEN",
            hint: "the bearer token of the SIRA at SIRA_API_URL",
        })?;
        Ok(Some(SiraSettings {
            url,
            token: token.into(),
            ca_file: self.ca_file,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, token: Option<&str>) -> Result<Option<SiraSettings>, ConfigError> {
        let raw = RawSira {
            api_url: Some(url.to_owned()).filter(|url| !url.is_empty()),
            api_token: token.map(str::to_owned),
            ca_file: None,
        };
        raw.check(false)
    }

    #[test]
    fn a_token_is_wanted_and_travels_encrypted_or_not_at_all() {
        assert!(check("", None).unwrap().is_none());
        assert!(check("https://sira.example", Some("t")).unwrap().is_some());
        assert!(check("http://127.0.0.1:9100", Some("t")).unwrap().is_some());
        for (url, token) in [
            ("https://sira.example", None),
            ("http://sira.example", Some("t")),
            ("http://127.0.0.1.example", Some("t")),
            ("sira.example", Some("t")),
        ] {
            assert!(check(url, token).is_err(), "{url}");
        }
    }
}
