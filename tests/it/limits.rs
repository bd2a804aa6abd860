//! What an invocation may use: asked for in the manifest, capped by the host, told once, and then the end.

use std::fmt::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use erp_plugin::limits::TABLE;
use erp_plugin::usage::Usage;
use erp_plugin::{
    ErrorCode, FailureKind, HookPoint, HookRunner, HookVerdict, InvocationReport, Limits, TenantLimits,
};
use erp_plugin_model::EntityRef;
use erp_plugin_storage::Transaction;
use erp_plugin_tests::{ONE_WRITER, Platform, TENANT, guests, only_on_sqlite, sample, system_of};
use serde_json::{Value as Json, json};

/// More fuel than can be burnt, and time enough: what ends a guest then is something else.
fn roomy() -> Limits {
    Limits { fuel: 1 << 60, deadline_ms: 60_000, writer_hold_ms: 60_000, ..Limits::default() }
}

/// The plugin that does what an event tells it to, with these limits in its manifest.
fn asking_for(limits: &str) -> Vec<u8> {
    let rest = format!(
        "[[subscriptions]]\nevent = \"sample.*\"\n[capabilities]\nevents-publish = [\"sample.*\"]\n\
         [entities.note.fields.title]\ntype = \"text\"\n[entities.greeting.fields.tenant]\ntype = \"string\"\n\
         [limits]\n{limits}\n"
    );
    guests::with_manifest(&guests::plugin(sample::NAME), sample::NAME, &rest)
}

async fn platform(limits: &str) -> Platform {
    let platform = Platform::with(|builder| builder.limits(roomy())).await;
    platform.enable(sample::NAME, asking_for(limits)).await;
    platform
}

/// What an excess says, whoever is told of it.
fn excess(limit: &str, about: &str, used: &str, allowed: &str) -> String {
    format!(
        "limit-exceeded: {limit} ({about}): {used} used, {allowed} allowed; do less in one invocation, or ask for more \
         with `{limit}` under [limits] in plugin.toml"
    )
}

fn assert_told(report: &InvocationReport, text: &str) {
    assert!(report.failure.is_none(), "{:?}", report.detail);
    assert_eq!(report.outcome.as_ref().unwrap_err().to_string(), text);
}

fn insert(title: &str) -> Json {
    json!({ "data": { "title": title } })
}

/// Does the same thing so many times, in one invocation: `tolerated` times it goes on after an error.
async fn repeat(
    platform: &Platform,
    event: &str,
    payload: &Json,
    times: u64,
    tolerate: bool,
) -> InvocationReport {
    let step = json!({ "event": event, "payload": payload, "times": times, "tolerate": tolerate });
    platform.call(sample::NAME, "sample.script", &json!({ "steps": [step] })).await
}

/// A guest that is told of the excess can give it up; one that goes on is ended the next time.
async fn told_and_then_ended(
    limits: &str,
    event: &str,
    payload: Json,
    allowed: u64,
    told: &str,
    ended: &str,
) {
    let platform = platform(limits).await;
    let report = repeat(&platform, event, &payload, allowed, false).await;
    assert_eq!(report.outcome, Ok(()), "{:?}", report.detail);

    let report = repeat(&platform, event, &payload, allowed + 1, false).await;
    assert_told(&report, told);

    let report = repeat(&platform, event, &payload, allowed + 2, true).await;
    assert!(matches!(report.failure, Some(FailureKind::Host(_))), "{:?}", report.failure);
    assert_eq!(report.outcome.unwrap_err().to_string(), ended);
    let heard = report.log.iter().filter(|line| line.message.contains("limit-exceeded")).count();
    assert!(heard <= 2, "{:?}", report.log);
}

#[tokio::test]
async fn host_calls_are_counted() {
    // Each time is two calls: who it is, and the log line of it.
    let told = excess("host-calls", "calls of host functions", "5", "4");
    let ended = excess("host-calls", "calls of host functions", "6", "4");
    told_and_then_ended("host-calls = 4", "sample.whoami", json!({}), 2, &told, &ended).await;
}

#[tokio::test]
async fn records_written_are_counted() {
    let text = excess("rows-written", "records written", "4", "3");
    told_and_then_ended("rows-written = 3", "sample.insert", insert("a"), 3, &text, &text).await;
}

