//! `compile-worker`: what this program is when it compiles for itself in a process of its own.

use std::process::ExitCode;

use erp_plugin::EngineOptions;

/// Compile a component from standard input to native code on standard output
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The most memory of a guest, in bytes: native code fits an engine that was made for the same
    max_memory: u64,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let options = EngineOptions { max_memory: arguments.max_memory, ..EngineOptions::default() };
    let code = erp_plugin::compile_worker(&options);
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}
