//! Jobs as they are run by those who run for long: at their times, once, whoever dies and whatever the clock says.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use erp_plugin::event::RetryCaps;
use erp_plugin::job::{RunKind, RunState};
use erp_plugin::{
    DrainReport, ErrorCode, PlatformScope, PluginHostBuilder, RunFilter, StoredRun, TenantLimits,
    TransactionOptions, WorkerHandle, WorkerOptions,
};
use erp_plugin_model::WorkerId;
use erp_plugin_storage::{Mode, RunRequest};
use erp_plugin_tests::{Database, Platform, TENANT, TestClock, Veto, guests, sample};
use serde_json::{Value as Json, json};

const NOTE: &str = "test-sample.note";

/// The sample with these jobs, as a version of its own.
fn with_jobs(version: &str, jobs: Json) -> Vec<u8> {
    guests::changed(sample::NAME, version, |manifest| manifest["jobs"] = jobs)
}

/// One job that notes for which moment it runs.
fn noting(schedule: &str, options: Json) -> Vec<u8> {
    let mut job = json!({ "name": "note", "schedule": schedule });
    job.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    with_jobs("0.1.1", json!([job]))
}

fn quick(builder: PluginHostBuilder) -> PluginHostBuilder {
    let (poll, lease) = (Duration::from_millis(20), Duration::from_secs(1));
    builder
        .worker(WorkerOptions { poll, lease, ..WorkerOptions::default() })
        .retry_caps(RetryCaps { retries: 10, max_delay: Duration::from_hours(24) })
}

/// A host on a database of its own, by a clock that a test sets.
struct Place {
    clock: TestClock,
    platform: Platform,
    database: Database,
}

impl Place {
    async fn at(time: &str) -> Self {
        Self::with(time, quick).await
    }

    async fn with(time: &str, change: impl FnOnce(PluginHostBuilder) -> PluginHostBuilder) -> Self {
        let (clock, database) = (TestClock::at(time), Database::lasting().await);
        let platform = Platform::by(&clock, database.url(), change).await;
        Self { clock, platform, database }
    }

    async fn enable(&self, component: Vec<u8>) {
        self.platform.enable(sample::NAME, component).await;
    }

    fn worker(&self) -> WorkerHandle {
        self.platform.host.start_worker()
    }

    async fn history(&self) -> Vec<StoredRun> {
        let mut runs = self.platform.host.jobs().history(TENANT, RunFilter::default(), 1000).await.unwrap();
        runs.reverse();
        runs
    }

    /// What became of each occasion, the first at first: hour and minute, state.
    async fn states(&self) -> Vec<String> {
        let show = |run: &StoredRun| format!("{} {}", run.occasion.format("%dT%H:%M"), run.state.as_str());
        self.history().await.iter().map(show).collect()
    }

