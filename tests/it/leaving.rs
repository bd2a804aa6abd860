//! A plugin that is taken out of use, on one host and on others of the same database.

use std::sync::Arc;
use std::time::Duration;

use erp_plugin::{ErrorCode, HostFailure, Identity, InstallOptions, RecordId, TenantId, UserId, Version};
use erp_plugin_tests::{Database, Platform, TENANT, guests, together};
use serde_json::{Value as Json, json};
use tokio::sync::Notify;

const ITEM: &str = "inventory.item";

fn system() -> Identity {
    Identity::system(TenantId::parse(TENANT).unwrap(), UserId::parse("system").unwrap(), None)
}

fn defaults() -> InstallOptions {
    InstallOptions::default()
}

async fn with_an_item(platform: &Platform) -> (RecordId, Json) {
    platform.enable("", guests::plugin("inventory")).await;
    let item = json!({ "sku": "A", "name": "Chai", "on_hand": 5 });
    let item = platform.host.records(system()).insert(ITEM, &item).await.unwrap();
    (RecordId::parse(item["id"].as_str().unwrap()).unwrap(), item)
}

fn refused(failure: HostFailure, code: ErrorCode) -> String {
    assert_eq!(failure.code(), code, "{failure}");
    failure.to_string()
}

async fn order(platform: &Platform) -> Result<(u64, u64), HostFailure> {
    let order = json!({ "id": "SO-1", "lines": [{ "sku": "A", "quantity": 2 }] });
    platform.host.publish(system(), "order.created", &order).await?;
    let report = platform.host.drain().await?;
    Ok((report.delivered, report.failed))
}

#[tokio::test]
async fn an_archived_plugin_comes_back_with_all_that_it_had() {
    let platform = Platform::new().await;
    let (id, item) = with_an_item(&platform).await;
    let archived = platform.host.archive("inventory").await.unwrap();
    assert_eq!(archived.version.as_ref().map(ToString::to_string).as_deref(), Some("0.1.0"));
    assert_eq!(archived.disabled_in, [TenantId::parse(TENANT).unwrap()]);
    assert!(archived.kept.iter().any(|kept| kept.entity.to_string() == ITEM && kept.is_entity()));
    let states = platform.host.plugin_states().await.unwrap();
    assert_eq!(
        (states[0].active.clone(), states[0].versions.len(), states[0].enabled_in.len()),
        (None, 1, 0)
    );
    assert!(platform.host.plugins().is_empty());

    let gone = platform.host.records(system()).get(ITEM, id).await.unwrap_err();
    refused(gone, ErrorCode::NotFound);
    let call = platform.host.call(system(), "inventory", "order.created", &json!({})).await;
    let told = refused(call.unwrap_err(), ErrorCode::NotFound);
    assert!(told.contains("no plugin inventory is installed"), "{told}");
    // What is published meanwhile is nobody's, and keeps nobody from working.
    assert_eq!(order(&platform).await.unwrap(), (0, 0));
    // Again changes nothing.
    let again = platform.host.archive("inventory").await.unwrap();
    assert_eq!((again.version, again.disabled_in.len(), again.kept), (None, 0, archived.kept));

    platform.host.install(guests::plugin("inventory"), defaults()).await.unwrap();
    platform.host.enable(TENANT, "inventory").await.unwrap();
    assert_eq!(platform.host.records(system()).get(ITEM, id).await.unwrap(), item);
    let history = platform.host.records(system()).history(ITEM, Some(id), &json!({})).await.unwrap();
    assert_eq!(history["items"].as_array().unwrap().len(), 1, "{history}");
    assert_eq!(order(&platform).await.unwrap(), (1, 0));
    assert_eq!(platform.host.records(system()).get(ITEM, id).await.unwrap()["on_hand"], 3);
    assert!(platform.host.schema_status("inventory").await.unwrap().is_current);
}

