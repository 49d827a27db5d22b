//! Whether the version that runs is to blame: the trouble began with a change of version here, or across the fleet.
//!
//! A bad release shows soon: its trouble is taken to begin after a delay that is exponential with a mean of
//! [`DELAY_H`] hours. Trouble of other origin begins at any time, once in [`OTHER_H`] hours. With [`BAD`] of the
//! releases being bad, Bayes' rule gives the odds that trouble `t` hours after a change comes from it. How others with
//! this version and with other versions are doing multiplies these odds by a bounded Bayes factor (two Beta-binomial
//! rates against one), and what the fleet detector found is joined as independent evidence.

use jiff::Timestamp;

use super::{FleetFinding, Peers, Question, VersionChange};

/// The share of changes that make trouble.
const BAD: f64 = 0.05;
/// How long trouble of a bad release takes to be detected, in hours, on average.
const DELAY_H: f64 = 3.0;
/// How seldom other trouble begins: once in so many hours.
const OTHER_H: f64 = 30.0 * 24.0;
/// How much earlier than a change its trouble may seem to begin, in hours: both are known to a heartbeat or two.
const SLACK_H: f64 = 0.25;
/// The strongest that peers may speak for or against.
const PEERS_MOST: f64 = 30.0;
/// The most peers that are counted; larger fleets are scaled down, which keeps the shares.
const PEERS_COUNTED: f64 = 400.0;

/// Whether the version that runs is to blame.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Blame<'a> {
    /// The probability of it.
    pub probability: f64,
    /// The change to the version that runs, when it came before the trouble.
    pub change: Option<&'a VersionChange>,
    /// Hours between that change and the detection.
    pub hours: Option<f64>,
    /// What the fleet detector found about the version that runs.
    pub fleet: Option<&'a FleetFinding>,
}

/// Judges the version that runs.
pub(super) fn judge(question: &Question) -> Blame<'_> {
    let history = &question.historical_data;
    let change = history
        .version_changes
        .iter()
        .find(|change| change.to == question.current_version)
        .filter(|change| change.at <= history.detected_at)
        .filter(|change| {
            history
                .began_at
                .is_none_or(|began| hours_between(began, change.at) <= SLACK_H)
        });
    let hours = change.map(|change| hours_between(change.at, history.detected_at));
    let odds = hours.map_or(0.0, odds_after) * history.peers.map_or(1.0, factor_of_peers);
    let here = odds / (1.0 + odds);
    let fleet = history
        .fleet
        .iter()
        .filter(|finding| finding.version == question.current_version)
        .filter(|finding| finding.platform.as_ref().is_none_or(|p| *p == history.platform))
        .max_by(|a, b| a.confidence.total_cmp(&b.confidence));
    let elsewhere = fleet.map_or(0.0, |finding| finding.confidence.clamp(0.0, 1.0));
    Blame {
        probability: 1.0 - (1.0 - here) * (1.0 - elsewhere),
        change,
        hours,
        fleet,
    }
}

fn hours_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64() / 3600.0
}

/// The odds that trouble detected `hours` after a change comes from it.
fn odds_after(hours: f64) -> f64 {
    let from_change = BAD / DELAY_H * (-hours / DELAY_H).exp();
    from_change * OTHER_H
}

/// How much more likely it is to see the peers so, if this version is to blame than if it is not.
fn factor_of_peers(peers: Peers) -> f64 {
    let (same, same_ill) = scaled(peers.same_version, peers.same_version_ill);
    let (other, other_ill) = scaled(peers.other_versions, peers.other_versions_ill);
    let blamed = log_marginal(same_ill, same, 1.0, 2.0) + log_marginal(other_ill, other, 1.0, 20.0);
    let innocent = log_marginal(same_ill + other_ill, same + other, 1.0, 20.0);
    (blamed - innocent).exp().clamp(1.0 / PEERS_MOST, PEERS_MOST)
}

/// At most [`PEERS_COUNTED`] plugins with the same share of ill ones.
fn scaled(all: u32, ill: u32) -> (u32, u32) {
    let scale = (PEERS_COUNTED / f64::from(all.max(1))).min(1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a u32 that is not negative"
    )]
    let of = |count: u32| (f64::from(count) * scale).round() as u32;
    (of(all), of(ill.min(all)))
}

/// The logarithm of the Beta-binomial likelihood of one order of `ill` among `all`, under a Beta(`a`, `b`) prior.
fn log_marginal(ill: u32, all: u32, a: f64, b: f64) -> f64 {
    let mut sum = 0.0;
    for i in 0..ill {
        sum += ((a + f64::from(i)) / (a + b + f64::from(i))).ln();
    }
    for j in 0..all.saturating_sub(ill) {
        sum += ((b + f64::from(j)) / (a + b + f64::from(ill + j))).ln();
    }
    sum
}
