//! A plugin's next version, on one host and on others of the same database.

use std::sync::Arc;

use erp_plugin::{HostFailure, Identity, InstallOptions, RecordId, TenantId, UserId, Version};
use erp_plugin_tests::{Database, Platform, TENANT, guests, together};
use serde_json::{Value as Json, json};

const ITEM: &str = "inventory.item";

fn system() -> Identity {
    Identity::system(TenantId::parse(TENANT).unwrap(), UserId::parse("system").unwrap(), None)
}

fn consent() -> InstallOptions {
    InstallOptions { consent: vec!["inventory.item.discontinued".to_owned()], ..InstallOptions::default() }
}

async fn with_an_item(platform: &Platform) -> Json {
    platform.enable("", guests::plugin("inventory")).await;
    let item = json!({ "sku": "A", "name": "Chai", "unit_price": "18.5", "on_hand": 5 });
    platform.host.records(system()).insert(ITEM, &item).await.unwrap()
}

#[tokio::test]
async fn a_host_that_was_not_told_goes_on_with_the_new_version() {
    let database = Database::lasting().await;
    let here = Platform::on(database.url(), |builder| builder).await;
    let there = Platform::on(database.url(), |builder| builder).await;
    let item = with_an_item(&here).await;
    let id = RecordId::parse(item["id"].as_str().unwrap()).unwrap();
    there.host.install(guests::plugin("inventory"), InstallOptions::default()).await.unwrap();
    assert_eq!(there.host.records(system()).get(ITEM, id).await.unwrap()["unit_price"], "18.50");
    here.host.install(guests::plugin("inventory-0.2"), consent()).await.unwrap();

    let price = json!({ "unit_price": "19.25" });
    let written = there.host.records(system()).update(ITEM, id, &price, Version::FIRST).await.unwrap();
    assert_eq!((&written["unit_price"], &written["lead_days"]), (&json!("19.2500"), &json!(7)));
    assert_eq!(here.host.records(system()).get(ITEM, id).await.unwrap(), written);
    let order = json!({ "id": "SO-1", "lines": [{ "sku": "A", "quantity": 2 }] });
    there.host.publish(system(), "order.created", &order).await.unwrap();
    let report = there.host.drain().await.unwrap();
    assert_eq!((report.delivered, report.failed), (1, 0));
    assert_eq!(there.host.records(system()).get(ITEM, id).await.unwrap()["on_hand"], 3);
}

#[tokio::test]
async fn hosts_that_install_the_same_version_at_once_all_end_with_it() {
    let database = Database::lasting().await;
    let first = Platform::on(database.url(), |builder| builder).await;
    let item = with_an_item(&first).await;
    let mut hosts = vec![Arc::new(first)];
    for _ in 0..2 {
        hosts.push(Arc::new(Platform::on(database.url(), |builder| builder).await));
    }
    let installs = hosts.iter().map(|host| {
        let host = Arc::clone(host);
        async move { host.host.install(guests::plugin("inventory-0.2"), consent()).await.unwrap() }
    });
    together(installs).await;
    for host in &hosts {
        assert_eq!(host.host.plugins()[0].version.to_string(), "0.2.0");
        assert!(host.host.schema_status("inventory").await.unwrap().is_current);
        let found = host.host.records(system()).query(ITEM, &json!({}), &json!({})).await.unwrap();
        assert_eq!(
            (&found["items"][0]["id"], &found["items"][0]["unit_price"]),
            (&item["id"], &json!("18.5000"))
        );
    }
}

#[tokio::test]
async fn a_version_that_asks_for_more_does_not_get_it_until_it_is_accepted() {
    let platform = Platform::new().await;
    with_an_item(&platform).await;
    let asks = |version: &str| {
        guests::changed("inventory", version, |manifest| {
            manifest["capabilities"]["events-publish"] = json!(["inventory.*", "order.created"]);
            manifest["capabilities"]["dynamic-entities"] = json!(true);
        })
    };
    let installed = platform.host.install(asks("0.1.1"), InstallOptions::default()).await.unwrap();
    assert_eq!(
        installed.notes,
        [
            "asks for events-publish \"order.created\", which the installed version of inventory was not granted; grant it \
             to accept",
            "asks for dynamic-entities, which the installed version of inventory was not granted; grant it to accept",
        ]
    );
    let granted = Some(installed.manifest.unwrap().capabilities);
    let accepted = InstallOptions { granted, ..InstallOptions::default() };
    platform.host.install(asks("0.1.1"), accepted).await.unwrap();
    // What was accepted once is not asked for again.
    let next = platform.host.install(asks("0.1.2"), InstallOptions::default()).await.unwrap();
    assert_eq!(next.notes, [""; 0]);
}

#[tokio::test]
async fn a_version_whose_init_fails_changes_nothing() {
    let platform = Platform::new().await;
    let item = with_an_item(&platform).await;
    let fails = guests::with_manifest(&guests::hostile("01-endless-init"), "inventory", "");
    let failure = platform.host.install(fails, InstallOptions::default()).await.unwrap_err();
    assert!(matches!(failure, HostFailure::Lifecycle { .. }), "{failure}");
    let id = RecordId::parse(item["id"].as_str().unwrap()).unwrap();
    assert_eq!(platform.host.records(system()).get(ITEM, id).await.unwrap(), item);
    assert!(platform.host.schema_status("inventory").await.unwrap().is_current);
}

#[tokio::test]
async fn a_version_that_was_replaced_runs_again() {
    let platform = Platform::new().await;
    let item = with_an_item(&platform).await;
    let id = RecordId::parse(item["id"].as_str().unwrap()).unwrap();
    platform.host.install(guests::plugin("inventory-0.2"), consent()).await.unwrap();
    let subjects = ["inventory.item.lead_days", "inventory.item.unit_price"];
    let back = InstallOptions { consent: subjects.map(str::to_owned).to_vec(), ..InstallOptions::default() };
    let installed = platform.host.install(guests::plugin("inventory"), back).await.unwrap();
    assert_eq!(installed.version.to_string(), "0.1.0");
    assert_eq!(platform.host.records(system()).get(ITEM, id).await.unwrap(), item);
}