#[tokio::test]
async fn an_archived_plugin_comes_back_as_its_next_version() {
    let platform = Platform::new().await;
    let (id, _) = with_an_item(&platform).await;
    platform.host.archive("inventory").await.unwrap();
    // What it would lose from sight takes consent, and what is there is not hidden by its having been away.
    let next = || guests::plugin("inventory-0.2");
    let failure = platform.host.install(next(), defaults()).await.unwrap_err();
    let told = refused(failure, ErrorCode::Rejected);
    assert!(told.contains("inventory.item.discontinued"), "{told}");
    // Nothing was done: what came back to be looked at lies where it lay.
    let states = platform.host.plugin_states().await.unwrap();
    assert_eq!(states[0].active, None);
    let again = platform.host.archive("inventory").await.unwrap();
    assert!(again.kept.iter().all(|kept| kept.kept_as.ends_with("__old1")), "{:?}", again.kept.len());
    let consent = vec!["inventory.item.discontinued".to_owned()];
    platform.host.install(next(), InstallOptions { consent, ..defaults() }).await.unwrap();
    let item = platform.host.records(system()).get(ITEM, id).await.unwrap();
    assert_eq!((&item["sku"], &item["lead_days"]), (&json!("A"), &json!(7)));
}

#[tokio::test]
async fn an_archived_plugin_gets_no_rights_that_it_had_not() {
    let platform = Platform::new().await;
    with_an_item(&platform).await;
    platform.host.archive("inventory").await.unwrap();
    let more = guests::changed("inventory", "0.1.1", |manifest| {
        manifest["capabilities"]["events-publish"] = json!(["inventory.*", "order.created"]);
    });
    let installed = platform.host.install(more, defaults()).await.unwrap();
    assert!(
        installed.notes.iter().any(|note| note.contains("events-publish \"order.created\"")),
        "{installed:?}"
    );
}

#[tokio::test]
async fn what_others_need_is_neither_archived_nor_purged() {
    let platform = Platform::new().await;
    let (id, _) = with_an_item(&platform).await;
    let refers = guests::changed("purchasing", "0.1.1", |manifest| {
        manifest["capabilities"]["entities"] = json!(["inventory.item:read"]);
        manifest["entities"]["purchase_order"]["fields"]["item"] =
            json!({ "type": "reference", "entity": "inventory.item" });
    });
    platform.host.install(refers, defaults()).await.unwrap();
    let told = refused(platform.host.archive("inventory").await.unwrap_err(), ErrorCode::Rejected);
    assert!(
        told.contains(
            "others need inventory: purchasing reads inventory.item, purchasing.purchase_order.item refers to \
             inventory.item"
        ),
        "{told}"
    );
    assert!(platform.host.records(system()).get(ITEM, id).await.is_ok(), "nothing was done");
    platform.host.archive("purchasing").await.unwrap();
    platform.host.archive("inventory").await.unwrap();
    // What comes back would refer to nothing.
    let told = refused(platform.host.purge("inventory").await.unwrap_err(), ErrorCode::Rejected);
    assert!(told.contains("purchasing.purchase_order.item refers to inventory.item"), "{told}");
    platform.host.install(guests::plugin("inventory"), defaults()).await.unwrap();
    // A version that does not need it takes consent: its table came back with the reference.
    let without = platform.host.install(guests::plugin("purchasing"), defaults()).await.unwrap_err();
    let told = refused(without, ErrorCode::Rejected);
    assert!(told.contains("purchasing.purchase_order.item"), "{told}");
}

#[tokio::test]
async fn a_purged_plugin_has_left_nothing_and_begins_anew() {
    let platform = Platform::new().await;
    let (id, _) = with_an_item(&platform).await;
    let told = refused(platform.host.purge("inventory").await.unwrap_err(), ErrorCode::Rejected);
    assert!(told.contains("archive it first"), "{told}");
    let told = refused(platform.host.purge("nobody").await.unwrap_err(), ErrorCode::NotFound);
    assert!(told.contains("is or was installed"), "{told}");
    platform.host.archive("inventory").await.unwrap();
    let purged = platform.host.purge("inventory").await.unwrap();
    assert_eq!((purged.versions, purged.dropped.len()), (1, 3));
    assert!(purged.rows >= 3, "where it stood, what it subscribed to, history: {}", purged.rows);
    assert!(platform.host.plugin_states().await.unwrap().is_empty());
    refused(platform.host.purge("inventory").await.unwrap_err(), ErrorCode::NotFound);
    refused(platform.host.archive("inventory").await.unwrap_err(), ErrorCode::NotFound);

    platform.enable("", guests::plugin("inventory")).await;
    let records = platform.host.records(system());
    refused(records.get(ITEM, id).await.unwrap_err(), ErrorCode::NotFound);
    let history = records.history(ITEM, Some(id), &json!({})).await.unwrap();
    assert_eq!(history["items"], json!([]));
    records.insert(ITEM, &json!({ "sku": "A", "name": "Chai" })).await.unwrap();
}

