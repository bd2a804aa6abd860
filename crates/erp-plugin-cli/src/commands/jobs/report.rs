//! What the commands about jobs print.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use erp_plugin::job::{RunState, Schedule};
use erp_plugin::{JobStatus, RanJob, StoredRun};
use serde_json::{Value as Json, json};

use crate::output::{BAD, FAINT, GOOD, HEADING, foreign, styled};
use crate::values::grouped;

pub(super) fn jobs(jobs: &[JobStatus]) -> String {
    if jobs.is_empty() {
        return "no jobs\n".to_owned();
    }
    let mut text = String::new();
    for JobStatus { plugin, job, schedule, enabled, next, last } in jobs {
        let disabled = if *enabled { "" } else { ", disabled" };
        let _ = writeln!(text, "{}{disabled}", styled(HEADING, format!("{plugin} {job}")));
        match schedule {
            None => text += "  runs when somebody asks for it\n",
            Some(schedule) => {
                let next = next.map_or_else(|| "never".to_owned(), time);
                let _ = writeln!(text, "  {} in {}, next at {next}", schedule.cron(), schedule.zone());
            }
        }
        if let Some(last) = last {
            let _ = write!(text, "  last {}", line(last));
        }
    }
    text
}

pub(super) fn job_json(status: &JobStatus) -> Json {
    let JobStatus { plugin, job, schedule, enabled, next, last } = status;
    json!({
        "plugin": plugin.as_str(),
        "job": job.as_str(),
        "schedule": schedule.as_ref().map(Schedule::cron),
        "time_zone": schedule.as_ref().map(Schedule::zone),
        "enabled": enabled,
        "next": next.map(time),
        "last": last.as_ref().map(run_json),
    })
}

pub(super) fn runs(runs: &[StoredRun]) -> String {
    if runs.is_empty() {
        return "no runs\n".to_owned();
    }
    runs.iter().map(|run| format!("{}  {} {}", run.id, run.plugin, line(run))).collect()
}

/// A run on one line, from its job on.
fn line(run: &StoredRun) -> String {
    let style = match run.state {
        RunState::Done => GOOD,
        RunState::Failed => BAD,
        RunState::Waiting | RunState::Running | RunState::Skipped => FAINT,
    };
    let (state, at) = (styled(style, run.state.as_str()), time(run.occasion));
    let attempts = match run.attempts {
        0 => String::new(),
        1 => ", 1 attempt".to_owned(),
        attempts => format!(", {attempts} attempts"),
    };
    let note = run.note.as_ref().map_or_else(String::new, |note| format!(": {}", foreign(note)));
    format!("{} {} {at} {state}{attempts}{note}\n", run.job, run.kind.as_str())
}

pub(super) fn run_json(run: &StoredRun) -> Json {
    json!({
        "run": run.id.to_string(),
        "plugin": run.plugin.as_str(),
        "job": run.job.as_str(),
        "kind": run.kind.as_str(),
        "scheduled_for": time(run.occasion),
        "state": run.state.as_str(),
        "attempts": run.attempts,
        "due_at": time(run.due_at),
        "began_at": run.began_at.map(time),
        "ended_at": run.ended_at.map(time),
        "note": run.note,
        "payload": run.payload.as_deref().and_then(|text| serde_json::from_str::<Json>(text).ok()),
    })
}

pub(super) fn ran(name: &str, ran: &RanJob) -> String {
    let RanJob { run, report } = ran;
    let outcome = match &report.outcome {
        Ok(()) => styled(GOOD, "ok"),
        Err(_) => styled(BAD, "failed, nothing was kept"),
    };
    let mut text = format!("{name}: {outcome}, run {run}");
    for line in &report.log {
        // The host has escaped the message.
        let _ = write!(text, "\n  {:5} {}", line.level.as_str(), line.message);
    }
    let (records, events) = (grouped(report.writes.len() as u64), grouped(report.events.len() as u64));
    let fuel = grouped(report.usage.fuel);
    let _ = write!(text, "\n{records} records written, {events} events published, fuel {fuel}");
    text
}

pub(super) fn ran_json(ran: &RanJob) -> Json {
    let RanJob { run, report } = ran;
    let error = report.outcome.as_ref().err();
    let log = report.log.iter().map(|line| json!({ "level": line.level.as_str(), "message": line.message }));
    json!({
        "run": run.to_string(),
        "ok": error.is_none(),
        "error": error.map(|error| json!({ "code": error.code.as_str(), "message": error.message, "detail": report.detail })),
        "log": log.collect::<Vec<Json>>(),
        "records": report.writes.len(),
        "events": report.events.len(),
        "fuel": report.usage.fuel,
    })
}

pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
