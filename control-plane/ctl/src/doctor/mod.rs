//! `doctor`: how far one gets, and what to do where it ends.

mod check;
mod token;

use std::time::Instant;

use clap::Args;
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use plugmend_shared::clock::{Clock as _, SystemClock};
use secrecy::ExposeSecret;
use serde_json::Value;

use self::check::{Check, report};
use crate::{
    api::{Answer, Api, ApiError, Connection},
    exit::Exit,
    output::{Output, exit_of},
    release,
};

/// Clocks further apart than this are worth a word.
const APART_S: i64 = 5;
/// Further apart than this, tokens are refused.
const TOO_FAR_APART_S: i64 = 30;
/// Fewer days of life than this are worth a word.
const SOON_DAYS: i64 = 14;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    place: release::Place,
}

/// Looks at everything between here and the control plane's database.
pub fn run(arguments: &Arguments) -> Output {
    let mut checks = Vec::new();
    match Api::connect(&arguments.connection) {
        Ok(api) => {
            checks.push(Check::ok("configuration", format!("the API is {}", api.base())));
            examine(&api, &mut checks);
        }
        Err(error) => {
            let todo = "correct --api, --token-file or --api-ca, or the variables that stand for them";
            checks.push(Check::fail("configuration", format!("{error:#}"), todo, Exit::Usage));
        }
    }
    checks.push(metadata(&arguments.place));
    report(&checks)
}

fn examine(api: &Api, checks: &mut Vec<Check>) {
    let began = (Instant::now(), SystemClock.now());
    let answer = match api.ask("/healthz") {
        Ok(answer) => answer,
        Err(error) => {
            checks.push(unreachable(&error));
            return;
        }
    };
    let took = SignedDuration::try_from(began.0.elapsed()).unwrap_or_default();
    checks.push(reached(&answer, took));
    checks.push(certificate(api.certificate_ends(), api.base(), began.1));
    checks.push(clock(&answer, began.1, took));
    checks.push(token::look(
        api.token().map(ExposeSecret::expose_secret),
        SystemClock.now(),
    ));
    checks.push(accepted(api.ask("/api/ops/plugin-incidents?limit=1")));
    checks.push(version(api.get("/api/openapi.json")));
    checks.push(ready(api.ask("/readyz")));
}

fn unreachable(error: &anyhow::Error) -> Check {
    let says = format!("{error:#}");
    let todo = if says.contains("certificate") {
        "name the authority of the control plane's certificate with --api-ca, or ask who runs it to renew it"
    } else if says.contains("refused") {
        "nothing listens there: start the control plane with the role api, or correct --api"
    } else {
        "correct --api; ask who runs the network whether this machine may go there"
    };
    Check::fail("reachable", says, todo, exit_of(error))
}

fn reached(answer: &Answer, took: SignedDuration) -> Check {
    let millis = took.as_millis();
    if answer.status.is_success() {
        return Check::ok("reachable", format!("it answered within {millis} ms"));
    }
    let says = format!("something answered {} to /healthz", answer.status);
    let todo = "is --api the control plane's API (port 8112), and not another program or a proxy before it?";
    Check::fail("reachable", says, todo, Exit::Unavailable)
}

fn certificate(ends: anyhow::Result<Option<Timestamp>>, base: &str, now: Timestamp) -> Check {
    const NAME: &str = "TLS";
    match ends {
        Ok(Some(at)) => lasts(
            NAME,
            "the certificate is trusted and",
            at,
            now,
            "ask who runs the proxy to renew it",
        ),
        Ok(None) if base.contains("//127.") || base.contains("//localhost") || base.contains("//[::1]") => {
            Check::ok(NAME, "none, and none is needed on this machine")
        }
        Ok(None) => Check::warn(
            NAME,
            "none: whoever is in between can read and change everything",
            "use https",
        ),
        Err(error) => Check::warn(NAME, format!("{error:#}"), "try again"),
    }
}

/// Something that ends at a moment.
fn lasts(name: &'static str, what: &str, at: Timestamp, now: Timestamp, todo: &str) -> Check {
    let days = (at.as_second() - now.as_second()).div_euclid(86_400);
    match days {
        ..0 => Check::fail(name, format!("{what} expired {} days ago", -days), todo, Exit::Refused),
        0..SOON_DAYS => Check::warn(name, format!("{what} expires in {days} days"), todo),
        _ => Check::ok(name, format!("{what} expires in {days} days")),
    }
}

/// How far the clocks are apart, by the `Date` of an answer (RFC 9110, section 6.6.1), which has whole seconds.
fn clock(answer: &Answer, began: Timestamp, took: SignedDuration) -> Check {
    const NAME: &str = "clock";
    let date = answer.headers.get("date").and_then(|value| value.to_str().ok());
    let theirs = date.and_then(|date| rfc2822::DateTimeParser::new().parse_timestamp(date).ok());
    let Some(theirs) = theirs else {
        return Check::warn(
            NAME,
            "the answer had no date to compare with",
            "compare the clocks by hand",
        );
    };
    let ours = began.checked_add(took / 2).unwrap_or(began);
    let apart = ours.as_second() - theirs.as_second();
    let says = format!(
        "{} s {} the control plane's",
        apart.abs(),
        if apart < 0 { "behind" } else { "ahead of" }
    );
    let todo = "set the clock that is wrong (NTP)";
    if apart.abs() <= APART_S {
        Check::ok(NAME, says)
    } else if apart.abs() <= TOO_FAR_APART_S {
        Check::warn(NAME, says, todo)
    } else {
        Check::fail(NAME, says, todo, Exit::Refused)
    }
}

