//! [`Jobs`] and [`JobRuns`]: how far jobs are planned, and what became of their occasions.
//!
//! The one writer makes a plan and a claim whole. That an occasion has one run and a job one run in hand the keys see to as
//! well, so that no mistake here can make it two.

mod rows;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::job::{JobRun, RunKind, RunState};
use erp_plugin_model::{JobName, PluginName, RunId, TenantId, WorkerId};
use erp_plugin_storage::{
    DueJob, JobRuns, Jobs, NewJob, OneOff, PlannedJob, RunFailure, RunFilter, RunRequest, StorageResult,
    StoredJob, StoredRun,
};
use rusqlite::{Connection, ToSql};

use crate::error::Result;
use crate::jobs::rows::{CLAIMED, RUN, STATE, read_claimed, read_due, read_job, read_run};
use crate::transaction::{SqlitePlatformTransaction, SqliteTransaction};
use crate::workers;

/// Jobs that are to be planned: at which moment, how many.
pub(crate) const DUE_JOBS: &str = "SELECT tenant_id, plugin, job, schedule, planned_until FROM jobs AS j
     WHERE plan_at IS NOT NULL AND plan_at <= ?1
         AND (SELECT enabled FROM activations AS a WHERE a.tenant_id = j.tenant_id AND a.plugin = j.plugin)
         AND NOT EXISTS (SELECT 1 FROM tenants AS t WHERE t.id = j.tenant_id AND t.state = 'suspended')
     ORDER BY plan_at LIMIT ?2";
/// What a run that may be claimed at the moment ?1 is like: of an active tenant's enabled plugin that is not out of use, due,
/// or failed at a moment that is still to come because the clock went back, and the first of its job, of which none is in hand.
const CLAIMABLE: &str = "r.state = 'waiting' AND r.claimed_by IS NULL AND (r.due_at <= ?1 OR r.failed_at > ?1)
     AND EXISTS (SELECT 1 FROM jobs AS j WHERE j.tenant_id = r.tenant_id AND j.plugin = r.plugin AND j.job = r.job)
     AND (SELECT enabled AND coalesce(quarantined_until <= ?1, 1) FROM activations AS a
         WHERE a.tenant_id = r.tenant_id AND a.plugin = r.plugin)
     AND NOT EXISTS (SELECT 1 FROM tenants AS t WHERE t.id = r.tenant_id AND t.state = 'suspended')
     AND NOT EXISTS (
         SELECT 1 FROM job_runs AS o
         WHERE o.tenant_id = r.tenant_id AND o.plugin = r.plugin AND o.job = r.job AND o.state = 'waiting'
             AND (o.claimed_by IS NOT NULL OR (o.occasion, o.kind) < (r.occasion, r.kind))
     )";
/// Adds a run: tenant, plugin, job, occasion, kind, id, payload, state, due, note, ended.
const ADD: &str = "INSERT INTO job_runs (tenant_id, plugin, job, occasion, kind, id, payload, state, token, attempts, due_at,
         note, ended_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, ?9, ?10, ?11) ON CONFLICT DO NOTHING";
/// What ends a run whatever it comes to: only for the claim that has it.
const OF_CLAIM: &str =
    "tenant_id = ?1 AND plugin = ?2 AND job = ?3 AND occasion = ?4 AND kind = ?5 AND id = ?6 AND token = ?7
     AND claimed_by IS NOT NULL";

#[async_trait]
impl Jobs for SqliteTransaction {
    async fn set_jobs(
        &mut self,
        plugin: &PluginName,
        jobs: &[NewJob],
        at: DateTime<Utc>,
        gone: &str,
    ) -> StorageResult<()> {
        let Self { session, tenant, .. } = self;
        session.write("set jobs", |connection| set_jobs(connection, tenant, plugin, jobs, at, gone))
    }

    async fn mark_run_done(&mut self, run: &JobRun, at: DateTime<Utc>) -> StorageResult<bool> {
        let Self { session, tenant, .. } = self;
        session.write("mark run done", |connection| {
            // A run of another tenant is none that this transaction could have claimed.
            if run.tenant != *tenant {
                return Ok(false);
            }
            let done = "state = 'done', claimed_by = NULL, ended_at = ?8, note = NULL";
            end_claim(connection, run, done, &[&at.timestamp_micros()])
        })
    }
}

