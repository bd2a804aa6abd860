//! [`Jobs`] and [`JobRuns`]: how far jobs are planned, and what became of their occasions.
//!
//! Whoever plans writes the job's row first, whoever claims has locked it: of two who plan one is told that it was done, and
//! of two who claim one passes over it. The transaction of a run touches the run's row alone, which nobody else writes while
//! it is in hand, so that a job that is planned meanwhile does not make it fail to serialize. That an occasion has one run
//! and a job one run in hand the keys see to as well.

mod rows;
mod statements;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::job::{JobRun, RunKind, RunState};
use erp_plugin_model::{JobName, PluginName, RunId, TenantId, WorkerId};
use erp_plugin_storage::{
    DueJob, JobRuns, Jobs, NewJob, OneOff, PlannedJob, RunFailure, RunFilter, RunRequest, StorageResult,
    StoredJob, StoredRun,
};
use tokio_postgres::Row;

use crate::client::Client;
use crate::error::Result;
use crate::jobs::rows::{read_claimed, read_due, read_job, read_run};
use crate::names::{read_boolean, read_tenant, read_uuid};
use crate::sql::Parameter;
use crate::transaction::{PostgresPlatformTransaction, PostgresTransaction};
use crate::workers;

pub(crate) use statements::DUE_JOBS;

#[async_trait]
impl Jobs for PostgresTransaction {
    async fn set_jobs(
        &mut self,
        plugin: &PluginName,
        jobs: &[NewJob],
        at: DateTime<Utc>,
        gone: &str,
    ) -> StorageResult<()> {
        let (client, tenant) = (self.session.client(), self.tenant.clone());
        let work = async {
            let own = [Parameter::Text(tenant.as_str()), Parameter::Text(plugin.as_str())];
            let names = Parameter::many(jobs.iter().map(|job| Parameter::Text(job.job.as_str())));
            let mut parameters = Vec::from(own.clone());
            parameters.extend([
                names.clone(),
                Parameter::many(jobs.iter().map(|job| Parameter::text(job.schedule.as_deref()))),
                Parameter::many(jobs.iter().map(|job| some_time(job.plan_at))),
                Parameter::Time(at),
            ]);
            client.execute(statements::SET_JOBS, &parameters).await?;
            let mut parameters = Vec::from(own);
            parameters.push(names);
            client.execute(statements::REMOVE_JOBS, &parameters).await?;
            parameters.extend([Parameter::Text(gone), Parameter::Time(at)]);
            client.execute(statements::SKIP_GONE, &parameters).await?;
            Ok(())
        };
        self.session.write("set jobs", work).await
    }

    async fn mark_run_done(&mut self, run: &JobRun, at: DateTime<Utc>) -> StorageResult<bool> {
        let (client, tenant) = (self.session.client(), self.tenant.clone());
        let work = async {
            // A run of another tenant is none that this transaction could have claimed.
            if run.tenant != tenant {
                return Ok(false);
            }
            let mut parameters = of_claim(run);
            parameters.push(Parameter::Time(at));
            Ok(client.execute(statements::DONE, &parameters).await? == 1)
        };
        self.session.write("mark run done", work).await
    }
}

#[async_trait]
impl JobRuns for PostgresPlatformTransaction {
    async fn due_jobs(&mut self, at: DateTime<Utc>, limit: u32) -> StorageResult<Vec<DueJob>> {
        let client = self.session.client();
        let work = async {
            let parameters = [Parameter::Time(at), Parameter::Integer(i64::from(limit))];
            client.rows(DUE_JOBS, &parameters).await?.iter().map(read_due).collect()
        };
        self.session.run("due jobs", work).await
    }

    async fn plan_job(&mut self, planned: &PlannedJob<'_>) -> StorageResult<bool> {
        let client = self.session.client();
        self.session.write("plan job", plan_job(&client, planned)).await
    }

    async fn put_off(&mut self, due: &DueJob, plan_at: DateTime<Utc>) -> StorageResult<()> {
        let client = self.session.client();
        let work = async {
            let mut parameters = Vec::from(key(&due.tenant, &due.plugin, &due.job));
            parameters.extend([Parameter::Time(due.planned_until), Parameter::Time(plan_at)]);
            client.execute(statements::PUT_OFF, &parameters).await?;
            Ok(())
        };
        self.session.write("put off", work).await
    }

    async fn is_run_due(&mut self, at: DateTime<Utc>) -> StorageResult<bool> {
        let client = self.session.client();
        let work = async {
            let row = client.one(&statements::is_run_due(), &[Parameter::Time(at)]).await?;
            read_boolean(&row, 0)
        };
        self.session.run("is run due", work).await
    }

    async fn claim_runs(&mut self, request: &RunRequest<'_>) -> StorageResult<Vec<JobRun>> {
        let client = self.session.client();
        self.session.write("claim runs", claim(&client, request)).await
    }

