//! A plugin's next version, on one host and on others of the same database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use erp_plugin::{
    CodeCache, HostFailure, Identity, InstallOptions, RecordId, RollbackOptions, TenantId, UserId, Version,
    WorkerHandle,
};
use erp_plugin_tests::{Database, Platform, TENANT, guests, sample, together};
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

/// The sample as another version of itself, which wants to know of upgrades.
fn sample_as(version: &str) -> Vec<u8> {
    guests::changed(sample::NAME, version, |manifest| {
        let more = json!({ "event": "plugin.upgraded" });
        manifest["subscriptions"].as_array_mut().unwrap().push(more);
    })
}

#[tokio::test]
async fn an_upgrade_is_told_once_to_those_who_want_to_know() {
    let platform = Platform::new().await;
    platform.enable("", sample_as("1.0.0")).await;
    let told = async || {
        let log = platform.log().await;
        log.iter().filter(|line| *line == "debug ignored plugin.upgraded").count()
    };
    assert_eq!(told().await, 0, "there was no version before");
    platform.try_install("", sample_as("1.1.0")).await.unwrap();
    platform.host.enable(TENANT, sample::NAME).await.unwrap();
    assert_eq!(told().await, 1);
    // The sample's own manifest has no such subscription.
    platform.try_install("", guests::changed(sample::NAME, "1.2.0", |_| {})).await.unwrap();
    assert_eq!(told().await, 1);
}

#[tokio::test]
async fn a_version_that_ran_before_runs_again() {
    let platform = Platform::new().await;
    platform.enable("", sample_as("1.0.0")).await;
    platform.try_install("", sample_as("1.1.0")).await.unwrap();
    let running = || platform.host.plugins()[0].version.to_string();
    let rollback = async |to: Option<&str>| {
        let to = to.map(|to| to.parse().unwrap());
        let done = platform.host.rollback(sample::NAME, to, RollbackOptions::default()).await;
        done.map(|summary| summary.version.to_string()).map_err(|error| error.to_string())
    };
    assert_eq!(rollback(None).await.as_deref(), Ok("1.0.0"));
    assert_eq!(running(), "1.0.0");
    sample::answer(&platform, "sample.whoami", json!({})).await;
    assert_eq!(rollback(Some("1.1.0")).await.as_deref(), Ok("1.1.0"));
    assert_eq!(running(), "1.1.0");
    assert_eq!(
        rollback(Some("3.0.0")).await.unwrap_err(),
        "not-found: test-sample 3.0.0 was never installed; these were: 1.0.0, 1.1.0"
    );
    assert_eq!(rollback(None).await.as_deref(), Ok("1.0.0"));
    assert_eq!(
        rollback(None).await.unwrap_err(),
        "not-found: test-sample 1.0.0 is the first that was installed; these were: 1.0.0, 1.1.0; name one"
    );
    let unknown = platform.host.rollback("nobody", None, RollbackOptions::default()).await.unwrap_err();
    assert_eq!(unknown.to_string(), "not-found: no plugin nobody is installed; install it first");
}

#[tokio::test]
async fn after_three_versions_the_one_before_is_the_one_that_ran() {
    let platform = Platform::new().await;
    platform.enable("", sample_as("1.0.0")).await;
    platform.try_install("", sample_as("1.1.0")).await.unwrap();
    let back = || platform.host.rollback(sample::NAME, None, RollbackOptions::default());
    assert_eq!(back().await.unwrap().version.to_string(), "1.0.0");
    platform.try_install("", sample_as("1.2.0")).await.unwrap();
    // 1.1.0 was installed later, and was not good enough.
    assert_eq!(back().await.unwrap().version.to_string(), "1.0.0");
}

