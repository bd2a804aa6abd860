//! How a host is put together.

use std::sync::Arc;

use erp_plugin_host_api::{Authorizer, HookRunner, NoHooks, RolePermissions, Services};
use erp_plugin_model::event::RetryCaps;
use erp_plugin_model::{Clock, IdGenerator, Limits, UserId};
use erp_plugin_runtime::{CodeCache, Compiler, Engine, EngineOptions, InProcessCompiler, Interface, Loader};
use erp_plugin_storage::Storage;
use tokio::runtime::Handle;

use crate::budget::TenantLimits;
use crate::delivery::WorkerOptions;
use crate::error::HostResult;
use crate::executor::Executor;
use crate::host::PluginHost;
use crate::install::{self, InstallOptions};
use crate::quarantine::QuarantineOptions;

/// Puts a [`PluginHost`] together. What is not given has a default that refuses rather than allows; the exception is
/// [`bare_components`](Self::bare_components).
pub struct PluginHostBuilder {
    pub(crate) services: Services,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) stored_roles: bool,
    pub(crate) limits: Limits,
    pub(crate) caps: Option<Limits>,
    pub(crate) job_caps: Option<Limits>,
    pub(crate) bare_components: bool,
    pub(crate) retry_caps: RetryCaps,
    pub(crate) tenant_limits: TenantLimits,
    pub(crate) worker: WorkerOptions,
    pub(crate) quarantine: QuarantineOptions,
    pub(crate) actor: Option<UserId>,
    runtime: Option<Handle>,
    threads: Option<usize>,
    engine: EngineOptions,
    compiler: Option<Arc<dyn Compiler>>,
    cache: Option<CodeCache>,
    interfaces: Vec<Interface>,
}