#[tokio::test]
async fn what_earlier_versions_left_is_not_what_an_archived_plugin_has() {
    let platform = Platform::new().await;
    let (id, item) = with_an_item(&platform).await;
    platform.host.archive("inventory").await.unwrap();
    refused(platform.host.purge_archived("inventory").await.unwrap_err(), ErrorCode::NotFound);
    platform.host.install(guests::plugin("inventory"), defaults()).await.unwrap();
    assert_eq!(platform.host.records(system()).get(ITEM, id).await.unwrap(), item);
}

#[tokio::test]
async fn an_archived_plugin_is_enabled_by_nobody_and_keeps_nobody_from_working() {
    let database = Database::lasting().await;
    let here = Platform::on(database.url(), |builder| builder).await;
    let there = Platform::on(database.url(), |builder| builder).await;
    with_an_item(&here).await;
    there.host.install(guests::plugin("inventory"), defaults()).await.unwrap();
    here.host.archive("inventory").await.unwrap();
    let told = refused(there.host.enable(TENANT, "inventory").await.unwrap_err(), ErrorCode::NotFound);
    assert!(told.contains("no plugin inventory is installed"), "{told}");
    here.host.disable(TENANT, "inventory").await.unwrap();
    // As if somebody had enabled it who looked a moment too early.
    let storage = erp_plugin::storage(database.url()).await.unwrap();
    let scope = erp_plugin::TenantScope::granted_by_host(TenantId::parse(TENANT).unwrap());
    let soon = std::time::Instant::now() + Duration::from_secs(10);
    let options = erp_plugin::TransactionOptions {
        mode: erp_plugin_storage::Mode::Write,
        deadline: soon,
        writer_hold: Duration::from_secs(1),
    };
    let mut own = storage.begin(&scope, options).await.unwrap();
    let state = own.activation(&"inventory".parse().unwrap()).await.unwrap().unwrap();
    let every = erp_plugin_storage::Subscription {
        pattern: erp_plugin_model::event::EventPattern::everything(),
        own_events: true,
        key: None,
    };
    own.set_activation(&erp_plugin_storage::ActivationState { enabled: true, ..state }, &[every])
        .await
        .unwrap();
    own.commit(None).await.unwrap();
    drop(storage);
    assert_eq!(order(&here).await.unwrap(), (0, 0));
    assert_eq!(here.host.plugin_states().await.unwrap()[0].enabled_in, []);
}

#[tokio::test]
async fn a_host_that_was_not_told_notices_and_loses_nothing() {
    let database = Database::lasting().await;
    let here = Platform::on(database.url(), |builder| builder).await;
    let there = Platform::on(database.url(), |builder| builder).await;
    let (id, _) = with_an_item(&here).await;
    there.host.install(guests::plugin("inventory"), defaults()).await.unwrap();
    there.host.records(system()).get(ITEM, id).await.unwrap();
    here.host.archive("inventory").await.unwrap();
    // The records are under another name: nobody can write them any more.
    let price = json!({ "unit_price": "19.25" });
    let late = there.host.records(system()).update(ITEM, id, &price, Version::FIRST).await.unwrap_err();
    refused(late, ErrorCode::NotFound);
    let call = there.host.call(system(), "inventory", "order.created", &json!({})).await;
    refused(call.unwrap_err(), ErrorCode::NotFound);
    here.host.install(guests::plugin("inventory"), defaults()).await.unwrap();
    there.host.install(guests::plugin("inventory"), defaults()).await.unwrap();
    let written = there.host.records(system()).update(ITEM, id, &price, Version::FIRST).await.unwrap();
    assert_eq!(written["unit_price"], "19.25");
}

