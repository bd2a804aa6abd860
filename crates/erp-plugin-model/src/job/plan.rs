//! What is due, as a function of how far was planned and of the time.
//!
//! Nobody keeps a timer: whoever comes along plans from where the last one stopped until now. What was to run long ago is
//! *missed*, and the job's [`CatchUp`] says what becomes of it; that is decided here, once.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{CatchUp, Schedule};

/// How late an occasion may be noticed and still count as noticed in time.
pub const ON_TIME: Duration = Duration::from_mins(1);
/// The most missed occasions that run after all.
pub const MOST_CAUGHT_UP: usize = 100;

/// What is to be done about the occasions until a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Those that run, in their order.
    pub runs: Vec<DateTime<Utc>>,
    /// Those that do not.
    pub missed: Option<Missed>,
    /// The next one after these; `None` when there is none any more.
    pub next: Option<DateTime<Utc>>,
}

/// Occasions that do not run, all of them before those that do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The first.
    pub first: DateTime<Utc>,
    /// The last; the first, if it was one.
    pub last: DateTime<Utc>,
}

/// Plans what comes after `planned` and not after `now`. `None` when there is nothing to plan, because the clock is not
/// beyond what was planned: it may have been set back.
#[must_use]
pub fn plan(
    schedule: &Schedule,
    catch_up: CatchUp,
    planned: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<Plan> {
    if now <= planned {
        return None;
    }
    let mut earlier = schedule.latest(planned, now, MOST_CAUGHT_UP + 1);
    let is_late = |occasion: &DateTime<Utc>| (now - *occasion).to_std().is_ok_and(|late| late > ON_TIME);
    let in_time = earlier.partition_point(is_late);
    let from = match catch_up {
        CatchUp::None => in_time,
        CatchUp::Last => in_time.min(earlier.len().saturating_sub(1)),
        CatchUp::All => earlier.len().saturating_sub(MOST_CAUGHT_UP),
    };
    let runs = earlier.split_off(from);
    let missed = match (earlier.last(), schedule.next_after(planned)) {
        (Some(last), Some(first)) => Some(Missed { first, last: *last }),
        _ => None,
    };
    Some(Plan { runs, missed, next: schedule.next_after(now) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-01-{text}Z").parse().unwrap()
    }

    /// Days and hours of what runs, of the first and the last that is missed, and of the next.
    fn planned(cron: &str, catch_up: CatchUp, from: &str, now: &str) -> (Vec<String>, Vec<String>, String) {
        let schedule = Schedule::parse(cron, "UTC").unwrap();
        let plan = plan(&schedule, catch_up, at(from), at(now)).unwrap();
        let show = |time: &DateTime<Utc>| time.format("%dT%H:%M").to_string();
        let missed = plan.missed.iter().flat_map(|missed| [show(&missed.first), show(&missed.last)]);
        (
            plan.runs.iter().map(show).collect(),
            missed.collect(),
            plan.next.as_ref().map(show).unwrap_or_default(),
        )
    }

    const DAILY: &str = "0 6 * * *";

    #[test]
    fn what_is_noticed_in_time_runs_whatever_the_policy() {
        for catch_up in CatchUp::ALL {
            let (runs, missed, next) = planned(DAILY, catch_up, "01T05:59:59", "01T06:00:00");
            assert_eq!((runs, missed, next), (vec!["01T06:00".into()], vec![], "02T06:00".into()));
            let (runs, missed, _) = planned(DAILY, catch_up, "01T05:59:59", "01T06:01:00");
            assert_eq!((runs.len(), missed.len()), (1, 0), "a minute late");
            let (runs, missed, next) = planned(DAILY, catch_up, "01T06:00:00", "01T06:00:30");
            assert_eq!((runs.len(), missed.len(), next.as_str()), (0, 0, "02T06:00"), "once");
        }
    }

    #[test]
    fn of_what_was_missed_the_policy_says_what_runs() {
        let week = |catch_up| planned(DAILY, catch_up, "01T06:30:00", "08T09:00:00");
        let (runs, missed, next) = week(CatchUp::Last);
        assert_eq!((runs, missed), (vec!["08T06:00".into()], vec!["02T06:00".into(), "07T06:00".into()]));
        assert_eq!(next, "09T06:00");
        let (runs, missed, _) = week(CatchUp::All);
        assert_eq!((runs.len(), runs[0].as_str(), missed.len()), (7, "02T06:00", 0));
        let (runs, missed, _) = week(CatchUp::None);
        assert_eq!((runs.len(), missed), (0, vec!["02T06:00".into(), "08T06:00".into()]));
        // One that was missed is the first and the last.
        let (runs, missed, _) = planned(DAILY, CatchUp::None, "01T05:00:00", "01T06:01:01");
        assert_eq!((runs.len(), missed), (0, vec!["01T06:00".into(), "01T06:00".into()]));
    }

    #[test]
    fn what_is_in_time_is_the_last_of_those_that_were_missed() {
        let (runs, missed, _) = planned("* * * * *", CatchUp::Last, "01T00:00:30", "01T01:00:30");
        assert_eq!((runs, missed), (vec!["01T01:00".into()], vec!["01T00:01".into(), "01T00:59".into()]));
        let (runs, missed, _) = planned("* * * * *", CatchUp::None, "01T00:00:30", "01T01:00:30");
        assert_eq!((runs, missed), (vec!["01T01:00".into()], vec!["01T00:01".into(), "01T00:59".into()]));
    }

    #[test]
    fn at_most_a_hundred_are_caught_up_and_the_rest_is_told() {
        let (runs, missed, next) = planned("* * * * *", CatchUp::All, "01T00:00:00", "31T00:00:00");
        assert_eq!((runs.len(), runs[99].as_str()), (MOST_CAUGHT_UP, "31T00:00"));
        assert_eq!((missed, runs[0].as_str()), (vec!["01T00:01".into(), "30T22:20".into()], "30T22:21"));
        assert_eq!(next, "31T00:01");
        let (runs, missed, _) = planned("* * * * *", CatchUp::All, "01T00:00:00", "01T01:40:00");
        assert_eq!((runs.len(), missed.len()), (100, 0));
        let (runs, missed, _) = planned("* * * * *", CatchUp::All, "01T00:00:00", "01T01:41:00");
        assert_eq!((runs.len(), missed), (100, vec!["01T00:01".into(), "01T00:01".into()]));
    }

    #[test]
    fn a_clock_that_was_set_back_plans_nothing() {
        let schedule = Schedule::parse(DAILY, "UTC").unwrap();
        for now in ["01T06:00:00", "01T05:00:00"] {
            assert_eq!(plan(&schedule, CatchUp::All, at("01T06:00:00"), at(now)), None);
        }
    }

    fn any_schedule() -> impl Strategy<Value = Schedule> {
        let crons =
            vec!["*/20 * * * *", "30 2 * * *", "0 */3 * * *", "15 1,2,3 * * 0,6", "0 0 1 * *", "@hourly"];
        let zones = vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"];
        (prop::sample::select(crons), prop::sample::select(zones))
            .prop_map(|(cron, zone)| Schedule::parse(cron, zone).unwrap())
    }

    proptest! {
        /// Around the days on which clocks are put forward and back.
        #[test]
        fn many_small_steps_plan_what_one_big_one_does(
            schedule in any_schedule(),
            begin in prop::sample::select(vec!["2026-03-07", "2026-03-28", "2026-04-04", "2026-10-24", "2026-10-31"]),
            seconds in prop::collection::vec(1_i64..15_000, 1..8),
        ) {
            let begin: DateTime<Utc> = format!("{begin}T12:00:00Z").parse().unwrap();
            let end = begin + chrono::Duration::seconds(seconds.iter().sum());
            for catch_up in CatchUp::ALL {
                let big = plan(&schedule, catch_up, begin, end).unwrap();
                let mut small = Vec::new();
                let mut planned = begin;
                for step in &seconds {
                    let now = planned + chrono::Duration::seconds(*step);
                    small.push(plan(&schedule, catch_up, planned, now).unwrap());
                    planned = now;
                }
                // Whatever runs, the next occasion is the same, and none is told twice or forgotten.
                prop_assert_eq!(small.last().unwrap().next, big.next);
                let told = |plans: &[Plan]| {
                    let mut told = Vec::new();
                    for plan in plans {
                        let missed = plan.missed.map(|missed| {
                            schedule.latest(missed.first - chrono::Duration::seconds(1), missed.last, 1000)
                        });
                        told.extend(missed.into_iter().flatten().chain(plan.runs.iter().copied()));
                    }
                    told
                };
                let all = schedule.latest(begin, end, 1000);
                prop_assert!(all.len() <= MOST_CAUGHT_UP);
                prop_assert_eq!(told(&small), all.clone());
                prop_assert_eq!(told(std::slice::from_ref(&big)), all.clone());
                let runs: Vec<_> = small.iter().flat_map(|plan| plan.runs.clone()).collect();
                match catch_up {
                    CatchUp::All => prop_assert_eq!(runs, big.runs),
                    CatchUp::Last => prop_assert_eq!(runs.last(), big.runs.last()),
                    CatchUp::None => prop_assert!(big.runs.iter().all(|run| runs.contains(run))),
                }
            }
        }
    }
}
