//! Jobs: what is planned, who runs it, what becomes of it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use erp_plugin_model::job::{JobRun, RunKind, RunState};
use erp_plugin_model::{JobName, RunId, WorkerId};
use erp_plugin_storage::{
    ActivationState, DueJob, NewJob, OneOff, PlannedJob, PlannedRun, Quarantine, RunFailure, RunFilter,
    RunRequest, Storage, StoredRun, TenantState,
};

use crate::fixture::{ALPHA, BETA, new_uuid, platform, plugin, tenant, time, worker, write};

const PLUGIN: &str = "stock";
/// What every job of these cases has for a schedule; nothing here reads it.
const SCHEDULE: &str = "0 6 * * * UTC";
const GONE: &str = "there is no such job any more";

fn job(name: &str) -> JobName {
    JobName::parse(name).unwrap()
}

fn new_job(name: &str, schedule: Option<&str>, plan_at: Option<DateTime<Utc>>) -> NewJob {
    NewJob { job: job(name), schedule: schedule.map(str::to_owned), plan_at }
}

async fn set_enabled(storage: &Arc<dyn Storage>, tenant: &str, enabled: bool) {
    let state = ActivationState {
        enabled,
        ..ActivationState::enabled(plugin(PLUGIN), semver::Version::new(1, 0, 0))
    };
    let mut transaction = write(storage, tenant).await;
    transaction.set_activation(&state, &[]).await.unwrap();
    transaction.commit(None).await.unwrap();
}

async fn set_jobs(storage: &Arc<dyn Storage>, tenant: &str, jobs: &[NewJob], at: i64) {
    let mut transaction = write(storage, tenant).await;
    transaction.set_jobs(&plugin(PLUGIN), jobs, time(at), GONE).await.unwrap();
    transaction.commit(None).await.unwrap();
}

/// A tenant in which the plugin is enabled since the moment 0, with jobs that are due at 10 for the first time.
async fn enable(storage: &Arc<dyn Storage>, tenant: &str, names: &[&str]) {
    set_enabled(storage, tenant, true).await;
    let jobs: Vec<NewJob> = names.iter().map(|name| new_job(name, Some(SCHEDULE), Some(time(10)))).collect();
    set_jobs(storage, tenant, &jobs, 0).await;
}

async fn due_jobs(storage: &Arc<dyn Storage>, at: i64) -> Vec<DueJob> {
    platform(storage).await.due_jobs(time(at), 100).await.unwrap()
}

fn planned_run(occasion: i64) -> PlannedRun {
    PlannedRun { id: RunId(new_uuid()), occasion: time(occasion), due_at: time(occasion) }
}

/// Plans a job that is due, and returns whether that was new.
async fn plan(storage: &Arc<dyn Storage>, due: &DueJob, at: i64, occasions: &[i64]) -> bool {
    plan_or_skip(storage, due, at, occasions, None).await
}

async fn plan_or_skip(
    storage: &Arc<dyn Storage>,
    due: &DueJob,
    at: i64,
    occasions: &[i64],
    skip: Option<&str>,
) -> bool {
    let runs: Vec<PlannedRun> = occasions.iter().map(|occasion| planned_run(*occasion)).collect();
    let planned =
        PlannedJob { due, at: time(at), plan_at: Some(time(at + 10)), runs: &runs, missed: None, skip };
    let mut platform = platform(storage).await;
    let is_new = platform.plan_job(&planned).await.unwrap();
    platform.commit().await.unwrap();
    is_new
}

/// Plans occasions of the only job that is due.
async fn given(storage: &Arc<dyn Storage>, at: i64, occasions: &[i64]) {
    let due = due_jobs(storage, at).await;
    assert_eq!(due.len(), 1, "{due:?}");
    assert!(plan(storage, &due[0], at, occasions).await);
}

async fn claim(storage: &Arc<dyn Storage>, worker: WorkerId, at: i64) -> Vec<JobRun> {
    let request = RunRequest { worker, at: time(at), runs: 100, per_tenant: 100, full: &[] };
    claim_with(storage, &request).await
}

async fn claim_with(storage: &Arc<dyn Storage>, request: &RunRequest<'_>) -> Vec<JobRun> {
    let mut platform = platform(storage).await;
    let is_due = platform.is_run_due(request.at).await.unwrap();
    let claimed = platform.claim_runs(request).await.unwrap();
    assert!(is_due || claimed.is_empty(), "{claimed:?}");
    platform.commit().await.unwrap();
    claimed
}

async fn done(storage: &Arc<dyn Storage>, run: &JobRun, at: i64) -> bool {
    let mut transaction = write(storage, run.tenant.as_str()).await;
    let ours = transaction.mark_run_done(run, time(at)).await.unwrap();
    transaction.commit(None).await.unwrap();
    ours
}

