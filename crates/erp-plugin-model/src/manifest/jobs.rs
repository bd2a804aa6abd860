//! `[[jobs]]`: what a plugin does at times of its own.

use std::time::Duration;

use super::subscriptions::retry;
use super::table::Table;
use super::{MAX_ENTRIES, ManifestError};
use crate::event::RetryPolicy;
use crate::ids::JobName;
use crate::job::{CatchUp, InvalidSchedule, Job, Overlap, Schedule};
use crate::limits::{LimitKind, TABLE};

/// The longest jitter.
const MAX_JITTER: Duration = Duration::from_hours(24);
/// The longest deadline that a manifest may ask for. The operator allows less.
const MAX_DEADLINE: Duration = Duration::from_hours(24);
/// The zone of a schedule that names none.
const DEFAULT_ZONE: &str = "UTC";

pub(super) fn read(root: &mut Table<'_>) -> Result<Vec<Job>, ManifestError> {
    let mut jobs: Vec<Job> = Vec::new();
    for mut table in root.list("jobs", MAX_ENTRIES)? {
        let name = JobName::parse(table.required_string("name")?)
            .map_err(|error| table.error("name", format!("is an {error}")))?;
        if jobs.iter().any(|job| job.name == name) {
            return Err(table.error("name", format!("is {name:?}, as another job's is; names are unique")));
        }
        jobs.push(job(name, table)?);
    }
    Ok(jobs)
}

fn job(name: JobName, mut table: Table<'_>) -> Result<Job, ManifestError> {
    let schedule = schedule(&mut table)?;
    let jitter = table.duration("jitter", MAX_JITTER)?.unwrap_or_default();
    let overlap = choice(&mut table, "overlap", &Overlap::ALL, Overlap::as_str)?.unwrap_or_default();
    let catch_up = choice(&mut table, "catch-up", &CatchUp::ALL, CatchUp::as_str)?.unwrap_or_default();
    let retry = match table.take("retry") {
        Some(value) => retry(Table::new(table.path("retry"), value)?)?,
        None => RetryPolicy::DEFAULT,
    };
    let limits = match table.take("limits") {
        Some(value) => limits(Table::new(table.path("limits"), value)?)?,
        None => Vec::new(),
    };
    table.finish()?;
    Ok(Job { name, schedule, jitter, overlap, catch_up, retry, limits })
}

fn schedule(table: &mut Table<'_>) -> Result<Option<Schedule>, ManifestError> {
    let zone = table.string("time-zone")?;
    let Some(cron) = table.string("schedule")? else {
        return match zone {
            Some(_) => Err(table.error("time-zone", "is of a `schedule`, and there is none")),
            None => Ok(None),
        };
    };
    let zone = zone.unwrap_or(DEFAULT_ZONE);
    let schedule = Schedule::parse(cron, zone).map_err(|error| match error {
        InvalidSchedule::Zone => table.error("time-zone", format!("is {zone:?}: {error}")),
        InvalidSchedule::Cron(_) | InvalidSchedule::Never => {
            table.error("schedule", format!("is {cron:?}: {error}"))
        }
    })?;
    Ok(Some(schedule))
}

fn choice<T: Copy>(
    table: &mut Table<'_>,
    key: &'static str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<Option<T>, ManifestError> {
    let Some(text) = table.string(key)? else { return Ok(None) };
    match all.iter().find(|one| name(**one) == text) {
        Some(one) => Ok(Some(*one)),
        None => {
            let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
            Err(table.error(key, format!("is {text:?}: it must be one of {}", names.join(", "))))
        }
    }
}

/// As `[limits]`, but the deadline is a length of time: in milliseconds a minute is hard to read.
fn limits(mut table: Table<'_>) -> Result<Vec<(LimitKind, u64)>, ManifestError> {
    let mut limits = Vec::new();
    for row in TABLE {
        let value = match row.kind {
            LimitKind::Deadline => {
                let deadline = table.duration(row.name, MAX_DEADLINE)?;
                let millis = deadline.map(|deadline| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX));
                if millis == Some(0) {
                    return Err(table.error(row.name, "must be at least 1ms"));
                }
                millis
            }
            _ => table.number(row.name, 1, i64::MAX.unsigned_abs())?,
        };
        limits.extend(value.map(|value| (row.kind, value)));
    }
    table.finish()?;
    Ok(limits)
}
