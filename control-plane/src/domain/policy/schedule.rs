//! When a merchant wants changes: some hours of some days, by the merchant's own clock.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

const MINUTES_A_DAY: i64 = 24 * 60;

/// `merchants.maintenance_window`: from `from` to `to` on the days `days`, by a clock that is `utc_offset_minutes`
/// ahead of UTC. A window that ends before it begins goes over midnight and belongs to the day it begins on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceWindow {
    /// Days of the week, 1 for Monday to 7 for Sunday; empty for every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<u8>,
    /// Its beginning, `HH:MM`.
    pub from: TimeOfDay,
    /// Its end, `HH:MM`, exclusive. The same as the beginning: the whole day.
    pub to: TimeOfDay,
    /// How far the merchant's clock is ahead of UTC.
    #[serde(default)]
    pub utc_offset_minutes: i16,
}

/// Minutes since midnight, written `HH:MM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
pub struct TimeOfDay(u16);

/// Why a window can not be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadWindow {
    /// Not a time.
    #[error("'{0}' is not a time of day: HH:MM is wanted")]
    Time(String),
    /// Not a day.
    #[error("days are 1 (Monday) to 7 (Sunday)")]
    Day,
    /// Not on this planet.
    #[error("utc_offset_minutes is -840 to 840")]
    Offset,
}

impl TryFrom<String> for TimeOfDay {
    type Error = BadWindow;

    fn try_from(text: String) -> Result<Self, BadWindow> {
        let parse = || {
            let (hours, minutes) = text.split_once(':')?;
            let plain = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            if !plain(hours) || !plain(minutes) {
                return None;
            }
            let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
            (hours < 24 && minutes < 60).then_some(Self(hours * 60 + minutes))
        };
        parse().ok_or_else(|| BadWindow::Time(text.chars().take(20).collect()))
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        format!("{:02}:{:02}", time.0 / 60, time.0 % 60)
    }
}

impl MaintenanceWindow {
    /// Checks what the types let through.
    ///
    /// # Errors
    /// When a day or the offset can not be.
    pub fn check(&self) -> Result<(), BadWindow> {
        if self.days.len() > 7 || self.days.iter().any(|day| !(1..=7).contains(day)) {
            return Err(BadWindow::Day);
        }
        if self.utc_offset_minutes.unsigned_abs() > 14 * 60 {
            return Err(BadWindow::Offset);
        }
        Ok(())
    }

    /// Whether it is open.
    pub fn is_open(&self, now: Timestamp) -> bool {
        let minute = self.local_minute(now);
        let (day, of_day) = (minute.div_euclid(MINUTES_A_DAY), minute.rem_euclid(MINUTES_A_DAY));
        let (from, to) = (i64::from(self.from.0), i64::from(self.to.0));
        if from < to {
            self.is_on(day) && (from..to).contains(&of_day)
        } else {
            self.is_on(day) && of_day >= from || self.is_on(day - 1) && of_day < to
        }
    }

    /// When it opens next; `now` when it is open.
    pub fn opens_at(&self, now: Timestamp) -> Timestamp {
        if self.is_open(now) {
            return now;
        }
        let today = self.local_minute(now).div_euclid(MINUTES_A_DAY);
        let opening = |day: i64| {
            let minute = day * MINUTES_A_DAY + i64::from(self.from.0) - i64::from(self.utc_offset_minutes);
            Timestamp::from_second(minute * 60).unwrap_or(Timestamp::MAX)
        };
        (today..=today + 7)
            .filter(|day| self.is_on(*day))
            .map(opening)
            .find(|at| *at > now)
            .unwrap_or(now + SignedDuration::from_hours(24))
    }

    fn is_on(&self, day: i64) -> bool {
        // The epoch was a Thursday, day 4.
        let weekday = u8::try_from((day + 3).rem_euclid(7) + 1).unwrap_or(1);
        self.days.is_empty() || self.days.contains(&weekday)
    }

    /// Minutes since the epoch by the merchant's clock.
    fn local_minute(&self, now: Timestamp) -> i64 {
        now.as_second().div_euclid(60) + i64::from(self.utc_offset_minutes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(days: &[u8], from: &str, to: &str, utc_offset_minutes: i16) -> MaintenanceWindow {
        MaintenanceWindow {
            days: days.to_vec(),
            from: from.to_owned().try_into().unwrap(),
            to: to.to_owned().try_into().unwrap(),
            utc_offset_minutes,
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_follows_the_merchants_clock() {
        // 22 November 2026 is a Sunday.
        let nights = window(&[], "02:00", "05:00", 60);
        assert!(nights.is_open(at("2026-11-22T01:00:00Z")) && nights.is_open(at("2026-11-22T03:59:59Z")));
        assert!(!nights.is_open(at("2026-11-22T04:00:00Z")) && !nights.is_open(at("2026-11-22T00:59:59Z")));
        assert_eq!(nights.opens_at(at("2026-11-22T04:00:00Z")), at("2026-11-23T01:00:00Z"));
        let sundays = window(&[7], "22:00", "02:00", 0);
        assert!(sundays.is_open(at("2026-11-22T23:00:00Z")) && sundays.is_open(at("2026-11-23T01:00:00Z")));
        assert!(!sundays.is_open(at("2026-11-22T01:00:00Z")));
        assert_eq!(sundays.opens_at(at("2026-11-23T03:00:00Z")), at("2026-11-29T22:00:00Z"));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in ["", "2:00", "24:00", "12:60", "ab:cd", "12:0a", "12:00:00", "+1:00"] {
            assert!(TimeOfDay::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        assert_eq!(window(&[8], "00:00", "01:00", 0).check(), Err(BadWindow::Day));
        assert_eq!(window(&[], "00:00", "01:00", 900).check(), Err(BadWindow::Offset));
    }

    proptest! {
        #[test]
        fn it_is_open_when_it_says_it_opens(
            days in prop::collection::vec(1_u8..=7, 0..4), from in 0_u16..1440, to in 0_u16..1440,
            offset in -840_i16..=840, now in 0_i64..4_000_000_000,
        ) {
            let window = MaintenanceWindow { days, from: TimeOfDay(from), to: TimeOfDay(to), utc_offset_minutes: offset };
            let now = Timestamp::from_second(now).unwrap();
            let opens = window.opens_at(now);
            prop_assert!(opens >= now && opens <= now + SignedDuration::from_hours(8 * 24));
            prop_assert!(window.is_open(opens));
        }
    }
}
