//! What is kept of an invocation: that it was, what it used, how it ended.

use std::sync::Arc;

use erp_plugin_host_api::{Cause, InvocationContext};
use erp_plugin_model::usage::{InvocationRecord, Usage};
use erp_plugin_model::{ErrorCode, Identity};

use crate::events::delivery;
use crate::fixture::{ALPHA, BETA, Fixture, anna, service, system, user};

const ITEM: &str = r#"{"sku":"A","name":"n"}"#;

fn only(fixture: &Fixture) -> InvocationRecord {
    let mut kept = fixture.witness.invocations();
    assert_eq!(kept.len(), 1);
    kept.remove(0)
}

#[tokio::test]
async fn a_committed_invocation_tells_who_what_when_and_how_much() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    let id = call.id();
    fixture.clock.advance(1);
    let written = call.insert("item", ITEM).await.unwrap();
    let read = call.query("item", "", "").await.unwrap();
    call.publish("inventory.a", "{}").await.unwrap();
    call.log("info", "done").unwrap();
    let measured = Usage { fuel: 1234, peak_memory: 65_536, micros: 1, rows_read: 99, ..Usage::default() };
    let counted = call.budget().used();
    let ended = call.finish_measured(measured).await;
    let kept = only(&fixture);
    assert_eq!((kept.id, kept.plugin.as_str(), kept.plugin_version.as_str()), (id, "inventory", "1.2.0"));
    assert_eq!((kept.trigger.as_str(), kept.error), ("handle-event order.created", None));
    assert_eq!(kept.started_at.to_rfc3339(), "2026-01-01T09:00:00+00:00");
    let usage = kept.usage;
    assert_eq!((usage.fuel, usage.peak_memory), (1234, 65_536));
    assert_eq!((usage.host_calls, usage.rows_read, usage.rows_written, usage.events), (4, 1, 1, 1));
    let bytes = ["item", ITEM, &written, "item", &read, "inventory.a", "{}", "info", "done"];
    assert_eq!(usage.bytes, bytes.iter().map(|text| text.len() as u64).sum::<u64>());
    assert_eq!(Usage { fuel: 0, peak_memory: 0, micros: 0, ..usage }, counted);
    assert_eq!((ended.usage, &ended.log), (usage, &kept.log));
    assert_eq!(kept.log[0].message, "done");
}

#[tokio::test]
async fn one_that_was_refused_tells_the_guests_code_and_what_it_used_all_the_same() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    call.insert("item", ITEM).await.unwrap();
    call.publish("inventory.a", "{}").await.unwrap();
    let finished = call.refuse().await;
    let kept = only(&fixture);
    assert_eq!(kept.error, Some(ErrorCode::Rejected));
    assert_eq!((kept.usage.rows_written, kept.usage.events), (1, 1));
    assert_eq!(kept.usage, finished.usage);
    let totals = fixture.transaction(ALPHA).await.usage().await.unwrap();
    assert_eq!((totals[0].invocations, totals[0].failed, totals[0].usage.rows_written), (1, 1, 1));
    assert!(fixture.transaction(BETA).await.usage().await.unwrap().is_empty());
}

#[tokio::test]
async fn one_that_touched_no_storage_is_kept_too() {
    for refused in [false, true] {
        let fixture = Fixture::new().await;
        let mut call = fixture.call();
        call.log("info", "only this").unwrap();
        if refused {
            call.refuse().await;
        } else {
            call.commit().await;
        }
        let kept = only(&fixture);
        assert_eq!(kept.error, refused.then_some(ErrorCode::Rejected));
        assert_eq!(kept.log.len(), 1);
    }
}

#[tokio::test]
async fn its_cause_is_the_user_who_acted_or_began_the_chain() {
    let of_delivery = || Cause::Delivery(Box::new(delivery(0)));
    let cases: [(Identity, Cause, Option<&str>); 5] = [
        (anna(ALPHA), Cause::Request, Some("anna")),
        (service(ALPHA), Cause::Request, Some("billing")),
        (system(ALPHA, None), Cause::Request, None),
        (system(ALPHA, Some("carl")), Cause::Request, Some("carl")),
        (system(ALPHA, Some("carl")), of_delivery(), Some("ben")),
    ];
    for (identity, cause, by) in cases {
        let fixture = Fixture::new().await;
        let context = InvocationContext { identity: Arc::new(identity), cause, ..fixture.context() };
        fixture.begin(context).refuse().await;
        assert_eq!(only(&fixture).caused_by, by.map(user));
    }
}
