//! Interfaces of the platform's own: registered as the contract's are, called as they are, in the same transaction.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use erp_plugin::wasmtime::component::Linker;
use erp_plugin::{
    ErrorCode, FailureKind, HostFailure, HostState, Identity, Interface, LoadError, PluginHost,
    PluginHostBuilder, TenantId, UserId, wasmtime,
};
use erp_plugin_tests::{Database, ONE_WRITER, Platform, TENANT, guests, only_on_sqlite, system_of, user};
use serde_json::{Value as Json, json};

const NAME: &str = "acme:crm/customers@1.0.0";
const PLUGIN: &str = "crm";

fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    let mut customers = linker.instance(NAME)?;
    customers.func_wrap("who-is", |mut store, (id,): (String,)| {
        let invocation = store.data_mut().invocation();
        let plugin = invocation.plugin().unwrap().to_string();
        let identity = invocation.identity();
        Ok((format!("{id} of {}, asked by {} through {plugin}", invocation.tenant(), identity.id),))
    })?;
    customers.func_wrap_async("keep", |mut store, (data,): (String,)| {
        Box::new(async move {
            store.data_mut().invocation().insert("thing", data.as_bytes()).await?;
            Ok(())
        })
    })
}

fn customers() -> Interface {
    Interface::new(NAME, ["who-is", "keep"], link)
}

/// A platform with the interface, and the plugin that uses it.
async fn platform() -> Platform {
    let platform = Platform::with(|builder| builder.interface(customers())).await;
    platform.enable(PLUGIN, guests::interface("customers")).await;
    platform
}

async fn refusal(interfaces: impl IntoIterator<Item = Interface>) -> HostFailure {
    let database = Database::new().await;
    let builder = erp_plugin::host(database.url()).await.unwrap();
    let builder = interfaces.into_iter().fold(builder, PluginHostBuilder::interface);
    builder.build().await.err().unwrap()
}

/// The error of installing the plugin where this is offered, which leaves nothing of it.
async fn load_error(offered: Interface) -> LoadError {
    let platform = Platform::with(|builder| builder.interface(offered)).await;
    let failure = platform.try_install(PLUGIN, guests::interface("customers")).await.unwrap_err();
    assert!(platform.host.plugins().is_empty());
    let HostFailure::Load(error) = failure else { panic!("{failure}") };
    error
}

async fn asks(platform: &Platform, identity: Identity) -> String {
    let report = platform.host.call(identity, PLUGIN, "customer.asked", &json!("c-7")).await.unwrap();
    assert_eq!(report.outcome, Ok(()), "{:?}", report.detail);
    report.log[0].message.clone()
}

