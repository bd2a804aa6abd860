//! The platform's own entities: tables in every tenant, which plugins refer to and are granted.

use std::time::Duration;

use erp_plugin::{CallError, ErrorCode, InstallOptions, RecordId, Version};
use erp_plugin_tests::{Database, Platform, TENANT, guests, sample, system_of, user};
use serde_json::{Value as Json, json};

const CUSTOMER: &str = "core.customer";

fn manifest(version: &str, more: &str) -> String {
    format!(
        "manifest = 1\n[plugin]\nname = \"core\"\nversion = {version:?}\ncontract = \"0\"\n\
         [entities.customer.fields.name]\ntype = \"string\"\nrequired = true\n{more}"
    )
}

const CITY: &str = "[entities.customer.fields.city]\ntype = \"string\"\n";

async fn declared() -> Platform {
    let platform = Platform::new().await;
    platform.host.declare(&manifest("1.0.0", ""), Vec::new()).await.unwrap();
    platform
}

async fn insert(platform: &Platform, customer: Json) -> Json {
    platform.host.records(system_of(TENANT)).insert(CUSTOMER, &customer).await.unwrap()
}

/// The sample, which refers to customers and may read them.
fn sample_with_customers() -> Vec<u8> {
    guests::changed(sample::NAME, "0.1.0", |manifest| {
        manifest["capabilities"]["entities"] = json!(["core.customer:read"]);
        manifest["entities"]["note"]["fields"]["customer"] =
            json!({ "type": "reference", "entity": CUSTOMER });
    })
}

#[tokio::test]
async fn what_the_platform_declares_is_there_in_every_tenant_for_who_has_the_permission() {
    let platform = declared().await;
    platform.host.create_tenant("globex").await.unwrap();
    let customer = insert(&platform, json!({ "name": "Ana" })).await;
    assert_eq!((&customer["version"], &customer["created_by"]), (&json!(1), &json!("system")));
    assert_eq!(platform.records_of("globex", CUSTOMER).await, [] as [Json; 0]);
    let nobody = platform.host.records(user("ben", "nobody")).insert(CUSTOMER, &json!({ "name": "B" })).await;
    assert_eq!(nobody.unwrap_err().code(), ErrorCode::PermissionDenied);
    // It is in no list of plugins, and is nothing to be enabled, called or taken out of use.
    assert!(platform.host.plugins().is_empty() && platform.host.plugin_states().await.unwrap().is_empty());
    assert!(platform.host.examine().await.unwrap().is_empty());
    for refused in [
        platform.host.enable(TENANT, "core").await.err(),
        platform.host.disable(TENANT, "core").await.err(),
        platform.host.archive("core").await.err(),
        platform.host.purge("core").await.err(),
    ] {
        assert!(refused.unwrap().to_string().contains("core is the platform's own"));
    }
}

#[tokio::test]
async fn plugins_refer_to_it_and_use_what_they_are_granted() {
    let platform = Platform::new().await;
    let early = platform.try_install("", sample_with_customers()).await.unwrap_err();
    assert!(early.to_string().contains("core.customer, which is not installed"), "{early}");
    platform.host.declare(&manifest("1.0.0", ""), Vec::new()).await.unwrap();
    platform.enable("", sample_with_customers()).await;
    let customer = insert(&platform, json!({ "name": "Ana" })).await;
    let found = sample::answer(&platform, "sample.query", json!({ "entity": CUSTOMER })).await;
    assert_eq!(found["items"][0]["name"], "Ana");
    let denied =
        sample::refusal(&platform, "sample.insert", json!({ "entity": CUSTOMER, "data": { "name": "B" } }));
    assert!(denied.await.starts_with("permission-denied: "));
    let note = json!({ "data": { "title": "t", "customer": customer["id"] } });
    sample::answer(&platform, "sample.insert", note).await;
    // Its rules hold for those who refer to it.
    let id = RecordId::parse(customer["id"].as_str().unwrap()).unwrap();
    let kept = platform.host.records(system_of(TENANT)).delete(CUSTOMER, id).await.unwrap_err();
    assert_eq!(kept.code(), ErrorCode::Rejected, "{kept}");
}