async fn fail(storage: &Arc<dyn Storage>, run: &JobRun, at: i64, retry_at: Option<i64>) -> bool {
    let mut platform = platform(storage).await;
    let failure = RunFailure { run, error: "no stock\n名", at: time(at), retry_at: retry_at.map(time) };
    let ours = platform.fail_run(failure).await.unwrap();
    platform.commit().await.unwrap();
    ours
}

async fn runs(storage: &Arc<dyn Storage>, tenant_name: &str) -> Vec<StoredRun> {
    platform(storage).await.runs(&tenant(tenant_name), &RunFilter::default(), 1000).await.unwrap()
}

/// Occasions and states, the latest first.
async fn states(storage: &Arc<dyn Storage>, tenant: &str) -> Vec<(i64, RunState)> {
    let seconds = |run: &StoredRun| (run.occasion - time(0)).num_seconds();
    runs(storage, tenant).await.iter().map(|run| (seconds(run), run.state)).collect()
}

fn one_off(tenant_name: &str, name: &str, at: i64, payload: Option<&str>) -> OneOff {
    OneOff {
        id: RunId(new_uuid()),
        tenant: tenant(tenant_name),
        plugin: plugin(PLUGIN),
        job: job(name),
        at: time(at),
        payload: payload.map(str::to_owned),
    }
}

async fn add(storage: &Arc<dyn Storage>, one_off: &OneOff) -> bool {
    let mut platform = platform(storage).await;
    let added = platform.add_run(one_off).await.unwrap();
    platform.commit().await.unwrap();
    added
}

async fn set_state(storage: &Arc<dyn Storage>, state: TenantState) {
    let mut platform = platform(storage).await;
    platform.create_tenant(&tenant(ALPHA), time(0)).await.unwrap();
    platform.set_tenant_state(&tenant(ALPHA), state).await.unwrap();
    platform.commit().await.unwrap();
}

fn occasions(runs: &[JobRun]) -> Vec<i64> {
    runs.iter().map(|run| (run.occasion - time(0)).num_seconds()).collect()
}

pub async fn what_is_due_is_planned_once(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder"]).await;
    assert!(due_jobs(&storage, 9).await.is_empty());
    let due = due_jobs(&storage, 10).await;
    let expected = DueJob {
        tenant: tenant(ALPHA),
        plugin: plugin(PLUGIN),
        job: job("reorder"),
        schedule: SCHEDULE.to_owned(),
        planned_until: time(0),
    };
    assert_eq!(due, [expected]);
    assert!(plan(&storage, &due[0], 10, &[10]).await);
    // Whoever read the same comes too late, whatever they would have planned.
    assert!(!plan(&storage, &due[0], 11, &[10, 11]).await);
    assert_eq!(states(&storage, ALPHA).await, [(10, RunState::Waiting)]);
    assert!(due_jobs(&storage, 19).await.is_empty());
    let next = due_jobs(&storage, 20).await;
    assert_eq!(next[0].planned_until, time(10));
    // Nothing lasts of what is rolled back.
    let mut platform = platform(&storage).await;
    let runs = [planned_run(20)];
    let planned =
        PlannedJob { due: &next[0], at: time(20), plan_at: None, runs: &runs, missed: None, skip: None };
    assert!(platform.plan_job(&planned).await.unwrap());
    platform.rollback().await.unwrap();
    assert_eq!((due_jobs(&storage, 20).await, runs_of(&storage).await), (next, 1));
}

async fn runs_of(storage: &Arc<dyn Storage>) -> usize {
    runs(storage, ALPHA).await.len()
}

pub async fn an_occasion_has_one_run_whatever_the_clock_says(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder"]).await;
    given(&storage, 20, &[10, 20]).await;
    let claimed = claim(&storage, worker(), 20).await;
    assert!(done(&storage, &claimed[0], 21).await);
    // Somebody whose clock is behind enables it anew, and plans the same occasions again.
    set_jobs(&storage, ALPHA, &[new_job("reorder", Some(SCHEDULE), Some(time(10)))], 5).await;
    let due = due_jobs(&storage, 30).await;
    assert_eq!(due[0].planned_until, time(5));
    assert!(plan(&storage, &due[0], 30, &[10, 20, 30]).await);
    let expected = [(30, RunState::Waiting), (20, RunState::Waiting), (10, RunState::Done)];
    assert_eq!(states(&storage, ALPHA).await, expected);
}