#[tokio::test]
async fn what_has_begun_when_a_plugin_leaves_is_done_or_undone() {
    const STOCK: i64 = 1_000_000;
    let platform = Arc::new(Platform::new().await);
    platform.enable("", guests::plugin("inventory")).await;
    let item = json!({ "sku": "B", "name": "Chang", "on_hand": STOCK });
    let item = platform.host.records(system()).insert(ITEM, &item).await.unwrap();
    let id = RecordId::parse(item["id"].as_str().unwrap()).unwrap();
    let begun = Arc::new(Notify::new());
    // Each orders until it is told that there is no such plugin.
    let orders = (0..6).map(|number| {
        let (platform, begun) = (Arc::clone(&platform), Arc::clone(&begun));
        async move {
            let order = json!({ "id": format!("SO-{number}"), "lines": [{ "sku": "B", "quantity": 1 }] });
            let mut done = 0;
            loop {
                let called = platform.host.call(system(), "inventory", "order.created", &order).await;
                match called.and_then(|report| Ok(report.outcome?)) {
                    Ok(()) => done += 1,
                    Err(failure) => {
                        let is_told = [ErrorCode::NotFound, ErrorCode::Unavailable].contains(&failure.code());
                        assert!(is_told, "{failure}");
                        return done;
                    }
                }
                begun.notify_one();
            }
        }
    });
    let leaving = {
        let (platform, begun) = (Arc::clone(&platform), Arc::clone(&begun));
        tokio::spawn(async move {
            for _ in 0..10 {
                begun.notified().await;
            }
            platform.host.archive("inventory").await.unwrap();
        })
    };
    let done: i64 = together(orders).await.into_iter().sum();
    leaving.await.unwrap();
    platform.enable("", guests::plugin("inventory")).await;
    let kept = platform.host.records(system()).get(ITEM, id).await.unwrap();
    assert_eq!(STOCK - kept["on_hand"].as_i64().unwrap(), done);
}

#[tokio::test]
async fn what_is_disabled_here_is_disabled_there_within_a_second() {
    let database = Database::lasting().await;
    let here = Platform::on(database.url(), |builder| builder).await;
    let there = Platform::on(database.url(), |builder| builder).await;
    with_an_item(&here).await;
    let call = async |platform: &Platform| {
        platform.host.call(system(), "inventory", "none.of_its_own", &json!({})).await
    };
    assert!(call(&there).await.is_ok());
    here.host.disable(TENANT, "inventory").await.unwrap();
    refused(call(&here).await.unwrap_err(), ErrorCode::NotFound);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let told = refused(call(&there).await.unwrap_err(), ErrorCode::NotFound);
    assert!(told.contains("is not enabled"), "{told}");
    here.host.enable(TENANT, "inventory").await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(call(&there).await.is_ok());
}

#[tokio::test]
async fn of_an_archiving_and_an_installation_at_once_one_is_the_last() {
    let database = Database::lasting().await;
    let here = Platform::on(database.url(), |builder| builder).await;
    let there = Platform::on(database.url(), |builder| builder).await;
    let (id, item) = with_an_item(&here).await;
    let (mut archived, mut installed) = (0, 0);
    for round in 0..12_u64 {
        let archive = async {
            tokio::time::sleep(Duration::from_millis(round % 4 * 3)).await;
            here.host.archive("inventory").await
        };
        let (left, came) = tokio::join!(archive, there.host.install(guests::plugin("inventory"), defaults()));
        for failure in [left.err(), came.err()].into_iter().flatten() {
            refused(failure, ErrorCode::Unavailable);
        }
        // Each of them says the same of what became of it.
        let states = [&here, &there].map(|platform| platform.host.plugin_states());
        let [one, other] = states;
        let (one, other) = (one.await.unwrap(), other.await.unwrap());
        assert_eq!(one, other);
        if one[0].active.is_some() {
            installed += 1;
            assert!(here.host.schema_status("inventory").await.unwrap().is_current, "{round}");
        } else {
            archived += 1;
            let again = here.host.archive("inventory").await.unwrap();
            assert!(again.kept.iter().any(|kept| kept.entity.to_string() == ITEM), "{round}");
            here.host.install(guests::plugin("inventory"), defaults()).await.unwrap();
        }
        assert_eq!(here.host.records(system()).get(ITEM, id).await.unwrap(), item, "{round}");
    }
    println!("{archived} times archived, {installed} times installed");
}
