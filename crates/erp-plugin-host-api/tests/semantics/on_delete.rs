//! What the deletion of a record means for those that refer to it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use erp_plugin_host_api::{
    Caller, EntityGrant, HookPoint, HookRunner, HookVerdict, InvocationContext, Right, Verb,
};
use erp_plugin_model::{EntityRef, ErrorCode, HostError, Limits};
use erp_plugin_storage::Transaction;
use serde_json::json;

use crate::fixture::{BETA, Call, Fixture, id_of, json};

/// A customer, an order of theirs that goes with them, its lines that go with it, a note that forgets them, and an
/// invoice that keeps them.
const SHOP: &str = r#"
    [entities.customer.fields.name]
    type = "string"
    [entities.purchase.fields.customer]
    type = "reference"
    entity = "customer"
    on-delete = "cascade"
    [entities.line.fields.purchase]
    type = "reference"
    entity = "purchase"
    on-delete = "cascade"
    [entities.note.fields.about]
    type = "reference"
    entity = "customer"
    on-delete = "set-null"
    [entities.note.fields.also]
    type = "reference"
    entity = "purchase"
    on-delete = "set-null"
    [entities.invoice.fields.line]
    type = "reference"
    entity = "line"
    [entities.node.fields.parent]
    type = "reference"
    entity = "node"
    on-delete = "cascade"
"#;

async fn insert(call: &mut Call, entity: &str, data: serde_json::Value) -> String {
    id_of(&call.insert(entity, &data.to_string()).await.unwrap())
}

/// A customer with two purchases of two lines each.
async fn customer(call: &mut Call) -> (String, Vec<String>, Vec<String>) {
    let customer = insert(call, "customer", json!({ "name": "Ada" })).await;
    let (mut purchases, mut lines) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let purchase = insert(call, "purchase", json!({ "customer": customer })).await;
        for _ in 0..2 {
            lines.push(insert(call, "line", json!({ "purchase": purchase })).await);
        }
        purchases.push(purchase);
    }
    (customer, purchases, lines)
}