    /// Waits until the history is this.
    async fn until(&self, expected: &[&str]) {
        let begun = Instant::now();
        loop {
            let states = self.states().await;
            if states == expected {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{states:?} never was {expected:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs what is due at a moment to its end: the history is this then.
    async fn worked_off(&self, at: &str, expected: &[&str]) -> DrainReport {
        self.clock.set(at);
        let worker = self.worker();
        self.until(expected).await;
        worker.stop().await.unwrap()
    }

    /// Nothing is to be done: some rounds change nothing.
    async fn stays(&self, at: &str, expected: &[&str]) {
        self.clock.set(at);
        let worker = self.worker();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let report = worker.stop().await.unwrap();
        assert_eq!((report.runs, report.failed_runs), (0, 0));
        assert_eq!(self.states().await, expected);
    }

    /// Waits until there are so many runs.
    async fn until_planned(&self, runs: usize) {
        let worker = self.worker();
        let begun = Instant::now();
        while self.history().await.len() < runs {
            assert!(begun.elapsed() < Duration::from_secs(30));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        worker.stop().await.unwrap();
    }

    async fn titles(&self) -> Vec<String> {
        let records = self.platform.records(NOTE).await;
        let mut titles: Vec<String> =
            records.iter().map(|note| note["title"].as_str().unwrap().to_owned()).collect();
        titles.sort();
        titles
    }
}

#[tokio::test]
async fn an_occasion_runs_once_among_three_hosts() {
    let place = Place::at("2026-01-05T05:59:30Z").await;
    place.enable(noting("* * * * *", json!({ "jitter": "20s" }))).await;
    let mut hosts = Vec::new();
    for _ in 0..2 {
        hosts.push(Platform::by(&place.clock, place.database.url(), quick).await);
    }
    place.platform.host.create_tenant("globex").await.unwrap();
    place.platform.host.enable("globex", sample::NAME).await.unwrap();
    let all = hosts.iter().map(|platform| &platform.host).chain([&place.platform.host]);
    let workers: Vec<_> = all.map(erp_plugin::PluginHost::start_worker).collect();
    let mut expected = Vec::new();
    for minute in 0..5 {
        place.clock.set(&format!("2026-01-05T06:{minute:02}:30Z"));
        expected.push(format!("05T06:{minute:02} done"));
        place.until(&expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let begun = Instant::now();
        while place.platform.records_of("globex", NOTE).await.len() <= minute {
            assert!(begun.elapsed() < Duration::from_secs(30), "the other tenant's job never ran");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let mut runs = 0;
    for worker in workers {
        let report = worker.stop().await.unwrap();
        assert_eq!((report.failed_runs, report.delivered), (0, 0));
        runs += report.runs;
    }
    assert_eq!(runs, 10, "five in each tenant");
    let titles: Vec<String> = (0..5).map(|minute| format!("2026-01-05T06:{minute:02}:00Z")).collect();
    assert_eq!(place.titles().await, titles);
    let own = &place.platform.records(NOTE).await[0];
    assert_eq!((&own["quantity"], &own["created_by"]), (&json!(1), &json!("plugin:test-sample")));
}

#[tokio::test]
async fn what_a_dead_worker_had_in_hand_runs_again() {
    let place = Place::at("2026-01-05T05:59:30Z").await;
    place.enable(noting("0 6 * * *", json!({ "retry": { "retries": 1 } }))).await;
    place.clock.set("2026-01-05T06:00:00Z");
    // Somebody planned and claimed it and was never heard of again.
    let worker = place.worker();
    place.until(&["05T06:00 done"]).await;
    worker.stop().await.unwrap();
    place.clock.set("2026-01-05T07:00:00Z");
    let jobs = place.platform.host.jobs();
    let run = jobs.schedule(TENANT, sample::NAME, "note", "2026-01-05T06:30:00Z".parse().unwrap(), None);
    let run = run.await.unwrap();
    for life in 1..=2 {
        assert_eq!(claimed_by(place.database.url(), life).await, Some((run, u32::try_from(life).unwrap())));
    }
    // It has killed two processes by now, and may be attempted twice.
    let worker = place.worker();
    place.until(&["05T06:00 done", "05T06:30 failed"]).await;
    assert_eq!(worker.stop().await.unwrap().failed_runs, 1);
    let failed = place.history().await.remove(1);
    let note = failed.note.unwrap();
    assert_eq!(note, "internal: 2 attempts ended with the process that made them");
    // By hand it has all its attempts again, and its effect is there once.
    jobs.retry(TENANT, run).await.unwrap();
    assert_eq!(claimed_by(place.database.url(), 3).await, Some((run, 1)));
    place.worked_off("2026-01-05T07:00:00Z", &["05T06:00 done", "05T06:30 done"]).await;
    assert_eq!(place.titles().await, ["2026-01-05T06:00:00Z", "2026-01-05T06:30:00Z"]);
    assert_eq!(place.history().await[1].attempts, 2);
}

/// What a process claims that is not heard of again; those before it are dead.
async fn claimed_by(url: &str, life: u128) -> Option<(erp_plugin::RunId, u32)> {
    let storage = erp_plugin::storage(url).await.unwrap();
    let options = TransactionOptions {
        mode: Mode::Write,
        deadline: Instant::now() + Duration::from_secs(10),
        writer_hold: Duration::from_secs(10),
    };
    let mut platform = storage.begin_platform(PlatformScope::granted_by_host(), options).await.unwrap();
    for state in platform.workers().await.unwrap() {
        platform.retire(state).await.unwrap();
    }
    let worker = WorkerId(uuid::Uuid::from_u128(life));
    let at = "2026-01-05T07:00:00Z".parse().unwrap();
    let request = RunRequest { worker, at, runs: 10, per_tenant: 10, full: &[] };
    let claimed = platform.claim_runs(&request).await.unwrap();
    platform.commit().await.unwrap();
    claimed.first().map(|run| (run.id, run.attempt))
}

/// A process that works, until it is dropped.
struct Process(Child);

impl Process {
    fn start(url: &str) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_worker"))
            .args([url, env!("CARGO_TARGET_TMPDIR")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn a_process_that_is_killed_in_the_middle_leaves_nothing_half() {
    let database = Database::lasting().await;
    let platform = Platform::on(database.url(), quick).await;
    let limits = json!({ "fuel": 1_000_000_000_000_u64, "deadline": "1m" });
    platform.enable(sample::NAME, with_jobs("0.1.1", json!([{ "name": "crash", "limits": limits }]))).await;
    let at = "2026-01-05T06:00:00Z".parse().unwrap();
    let run = platform.host.jobs().schedule(TENANT, sample::NAME, "crash", at, None).await.unwrap();
    let state = async || {
        let mut runs = platform.host.jobs().history(TENANT, RunFilter::default(), 10).await.unwrap();
        assert_eq!((runs.len(), runs[0].id), (1, run));
        runs.remove(0)
    };
    let until = async |wanted: RunState| {
        let begun = Instant::now();
        while state().await.state != wanted {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", state().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let process = Process::start(database.url());
    until(RunState::Running).await;
    drop(process);
    assert!(platform.records(NOTE).await.is_empty());
    let _process = Process::start(database.url());
    until(RunState::Done).await;
    assert_eq!(state().await.attempts, 2);
    let notes = platform.records(NOTE).await;
    assert_eq!((notes.len(), &notes[0]["quantity"]), (1, &json!(2)));
}

#[tokio::test]
async fn what_was_missed_is_caught_up_as_the_job_says() {
    for (catch_up, expected) in [
        ("last", vec!["05T06:00 done", "07T06:00 skipped", "08T06:00 done"]),
        ("all", vec!["05T06:00 done", "06T06:00 done", "07T06:00 done", "08T06:00 done"]),
        ("none", vec!["05T06:00 done", "08T06:00 skipped"]),
    ] {
        let place = Place::at("2026-01-05T05:00:00Z").await;
        place.enable(noting("0 6 * * *", json!({ "catch-up": catch_up }))).await;
        place.worked_off("2026-01-05T06:00:00Z", &expected[..1]).await;
        // Nothing runs for three days.
        place.worked_off("2026-01-08T09:00:00Z", &expected).await;
        place.stays("2026-01-08T09:30:00Z", &expected).await;
        let skipped = place.history().await.into_iter().find(|run| run.state == RunState::Skipped);
        let note = skipped.map(|run| run.note.unwrap()).unwrap_or_default();
        match catch_up {
            "last" => assert_eq!(
                note,
                "everything from 2026-01-06 06:00:00 UTC to 2026-01-07 06:00:00 UTC was missed; only what came \
                 after it runs (catch-up = \"last\")"
            ),
            "all" => assert_eq!(note, ""),
            _ => assert!(note.ends_with("was missed and does not run (catch-up = \"none\")"), "{note}"),
        }
        let next = place.platform.host.jobs().list(TENANT).await.unwrap().remove(0);
        assert_eq!(next.next.unwrap().to_rfc3339(), "2026-01-09T06:00:00+00:00");
        assert_eq!(
            (next.enabled, next.last.unwrap().occasion.to_rfc3339().as_str()),
            (true, "2026-01-08T06:00:00+00:00")
        );
    }
}

#[tokio::test]
async fn a_schedule_is_on_the_clock_of_its_zone_whatever_is_done_to_that() {
    let place = Place::at("2026-03-28T12:00:00Z").await;
    place.enable(noting("30 2 * * *", json!({ "time-zone": "Europe/Berlin", "catch-up": "all" }))).await;
    // There is no half past two on that day; and on another one there are two.
    let expected = ["29T01:00 done", "30T00:30 done"];
    place.worked_off("2026-03-30T01:00:00Z", &expected).await;
    assert_eq!(place.titles().await, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    let place = Place::at("2026-10-24T12:00:00Z").await;
    place.enable(noting("30 2 * * *", json!({ "time-zone": "Europe/Berlin", "catch-up": "all" }))).await;
    place.worked_off("2026-10-25T23:00:00Z", &["25T00:30 done"]).await;
}

#[tokio::test]
async fn nothing_runs_where_the_plugin_is_disabled_or_the_tenant_suspended() {
    let place = Place::at("2026-01-05T05:00:00Z").await;
    let host = &place.platform.host;
    place.enable(noting("0 6 * * *", json!({}))).await;
    host.disable(TENANT, sample::NAME).await.unwrap();
    place.stays("2026-01-05T06:00:00Z", &[]).await;
    assert!(!host.jobs().list(TENANT).await.unwrap()[0].enabled);
    let refused = host.jobs().run(TENANT, sample::NAME, "note").await.unwrap_err();
    assert_eq!(refused.to_string(), "not-found: test-sample is not enabled in acme; enable it there first");
    host.enable(TENANT, sample::NAME).await.unwrap();
    host.suspend_tenant(TENANT).await.unwrap();
    place.stays("2026-01-06T06:00:00Z", &[]).await;
    assert_eq!(
        host.jobs().run(TENANT, sample::NAME, "note").await.unwrap_err().code(),
        ErrorCode::Unavailable
    );
    host.resume_tenant(TENANT).await.unwrap();
    // What was missed meanwhile is caught up.
    place.worked_off("2026-01-06T07:00:00Z", &["05T06:00 skipped", "06T06:00 done"]).await;
}

#[tokio::test]
async fn a_failed_run_is_tried_again_and_does_not_stop_the_next_occasion() {
    let veto = Veto::of(NOTE);
    let place = Place::with("2026-01-05T05:59:00Z", |builder| quick(builder).hooks(veto.clone())).await;
    let retry = json!({ "retries": 1, "first-delay": "10m" });
    place.enable(noting("0 * * * *", json!({ "retry": retry }))).await;
    veto.the_next(3);
    place.clock.set("2026-01-05T06:00:00Z");
    let attempted = async |run: usize, attempts: u32| {
        let worker = place.worker();
        let begun = Instant::now();
        loop {
            let run = place.history().await.remove(run);
            if run.attempts == attempts && run.state != RunState::Running {
                worker.stop().await.unwrap();
                return run;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{run:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    place.until_planned(1).await;
    let waiting = attempted(0, 1).await;
    assert_eq!((waiting.state, waiting.note.as_deref()), (RunState::Waiting, Some("rejected: vetoed")));
    place.stays("2026-01-05T06:07:00Z", &["05T06:00 waiting"]).await;
    let report = place.worked_off("2026-01-05T06:13:00Z", &["05T06:00 failed"]).await;
    assert_eq!((report.runs, report.failed_runs), (0, 1));
    // The next fails once, and is done at its second attempt.
    place.clock.set("2026-01-05T07:00:00Z");
    place.until_planned(2).await;
    assert_eq!(attempted(1, 1).await.state, RunState::Waiting);
    place.worked_off("2026-01-05T07:13:00Z", &["05T06:00 failed", "05T07:00 done"]).await;
    let jobs = place.platform.host.jobs();
    let failed = place.history().await.remove(0);
    jobs.retry(TENANT, failed.id).await.unwrap();
    place.worked_off("2026-01-05T07:13:00Z", &["05T06:00 done", "05T07:00 done"]).await;
    assert_eq!(place.titles().await, ["2026-01-05T06:00:00Z", "2026-01-05T07:00:00Z"]);
    assert_eq!(
        jobs.retry(TENANT, failed.id).await.unwrap_err().to_string(),
        format!(
            "rejected: run {} is done; only one that failed, or waits to be tried again, can be tried again",
            failed.id
        )
    );
}

#[tokio::test]
async fn an_occasion_that_comes_before_the_last_run_has_ended_is_skipped_or_waits() {
    for (overlap, last) in [("skip", "05T07:00 skipped"), ("wait", "05T07:00 waiting")] {
        let veto = Veto::of(NOTE);
        let place = Place::with("2026-01-05T05:59:00Z", |builder| quick(builder).hooks(veto.clone())).await;
        let retry = json!({ "retries": 1, "first-delay": "2h", "max-delay": "2h" });
        place.enable(noting("0 * * * *", json!({ "retry": retry, "overlap": overlap }))).await;
        veto.the_next(1);
        place.clock.set("2026-01-05T06:00:00Z");
        place.until_planned(1).await;
        place.worked_off("2026-01-05T07:00:00Z", &["05T06:00 waiting", last]).await;
        // Two hours and a quarter of them at most.
        let mut ended = vec!["05T06:00 done", last];
        if overlap == "wait" {
            ended = vec!["05T06:00 done", "05T07:00 done"];
        }
        ended.push("05T08:00 skipped");
        let worker = place.worker();
        place.clock.set("2026-01-05T08:00:00Z");
        place.until_planned(3).await;
        worker.stop().await.unwrap();
        if overlap == "wait" {
            ended[2] = "05T08:00 done";
        }
        place.worked_off("2026-01-05T08:50:00Z", &ended).await;
        let notes = place.titles().await.len();
        assert_eq!(notes, if overlap == "wait" { 3 } else { 1 });
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_runs_nothing_twice() {
    let place = Place::at("2026-01-05T05:59:00Z").await;
    place.enable(noting("0 * * * *", json!({}))).await;
    place.worked_off("2026-01-05T06:00:00Z", &["05T06:00 done"]).await;
    for again in ["2026-01-05T05:30:00Z", "2026-01-05T06:00:00Z", "2026-01-05T06:30:00Z"] {
        place.stays(again, &["05T06:00 done"]).await;
    }
    // Not even where a clock that was wrong is put right by enabling the plugin anew.
    place.clock.set("2026-01-05T05:30:00Z");
    place.platform.host.disable(TENANT, sample::NAME).await.unwrap();
    place.platform.host.enable(TENANT, sample::NAME).await.unwrap();
    place.stays("2026-01-05T06:00:30Z", &["05T06:00 done"]).await;
    place.worked_off("2026-01-05T07:00:00Z", &["05T06:00 done", "05T07:00 done"]).await;
    assert_eq!(place.titles().await.len(), 2);
}

#[tokio::test]
async fn a_job_runs_at_once_and_at_a_moment_with_what_it_is_given() {
    let place = Place::at("2026-01-05T06:00:00Z").await;
    place.enable(with_jobs("0.1.1", json!([{ "name": "note" }, { "name": "do" }]))).await;
    let jobs = place.platform.host.jobs();
    let ran = jobs.run(TENANT, sample::NAME, "note").await.unwrap();
    assert_eq!((ran.report.outcome, ran.report.writes.len()), (Ok(()), 1));
    let history = place.history().await;
    assert_eq!((history.len(), history[0].id), (1, ran.run));
    assert_eq!(
        (history[0].state, history[0].kind, history[0].attempts),
        (RunState::Done, RunKind::OneOff, 1)
    );
    // Without what it is to do it fails, and is not tried again.
    place.clock.set("2026-01-05T06:01:00Z");
    let failed = jobs.run(TENANT, sample::NAME, "do").await.unwrap();
    assert!(failed.report.outcome.unwrap_err().to_string().starts_with("invalid-input: the payload needs"));
    place.stays("2026-01-05T06:30:00Z", &["05T06:00 done", "05T06:01 failed"]).await;

    let at = |text: &str| text.parse().unwrap();
    let who = json!({ "event": "sample.whoami" });
    let later = at("2026-01-05T08:00:00Z");
    jobs.schedule(TENANT, sample::NAME, "do", later, Some(&who)).await.unwrap();
    let taken = jobs.schedule(TENANT, sample::NAME, "do", later, None).await.unwrap_err();
    assert_eq!(taken.code(), ErrorCode::AlreadyExists);
    let cancelled =
        jobs.schedule(TENANT, sample::NAME, "do", at("2026-01-05T07:00:00Z"), None).await.unwrap();
    jobs.cancel(TENANT, cancelled).await.unwrap();
    assert_eq!(jobs.cancel(TENANT, cancelled).await.unwrap_err().code(), ErrorCode::Rejected);
    let done = ["05T06:00 done", "05T06:01 failed", "05T07:00 skipped", "05T08:00 done"];
    place.worked_off("2026-01-05T08:00:00Z", &done).await;
    let log = place.platform.log().await;
    let line = log.iter().find_map(|line| line.strip_prefix("info sample.whoami ")).unwrap();
    let identity: Json = serde_json::from_str(line).unwrap();
    assert_eq!((&identity["kind"], &identity["tenant_id"]), (&json!("system"), &json!(TENANT)));

    for (plugin, job, expected) in [
        (sample::NAME, "nap", "not-found: test-sample declares no job nap; its jobs: note, do"),
        ("nobody", "note", "not-found: no plugin nobody is installed; install it first"),
    ] {
        assert_eq!(jobs.run(TENANT, plugin, job).await.unwrap_err().to_string(), expected);
        let refused = jobs.schedule(TENANT, plugin, job, later, None).await.unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }
    let large = json!("x".repeat(300_000));
    let refused = jobs.schedule(TENANT, sample::NAME, "do", at("2026-01-05T09:00:00Z"), Some(&large)).await;
    assert_eq!(
        refused.unwrap_err().to_string(),
        "invalid-input: the payload of job do has 300002 bytes, 262144 are allowed; give less"
    );
    // A drain is for deliveries.
    place.clock.set("2026-01-05T10:00:00Z");
    jobs.schedule(TENANT, sample::NAME, "do", at("2026-01-05T09:00:00Z"), Some(&who)).await.unwrap();
    let drained = place.platform.host.drain().await.unwrap();
    assert_eq!((drained.runs, place.history().await.last().unwrap().state), (0, RunState::Waiting));
}

#[tokio::test]
async fn a_job_has_a_larger_budget_of_its_own_and_no_more_than_the_operator_allows() {
    let place = Place::at("2026-01-05T06:00:00Z").await;
    let jobs = json!([
        { "name": "do" },
        { "name": "note", "limits": { "fuel": 1000, "deadline": "5m" } },
    ]);
    place.enable(with_jobs("0.1.1", jobs)).await;
    let host = &place.platform.host;
    let notes = host.plugins().remove(0).notes;
    assert_eq!(notes, ["job note asks for deadline 300000 ms, gets 20000 ms"]);
    // More than an invocation may, less than a job.
    let many = json!({ "rounds": 4_000_000 });
    let report = place.platform.call(sample::NAME, "sample.spin", &many).await;
    assert_eq!(report.outcome.unwrap_err().code, ErrorCode::LimitExceeded);
    let spin = json!({ "event": "sample.spin", "payload": many });
    host.jobs()
        .schedule(TENANT, sample::NAME, "do", "2026-01-05T06:00:00Z".parse().unwrap(), Some(&spin))
        .await
        .unwrap();
    place.worked_off("2026-01-05T06:00:00Z", &["05T06:00 done"]).await;
    let ran = host.jobs().run(TENANT, sample::NAME, "note").await.unwrap();
    assert_eq!(ran.report.outcome.unwrap_err().code, ErrorCode::LimitExceeded);
}

#[tokio::test]
async fn a_tenant_that_has_used_up_its_minute_waits_without_an_attempt() {
    let limits = TenantLimits { fuel_per_minute: 1, ..TenantLimits::default() };
    let place = Place::with("2026-01-05T05:59:00Z", |builder| quick(builder).tenant_limits(limits)).await;
    // To enable the plugin has used it up.
    place.platform.try_install(sample::NAME, noting("0 6 * * *", json!({}))).await.unwrap();
    drop(place.platform.host.enable(TENANT, sample::NAME).await);
    let set = place.platform.host.jobs().list(TENANT).await.unwrap();
    assert_eq!(set.len(), 1, "init was called");
    assert!(!set[0].enabled, "and then there was no fuel left");
    let other = Platform::by(&place.clock, place.database.url(), quick).await;
    other.host.enable(TENANT, sample::NAME).await.unwrap();
    // What this host knows of the plugin it has known for a second at most.
    let begun = Instant::now();
    let busy = loop {
        let refused = place.platform.host.jobs().run(TENANT, sample::NAME, "note").await.unwrap_err();
        if refused.code() != ErrorCode::NotFound {
            break refused;
        }
        assert!(begun.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(busy.code(), ErrorCode::Unavailable);
    assert_eq!(place.states().await, ["05T05:59 failed"]);
    place.stays("2026-01-05T06:00:00Z", &["05T05:59 failed", "05T06:00 waiting"]).await;
    assert_eq!(place.history().await[1].attempts, 0);
}

#[tokio::test]
async fn another_version_brings_its_own_jobs() {
    let place = Place::at("2026-01-05T05:59:00Z").await;
    place.enable(noting("0 6 * * *", json!({}))).await;
    let other = Platform::by(&place.clock, place.database.url(), quick).await;
    let jobs = place.platform.host.jobs();
    let later = "2026-01-06T00:00:00Z".parse().unwrap();
    jobs.schedule(TENANT, sample::NAME, "note", later, None).await.unwrap();
    // Installed by one host, and run by the other that was not told.
    let next = json!([{ "name": "nap", "schedule": "30 6 * * *" }, { "name": "do" }]);
    other.enable(sample::NAME, with_jobs("0.1.2", next)).await;
    let listed = jobs.list(TENANT).await.unwrap();
    let names: Vec<_> = listed.iter().map(|own| (own.job.as_str(), own.schedule.is_some())).collect();
    assert_eq!(names, [("do", false), ("nap", true)]);
    let gone = place.history().await.remove(0);
    assert_eq!(
        (gone.state, gone.note.as_deref()),
        (RunState::Skipped, Some("test-sample has no such job any more"))
    );
    let again = jobs.retry(TENANT, gone.id).await.unwrap_err().to_string();
    assert!(again.contains("test-sample's job note, which it does not declare any more"), "{again}");
    place.stays("2026-01-05T06:00:00Z", &["06T00:00 skipped"]).await;
    let expected = ["05T06:30 done", "06T00:00 skipped"];
    assert_eq!(place.worked_off("2026-01-05T06:30:00Z", &expected).await.runs, 1);
}

#[tokio::test]
async fn an_authors_test_runs_a_job_as_a_host_does() {
    let engine = erp_plugin_testing::create_engine().unwrap();
    let component = with_jobs("0.1.1", json!([{ "name": "note" }]));
    let (mut plugin, _) = erp_plugin_testing::load_plugin(&engine, &component, 10_000_000).await.unwrap();
    let at = "2026-01-31T05:00:00Z".parse().unwrap();
    plugin.run_job("note", at).await.unwrap().unwrap();
    let notes = plugin.records("note").await.unwrap();
    assert_eq!((&notes[0]["title"], &notes[0]["quantity"]), (&json!("2026-01-31T05:00:00Z"), &json!(1)));
    let unknown = plugin.run_job("nap", at).await.unwrap_err();
    assert_eq!(unknown.to_string(), "the plugin declares no job nap; add it under [[jobs]] in plugin.toml");
}
