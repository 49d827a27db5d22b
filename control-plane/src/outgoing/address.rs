//! Where calls go.

use http::Uri;

use super::OutgoingError;

/// The longest address, in bytes.
const MAX_ADDRESS: usize = 2048;

/// The base of a service: scheme, name, port and what its paths begin with.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// Without a slash at its end.
    prefix: String,
    query: Option<String>,
}

impl Endpoint {
    /// Reads `http://…` or `https://…`. A user, a password or a fragment has no place in it.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(text: &str) -> Result<Self, OutgoingError> {
        let wrong = |why: &str| OutgoingError::Address(why.to_owned());
        if text.len() > MAX_ADDRESS {
            return Err(wrong("it is longer than 2,048 bytes"));
        }
        if text.contains('#') {
            return Err(wrong("it has a fragment"));
        }
        let uri: Uri = text.parse().map_err(|_| wrong("it is not a URL"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("it begins with neither http:// nor https://")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it carries a user name; credentials go elsewhere"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        // What stands behind the host and is no port of 16 bits is passed over in silence otherwise.
        let names_port = authority.as_str().len() > authority.host().len();
        if names_port && authority.port_u16().is_none() {
            return Err(wrong("its port is none"));
        }
        Ok(Self {
            tls,
            host: host.to_ascii_lowercase(),
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            query: uri.query().map(str::to_owned),
        })
    }

    /// Whether what is sent there is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.tls
    }

    /// Whether its name says that what is sent there does not leave this machine.
    pub fn is_here(&self) -> bool {
        matches!(self.host.as_str(), "localhost" | "127.0.0.1" | "::1")
    }

    /// Name and port, for messages.
    pub fn place(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The value of the `Host` header: the port only where it is not the scheme's own.
    pub(super) fn authority(&self) -> String {
        let own = if self.tls { 443 } else { 80 };
        if self.port != own {
            return self.place();
        }
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }

    /// The target of a request for `path` (which begins with a slash, or is empty for the address itself).
    pub(super) fn target(&self, path: &str) -> String {
        let mut target = format!("{}{path}", self.prefix);
        if target.is_empty() {
            target.push('/');
        }
        if let Some(query) = &self.query {
            target.push('?');
            target.push_str(query);
        }
        target
    }
}

impl std::fmt::Debug for Endpoint {
    /// Path and query may hold a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Endpoint({})", self.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let at = Endpoint::parse("https://Staging.example/base/?a=b").unwrap();
        assert!(at.is_encrypted());
        assert_eq!(
            (at.place().as_str(), at.authority().as_str()),
            ("staging.example:443", "staging.example")
        );
        assert_eq!(at.target("/run"), "/base/run?a=b");
        let at = Endpoint::parse("http://[::1]:9000").unwrap();
        assert_eq!(
            (at.place().as_str(), at.authority().as_str()),
            ("[::1]:9000", "[::1]:9000")
        );
        assert_eq!((at.target("").as_str(), at.target("/run").as_str()), ("/", "/run"));
    }

    #[test]
    fn what_is_no_plain_address_of_a_service_is_refused() {
        for text in [
            "",
            "staging.example",
            "ftp://staging.example",
            "http://",
            "http://user:secret@staging.example",
            "http://staging.example/#part",
            "http://staging.example:99999",
            "http://a b/",
        ] {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
        assert!(Endpoint::parse(&format!("http://a/{}", "x".repeat(2048))).is_err());
    }

    #[test]
    fn its_debug_form_shows_neither_path_nor_query() {
        let at = Endpoint::parse("https://hooks.example/s3cret?key=s3cret").unwrap();
        assert!(!format!("{at:?}").contains("s3cret"));
    }
}
