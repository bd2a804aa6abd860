//! Hostile guests: a test for each file of `fixtures/hostile`, named after it (`f` before a number). The README there
//! says what each attacks and what must happen.
//!
//! Whatever happens, [`Hostile::fails`] looks at the rest: everything that the guest wrote is gone but log and usage,
//! and the host serves the next plugin as if nothing had been.

mod computing;
mod exports;
mod flooding;
mod host_functions;
mod loading;
mod memory;
mod text;

use std::process::Command;

use erp_plugin::{
    ErrorCode, HostError, HostFailure, InvocationReport, Limits, PluginHostBuilder, UsageTotal,
};
use erp_plugin_testing::{CallFailure, GuestFailure, create_engine, load_plugin};
use erp_plugin_tests::{Platform, TENANT, guests};
use serde_json::{Value as Json, json};

/// The name of the plugin that attacks, and of the one that must not notice.
const ATTACKER: &str = "hostile";
const BYSTANDER: &str = "bystander";

/// More fuel than can be burnt: what ends the guest then is something else.
const HUGE_FUEL: u64 = 1 << 60;

/// Limits under which only the deadline ends a guest, and soon.
fn until_the_deadline() -> Limits {
    Limits { fuel: HUGE_FUEL, deadline_ms: 200, ..Limits::default() }
}

/// Asserts that a guest ended in this way, and shows how else it did.
macro_rules! assert_ended {
    ($report:expr, $kind:pat) => {
        let report = &$report;
        assert!(matches!(&report.failure, Some($kind)), "{:?} {:?}", report.failure, report.detail);
    };
}
use assert_ended;

/// A hostile guest that is enabled, and a bystander.
struct Hostile {
    platform: Platform,
}

/// What must be as it was after a failed call.
#[derive(Debug, PartialEq)]
struct Traces {
    records: Vec<Json>,
    events: u64,
}

impl Hostile {
    async fn new(fixture: &str) -> Self {
        Self::within(fixture, Limits::default()).await
    }

    async fn within(fixture: &str, limits: Limits) -> Self {
        Self::with(fixture, |builder| builder.limits(limits)).await
    }

    async fn with(fixture: &str, change: impl FnOnce(PluginHostBuilder) -> PluginHostBuilder) -> Self {
        let platform = platform(change).await;
        platform.enable(ATTACKER, guests::hostile(fixture)).await;
        Self { platform }
    }

    /// Sends an event that the guest answers ok.
    async fn succeeds(&self, event: &str, payload: &Json) -> InvocationReport {
        let report = self.platform.call(ATTACKER, event, payload).await;
        assert_eq!(report.outcome, Ok(()), "{:?}", report.detail);
        report
    }

    /// Sends an event that the guest does not answer ok, and sees to it that nothing else came of it.
    async fn fails(&self, event: &str, payload: &Json) -> InvocationReport {
        let (before, used) = (self.traces().await, self.usage().await);
        let report = self.platform.call(ATTACKER, event, payload).await;
        assert!(report.outcome.is_err(), "it answered ok");
        assert_eq!(report.events, []);
        assert_eq!(self.traces().await, before);
        let now = self.usage().await;
        assert_eq!((now.invocations, now.failed), (used.invocations + 1, used.failed + 1));
        serves_on(&self.platform).await;
        report
    }

    /// Sends an event, and returns the error that the guest itself answers.
    async fn answers(&self, event: &str, payload: &Json) -> HostError {
        let report = self.fails(event, payload).await;
        assert!(report.failure.is_none(), "{:?}", report.detail);
        report.outcome.unwrap_err()
    }

    async fn traces(&self) -> Traces {
        Traces {
            records: self.platform.records("hostile.thing").await,
            events: self.platform.event_count().await,
        }
    }

    async fn usage(&self) -> UsageTotal {
        let usage = self.platform.host.usage(TENANT).await.unwrap();
        usage.into_iter().find(|total| total.plugin.as_str() == ATTACKER).unwrap()
    }
}

async fn platform(change: impl FnOnce(PluginHostBuilder) -> PluginHostBuilder) -> Platform {
    let platform = Platform::with(change).await;
    platform.enable(BYSTANDER, guests::hostile("24-relay")).await;
    platform
}

/// The next plugin is called, and its record is there.
async fn serves_on(platform: &Platform) {
    let before = platform.records("bystander.thing").await.len();
    let report = platform.call(BYSTANDER, "please.insert", &json!({ "note": "still here" })).await;
    assert_eq!(report.outcome, Ok(()), "{:?}", report.detail);
    assert_eq!(platform.records("bystander.thing").await.len(), before + 1);
}

/// The error of a plugin that a lifecycle call keeps from being enabled; nothing of it stays.
async fn refused_in(export: &str, fixture: &str) -> HostError {
    let platform = platform(|builder| builder).await;
    let failure = platform.try_enable(ATTACKER, guests::hostile(fixture)).await.unwrap_err();
    let HostFailure::Lifecycle { export: failed, error, .. } = failure else { panic!("{failure}") };
    assert_eq!(failed, export);
    let call =
        platform.host.call(erp_plugin_tests::system_of(TENANT), ATTACKER, "any.event", &json!({})).await;
    assert_eq!(call.unwrap_err().code(), ErrorCode::NotFound);
    serves_on(&platform).await;
    error
}

/// How `handle-event` alone ends, of a guest that no host would enable. The text is a manifest's `[limits]`.
async fn alone(fixture: &str, limits: &str, event: &str) -> GuestFailure {
    let component = guests::with_manifest(
        &guests::hostile(fixture),
        ATTACKER,
        &format!("[capabilities]\ndynamic-entities = true\n[limits]\n{limits}"),
    );
    let fuel = if limits.is_empty() { Limits::default().fuel } else { HUGE_FUEL };
    let engine = create_engine().unwrap();
    let (mut plugin, _) = load_plugin(&engine, &component, fuel).await.unwrap();
    match plugin.call_handle_event(event, b"{}").await.unwrap_err() {
        CallFailure::Guest(failure) => {
            assert_eq!(plugin.db_ops(), []);
            failure
        }
        other => panic!("{other}"),
    }
}

#[test]
fn every_fixture_has_a_test_of_its_name() {
    let own = std::env::current_exe().unwrap();
    let list = Command::new(own).args(["--list", "--format", "terse"]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let tests: Vec<&str> = list
        .lines()
        .filter_map(|line| line.strip_suffix(": test")?.strip_prefix("hostile::")?.rsplit("::").next())
        .collect();
    let mut missing = Vec::new();
    for file in std::fs::read_dir(guests::hostile_folder()).unwrap() {
        let file = file.unwrap().file_name().into_string().unwrap();
        let Some(stem) = file.strip_suffix(".wat") else { continue };
        let name = stem.replace('-', "_");
        let name = if name.starts_with(|c: char| c.is_ascii_digit()) { format!("f{name}") } else { name };
        if !tests.contains(&name.as_str()) {
            missing.push(name);
        }
    }
    assert!(tests.len() > 50, "the list of tests is not what it was: {list}");
    assert_eq!(missing, [""; 0]);
}