#[async_trait]
impl JobRuns for SqlitePlatformTransaction {
    async fn due_jobs(&mut self, at: DateTime<Utc>, limit: u32) -> StorageResult<Vec<DueJob>> {
        self.session.read("due jobs", |connection| {
            let mut statement = connection.prepare_cached(DUE_JOBS)?;
            let mut rows = statement.query((at.timestamp_micros(), limit))?;
            let mut due = Vec::new();
            while let Some(row) = rows.next()? {
                due.push(read_due(row)?);
            }
            Ok(due)
        })
    }

    async fn plan_job(&mut self, planned: &PlannedJob<'_>) -> StorageResult<bool> {
        self.session.write_long("plan job", |connection| plan_job(connection, planned))
    }

    async fn put_off(&mut self, due: &DueJob, plan_at: DateTime<Utc>) -> StorageResult<()> {
        self.session.write("put off", |connection| {
            connection
                .prepare_cached(
                    "UPDATE jobs SET plan_at = ?5
                     WHERE tenant_id = ?1 AND plugin = ?2 AND job = ?3 AND planned_until = ?4",
                )?
                .execute((
                    due.tenant.as_str(),
                    due.plugin.as_str(),
                    due.job.as_str(),
                    due.planned_until.timestamp_micros(),
                    plan_at.timestamp_micros(),
                ))?;
            Ok(())
        })
    }

    async fn is_run_due(&mut self, at: DateTime<Utc>) -> StorageResult<bool> {
        self.session.read("is run due", |connection| {
            let sql = format!("SELECT 1 FROM job_runs AS r WHERE {CLAIMABLE}");
            Ok(connection.prepare_cached(&sql)?.exists([at.timestamp_micros()])?)
        })
    }

    async fn claim_runs(&mut self, request: &RunRequest<'_>) -> StorageResult<Vec<JobRun>> {
        self.session.write_long("claim runs", |connection| claim(connection, request))
    }

    async fn add_run(&mut self, one_off: &OneOff) -> StorageResult<bool> {
        self.session.write("add run", |connection| add(connection, one_off))
    }

    async fn start_run(&mut self, worker: WorkerId, one_off: &OneOff) -> StorageResult<Option<JobRun>> {
        self.session.write("start run", |connection| {
            let in_hand = "SELECT 1 FROM job_runs
                 WHERE tenant_id = ?1 AND plugin = ?2 AND job = ?3 AND claimed_by IS NOT NULL";
            let job = (one_off.tenant.as_str(), one_off.plugin.as_str(), one_off.job.as_str());
            if connection.prepare_cached(in_hand)?.exists(job)? || !add(connection, one_off)? {
                return Ok(None);
            }
            workers::beat(connection, worker)?;
            take(connection, &one_off.tenant, one_off.id, worker, one_off.at)
        })
    }

    async fn fail_run(&mut self, failure: RunFailure<'_>) -> StorageResult<bool> {
        self.session.write("fail run", |connection| {
            let RunFailure { run, error, at, retry_at } = failure;
            let at = at.timestamp_micros();
            let ended = retry_at.is_none().then_some(at);
            let state = if retry_at.is_some() { "waiting" } else { "failed" };
            let due_at = retry_at.map(|retry_at| retry_at.timestamp_micros());
            let failed = "state = ?8, claimed_by = NULL, note = ?9, failed_at = ?10, ended_at = ?11,
                 due_at = coalesce(?12, due_at)";
            end_claim(connection, run, failed, &[&state, &error, &at, &ended, &due_at])
        })
    }

    async fn release_run(&mut self, run: &JobRun, due_at: DateTime<Utc>) -> StorageResult<bool> {
        self.session.write("release run", |connection| {
            let released = "claimed_by = NULL, attempts = attempts - 1, due_at = ?8, failed_at = NULL";
            end_claim(connection, run, released, &[&due_at.timestamp_micros()])
        })
    }

