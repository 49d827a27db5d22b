//! Where people sign in, when it is not by a token that they bring: an `OpenID` provider, asked by the browser itself
//! with the code flow and PKCE (RFC 7636), so that no secret of ours is needed.

use serde::Serialize;

/// An `OpenID` provider, and what the console is called there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignIn {
    /// Its issuer; `/.well-known/openid-configuration` below it says the rest.
    pub issuer: String,
    /// The console's name there: a public client.
    pub client_id: String,
    /// What is asked for, spaces between.
    pub scope: String,
}

impl SignIn {
    /// Scheme, host and port of the issuer: what the console may speak with beside its own server.
    pub fn origin(&self) -> &str {
        let after_scheme = self.issuer.find("://").map_or(0, |at| at + 3);
        let rest = &self.issuer[after_scheme..];
        let end = rest.find('/').map_or(self.issuer.len(), |at| after_scheme + at);
        &self.issuer[..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_is_the_issuer_without_its_path() {
        for (issuer, origin) in [
            ("https://id.example/realms/ops", "https://id.example"),
            ("https://id.example:8443", "https://id.example:8443"),
            ("http://127.0.0.1:9/", "http://127.0.0.1:9"),
        ] {
            let sign_in = SignIn {
                issuer: issuer.to_owned(),
                client_id: "console".to_owned(),
                scope: "openid".to_owned(),
            };
            assert_eq!(sign_in.origin(), origin);
        }
    }
}