fn accepted(answer: anyhow::Result<Answer>) -> Check {
    const NAME: &str = "accepted";
    match answer.and_then(|answer| answer.json()) {
        Ok(_) => Check::ok(NAME, "the control plane takes the token"),
        Err(error) => {
            let next = error.downcast_ref::<ApiError>().and_then(ApiError::next);
            let todo = match error.downcast_ref::<ApiError>() {
                // That is where the usual advice leads to.
                Some(ApiError::Refused(problem)) if problem.status == 401 => {
                    "get a token that this control plane's issuer signed (MOLAM_ID_JWT_PUBLIC)"
                }
                Some(ApiError::Refused(problem)) if problem.status == 403 => "ask for a role that may read incidents",
                _ => next.unwrap_or("try again"),
            };
            Check::fail(NAME, error.to_string(), todo, exit_of(&error))
        }
    }
}

fn version(document: anyhow::Result<Value>) -> Check {
    const NAME: &str = "version";
    let ours = env!("CARGO_PKG_VERSION");
    let theirs = document.ok().and_then(|document| {
        let version = document.pointer("/info/version")?.as_str()?;
        semver::Version::parse(version).ok()
    });
    let same = |theirs: &semver::Version| {
        semver::Version::parse(ours).is_ok_and(|ours| (ours.major, ours.minor) == (theirs.major, theirs.minor))
    };
    match theirs {
        Some(theirs) if same(&theirs) => Check::ok(NAME, format!("{ours} here, {theirs} there")),
        Some(theirs) => Check::warn(
            NAME,
            format!("{ours} here, {theirs} there"),
            "install the plugmend that came with the control plane",
        ),
        None => Check::warn(
            NAME,
            format!("{ours} here; the control plane does not say"),
            "install the plugmend that came with the control plane",
        ),
    }
}

fn ready(answer: anyhow::Result<Answer>) -> Check {
    const NAME: &str = "database";
    match answer {
        Ok(answer) if answer.status.is_success() => Check::ok(NAME, "it answers and is up to date"),
        Ok(answer) => Check::fail(
            NAME,
            format!("/readyz says {}", answer.status),
            "start the database, or run 'plugmend-control-plane migrate'; its log says which",
            Exit::Unavailable,
        ),
        Err(error) => Check::fail(NAME, format!("{error:#}"), "try again", exit_of(&error)),
    }
}

/// The release metadata of the workspace here, if this is one.
fn metadata(place: &release::Place) -> Check {
    const NAME: &str = "release metadata";
    let Ok(ends) = release::ends(place) else {
        return Check::ok(NAME, "no release workspace here (--workspace)");
    };
    match ends.into_iter().min_by_key(|(_, at)| *at) {
        Some((role, at)) => lasts(
            NAME,
            &format!("'{role}' comes first: it"),
            at,
            SystemClock.now(),
            &format!("'plugmend release rotate renew --role {role}', sign, publish"),
        ),
        None => Check::ok(NAME, "nothing is published from this workspace"),
    }
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, StatusCode, body::Bytes};

    use super::{check::Level, *};

    fn dated(date: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert("date", date.parse().unwrap());
        Answer {
            status: StatusCode::OK,
            headers,
            body: Bytes::new(),
        }
    }

    fn level(seconds: i64) -> Level {
        let theirs: Timestamp = "2026-11-23T02:00:00Z".parse().unwrap();
        let ours = Timestamp::from_second(theirs.as_second() + seconds).unwrap();
        clock(&dated("Mon, 23 Nov 2026 02:00:00 GMT"), ours, SignedDuration::ZERO).level
    }

    #[test]
    fn clocks_that_are_apart_are_told() {
        let (good, word, bad) = (Level::Ok, Level::Warn, Level::Fail);
        let told = [0, 5, -5, 6, -30, 31, -4000].map(level);
        assert_eq!(told, [good, good, good, word, word, bad, bad]);
        assert_eq!(
            clock(&dated("yesterday"), SystemClock.now(), SignedDuration::ZERO).level,
            Level::Warn
        );
    }

    #[test]
    fn what_ends_soon_is_told_before_it_does() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let in_days = |days: i64| Timestamp::from_second(1_800_000_000 + days * 86_400).unwrap();
        let told = [30, 13, 0, -1].map(|days| lasts("x", "it", in_days(days), now, "renew").level);
        assert_eq!(told, [Level::Ok, Level::Warn, Level::Warn, Level::Fail]);
    }

    #[test]
    fn another_version_is_worth_a_word() {
        let document = |version: &str| Ok(serde_json::json!({ "info": { "version": version } }));
        assert_eq!(version(document(env!("CARGO_PKG_VERSION"))).level, Level::Ok);
        assert_eq!(version(document("99.0.0")).level, Level::Warn);
        assert_eq!(version(Err(anyhow::anyhow!("404"))).level, Level::Warn);
    }
}
