//! Tests of a plugin, written by its author: one component, called export by export, on what a platform runs.
//!
//! Nothing is simulated. Host calls mean what they mean on a server (`erp-plugin-host-api`), the sandbox and its
//! limits are the real ones (`erp-plugin-runtime`), and records live in SQLite, in memory, or on a Postgres
//! ([`TestEngine::on_postgres`]). What differs is chosen so that a test sees the same every time: the clock stands
//! still, ids count up, and everything that the plugin's manifest asks for is granted. Several plugins together are
//! tested on `erp_plugin::PluginHost`.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! # let guest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/hostile/atomic.wat");
//! # let wasm_bytes = wat::parse_file(guest)?;
//! use erp_plugin_testing::{create_engine, load_plugin};
//!
//! let engine = create_engine()?;
//! let (mut plugin, _) = load_plugin(&engine, &wasm_bytes, 1_000_000).await?;
//!
//! plugin.call_handle_event("order.created", br#"{"id":"ORD-001"}"#).await?.map_err(anyhow::Error::msg)?;
//! assert_eq!(plugin.db_ops().len(), 1);
//! assert_eq!(plugin.events()[0].event_type, "hostile.happened");
//! assert_eq!(plugin.records("thing").await?.len(), 1);
//!
//! // A call that fails leaves nothing but its log: one invocation is one transaction.
//! let refused = plugin.call_handle_event("please.fail", b"{}").await?;
//! assert_eq!(refused, Err("failed on purpose".to_owned()));
//! assert_eq!((plugin.db_ops().len(), plugin.logs().len()), (1, 2));
//! # Ok(())
//! # }
//! ```
//!
//! The handle can also be used as a store that is passed to the plugin's exports, which is how `bindgen!` would have
//! it: `instance.erp_plugin_plugin_api().call_init(&mut store).await?`, and then `store.data().db_ops`.

mod database;
mod engine;
mod environment;
mod error;
mod instance;
mod load;
mod plugin;
mod rights;
mod state;

pub use engine::{TestEngine, create_engine};
pub use error::{CallFailure, LoadFailure};
pub use instance::{PluginApi, TestInstance};
pub use load::load_plugin;
pub use plugin::{CallOutcome, TestPlugin};
pub use state::{DbOp, PublishedEvent, TestState};

pub use erp_plugin_host_api::Verb;
pub use erp_plugin_model::usage::{LogLevel, LogLine, Usage};
pub use erp_plugin_model::{ErrorCode, HostError};
pub use erp_plugin_runtime::{FailureKind, GuestFailure};

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
compile_error!(
    "erp-plugin-testing needs a storage backend: enable the feature `sqlite`, or `postgres`, or both"
);
