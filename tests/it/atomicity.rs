//! One invocation is one transaction, whatever happens in it and beside it.

use std::sync::Arc;

use async_trait::async_trait;
use erp_plugin::{FailureKind, HookPoint, HookRunner, HookVerdict, Limits};
use erp_plugin_model::EntityRef;
use erp_plugin_storage::Transaction;
use erp_plugin_tests::{
    Database, Losses, Platform, TENANT, guests, on_postgres, sample, system_of, together,
};
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;

const NOTE: &str = "test-sample.note";

fn titled(title: &str) -> Json {
    json!({ "data": { "title": title } })
}

/// Logs a line, inserts, publishes, and then does this.
fn traces_and_then(event: &'static str) -> Json {
    sample::script([
        ("sample.log", json!({ "message": "before the end" })),
        ("sample.insert", titled("must not stay")),
        ("sample.publish", json!({ "payload": {} })),
        (event, json!({})),
    ])
}

async fn leaves_only_its_log(event: &'static str) -> Vec<String> {
    let platform = sample::platform().await;
    sample::answer(&platform, "sample.insert", titled("stays")).await;
    let before = platform.log().await.len();

    let report = platform.call(sample::NAME, "sample.script", &traces_and_then(event)).await;
    assert!(report.outcome.is_err());
    assert_eq!(report.writes.len(), 2, "they were to be undone");

    let titles: Vec<Json> =
        platform.records(NOTE).await.into_iter().map(|note| note["title"].clone()).collect();
    assert_eq!(titles, ["stays"]);
    assert_eq!(platform.event_count().await, 0);
    let usage = platform.host.usage(TENANT).await.unwrap();
    assert_eq!((usage[0].failed, usage[0].usage.rows_written), (1, 4));
    platform.log().await.split_off(before)
}

#[tokio::test]
async fn a_handler_that_inserts_publishes_and_then_errs_leaves_only_its_log() {
    let log = leaves_only_its_log("sample.fail").await;
    assert_eq!(log[0], "info before the end");
    assert!(log[1].starts_with("info sample.insert"), "{log:?}");
    assert_eq!(log[2..], ["info sample.publish null"]);
}

#[tokio::test]
async fn a_handler_that_traps_leaves_its_log_and_the_place_where_it_trapped() {
    let log = leaves_only_its_log("sample.trap").await;
    assert_eq!(log[0], "info before the end");
    let end = log.last().unwrap();
    assert!(end.starts_with("error wasm trap: wasm `unreachable` instruction executed; in "), "{end}");
    assert!(end.contains("erp_plugin_test_sample::actions::perform"), "{end}");
}

/// Eight at once, on a database that reads and writes through different connections.
#[tokio::test]
async fn concurrent_handlers_that_query_and_insert_if_none_leave_one_record() {
    let database = Database::lasting().await;
    let platform = Platform::on(database.url(), |builder| builder.threads(4)).await;
    platform.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    let platform = Arc::new(platform);
    let wanted = json!({ "filter": { "title": "only" }, "data": { "title": "only" } });

    let calls = (0..8).map(|_| {
        let (platform, wanted) = (Arc::clone(&platform), wanted.clone());
        async move { sample::answer(&platform, "sample.insert-if-none", wanted).await }
    });
    let answers = together(calls).await;

    assert_eq!(answers.iter().filter(|answer| answer["inserted"] == true).count(), 1);
    assert_eq!(platform.records(NOTE).await.len(), 1);
}