#[tokio::test]
async fn a_plugin_that_calls_an_interface_of_the_platforms_own_gets_its_answer() {
    let platform = platform().await;
    assert_eq!(asks(&platform, system_of(TENANT)).await, r#""c-7" of acme, asked by tests through crm"#);
}

#[tokio::test]
async fn a_call_sees_the_tenant_and_the_identity_of_its_invocation() {
    let platform = platform().await;
    platform.host.create_tenant("other").await.unwrap();
    platform.host.enable("other", PLUGIN).await.unwrap();
    let other = Identity::user(TenantId::parse("other").unwrap(), UserId::parse("bob").unwrap());
    assert_eq!(asks(&platform, other).await, r#""c-7" of other, asked by bob through crm"#);
    let ada = user("ada", "clerk");
    assert_eq!(asks(&platform, ada).await, r#""c-7" of acme, asked by ada through crm"#);
}

#[tokio::test]
async fn what_a_call_writes_is_of_its_invocations_tenant_user_and_budget() {
    let platform = platform().await;
    let note = json!({ "note": "kept" });
    let report = platform.host.call(user("ada", "clerk"), PLUGIN, "please.note", &note).await.unwrap();
    assert_eq!(report.outcome, Ok(()), "{:?}", report.detail);
    assert_eq!((report.usage.rows_written, report.usage.host_calls), (1, 1));
    let things = platform.records("crm.thing").await;
    assert_eq!(things.len(), 1);
    assert_eq!(
        (&things[0]["note"], &things[0]["tenant_id"], &things[0]["created_by"]),
        (&json!("kept"), &json!(TENANT), &json!("ada"))
    );
}

#[tokio::test]
async fn what_a_call_writes_goes_with_its_invocation() {
    let platform = platform().await;
    let report = platform.call(PLUGIN, "please.fail", &json!({ "note": "must not stay" })).await;
    assert_eq!(report.outcome.unwrap_err().message, "failed on purpose");
    assert_eq!(report.writes.len(), 1, "it was to be undone");
    assert_eq!(platform.records("crm.thing").await, [Json::Null; 0]);
}

#[tokio::test]
async fn an_error_of_the_platforms_own_function_ends_the_invocation_and_nothing_else() {
    let platform = platform().await;
    let report = platform.call(PLUGIN, "please.note", &json!("no object")).await;
    assert!(report.outcome.is_err());
    assert_eq!(platform.records("crm.thing").await, [Json::Null; 0]);
    assert_eq!(asks(&platform, system_of(TENANT)).await, r#""c-7" of acme, asked by tests through crm"#);
}

/// What the platform's own `keep` does instead of its work.
#[derive(Clone, Copy)]
enum Faulty {
    /// Fails with a text that is nobody else's business.
    Leaks,
    /// Writes, and then waits for something.
    Dawdles,
}

fn faulty(how: Faulty) -> Interface {
    Interface::new(NAME, ["who-is", "keep"], move |linker| {
        let mut customers = linker.instance(NAME)?;
        customers.func_wrap("who-is", |_, (_,): (String,)| Ok((String::new(),)))?;
        customers.func_wrap_async("keep", move |mut store, (data,): (String,)| {
            Box::new(async move {
                match how {
                    Faulty::Leaks => {
                        return Err(wasmtime::Error::msg("connect postgres://erp:secret@db/erp: refused"));
                    }
                    Faulty::Dawdles => {
                        store.data_mut().invocation().insert("thing", data.as_bytes()).await?;
                        tokio::time::sleep(Duration::from_secs(600)).await;
                    }
                }
                Ok(())
            })
        })
    })
}

#[tokio::test]
async fn the_text_of_a_failing_function_is_for_the_log_alone() {
    let platform = Platform::with(|builder| builder.interface(faulty(Faulty::Leaks))).await;
    platform.enable(PLUGIN, guests::interface("customers")).await;
    let report = platform.call(PLUGIN, "please.note", &json!({})).await;
    assert_eq!(
        report.outcome.unwrap_err().to_string(),
        "internal: the plugin broke the contract, or a function of the platform failed; the log says which"
    );
    assert!(report.detail.unwrap().contains("postgres://erp:secret@db/erp"));
}

#[tokio::test]
async fn a_function_that_writes_and_then_waits_is_ended_for_the_other_writers_sake() {
    if !only_on_sqlite(ONE_WRITER) {
        return;
    }
    let platform = Platform::with(|builder| builder.interface(faulty(Faulty::Dawdles))).await;
    platform.enable(PLUGIN, guests::interface("customers")).await;
    let report = platform.call(PLUGIN, "please.note", &json!({})).await;
    assert!(matches!(report.failure, Some(FailureKind::WriterHold)), "{:?}", report.failure);
    assert!(platform.records("crm.thing").await.is_empty());
}

#[tokio::test]
async fn a_function_that_asks_the_host_again_is_refused_and_nothing_waits() {
    let host: Arc<OnceLock<PluginHost>> = Arc::default();
    let of_function = Arc::clone(&host);
    let again = Interface::new(NAME, ["who-is", "keep"], move |linker| {
        let host = Arc::clone(&of_function);
        let mut customers = linker.instance(NAME)?;
        customers.func_wrap("who-is", |_, (_,): (String,)| Ok((String::new(),)))?;
        customers.func_wrap_async("keep", move |mut store, (data,): (String,)| {
            let host = Arc::clone(&host);
            Box::new(async move {
                store.data_mut().invocation().insert("thing", data.as_bytes()).await?;
                let host = host.get().unwrap();
                let called = host.call(system_of(TENANT), PLUGIN, "please.note", &json!({})).await;
                assert_eq!(called.unwrap_err().code(), ErrorCode::InTransaction);
                let written = host.records(system_of(TENANT)).insert("crm.thing", &json!({})).await;
                assert_eq!(written.unwrap_err().code(), ErrorCode::InTransaction);
                Ok(())
            })
        })
    });
    let platform = Platform::with(|builder| builder.interface(again)).await;
    assert!(host.set(platform.host.clone()).is_ok());
    platform.enable(PLUGIN, guests::interface("customers")).await;
    let report = platform.call(PLUGIN, "please.note", &json!({})).await;
    assert_eq!(report.outcome, Ok(()), "{:?}", report.detail);
    assert_eq!(platform.records("crm.thing").await.len(), 1);
}

#[tokio::test]
async fn a_transaction_lost_behind_a_function_is_run_again_with_its_invocation() {
    let (platform, losses) = Platform::that_loses(|builder| builder.interface(customers())).await;
    platform.enable(PLUGIN, guests::interface("customers")).await;
    // What the plugin may do here is known from then on, and needs no transaction.
    asks(&platform, system_of(TENANT)).await;
    losses.of_the_next(1);
    let report = platform.call(PLUGIN, "please.note", &json!({ "note": "kept" })).await;
    assert_eq!((report.outcome, report.attempts), (Ok(()), 2));
    assert_eq!(platform.records("crm.thing").await.len(), 1);
}

#[tokio::test]
async fn an_answerable_error_that_a_function_passes_on_keeps_its_code() {
    let platform = platform().await;
    let report = platform.call(PLUGIN, "please.note", &json!("no object")).await;
    assert_eq!(report.outcome.unwrap_err().code, ErrorCode::InvalidInput);
}

#[tokio::test]
async fn a_function_that_is_not_registered_is_a_load_error_that_names_it() {
    let offered = Interface::new(NAME, ["who-is"], link);
    assert_eq!(
        load_error(offered).await.to_string(),
        "this component imports acme:crm/customers@1.0.0.keep, which this host does not offer; \
         acme:crm/customers@1.0.0 has who-is; build the plugin against the contract that this host serves"
    );
}

#[tokio::test]
async fn another_version_of_an_interface_is_another_interface() {
    let offered = Interface::new("acme:crm/customers@2.0.0", ["who-is", "keep"], |linker| {
        linker.instance("acme:crm/customers@2.0.0").map(|_| ())
    });
    assert_eq!(
        load_error(offered).await.to_string(),
        "this component imports acme:crm/customers@1.0.0, which this host does not offer; it offers \
         erp:plugin/host-api, acme:crm/customers@2.0.0"
    );
}

/// Registered with both, and linked with neither.
#[tokio::test]
async fn a_function_that_is_registered_and_not_linked_is_a_load_error() {
    let offered = Interface::new(NAME, ["who-is", "keep"], |linker| linker.instance(NAME).map(|_| ()));
    let error = load_error(offered).await;
    assert!(matches!(&error, LoadError::Mismatch { detail, .. } if detail.contains("who-is")), "{error}");
}

#[tokio::test]
async fn a_function_of_another_type_is_a_load_error() {
    let offered = Interface::new(NAME, ["who-is", "keep"], |linker| {
        let mut customers = linker.instance(NAME)?;
        customers.func_wrap("who-is", |_, (id,): (u32,)| Ok((id,)))?;
        customers.func_wrap("keep", |_, (_,): (String,)| Ok(()))
    });
    let error = load_error(offered).await;
    assert!(matches!(&error, LoadError::Mismatch { detail, .. } if detail.contains("who-is")), "{error}");
}

#[tokio::test]
async fn two_interfaces_of_one_name_are_refused() {
    assert_eq!(
        refusal([customers(), customers()]).await.to_string(),
        "the interface \"acme:crm/customers@1.0.0\" cannot be offered: it was given already; put its functions into one"
    );
}

#[tokio::test]
async fn the_package_of_the_contract_is_the_hosts_own() {
    for name in ["erp:plugin/host-api", "erp:plugin/records@1.0.0"] {
        let forged = Interface::new(name, ["more"], |_| Ok(()));
        assert_eq!(
            refusal([forged]).await.to_string(),
            format!(
                "the interface {name:?} cannot be offered: the package erp:plugin is the host's own; use one of yours"
            )
        );
    }
}

#[tokio::test]
async fn an_interface_needs_a_name_that_a_component_can_import() {
    for name in ["", "not a name", "customers"] {
        let failure = refusal([Interface::new(name, ["x"], |_| Ok(()))]).await.to_string();
        assert!(failure.starts_with(&format!("the interface {name:?} cannot be offered: ")), "{failure}");
    }
}

#[tokio::test]
async fn an_interface_that_cannot_be_linked_says_which_and_why() {
    let broken =
        Interface::new("acme:crm/broken", ["x"], |_| Err(wasmtime::Error::msg("there is no customer base")));
    assert_eq!(
        refusal([broken]).await.to_string(),
        "the interface \"acme:crm/broken\" cannot be offered: there is no customer base"
    );
}
