//! P2: a fresh sandbox for one call, for a small guest and for a plugin written in Rust.

use std::time::Instant;

use erp_plugin_runtime::Export;
use wasmtime::Store;

use crate::bare::{BareComponent, plain};
use crate::compare::{Goal, Pair, timed};
use crate::hosts::{BareRuntime, generous, plugin};

pub(crate) fn run() -> anyhow::Result<()> {
    let small = wat::parse_str(include_str!("../crates/erp-plugin/example/hello.wat"))?;
    compare("fresh sandbox + empty call + drop / bare, small guest", small)?;
    compare("fresh sandbox + empty call + drop / bare, Rust guest (purchasing)", plugin("purchasing")?)
}

fn compare(name: &str, component: Vec<u8>) -> anyhow::Result<()> {
    let ours = BareRuntime::new(component.clone(), erp_plugin::EngineOptions::default(), generous())?;
    let bare = BareComponent::new(&component)?;
    // The event is one that the guest knows nothing of, so that nothing but the call is measured.
    let export = Export::HandleEvent { event_type: "bench.nothing".to_owned(), payload: "{}".to_owned() };
    Pair {
        id: "P2",
        name,
        goal: Goal::AtMost(1.5),
        ours: &mut |times| {
            ours.runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..times {
                    let called = ours.plugin.call(ours.invocation(), &export).await;
                    anyhow::ensure!(called.result.is_ok(), "the guest failed");
                }
                Ok(start.elapsed())
            })
        },
        bare: &mut |times| {
            timed(times, || {
                let mut store = Store::new(&bare.engine, ());
                let instance = bare.pre.instantiate(&mut store).map_err(plain)?;
                let interface = instance.get_export_index(&mut store, None, "erp:plugin/plugin-api");
                let index = instance.get_export_index(&mut store, interface.as_ref(), "handle-event");
                let index = index.ok_or_else(|| anyhow::anyhow!("no handle-event"))?;
                let handle = instance
                    .get_typed_func::<(&str, &[u8]), (Result<(), String>,)>(&mut store, index)
                    .map_err(plain)?;
                let (answer,) = handle.call(&mut store, ("bench.nothing", b"{}")).map_err(plain)?;
                anyhow::ensure!(answer.is_ok(), "the guest's own error");
                Ok(())
            })
        },
    }
    .run()
}
