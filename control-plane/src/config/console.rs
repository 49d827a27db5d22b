//! The checked settings of the console: where people sign in.

use serde::Deserialize;

use super::ConfigError;
use crate::{http::console::SignIn, outgoing::Endpoint};

/// What is asked for unless told otherwise.
const SCOPE: &str = "openid";
/// The longest of each, in bytes.
const LONGEST: usize = 500;

/// `[console]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConsole {
    /// `PLUGMEND_CONSOLE_ISSUER`: the `OpenID` provider where people sign in; without it they bring a token.
    pub issuer: Option<String>,
    /// `PLUGMEND_CONSOLE_CLIENT_ID`: the console's name there, a public client with PKCE.
    pub client_id: Option<String>,
    /// `PLUGMEND_CONSOLE_SCOPE`: what is asked for; `openid` by default.
    pub scope: Option<String>,
}

impl RawConsole {
    /// Lays the environment over the file.
    pub fn overlay_environment(&mut self, lookup: &impl Fn(&str) -> Option<String>) {
        for (slot, name) in [
            (&mut self.issuer, "PLUGMEND_CONSOLE_ISSUER"),
            (&mut self.client_id, "PLUGMEND_CONSOLE_CLIENT_ID"),
            (&mut self.scope, "PLUGMEND_CONSOLE_SCOPE"),
        ] {
            if let Some(value) = lookup(name) {
                *slot = Some(value);
            }
        }
    }

    /// Checks the merged layers; none when no provider is named.
    ///
    /// # Errors
    /// When the issuer is no address, would have tokens travel in the clear, or the client's name is missing.
    pub fn check(self, dev: bool) -> Result<Option<SignIn>, ConfigError> {
        let Some(issuer) = self.issuer else {
            return Ok(None);
        };
        let name = "PLUGMEND_CONSOLE_ISSUER";
        let refuse = |why: String| ConfigError::Invalid { name, why };
        let endpoint = Endpoint::parse(&issuer).map_err(|error| refuse(error.to_string()))?;
        // It goes into a header and into a list of addresses there.
        let is_plain = issuer
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"\"';,<>?#@".contains(&b));
        if !is_plain || issuer.len() > LONGEST {
            return Err(refuse("an address without query, user or quotes is wanted".to_owned()));
        }
        if !endpoint.is_encrypted() && !dev {
            return Err(refuse("tokens would travel in the clear; use https".to_owned()));
        }
        let client_id = self
            .client_id
            .filter(|id| id.len() <= LONGEST)
            .ok_or(ConfigError::Missing {
                name: "PLUGMEND_CONSOLE_CLIENT_ID",
                hint: "what the console is called at PLUGMEND_CONSOLE_ISSUER: a public client, with PKCE",
            })?;
        Ok(Some(SignIn {
            issuer: issuer.trim_end_matches('/').to_owned(),
            client_id,
            scope: self.scope.unwrap_or_else(|| SCOPE.to_owned()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(issuer: &str, client_id: Option<&str>) -> Result<Option<SignIn>, ConfigError> {
        let raw = RawConsole {
            issuer: Some(issuer.to_owned()).filter(|issuer| !issuer.is_empty()),
            client_id: client_id.map(str::to_owned),
            scope: None,
        };
        raw.check(false)
    }

    #[test]
    fn a_provider_is_reached_encrypted_and_under_a_name_or_not_at_all() {
        assert!(check("", None).unwrap().is_none());
        let provider = check("https://id.example/realms/ops/", Some("console"))
            .unwrap()
            .unwrap();
        assert_eq!(provider.issuer, "https://id.example/realms/ops");
        assert_eq!(provider.scope, "openid");
        for (issuer, client_id) in [
            ("https://id.example", None),
            ("http://id.example", Some("console")),
            ("id.example", Some("console")),
            ("https://id.example;script-src *", Some("console")),
            ("https://id.example/'self'", Some("console")),
        ] {
            assert!(check(issuer, client_id).is_err(), "{issuer}");
        }
    }
}
