//! Addresses with a query string.

use std::fmt::{Display, Write as _};

/// A path and what is asked of it; every value is percent-encoded (RFC 3986, section 2.1), so that none can end its
/// place.
#[derive(Debug, Clone)]
pub struct Query {
    text: String,
    has_pairs: bool,
}

impl Query {
    /// A path without questions.
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            text: path.into(),
            has_pairs: false,
        }
    }

    /// The same with one more pair.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Display) -> Self {
        let sign = if self.has_pairs { '&' } else { '?' };
        self.has_pairs = true;
        // Writing to a text can not fail.
        let _ = write!(self.text, "{sign}{name}=");
        for byte in value.to_string().bytes() {
            let _ = match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    write!(self.text, "{}", char::from(byte))
                }
                byte => write!(self.text, "%{byte:02X}"),
            };
        }
        self
    }

    /// The same with a pair, where there is a value.
    #[must_use]
    pub fn maybe(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// What is sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_in_its_place() {
        let query = Query::new("/list")
            .maybe("none", None::<&str>)
            .with("q", "a&b=c d/é?#%")
            .with("n", 3);
        assert_eq!(query.as_str(), "/list?q=a%26b%3Dc%20d%2F%C3%A9%3F%23%25&n=3");
    }
}