    async fn jobs(&mut self, tenant: &TenantId, at: DateTime<Utc>) -> StorageResult<Vec<StoredJob>> {
        self.session.scan("jobs", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT plugin, job, schedule, planned_until, coalesce((
                     SELECT enabled FROM activations AS a WHERE a.tenant_id = j.tenant_id AND a.plugin = j.plugin
                 ), 0) FROM jobs AS j WHERE tenant_id = ?1 ORDER BY plugin, job",
            )?;
            let mut last = connection.prepare_cached(&format!(
                "SELECT {RUN} FROM job_runs AS r WHERE tenant_id = ?1 AND plugin = ?2 AND job = ?3 AND occasion <= ?4
                 ORDER BY occasion DESC, kind DESC LIMIT 1"
            ))?;
            let mut rows = statement.query([tenant.as_str()])?;
            let mut jobs = Vec::new();
            while let Some(row) = rows.next()? {
                let mut job = read_job(row)?;
                let key = (tenant.as_str(), job.plugin.as_str(), job.job.as_str(), at.timestamp_micros());
                job.last = last.query(key)?.next()?.map(read_run).transpose()?;
                jobs.push(job);
            }
            Ok(jobs)
        })
    }

    async fn runs(
        &mut self,
        tenant: &TenantId,
        filter: &RunFilter,
        limit: u32,
    ) -> StorageResult<Vec<StoredRun>> {
        self.session.scan("runs", |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {RUN} FROM job_runs AS r WHERE tenant_id = ?1 AND (?2 IS NULL OR plugin = ?2)
                     AND (?3 IS NULL OR job = ?3) AND (?4 IS NULL OR {STATE} = ?4)
                 ORDER BY occasion DESC, plugin, job, kind LIMIT ?5"
            ))?;
            let mut rows = statement.query((
                tenant.as_str(),
                filter.plugin.as_ref().map(PluginName::as_str),
                filter.job.as_ref().map(JobName::as_str),
                filter.state.map(RunState::as_str),
                limit,
            ))?;
            let mut runs = Vec::new();
            while let Some(row) = rows.next()? {
                runs.push(read_run(row)?);
            }
            Ok(runs)
        })
    }

    async fn run(&mut self, tenant: &TenantId, run: RunId) -> StorageResult<Option<StoredRun>> {
        self.session.read("run", |connection| {
            let sql = format!("SELECT {RUN} FROM job_runs AS r WHERE tenant_id = ?1 AND id = ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query((tenant.as_str(), &run.0.as_bytes()[..]))?;
            rows.next()?.map(read_run).transpose()
        })
    }

    async fn retry_run(&mut self, tenant: &TenantId, run: RunId, at: DateTime<Utc>) -> StorageResult<bool> {
        self.session.write("retry run", |connection| {
            let hit = connection
                .prepare_cached(
                    "UPDATE job_runs SET state = 'waiting', attempts = 0, due_at = ?3, failed_at = NULL, ended_at = NULL
                     WHERE tenant_id = ?1 AND id = ?2 AND claimed_by IS NULL
                         AND (state = 'failed' OR (state = 'waiting' AND attempts > 0))",
                )?
                .execute((tenant.as_str(), &run.0.as_bytes()[..], at.timestamp_micros()))?;
            Ok(hit == 1)
        })
    }

    async fn cancel_run(
        &mut self,
        tenant: &TenantId,
        run: RunId,
        at: DateTime<Utc>,
        note: &str,
    ) -> StorageResult<bool> {
        self.session.write("cancel run", |connection| {
            let hit = connection
                .prepare_cached(
                    "UPDATE job_runs SET state = 'skipped', note = ?3, ended_at = ?4
                     WHERE tenant_id = ?1 AND id = ?2 AND state = 'waiting' AND claimed_by IS NULL",
                )?
                .execute((tenant.as_str(), &run.0.as_bytes()[..], note, at.timestamp_micros()))?;
            Ok(hit == 1)
        })
    }

    async fn prune_runs(&mut self, before: DateTime<Utc>, limit: u32) -> StorageResult<u64> {
        self.session.write_long("prune runs", |connection| {
            let pruned = connection
                .prepare_cached(
                    "DELETE FROM job_runs WHERE (tenant_id, id) IN (
                         SELECT tenant_id, id FROM job_runs WHERE ended_at IS NOT NULL AND ended_at < ?1
                         ORDER BY ended_at LIMIT ?2
                     )",
                )?
                .execute((before.timestamp_micros(), limit))?;
            Ok(pruned as u64)
        })
    }
}

