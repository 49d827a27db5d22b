//! Whether an order still stands, right before its plugin is changed.

/// Everything that the answer hangs on, read at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that do not exclude each other, as one query reads them"
)]
pub struct Standing {
    /// `plugin_agent_commands.status`.
    pub status: String,
    /// `plugin_autopatch_attempts.status` of the attempt that it belongs to, if any.
    pub attempt: Option<String>,
    /// Whether that attempt was decided and begun by SIRA, and not by a person.
    pub automatic: bool,
    /// `ops_policy.autopatch_enabled`: the kill switch is its opposite.
    pub autopatch_enabled: bool,
    /// Whether an order to go back was given to the same plugin after it.
    pub called_back: bool,
    /// Whether the release that it is to install was blocked or revoked meanwhile.
    pub release_stopped: bool,
}

/// Why an order no longer stands, in words; `None` when it does.
pub fn withdrawn(standing: &Standing) -> Option<&'static str> {
    if !matches!(standing.status.as_str(), "sent" | "acknowledged" | "executing") {
        return Some("the order has ended for the control plane");
    }
    if standing.called_back {
        return Some("an order to go back was given after it");
    }
    if standing.release_stopped {
        return Some("its release was blocked or revoked");
    }
    match standing.attempt.as_deref() {
        None | Some("pending" | "staging" | "applying") => {}
        Some(_) => return Some("the attempt that it belongs to was cancelled or has ended"),
    }
    (standing.automatic && !standing.autopatch_enabled).then_some("automatic changes are switched off")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing() -> Standing {
        Standing {
            status: "executing".to_owned(),
            attempt: Some("applying".to_owned()),
            automatic: true,
            autopatch_enabled: true,
            called_back: false,
            release_stopped: false,
        }
    }

    #[test]
    fn an_order_stands_until_something_speaks_against_it() {
        assert_eq!(withdrawn(&standing()), None);
        for status in ["pending", "completed", "failed", "timeout"] {
            let status = status.to_owned();
            assert!(withdrawn(&Standing { status, ..standing() }).is_some());
        }
        for attempt in ["cancelled", "failed", "success", "rolled_back"] {
            let attempt = Some(attempt.to_owned());
            assert!(withdrawn(&Standing { attempt, ..standing() }).is_some());
        }
        let release_stopped = true;
        assert!(
            withdrawn(&Standing {
                release_stopped,
                ..standing()
            })
            .is_some()
        );
        let called_back = true;
        assert!(
            withdrawn(&Standing {
                called_back,
                ..standing()
            })
            .is_some()
        );
    }

    #[test]
    fn the_kill_switch_stops_automatic_changes_and_no_persons() {
        let off = Standing {
            autopatch_enabled: false,
            ..standing()
        };
        assert!(withdrawn(&off).is_some());
        let by_a_person = Standing {
            automatic: false,
            ..off
        };
        assert_eq!(withdrawn(&by_a_person), None);
        let no_attempt = Standing {
            attempt: None,
            ..by_a_person
        };
        assert_eq!(withdrawn(&no_attempt), None);
    }
}