pub async fn an_occasion_is_skipped_while_the_run_before_it_has_not_ended(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder"]).await;
    let skip = |at: i64| {
        let storage = Arc::clone(&storage);
        async move {
            let due = due_jobs(&storage, at).await;
            assert!(plan_or_skip(&storage, &due[0], at, &[at], Some("too slow")).await);
        }
    };
    // What is planned together waits in line.
    let due = due_jobs(&storage, 20).await;
    assert!(plan_or_skip(&storage, &due[0], 20, &[10, 20], Some("too slow")).await);
    assert_eq!(states(&storage, ALPHA).await, [(20, RunState::Waiting), (10, RunState::Waiting)]);
    skip(30).await;
    let skipped = runs(&storage, ALPHA).await.remove(0);
    assert_eq!((skipped.state, skipped.note.as_deref()), (RunState::Skipped, Some("too slow")));
    assert_eq!((skipped.ended_at, skipped.attempts), (Some(time(30)), 0));
    let own = worker();
    for at in [10, 20] {
        let claimed = claim(&storage, own, 30).await;
        assert_eq!(occasions(&claimed), [at]);
        // One that waits to be tried again has not ended either.
        assert!(fail(&storage, &claimed[0], 31, Some(1000)).await);
        skip(31 + at).await;
        let again = claim(&storage, own, 1000).await;
        assert!(done(&storage, &again[0], 1001).await);
    }
    skip(70).await;
    let latest = runs(&storage, ALPHA).await;
    assert_eq!((latest[0].occasion, latest[0].state), (time(70), RunState::Waiting));
    // A run that somebody asked for at a later moment is none before it.
    assert!(done(&storage, &claim(&storage, own, 70).await[0], 71).await);
    assert!(add(&storage, &one_off(ALPHA, "reorder", 500, None)).await);
    skip(80).await;
    assert_eq!(occasions(&claim(&storage, own, 80).await), [80]);
}

pub async fn what_was_missed_is_told_in_the_history(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder"]).await;
    let due = due_jobs(&storage, 50).await;
    let (id, runs) = (RunId(new_uuid()), [planned_run(50)]);
    let planned = PlannedJob {
        due: &due[0],
        at: time(50),
        plan_at: None,
        runs: &runs,
        missed: Some((id, time(40), "everything from 10 to 40 was missed")),
        skip: Some("too slow"),
    };
    let mut planning = platform(&storage).await;
    assert!(planning.plan_job(&planned).await.unwrap());
    planning.commit().await.unwrap();
    assert_eq!(states(&storage, ALPHA).await, [(50, RunState::Waiting), (40, RunState::Skipped)]);
    let told = platform(&storage).await.run(&tenant(ALPHA), id).await.unwrap().unwrap();
    assert_eq!(told.note.as_deref(), Some("everything from 10 to 40 was missed"));
    assert_eq!((told.kind, told.ended_at, told.began_at), (RunKind::Cron, Some(time(50)), None));
    assert!(due_jobs(&storage, 1_000_000).await.is_empty(), "there is no next");
}

pub async fn what_cannot_be_planned_is_put_off(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder"]).await;
    let due = due_jobs(&storage, 10).await;
    let mut platform = platform(&storage).await;
    platform.put_off(&due[0], time(70)).await.unwrap();
    platform.commit().await.unwrap();
    assert!(due_jobs(&storage, 69).await.is_empty());
    assert_eq!(due_jobs(&storage, 70).await, due, "it is planned no further than it was");
}

pub async fn nothing_is_planned_or_claimed_where_nothing_is_done(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder"]).await;
    enable(&storage, BETA, &["reorder"]).await;
    let due = due_jobs(&storage, 10).await;
    assert_eq!(due.len(), 2);
    let own = due.iter().find(|due| due.tenant == tenant(ALPHA)).unwrap();
    let closed = |storage: Arc<dyn Storage>| async move {
        assert!(due_jobs(&storage, 10).await.iter().all(|due| due.tenant == tenant(BETA)));
        assert!(claim(&storage, worker(), 100).await.is_empty());
    };
    // It was read before, and is not planned.
    set_enabled(&storage, ALPHA, false).await;
    assert!(!plan(&storage, own, 10, &[10]).await);
    closed(Arc::clone(&storage)).await;
    set_enabled(&storage, ALPHA, true).await;
    set_state(&storage, TenantState::Suspended).await;
    assert!(!plan(&storage, own, 10, &[10]).await);
    closed(Arc::clone(&storage)).await;
    set_state(&storage, TenantState::Active).await;
    assert!(plan(&storage, own, 10, &[10]).await);
    // What was planned before waits.
    set_state(&storage, TenantState::Suspended).await;
    closed(Arc::clone(&storage)).await;
    set_state(&storage, TenantState::Active).await;
    set_enabled(&storage, ALPHA, false).await;
    closed(Arc::clone(&storage)).await;
    set_enabled(&storage, ALPHA, true).await;
    let claimed = claim(&storage, worker(), 100).await;
    assert_eq!((occasions(&claimed), claimed[0].attempt), (vec![10], 1));
}

