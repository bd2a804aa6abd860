//! What a sandbox's host functions see.

use erp_plugin_host_api::Invocation;

use crate::limiter::Limiter;

/// The data of a sandbox's store: the invocation under way. An embedder's own host functions find it through
/// [`invocation`](Self::invocation).
pub struct HostState {
    pub(crate) invocation: Invocation,
    pub(crate) limiter: Limiter,
}

impl HostState {
    /// The invocation: its tenant, identity, budget, and every host call.
    pub fn invocation(&mut self) -> &mut Invocation {
        &mut self.invocation
    }
}