#[tokio::test]
async fn a_version_that_runs_again_has_its_rights_again_but_for_what_was_refused_since() {
    let platform = Platform::new().await;
    let asking = |version: &str, events: &Json| {
        guests::changed(sample::NAME, version, |manifest| {
            manifest["capabilities"]["events-publish"] = events.clone();
        })
    };
    let both = json!(["test-sample.*", "order.created"]);
    platform.enable("", asking("1.0.0", &both)).await;
    let order = || json!({ "type": "order.created", "payload": {} });
    sample::answer(&platform, "sample.publish", order()).await;
    platform.try_install("", asking("1.1.0", &json!(["test-sample.*"]))).await.unwrap();
    assert!(sample::refusal(&platform, "sample.publish", order()).await.starts_with("permission-denied"));
    let back = RollbackOptions::default;
    platform.host.rollback(sample::NAME, None, back()).await.unwrap();
    sample::answer(&platform, "sample.publish", order()).await;
    // The next one asks for the same and does not get it: that holds for those before it as well.
    let asked = platform.host.install(asking("1.2.0", &both), InstallOptions::default()).await.unwrap();
    let mut granted = asked.manifest.unwrap().capabilities;
    granted.events_publish.truncate(1);
    let less = InstallOptions { granted: Some(granted), ..InstallOptions::default() };
    platform.host.install(asking("1.2.0", &both), less).await.unwrap();
    platform.host.rollback(sample::NAME, None, back()).await.unwrap();
    assert_eq!(platform.host.plugins()[0].version.to_string(), "1.0.0");
    assert!(sample::refusal(&platform, "sample.publish", order()).await.starts_with("permission-denied"));
}

#[tokio::test]
async fn init_and_the_event_that_tells_of_the_upgrade_are_one_transaction() {
    let platform = Platform::new().await;
    platform.enable("", sample_as("1.0.0")).await;
    for (key, value) in [("note_init", "written by init"), ("fail_upgraded", "rejected: not like this")] {
        platform.host.set_config(TENANT, sample::NAME, key, Some(json!(value))).await.unwrap();
    }
    let installed = platform.host.install(sample_as("1.1.0"), InstallOptions::default()).await.unwrap();
    let note = &installed.notes[0];
    assert!(note.contains("plugin.upgraded failed") && note.contains("not like this"), "{note}");
    assert_eq!(platform.records("test-sample.note").await, [] as [Json; 0]);
    platform.host.set_config(TENANT, sample::NAME, "fail_upgraded", None).await.unwrap();
    platform.host.enable(TENANT, sample::NAME).await.unwrap();
    assert_eq!(platform.records("test-sample.note").await[0]["title"], "written by init");
}

/// Has an item in stock of which orders take a piece each.
async fn stocked(platform: &Platform) -> RecordId {
    let item = json!({ "sku": "A", "name": "Chai", "on_hand": 1_000_000 });
    let item = platform.host.records(system()).insert(ITEM, &item).await.unwrap();
    RecordId::parse(item["id"].as_str().unwrap()).unwrap()
}

fn order(id: &str) -> Json {
    json!({ "id": id, "lines": [{ "sku": "A", "quantity": 1 }] })
}

/// Orders that are published one after another, until somebody has had enough.
struct Load {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<(u64, Duration)>,
}

