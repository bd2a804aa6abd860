//! Publishing: who may say what, what is kept with it, and when it is there.

use std::collections::HashSet;
use std::sync::Arc;

use erp_plugin_host_api::{Caller, Cause, InvocationContext, PublishRight};
use erp_plugin_model::event::{ClaimToken, Delivery, EventPattern, Publisher};
use erp_plugin_model::{EventId, EventType, Limits};

use crate::fixture::{ALPHA, Call, Fixture, anna, answer, counted, service, system, tenant, user};

const EVENT: &str = "inventory.item.created";

/// An event that inventory is handling, so far from the start of its chain.
pub(crate) fn delivery(depth: u32) -> Delivery {
    Delivery {
        tenant: tenant(ALPHA),
        plugin: "inventory".parse().unwrap(),
        key: ALPHA.to_owned(),
        number: 1,
        token: ClaimToken(1),
        attempt: 1,
        event: EventId(counted(1000)),
        event_type: EventType::parse("order.created").unwrap(),
        payload: "{}".to_owned(),
        publisher: Publisher::Platform,
        published_at: chrono::DateTime::UNIX_EPOCH,
        caused_by: Some(user("ben")),
        depth,
    }
}

fn handling(fixture: &Fixture, depth: u32) -> InvocationContext {
    let identity = Arc::new(system(ALPHA, Some("ben")));
    InvocationContext { cause: Cause::Delivery(Box::new(delivery(depth))), identity, ..fixture.context() }
}

fn publishing(fixture: &Fixture, publish: PublishRight) -> Call {
    let caller = Arc::new(Caller { publish, ..fixture.caller() });
    fixture.begin(InvocationContext { caller, ..fixture.context() })
}

#[tokio::test]
async fn events_are_held_until_the_commit_and_come_with_where_they_are_from() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    call.insert("item", r#"{"sku":"A","name":"n"}"#).await.unwrap();
    call.publish(EVENT, r#"{"b": 1, "a": [null]}"#).await.unwrap();
    call.publish("inventory.stock.low", "7").await.unwrap();
    let waiting = call.transaction().await.unwrap().event_count().await.unwrap();
    assert_eq!(waiting, 0, "not even this transaction has them yet");
    let id = call.id();
    let events = call.commit().await.events;
    assert_eq!(fixture.event_count().await, 2);
    let first = &events[0];
    assert_eq!((first.event_type.as_str(), first.payload.as_str()), (EVENT, r#"{"b": 1, "a": [null]}"#));
    assert_eq!(first.publisher, Publisher::Plugin("inventory".parse().unwrap()));
    assert_eq!((first.key.as_str(), first.invocation, first.depth), (ALPHA, id, 0));
    assert_eq!(first.caused_by, Some(user("anna")));
    assert_eq!(first.published_at.to_rfc3339(), "2026-01-01T09:00:00+00:00");
    assert_eq!(events.iter().map(|event| event.ordinal).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(events.iter().map(|event| event.id.0).collect::<Vec<_>>(), [counted(3), counted(4)]);
}

#[tokio::test]
async fn a_rollback_leaves_no_event() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    call.publish(EVENT, "{}").await.unwrap();
    assert!(call.refuse().await.events.is_empty());
    assert_eq!(fixture.event_count().await, 0);
}

#[tokio::test]
async fn an_invocation_that_only_publishes_commits_its_events_too() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    call.publish(EVENT, "null").await.unwrap();
    call.commit().await;
    assert_eq!(fixture.event_count().await, 1);
}

#[tokio::test]
async fn a_type_is_two_to_eight_segments() {
    let fixture = Fixture::new().await;
    let mut call = publishing(&fixture, PublishRight::All);
    let longest = format!("a.{}", "b".repeat(126));
    for good in ["a.b", "inventory.stock_low.x-1", "1.2", "a.b.c.d.e.f.g.h", &longest] {
        assert_eq!(call.publish(good, "{}").await, Ok(()), "{good}");
    }
    let rule = "2 to 8 segments of a-z 0-9 _ - joined by dots, at most 128 bytes";
    let long = format!("a.{}", "b".repeat(127));
    for bad in
        ["", "a", ".", "a.", ".a", "a..b", "A.b", "a.B", "a b.c", "a.*", "a.ü", "a.b\n", "a.b.c.d.e.f.g.h.i"]
    {
        assert_eq!(
            call.publish(bad, "{}").await,
            Err(format!("invalid-input: invalid event type {bad:?}: {rule}"))
        );
    }
    let cut = &long[..80];
    assert_eq!(
        call.publish(&long, "{}").await,
        Err(format!("invalid-input: invalid event type {cut:?}: {rule}"))
    );
    assert_eq!(call.commit().await.events.len(), 5);
}

#[tokio::test]
async fn only_granted_types_may_be_published() {
    let fixture = Fixture::new().await;
    let patterns = |patterns: &[&str]| {
        PublishRight::Granted(patterns.iter().map(|text| EventPattern::parse(text).unwrap()).collect())
    };
    let ask = "ask for it with events-publish under [capabilities] in plugin.toml";
    for (granted, list, good, bad) in [
        (vec![], "none", vec![], vec!["inventory.a", "corella.started"]),
        (vec!["inventory.a"], "inventory.a", vec!["inventory.a"], vec!["inventory.b", "inventory.a.b"]),
        (
            vec!["inventory.*", "order.late"],
            "inventory.*, order.late",
            vec!["inventory.a", "inventory.a.b", "order.late"],
            vec!["inventoryx.a", "order.created", "sales.inventory.a"],
        ),
        (vec!["*"], "*", vec!["sales.a", "corella.started"], vec![]),
    ] {
        let mut call = publishing(&fixture, patterns(&granted));
        for event in good {
            assert_eq!(call.publish(event, "{}").await, Ok(()), "{event} under {granted:?}");
        }
        for event in bad {
            assert_eq!(
                call.publish(event, "{}").await,
                Err(format!("permission-denied: event type {event} is not granted; granted: {list}; {ask}"))
            );
        }
    }
}

#[tokio::test]
async fn without_a_manifest_all_but_other_plugins_names_may_be_published() {
    let fixture = Fixture::new().await;
    let others = HashSet::from(["sales".parse().unwrap(), "crm".parse().unwrap()]);
    let mut call = publishing(&fixture, PublishRight::NotOthers(others));
    for event in ["inventory.a", "anything.at.all", "salesforce.a", "x.sales"] {
        assert_eq!(call.publish(event, "{}").await, Ok(()), "{event}");
    }
    for event in ["sales.a", "crm.lead.won"] {
        assert_eq!(
            call.publish(event, "{}").await,
            Err(format!(
                "permission-denied: event type {event} begins with the name of another plugin; a plugin without a \
                 manifest cannot speak for it"
            ))
        );
    }
}

#[tokio::test]
async fn what_the_platform_publishes_no_plugin_does_whatever_it_is_granted() {
    let fixture = Fixture::new().await;
    let everything = vec![EventPattern::parse("*").unwrap()];
    for right in [PublishRight::NotOthers(HashSet::new()), PublishRight::Granted(everything)] {
        let mut call = publishing(&fixture, right);
        for event in ["core.customer.changed", "core-mail.sent", "job.close", "plugin.upgraded", "system.a"] {
            let own = event.split('.').next().unwrap();
            let expected = format!(
                "permission-denied: event type {event} begins with {own}, which is the platform's own: no plugin \
                 publishes it"
            );
            assert_eq!(call.publish(event, "{}").await, Err(expected));
        }
        assert_eq!(call.publish("corella.a", "{}").await, Ok(()));
    }
}

#[tokio::test]
async fn a_payload_is_one_json_value() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    for good in ["{}", "[]", "null", "0", r#""库存""#, " 1 "] {
        assert_eq!(call.publish(EVENT, good).await, Ok(()), "{good}");
    }
    let invalid = "payload is not valid JSON:";
    for (bad, reason) in [
        ("", format!("{invalid} EOF while parsing a value at line 1 column 0")),
        ("stock", format!("{invalid} expected value at line 1 column 1")),
        ("{}{}", format!("{invalid} trailing characters at line 1 column 3")),
        (
            r#"{"a":1,"a":1}"#,
            "payload: the key \"a\" stands twice in one object at line 1 column 13".to_owned(),
        ),
        (
            r#""\u0000""#,
            "payload: a string has a NUL character, which cannot be kept at line 1 column 8".to_owned(),
        ),
    ] {
        assert_eq!(call.publish(EVENT, bad).await, Err(format!("invalid-input: {reason}")), "{bad}");
    }
    let bytes = answer((*call).publish(EVENT, b"\"\xe5\xba\"").await);
    assert_eq!(bytes, Err("invalid-input: payload is not UTF-8 from byte 1 on".to_owned()));
    assert_eq!(call.commit().await.events.len(), 6);
}

#[tokio::test]
async fn the_type_is_judged_before_the_payload_and_before_the_right() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    assert!(
        call.publish("Sales.A", "nonsense")
            .await
            .unwrap_err()
            .starts_with("invalid-input: invalid event type")
    );
    assert!(call.publish("sales.a", "nonsense").await.unwrap_err().starts_with("permission-denied: "));
    assert!(call.publish("inventory.a", "nonsense").await.unwrap_err().starts_with("invalid-input: payload"));
}

