//! The real payments plugin from the npm registry, and customers of a shop that runs it.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Result;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use ring::hmac;
use serde::Deserialize;

use super::currencies;
use crate::{
    load::{Customer, Verdict},
    npm::{self, Package},
};

/// The version that is installed first.
pub const FIRST: Package = Package {
    name: "@medusajs/payment-stripe",
    version: "2.21.0",
    sha512: "Ynift7OGFqzjt0Mqj6CDeUzLcAeAFFJZpSa/0K7mqr8T+DkX9DM0l5Gm4PgU0Ftl9s1JKSY21tE3VYseMd4ZQQ==",
};

/// The next one: it puts an error of its webhook code in other words.
pub const SECOND: Package = Package {
    name: "@medusajs/payment-stripe",
    version: "2.21.1",
    sha512: "5ubU9DwDdNtceD76yy3jTsiQ/3PazVUvFqOWEb0pOrti4UcAuvlZ/p790Ok7USR90VWgeBZrld6PC95so2XZHA==",
};

/// Fingerprints of the code in which the two differ, as `worker.js` takes them from the functions it loaded. What came
/// after them has the second's.
const FINGERPRINTS: [&str; 2] = ["bfecce5f1dbd", "252fed551c30"];

/// How 2.21.1 begins an error that 2.21.0 passes on as it is.
const WRAPPED: &str = "An error occurred in constructWebhookEvent";

/// The webhook secret that shop and customers share.
pub const WEBHOOK_SECRET: &str = "whsec_of_the_test_shop";

/// The unpacked plugin.
pub fn tree(package: &Package) -> Result<PathBuf> {
    npm::fetch(package)
}

/// Customers: they look at the checkout, the payment provider reports payments by signed webhooks, and somebody sends
/// forged ones. Each answer must come from one version of the plugin as a whole.
///
/// In what they pay is the market's.
#[derive(Debug, Default)]
pub struct Customers {
    market: Arc<Market>,
}

impl Customers {
    /// Customers of a market that may change.
    pub fn of(market: Arc<Market>) -> Self {
        Self { market }
    }
}

/// In what nine of ten customers pay; the tenth always pays in euros.
#[derive(Debug, Default)]
pub struct Market(AtomicUsize);

/// What can be paid in.
const CURRENCIES: [&str; 3] = ["eur", "jpy", "sek"];

impl Market {
    /// From now on they pay in euros, in yen (1) or in kronor (2).
    pub fn turn_to(&self, currency: usize) {
        self.0.store(currency, Ordering::Relaxed);
    }

    fn currency(&self, number: u64) -> &'static str {
        if (number / 4).is_multiple_of(10) {
            return CURRENCIES[0];
        }
        CURRENCIES
            .get(self.0.load(Ordering::Relaxed))
            .copied()
            .unwrap_or(CURRENCIES[0])
    }
}

#[derive(Deserialize)]
struct Answer {
    version: String,
    code: String,
    #[serde(default)]
    capture_method: Option<String>,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    session_id: Option<String>,
    #[serde(default)]
    error: Option<String>,
}

/// What the `number`th customer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visit {
    Checkout,
    Payment,
    Forgery,
}

fn visit(number: u64) -> Visit {
    match number % 4 {
        0 => Visit::Checkout,
        1 | 2 => Visit::Payment,
        _ => Visit::Forgery,
    }
}

/// The order that the `number`th customer pays, when it pays one.
pub fn order(number: u64) -> Option<String> {
    (visit(number) == Visit::Payment).then(|| format!("order-{number}"))
}

impl Customer for Customers {
    fn request(&self, number: u64) -> Request<Full<Bytes>> {
        match visit(number) {
            Visit::Checkout => plain(Request::get("/checkout"), String::new()),
            Visit::Payment => {
                let body = payment(number, self.market.currency(number));
                let signature = sign(&body, WEBHOOK_SECRET);
                plain(Request::post("/webhook").header("stripe-signature", signature), body)
            }
            Visit::Forgery => {
                let body = payment(number, self.market.currency(number));
                let signature = sign(&body, "not the secret");
                plain(Request::post("/webhook").header("stripe-signature", signature), body)
            }
        }
    }

    fn judge(&self, number: u64, status: StatusCode, body: &[u8]) -> Verdict {
        let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
            return Verdict::Failed(format!("{status}: {}", String::from_utf8_lossy(body)));
        };
        let wanted = if visit(number) == Visit::Forgery { 400 } else { 200 };
        let error = answer.error.as_deref().unwrap_or_default();
        if status == 500 && currencies::is_own_bug(&answer.version, error) {
            return Verdict::OwnBug(format!("{}: {error}", answer.version));
        }
        if status != wanted {
            return Verdict::Failed(format!("{status} by {}: {:?}", answer.version, answer.error));
        }
        if FINGERPRINTS[usize::from(answer.version != FIRST.version)] != answer.code {
            return Verdict::Mixed(format!("package {} with code {}", answer.version, answer.code));
        }
        if let Some(wrong) = wrong(number, &answer) {
            return wrong;
        }
        Verdict::Right(answer.version)
    }
}

fn wrong(number: u64, answer: &Answer) -> Option<Verdict> {
    match visit(number) {
        Visit::Checkout => answer.capture_method.is_none().then_some("no way to capture"),
        Visit::Payment => {
            let right = answer.action.as_deref() == Some("captured") && answer.session_id == order(number);
            (!right).then_some("another payment than the one reported")
        }
        Visit::Forgery => {
            let wrapped = answer.error.as_deref().is_some_and(|e| e.starts_with(WRAPPED));
            if wrapped != (answer.version != FIRST.version) {
                return Some(Verdict::Mixed(format!(
                    "{} with another's webhook code",
                    answer.version
                )));
            }
            None
        }
    }
    .map(|why| Verdict::Failed(why.to_owned()))
}

fn plain(request: http::request::Builder, body: String) -> Request<Full<Bytes>> {
    // Built from constants, hexadecimal digits and numbers, which are always valid.
    request
        .header("host", "shop.test")
        .body(Full::new(Bytes::from(body)))
        .unwrap_or_default()
}

fn payment(number: u64, currency: &str) -> String {
    serde_json::json!({
        "id": format!("evt_{number}"),
        "type": "payment_intent.succeeded",
        "data": {"object": {
            "currency": currency,
            "amount_received": 1_000 + number % 1_000,
            "metadata": {"session_id": format!("order-{number}")},
        }},
    })
    .to_string()
}

/// The header `stripe-signature`: time and HMAC-SHA256 over `time.body`.
fn sign(body: &str, secret: &str) -> String {
    // The plugin tolerates five minutes of age; a load runs longer, so the time is taken anew.
    let at = plugmend_shared::clock::Clock::now(&plugmend_shared::clock::SystemClock).as_second();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mac = hmac::sign(&key, format!("{at}.{body}").as_bytes());
    format!("t={at},v1={}", hex::encode(mac.as_ref()))
}