#[tokio::test]
async fn what_says_nothing_else_keeps_what_it_refers_to() {
    let fixture = Fixture::new().await;
    let category = fixture.given("category", &[r#"{"name":"Seats"}"#]).await.remove(0);
    let other = fixture.given("category", &[r#"{"name":"Tables"}"#]).await.remove(0);
    let item = |n: usize| format!(r#"{{"sku":"S{n}","name":"n","category":"{category}"}}"#);
    let mut ids = Vec::new();
    for (n, count) in [(0, "1 record of inventory.item refers"), (1, "2 records of inventory.item refer")] {
        ids.extend(fixture.given("item", &[&item(n)]).await);
        let mut call = fixture.call();
        assert_eq!(
            call.delete("category", &category).await,
            Err(format!(
                "rejected: inventory.category {category} cannot be deleted: {count} to it in \"category\"; delete or change \
                 them first"
            ))
        );
        // The transaction is intact, and nothing was written or counted as written.
        assert_eq!(call.budget().used().rows_written, 0);
        call.get("category", &category).await.unwrap();
        assert!(call.commit().await.writes.is_empty());
    }
    let mut call = fixture.call();
    call.delete("category", &other).await.unwrap();
    call.delete("item", &ids[0]).await.unwrap();
    call.update("item", &ids[1], r#"{"category":null}"#, 1).await.unwrap();
    call.delete("category", &category).await.unwrap();
    call.commit().await;
}

#[tokio::test]
async fn of_many_in_the_way_at_least_so_many_are_told() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    let category = id_of(&call.insert("category", "{}").await.unwrap());
    let rows: Vec<_> =
        (0..150).map(|n| json!({ "sku": format!("S{n}"), "name": "n", "category": category })).collect();
    call.insert_many("item", &json!(rows).to_string()).await.unwrap();
    let error = call.delete("category", &category).await.unwrap_err();
    assert!(error.contains("at least 100 records of inventory.item refer to it in \"category\""), "{error}");
}

#[tokio::test]
async fn a_deletion_takes_others_along_and_makes_others_forget() {
    let fixture = Fixture::declaring(SHOP).await;
    let mut call = fixture.call();
    let (ada, purchases, lines) = customer(&mut call).await;
    let (bob, bobs_purchases, bobs_lines) = customer(&mut call).await;
    let note = insert(&mut call, "note", json!({ "about": ada, "also": bobs_purchases[0] })).await;
    let both = insert(&mut call, "note", json!({ "about": ada, "also": purchases[0] })).await;
    call.commit().await;
    fixture.clock.advance(60);
    let mut call = fixture.call();
    call.delete("customer", &ada).await.unwrap();
    for (entity, gone) in [("purchase", &purchases), ("line", &lines)] {
        for id in gone {
            assert!(call.get(entity, id).await.unwrap_err().starts_with("not-found"), "{entity}");
        }
    }
    for (entity, stays) in [("customer", &vec![bob]), ("purchase", &bobs_purchases), ("line", &bobs_lines)] {
        for id in stays {
            assert_eq!(json(&call.get(entity, id).await.unwrap())["version"], 1);
        }
    }
    let record = json(&call.get("note", &note).await.unwrap());
    assert_eq!((&record["about"], &record["also"]), (&json!(null), &json!(bobs_purchases[0])));
    assert_eq!(
        (&record["version"], &record["updated_at"]),
        (&json!(2), &json!("2026-01-01T09:01:00.000000Z"))
    );
    let record = json(&call.get("note", &both).await.unwrap());
    assert_eq!(
        (&record["about"], &record["also"], &record["version"]),
        (&json!(null), &json!(null), &json!(2))
    );
    assert_eq!(call.budget().used().rows_written, 9);
    let finished = call.commit().await;
    let written: Vec<_> = finished
        .writes
        .iter()
        .map(|write| format!("{} {}", write.verb.as_str(), write.entity.schema().name.entity))
        .collect();
    let mut expected = vec!["delete customer", "delete purchase", "delete purchase"];
    expected.extend(["delete line"; 4]);
    expected.extend(["update note"; 2]);
    assert_eq!(written, expected);
}

#[tokio::test]
async fn one_that_keeps_what_would_go_along_refuses_all_of_it() {
    let fixture = Fixture::declaring(SHOP).await;
    let mut call = fixture.call();
    let (ada, _, lines) = customer(&mut call).await;
    let note = insert(&mut call, "note", json!({ "about": ada })).await;
    let invoice = insert(&mut call, "invoice", json!({ "line": lines[3] })).await;
    call.commit().await;
    let mut call = fixture.call();
    assert_eq!(
        call.delete("customer", &ada).await,
        Err(format!(
            "rejected: inventory.customer {ada} cannot be deleted: 1 record of inventory.invoice refers to what would be \
             deleted with it in \"line\"; delete or change them first"
        ))
    );
    assert_eq!(call.count("line", "").await, Ok(4));
    assert_eq!(json(&call.get("note", &note).await.unwrap())["about"], ada);
    call.delete("invoice", &invoice).await.unwrap();
    call.delete("customer", &ada).await.unwrap();
    assert_eq!(call.count("line", "").await, Ok(0));
}

#[tokio::test]
async fn cycles_end_and_chains_have_a_longest_length() {
    let fixture = Fixture::declaring(SHOP).await;
    let mut call = fixture.call();
    // a -> c -> b -> a, and one that refers to itself.
    let a = insert(&mut call, "node", json!({})).await;
    let b = insert(&mut call, "node", json!({ "parent": a })).await;
    let c = insert(&mut call, "node", json!({ "parent": b })).await;
    call.update("node", &a, &json!({ "parent": c }).to_string(), 1).await.unwrap();
    let own = insert(&mut call, "node", json!({})).await;
    call.update("node", &own, &json!({ "parent": own }).to_string(), 1).await.unwrap();
    call.delete("node", &b).await.unwrap();
    call.delete("node", &own).await.unwrap();
    assert_eq!(call.count("node", "").await, Ok(0));
    let mut chain = vec![insert(&mut call, "node", json!({})).await];
    for _ in 0..9 {
        let parent = chain.last().unwrap().clone();
        chain.push(insert(&mut call, "node", json!({ "parent": parent })).await);
    }
    assert_eq!(
        call.delete("node", &chain[0]).await,
        Err(format!(
            "limit-exceeded: the deletion of inventory.node {} goes on for more than 8 levels of records that refer to one \
             another; delete the lower ones first",
            chain[0]
        ))
    );
    assert_eq!(call.count("node", "").await, Ok(10));
    call.delete("node", &chain[1]).await.unwrap();
    assert_eq!(call.count("node", "").await, Ok(1));
}

#[tokio::test]
async fn what_goes_along_is_counted_and_a_limit_refuses_all_of_it() {
    let fixture = Fixture::declaring(SHOP).await;
    let mut call = fixture.call();
    let (ada, ..) = customer(&mut call).await;
    insert(&mut call, "note", json!({ "about": ada })).await;
    call.commit().await;
    for written in [1, 3, 7] {
        let mut call = fixture.limited(Limits { rows_written: written, ..Limits::default() });
        let error = call.delete("customer", &ada).await.unwrap_err();
        assert!(error.starts_with("limit-exceeded: rows-written"), "{error}");
        assert_eq!(call.count("line", "").await, Ok(4));
        assert!(call.commit().await.writes.is_empty());
    }
    let mut call = fixture.limited(Limits { rows_read: 4, ..Limits::default() });
    let error = call.delete("customer", &ada).await.unwrap_err();
    assert!(error.starts_with("limit-exceeded: rows-read"), "{error}");
    drop(call);
    let mut call = fixture.limited(Limits { rows_written: 8, ..Limits::default() });
    call.delete("customer", &ada).await.unwrap();
    assert_eq!((call.budget().used().rows_written, call.budget().used().rows_read), (8, 8));
}

#[tokio::test]
async fn another_tenants_records_have_no_part_in_it() {
    let fixture = Fixture::declaring(SHOP).await;
    let mut call = fixture.call();
    let (ada, ..) = customer(&mut call).await;
    call.commit().await;
    let mut theirs = fixture.call_in(BETA);
    customer(&mut theirs).await;
    assert!(theirs.delete("customer", &ada).await.unwrap_err().starts_with("not-found"));
    theirs.commit().await;
    assert_eq!(fixture.call().count("line", "").await, Ok(4));
    let mut call = fixture.call();
    call.delete("customer", &ada).await.unwrap();
    call.commit().await;
    assert_eq!(fixture.call_in(BETA).count("line", "").await, Ok(4));
}

#[tokio::test]
async fn the_rule_is_followed_whatever_the_caller_may_do_with_those_that_refer() {
    let fixture = Fixture::declaring(SHOP).await;
    let mut call = fixture.call();
    let (ada, ..) = customer(&mut call).await;
    call.commit().await;
    // A plugin that can name the customer and nothing else.
    let own = fixture.caller();
    let grant = own.entities["customer"].clone();
    let grant = EntityGrant { read: Right::WithPermission, write: Right::WithPermission, ..grant };
    let stranger = Caller { entities: [("inventory.customer".to_owned(), grant)].into(), ..own };
    let permissions = Arc::new(["inventory.customer.delete"].iter().collect());
    let context = InvocationContext { caller: Arc::new(stranger), permissions, ..fixture.context() };
    let mut call = fixture.begin(context);
    assert!(call.count("inventory.line", "").await.is_err());
    call.delete("inventory.customer", &ada).await.unwrap();
    call.commit().await;
    assert_eq!(fixture.call().count("line", "").await, Ok(0));
}

/// Notes what it is asked, and refuses one kind of it.
#[derive(Clone)]
struct Listener {
    heard: Arc<Mutex<Vec<String>>>,
    refuses: &'static str,
}

#[async_trait]
impl HookRunner for Listener {
    fn listens(&self, _: &EntityRef) -> bool {
        true
    }

    async fn run(
        &self,
        point: HookPoint<'_>,
        transaction: Box<dyn Transaction>,
    ) -> (Option<Box<dyn Transaction>>, HookVerdict) {
        let heard = match point {
            HookPoint::BeforeDelete { entity, .. } => format!("delete {}", entity.entity),
            HookPoint::BeforeUpdate { entity, data, .. } => {
                format!("update {} {}", entity.entity, String::from_utf8_lossy(data))
            }
            _ => return (Some(transaction), Ok(())),
        };
        let refused = heard == self.refuses;
        self.heard.lock().unwrap().push(heard);
        let verdict = if refused { Err(HostError::new(ErrorCode::Rejected, "no")) } else { Ok(()) };
        (Some(transaction), verdict)
    }
}

#[tokio::test]
async fn hooks_are_asked_about_each_before_anything_is_written() {
    let quiet = Fixture::declaring(SHOP).await;
    let mut call = quiet.call();
    let ada = insert(&mut call, "customer", json!({})).await;
    let purchase = insert(&mut call, "purchase", json!({ "customer": ada })).await;
    insert(&mut call, "line", json!({ "purchase": purchase })).await;
    insert(&mut call, "note", json!({ "about": ada, "also": purchase })).await;
    call.commit().await;
    let note = r#"update note {"about":null,"also":null}"#;
    for refuses in ["delete line", note, ""] {
        let listener = Listener { heard: Arc::default(), refuses };
        let fixture = quiet.again(listener.clone());
        let mut call = fixture.call();
        let deleted = call.delete("customer", &ada).await;
        if refuses.is_empty() {
            assert_eq!(deleted, Ok(()));
            let heard = std::mem::take(&mut *listener.heard.lock().unwrap());
            assert_eq!(heard, ["delete customer", "delete purchase", "delete line", note]);
        } else {
            assert_eq!(deleted, Err("rejected: no".to_owned()));
            assert_eq!(call.count("line", "").await, Ok(1));
        }
        let finished = call.commit().await;
        assert_eq!(finished.writes.len(), if refuses.is_empty() { 4 } else { 0 });
        assert!(finished.writes.iter().all(|write| matches!(write.verb, Verb::Delete | Verb::Update)));
    }
}