#[tokio::test]
async fn events_are_counted() {
    let text = excess("events", "events published", "3", "2");
    let event = json!({ "type": "sample.whoami", "payload": {} });
    told_and_then_ended("events = 2", "sample.publish", event, 2, &text, &text).await;
}

#[tokio::test]
async fn the_size_of_an_event_is_limited() {
    let publish = |bytes: usize| json!({ "type": "sample.whoami", "payload": "x".repeat(bytes - 2) });
    let fits = platform("event-bytes = 1024").await;
    assert_eq!(fits.call(sample::NAME, "sample.publish", &publish(1024)).await.outcome, Ok(()));
    let text = excess("event-bytes", "size of one event's payload", "1025 bytes", "1 KiB");
    told_and_then_ended("event-bytes = 1024", "sample.publish", publish(1025), 0, &text, &text).await;
}

#[tokio::test]
async fn the_bytes_of_one_call_are_limited() {
    // The entity's name and the JSON around the text are bytes of the call too.
    let beside = r#"note{"title":""}"#.len();
    let data = insert(&"x".repeat(2001 - beside));
    let text = excess("call-bytes", "bytes into or out of one host call", "2001 bytes", "2000 bytes");
    told_and_then_ended("call-bytes = 2000", "sample.insert", data, 0, &text, &text).await;
}

#[tokio::test]
async fn the_bytes_of_all_calls_are_limited() {
    let platform = platform("total-bytes = 4096").await;
    let report = repeat(&platform, "sample.insert", &insert("x"), 50, false).await;
    let error = report.outcome.unwrap_err().to_string();
    assert!(
        error.starts_with("limit-exceeded: total-bytes (bytes into and out of all host calls): "),
        "{error}"
    );
    assert!(error.contains(" bytes used, 4 KiB allowed; do less"), "{error}");
    let report = repeat(&platform, "sample.insert", &insert("x"), 50, true).await;
    assert!(matches!(report.failure, Some(FailureKind::Host(_))), "{:?}", report.failure);
    let few = repeat(&platform, "sample.insert", &insert("x"), 3, false).await;
    assert_eq!(few.outcome, Ok(()));
    assert!(few.usage.bytes < 4096, "{:?}", few.usage);
}

#[tokio::test]
async fn records_read_are_counted() {
    let platform = platform("rows-read = 3").await;
    for title in ["a", "b", "c"] {
        assert_eq!(platform.call(sample::NAME, "sample.insert", &insert(title)).await.outcome, Ok(()));
    }
    let all = json!({ "count": true });
    let report = repeat(&platform, "sample.query", &all, 1, false).await;
    assert_eq!((report.outcome, report.usage.rows_read), (Ok(()), 3));

    let text = excess("rows-read", "records read", "4", "3");
    assert_told(&repeat(&platform, "sample.query", &all, 2, false).await, &text);
    let report = repeat(&platform, "sample.query", &all, 3, true).await;
    assert!(matches!(report.failure, Some(FailureKind::Host(_))), "{:?}", report.failure);
    assert_eq!(report.outcome.unwrap_err().to_string(), text);
    assert_eq!(report.usage.rows_read, 3);
}

#[tokio::test]
async fn log_lines_beyond_the_limit_are_dropped_and_said_to_be() {
    let platform = platform("log-lines = 3\nlog-line-bytes = 16").await;
    let long = json!({ "message": "sixteen bytes in all", "times": 5 });
    let report = platform.call(sample::NAME, "sample.log", &long).await;
    assert_eq!(report.outcome, Ok(()));
    let lines: Vec<&str> = report.log.iter().map(|line| line.message.as_str()).collect();
    let cut = "sixteen bytes in… (4 bytes more)";
    assert_eq!(lines[..3], [cut; 3]);
    assert_eq!(lines.len(), 4);
    assert!(lines[3].starts_with("2 more log lines"), "{lines:?}");
}

#[tokio::test]
async fn events_that_cause_one_another_are_counted() {
    let platform = platform("event-depth = 1").await;
    let publish = |then: Json| json!({ "type": "sample.publish", "payload": then });
    let last = json!({ "type": "sample.whoami", "payload": {} });
    let chain = publish(publish(last));
    assert_eq!(platform.call(sample::NAME, "sample.publish", &chain).await.outcome, Ok(()));
    let report = platform.host.drain().await.unwrap();
    assert_eq!((report.events, report.delivered, report.dead.len()), (2, 1, 1));
    assert_eq!(
        report.dead[0].error.to_string(),
        excess("event-depth", "events caused by one another", "2", "1")
    );
}

