//! The statements of jobs and runs.

/// Sets jobs that are new or have another schedule, or were planned too far: tenant, plugin; names, schedules, when to plan
/// them; until when they are planned.
pub(super) const SET_JOBS: &str =
    "INSERT INTO erp_plugin.jobs AS own (tenant_id, plugin, job, schedule, planned_until, plan_at)
     SELECT $1, $2, j.job, j.schedule, $6, j.plan_at
     FROM unnest($3::text[], $4::text[], $5::timestamptz[]) AS j(job, schedule, plan_at)
     ON CONFLICT (tenant_id, plugin, job) DO UPDATE
     SET schedule = excluded.schedule, planned_until = excluded.planned_until, plan_at = excluded.plan_at
     WHERE own.schedule IS DISTINCT FROM excluded.schedule OR own.planned_until > excluded.planned_until";
/// Tenant, plugin, names of those that stay.
pub(super) const REMOVE_JOBS: &str =
    "DELETE FROM erp_plugin.jobs WHERE tenant_id = $1 AND plugin = $2 AND job <> ALL ($3::text[])";
/// Tenant, plugin, names of those that stay, note, when.
pub(super) const SKIP_GONE: &str =
    "UPDATE erp_plugin.job_runs SET state = 'skipped', claimed_by = NULL, note = $4, ended_at = $5
     WHERE tenant_id = $1 AND plugin = $2 AND state = 'waiting' AND job <> ALL ($3::text[])";
/// Jobs that are to be planned: at which moment, how many.
pub(crate) const DUE_JOBS: &str =
    "SELECT j.tenant_id, j.plugin, j.job, j.schedule, j.planned_until FROM erp_plugin.jobs AS j
     WHERE j.plan_at <= $1 AND EXISTS (
         SELECT FROM erp_plugin.activations AS a
         WHERE a.tenant_id = j.tenant_id AND a.plugin = j.plugin AND a.enabled
     ) AND NOT EXISTS (
         SELECT FROM erp_plugin.tenants AS t WHERE t.id = j.tenant_id AND t.state = 'suspended'
     ) ORDER BY j.plan_at LIMIT $2";
/// A job that was planned: tenant, plugin, job; its schedule and until when it was planned; the same now, and when next.
pub(super) const PLANNED: &str = "UPDATE erp_plugin.jobs SET planned_until = $6, plan_at = $7
     WHERE tenant_id = $1 AND plugin = $2 AND job = $3 AND schedule = $4 AND planned_until = $5 AND EXISTS (
         SELECT FROM erp_plugin.activations AS a WHERE a.tenant_id = $1 AND a.plugin = $2 AND a.enabled
     ) AND NOT EXISTS (
         SELECT FROM erp_plugin.tenants AS t WHERE t.id = $1 AND t.state = 'suspended'
     )";
/// Tenant, plugin, job; until when it was planned; when next.
pub(super) const PUT_OFF: &str = "UPDATE erp_plugin.jobs SET plan_at = $5
     WHERE tenant_id = $1 AND plugin = $2 AND job = $3 AND planned_until = $4";
/// Whether a run of this job until an occasion has not ended.
pub(super) const UNENDED: &str = "SELECT EXISTS (
         SELECT FROM erp_plugin.job_runs
         WHERE tenant_id = $1 AND plugin = $2 AND job = $3 AND state = 'waiting' AND occasion <= $4
     )";
/// Has a job's row.
pub(super) const LOCK_JOB: &str =
    "SELECT plan_at FROM erp_plugin.jobs WHERE tenant_id = $1 AND plugin = $2 AND job = $3 FOR UPDATE";
/// Whether somebody has a run of this job in hand.
pub(super) const IN_HAND: &str = "SELECT EXISTS (
         SELECT FROM erp_plugin.job_runs
         WHERE tenant_id = $1 AND plugin = $2 AND job = $3 AND claimed_by IS NOT NULL
     )";