#[tokio::test]
async fn the_platforms_subscribers_write_it_in_their_events_transaction() {
    let platform = declared().await;
    platform
        .host
        .subscribe("customer.seen", |invocation, event| {
            Box::pin(async move {
                invocation.insert(CUSTOMER, event.payload.as_bytes()).await?;
                let payload: Json = serde_json::from_str(&event.payload).unwrap();
                if payload["name"] == "Nobody" {
                    return Err(CallError::Answer(erp_plugin::HostError::invalid("nobody is no customer")));
                }
                Ok(())
            })
        })
        .await
        .unwrap();
    for name in ["Ana", "Nobody"] {
        platform.publish("customer.seen", &json!({ "name": name })).await;
    }
    let report = platform.host.drain().await.unwrap();
    assert_eq!((report.delivered, report.dead.len()), (1, 1));
    let names: Vec<Json> = platform.records(CUSTOMER).await.iter().map(|own| own["name"].clone()).collect();
    assert_eq!(names, ["Ana"]);
}

#[tokio::test]
async fn another_version_changes_the_tables_with_consent_and_the_others_see_it() {
    let database = Database::lasting().await;
    let here = Platform::on(database.url(), |builder| builder).await;
    let there = Platform::on(database.url(), |builder| builder).await;
    here.host.declare(&manifest("1.0.0", ""), Vec::new()).await.unwrap();
    let customer = insert(&here, json!({ "name": "Ana" })).await;
    here.host.declare(&manifest("1.0.0", ""), Vec::new()).await.unwrap();
    let changed = here.host.declare(&manifest("1.0.0", CITY), Vec::new()).await.unwrap_err();
    assert_eq!(changed.code(), ErrorCode::AlreadyExists, "{changed}");
    here.host.declare(&manifest("1.1.0", CITY), Vec::new()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let id = RecordId::parse(customer["id"].as_str().unwrap()).unwrap();
    let records = there.host.records(system_of(TENANT));
    let moved = records.update(CUSTOMER, id, &json!({ "city": "Porto" }), Version::FIRST).await.unwrap();
    assert_eq!(moved["city"], "Porto");
    let lost = here.host.declare(&manifest("1.2.0", ""), Vec::new()).await.unwrap_err();
    assert!(lost.to_string().contains("core.customer.city"), "{lost}");
    here.host.declare(&manifest("1.2.0", ""), vec!["core.customer.city".to_owned()]).await.unwrap();
    assert_eq!(here.records(CUSTOMER).await[0].get("city"), None);
}

#[tokio::test]
async fn an_older_process_works_on_what_a_newer_one_has_declared_or_is_refused() {
    let database = Database::lasting().await;
    let older = Platform::on(database.url(), |builder| builder).await;
    let newer = Platform::on(database.url(), |builder| builder).await;
    let (old, new) = (manifest("1.0.0", ""), manifest("1.1.0", CITY));
    // The newer one always gets what it declares; the older one may come when only the tables are there.
    let (first, declared) =
        tokio::join!(older.host.declare(&old, Vec::new()), newer.host.declare(&new, Vec::new()));
    declared.unwrap();
    if let Err(failure) = first {
        assert!(failure.to_string().contains("core.customer.city"), "{failure}");
    }
    let known = json!({ "name": "Ana", "city": "Porto" });
    assert_eq!(insert(&newer, known).await["city"], "Porto");
    older.host.declare(&old, Vec::new()).await.unwrap();
    assert_eq!(newer.records(CUSTOMER).await[0]["city"], "Porto");
    let required = manifest(
        "1.2.0",
        "[entities.customer.fields.city]\ntype = \"string\"\nrequired = true\ndefault = \"?\"\n",
    );
    newer.host.declare(&required, Vec::new()).await.unwrap();
    let refused = older.host.declare(&old, Vec::new()).await.unwrap_err().to_string();
    assert!(
        refused
            .contains("core 1.0.0 cannot work on the tables of 1.2.0, which is declared: core.customer.city"),
        "{refused}"
    );
}

#[tokio::test]
async fn what_only_a_plugin_has_is_refused_and_so_is_a_plugin_of_that_name() {
    let platform = Platform::new().await;
    let subscribes = manifest("1.0.0", "[[subscriptions]]\nevent = \"order.*\"\n");
    let refused = platform.host.declare(&subscribes, Vec::new()).await.unwrap_err();
    assert!(refused.to_string().contains("use PluginHost::subscribe"), "{refused}");
    let other = manifest("1.0.0", "").replace("\"core\"", "\"crm\"");
    let refused = platform.host.declare(&other, Vec::new()).await.unwrap_err();
    assert!(refused.to_string().contains("is called core"), "{refused}");
    let named = guests::with_manifest(&guests::hostile("atomic"), "core", "");
    let refused = platform.host.install(named, InstallOptions::default()).await.unwrap_err();
    assert!(refused.to_string().contains("the platform's own"), "{refused}");
    assert_eq!(platform.records(CUSTOMER).await, [] as [Json; 0]);
}
