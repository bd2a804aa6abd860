//! When a job runs: five fields of cron on the wall clock of a time zone.
//!
//! The clocks of a zone are put forward and back. A time that a day does not have is taken at the next moment that it has,
//! one that it has twice at the first of the two. Only where every hour is meant (`*` in the field of hours), a job runs
//! in each hour that passes: a job that looks every five minutes is not to pause for an hour in autumn.

use std::collections::VecDeque;
use std::fmt;

use chrono::{DateTime, Duration, LocalResult, NaiveDateTime, TimeZone as _, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// The longest text, in bytes.
const LONGEST: usize = 100;
/// Longer than any time that a zone left out: Samoa has no 30 December 2011.
const LONGEST_GAP_MINUTES: i64 = 2 * 24 * 60;
/// The first stretch in which the latest occasions are looked for.
const FIRST_STRETCH: Duration = Duration::hours(1);

/// When a job runs.
#[derive(Clone)]
pub struct Schedule {
    text: String,
    zone: Tz,
    cron: Cron,
    /// Whether it runs in each hour that passes.
    every_hour: bool,
}

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    /// The fields of cron.
    #[error(
        "it must be five fields of cron (minute hour day month weekday) or @hourly, @daily, @weekly, @monthly, @yearly: {0}"
    )]
    Cron(String),
    /// Nothing is wrong with the fields, but no day has them.
    #[error("no moment is like that")]
    Never,
    /// The zone.
    #[error("it must be a time zone of the IANA database such as Europe/Berlin")]
    Zone,
}

impl Schedule {
    /// Reads five fields of cron, and the name of a time zone.
    pub fn parse(cron: &str, zone: &str) -> Result<Self, InvalidSchedule> {
        let zone: Tz = zone.parse().map_err(|_| InvalidSchedule::Zone)?;
        let text = cron.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        if text.len() > LONGEST {
            let long = format!("it has {} bytes, {LONGEST} are allowed", text.len());
            return Err(InvalidSchedule::Cron(long));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(&text).map_err(|error| InvalidSchedule::Cron(error.to_string()))?;
        let every_hour =
            text.eq_ignore_ascii_case("@hourly") || text.split(' ').nth(1).is_some_and(|hours| hours == "*");
        let schedule = Self { text, zone, cron, every_hour };
        match schedule.next_after(DateTime::UNIX_EPOCH) {
            Some(_) => Ok(schedule),
            None => Err(InvalidSchedule::Never),
        }
    }

    /// Reads what a schedule is displayed as.
    pub fn from_text(text: &str) -> Result<Self, InvalidSchedule> {
        let (cron, zone) = text.rsplit_once(' ').ok_or(InvalidSchedule::Zone)?;
        Self::parse(cron, zone)
    }

    /// The fields of cron.
    #[must_use]
    pub fn cron(&self) -> &str {
        &self.text
    }

    /// The name of the time zone.
    #[must_use]
    pub fn zone(&self) -> &str {
        self.zone.name()
    }

    /// The first occasion after a moment; `None` when there is none any more.
    #[must_use]
    pub fn next_after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = moment.with_timezone(&self.zone);
        if self.every_hour {
            return Some(self.cron.find_next_occurrence(&local, false).ok()?.to_utc());
        }
        // On a wall clock that is never put forward or back.
        let mut wall = local.naive_local().and_utc();
        loop {
            wall = self.cron.find_next_occurrence(&wall, false).ok()?;
            let occasion = self.at(wall.naive_utc())?;
            // The second time of two is the first one's.
            if occasion > moment {
                return Some(occasion);
            }
        }
    }

    /// The last occasions after one moment and not after another, at most so many, in their order.
    #[must_use]
    pub fn latest(&self, after: DateTime<Utc>, until: DateTime<Utc>, most: usize) -> Vec<DateTime<Utc>> {
        let mut stretch = FIRST_STRETCH;
        loop {
            let from = until.checked_sub_signed(stretch).map_or(after, |from| from.max(after));
            let mut found = VecDeque::new();
            let mut last = from;
            while let Some(next) = self.next_after(last).filter(|next| *next <= until) {
                if found.len() == most {
                    found.pop_front();
                }
                found.push_back(next);
                last = next;
            }
            if found.len() == most || from == after {
                return found.into();
            }
            stretch = stretch.checked_mul(4).unwrap_or(Duration::MAX);
        }
    }

    /// When the wall clock shows this, or next shows something after it.
    fn at(&self, wall: NaiveDateTime) -> Option<DateTime<Utc>> {
        let mut minutes = (0..=LONGEST_GAP_MINUTES).map(Duration::minutes);
        minutes.find_map(|minutes| match self.zone.from_local_datetime(&wall.checked_add_signed(minutes)?) {
            LocalResult::Single(moment) | LocalResult::Ambiguous(moment, _) => Some(moment.to_utc()),
            LocalResult::None => None,
        })
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.zone == other.zone
    }
}

impl fmt::Display for Schedule {
    /// Fields and zone: two schedules with the same text have the same occasions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.text, self.zone.name())
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occasions(cron: &str, zone: &str, after: &str, many: usize) -> Vec<String> {
        let schedule = Schedule::parse(cron, zone).unwrap();
        let mut last: DateTime<Utc> = after.parse().unwrap();
        let mut found = Vec::new();
        for _ in 0..many {
            last = schedule.next_after(last).unwrap();
            found.push(last.format("%m-%dT%H:%MZ").to_string());
        }
        found
    }