pub async fn a_job_with_another_schedule_is_planned_anew(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder"]).await;
    given(&storage, 10, &[10]).await;
    // The same again changes nothing.
    set_jobs(&storage, ALPHA, &[new_job("reorder", Some(SCHEDULE), Some(time(110)))], 100).await;
    assert_eq!(due_jobs(&storage, 20).await[0].planned_until, time(10));
    let other = "0 7 * * * UTC";
    set_jobs(&storage, ALPHA, &[new_job("reorder", Some(other), Some(time(110)))], 100).await;
    assert!(due_jobs(&storage, 109).await.is_empty());
    let due = due_jobs(&storage, 110).await;
    assert_eq!((due[0].planned_until, due[0].schedule.as_str()), (time(100), other));
    // Without a schedule it is never due.
    set_jobs(&storage, ALPHA, &[new_job("reorder", None, None)], 120).await;
    assert!(due_jobs(&storage, 1_000_000).await.is_empty());
    assert!(!plan(&storage, &due[0], 130, &[130]).await, "it was read before");
    // One that was planned further than now: a clock was wrong.
    set_jobs(&storage, ALPHA, &[new_job("reorder", Some(SCHEDULE), Some(time(210)))], 200).await;
    set_jobs(&storage, ALPHA, &[new_job("reorder", Some(SCHEDULE), Some(time(160)))], 150).await;
    assert_eq!(due_jobs(&storage, 160).await[0].planned_until, time(150));
}

pub async fn a_job_that_is_gone_has_nothing_to_run(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder", "report"]).await;
    for due in due_jobs(&storage, 10).await {
        assert!(plan(&storage, &due, 10, &[10]).await);
    }
    let claimed = claim(&storage, worker(), 10).await;
    assert_eq!(claimed.len(), 2);
    set_jobs(&storage, ALPHA, &[new_job("report", Some(SCHEDULE), Some(time(20)))], 15).await;
    assert_eq!(due_jobs(&storage, 20).await.len(), 1);
    let ended = |name: &str| {
        let run = claimed.iter().find(|run| run.job.as_str() == name).unwrap();
        done(&storage, run, 16)
    };
    assert!(!ended("reorder").await && ended("report").await);
    let all = runs(&storage, ALPHA).await;
    let gone = all.iter().find(|run| run.job.as_str() == "reorder").unwrap();
    assert_eq!((gone.state, gone.note.as_deref()), (RunState::Skipped, Some(GONE)));
    assert_eq!(gone.ended_at, Some(time(15)));
    set_jobs(&storage, ALPHA, &[], 17).await;
    assert!(due_jobs(&storage, 1000).await.is_empty());
}

pub async fn a_run_is_claimed_when_it_is_due(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder"]).await;
    let due = due_jobs(&storage, 10).await;
    let runs = [PlannedRun { due_at: time(14), ..planned_run(10) }];
    let planned =
        PlannedJob { due: &due[0], at: time(10), plan_at: None, runs: &runs, missed: None, skip: None };
    let mut planning = platform(&storage).await;
    assert!(planning.plan_job(&planned).await.unwrap());
    planning.commit().await.unwrap();
    assert!(!platform(&storage).await.is_run_due(time(13)).await.unwrap());
    assert!(claim(&storage, worker(), 13).await.is_empty());
    assert!(platform(&storage).await.is_run_due(time(14)).await.unwrap());
    let claimed = claim(&storage, worker(), 14).await;
    let run = &claimed[0];
    assert_eq!((run.id, run.occasion, run.attempt), (runs[0].id, time(10), 1));
    assert_eq!((run.tenant.as_str(), run.plugin.as_str(), run.job.as_str()), (ALPHA, PLUGIN, "reorder"));
    assert_eq!((run.kind, &run.payload), (RunKind::Cron, &None));
    let stored = platform(&storage).await.run(&tenant(ALPHA), run.id).await.unwrap().unwrap();
    assert_eq!((stored.state, stored.began_at, stored.attempts), (RunState::Running, Some(time(14)), 1));
    assert!(!platform(&storage).await.is_run_due(time(1000)).await.unwrap());
}