impl Load {
    /// Does something else after each order, given its number.
    fn on<F: Future<Output = ()> + Send>(
        platform: &Arc<Platform>,
        also: impl Fn(Arc<Platform>, u64) -> F + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (platform, stopped) = (Arc::clone(platform), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            let (mut orders, mut longest) = (0, Duration::ZERO);
            while !stopped.load(Ordering::Relaxed) {
                let published = order(&format!("SO-{orders}"));
                platform.host.publish(system(), "order.created", &published).await.unwrap();
                let begun = Instant::now();
                also(Arc::clone(&platform), orders).await;
                longest = longest.max(begun.elapsed());
                orders += 1;
            }
            (orders, longest)
        });
        Self { stop, task }
    }

    /// How many were published, and the longest that anything else took.
    async fn stop(self) -> (u64, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// Waits until nothing is left to be delivered, and sees that each order took its piece, none of them at a second attempt.
async fn all_took_a_piece(platform: &Platform, worker: WorkerHandle, item: RecordId, orders: u64) {
    let begun = Instant::now();
    loop {
        let backlog = platform.host.events().backlog(None).await.unwrap();
        if backlog.unnumbered + backlog.pending == 0 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{backlog:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let report = worker.stop().await.unwrap();
    assert_eq!((report.failed, report.dead.len()), (0, 0));
    let records = platform.host.records(system());
    let left = records.get(ITEM, item).await.unwrap()["on_hand"].as_i64().unwrap();
    assert_eq!(u64::try_from(1_000_000 - left).unwrap(), orders);
    assert_eq!(records.count("inventory.stock_movement", &json!({})).await.unwrap(), orders);
}

/// Orders, calls and requests at the edge while the plugin's tables become others and what they were: each waits for the version
/// that can work on them.
#[tokio::test]
async fn whoever_calls_while_tables_change_waits_for_the_version_that_fits_them() {
    let database = Database::lasting().await;
    let platform = Arc::new(Platform::on(database.url(), |builder| builder).await);
    platform.enable("", guests::plugin("inventory")).await;
    let item = stocked(&platform).await;
    let worker = platform.host.start_worker();
    let load = Load::on(&platform, move |platform, number| async move {
        let own = order(&format!("called-{number}"));
        // On Postgres the deliveries' own writes to the item may be in the way, as they are at all times.
        while let Err(error) =
            platform.host.call(system(), "inventory", "order.created", &own).await.unwrap().outcome
        {
            assert!(error.message.contains("the transaction was lost"), "{error}");
        }
        platform.host.records(system()).get(ITEM, item).await.unwrap();
    });
    for _ in 0..5 {
        platform.host.install(guests::plugin("inventory-0.2"), consent()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let subjects = ["inventory.item.lead_days", "inventory.item.unit_price"].map(str::to_owned).to_vec();
        let back = RollbackOptions { consent: subjects, ..RollbackOptions::default() };
        platform.host.rollback("inventory", None, back).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (published, longest) = load.stop().await;
    println!("{published} orders, 10 changes of tables, the longest call and request took {longest:?}");
    // As many were called.
    all_took_a_piece(&platform, worker, item, 2 * published).await;
}

#[tokio::test]
async fn a_hundred_upgrades_and_rollbacks_under_load_lose_and_double_nothing() {
    const CHANGES: usize = 100;
    let database = Database::lasting().await;
    let folder = tempfile::tempdir().unwrap();
    let cache =
        CodeCache::open(&folder.path().join("code"), &folder.path().join("key"), erp_plugin::random_key)
            .unwrap();
    let platform = Arc::new(Platform::on(database.url(), |builder| builder.code_cache(cache)).await);
    platform.enable("", guests::changed("inventory", "0.1.1", |_| {})).await;
    let other = guests::changed("inventory", "0.1.2", |_| {});
    platform.try_install("", other).await.unwrap();
    let item = stocked(&platform).await;
    let worker = platform.host.start_worker();
    let load = Load::on(&platform, |platform, _| async move {
        let called = platform.host.call(system(), "inventory", "nothing.asked", &json!({})).await.unwrap();
        called.outcome.unwrap();
    });
    for change in 0..CHANGES {
        let to = if change % 2 == 0 { "0.1.1" } else { "0.1.2" };
        let summary = platform
            .host
            .rollback("inventory", Some(to.parse().unwrap()), RollbackOptions::default())
            .await
            .unwrap();
        assert_eq!((summary.version.to_string().as_str(), summary.notes.len()), (to, 0));
    }
    let (orders, longest) = load.stop().await;
    println!("{orders} orders, {CHANGES} changes, the longest call took {longest:?}");
    all_took_a_piece(&platform, worker, item, orders).await;
}
