//! What a request for the next certificate deserves.
//!
//! An agent writes its new key down before it asks, so it asks with the same key until it has an answer. Another key
//! in the same place is another host.

use plugmend_shared::ids::Digest;

/// The newest certificate that was issued to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// How many renewals it has behind it.
    pub renewals: u64,
    /// SHA-256 of its public key (`SubjectPublicKeyInfo`, DER).
    pub key: Digest,
}

/// A request for the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalRequest {
    /// The renewals behind the certificate that was shown.
    pub shown: u64,
    /// The renewals that the agent says it has had.
    pub claimed: u64,
    /// SHA-256 of the new public key.
    pub key: Digest,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenewalVerdict {
    /// Issue a certificate with this many renewals behind it.
    Issue {
        /// One more than the newest has.
        renewals: u64,
    },
    /// The answer to this very request was lost: give the newest again.
    Repeat,
    /// Someone else was given the next certificate: fence both.
    TwoPlaces,
    /// The request contradicts itself; nothing follows from it.
    Contradiction,
}

/// Judges.
pub fn renewal_verdict(newest: &IssuedCertificate, request: &RenewalRequest) -> RenewalVerdict {
    if request.claimed != request.shown || request.shown > newest.renewals {
        return RenewalVerdict::Contradiction;
    }
    if newest.renewals == request.shown {
        // A second certificate for the same key would keep a stolen key alive.
        return if newest.key == request.key {
            RenewalVerdict::Contradiction
        } else {
            RenewalVerdict::Issue {
                renewals: request.shown.saturating_add(1),
            }
        };
    }
    let lost_answer = newest.renewals == request.shown.saturating_add(1) && newest.key == request.key;
    if lost_answer {
        RenewalVerdict::Repeat
    } else {
        RenewalVerdict::TwoPlaces
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(name: u8) -> Digest {
        Digest::of(&[name])
    }

    fn ask(newest: (u64, u8), shown: u64, claimed: u64, name: u8) -> RenewalVerdict {
        let newest = IssuedCertificate {
            renewals: newest.0,
            key: key(newest.1),
        };
        renewal_verdict(
            &newest,
            &RenewalRequest {
                shown,
                claimed,
                key: key(name),
            },
        )
    }

    #[test]
    fn the_newest_certificate_is_renewed_with_a_new_key() {
        assert_eq!(ask((4, 1), 4, 4, 2), RenewalVerdict::Issue { renewals: 5 });
        assert_eq!(ask((4, 1), 4, 4, 1), RenewalVerdict::Contradiction);
    }

    #[test]
    fn a_lost_answer_is_given_again_however_often_it_is_asked_for() {
        assert_eq!(ask((5, 2), 4, 4, 2), RenewalVerdict::Repeat);
    }

    #[test]
    fn a_second_host_that_renews_the_same_certificate_is_seen() {
        assert_eq!(ask((5, 2), 4, 4, 3), RenewalVerdict::TwoPlaces);
        assert_eq!(ask((6, 2), 4, 4, 2), RenewalVerdict::TwoPlaces);
    }

    #[test]
    fn a_count_that_does_not_fit_the_certificate_proves_nothing() {
        assert_eq!(ask((4, 1), 4, 3, 2), RenewalVerdict::Contradiction);
        assert_eq!(ask((4, 1), 5, 5, 2), RenewalVerdict::Contradiction);
    }

    proptest! {
        /// One host, whose answers are lost at random, that repeats until it has one: never taken for two.
        #[test]
        fn one_host_with_lost_answers_is_never_taken_for_two(lost in prop::collection::vec(any::<bool>(), 1..40)) {
            let (mut newest, mut held, mut next) = ((0, 0_u8), 0_u64, 1_u8);
            for lost in lost {
                match ask(newest, held, held, next) {
                    RenewalVerdict::Issue { renewals } => newest = (renewals, next),
                    RenewalVerdict::Repeat => {}
                    verdict => prop_assert!(false, "{verdict:?}"),
                }
                if !lost {
                    held = newest.0;
                    next = next.wrapping_add(1);
                }
            }
        }

        /// Two hosts that hold the same identity: the second to renew is seen at once.
        #[test]
        fn the_second_of_two_hosts_to_renew_is_seen(held in 0_u64..1000, later in 1_u64..5) {
            prop_assert_eq!(ask((held + later, 1), held, held, 2), RenewalVerdict::TwoPlaces);
        }
    }
}
