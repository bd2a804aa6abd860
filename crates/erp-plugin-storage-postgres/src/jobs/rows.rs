//! Jobs and runs out of their rows.

use erp_plugin_model::RunId;
use erp_plugin_model::event::ClaimToken;
use erp_plugin_model::job::{JobRun, RunKind, RunState};
use erp_plugin_storage::{DueJob, StoredJob, StoredRun};
use tokio_postgres::Row;

use crate::error::{Error, Result};
use crate::names::{
    read_boolean, read_count, read_integer, read_job as read_job_name, read_plugin, read_some_text,
    read_some_time, read_some_uuid, read_tenant, read_text, read_time, read_uuid,
};

/// A run whose columns begin at this one.
pub(super) fn read_run(row: &Row, first: usize) -> Result<StoredRun> {
    let state =
        RunState::parse(read_text(row, first + 6)?).ok_or_else(|| Error::Unreadable("state of a run"))?;
    Ok(StoredRun {
        id: RunId(read_uuid(row, first)?),
        plugin: read_plugin(row, first + 1)?,
        job: read_job_name(row, first + 2)?,
        occasion: read_time(row, first + 3)?,
        kind: read_kind(row, first + 4)?,
        payload: read_some_text(row, first + 5)?,
        state,
        attempts: read_count(row, first + 7)?,
        due_at: read_time(row, first + 8)?,
        note: read_some_text(row, first + 9)?,
        began_at: read_some_time(row, first + 10)?,
        ended_at: read_some_time(row, first + 11)?,
    })
}

pub(super) fn read_claimed(row: &Row) -> Result<JobRun> {
    Ok(JobRun {
        id: RunId(read_uuid(row, 0)?),
        tenant: read_tenant(row, 1)?,
        plugin: read_plugin(row, 2)?,
        job: read_job_name(row, 3)?,
        occasion: read_time(row, 4)?,
        kind: read_kind(row, 5)?,
        payload: read_some_text(row, 6)?,
        token: ClaimToken(read_integer(row, 7)?),
        attempt: read_count(row, 8)?,
    })
}

/// Tenant, plugin, job, schedule, until when it is planned.
pub(super) fn read_due(row: &Row) -> Result<DueJob> {
    Ok(DueJob {
        tenant: read_tenant(row, 0)?,
        plugin: read_plugin(row, 1)?,
        job: read_job_name(row, 2)?,
        schedule: read_text(row, 3)?.to_owned(),
        planned_until: read_time(row, 4)?,
    })
}

/// Plugin, job, schedule, until when it is planned, whether its plugin is enabled, its last run.
pub(super) fn read_job(row: &Row) -> Result<StoredJob> {
    const RUN: usize = 5;
    let last = read_some_uuid(row, RUN)?.map(|_| read_run(row, RUN)).transpose()?;
    Ok(StoredJob {
        plugin: read_plugin(row, 0)?,
        job: read_job_name(row, 1)?,
        schedule: read_some_text(row, 2)?,
        planned_until: read_time(row, 3)?,
        enabled: read_boolean(row, 4)?,
        last,
    })
}

fn read_kind(row: &Row, column: usize) -> Result<RunKind> {
    let name = read_text(row, column)?;
    let known = RunKind::ALL.into_iter().find(|kind| kind.as_str() == name);
    known.ok_or_else(|| Error::Unreadable("kind of a run"))
}
