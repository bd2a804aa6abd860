//! The `erp-plugin` program; everything of it is in the library beside.

use std::process::ExitCode;

fn main() -> ExitCode {
    erp_plugin_cli::main()
}
