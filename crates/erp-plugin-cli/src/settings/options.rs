//! What an operator can set, as the commands use it.

use erp_plugin::event::RetryCaps;
use erp_plugin::{Limits, QuarantineOptions, TenantLimits, WorkerOptions};

/// A value for each setting.
#[derive(Clone)]
pub(crate) struct Options {
    /// The database: a file, or a URL.
    pub(crate) database: Option<String>,
    /// The URL of who may act as the owner of the tables.
    pub(crate) migration_url: Option<String>,
    /// Whether native code is kept between starts.
    pub(crate) code_cache: bool,
    /// How deliveries are worked off.
    pub(crate) worker: WorkerOptions,
    /// The most that a subscription may ask for when its deliveries fail.
    pub(crate) retry: RetryCaps,
    /// What one tenant may have of a host.
    pub(crate) tenant: TenantLimits,
    /// When a plugin that keeps failing is taken out of use in a tenant.
    pub(crate) quarantine: QuarantineOptions,
    /// What an invocation may use when its plugin does not ask for something else.
    pub(crate) limits: Limits,
    /// The most that a plugin may ask for.
    pub(crate) caps: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            database: None,
            migration_url: None,
            code_cache: true,
            worker: WorkerOptions::default(),
            retry: RetryCaps::default(),
            tenant: TenantLimits::default(),
            quarantine: QuarantineOptions::default(),
            limits: Limits::default(),
            caps: Limits::default(),
        }
    }
}