pub async fn a_run_is_in_one_workers_hands(storage: Arc<dyn Storage>) {
    for tenant in [ALPHA, BETA] {
        enable(&storage, tenant, &["reorder", "report"]).await;
    }
    for due in due_jobs(&storage, 10).await {
        assert!(plan(&storage, &due, 10, &[10]).await);
    }
    // Three at once, again and again: one passes over what another is just claiming.
    let mut claimed = Vec::new();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let storage = Arc::clone(&storage);
        tasks.spawn(async move {
            let (own, mut claimed) = (worker(), Vec::new());
            for _ in 0..40 {
                let request = RunRequest { worker: own, at: time(10), runs: 1, per_tenant: 1, full: &[] };
                claimed.extend(claim_with_retries(&storage, &request).await);
            }
            claimed
        });
    }
    while let Some(own) = tasks.join_next().await {
        claimed.extend(own.unwrap());
    }
    let mut ids: Vec<RunId> = claimed.iter().map(|run| run.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), claimed.len()), (4, 4), "{claimed:?}");
    assert!(claimed.iter().all(|run| run.attempt == 1));
}

async fn claim_with_retries(storage: &Arc<dyn Storage>, request: &RunRequest<'_>) -> Vec<JobRun> {
    crate::fixture::retried(|| async {
        let mut platform = platform(storage).await;
        let claimed = platform.claim_runs(request).await?;
        platform.commit().await?;
        Ok(claimed)
    })
    .await
}

pub async fn runs_of_one_job_come_one_after_the_other(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder", "report"]).await;
    for due in due_jobs(&storage, 30).await {
        assert!(plan(&storage, &due, 30, &[10, 20, 30]).await);
    }
    let own = worker();
    let first = claim(&storage, own, 30).await;
    assert_eq!(occasions(&first), [10, 10], "one of each job");
    assert!(claim(&storage, own, 30).await.is_empty());
    assert!(done(&storage, &first[0], 31).await);
    let second = claim(&storage, own, 31).await;
    assert_eq!((occasions(&second), &second[0].job), (vec![20], &first[0].job));
    // What waits to be tried again is still the first.
    assert!(fail(&storage, &second[0], 32, Some(40)).await);
    assert!(claim(&storage, own, 39).await.is_empty());
    let again = claim(&storage, own, 40).await;
    assert_eq!((occasions(&again), again[0].attempt), (vec![20], 2));
    assert!(fail(&storage, &again[0], 41, None).await);
    let third = claim(&storage, own, 41).await;
    assert_eq!((occasions(&third), third[0].attempt), (vec![30], 1), "a failure does not stop the next");
}

pub async fn claims_of_runs_leave_room_for_other_tenants(storage: Arc<dyn Storage>) {
    let names = ["a", "b", "c", "d"];
    enable(&storage, ALPHA, &names).await;
    enable(&storage, BETA, &names[..1]).await;
    for due in due_jobs(&storage, 10).await {
        let occasion = if due.tenant == tenant(BETA) { 10 } else { 9 };
        assert!(plan(&storage, &due, 10, &[occasion]).await);
    }
    let own = worker();
    let full = [tenant(ALPHA)];
    let request = RunRequest { worker: own, at: time(10), runs: 3, per_tenant: 2, full: &full };
    let tenants = |runs: &[JobRun]| runs.iter().map(|run| run.tenant.to_string()).collect::<Vec<_>>();
    let mut claiming = platform(&storage).await;
    assert_eq!(tenants(&claiming.claim_runs(&request).await.unwrap()), [BETA]);
    claiming.rollback().await.unwrap();
    let claimed = claim_with(&storage, &RunRequest { full: &[], ..request }).await;
    assert_eq!(tenants(&claimed), [ALPHA, BETA, ALPHA], "as many of one as of another");
    let claimed = claim_with(&storage, &RunRequest { full: &[], runs: 1, ..request }).await;
    assert_eq!(tenants(&claimed), [ALPHA]);
}

pub async fn a_failed_run_waits_for_its_time(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder"]).await;
    given(&storage, 10, &[10]).await;
    let own = worker();
    let run = claim(&storage, own, 10).await.remove(0);
    assert!(fail(&storage, &run, 12, Some(20)).await);
    let stored = runs(&storage, ALPHA).await.remove(0);
    assert_eq!((stored.state, stored.due_at, stored.ended_at), (RunState::Waiting, time(20), None));
    assert_eq!(stored.note.as_deref(), Some("no stock\n名"));
    assert!(claim(&storage, own, 19).await.is_empty());
    // By a clock that was set back it has not failed yet.
    let run = claim(&storage, own, 11).await.remove(0);
    assert_eq!(run.attempt, 2);
    assert!(fail(&storage, &run, 12, None).await);
    let stored = runs(&storage, ALPHA).await.remove(0);
    assert_eq!((stored.state, stored.ended_at, stored.attempts), (RunState::Failed, Some(time(12)), 2));
    assert!(claim(&storage, own, 1_000_000).await.is_empty());
}

