//! What a token says of itself. Only the control plane can check its signature; this explains what it will say.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Deserialize;

use super::check::Check;
use crate::{exit::Exit, output::ago};

const NAME: &str = "token";
/// Below so many seconds of life it is worth a word.
const SHORT_S: f64 = 300.0;
/// The control plane forgives the issuer's clock so many seconds.
const LEEWAY_S: f64 = 30.0;
const GET_ONE: &str = "get a new one from Molam ID, and put it into PLUGMEND_TOKEN or --token-file";

#[derive(Debug, Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
    #[serde(default)]
    roles: Vec<String>,
    merchant_id: Option<String>,
}

/// Looks at a token, at the moment `now`.
pub fn look(token: Option<&str>, now: Timestamp) -> Check {
    let Some(token) = token else {
        return Check::fail(NAME, "there is none", GET_ONE, Exit::Refused);
    };
    let Some(claims) = read(token) else {
        return Check::fail(NAME, "it is no JWT", GET_ONE, Exit::Refused);
    };
    #[expect(clippy::cast_precision_loss, reason = "seconds of this century are exact")]
    let at = now.as_second() as f64;
    let Some(end) = claims.exp else {
        return Check::fail(
            NAME,
            "it never ends: the control plane takes none of these",
            GET_ONE,
            Exit::Refused,
        );
    };
    if end + LEEWAY_S <= at {
        let says = format!("it expired {}", moment(end, now));
        return Check::fail(NAME, says, GET_ONE, Exit::Refused);
    }
    if claims.nbf.is_some_and(|from| from - LEEWAY_S > at) {
        let says = format!("it begins {}", moment(claims.nbf.unwrap_or(end), now));
        return Check::fail(
            NAME,
            says,
            "compare this machine's clock with Molam ID's",
            Exit::Refused,
        );
    }
    let who = claims.sub.as_deref().unwrap_or("nobody");
    let roles = claims.roles.join(", ");
    if roles.is_empty() {
        let says = format!("of {who}, without any role");
        return Check::fail(NAME, says, "ask for a role of Plugmend in Molam ID", Exit::Refused);
    }
    let whose = claims
        .merchant_id
        .map(|id| format!(" of merchant {id}"))
        .unwrap_or_default();
    let says = format!("of {who}{whose}, roles {roles}, expires {}", moment(end, now));
    if end - at < SHORT_S {
        return Check::warn(NAME, says, GET_ONE);
    }
    Check::ok(NAME, says)
}

fn read(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

fn moment(seconds: f64, now: Timestamp) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    let at = Timestamp::from_second(seconds as i64);
    at.map_or_else(|_| "at no moment that there is".to_owned(), |at| ago(at, now))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::doctor::check::Level;

    const NOW: i64 = 1_800_000_000;

    fn seen(claims: &Value) -> Check {
        let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()));
        look(Some(&token), Timestamp::from_second(NOW).unwrap())
    }

    #[test]
    fn a_good_token_says_whose_it_is_and_for_how_long() {
        let check = seen(&json!({ "sub": "ann", "exp": NOW + 7200, "roles": ["pay_admin"] }));
        let said = format!("{check:?}");
        assert_eq!(check.level, Level::Ok);
        assert!(said.contains("of ann, roles pay_admin, expires in 2 h"), "{said}");
    }

    #[test]
    fn what_the_control_plane_will_refuse_is_said_before() {
        for (claims, words) in [
            (
                json!({ "sub": "ann", "exp": NOW - 600, "roles": ["pay_admin"] }),
                "expired 10 min ago",
            ),
            (
                json!({ "sub": "ann", "exp": NOW + 600, "nbf": NOW + 300, "roles": ["pay_admin"] }),
                "begins in 5 min",
            ),
            (json!({ "sub": "ann", "exp": NOW + 600 }), "without any role"),
            (json!({ "sub": "ann" }), "never ends"),
        ] {
            let check = seen(&claims);
            assert_eq!(check.level, Level::Fail);
            assert!(format!("{check:?}").contains(words), "{words}: {check:?}");
        }
        let now = Timestamp::from_second(NOW).unwrap();
        assert_eq!(look(None, now).level, Level::Fail);
        for none in ["", "a.b", "a.b.c", "a.b.c.d", "not a token"] {
            assert_eq!(look(Some(none), now).level, Level::Fail, "{none}");
        }
    }

    #[test]
    fn a_token_that_ends_soon_is_worth_a_word() {
        let check = seen(&json!({ "sub": "ann", "exp": NOW + 60, "roles": ["ops_viewer"] }));
        assert_eq!(check.level, Level::Warn);
    }
}