#[tokio::test]
async fn fuel_deadline_memory_and_the_hold_of_the_writer_end_a_guest_at_once() {
    let about = |limit: &str| TABLE.iter().find(|row| row.name == limit).unwrap().about;
    for (limits, event, payload, limit, allowed) in [
        ("fuel = 2000000", "sample.loop", json!({}), "fuel", "2000000"),
        ("deadline = 100", "sample.loop", json!({}), "deadline", "100 ms"),
        ("memory = 8388608", "sample.allocate", json!({ "mebibytes": 9 }), "memory", "8 MiB"),
        ("writer-hold = 50", "sample.loop", insert("held"), "writer-hold", "50 ms"),
    ] {
        if limit == "writer-hold" && !only_on_sqlite(ONE_WRITER) {
            continue;
        }
        let platform = platform(limits).await;
        let report = platform.call(sample::NAME, event, &payload).await;
        let kind = report.failure.as_ref().unwrap();
        assert!(
            match limit {
                "fuel" => matches!(kind, FailureKind::OutOfFuel),
                "deadline" => matches!(kind, FailureKind::Deadline),
                "memory" => matches!(kind, FailureKind::Memory),
                _ => matches!(kind, FailureKind::WriterHold),
            },
            "{limit}: {kind:?}"
        );
        let text = excess(limit, about(limit), allowed, allowed);
        assert_eq!(report.outcome.unwrap_err().to_string(), text);
        assert_eq!(platform.records("test-sample.note").await, [Json::Null; 0]);
        assert_eq!(platform.call(sample::NAME, "sample.insert", &insert("next")).await.outcome, Ok(()));
    }
}

/// How many calls the guest was allowed, by what it is told.
async fn host_calls_allowed(
    manifest: &str,
    change: impl FnOnce(Limits) -> (Limits, Option<Limits>),
) -> String {
    let (limits, caps) = change(roomy());
    let platform = Platform::with(|builder| {
        let builder = builder.limits(limits);
        match caps {
            Some(caps) => builder.limit_caps(caps),
            None => builder,
        }
    })
    .await;
    platform.enable(sample::NAME, asking_for(manifest)).await;
    let error = repeat(&platform, "sample.whoami", &json!({}), 2_000, false).await.outcome.unwrap_err();
    let (_, allowed) = error.message.split_once("used, ").unwrap();
    allowed.split_once(" allowed").unwrap().0.to_owned()
}

#[tokio::test]
async fn a_limit_is_what_was_asked_for_up_to_the_cap_and_else_the_default() {
    let with_cap = |limits: Limits| {
        let caps = Limits { host_calls: 30, ..limits.clone() };
        (Limits { host_calls: 10, ..limits }, Some(caps))
    };
    let without = |limits: Limits| (Limits { host_calls: 10, ..limits }, None);
    assert_eq!(host_calls_allowed("", with_cap).await, "10");
    assert_eq!(host_calls_allowed("host-calls = 4", with_cap).await, "4");
    assert_eq!(host_calls_allowed("host-calls = 20", with_cap).await, "20");
    assert_eq!(host_calls_allowed("host-calls = 40", with_cap).await, "30");
    assert_eq!(host_calls_allowed("host-calls = 40", without).await, "10");
    assert_eq!(host_calls_allowed("", |limits| (limits, None)).await, "1000");
}

#[tokio::test]
async fn a_plugin_gets_more_memory_than_the_default_where_the_cap_allows_it() {
    let caps = Limits { memory: 128 << 20, ..roomy() };
    let platform = Platform::with(|builder| builder.limits(roomy()).limit_caps(caps)).await;
    platform.enable(sample::NAME, asking_for(&format!("memory = {}", 128 << 20))).await;
    let report = platform.call(sample::NAME, "sample.allocate", &json!({ "mebibytes": 100 })).await;
    assert_eq!(report.outcome, Ok(()), "{:?}", report.detail);
    assert!((100 << 20..=128 << 20).contains(&report.usage.peak_memory), "{:?}", report.usage);
}