    async fn add_run(&mut self, one_off: &OneOff) -> StorageResult<bool> {
        let client = self.session.client();
        let work = async { Ok(client.execute(statements::ADD, &added(one_off)).await? == 1) };
        self.session.write("add run", work).await
    }

    async fn start_run(&mut self, worker: WorkerId, one_off: &OneOff) -> StorageResult<Option<JobRun>> {
        let client = self.session.client();
        let work = async {
            let own = key(&one_off.tenant, &one_off.plugin, &one_off.job);
            workers::beat(&client, worker).await?;
            client.rows(statements::LOCK_JOB, &own).await?;
            let in_hand = read_boolean(&client.one(statements::IN_HAND, &own).await?, 0)?;
            if in_hand || client.execute(statements::ADD, &added(one_off)).await? == 0 {
                return Ok(None);
            }
            let parameters = [
                Parameter::Text(one_off.tenant.as_str()),
                Parameter::Uuid(one_off.id.0),
                Parameter::Uuid(worker.0),
                Parameter::Time(one_off.at),
            ];
            client.row(&statements::take(), &parameters).await?.as_ref().map(read_claimed).transpose()
        };
        self.session.write("start run", work).await
    }

    async fn fail_run(&mut self, failure: RunFailure<'_>) -> StorageResult<bool> {
        let client = self.session.client();
        let RunFailure { run, error, at, retry_at } = failure;
        let work = async {
            let mut parameters = of_claim(run);
            parameters.extend([
                Parameter::Text(if retry_at.is_some() { "waiting" } else { "failed" }),
                Parameter::Text(error),
                Parameter::Time(at),
                if retry_at.is_some() { Parameter::Null } else { Parameter::Time(at) },
                some_time(retry_at),
            ]);
            Ok(client.execute(statements::FAIL, &parameters).await? == 1)
        };
        self.session.write("fail run", work).await
    }

    async fn release_run(&mut self, run: &JobRun, due_at: DateTime<Utc>) -> StorageResult<bool> {
        let client = self.session.client();
        let work = async {
            let mut parameters = of_claim(run);
            parameters.push(Parameter::Time(due_at));
            Ok(client.execute(statements::RELEASE, &parameters).await? == 1)
        };
        self.session.write("release run", work).await
    }

    async fn jobs(&mut self, tenant: &TenantId, at: DateTime<Utc>) -> StorageResult<Vec<StoredJob>> {
        let client = self.session.client();
        let work = async {
            let parameters = [Parameter::Text(tenant.as_str()), Parameter::Time(at)];
            client.rows(&statements::jobs(), &parameters).await?.iter().map(read_job).collect()
        };
        self.session.run("jobs", work).await
    }

    async fn runs(
        &mut self,
        tenant: &TenantId,
        filter: &RunFilter,
        limit: u32,
    ) -> StorageResult<Vec<StoredRun>> {
        let client = self.session.client();
        let work = async {
            let parameters = [
                Parameter::Text(tenant.as_str()),
                Parameter::text(filter.plugin.as_ref().map(PluginName::as_str)),
                Parameter::text(filter.job.as_ref().map(JobName::as_str)),
                Parameter::text(filter.state.map(RunState::as_str)),
                Parameter::Integer(i64::from(limit)),
            ];
            let rows = client.rows(&statements::runs(), &parameters).await?;
            rows.iter().map(|row| read_run(row, 0)).collect()
        };
        self.session.run("runs", work).await
    }

    async fn run(&mut self, tenant: &TenantId, run: RunId) -> StorageResult<Option<StoredRun>> {
        let client = self.session.client();
        let work = async {
            let row = client.row(&statements::run(), &of_run(tenant, run)).await?;
            row.map(|row| read_run(&row, 0)).transpose()
        };
        self.session.run("run", work).await
    }

    async fn retry_run(&mut self, tenant: &TenantId, run: RunId, at: DateTime<Utc>) -> StorageResult<bool> {
        let client = self.session.client();
        let work = async {
            let mut parameters = Vec::from(of_run(tenant, run));
            parameters.push(Parameter::Time(at));
            Ok(client.execute(statements::RETRY, &parameters).await? == 1)
        };
        self.session.write("retry run", work).await
    }

    async fn cancel_run(
        &mut self,
        tenant: &TenantId,
        run: RunId,
        at: DateTime<Utc>,
        note: &str,
    ) -> StorageResult<bool> {
        let client = self.session.client();
        let work = async {
            let mut parameters = Vec::from(of_run(tenant, run));
            parameters.extend([Parameter::Text(note), Parameter::Time(at)]);
            Ok(client.execute(statements::CANCEL, &parameters).await? == 1)
        };
        self.session.write("cancel run", work).await
    }

    async fn prune_runs(&mut self, before: DateTime<Utc>, limit: u32) -> StorageResult<u64> {
        let client = self.session.client();
        let work = async {
            let parameters = [Parameter::Time(before), Parameter::Integer(i64::from(limit))];
            client.execute(statements::PRUNE, &parameters).await
        };
        self.session.write("prune runs", work).await
    }
}

