//! The brief's own promises: its two tests of a plugin, its six verified points, and the output of its plugin.

use anyhow::Result;
use erp_plugin::wasmtime::component::{Component, HasSelf, Linker};
use erp_plugin::wasmtime::{Engine, Store};
use erp_plugin::{FailureKind, RecordId, plugin_name_from_file};
use erp_plugin_testing::{CallFailure, DbOp, Verb, create_engine, load_plugin};
use erp_plugin_tests::{Platform, TENANT, guests, sample, user};
use erp_plugin_wit::v0::PluginWorld;
use erp_plugin_wit::v0::erp::plugin::host_api;
use serde_json::{Value as Json, json};

fn wasm_path() -> String {
    "../target/fixtures/erp_plugin_demo.component.wasm".into()
}

// The next two are the brief's, word for word but for crate name, path and `.await`.

#[tokio::test]
async fn test_demo_init() -> Result<()> {
    let wasm_bytes = std::fs::read(wasm_path())?;
    let engine = create_engine()?;
    let (mut store, instance) = load_plugin(&engine, &wasm_bytes, 1_000_000).await?;

    // 调用 init
    instance.erp_plugin_plugin_api().call_init(&mut store).await?.map_err(|e| anyhow::anyhow!(e))?;

    // 验证 Host 端效果
    let state = store.data();
    assert!(state.db_ops.iter().any(|op| op.entity == "demo_config"));

    Ok(())
}

#[tokio::test]
async fn test_demo_handle_event() -> Result<()> {
    let wasm_bytes = std::fs::read(wasm_path())?;
    let engine = create_engine()?;
    let (mut store, instance) = load_plugin(&engine, &wasm_bytes, 1_000_000).await?;

    // 先初始化
    instance.erp_plugin_plugin_api().call_init(&mut store).await?.map_err(|e| anyhow::anyhow!(e))?;

    // 模拟事件
    let payload = json!({"id": "ORD-001"}).to_string();
    instance
        .erp_plugin_plugin_api()
        .call_handle_event(&mut store, "order.created", payload.as_bytes())
        .await?
        .map_err(|e| anyhow::anyhow!(e))?;

    Ok(())
}

/// A host as the brief builds one: a state that implements the generated trait and counts the calls.
#[derive(Default)]
struct HostState {
    calls: Vec<String>,
}

type Answer<T> = erp_plugin::wasmtime::Result<Result<T, String>>;

impl host_api::Host for HostState {
    async fn db_insert(&mut self, entity: String, data: Vec<u8>) -> Answer<Vec<u8>> {
        self.calls.push(format!("db-insert {entity}"));
        Ok(Ok(data))
    }

    async fn db_query(&mut self, _: String, _: Vec<u8>, _: Vec<u8>) -> Answer<Vec<u8>> {
        Ok(Ok(b"{}".to_vec()))
    }

    async fn db_update(&mut self, _: String, _: String, data: Vec<u8>, _: i64) -> Answer<Vec<u8>> {
        Ok(Ok(data))
    }

    async fn db_delete(&mut self, _: String, _: String) -> Answer<()> {
        Ok(Ok(()))
    }

    async fn event_publish(&mut self, _: String, _: Vec<u8>) -> Answer<()> {
        Ok(Ok(()))
    }

    fn config_get(&mut self, _: String) -> Answer<Vec<u8>> {
        Ok(Err("not-found".to_owned()))
    }

    fn log_write(&mut self, level: String, message: String) -> erp_plugin::wasmtime::Result<()> {
        self.calls.push(format!("{level} {message}"));
        Ok(())
    }

    fn current_user(&mut self) -> Answer<Vec<u8>> {
        Ok(Ok(b"{}".to_vec()))
    }

    fn check_permission(&mut self, _: String) -> Answer<bool> {
        Ok(Ok(false))
    }
}

async fn instance_on_bare_wasmtime() -> erp_plugin::wasmtime::Result<(Store<HostState>, PluginWorld)> {
    let engine = Engine::default();
    let component = Component::from_binary(&engine, &guests::brief())?;
    let mut linker = Linker::new(&engine);
    PluginWorld::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut HostState| state)?;
    let mut store = Store::new(&engine, HostState::default());
    let instance = PluginWorld::instantiate_async(&mut store, &component, &linker).await?;
    Ok((store, instance))
}

#[tokio::test]
async fn v1_bindings_of_the_contract_fit_a_host_state_of_ones_own() -> erp_plugin::wasmtime::Result<()> {
    let (mut store, instance) = instance_on_bare_wasmtime().await?;
    let answer = instance.erp_plugin_plugin_api().call_init(&mut store).await?;
    assert_eq!(answer, Ok(()));
    assert_eq!(store.data().calls, ["info demo插件初始化", "db-insert demo_config"]);
    Ok(())
}