#[tokio::test]
async fn the_cause_of_an_event_is_the_user_at_the_start_of_the_chain() {
    let fixture = Fixture::new().await;
    for (identity, cause) in [
        (anna(ALPHA), Some("anna")),
        (service(ALPHA), Some("billing")),
        (system(ALPHA, None), None),
        (system(ALPHA, Some("carl")), Some("carl")),
    ] {
        let mut call = fixture.begin(InvocationContext { identity: Arc::new(identity), ..fixture.context() });
        call.publish(EVENT, "{}").await.unwrap();
        assert_eq!(call.commit().await.events[0].caused_by, cause.map(user));
    }
}

#[tokio::test]
async fn a_chain_of_events_has_an_end() {
    let fixture = Fixture::new().await;
    let mut call = fixture.begin(handling(&fixture, 15));
    assert_eq!(call.publish(EVENT, "{}").await, Ok(()));
    let mut call = fixture.begin(handling(&fixture, 16));
    let exceeded = "limit-exceeded: event-depth (events caused by one another): 17 used, 16 allowed; do less in one \
                    invocation, or ask for more with `event-depth` under [limits] in plugin.toml";
    assert_eq!(call.publish(EVENT, "{}").await, Err(exceeded.to_owned()));
    assert_eq!(call.publish(EVENT, "{}").await, Err(format!("fatal: {exceeded}")));
    let limits = Limits { event_depth: 20, ..Limits::default() };
    let mut call = fixture.begin(InvocationContext { limits, ..handling(&fixture, 16) });
    assert_eq!(call.publish(EVENT, "{}").await, Ok(()));
}

#[tokio::test]
async fn a_refused_event_is_not_counted() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    call.publish(EVENT, "nonsense").await.unwrap_err();
    assert_eq!(call.commit().await.usage.events, 0);
}