pub async fn a_done_mark_is_part_of_its_transaction(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder"]).await;
    given(&storage, 10, &[10]).await;
    let run = claim(&storage, worker(), 10).await.remove(0);
    let mut transaction = write(&storage, ALPHA).await;
    assert!(transaction.mark_run_done(&run, time(11)).await.unwrap());
    transaction.rollback(None).await.unwrap();
    assert_eq!(states(&storage, ALPHA).await, [(10, RunState::Running)]);
    assert!(done(&storage, &run, 12).await);
    assert!(!done(&storage, &run, 13).await, "once");
    let stored = runs(&storage, ALPHA).await.remove(0);
    assert_eq!((stored.state, stored.ended_at, stored.note), (RunState::Done, Some(time(12)), None));
}

pub async fn a_stale_claim_of_a_run_cannot_end_it(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder"]).await;
    given(&storage, 10, &[10]).await;
    let dead = worker();
    let stale = claim(&storage, dead, 10).await.remove(0);
    let late = |storage: Arc<dyn Storage>, stale: JobRun| async move {
        let mut platform = platform(&storage).await;
        assert!(!platform.release_run(&stale, time(20)).await.unwrap());
        platform.commit().await.unwrap();
        assert!(!done(&storage, &stale, 20).await && !fail(&storage, &stale, 20, None).await);
    };
    retire(&storage, dead).await;
    // It was taken for dead, and comes too late, whether or not somebody else has the run by now.
    late(Arc::clone(&storage), stale.clone()).await;
    let fresh = claim(&storage, worker(), 10).await.remove(0);
    assert!(fresh.token > stale.token && fresh.attempt == 2);
    late(Arc::clone(&storage), stale).await;
    assert!(done(&storage, &fresh, 21).await);
}

async fn retire(storage: &Arc<dyn Storage>, worker: WorkerId) {
    let mut platform = platform(storage).await;
    let state = platform.workers().await.unwrap().into_iter().find(|state| state.worker == worker).unwrap();
    assert!(state.is_busy);
    assert!(platform.retire(state).await.unwrap());
    platform.commit().await.unwrap();
}

pub async fn another_tenant_cannot_end_a_run(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder"]).await;
    enable(&storage, BETA, &["reorder"]).await;
    let due = due_jobs(&storage, 10).await;
    assert!(plan(&storage, due.iter().find(|due| due.tenant == tenant(ALPHA)).unwrap(), 10, &[10]).await);
    let run = claim(&storage, worker(), 10).await.remove(0);
    let mut other = write(&storage, BETA).await;
    assert!(!other.mark_run_done(&run, time(11)).await.unwrap());
    let disguised = JobRun { tenant: tenant(BETA), ..run.clone() };
    assert!(!other.mark_run_done(&disguised, time(11)).await.unwrap());
    // Its own jobs it can set, and nobody else's.
    other.set_jobs(&plugin(PLUGIN), &[], time(11), GONE).await.unwrap();
    other.commit(None).await.unwrap();
    assert_eq!(states(&storage, ALPHA).await, [(10, RunState::Running)]);
    assert!(done(&storage, &run, 12).await);
}

pub async fn who_is_retired_has_no_run_in_hand(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder"]).await;
    given(&storage, 10, &[10]).await;
    let dead = worker();
    claim(&storage, dead, 10).await;
    assert!(claim(&storage, worker(), 10).await.is_empty());
    retire(&storage, dead).await;
    assert_eq!(states(&storage, ALPHA).await, [(10, RunState::Waiting)]);
    let again = claim(&storage, worker(), 10).await;
    assert_eq!(again[0].attempt, 2, "the attempt stays counted");
}

pub async fn a_run_that_is_given_back_was_not_attempted(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder"]).await;
    given(&storage, 10, &[10]).await;
    let own = worker();
    let run = claim(&storage, own, 10).await.remove(0);
    let mut platform = platform(&storage).await;
    assert!(platform.release_run(&run, time(15)).await.unwrap());
    assert!(!platform.release_run(&run, time(15)).await.unwrap());
    platform.commit().await.unwrap();
    assert!(claim(&storage, own, 14).await.is_empty());
    assert_eq!(claim(&storage, own, 15).await[0].attempt, 1);
}