async fn plan_job(client: &Client, planned: &PlannedJob<'_>) -> Result<bool> {
    let PlannedJob { due, at, plan_at, runs, missed, skip } = planned;
    let own = key(&due.tenant, &due.plugin, &due.job);
    let mut parameters = Vec::from(own.clone());
    parameters.extend([
        Parameter::Text(&due.schedule),
        Parameter::Time(due.planned_until),
        Parameter::Time(*at),
        some_time(*plan_at),
    ]);
    if client.execute(statements::PLANNED, &parameters).await? == 0 {
        return Ok(false);
    }
    if let Some((id, occasion, note)) = missed {
        let mut parameters = Vec::from(own.clone());
        parameters.extend([
            Parameter::Time(*occasion),
            Parameter::Text(RunKind::Cron.as_str()),
            Parameter::Uuid(id.0),
            Parameter::Null,
            Parameter::Text("skipped"),
            Parameter::Time(*occasion),
            Parameter::Text(note),
            Parameter::Time(*at),
        ]);
        client.execute(statements::ADD, &parameters).await?;
    }
    let Some(first) = runs.first() else { return Ok(true) };
    let mut parameters = Vec::from(own.clone());
    parameters.push(Parameter::Time(first.occasion));
    let unended = read_boolean(&client.one(statements::UNENDED, &parameters).await?, 0)?;
    let skip = skip.filter(|_| unended);
    for run in *runs {
        let mut parameters = Vec::from(own.clone());
        parameters.extend([
            Parameter::Time(run.occasion),
            Parameter::Text(RunKind::Cron.as_str()),
            Parameter::Uuid(run.id.0),
            Parameter::Null,
            Parameter::Text(if skip.is_some() { "skipped" } else { "waiting" }),
            Parameter::Time(run.due_at),
            Parameter::text(skip),
            if skip.is_some() { Parameter::Time(*at) } else { Parameter::Null },
        ]);
        client.execute(statements::ADD, &parameters).await?;
    }
    Ok(true)
}

async fn claim(client: &Client, request: &RunRequest<'_>) -> Result<Vec<JobRun>> {
    workers::beat(client, request.worker).await?;
    let at = Parameter::Time(request.at);
    let full = request.full.iter().map(TenantId::as_str).map(Parameter::Text);
    let parameters = [
        at.clone(),
        Parameter::Integer(i64::from(request.per_tenant)),
        Parameter::Integer(i64::from(request.runs)),
        Parameter::many(full),
    ];
    let found = client.rows(&statements::candidates(), &parameters).await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let of = |row: &Row| Ok((read_tenant(row, 0)?, read_uuid(row, 1)?));
    let found = found.iter().map(of).collect::<Result<Vec<_>>>()?;
    let parameters = [
        at,
        Parameter::many(found.iter().map(|(tenant, _)| Parameter::Text(tenant.as_str()))),
        Parameter::many(found.iter().map(|(_, run)| Parameter::Uuid(*run))),
        Parameter::Uuid(request.worker.0),
    ];
    client.rows(&statements::claim(), &parameters).await?.iter().map(read_claimed).collect()
}

fn some_time(time: Option<DateTime<Utc>>) -> Parameter<'static> {
    time.map_or(Parameter::Null, Parameter::Time)
}

/// The parameters that name a job.
fn key<'k>(tenant: &'k TenantId, plugin: &'k PluginName, job: &'k JobName) -> [Parameter<'k>; 3] {
    [Parameter::Text(tenant.as_str()), Parameter::Text(plugin.as_str()), Parameter::Text(job.as_str())]
}

/// The parameters that name a run.
fn of_run(tenant: &TenantId, run: RunId) -> [Parameter<'_>; 2] {
    [Parameter::Text(tenant.as_str()), Parameter::Uuid(run.0)]
}

/// The parameters that name a run by the claim that has it.
fn of_claim(run: &JobRun) -> Vec<Parameter<'_>> {
    let mut parameters = Vec::from(key(&run.tenant, &run.plugin, &run.job));
    parameters.extend([
        Parameter::Time(run.occasion),
        Parameter::Text(run.kind.as_str()),
        Parameter::Uuid(run.id.0),
        Parameter::Integer(run.token.0),
    ]);
    parameters
}

/// The parameters of a one-off that is added.
fn added(one_off: &OneOff) -> Vec<Parameter<'_>> {
    let OneOff { id, tenant, plugin, job, at, payload } = one_off;
    let mut parameters = Vec::from(key(tenant, plugin, job));
    parameters.extend([
        Parameter::Time(*at),
        Parameter::Text(RunKind::OneOff.as_str()),
        Parameter::Uuid(id.0),
        Parameter::text(payload.as_deref()),
        Parameter::Text("waiting"),
        Parameter::Time(*at),
        Parameter::Null,
        Parameter::Null,
    ]);
    parameters
}
