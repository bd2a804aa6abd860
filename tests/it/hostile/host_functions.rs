//! Guests whose import no host has: refused as they are, and what they do to one that offers it.

use erp_plugin::FailureKind;
use erp_plugin::wasmtime::component::{Resource, ResourceType};
use erp_plugin::{Interface, Limits, PluginHostBuilder};
use serde_json::json;

use super::{ATTACKER, HUGE_FUEL, Hostile, assert_ended, platform, serves_on};
use erp_plugin_tests::guests;

/// What a handle of `hostile:test/host` stands for.
struct Handle;

/// The interface of `hostile:test/host`, as an embedder would write it without `bindgen!`.
fn hostile_test_host() -> Interface {
    let functions = ["[constructor]handle", "take", "wait", "panic"];
    Interface::new("hostile:test/host", functions, |linker| {
        let mut host = linker.instance("hostile:test/host")?;
        host.resource("handle", ResourceType::host::<Handle>(), |_, _| Ok(()))?;
        host.func_wrap("[constructor]handle", |_, ()| Ok((Resource::<Handle>::new_own(1),)))?;
        host.func_wrap("take", |_, (_blocks,): (Vec<Vec<u8>>,)| Ok(()))?;
        host.func_wrap_async("wait", |_, (milliseconds,): (u32,)| {
            Box::new(async move {
                tokio::time::sleep(std::time::Duration::from_millis(milliseconds.into())).await;
                Ok(())
            })
        })?;
        host.func_wrap("panic", |_, ()| -> erp_plugin::wasmtime::Result<()> { panic!("a fault of the host") })
    })
}

fn offered(builder: PluginHostBuilder) -> PluginHostBuilder {
    builder.interface(hostile_test_host())
}

async fn refused(fixture: &str) {
    let platform = platform(|builder| builder).await;
    let failure = platform.try_install(ATTACKER, guests::hostile(fixture)).await.unwrap_err().to_string();
    assert!(failure.contains("imports hostile:test/host"), "{failure}");
    serves_on(&platform).await;
}

#[tokio::test]
async fn f14_aliased_lists() {
    refused("14-aliased-lists").await;
    let hostile = Hostile::with("14-aliased-lists", offered).await;
    let report = hostile.fails("any.event", &json!({})).await;
    assert_ended!(report, FailureKind::Trap);
    assert!(report.detail.as_ref().unwrap().contains("fuel"), "{:?}", report.detail);
}

#[tokio::test]
async fn f18_host_handles() {
    refused("18-host-handles").await;
    let limits = Limits { fuel: HUGE_FUEL, ..Limits::default() };
    let hostile = Hostile::with("18-host-handles", |builder| offered(builder).limits(limits)).await;
    let report = hostile.fails("any.event", &json!({})).await;
    assert_ended!(report, FailureKind::Trap);
    assert!(report.detail.as_ref().unwrap().contains("handle"), "{:?}", report.detail);
}

#[tokio::test]
async fn f22_slow_host() {
    refused("22-slow-host").await;
    let hostile = Hostile::with("22-slow-host", offered).await;
    hostile.succeeds("any.event", &json!(1)).await;
    let limits = Limits { deadline_ms: 200, ..Limits::default() };
    let hostile = Hostile::with("22-slow-host", |builder| offered(builder).limits(limits)).await;
    let report = hostile.fails("any.event", &json!(600_000)).await;
    assert_ended!(report, FailureKind::Deadline);
    assert!(report.usage.micros >= 200_000);
}

#[tokio::test]
async fn f23_host_panic() {
    refused("23-host-panic").await;
    let hostile = Hostile::with("23-host-panic", offered).await;
    for _ in 0..3 {
        let report = hostile.fails("any.event", &json!({})).await;
        assert_ended!(report, FailureKind::HostPanic);
        assert_eq!(report.writes.len(), 1, "it was to be undone");
        assert_eq!(report.detail.as_deref(), Some("the host panicked: a fault of the host"));
        assert_eq!(report.outcome.unwrap_err().message, "internal error");
    }
}
