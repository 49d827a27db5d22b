//! The checked settings of what is kept, and for how long.

use serde::Deserialize;

use super::{
    ConfigError,
    raw::{number, replace},
    settings::in_range,
};

/// `[retention]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawRetention {
    /// `PLUGMEND_KEEP_INCIDENTS_DAYS`: incidents that are closed, attempts that have ended, decisions and what came of them.
    #[serde(rename = "incidents_days")]
    pub incidents: Option<u16>,
    /// `PLUGMEND_KEEP_COMMANDS_DAYS`: orders that have ended.
    #[serde(rename = "commands_days")]
    pub commands: Option<u16>,
    /// `PLUGMEND_KEEP_EVENTS_DAYS`: events that were delivered or given up.
    #[serde(rename = "events_days")]
    pub events: Option<u16>,
}

/// How long what has ended is kept, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionSettings {
    /// Incidents, attempts, decisions, and what came of them.
    pub incidents_days: u16,
    /// Orders.
    pub commands_days: u16,
    /// Events that were delivered or given up.
    pub events_days: u16,
}

impl RawRetention {
    /// Lays the environment over the file.
    ///
    /// # Errors
    /// When a variable is no number.
    pub fn overlay_environment(&mut self, lookup: &impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        replace(&mut self.incidents, number(lookup, "PLUGMEND_KEEP_INCIDENTS_DAYS")?);
        replace(&mut self.commands, number(lookup, "PLUGMEND_KEEP_COMMANDS_DAYS")?);
        replace(&mut self.events, number(lookup, "PLUGMEND_KEEP_EVENTS_DAYS")?);
        Ok(())
    }

    /// Checks the merged layers. Decisions look back 90 days, and deliveries are tried for up to a month.
    ///
    /// # Errors
    /// When a number is out of range.
    pub fn check(&self) -> Result<RetentionSettings, ConfigError> {
        let settings = RetentionSettings {
            incidents_days: self.incidents.unwrap_or(400),
            commands_days: self.commands.unwrap_or(90),
            events_days: self.events.unwrap_or(30),
        };
        in_range(
            "PLUGMEND_KEEP_INCIDENTS_DAYS",
            settings.incidents_days.into(),
            100,
            3650,
        )?;
        in_range("PLUGMEND_KEEP_COMMANDS_DAYS", settings.commands_days.into(), 30, 3650)?;
        in_range("PLUGMEND_KEEP_EVENTS_DAYS", settings.events_days.into(), 8, 3650)?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_still_needed_can_not_be_thrown_away() {
        let days = |incidents, commands, events| {
            RawRetention {
                incidents,
                commands,
                events,
            }
            .check()
        };
        let usual = days(None, None, None).unwrap();
        assert_eq!(
            (usual.incidents_days, usual.commands_days, usual.events_days),
            (400, 90, 30)
        );
        assert!(days(Some(100), Some(30), Some(8)).is_ok());
        for bad in [
            days(Some(90), None, None),
            days(None, Some(7), None),
            days(None, None, Some(1)),
        ] {
            assert!(bad.is_err());
        }
    }
}
