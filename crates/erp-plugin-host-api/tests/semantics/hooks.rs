//! Other plugins' say in a write: when they are asked, with what, and what their answer does.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use erp_plugin_host_api::{HookPoint, HookRunner, HookVerdict};
use erp_plugin_model::{EntityRef, ErrorCode, HostError};
use erp_plugin_storage::Transaction;

use crate::dynamic::Dynamic;
use crate::fixture::{Fixture, NOBODY, error_of, id_of, items};

#[derive(Clone, Copy)]
enum Does {
    Agrees,
    Refuses,
    KeepsTheTransaction,
}

/// Listens to items, notes what it is asked, and does as it was told.
#[derive(Clone)]
struct Listener {
    heard: Arc<Mutex<Vec<String>>>,
    does: Does,
}

impl Listener {
    fn that(does: Does) -> Self {
        Self { heard: Arc::default(), does }
    }

    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

#[async_trait]
impl HookRunner for Listener {
    fn listens(&self, entity: &EntityRef) -> bool {
        matches!(entity.entity.as_str(), "item" | "note")
    }

    async fn run(
        &self,
        point: HookPoint<'_>,
        transaction: Box<dyn Transaction>,
    ) -> (Option<Box<dyn Transaction>>, HookVerdict) {
        let text = |data: &[u8]| String::from_utf8(data.to_vec()).unwrap();
        let heard = match point {
            HookPoint::BeforeInsert { entity, data } => format!("insert {entity} {}", text(data)),
            HookPoint::BeforeUpdate { entity, id, data } => format!("update {entity} {id} {}", text(data)),
            HookPoint::BeforeDelete { entity, id } => format!("delete {entity} {id}"),
            HookPoint::BeforeRestore { entity, id } => format!("restore {entity} {id}"),
        };
        self.heard.lock().unwrap().push(heard);
        let refusal = HostError::new(ErrorCode::Rejected, "the month is closed");
        match self.does {
            Does::Agrees => (Some(transaction), Ok(())),
            Does::Refuses => (Some(transaction), Err(refusal)),
            Does::KeepsTheTransaction => (None, Ok(())),
        }
    }
}

const ITEM: &str = r#"{"sku":"A","name":"n"}"#;
const REFUSED: &str = "rejected: the month is closed";

#[tokio::test]
async fn each_write_is_asked_about_once_in_order_with_what_the_caller_gave() {
    let listener = Listener::that(Does::Agrees);
    let fixture = Fixture::new().await.hooked(listener.clone());
    let mut call = fixture.call();
    let id = id_of(&call.insert("item", ITEM).await.unwrap());
    call.update("inventory.item", &id, r#"{"name": "m"}"#, 1).await.unwrap();
    call.delete("item", &id).await.unwrap();
    call.insert("category", r#"{"name":"nobody listens"}"#).await.unwrap();
    call.query("item", "", "").await.unwrap();
    call.commit().await;
    assert_eq!(
        listener.heard(),
        [
            format!("insert inventory.item {ITEM}"),
            format!(r#"update inventory.item {id} {{"name": "m"}}"#),
            format!("delete inventory.item {id}"),
        ]
    );
}

#[tokio::test]
async fn nobody_is_asked_about_what_is_refused_anyway() {
    let listener = Listener::that(Does::Agrees);
    let fixture = Fixture::new().await.hooked(listener.clone());
    let mut call = fixture.call();
    for refused in [
        call.insert("item", "{}").await,
        call.insert("item", r#"{"sku":"A","name":7}"#).await,
        call.update("item", NOBODY, r#"{"sku":null}"#, 1).await,
        call.update("item", NOBODY, "{}", 0).await,
        call.update("item", "nonsense", "{}", 1).await,
        call.delete("item", "nonsense").await.map(|()| String::new()),
    ] {
        assert!(refused.is_err());
    }
    assert!(listener.heard().is_empty());
}

#[tokio::test]
async fn a_refusal_is_the_callers_answer_and_nothing_was_written() {
    let quiet = Fixture::new().await;
    let id = quiet.given("item", &[ITEM]).await.remove(0);
    let fixture = quiet.again(Listener::that(Does::Refuses));
    let mut call = fixture.call();
    let refused = Err(REFUSED.to_owned());
    assert_eq!(call.insert("item", r#"{"sku":"B","name":"n"}"#).await, refused);
    assert_eq!(call.update("item", &id, r#"{"name":"m"}"#, 1).await, refused);
    assert_eq!(call.delete("item", &id).await.map(|()| String::new()), refused);
    // The invocation goes on, in the same transaction.
    call.insert("category", r#"{"name":"stays"}"#).await.unwrap();
    let found = items(&call.query("item", "", "").await.unwrap());
    assert_eq!((found.len(), &found[0]["version"]), (1, &1.into()));
    assert_eq!(call.commit().await.writes.len(), 1);
    assert_eq!(quiet.found("category", "").await.len(), 1);
}

#[tokio::test]
async fn a_hook_is_asked_about_dynamic_entities_too() {
    let listener = Listener::that(Does::Refuses);
    let dynamic = Dynamic::new().await;
    let dynamic = Dynamic { fixture: dynamic.fixture.hooked(listener.clone()), ..dynamic };
    let mut call = dynamic.call();
    assert_eq!(call.insert("note", r#"{"a":1}"#).await, Err(REFUSED.to_owned()));
    assert_eq!(call.query("note", "", "").await.unwrap(), r#"{"items":[],"next_cursor":null}"#);
    assert_eq!(listener.heard(), [r#"insert inventory.note {"a":1}"#]);
}

#[tokio::test]
async fn a_transaction_that_does_not_come_back_ends_the_invocation_and_everything_it_did() {
    let quiet = Fixture::new().await;
    let fixture = quiet.again(Listener::that(Does::KeepsTheTransaction));
    let mut call = fixture.call();
    call.insert("category", r#"{"name":"lost"}"#).await.unwrap();
    let gone = "internal: the transaction did not come back from a nested call";
    assert_eq!(call.insert("item", ITEM).await, Err(format!("fatal: {gone}")));
    let error = HostError::new(ErrorCode::Internal, "the transaction did not come back from a nested call");
    let finished = call.finish(Err(error)).await;
    assert_eq!(error_of(&finished), gone);
    assert!(quiet.found("category", "").await.is_empty());
    assert_eq!(fixture.witness.invocations()[0].error, Some(ErrorCode::Internal));
}