/// Ends a claim, if it still has its run. What is set of the run has the parameters from ?8 on.
fn end_claim(connection: &Connection, run: &JobRun, set: &str, more: &[&dyn ToSql]) -> Result<bool> {
    let (occasion, id) = (run.occasion.timestamp_micros(), &run.id.0.as_bytes()[..]);
    let own: [&dyn ToSql; 7] = [
        &run.tenant.as_str(),
        &run.plugin.as_str(),
        &run.job.as_str(),
        &occasion,
        &run.kind.as_str(),
        &id,
        &run.token.0,
    ];
    let parameters: Vec<&dyn ToSql> = own.into_iter().chain(more.iter().copied()).collect();
    let sql = format!("UPDATE job_runs SET {set} WHERE {OF_CLAIM}");
    Ok(connection.prepare_cached(&sql)?.execute(&parameters[..])? == 1)
}

fn set_jobs(
    connection: &Connection,
    tenant: &TenantId,
    plugin: &PluginName,
    jobs: &[NewJob],
    at: DateTime<Utc>,
    gone: &str,
) -> Result<()> {
    let (tenant, plugin, at) = (tenant.as_str(), plugin.as_str(), at.timestamp_micros());
    let mut set = connection.prepare_cached(
        "INSERT INTO jobs (tenant_id, plugin, job, schedule, planned_until, plan_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE
         SET schedule = excluded.schedule, planned_until = excluded.planned_until, plan_at = excluded.plan_at
         WHERE schedule IS NOT excluded.schedule OR planned_until > excluded.planned_until",
    )?;
    for job in jobs {
        let plan_at = job.plan_at.map(|plan_at| plan_at.timestamp_micros());
        set.execute((tenant, plugin, job.job.as_str(), &job.schedule, at, plan_at))?;
    }
    // Names, so no character needs an escape.
    let names: Vec<String> = jobs.iter().map(|job| format!("\"{}\"", job.job)).collect();
    let names = format!("[{}]", names.join(","));
    connection
        .prepare_cached(
            "DELETE FROM jobs WHERE tenant_id = ?1 AND plugin = ?2
             AND job NOT IN (SELECT value FROM json_each(?3))",
        )?
        .execute((tenant, plugin, &names))?;
    connection
        .prepare_cached(
            "UPDATE job_runs SET state = 'skipped', claimed_by = NULL, note = ?4, ended_at = ?5
             WHERE tenant_id = ?1 AND plugin = ?2 AND state = 'waiting'
                 AND job NOT IN (SELECT value FROM json_each(?3))",
        )?
        .execute((tenant, plugin, &names, gone, at))?;
    Ok(())
}