    #[test]
    fn a_schedule_is_on_the_wall_clock_of_its_zone() {
        let found = occasions("0 6 * * 1-5", "Europe/Berlin", "2026-01-01T12:00:00Z", 3);
        assert_eq!(found, ["01-02T05:00Z", "01-05T05:00Z", "01-06T05:00Z"]);
        let found = occasions("0 6 * * 1-5", "Europe/Berlin", "2026-07-01T12:00:00Z", 1);
        assert_eq!(found, ["07-02T04:00Z"], "in summer");
        assert_eq!(occasions("@daily", "UTC", "2026-01-01T00:00:00Z", 1), ["01-02T00:00Z"]);
        assert_eq!(
            occasions("0 0 L * *", "UTC", "2026-01-01T00:00:00Z", 2),
            ["01-31T00:00Z", "02-28T00:00Z"]
        );
        // A moment between two seconds is not taken for the one before.
        assert_eq!(occasions("* * * * *", "UTC", "2026-01-01T00:00:59.999999Z", 1), ["01-01T00:01Z"]);
    }

    #[test]
    fn a_time_that_does_not_exist_is_the_next_that_does() {
        // The clocks of Berlin go from 02:00 to 03:00 on 29 March 2026, at 01:00 UTC.
        let before = "2026-03-28T12:00:00Z";
        for cron in ["30 2 * * *", "0,30 2 * * *", "30 2,14 * * *", "30 */2 * * *"] {
            let found = occasions(cron, "Europe/Berlin", "2026-03-29T00:45:00Z", 1);
            assert_eq!(found, ["03-29T01:00Z"], "{cron}");
        }
        let found = occasions("30 2 * * *", "Europe/Berlin", before, 2);
        assert_eq!(found, ["03-29T01:00Z", "03-30T00:30Z"]);
        let found = occasions("0 2,3 * * *", "Europe/Berlin", before, 2);
        assert_eq!(found, ["03-29T01:00Z", "03-30T00:00Z"], "both are the same moment");
        // Samoa left a whole day out.
        let found = occasions("0 6 30 12 *", "Pacific/Apia", "2011-12-29T12:00:00Z", 1);
        assert_eq!(found, ["12-30T10:00Z"], "midnight of the 31st");
    }

    #[test]
    fn a_time_that_exists_twice_runs_once() {
        // The clocks of Berlin go from 03:00 to 02:00 on 25 October 2026, at 01:00 UTC.
        let before = "2026-10-24T12:00:00Z";
        let found = occasions("30 2 * * *", "Europe/Berlin", before, 2);
        assert_eq!(found, ["10-25T00:30Z", "10-26T01:30Z"]);
        let found = occasions("0,30 2 * * *", "Europe/Berlin", before, 3);
        assert_eq!(found, ["10-25T00:00Z", "10-25T00:30Z", "10-26T01:00Z"]);
        // From a moment in the second of the two hours.
        let found = occasions("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", 1);
        assert_eq!(found, ["10-26T01:30Z"]);
    }

    #[test]
    fn what_runs_every_hour_runs_in_each_that_passes() {
        let found = occasions("30 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z", 4);
        assert_eq!(found, ["10-25T00:30Z", "10-25T01:30Z", "10-25T02:30Z", "10-25T03:30Z"]);
        let found = occasions("@hourly", "Europe/Berlin", "2026-03-28T23:30:00Z", 3);
        assert_eq!(found, ["03-29T00:00Z", "03-29T01:00Z", "03-29T02:00Z"]);
    }

    #[test]
    fn the_latest_are_those_that_one_comes_to_step_by_step() {
        for cron in ["* * * * *", "*/7 3-5 * * *", "0 6 * * 1-5", "0 0 29 2 *", "* * 1 1 *"] {
            let schedule = Schedule::parse(cron, "Europe/Berlin").unwrap();
            let (after, until) =
                ("2025-03-01T00:00:00Z".parse().unwrap(), "2026-03-29T12:00:00Z".parse().unwrap());
            let mut all = Vec::new();
            let mut last = after;
            while let Some(next) = schedule.next_after(last).filter(|next| *next <= until) {
                all.push(next);
                last = next;
            }
            let expected = all.split_off(all.len().saturating_sub(101));
            assert_eq!(schedule.latest(after, until, 101), expected, "{cron}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        let error = |cron: &str, zone: &str| Schedule::parse(cron, zone).unwrap_err();
        for cron in ["", "* * * *", "0 0 6 * * *", "60 * * * *", "0 6 * * MOON", "@often", "0 6 * * 1-5 2027"]
        {
            assert!(matches!(error(cron, "UTC"), InvalidSchedule::Cron(_)), "{cron}");
        }
        assert!(matches!(error(&"1,".repeat(60), "UTC"), InvalidSchedule::Cron(_)));
        assert_eq!(error("0 0 31 2 *", "UTC"), InvalidSchedule::Never);
        assert_eq!(error("0 6 * * *", "Europe/Atlantis"), InvalidSchedule::Zone);
    }

    #[test]
    fn a_schedule_is_its_fields_and_its_zone() {
        let schedule = Schedule::parse(" 0  6 * * * ", "Asia/Shanghai").unwrap();
        assert_eq!(schedule.to_string(), "0 6 * * * Asia/Shanghai");
        assert_eq!(schedule, Schedule::from_text("0 6 * * * Asia/Shanghai").unwrap());
        assert_ne!(schedule, Schedule::parse("0 6 * * *", "UTC").unwrap());
    }
}