#[tokio::test]
async fn v2_host_calls_every_export() -> Result<()> {
    let engine = create_engine()?;
    let (mut plugin, _) = load_plugin(&engine, &guests::brief(), 1_000_000).await?;
    assert_eq!(plugin.call_init().await?, Ok(()));
    assert_eq!(plugin.call_on_tenant_created(TENANT).await?, Ok(()));
    assert_eq!(plugin.call_handle_event("stock.counted", b"{}").await?, Ok(()));
    let said: Vec<&str> = plugin.logs().iter().map(|line| line.message.as_str()).collect();
    assert_eq!(
        said,
        ["demo插件初始化", "新租户: acme", "收到事件: stock.counted", "忽略事件: stock.counted"]
    );
    Ok(())
}

#[tokio::test]
async fn v3_plugin_calls_back_every_host_function_with_its_effect() {
    let platform = sample::platform().await;
    let note = "test-sample.note";

    let inserted = sample::answer(&platform, "sample.insert", json!({ "data": { "title": "one" } })).await;
    assert_eq!(platform.records(note).await, std::slice::from_ref(&inserted));

    let found = sample::answer(&platform, "sample.query", json!({ "filter": { "title": "one" } })).await;
    assert_eq!(found, json!({ "items": [inserted], "next_cursor": null }));

    let change = json!({ "id": inserted["id"], "version": 1, "data": { "title": "two" } });
    let updated = sample::answer(&platform, "sample.update", change).await;
    assert_eq!((&updated["title"], &updated["version"]), (&json!("two"), &json!(2)));
    assert_eq!(platform.records(note).await, [updated]);

    sample::answer(&platform, "sample.delete", json!({ "id": inserted["id"] })).await;
    assert_eq!(platform.records(note).await, [Json::Null; 0]);

    let report = platform.call(sample::NAME, "sample.publish", &json!({ "payload": { "n": 1 } })).await;
    let events: Vec<_> =
        report.events.iter().map(|event| (event.event_type.as_str(), &*event.payload)).collect();
    assert_eq!(events, [("test-sample.published", r#"{"n":1}"#)]);
    assert_eq!(platform.event_count().await, 1);

    platform.host.set_config(TENANT, sample::NAME, "greeting", Some(json!("hi"))).await.unwrap();
    assert_eq!(sample::answer(&platform, "sample.config", json!({ "key": "greeting" })).await, json!("hi"));

    platform.call(sample::NAME, "sample.log", &json!({ "level": "warn", "message": "careful" })).await;
    assert_eq!(platform.log().await.last().unwrap(), "warn careful");

    let report =
        platform.host.call(user("ada", "clerk"), sample::NAME, "sample.whoami", &json!({})).await.unwrap();
    let ada = sample::answer_of(&report, "sample.whoami");
    assert_eq!(
        (&ada["kind"], &ada["id"], &ada["tenant_id"]),
        (&json!("user"), &json!("ada"), &json!(TENANT))
    );

    let asked = json!({ "permission": "inventory.item.update" });
    let report =
        platform.host.call(user("ada", "clerk"), sample::NAME, "sample.permission", &asked).await.unwrap();
    assert_eq!(sample::answer_of(&report, "sample.permission"), json!(false));
    assert_eq!(sample::answer(&platform, "sample.permission", asked).await, json!(true));
}

#[tokio::test]
async fn v4_async_instantiation_and_calls_go_together() -> erp_plugin::wasmtime::Result<()> {
    let (mut store, instance) = instance_on_bare_wasmtime().await?;
    let api = instance.erp_plugin_plugin_api();
    for event in ["stock.counted", "stock.moved"] {
        assert_eq!(api.call_handle_event(&mut store, event, b"{}").await?, Ok(()));
    }
    assert_eq!(store.data().calls.len(), 4);
    Ok(())
}

#[tokio::test]
async fn v5_low_fuel_traps_and_the_host_goes_on() -> Result<()> {
    let engine = create_engine()?;
    let (mut starved, _) = load_plugin(&engine, &guests::brief(), 1_000).await?;
    let failure = starved.call_init().await.unwrap_err();
    let CallFailure::Guest(failure) = failure else { panic!("{failure}") };
    assert!(matches!(failure.kind, FailureKind::OutOfFuel), "{failure}");
    assert!(failure.error.message.starts_with("fuel"), "{failure}");
    assert_eq!(starved.db_ops(), []);

    let (mut fed, _) = load_plugin(&engine, &guests::brief(), 1_000_000).await?;
    assert_eq!(fed.call_init().await?, Ok(()));
    assert!((1_000..1_000_000).contains(&fed.data().last_usage.fuel), "{:?}", fed.data().last_usage);
    Ok(())
}

#[tokio::test]
async fn v6_a_component_file_is_loaded_at_run_time() -> Result<()> {
    let file = std::path::PathBuf::from(wasm_path());
    let name = plugin_name_from_file(file.file_name().unwrap().to_str().unwrap())?;
    let bytes = std::fs::read(&file)?;
    assert!(bytes.len() < 2 << 20);
    let platform = Platform::new().await;
    platform.enable(name.as_str(), bytes).await;
    assert_eq!(platform.host.plugins()[0].name.as_str(), "demo");
    Ok(())
}

#[tokio::test]
async fn the_briefs_plugin_runs_without_a_manifest() {
    let platform = Platform::new().await;
    platform.enable("demo", guests::brief()).await;
    assert_eq!(platform.log().await, ["info demo插件初始化", "info 新租户: acme"]);
    let config = platform.records("demo.demo_config").await;
    assert_eq!(config.len(), 1);
    assert_eq!(
        (&config[0]["default_category"], &config[0]["created_by"]),
        (&json!("通用"), &json!("plugin:demo"))
    );
    let warehouse = platform.records("demo.warehouse").await;
    assert_eq!(warehouse.len(), 1);
    assert_eq!((&warehouse[0]["name"], &warehouse[0]["tenant_id"]), (&json!("默认仓库"), &json!(TENANT)));

    // Without a manifest it receives every event of its tenant.
    platform.publish("order.created", &json!({ "id": "ORD-001" })).await;
    platform.publish("stock.counted", &json!({})).await;
    let report = platform.host.drain().await.unwrap();
    assert_eq!((report.events, report.delivered, report.failed), (2, 2, 0));
    assert_eq!(
        platform.log().await[2..],
        [
            "debug 收到事件: order.created",
            "info 新订单: ORD-001",
            "debug 收到事件: stock.counted",
            "debug 忽略事件: stock.counted",
        ]
    );
}

#[tokio::test]
async fn the_briefs_plugin_answers_its_three_kinds_of_event() -> Result<()> {
    let engine = create_engine()?;
    let (mut plugin, _) = load_plugin(&engine, &guests::brief(), 1_000_000).await?;
    let order = plugin.insert("purchase_order", &json!({ "sku": "ITEM-001" })).await?;

    plugin.call_handle_event("order.created", br#"{"id":"ORD-001"}"#).await?.map_err(anyhow::Error::msg)?;
    plugin.call_handle_event("anything.else", b"{}").await?.map_err(anyhow::Error::msg)?;
    assert_eq!((plugin.db_ops(), plugin.events()), (&[][..], &[][..]));

    let completed = json!({ "order_id": order["id"] }).to_string();
    let answer = plugin.call_handle_event("workflow.task.completed", completed.as_bytes()).await?;
    assert_eq!(answer, Ok(()));
    let id = order["id"].as_str().unwrap();
    let entity = "purchase_order".to_owned();
    assert_eq!(plugin.db_ops(), [DbOp { verb: Verb::Update, entity, id: RecordId::parse(id).unwrap() }]);
    assert_eq!(plugin.events()[0].event_type, "demo.order.approved");
    assert_eq!(plugin.events()[0].payload, json!({ "order_id": id }));
    assert_eq!(
        plugin.records("purchase_order").await?,
        [json!({
            "id": "019b76da-a800-7000-8000-000000000002",
            "tenant_id": "tenant",
            "version": 2,
            "created_at": "2026-01-01T00:00:00.000000Z",
            "created_by": "plugin:plugin-under-test",
            "updated_at": "2026-01-01T00:00:00.000000Z",
            "updated_by": "plugin:plugin-under-test",
            "sku": "ITEM-001",
            "status": "approved",
        })]
    );

    // It always says version 1, so the second time the record has moved on.
    let again = plugin.call_handle_event("workflow.task.completed", completed.as_bytes()).await?;
    let message = format!(
        "更新失败: conflict: plugin-under-test.purchase_order {id} has version 2, not 1; read it again"
    );
    assert_eq!(again, Err(message));
    let said: Vec<String> =
        plugin.logs().iter().map(|line| format!("{} {}", line.level.as_str(), line.message)).collect();
    assert_eq!(
        said,
        [
            "debug 收到事件: order.created",
            "info 新订单: ORD-001",
            "debug 收到事件: anything.else",
            "debug 忽略事件: anything.else",
            "debug 收到事件: workflow.task.completed",
            "debug 收到事件: workflow.task.completed",
        ]
    );
    Ok(())
}