fn plan_job(connection: &Connection, planned: &PlannedJob<'_>) -> Result<bool> {
    let PlannedJob { due, at, plan_at, runs, missed, skip } = planned;
    let (tenant, plugin, job) = (due.tenant.as_str(), due.plugin.as_str(), due.job.as_str());
    let at = at.timestamp_micros();
    let moved = connection
        .prepare_cached(
            "UPDATE jobs SET planned_until = ?6, plan_at = ?7
             WHERE tenant_id = ?1 AND plugin = ?2 AND job = ?3 AND schedule = ?4 AND planned_until = ?5
                 AND (SELECT enabled FROM activations AS a WHERE a.tenant_id = ?1 AND a.plugin = ?2)
                 AND NOT EXISTS (SELECT 1 FROM tenants AS t WHERE t.id = ?1 AND t.state = 'suspended')",
        )?
        .execute((
            tenant,
            plugin,
            job,
            &due.schedule,
            due.planned_until.timestamp_micros(),
            at,
            plan_at.map(|plan_at| plan_at.timestamp_micros()),
        ))?;
    if moved == 0 {
        return Ok(false);
    }
    let mut add = connection.prepare_cached(ADD)?;
    let cron = RunKind::Cron.as_str();
    if let Some((id, occasion, note)) = missed {
        let (id, occasion) = (&id.0.as_bytes()[..], occasion.timestamp_micros());
        let none = None::<&str>;
        add.execute((tenant, plugin, job, occasion, cron, id, none, "skipped", occasion, note, at))?;
    }
    let Some(first) = runs.first() else { return Ok(true) };
    let unended = connection
        .prepare_cached(
            "SELECT 1 FROM job_runs WHERE tenant_id = ?1 AND plugin = ?2 AND job = ?3 AND state = 'waiting'
             AND occasion <= ?4",
        )?
        .exists((tenant, plugin, job, first.occasion.timestamp_micros()))?;
    let skip = skip.filter(|_| unended);
    let (state, ended) = if skip.is_some() { ("skipped", Some(at)) } else { ("waiting", None) };
    for run in *runs {
        let (id, occasion) = (&run.id.0.as_bytes()[..], run.occasion.timestamp_micros());
        let (none, due_at) = (None::<&str>, run.due_at.timestamp_micros());
        add.execute((tenant, plugin, job, occasion, cron, id, none, state, due_at, skip, ended))?;
    }
    Ok(true)
}

fn claim(connection: &Connection, request: &RunRequest<'_>) -> Result<Vec<JobRun>> {
    workers::beat(connection, request.worker)?;
    // No character of a tenant's id needs an escape.
    let full: Vec<String> = request.full.iter().map(|tenant| format!("\"{tenant}\"")).collect();
    let full = format!("[{}]", full.join(","));
    let mut statement = connection.prepare_cached(&format!(
        "SELECT tenant_id, id FROM (
             SELECT r.tenant_id, r.id, r.due_at,
                 row_number() OVER (PARTITION BY r.tenant_id ORDER BY r.due_at, r.id) AS place
             FROM job_runs AS r WHERE {CLAIMABLE} AND r.tenant_id NOT IN (SELECT value FROM json_each(?4))
         ) WHERE place <= ?2 ORDER BY place, due_at, id LIMIT ?3"
    ))?;
    let at = request.at.timestamp_micros();
    let mut rows = statement.query((at, request.per_tenant, request.runs, full))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((crate::names::read_tenant(row, 0)?, RunId(crate::names::read_uuid(row, 1)?)));
    }
    drop(rows);
    let mut claimed = Vec::with_capacity(found.len());
    for (tenant, run) in found {
        claimed.extend(take(connection, &tenant, run, request.worker, request.at)?);
    }
    Ok(claimed)
}

/// Puts a run into a worker's hands.
fn take(
    connection: &Connection,
    tenant: &TenantId,
    run: RunId,
    worker: WorkerId,
    at: DateTime<Utc>,
) -> Result<Option<JobRun>> {
    let sql = format!(
        "UPDATE job_runs SET token = token + 1, attempts = attempts + 1, claimed_by = ?3, began_at = ?4
         WHERE tenant_id = ?1 AND id = ?2 RETURNING {CLAIMED}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let (run, worker) = (&run.0.as_bytes()[..], &worker.0.as_bytes()[..]);
    let mut rows = statement.query((tenant.as_str(), run, worker, at.timestamp_micros()))?;
    let claimed = rows.next()?.map(read_claimed).transpose()?;
    // Stepped to its end, or nothing of it is done.
    while rows.next()?.is_some() {}
    Ok(claimed)
}

fn add(connection: &Connection, one_off: &OneOff) -> Result<bool> {
    let OneOff { id, tenant, plugin, job, at, payload } = one_off;
    let (at, none) = (at.timestamp_micros(), None::<i64>);
    let added = connection.prepare_cached(ADD)?.execute((
        tenant.as_str(),
        plugin.as_str(),
        job.as_str(),
        at,
        RunKind::OneOff.as_str(),
        &id.0.as_bytes()[..],
        payload,
        "waiting",
        at,
        None::<&str>,
        none,
    ))?;
    Ok(added > 0)
}
