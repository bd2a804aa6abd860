//! P1: an empty export in an instance that lives.

use std::time::Instant;

use erp_plugin_runtime::Export;
use wasmtime::Store;

use crate::bare::{BareComponent, plain};
use crate::compare::{Goal, Pair, timed};
use crate::hosts::{BareRuntime, generous};

pub(crate) fn run() -> anyhow::Result<()> {
    let component = wat::parse_str(include_str!("../crates/erp-plugin/example/hello.wat"))?;
    let ours = BareRuntime::new(component.clone(), erp_plugin::EngineOptions::default(), generous())?;
    let bare = BareComponent::new(&component)?;
    let mut store = Store::new(&bare.engine, ());
    let instance = bare.pre.instantiate(&mut store).map_err(plain)?;
    let interface = instance.get_export_index(&mut store, None, "erp:plugin/plugin-api");
    let index = instance.get_export_index(&mut store, interface.as_ref(), "init");
    let index = index.ok_or_else(|| anyhow::anyhow!("no init"))?;
    let init = instance.get_typed_func::<(), (Result<(), String>,)>(&mut store, index).map_err(plain)?;

    let sandbox = ours.runtime.block_on(ours.plugin.sandbox(ours.invocation()));
    let Ok(mut sandbox) = sandbox else { anyhow::bail!("no sandbox") };
    Pair {
        id: "P1",
        name: "empty export in a live instance / bare typed component call",
        goal: Goal::AtMost(3.0),
        ours: &mut |times| {
            ours.runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..times {
                    let answer = sandbox.call(&Export::Init).await?;
                    anyhow::ensure!(answer.is_ok(), "the guest's own error");
                }
                Ok(start.elapsed())
            })
        },
        bare: &mut |times| {
            timed(times, || {
                let (answer,) = init.call(&mut store, ()).map_err(plain)?;
                anyhow::ensure!(answer.is_ok(), "the guest's own error");
                Ok(())
            })
        },
    }
    .run()
}
