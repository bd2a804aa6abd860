//! Jobs and runs out of their rows.

use erp_plugin_model::RunId;
use erp_plugin_model::event::ClaimToken;
use erp_plugin_model::job::{JobRun, RunKind, RunState};
use erp_plugin_storage::{DueJob, StoredJob, StoredRun};
use rusqlite::Row;

use crate::error::{Error, Result};
use crate::names::{
    read_job as read_job_name, read_plugin, read_some_time, read_tenant, read_text, read_time, read_uuid,
};

/// The state of a run in `job_runs` as `r`.
pub(super) const STATE: &str = "CASE WHEN r.claimed_by IS NULL THEN r.state ELSE 'running' END";
/// A run, out of `job_runs` as `r`.
pub(super) const RUN: &str = "r.id, r.plugin, r.job, r.occasion, r.kind, r.payload,
     CASE WHEN r.claimed_by IS NULL THEN r.state ELSE 'running' END, r.attempts, r.due_at, r.note, r.began_at, r.ended_at";
/// A run that is being claimed.
pub(super) const CLAIMED: &str = "id, tenant_id, plugin, job, occasion, kind, payload, token, attempts";

pub(super) fn read_run(row: &Row<'_>) -> Result<StoredRun> {
    let state = RunState::parse(read_text(row, 6)?).ok_or_else(|| Error::Unreadable("state of a run"))?;
    Ok(StoredRun {
        id: RunId(read_uuid(row, 0)?),
        plugin: read_plugin(row, 1)?,
        job: read_job_name(row, 2)?,
        occasion: read_time(row, 3)?,
        kind: read_kind(row, 4)?,
        payload: row.get(5)?,
        state,
        attempts: row.get(7)?,
        due_at: read_time(row, 8)?,
        note: row.get(9)?,
        began_at: read_some_time(row, 10)?,
        ended_at: read_some_time(row, 11)?,
    })
}

pub(super) fn read_claimed(row: &Row<'_>) -> Result<JobRun> {
    Ok(JobRun {
        id: RunId(read_uuid(row, 0)?),
        tenant: read_tenant(row, 1)?,
        plugin: read_plugin(row, 2)?,
        job: read_job_name(row, 3)?,
        occasion: read_time(row, 4)?,
        kind: read_kind(row, 5)?,
        payload: row.get(6)?,
        token: ClaimToken(row.get(7)?),
        attempt: row.get(8)?,
    })
}

/// Tenant, plugin, job, schedule, until when it is planned.
pub(super) fn read_due(row: &Row<'_>) -> Result<DueJob> {
    Ok(DueJob {
        tenant: read_tenant(row, 0)?,
        plugin: read_plugin(row, 1)?,
        job: read_job_name(row, 2)?,
        schedule: read_text(row, 3)?.to_owned(),
        planned_until: read_time(row, 4)?,
    })
}

/// Plugin, job, schedule, until when it is planned, whether its plugin is enabled; without its last run.
pub(super) fn read_job(row: &Row<'_>) -> Result<StoredJob> {
    Ok(StoredJob {
        plugin: read_plugin(row, 0)?,
        job: read_job_name(row, 1)?,
        schedule: row.get(2)?,
        planned_until: read_time(row, 3)?,
        enabled: row.get(4)?,
        last: None,
    })
}

fn read_kind(row: &Row<'_>, column: usize) -> Result<RunKind> {
    let name = read_text(row, column)?;
    let known = RunKind::ALL.into_iter().find(|kind| kind.as_str() == name);
    known.ok_or_else(|| Error::Unreadable("kind of a run"))
}
