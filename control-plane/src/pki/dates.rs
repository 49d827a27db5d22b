//! Dates as certificates have them: whole seconds.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::CertificateParams;

/// Sets both ends; moments before 1970 become 1970.
pub fn set(params: &mut CertificateParams, not_before: Timestamp, not_after: Timestamp) {
    let since_epoch = |at: Timestamp| Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_epoch(not_before);
    params.not_after = epoch + since_epoch(not_after);
}