/// Adds a run: tenant, plugin, job, occasion, kind, id, payload, state, due, note, ended.
pub(super) const ADD: &str = "INSERT INTO erp_plugin.job_runs
         (tenant_id, plugin, job, occasion, kind, id, payload, state, token, attempts, due_at, note, ended_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, $9, $10, $11) ON CONFLICT DO NOTHING";
/// A claim's run ends, whatever it comes to: tenant, plugin, job, occasion, kind, id, token.
macro_rules! of_claim {
    ($set:literal) => {
        concat!(
            "UPDATE erp_plugin.job_runs SET claimed_by = NULL, ",
            $set,
            " WHERE tenant_id = $1 AND plugin = $2 AND job = $3 AND occasion = $4 AND kind = $5 AND id = $6
                 AND token = $7 AND claimed_by IS NOT NULL"
        )
    };
}
/// When it ended.
pub(super) const DONE: &str = of_claim!("state = 'done', note = NULL, ended_at = $8");
/// State, error, when, when it ended, when again.
pub(super) const FAIL: &str = of_claim!(
    "state = $8, note = $9, failed_at = $10, ended_at = $11, due_at = coalesce($12::timestamptz, due_at)"
);
/// When it may begin.
pub(super) const RELEASE: &str = of_claim!("attempts = attempts - 1, failed_at = NULL, due_at = $8");
/// Tenant, run, when.
pub(super) const RETRY: &str = "UPDATE erp_plugin.job_runs
     SET state = 'waiting', attempts = 0, due_at = $3, failed_at = NULL, ended_at = NULL
     WHERE tenant_id = $1 AND id = $2 AND claimed_by IS NULL
         AND (state = 'failed' OR (state = 'waiting' AND attempts > 0))";
/// Tenant, run, note, when.
pub(super) const CANCEL: &str = "UPDATE erp_plugin.job_runs SET state = 'skipped', note = $3, ended_at = $4
     WHERE tenant_id = $1 AND id = $2 AND state = 'waiting' AND claimed_by IS NULL";
/// Until when, how many.
pub(super) const PRUNE: &str = "DELETE FROM erp_plugin.job_runs AS r USING (
         SELECT tenant_id, id FROM erp_plugin.job_runs WHERE ended_at < $1 ORDER BY ended_at LIMIT $2
     ) AS old WHERE r.tenant_id = old.tenant_id AND r.id = old.id";

/// What a run that may be claimed at the moment $1 is like: of an active tenant's enabled plugin that is not out of use, due,
/// or failed at a moment that is still to come because the clock went back, and the first of its job, of which none is in hand.
const CLAIMABLE: &str =
    "r.state = 'waiting' AND r.claimed_by IS NULL AND (r.due_at <= $1 OR r.failed_at > $1) AND EXISTS (
         SELECT FROM erp_plugin.activations AS a
         WHERE a.tenant_id = r.tenant_id AND a.plugin = r.plugin AND a.enabled
             AND (a.quarantined_until IS NULL OR a.quarantined_until <= $1)
     ) AND NOT EXISTS (
         SELECT FROM erp_plugin.tenants AS t WHERE t.id = r.tenant_id AND t.state = 'suspended'
     ) AND NOT EXISTS (
         SELECT FROM erp_plugin.job_runs AS o
         WHERE o.tenant_id = r.tenant_id AND o.plugin = r.plugin AND o.job = r.job AND o.state = 'waiting'
             AND (o.claimed_by IS NOT NULL OR (o.occasion, o.kind) < (r.occasion, r.kind))
     )";
/// A run, out of `job_runs` as `r`.
const RUN: &str = "r.id, r.plugin, r.job, r.occasion, r.kind, r.payload,
     CASE WHEN r.claimed_by IS NULL THEN r.state ELSE 'running' END, r.attempts, r.due_at, r.note, r.began_at, r.ended_at";
/// A run that is being claimed.
const CLAIMED: &str =
    "r.id, r.tenant_id, r.plugin, r.job, r.occasion, r.kind, r.payload, r.token, r.attempts";

/// Whether a run may be claimed at a moment.
pub(super) fn is_run_due() -> String {
    format!("SELECT EXISTS (SELECT FROM erp_plugin.job_runs AS r {OF_JOB} WHERE {CLAIMABLE})")
}