pub async fn a_one_off_brings_its_payload(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder"]).await;
    let own = one_off(ALPHA, "reorder", 10, Some(r#"{"n": 1.50, "t": "名"}"#));
    assert!(add(&storage, &own).await);
    assert!(!add(&storage, &OneOff { id: RunId(new_uuid()), ..own.clone() }).await, "that moment is taken");
    // What the schedule says of that moment is another run.
    given(&storage, 10, &[10]).await;
    let own_worker = worker();
    assert!(claim(&storage, own_worker, 9).await.is_empty());
    let cron = claim(&storage, own_worker, 10).await;
    assert_eq!((cron.len(), cron[0].kind), (1, RunKind::Cron));
    assert!(done(&storage, &cron[0], 11).await);
    let claimed = claim(&storage, own_worker, 11).await.remove(0);
    assert_eq!((claimed.id, claimed.kind, claimed.payload), (own.id, RunKind::OneOff, own.payload));
}

pub async fn a_run_at_once_comes_alone(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder", "report"]).await;
    let begin = |name: &'static str, at: i64| {
        let storage = Arc::clone(&storage);
        async move {
            let mut platform = platform(&storage).await;
            let own = worker();
            let begun = platform.start_run(own, &one_off(ALPHA, name, at, None)).await.unwrap();
            platform.commit().await.unwrap();
            begun.map(|run| (own, run))
        }
    };
    let (own, run) = begin("reorder", 20).await.unwrap();
    assert_eq!((run.attempt, run.kind, run.occasion), (1, RunKind::OneOff, time(20)));
    assert!(begin("reorder", 21).await.is_none(), "one is under way");
    assert!(begin("report", 21).await.is_some(), "another job");
    // Nor is another claimed meanwhile.
    for due in due_jobs(&storage, 22).await {
        assert!(plan(&storage, &due, 22, &[10]).await);
    }
    assert!(claim(&storage, worker(), 22).await.is_empty());
    retire(&storage, own).await;
    let claimed = claim(&storage, worker(), 22).await;
    assert_eq!(occasions(&claimed), [10]);
    assert!(begin("reorder", 23).await.is_none(), "a claim is in the way as well");
}

pub async fn jobs_are_listed_with_their_last_run(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder"]).await;
    set_jobs(
        &storage,
        ALPHA,
        &[new_job("reorder", Some(SCHEDULE), Some(time(10))), new_job("by-hand", None, None)],
        0,
    )
    .await;
    enable(&storage, BETA, &["other"]).await;
    let list = |at: i64| {
        let storage = Arc::clone(&storage);
        async move { platform(&storage).await.jobs(&tenant(ALPHA), time(at)).await.unwrap() }
    };
    let jobs = list(5).await;
    assert_eq!(jobs.iter().map(|own| own.job.as_str()).collect::<Vec<_>>(), ["by-hand", "reorder"]);
    assert_eq!((jobs[1].schedule.as_deref(), jobs[1].planned_until), (Some(SCHEDULE), time(0)));
    assert!(jobs.iter().all(|own| own.enabled && own.last.is_none()));
    let due = due_jobs(&storage, 20).await;
    assert!(plan(&storage, due.iter().find(|due| due.tenant == tenant(ALPHA)).unwrap(), 20, &[10, 20]).await);
    assert!(add(&storage, &one_off(ALPHA, "reorder", 50, None)).await);
    let last = |at: i64| {
        let list = list(at);
        async move { list.await[1].last.as_ref().map(|run| run.occasion) }
    };
    assert_eq!(
        (last(15).await, last(30).await, last(50).await),
        (Some(time(10)), Some(time(20)), Some(time(50)))
    );
    set_enabled(&storage, ALPHA, false).await;
    assert!(list(20).await.iter().all(|own| !own.enabled));
}

pub async fn runs_are_found_by_what_is_known_of_them(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder", "report"]).await;
    for due in due_jobs(&storage, 20).await {
        assert!(plan(&storage, &due, 20, &[10, 20]).await);
    }
    let claimed = claim(&storage, worker(), 20).await;
    assert!(done(&storage, &claimed[0], 21).await);
    let find = |filter: RunFilter, limit: u32| {
        let storage = Arc::clone(&storage);
        async move { platform(&storage).await.runs(&tenant(ALPHA), &filter, limit).await.unwrap() }
    };
    let everything = RunFilter::default;
    let all = find(everything(), 10).await;
    assert_eq!(
        all.iter().map(|run| run.occasion).collect::<Vec<_>>(),
        [time(20), time(20), time(10), time(10)]
    );
    assert_eq!(find(everything(), 1).await, all[..1]);
    let of_job = find(RunFilter { job: Some(job("report")), ..everything() }, 10).await;
    assert!(of_job.len() == 2 && of_job.iter().all(|run| run.job.as_str() == "report"));
    for (state, count) in
        [(RunState::Waiting, 2), (RunState::Running, 1), (RunState::Done, 1), (RunState::Failed, 0)]
    {
        let found = find(RunFilter { state: Some(state), ..everything() }, 10).await;
        assert_eq!(found.len(), count, "{state:?}");
        assert!(found.iter().all(|run| run.state == state));
    }
    assert!(find(RunFilter { plugin: Some(plugin("other")), ..everything() }, 10).await.is_empty());
    let mut platform = platform(&storage).await;
    assert!(platform.runs(&tenant(BETA), &everything(), 10).await.unwrap().is_empty());
    assert_eq!(platform.run(&tenant(ALPHA), all[0].id).await.unwrap().as_ref(), Some(&all[0]));
    assert_eq!(platform.run(&tenant(BETA), all[0].id).await.unwrap(), None);
}

pub async fn a_run_is_retried_or_cancelled_by_hand(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder"]).await;
    given(&storage, 10, &[10]).await;
    let own = worker();
    let run = claim(&storage, own, 10).await.remove(0);
    let by_hand = |retry: bool| {
        let storage = Arc::clone(&storage);
        async move {
            let mut platform = platform(&storage).await;
            assert!(!platform.retry_run(&tenant(BETA), run.id, time(50)).await.unwrap());
            assert!(!platform.cancel_run(&tenant(BETA), run.id, time(50), "no").await.unwrap());
            let changed = match retry {
                true => platform.retry_run(&tenant(ALPHA), run.id, time(50)).await.unwrap(),
                false => platform.cancel_run(&tenant(ALPHA), run.id, time(50), "not today").await.unwrap(),
            };
            platform.commit().await.unwrap();
            changed
        }
    };
    assert!(!by_hand(true).await && !by_hand(false).await, "it is under way");
    assert!(fail(&storage, &run, 11, None).await);
    assert!(!by_hand(false).await, "it has ended");
    assert!(by_hand(true).await);
    assert!(!by_hand(true).await, "it waits, and was not attempted since");
    let run = claim(&storage, own, 50).await.remove(0);
    assert_eq!(run.attempt, 1);
    assert!(fail(&storage, &run, 51, Some(1000)).await);
    assert!(by_hand(true).await, "it need not wait until then");
    let run = claim(&storage, own, 52).await.remove(0);
    assert!(fail(&storage, &run, 53, Some(1000)).await);
    assert!(by_hand(false).await);
    assert!(!by_hand(true).await && !by_hand(false).await);
    let stored = runs(&storage, ALPHA).await.remove(0);
    assert_eq!((stored.state, stored.note.as_deref()), (RunState::Skipped, Some("not today")));
    assert!(claim(&storage, own, 1_000_000).await.is_empty());
}

pub async fn runs_that_ended_long_ago_are_pruned(storage: Arc<dyn Storage>) {
    enable(&storage, ALPHA, &["reorder"]).await;
    given(&storage, 40, &[10, 20, 30, 40]).await;
    let own = worker();
    for at in [50, 60, 70] {
        let run = claim(&storage, own, at).await.remove(0);
        if at == 60 {
            assert!(fail(&storage, &run, at, None).await);
        } else {
            assert!(done(&storage, &run, at).await);
        }
    }
    let prune = |before: i64, limit: u32| {
        let storage = Arc::clone(&storage);
        async move {
            let mut platform = platform(&storage).await;
            let pruned = platform.prune_runs(time(before), limit).await.unwrap();
            platform.commit().await.unwrap();
            pruned
        }
    };
    assert_eq!((prune(50, 10).await, prune(70, 1).await), (0, 1));
    assert_eq!(states(&storage, ALPHA).await.len(), 3);
    assert_eq!((prune(70, 10).await, prune(1_000_000, 10).await), (1, 1));
    assert_eq!(states(&storage, ALPHA).await, [(40, RunState::Waiting)]);
}

pub async fn a_run_waits_while_its_plugin_is_out_of_use(storage: Arc<dyn Storage>) {
    for tenant in [ALPHA, BETA] {
        enable(&storage, tenant, &["reorder"]).await;
    }
    for due in due_jobs(&storage, 10).await {
        assert!(plan(&storage, &due, 10, &[10]).await);
    }
    let quarantine = Quarantine { since: time(1), until: time(20), times: 1, error: "trapped".to_owned() };
    let mut own = write(&storage, ALPHA).await;
    assert!(own.set_quarantine(&plugin(PLUGIN), None, Some(&quarantine)).await.unwrap());
    own.commit(None).await.unwrap();
    let whose = |runs: Vec<JobRun>| runs.into_iter().map(|run| run.tenant).collect::<Vec<_>>();
    assert_eq!(whose(claim(&storage, worker(), 19).await), [tenant(BETA)]);
    assert_eq!(whose(claim(&storage, worker(), 20).await), [tenant(ALPHA)]);
}
