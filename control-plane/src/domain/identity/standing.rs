//! Whether an agent may speak. Judged for every request: a connection can outlive a revocation and an expiry.

use jiff::{SignedDuration, Timestamp};

/// What is remembered of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateState {
    /// When it ends.
    pub not_after: Timestamp,
    /// Why it was revoked, when it was.
    pub revoked: Option<String>,
}

/// What is remembered of the agent it belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentState {
    /// Why it was revoked, when it was.
    pub revoked: Option<String>,
    /// When it was fenced, when it was.
    pub fenced_at: Option<Timestamp>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It may speak.
    Active,
    /// It may renew, and do nothing else.
    ExpiredWithinGrace,
    /// It has to be enrolled anew.
    Expired,
    /// A person has revoked it.
    Revoked {
        /// Why.
        reason: String,
    },
    /// It was seen in two places; a person has to enrol one of them anew.
    Fenced {
        /// Since when.
        at: Timestamp,
    },
}

/// Judges. What a person did comes first, then what was seen, then the calendar.
pub fn standing(certificate: &CertificateState, agent: &AgentState, now: Timestamp, grace: SignedDuration) -> Standing {
    if let Some(reason) = certificate.revoked.as_ref().or(agent.revoked.as_ref()) {
        return Standing::Revoked { reason: reason.clone() };
    }
    if let Some(at) = agent.fenced_at {
        return Standing::Fenced { at };
    }
    let past = now.duration_since(certificate.not_after);
    if !past.is_positive() {
        Standing::Active
    } else if past <= grace {
        Standing::ExpiredWithinGrace
    } else {
        Standing::Expired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: SignedDuration = SignedDuration::from_secs(100);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn good() -> CertificateState {
        CertificateState {
            not_after: at(0),
            revoked: None,
        }
    }

    #[test]
    fn a_certificate_is_good_until_its_end_then_for_renewal_only_then_for_nothing() {
        let of = |now| standing(&good(), &AgentState::default(), at(now), GRACE);
        assert_eq!(of(0), Standing::Active);
        assert_eq!(of(1), Standing::ExpiredWithinGrace);
        assert_eq!(of(100), Standing::ExpiredWithinGrace);
        assert_eq!(of(101), Standing::Expired);
    }

    #[test]
    fn revocation_outweighs_a_fence_and_a_fence_the_calendar() {
        let fenced = AgentState {
            revoked: None,
            fenced_at: Some(at(-9)),
        };
        assert_eq!(
            standing(&good(), &fenced, at(500), GRACE),
            Standing::Fenced { at: at(-9) }
        );
        let both = AgentState {
            revoked: Some("lost".to_owned()),
            ..fenced
        };
        let revoked = Standing::Revoked {
            reason: "lost".to_owned(),
        };
        assert_eq!(standing(&good(), &both, at(-1), GRACE), revoked);
        let certificate = CertificateState {
            revoked: Some("lost".to_owned()),
            ..good()
        };
        assert_eq!(standing(&certificate, &AgentState::default(), at(-1), GRACE), revoked);
    }
}