impl PluginHostBuilder {
    pub(crate) fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>, ids: Arc<dyn IdGenerator>) -> Self {
        Self {
            services: Services { storage, clock, ids, hooks: Arc::new(NoHooks) },
            authorizer: Arc::new(RolePermissions::new()),
            stored_roles: false,
            limits: Limits::default(),
            caps: None,
            job_caps: None,
            bare_components: true,
            retry_caps: RetryCaps::default(),
            tenant_limits: TenantLimits::default(),
            worker: WorkerOptions::default(),
            quarantine: QuarantineOptions::default(),
            actor: None,
            runtime: None,
            threads: None,
            engine: EngineOptions::default(),
            compiler: None,
            cache: None,
            interfaces: Vec::new(),
        }
    }

    /// Who says what an identity may do. Default: the system may do everything, nobody else anything.
    #[must_use]
    pub fn authorizer(mut self, authorizer: impl Authorizer + 'static) -> Self {
        self.authorizer = Arc::new(authorizer);
        self
    }

    /// Whether the roles count that a tenant keeps in its own data, as [`PluginHost::set_role`] and the ones beside it
    /// change them. An identity then may do what the [`authorizer`](Self::authorizer) allows, what the roles give that
    /// are assigned to its id, and what those of its own `roles` give that the tenant knows. A change is in force at once
    /// in this host, and within a second in others on the same database. Default: no.
    #[must_use]
    pub fn stored_roles(mut self) -> Self {
        self.stored_roles = true;
        self
    }

    /// Who has a say in writes. Default: nobody.
    #[must_use]
    pub fn hooks(mut self, hooks: impl HookRunner + 'static) -> Self {
        self.services.hooks = Arc::new(hooks);
        self
    }

    /// What an invocation may use when its plugin does not ask for something else.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The most that a plugin may ask for. Default: the limits themselves.
    #[must_use]
    pub fn limit_caps(mut self, caps: Limits) -> Self {
        self.caps = Some(caps);
        self
    }

    /// The most that a run of a job may use, and what a job may ask for. Default: ten times
    /// [`limit_caps`](Self::limit_caps) of what adds up, such as fuel and time, and the same of the rest.
    #[must_use]
    pub fn job_limit_caps(mut self, caps: Limits) -> Self {
        self.job_caps = Some(caps);
        self
    }

    /// Whether components without a manifest may be installed. Default: yes; a server says no.
    #[must_use]
    pub fn bare_components(mut self, allowed: bool) -> Self {
        self.bare_components = allowed;
        self
    }

    /// The most that a subscription or a job may ask for when its deliveries or runs fail. Default: ten retries, an hour.
    #[must_use]
    pub fn retry_caps(mut self, caps: RetryCaps) -> Self {
        self.retry_caps = caps;
        self
    }

    /// What one tenant may have of the host, all of its invocations together.
    #[must_use]
    pub fn tenant_limits(mut self, limits: TenantLimits) -> Self {
        self.tenant_limits = limits;
        self
    }

    /// How deliveries and runs of jobs are worked off.
    #[must_use]
    pub fn worker(mut self, options: WorkerOptions) -> Self {
        self.worker = options;
        self
    }

    /// Who changes something through the host, as [`PluginHost::acting_as`]. Default: `system`.
    #[must_use]
    pub fn acting_as(mut self, user: UserId) -> Self {
        self.actor = Some(user);
        self
    }

    /// When a plugin that keeps failing is taken out of use in a tenant, and for how long.
    #[must_use]
    pub fn quarantine(mut self, options: QuarantineOptions) -> Self {
        self.quarantine = options;
        self
    }

    /// How many guests can exist at once. Default: 64.
    #[must_use]
    pub fn sandboxes(mut self, sandboxes: u32) -> Self {
        self.engine.sandboxes = sandboxes;
        self
    }

    /// A multi-thread runtime, with time enabled, to run invocations on instead of one of the host's own. A call from
    /// one of its tasks then needs no hand-over between threads, which takes as long as a small invocation; in return,
    /// whatever else blocks the runtime's threads holds up plugins.
    #[must_use]
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// How many threads invocations share, on a runtime of the host's own. Default: one a core.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// How components are compiled. Default: in this process; whoever takes uploads compiles in another one.
    #[must_use]
    pub fn compiler(mut self, compiler: impl Compiler + 'static) -> Self {
        self.compiler = Some(Arc::new(compiler));
        self
    }

    /// Where native code is kept between starts. Default: nowhere.
    #[must_use]
    pub fn code_cache(mut self, cache: CodeCache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// An interface of the platform's own that plugins may import.
    #[must_use]
    pub fn interface(mut self, interface: Interface) -> Self {
        self.interfaces.push(interface);
        self
    }

    /// Judges, compiles and links a component as [`PluginHost::install`] does, but runs and keeps nothing of it, and
    /// leaves the storage alone. What the component refers to need not be installed.
    pub async fn judge(mut self, component: &Arc<[u8]>, options: &InstallOptions) -> HostResult<()> {
        let loader = self.loader()?;
        install::judge(&loader, component, options, self.bare_components, self.services.clock.now()).await
    }

    /// Makes the host and reads what is installed.
    pub async fn build(mut self) -> HostResult<PluginHost> {
        let loader = self.loader()?;
        let executor = match self.runtime.take() {
            Some(handle) => Executor::lent(handle)?,
            None => Executor::own(self.threads)?,
        };
        PluginHost::start(self, loader, executor).await
    }

    fn loader(&mut self) -> HostResult<Loader> {
        let cap = self.caps.as_ref().unwrap_or(&self.limits).memory;
        let of_jobs = self.job_caps.as_ref().map_or(0, |caps| caps.memory);
        self.engine.max_memory = cap.max(self.limits.memory).max(of_jobs);
        let engine = Engine::new(self.engine.clone())?;
        let compiler =
            self.compiler.take().unwrap_or_else(|| Arc::new(InProcessCompiler::new(engine.clone())));
        let interfaces = std::mem::take(&mut self.interfaces);
        Ok(Loader::new(engine, compiler, self.cache.take(), interfaces)?)
    }
}
