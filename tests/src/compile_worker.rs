//! Compiles one component, from standard input to standard output: a worker as an embedder would write it. The argument
//! is the most memory of a guest, in bytes.

use erp_plugin::EngineOptions;

fn main() {
    let max_memory = std::env::args().nth(1).and_then(|bytes| bytes.parse().ok());
    let Some(max_memory) = max_memory else { std::process::exit(2) };
    std::process::exit(erp_plugin::compile_worker(&EngineOptions { max_memory, ..EngineOptions::default() }));
}
