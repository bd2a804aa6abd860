//! P6: a host call with its checks, from a guest that makes many.

use std::time::Instant;

use erp_plugin_runtime::Export;
use wasmtime::Store;

use crate::bare::{BareComponent, plain};
use crate::compare::{Goal, Pair};
use crate::hosts::{BareRuntime, generous, guest};

pub(crate) fn run() -> anyhow::Result<()> {
    let component = guest()?;
    let ours = BareRuntime::new(component.clone(), erp_plugin::EngineOptions::default(), generous())?;
    let bare = BareComponent::new(&component)?;
    Pair {
        id: "P6",
        name: "host call with permission and quota check / bare host call",
        goal: Goal::AtMost(2.0),
        ours: &mut |times| {
            let payload = format!("[{times},0]");
            let export = Export::HandleEvent { event_type: "bench.perm".to_owned(), payload };
            ours.runtime.block_on(async {
                let start = Instant::now();
                let called = ours.plugin.call(ours.invocation(), &export).await;
                let took = start.elapsed();
                called.result?.map_err(anyhow::Error::msg)?;
                anyhow::ensure!(
                    called.invocation.budget().used().host_calls == times,
                    "not every call was counted"
                );
                Ok(took)
            })
        },
        bare: &mut |times| {
            let mut store = Store::new(&bare.engine, ());
            let instance = bare.pre.instantiate(&mut store).map_err(plain)?;
            let interface = instance.get_export_index(&mut store, None, "erp:plugin/plugin-api");
            let index = instance.get_export_index(&mut store, interface.as_ref(), "handle-event");
            let index = index.ok_or_else(|| anyhow::anyhow!("no handle-event"))?;
            let handle = instance
                .get_typed_func::<(&str, &[u8]), (Result<(), String>,)>(&mut store, index)
                .map_err(plain)?;
            let payload = format!("[{times},0]");
            let start = Instant::now();
            let (answer,) = handle.call(&mut store, ("bench.perm", payload.as_bytes())).map_err(plain)?;
            anyhow::ensure!(answer.is_ok(), "the guest's own error");
            Ok(start.elapsed())
        },
    }
    .run()
}