const OF_JOB: &str = "JOIN erp_plugin.jobs AS j
         ON j.tenant_id = r.tenant_id AND j.plugin = r.plugin AND j.job = r.job";

/// Runs that may be claimed at a moment, with the rows of their jobs: at most $2 of a tenant, $3 of all, none of the tenants
/// at $4. Nobody waits for a job that is being planned.
pub(super) fn candidates() -> String {
    format!(
        "WITH ranked AS (
             SELECT r.tenant_id, r.plugin, r.job, r.id, r.due_at,
                 row_number() OVER (PARTITION BY r.tenant_id ORDER BY r.due_at, r.id) AS place
             FROM erp_plugin.job_runs AS r {OF_JOB}
             WHERE {CLAIMABLE} AND NOT (r.tenant_id = ANY ($4::text[]))
         ), chosen AS (
             SELECT * FROM ranked WHERE place <= $2 ORDER BY place, due_at, id LIMIT $3
         )
         SELECT r.tenant_id, r.id FROM chosen AS r {OF_JOB}
         ORDER BY r.place, r.due_at, r.id FOR UPDATE OF j SKIP LOCKED"
    )
}

/// Claims runs whose jobs are locked: the moment, tenants, ids, the worker. Sent apart from what locks them, so that it sees
/// what became of them until then.
pub(super) fn claim() -> String {
    format!(
        "WITH claimed AS (
             UPDATE erp_plugin.job_runs AS r
             SET token = r.token + 1, attempts = r.attempts + 1, claimed_by = $4, began_at = $1
             FROM unnest($2::text[], $3::uuid[]) WITH ORDINALITY AS c(tenant_id, id, turn)
             WHERE r.tenant_id = c.tenant_id AND r.id = c.id AND {CLAIMABLE}
             RETURNING {CLAIMED}, c.turn
         )
         SELECT * FROM claimed ORDER BY turn"
    )
}

/// Puts a run into a worker's hands: tenant, run, worker, when.
pub(super) fn take() -> String {
    format!(
        "UPDATE erp_plugin.job_runs AS r
         SET token = r.token + 1, attempts = r.attempts + 1, claimed_by = $3, began_at = $4
         WHERE r.tenant_id = $1 AND r.id = $2 RETURNING {CLAIMED}"
    )
}

/// The jobs of a tenant with the last runs until a moment: plugin, job, schedule, until when it is planned, whether its plugin
/// is enabled, the run.
pub(super) fn jobs() -> String {
    format!(
        "SELECT j.plugin, j.job, j.schedule, j.planned_until, EXISTS (
             SELECT FROM erp_plugin.activations AS a
             WHERE a.tenant_id = j.tenant_id AND a.plugin = j.plugin AND a.enabled
         ), {RUN}
         FROM erp_plugin.jobs AS j LEFT JOIN LATERAL (
             SELECT * FROM erp_plugin.job_runs AS r
             WHERE r.tenant_id = j.tenant_id AND r.plugin = j.plugin AND r.job = j.job AND r.occasion <= $2
             ORDER BY r.occasion DESC, r.kind DESC LIMIT 1
         ) AS r ON true
         WHERE j.tenant_id = $1 ORDER BY j.plugin, j.job"
    )
}

/// The runs of a tenant: plugin, job, state; how many.
pub(super) fn runs() -> String {
    format!(
        "SELECT {RUN} FROM erp_plugin.job_runs AS r
         WHERE r.tenant_id = $1 AND ($2::text IS NULL OR r.plugin = $2) AND ($3::text IS NULL OR r.job = $3)
             AND ($4::text IS NULL OR CASE WHEN r.claimed_by IS NULL THEN r.state ELSE 'running' END = $4)
         ORDER BY r.occasion DESC, r.plugin, r.job, r.kind LIMIT $5"
    )
}

/// A run of a tenant.
pub(super) fn run() -> String {
    format!("SELECT {RUN} FROM erp_plugin.job_runs AS r WHERE r.tenant_id = $1 AND r.id = $2")
}
