//! Sends one message to one receiver.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};

use super::signature;
use crate::{
    domain::{
        delivery::Outcome,
        network::{Network, is_public},
    },
    outgoing::{Call, Endpoint, HttpClient, OutgoingError},
};

/// The longest that a receiver may take, name, connection and answer together.
const WITHIN: Duration = Duration::from_secs(10);
/// The longest answer that is read; nothing in it matters.
const MAX_ANSWER: u64 = 64 * 1024;

/// What is sent.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its id: the same in every try, so that the receiver knows a repeat.
    pub id: String,
    /// When this try is made, in seconds since the epoch.
    pub timestamp: i64,
    /// JSON.
    pub body: Bytes,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Whether it was taken.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// Sends messages.
#[derive(Debug, Clone)]
pub struct Sender {
    encrypted: HttpClient,
    /// For `http://`, to our own networks only.
    plain: HttpClient,
    plain_allowed: bool,
    within: Duration,
}

impl Sender {
    /// Sends to public addresses over HTTPS, and to those in `networks` (ours, by configuration) over HTTP too.
    /// `extra_ca_pem`: authorities to trust beside the public ones.
    ///
    /// # Errors
    /// When there is no certificate in the PEM text.
    pub fn new(networks: Vec<Network>, extra_ca_pem: Option<&[u8]>) -> Result<Self, OutgoingError> {
        let client = HttpClient::new(extra_ca_pem)?;
        let plain_allowed = !networks.is_empty();
        let ours = networks.clone();
        let is_ours = move |address: IpAddr| ours.iter().any(|network| network.contains(address));
        let may_be =
            move |address: IpAddr| is_public(address) || networks.iter().any(|network| network.contains(address));
        Ok(Self {
            encrypted: client.clone().only_to(may_be),
            plain: client.only_to(is_ours),
            plain_allowed,
            within: WITHIN,
        })
    }

    /// The same, for receivers that get less time.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Whether an address is one that could be sent to, as far as can be told without asking for its name.
    ///
    /// # Errors
    /// When it is not, in words for who gave it.
    pub fn check(&self, url: &str) -> Result<(), String> {
        let to = Endpoint::parse(url).map_err(|error| error.to_string())?;
        if !to.is_encrypted() && !self.plain_allowed {
            return Err("a receiver is https://…".to_owned());
        }
        Ok(())
    }

    /// Sends once.
    pub async fn send(&self, url: &str, secret: &str, message: &Message) -> Tried {
        let began = Instant::now();
        let outcome = match self.try_once(url, secret, message).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed {
                status: None,
                why: format!("{:#}", anyhow::Error::from(error)),
            },
        };
        Tried {
            outcome,
            took: began.elapsed(),
        }
    }

    async fn try_once(&self, url: &str, secret: &str, message: &Message) -> Result<Outcome, OutgoingError> {
        let to = Endpoint::parse(url)?;
        let client = if to.is_encrypted() {
            &self.encrypted
        } else {
            &self.plain
        };
        let call = Call {
            method: Method::POST,
            path: "",
            headers: headers(secret, message)?,
            bearer: None,
            body: message.body.clone(),
            within: self.within,
            at_most: MAX_ANSWER,
        };
        let answer = client.call(&to, call).await?;
        Ok(Outcome::of_status(answer.status.as_u16()))
    }
}

fn headers(secret: &str, message: &Message) -> Result<Vec<(HeaderName, HeaderValue)>, OutgoingError> {
    let value = |text: String| HeaderValue::try_from(text).map_err(|e| OutgoingError::Request(Box::new(e)));
    let signature = signature::sign(secret, &message.id, message.timestamp, &message.body);
    Ok(vec![
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (HeaderName::from_static("webhook-id"), value(message.id.clone())?),
        (
            HeaderName::from_static("webhook-timestamp"),
            HeaderValue::from(message.timestamp),
        ),
        (HeaderName::from_static("webhook-signature"), value(signature)?),
    ])
}