#[tokio::test]
async fn whoever_installs_a_plugin_is_told_of_every_limit_that_is_capped() {
    let (mut asked, mut expected) = (String::new(), Vec::new());
    for row in TABLE {
        writeln!(asked, "{} = {}", row.name, row.default * 2).unwrap();
        let (asks, gets) = (row.kind.show(row.default * 2), row.kind.show(row.default));
        expected.push(format!("asks for {} {asks}, gets {gets}", row.name));
    }
    let platform = Platform::new().await;
    platform.try_install("", asking_for(&asked)).await.unwrap();
    assert_eq!(platform.host.plugins()[0].notes, expected);
}

#[tokio::test]
async fn a_limit_of_nothing_or_of_no_number_is_refused() {
    let platform = Platform::new().await;
    for (value, text) in [("0", "0"), ("-1", "-1"), ("1.5", "1.5"), ("\"64 MiB\"", "\"64 MiB\"")] {
        let manifest = format!(
            r#"{{"limits":{{"memory":{value}}},"manifest":1,"plugin":{{"contract":"0","name":"crm","version":"1.0.0"}}}}"#
        );
        let component = guests::with_section(guests::hostile("12-compute"), manifest.as_bytes());
        assert_eq!(
            platform.try_install("crm", component).await.unwrap_err().to_string(),
            format!(
                "plugin.toml: limits.memory must be a whole number from 1 to 9223372036854775807, not {text}"
            )
        );
    }
    assert!(platform.host.plugins().is_empty());
}

/// What stands in the log of an event, after the event's name.
fn answers<'a>(report: &'a InvocationReport, event: &'a str) -> impl Iterator<Item = &'a str> {
    report.log.iter().filter_map(move |line| line.message.strip_prefix(event)?.strip_prefix(' '))
}

#[tokio::test]
async fn usage_in_the_report_and_in_the_storage_is_what_was_done() {
    let platform = platform("").await;
    let before = platform.usage_of(sample::NAME).await;
    let (data, page, event) = (json!({ "title": "a" }), json!({ "limit": 7 }), json!({ "n": 1 }));
    let script = sample::script([
        ("sample.insert", json!({ "data": data })),
        ("sample.insert", json!({ "data": data })),
        ("sample.query", json!({ "page": page })),
        ("sample.publish", json!({ "type": "sample.whoami", "payload": event })),
    ]);
    let report = platform.call(sample::NAME, "sample.script", &script).await;
    assert_eq!(report.outcome, Ok(()), "{:?}", report.detail);
    let used = report.usage;

    let inserted: usize = answers(&report, "sample.insert")
        .map(|answer| "note".len() + data.to_string().len() + answer.len())
        .sum();
    let queried: usize = answers(&report, "sample.query")
        .map(|answer| "note".len() + page.to_string().len() + answer.len())
        .sum();
    let published = "sample.whoami".len() + event.to_string().len();
    let logged: usize = report.log.iter().map(|line| line.level.as_str().len() + line.message.len()).sum();
    assert_eq!(used.bytes, (inserted + queried + published + logged) as u64);
    assert_eq!((used.host_calls, used.rows_written, used.rows_read, used.events), (8, 2, 2, 1));
    assert!(used.fuel > 0 && used.micros > 0);
    assert!((64 << 10..8 << 20).contains(&used.peak_memory), "{used:?}");

    let after = platform.usage_of(sample::NAME).await;
    assert_eq!((after.invocations, after.failed), (before.invocations + 1, before.failed));
    assert_eq!(
        after.usage,
        Usage {
            fuel: before.usage.fuel + used.fuel,
            micros: before.usage.micros + used.micros,
            peak_memory: before.usage.peak_memory.max(used.peak_memory),
            host_calls: before.usage.host_calls + used.host_calls,
            rows_read: before.usage.rows_read + used.rows_read,
            rows_written: before.usage.rows_written + used.rows_written,
            bytes: before.usage.bytes + used.bytes,
            events: before.usage.events + used.events,
        }
    );
}

