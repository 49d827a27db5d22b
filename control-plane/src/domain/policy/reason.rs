//! Why a cure is not simply applied, for machines and for people.

use std::fmt;

use jiff::Timestamp;
use plugmend_shared::detect::Severity;
use serde::{Serialize, Serializer};

/// One reason.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reason {
    /// The kill switch is thrown.
    AutopatchDisabled,
    /// The plugin is disabled or blocked.
    NotServed,
    /// The plugin can not carry out such an order.
    Incapable,
    /// Its merchant wants no automatic changes.
    MerchantOptedOut,
    /// Not now, by its merchant's wish.
    OutsideMaintenanceWindow {
        /// When it opens.
        opens_at: Timestamp,
    },
    /// It was changed a short while ago.
    CoolingDown {
        /// Until then.
        until: Timestamp,
    },
    /// Too many plugins are being changed at the same time.
    FleetChanging,
    /// There is no such release, or it may not be installed.
    ReleaseNotAvailable,
    /// The release failed on this plugin.
    QuarantinedHere,
    /// The release failed on several plugins.
    QuarantinedEverywhere,
    /// The agent will ask for signed approvals.
    SignedApprovalsNeeded {
        /// How many.
        required: u32,
    },
    /// The merchant is not on the whitelist.
    NotWhitelisted,
    /// The merchant is not in the canary share.
    NotInCanary,
    /// Worse than what heals by itself.
    SeverityTooHigh {
        /// How bad.
        severity: Severity,
    },
    /// The decider is not sure enough.
    LowConfidence {
        /// How sure it is.
        confidence: f64,
        /// How sure it should be.
        wanted: f64,
    },
    /// Another major version.
    MajorVersion,
    /// A mistake would cost much.
    HighImpact,
    /// It was given many cures today already.
    TooManyAttempts {
        /// How many.
        attempts: u32,
    },
}

impl Reason {
    /// The name in events and answers.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AutopatchDisabled => "autopatch_disabled",
            Self::NotServed => "plugin_not_active",
            Self::Incapable => "capability_missing",
            Self::MerchantOptedOut => "merchant_opted_out",
            Self::OutsideMaintenanceWindow { .. } => "outside_maintenance_window",
            Self::CoolingDown { .. } => "cooling_down",
            Self::FleetChanging => "fleet_changing",
            Self::ReleaseNotAvailable => "release_not_available",
            Self::QuarantinedHere => "release_quarantined",
            Self::QuarantinedEverywhere => "release_quarantined_everywhere",
            Self::SignedApprovalsNeeded { .. } => "signed_approvals_needed",
            Self::NotWhitelisted => "not_whitelisted",
            Self::NotInCanary => "not_in_canary",
            Self::SeverityTooHigh { .. } => "severity_too_high",
            Self::LowConfidence { .. } => "low_confidence",
            Self::MajorVersion => "major_version",
            Self::HighImpact => "high_impact",
            Self::TooManyAttempts { .. } => "too_many_attempts",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AutopatchDisabled => f.write_str("automatic changes are switched off"),
            Self::NotServed => f.write_str("the plugin is disabled or blocked"),
            Self::Incapable => f.write_str("the plugin does not declare that it can carry this out"),
            Self::MerchantOptedOut => f.write_str("the merchant wants no automatic changes"),
            Self::OutsideMaintenanceWindow { opens_at } => {
                write!(f, "the merchant's maintenance window opens at {opens_at}")
            }
            Self::CoolingDown { until } => {
                write!(f, "the plugin was changed a short while ago; it rests until {until}")
            }
            Self::FleetChanging => f.write_str("too many plugins are being changed at the same time"),
            Self::ReleaseNotAvailable => f.write_str("there is no such release, or it may not be installed"),
            Self::QuarantinedHere => f.write_str("the release failed on this plugin before"),
            Self::QuarantinedEverywhere => f.write_str("the release failed on several plugins"),
            Self::SignedApprovalsNeeded { required } => {
                write!(f, "agents install the release with {required} signed approvals only")
            }
            Self::NotWhitelisted => f.write_str("the merchant is not on the whitelist"),
            Self::NotInCanary => f.write_str("the merchant is not in the canary share"),
            Self::SeverityTooHigh { severity } => {
                write!(f, "the severity {} is above what heals by itself", severity.as_str())
            }
            Self::LowConfidence { confidence, wanted } => {
                write!(f, "the confidence {confidence:.2} is below {wanted:.2}")
            }
            Self::MajorVersion => f.write_str("it is another major version"),
            Self::HighImpact => f.write_str("the release has high impact"),
            Self::TooManyAttempts { attempts } => write!(f, "the plugin was given {attempts} cures in 24 hours"),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}
