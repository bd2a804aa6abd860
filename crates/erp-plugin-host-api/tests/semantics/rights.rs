//! Rights on entities: the plugin's own, another's with and without the user's permission.

use std::sync::Arc;

use erp_plugin_host_api::{Caller, InvocationContext, Right};
use erp_plugin_model::Identity;
use erp_plugin_model::event::Publisher;

use crate::fixture::{ALPHA, Call, Fixture, anna, id_of, items, json, service, system};

const ITEM: &str = "inventory.item";

fn acting(fixture: &Fixture, caller: Caller, identity: Identity, permissions: &[&str]) -> Call {
    fixture.begin(InvocationContext {
        caller: Arc::new(caller),
        identity: Arc::new(identity),
        permissions: Arc::new(permissions.iter().collect()),
        ..fixture.context()
    })
}

/// What the four verbs are answered: read, insert, update, delete.
async fn verbs(call: &mut Call, id: &str) -> [Result<(), String>; 4] {
    [
        call.query(ITEM, "", "").await.map(drop),
        call.insert(ITEM, r#"{"sku":"NEW","name":"n"}"#).await.map(drop),
        call.update(ITEM, id, "{}", 1).await.map(drop),
        call.delete(ITEM, id).await,
    ]
}

const VERBS: [&str; 4] = ["read", "insert", "update", "delete"];

#[tokio::test]
async fn on_its_own_entities_a_plugin_acts_with_its_own_rights_whoever_is_behind_it() {
    let fixture = Fixture::new().await;
    for identity in [anna(ALPHA), service(ALPHA), system(ALPHA, None)] {
        let id = fixture.given("item", &[r#"{"sku":"A","name":"n"}"#]).await.remove(0);
        let mut call = acting(&fixture, fixture.caller(), identity, &[]);
        assert_eq!(verbs(&mut call, &id).await, [Ok(()), Ok(()), Ok(()), Ok(())]);
        call.refuse().await;
        let mut call = fixture.call();
        call.delete("item", &id).await.unwrap();
        call.commit().await;
    }
}

#[tokio::test]
async fn what_is_not_granted_is_denied_to_everybody() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[r#"{"sku":"A","name":"n"}"#]).await.remove(0);
    let denied = |verb: &str| {
        let access = if verb == "read" { "read" } else { "write" };
        Err(format!(
            "permission-denied: {verb} of inventory.item is not granted; ask for \"inventory.item:{access}\" under \
             [capabilities] entities in plugin.toml"
        ))
    };
    for identity in [anna(ALPHA), service(ALPHA), system(ALPHA, None)] {
        let nothing = fixture.stranger(Right::No, Right::No);
        let mut call = acting(&fixture, nothing, identity.clone(), &["*"]);
        assert_eq!(verbs(&mut call, &id).await, VERBS.map(denied));
        let reading = fixture.stranger(Right::WithPermission, Right::No);
        let mut call = acting(&fixture, reading, identity, &["*"]);
        let [read, writes @ ..] = verbs(&mut call, &id).await;
        assert_eq!(read, Ok(()));
        assert_eq!(writes, ["insert", "update", "delete"].map(denied));
    }
}

#[tokio::test]
async fn on_anothers_entity_whoever_acts_needs_the_permission_for_each_verb() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[r#"{"sku":"A","name":"n"}"#]).await.remove(0);
    for (identity, name) in [(anna(ALPHA), "anna"), (service(ALPHA), "billing")] {
        for had in VERBS {
            let caller = fixture.stranger(Right::WithPermission, Right::WithPermission);
            let permission = format!("inventory.item.{had}");
            let mut call = acting(&fixture, caller, identity.clone(), &[&permission]);
            let answers = verbs(&mut call, &id).await;
            for (verb, answer) in VERBS.into_iter().zip(answers) {
                let lacking = format!(
                    "permission-denied: {name} lacks the permission inventory.item.{verb}; a role can give it"
                );
                assert_eq!(answer, if verb == had { Ok(()) } else { Err(lacking) });
            }
            call.refuse().await;
        }
        let caller = fixture.stranger(Right::WithPermission, Right::WithPermission);
        let mut call = acting(&fixture, caller, identity, &["inventory.*"]);
        assert_eq!(verbs(&mut call, &id).await, [Ok(()), Ok(()), Ok(()), Ok(())]);
        call.refuse().await;
    }
}

#[tokio::test]
async fn the_system_needs_no_permission_where_the_plugin_has_the_grant() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[r#"{"sku":"A","name":"n"}"#]).await.remove(0);
    let caller = fixture.stranger(Right::WithPermission, Right::WithPermission);
    let mut call = acting(&fixture, caller, system(ALPHA, Some("anna")), &[]);
    assert_eq!(verbs(&mut call, &id).await, [Ok(()), Ok(()), Ok(()), Ok(())]);
    call.commit().await;
    assert_eq!(fixture.found("item", "").await[0]["created_by"], "plugin:sales");
}

#[tokio::test]
async fn what_was_never_asked_for_has_no_name() {
    let fixture = Fixture::new().await;
    let caller = fixture.stranger(Right::WithPermission, Right::WithPermission);
    let mut call = acting(&fixture, caller, anna(ALPHA), &["*"]);
    for name in ["item", "inventory.category", "category"] {
        assert_eq!(
            call.query(name, "", "").await,
            Err(format!(
                "invalid-input: unknown entity {name:?}; known: inventory.item. Declare it under [entities] in \
                 plugin.toml, or ask for dynamic-entities under [capabilities]"
            ))
        );
    }
}

#[tokio::test]
async fn rights_are_judged_before_the_data_is_looked_at() {
    let fixture = Fixture::new().await;
    let caller = fixture.stranger(Right::No, Right::No);
    let mut call = acting(&fixture, caller, anna(ALPHA), &[]);
    for refused in [
        call.insert(ITEM, "nonsense").await,
        call.update(ITEM, "nonsense", "nonsense", -1).await,
        call.query(ITEM, "nonsense", "nonsense").await,
    ] {
        assert!(refused.unwrap_err().starts_with("permission-denied: "));
    }
    assert_eq!(call.writer_watch().until(), None, "nothing was opened for it");
}

#[tokio::test]
async fn the_edge_writes_as_whoever_acts_and_keeps_no_record_of_a_plugin() {
    let fixture = Fixture::new().await;
    let edge = || {
        let caller = fixture.stranger(Right::WithPermission, Right::WithPermission);
        Caller { publisher: Publisher::Platform, ..caller }
    };
    let mut call = acting(&fixture, edge(), anna(ALPHA), &["inventory.item.*"]);
    assert_eq!(call.plugin(), None);
    let record = call.insert(ITEM, r#"{"sku":"A","name":"n"}"#).await.unwrap();
    assert_eq!(json(&record)["created_by"], "anna");
    call.commit().await;
    let mut call = acting(&fixture, edge(), system(ALPHA, None), &[]);
    let record = json(&call.update(ITEM, &id_of(&record), "{}", 1).await.unwrap());
    assert_eq!(record["updated_by"], "system");
    assert_eq!(items(&call.query(ITEM, "", "").await.unwrap()).len(), 1);
    call.commit().await;
    assert!(fixture.witness.invocations().is_empty());
}

#[tokio::test]
async fn each_verb_asks_for_the_permission_that_is_called_so() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[r#"{"sku":"A","name":"n"}"#]).await.remove(0);
    let mut call = fixture.call();
    call.delete("item", &id).await.unwrap();
    call.commit().await;
    let moment = "2020-01-01T00:00:00Z".parse().unwrap();
    for verb in ["read", "insert", "update", "delete", "restore", "purge", "none"] {
        let stranger = fixture.stranger(Right::WithPermission, Right::WithPermission);
        let permission = format!("{ITEM}.{verb}");
        let mut call = acting(&fixture, stranger, anna(ALPHA), &[&permission]);
        let item = r#"{"sku":"B","name":"n"}"#;
        let update = format!(r#"[{{"id":"{id}","version":1,"data":{{}}}}]"#);
        for (needed, answer) in [
            ("read", call.get(ITEM, &id).await.map(drop)),
            ("read", call.count(ITEM, "").await.map(drop)),
            ("read", call.aggregate(ITEM, "", r#"{"figures":{"n":{"count":true}}}"#).await.map(drop)),
            ("insert", call.insert_many(ITEM, &format!("[{item}]")).await.map(drop)),
            ("update", call.update_many(ITEM, &update).await.map(drop)),
            ("delete", call.delete(ITEM, &id).await),
            ("purge", call.purge(ITEM, moment).await.map(drop)),
            ("restore", call.restore(ITEM, &id).await.map(drop)),
        ] {
            let lacks =
                format!("permission-denied: anna lacks the permission {ITEM}.{needed}; a role can give it");
            assert_eq!(answer == Err(lacks), needed != verb, "{needed} with {verb}");
        }
        call.refuse().await;
    }
}