#[tokio::test]
async fn the_same_work_takes_the_same_fuel_and_more_work_takes_more() {
    let platform = platform("").await;
    let fuel = async |rounds: u64| {
        let report = platform.call(sample::NAME, "sample.spin", &json!({ "rounds": rounds })).await;
        assert_eq!(report.outcome, Ok(()));
        report.usage.fuel
    };
    let (once, again, more) = (fuel(10_000).await, fuel(10_000).await, fuel(20_000).await);
    assert_eq!(once, again);
    assert!(more > once + 10_000, "{once} {more}");
}

#[tokio::test]
async fn the_fuel_of_every_attempt_is_counted() {
    let (platform, losses) = Platform::that_loses(|builder| builder).await;
    platform.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    let work = sample::script([("sample.spin", json!({ "rounds": 50_000 })), ("sample.insert", insert("a"))]);
    let once = platform.call(sample::NAME, "sample.script", &work).await;
    assert_eq!((once.outcome, once.attempts), (Ok(()), 1));

    let before = platform.usage_of(sample::NAME).await;
    losses.of_the_next(1);
    let twice = platform.call(sample::NAME, "sample.script", &work).await;
    assert_eq!((twice.outcome, twice.attempts), (Ok(()), 2));
    let spun = 50_000;
    assert!(twice.usage.fuel > once.usage.fuel + spun, "{} {}", once.usage.fuel, twice.usage.fuel);
    let after = platform.usage_of(sample::NAME).await;
    assert_eq!(after.usage.fuel - before.usage.fuel, twice.usage.fuel);
    assert_eq!((after.invocations, after.failed), (before.invocations + 2, before.failed + 1));
}

/// Lets whoever writes wait.
struct Delay(Duration);

#[async_trait]
impl HookRunner for Delay {
    fn listens(&self, _entity: &EntityRef) -> bool {
        true
    }

    async fn run(
        &self,
        _point: HookPoint<'_>,
        transaction: Box<dyn Transaction>,
    ) -> (Option<Box<dyn Transaction>>, HookVerdict) {
        tokio::time::sleep(self.0).await;
        (Some(transaction), Ok(()))
    }
}

/// The guest writes a record in every call, at its start.
#[tokio::test]
async fn lifecycle_calls_have_a_deadline_of_their_own() {
    let limits = Limits { deadline_ms: 100, ..roomy() };
    let delay = Delay(Duration::from_millis(200));
    let platform = Platform::with(|builder| builder.limits(limits).hooks(delay)).await;
    platform.enable("slow", guests::hostile("09-start-writes")).await;
    assert_eq!(platform.records("slow.thing").await.len(), 2, "of init and of on-tenant-created");
    assert!(platform.usage_of("slow").await.usage.micros >= 400_000);

    let report = platform.call("slow", "any.event", &json!({})).await;
    assert!(matches!(report.failure, Some(FailureKind::Deadline)), "{:?}", report.failure);
    assert_eq!(
        report.outcome.unwrap_err().to_string(),
        excess("deadline", "wall-clock time, the host's work included", "100 ms", "100 ms")
    );
}

#[tokio::test]
async fn a_tenant_that_used_up_its_minute_waits_and_others_do_not() {
    let limits = TenantLimits { fuel_per_minute: 3_000_000, ..TenantLimits::default() };
    let platform = Platform::with(|builder| builder.tenant_limits(limits)).await;
    platform.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    platform.host.create_tenant("other").await.unwrap();
    platform.host.enable("other", sample::NAME).await.unwrap();
    let spin = platform.call(sample::NAME, "sample.spin", &json!({ "rounds": 1_000_000 })).await;
    assert!(spin.usage.fuel > 3_000_000, "{}", spin.usage.fuel);
    let whoami = async |tenant: &str| {
        platform.host.call(system_of(tenant), sample::NAME, "sample.whoami", &json!({})).await
    };
    let refused = whoami(TENANT).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    let text = refused.to_string();
    assert!(text.contains("3000000 are allowed in a minute; try again in "), "{text}");
    whoami("other").await.unwrap().outcome.unwrap();
    // Deliveries wait, and use up no attempts.
    for tenant in [TENANT, "other"] {
        let message = json!({ "message": "hello" });
        platform.host.publish(system_of(tenant), "sample.log", &message).await.unwrap();
    }
    let report = platform.host.drain().await.unwrap();
    assert_eq!((report.delivered, report.failed), (1, 0));
    assert_eq!(platform.host.events().backlog(Some(TENANT)).await.unwrap().pending, 1);
}
