//! What each host call *means*: the tenant it happens in, who may do it, what is checked, which fields the host
//! sets, what it costs.
//!
//! Plain Rust on the storage traits; knows no SQL, no Wasmtime and no WIT. Every contract version is a thin adapter
//! onto [`Invocation`], and so is the platform's own edge (REST, command line), which enters without a guest.
//!
//! Invariants:
//! - An [`Invocation`] belongs to one tenant and one identity for life, and is one transaction: it opens at the
//!   first storage call and ends in [`Invocation::finish`].
//! - An error is *answerable* ([`CallError::Answer`]: the guest may go on, the transaction is intact) or *fatal*
//!   ([`CallError::Fatal`]: the call traps and everything is rolled back).
//! - What an invocation may do was resolved before it began ([`Caller`]); a call looks up one name and tests flags.
//!
//! To add a host call: 1. a method on [`Invocation`] in the file of its subject, which begins with
//! [`Invocation::enter`]; 2. its adapter in each contract's module of `erp-plugin-runtime`; 3. a test here.

mod authorizer;
mod budget;
mod caller;
mod config;
mod cost;
mod error;
mod events;
mod fields;
mod history;
mod hooks;
mod identity;
mod invocation;
mod json;
mod log;
mod records;
mod references;
mod writer_watch;

pub use authorizer::{Authorizer, RolePermissions};
pub use budget::Budget;
pub use caller::{Caller, DynamicDirectory, EntityGrant, PublishRight, Right};
pub use erp_plugin_storage::Verb;
pub use error::{CallError, CallResult, Fatal};
pub use hooks::{HookPoint, HookRunner, HookVerdict, NoHooks};
pub use invocation::{Cause, Finish, Finished, Invocation, InvocationContext, Services, Write};
pub use log::escape_control;
pub use references::{References, Referrer};
pub use writer_watch::WriterWatch;