#[tokio::test]
async fn a_static_that_one_call_sets_is_unset_in_the_next() {
    let platform = sample::platform().await;
    let twice = sample::script([("sample.counter", json!({})), ("sample.counter", json!({}))]);
    for _ in 0..3 {
        let report = platform.call(sample::NAME, "sample.script", &twice).await;
        let said: Vec<&str> = report.log.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(said, [r#"sample.counter {"was":0}"#, r#"sample.counter {"was":1}"#]);
    }
}

/// Says when a plugin is about to insert, which is when it holds the writer.
struct Reports {
    inserting: mpsc::UnboundedSender<()>,
}

#[async_trait]
impl HookRunner for Reports {
    fn listens(&self, entity: &EntityRef) -> bool {
        entity.plugin.as_str() == "spinner"
    }

    async fn run(
        &self,
        _point: HookPoint<'_>,
        transaction: Box<dyn Transaction>,
    ) -> (Option<Box<dyn Transaction>>, HookVerdict) {
        self.inserting.send(()).unwrap();
        (Some(transaction), Ok(()))
    }
}

/// The other tenant's deadline is far shorter than the spinner's: it could not wait for the spinner's end.
#[tokio::test]
async fn a_spinning_guest_that_wrote_first_delays_another_tenant_by_the_writer_cap_only() {
    let (inserting, mut inserts) = mpsc::unbounded_channel();
    let limits = Limits { fuel: 1 << 60, deadline_ms: 600_000, ..Limits::default() };
    let platform = Platform::with(|builder| builder.limits(limits).hooks(Reports { inserting })).await;
    let brief = "[limits]\ndeadline = 10000\n[capabilities]\ndynamic-entities = true\n";
    let victim = guests::with_manifest(&guests::hostile("24-relay"), "victim", brief);
    platform.enable("victim", victim).await;
    platform.enable("spinner", guests::hostile("01-write-then-spin")).await;
    platform.host.create_tenant("other").await.unwrap();
    platform.host.enable("other", "victim").await.unwrap();

    let platform = Arc::new(platform);
    let spinner = Arc::clone(&platform);
    let spinning = tokio::spawn(async move { spinner.call("spinner", "any.event", &json!({})).await });
    inserts.recv().await.unwrap();

    let note = json!({ "note": "in time" });
    let report = platform.host.call(system_of("other"), "victim", "any.insert", &note).await.unwrap();
    assert_eq!(report.outcome, Ok(()));
    assert_eq!(platform.records_of("other", "victim.thing").await.len(), 1);

    if on_postgres() {
        // It is still at it, and held nobody up.
        assert!(!spinning.is_finished());
        spinning.abort();
        return;
    }
    let spun = spinning.await.unwrap();
    assert!(matches!(spun.failure, Some(FailureKind::WriterHold)), "{:?}", spun.detail);
    assert_eq!(platform.records("spinner.thing").await, [Json::Null; 0]);
}

/// As many iterations as it takes, on this machine, to be looked at twenty times.
#[tokio::test]
async fn a_legal_guest_that_runs_twenty_ticks_inside_its_deadline_completes() {
    let twenty_ticks = 20 * 5_000;
    let limits = Limits { fuel: 1 << 60, deadline_ms: 600_000, ..Limits::default() };
    let platform = Platform::with(|builder| builder.limits(limits)).await;
    platform.enable("worker", guests::hostile("12-compute")).await;
    let mut iterations = 10_000_000_u32;
    loop {
        let report = platform.call("worker", "any.event", &json!(iterations)).await;
        assert_eq!(report.outcome, Ok(()), "{:?}", report.detail);
        if report.usage.micros > twenty_ticks {
            break;
        }
        iterations *= 2;
    }
}

async fn losing_platform() -> (Platform, Losses) {
    let (platform, losses) = Platform::that_loses(|builder| builder).await;
    platform.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    // Called once, so that what is looked up only once is.
    sample::answer(&platform, "sample.counter", json!({})).await;
    (platform, losses)
}

/// In a fresh sandbox each time: the guest's own count begins anew.
#[tokio::test]
async fn an_invocation_that_lost_its_transaction_is_run_again_as_a_whole() {
    let (platform, losses) = losing_platform().await;
    let work = sample::script([("sample.counter", json!({})), ("sample.insert", titled("once"))]);
    losses.of_the_next(1);
    let report = platform.call(sample::NAME, "sample.script", &work).await;
    assert_eq!(report.outcome, Ok(()), "{:?}", report.detail);
    assert_eq!(report.attempts, 2);
    assert_eq!(report.log[0].message, r#"sample.counter {"was":0}"#);
    assert_eq!(platform.records(NOTE).await.len(), 1);

    // What is only known when it is to be committed is no different.
    losses.of_the_next(1);
    let report = platform.call(sample::NAME, "sample.publish", &json!({ "payload": {} })).await;
    assert_eq!((report.outcome, report.attempts), (Ok(()), 2));
    assert_eq!(platform.event_count().await, 1);
}

#[tokio::test]
async fn an_invocation_that_loses_every_transaction_gives_up_and_says_so() {
    let (platform, losses) = losing_platform().await;
    losses.of_the_next(100);
    let report = platform.call(sample::NAME, "sample.insert", &titled("never")).await;
    losses.of_the_next(0);
    assert_eq!(report.attempts, 3);
    assert_eq!(report.outcome.unwrap_err().to_string(), "unavailable: the transaction was lost; try again");
    assert_eq!(platform.records(NOTE).await, [Json::Null; 0]);
}
