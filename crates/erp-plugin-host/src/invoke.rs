//! One invocation, from permit to report.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use erp_plugin_host_api::{CallError, CallResult, Cause, Fatal, Finish, Invocation, InvocationContext};
use erp_plugin_model::usage::{LogLevel, Usage};
use erp_plugin_model::{
    EntitySchema, ErrorCode, HostError, Identity, Limits, PermissionSet, PluginName, TenantId,
};
use erp_plugin_runtime::{Called, Export, LoadedPlugin};
use erp_plugin_storage::{
    ActivationState, AuditEntry, ErrorKind, Mode, NewJob, StorageError, StorageResult, Subscription,
    TenantScope, Transaction,
};

use crate::activation::{self, Active};
use crate::catalog::Installed;
use crate::error::{HostFailure, HostResult};
use crate::executor::inside;
use crate::host::Inner;
use crate::report::{Fault, InvocationReport};

/// How often a whole invocation is run when its transaction is lost.
const MAX_ATTEMPTS: u32 = 3;
/// How long a call waits for the version that comes in the place of its own: between the moment in which the tables become
/// what that one declares and the one in which it runs.
const SWAP: Duration = Duration::from_secs(5);
/// How often it is looked for it.
const SWAP_LOOK: Duration = Duration::from_millis(10);
/// The deadline of lifecycle calls, where the limits allow no more.
pub(crate) const LIFECYCLE_DEADLINE: Duration = Duration::from_secs(30);

/// What a request at the edge does in its invocation.
pub(crate) type EdgeWork<'i, T> = Pin<Box<dyn Future<Output = CallResult<T>> + Send + 'i>>;

/// An invocation without a guest.
pub(crate) struct EdgeCall {
    pub(crate) identity: Identity,
    pub(crate) mode: Mode,
    pub(crate) cause: Cause,
    pub(crate) deadline: Instant,
}

/// How one failed.
#[derive(Debug)]
pub(crate) struct EdgeFailure {
    pub(crate) error: HostError,
    /// Whether the storage failed, which whoever asked can do nothing about.
    pub(crate) platform_fault: bool,
}

/// An invocation to run.
pub(crate) struct Call {
    pub(crate) identity: Arc<Identity>,
    pub(crate) active: Active,
    pub(crate) export: Export,
    pub(crate) cause: Cause,
}

/// What makes a call a step in a plugin's life in a tenant, which is taken whatever state the plugin is in.
pub(crate) struct Step {
    /// Where the plugin must stand when the step is taken: else somebody else has taken one.
    pub(crate) before: Option<ActivationState>,
    /// What is called after the export, in the same transaction.
    pub(crate) then: Option<Export>,
    /// What commits with what the calls do.
    pub(crate) mark: Mark,
}

/// Where a plugin stands in a tenant, what it gets there, and what the audit trail says of it.
pub(crate) struct Mark {
    pub(crate) state: ActivationState,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) jobs: Vec<NewJob>,
    pub(crate) at: DateTime<Utc>,
    pub(crate) entry: Option<AuditEntry>,
}

impl Mark {
    pub(crate) async fn set(&self, own: &mut dyn Transaction) -> StorageResult<()> {
        let plugin = &self.state.plugin;
        own.set_activation(&self.state, &self.subscriptions).await?;
        own.set_jobs(plugin, &self.jobs, self.at, &format!("{plugin} has no such job any more")).await?;
        match &self.entry {
            Some(entry) => own.note_audit(entry).await,
            None => Ok(()),
        }
    }
}

impl Inner {
    /// Calls an enabled plugin.
    pub(crate) async fn call(
        &self,
        identity: Identity,
        plugin: &PluginName,
        export: Export,
    ) -> HostResult<InvocationReport> {
        let tenant = identity.tenant.clone();
        self.check_open(&tenant).await?;
        let active = self.ready(&tenant, plugin).await?.ok_or_else(|| {
            HostError::not_found(format!("{plugin} is not enabled in {tenant}; enable it there first"))
        })?;
        self.invoke(Call { identity: Arc::new(identity), active, export, cause: Cause::Request }).await
    }

    /// Runs an invocation of a plugin that is not out of use, and counts how it ended. The whole of it is run again when
    /// another version of the plugin came meanwhile, with that one, once it has come to the tenant.
    pub(crate) async fn invoke(&self, mut call: Call) -> HostResult<InvocationReport> {
        let (begun, mut attempts, mut fuel) = (Instant::now(), 0, 0);
        loop {
            let trial = self.pass_quarantine(&call.active).await?;
            let ran = self.run_invocation(&call, None).await;
            if let Err(fault) = self.note_ending(&call, &ran, trial.as_ref()).await {
                // What the invocation did is done.
                tracing::warn!(error = %fault, "how an invocation ended could not be noted");
            }
            let mut report = ran?;
            attempts += report.attempts;
            fuel += report.usage.fuel;
            (report.attempts, report.usage.fuel) = (attempts, fuel);
            if report.fault != Some(Fault::Stale) || begun.elapsed() > SWAP {
                return Ok(report);
            }
            self.look_again().await?;
            let (tenant, plugin) = (&call.active.tenant, call.active.plugin.name());
            let active = self.ready(tenant, plugin).await?.ok_or_else(|| {
                let meanwhile = format!("{plugin} was disabled in {tenant} meanwhile; enable it there first");
                HostFailure::Busy(HostError::new(ErrorCode::Unavailable, meanwhile))
            })?;
            if active.plugin.record.version == call.active.plugin.record.version {
                tokio::time::sleep(SWAP_LOOK).await;
            }
            call.active = active;
        }
    }

    /// Runs an invocation, and runs it again as a whole when its transaction was lost. A step in the plugin's life is taken
    /// in its transaction.
    pub(crate) async fn run_invocation(
        &self,
        call: &Call,
        step: Option<&Step>,
    ) -> HostResult<InvocationReport> {
        let Call { identity, active, export, cause } = call;
        let tenant = identity.tenant.clone();
        let permissions = Arc::new(self.authorizer.permissions(identity).await?);
        let loaded = self.load(&active.plugin).await?;
        let limits = match cause {
            Cause::Run(run) => active.plugin.job_limits(&run.job, &self.limits, &self.job_caps),
            Cause::Request | Cause::Delivery(_) => self.limits_for(&active.plugin, export),
        };
        self.budgets.check(&tenant, Instant::now()).map_err(HostFailure::Busy)?;
        let _permit = self.slots.acquire(&tenant).await.map_err(HostFailure::Busy)?;
        let deadline = Instant::now() + limits.deadline();
        let mut earlier_fuel = 0;
        let mut attempt = 1;
        loop {
            let invocation = Invocation::begin(
                self.services.clone(),
                InvocationContext {
                    scope: TenantScope::granted_by_host(tenant.clone()),
                    identity: Arc::clone(identity),
                    permissions: Arc::clone(&permissions),
                    caller: Arc::clone(&active.caller),
                    trigger: export.label(),
                    mode: Mode::Write,
                    cause: cause.clone(),
                    limits: limits.clone(),
                    deadline,
                    // A step sets the version itself.
                    fenced: step.is_none(),
                },
            );
            let writer = Arc::clone(invocation.writer_watch());
            let then = step.and_then(|step| step.then.as_ref());
            let calls = call_each(&loaded, invocation, export, then);
            let (called, failed_then) = inside(self.cpu.computing(&tenant, &writer, calls)).await;
            let Called { mut invocation, result, measured } = called;
            self.budgets.charge(&tenant, measured.fuel, Instant::now());
            let mut again = Again::default();
            let mut fault = None;
            let (mut result, ended) = match result {
                Ok(answer) => (answer.map_err(|text| guest_error(&text)), None),
                Err(failure) => {
                    invocation.log_by_host(LogLevel::Error, &failure.detail);
                    again = Again { may: failure.may_rerun(), stale: failure.is_stale() };
                    (Err(failure.error), Some((failure.kind, failure.detail)))
                }
            };
            if let (Ok(()), Some(step)) = (&result, step) {
                match take(&mut invocation, step).await {
                    Ok(true) => {}
                    Ok(false) => {
                        fault = Some(Fault::Overtaken);
                        result = Err(overtaken(&active.plugin, &tenant));
                    }
                    Err(error) => {
                        again.note(fatal_of(&error));
                        fault = fatal_of(&error).and_then(Fault::of);
                        result = Err(to_host_error(error));
                    }
                }
            }
            let finished = invocation.finish(result, measured).await;
            if !finished.events.is_empty() {
                self.published.notify_one();
            }
            if finished.new_entities {
                self.activations.forget_edge();
            }
            again.note(failed(&finished.outcome));
            if again.may && !again.stale && attempt < MAX_ATTEMPTS && Instant::now() < deadline {
                earlier_fuel += finished.usage.fuel;
                attempt += 1;
                continue;
            }
            let mut report = InvocationReport::new(finished, ended, attempt, earlier_fuel);
            report.failed_then = failed_then;
            report.fault = report.fault.or(fault);
            return Ok(report);
        }
    }

    /// Calls an export with tables that exist in its transaction alone, and rolls everything back.
    pub(crate) async fn trial(
        &self,
        tenant: &TenantId,
        plugin: &Arc<Installed>,
        schemas: Vec<EntitySchema>,
        export: Export,
    ) -> HostResult<Result<(), HostError>> {
        let system_config = self.system_config().await?;
        let mut plugins = self.catalog.all();
        plugins.retain(|other| other.name() != plugin.name());
        plugins.push(Arc::clone(plugin));
        let caller = activation::caller(plugin, &plugins, &[], &system_config);
        let limits = self.limits_for(plugin, &export);
        let _permit = self.slots.acquire(tenant).await.map_err(HostFailure::Busy)?;
        let mut invocation = Invocation::begin(
            self.services.clone(),
            InvocationContext {
                scope: TenantScope::granted_by_host(tenant.clone()),
                identity: Arc::new(Identity::system(tenant.clone(), self.system.clone(), None)),
                permissions: Arc::new(PermissionSet::all()),
                caller: Arc::new(caller),
                trigger: export.label(),
                mode: Mode::Migrate,
                cause: Cause::Request,
                deadline: Instant::now() + limits.deadline(),
                limits,
                fenced: false,
            },
        );
        if !schemas.is_empty() {
            let transaction = match invocation.transaction().await {
                Ok(transaction) => transaction,
                Err(error) => return Ok(Err(to_host_error(error))),
            };
            for schema in &schemas {
                // Whether a table is another's is said when the plugin is kept.
                transaction.declare(schema).await?;
            }
        }
        let writer = Arc::clone(invocation.writer_watch());
        let loaded = self.load(plugin).await?;
        let called = inside(self.cpu.computing(tenant, &writer, loaded.call(invocation, &export))).await;
        // Dropping the invocation rolls it back without a trace.
        Ok(match called.result {
            Ok(answer) => answer.map_err(|text| guest_error(&text)),
            Err(failure) => Err(failure.error),
        })
    }

    /// Does what a request at the edge asks for, without a guest.
    pub(crate) async fn at_edge<T, D>(
        &self,
        identity: Identity,
        mode: Mode,
        data: &D,
        work: impl for<'i> Fn(&'i mut Invocation, &'i D) -> EdgeWork<'i, T>,
    ) -> HostResult<T> {
        self.check_open(&identity.tenant).await?;
        self.refresh().await?;
        let deadline = Instant::now() + self.limits.deadline();
        let call = EdgeCall { identity, mode, cause: Cause::Request, deadline };
        self.edge_invocation(call, data, work).await?.map_err(|failure| failure.error.into())
    }

    /// One invocation without a guest, and the whole of it again when its transaction is lost.
    pub(crate) async fn edge_invocation<T, D>(
        &self,
        call: EdgeCall,
        data: &D,
        work: impl for<'i> Fn(&'i mut Invocation, &'i D) -> EdgeWork<'i, T>,
    ) -> HostResult<Result<T, EdgeFailure>> {
        let EdgeCall { identity, mode, cause, deadline } = call;
        let permissions = Arc::new(self.authorizer.permissions(&identity).await?);
        let identity = Arc::new(identity);
        let trigger = match &cause {
            Cause::Request => "request".to_owned(),
            Cause::Delivery(delivery) => format!("event {}", delivery.event_type),
            Cause::Run(run) => format!("job {}", run.job),
        };
        let mut attempt = 1;
        loop {
            let mut edge = Invocation::begin(
                self.services.clone(),
                InvocationContext {
                    scope: TenantScope::granted_by_host(identity.tenant.clone()),
                    identity: Arc::clone(&identity),
                    permissions: Arc::clone(&permissions),
                    caller: self.activations.edge(&identity.tenant, &self.catalog),
                    trigger: trigger.clone(),
                    mode,
                    cause: cause.clone(),
                    deadline,
                    limits: self.limits.clone(),
                    fenced: false,
                },
            );
            let answer = inside(work(&mut edge, data)).await;
            let (failure, again) = match end_edge(edge, answer).await {
                Ok(done) => return Ok(Ok(done)),
                Err(ended) => ended,
            };
            if !again.may || attempt == MAX_ATTEMPTS || Instant::now() >= deadline {
                return Ok(Err(failure));
            }
            if again.stale {
                tokio::time::sleep(SWAP_LOOK).await;
                self.look_again().await?;
            } else {
                attempt += 1;
            }
        }
    }

    /// Looks up what is installed: another process has changed it.
    pub(crate) async fn look_again(&self) -> HostResult<()> {
        self.read_catalog().await?;
        self.activations.forget_all();
        Ok(())
    }

    /// The plugin in a tenant, resolved at its first use there.
    pub(crate) async fn active(&self, tenant: &TenantId, plugin: &PluginName) -> HostResult<Active> {
        if let Some(active) = self.activations.get(tenant, plugin, Instant::now()) {
            return Ok(active);
        }
        self.refresh().await?;
        let (generation, began) = (self.activations.generation(), Instant::now());
        let state = self.state_in(tenant, plugin).await?;
        let installed = self.running(tenant, plugin, state.as_ref()).await?;
        let active = self.resolve(tenant, installed, state).await?;
        self.activations.put(generation, began, active.clone());
        Ok(active)
    }

    /// A version of a plugin in a tenant, whether or not it is the one that runs there.
    pub(crate) async fn resolve(
        &self,
        tenant: &TenantId,
        plugin: Arc<Installed>,
        state: Option<ActivationState>,
    ) -> HostResult<Active> {
        let mut own = self.look(tenant).await?;
        let config = own.config(plugin.name()).await?;
        own.rollback(None).await?;
        let system_config = self.system_config().await?;
        let mut here = self.catalog.all_in(tenant);
        here.retain(|other| other.name() != plugin.name());
        here.push(Arc::clone(&plugin));
        let caller = Arc::new(activation::caller(&plugin, &here, &config, &system_config));
        Ok(Active { tenant: tenant.clone(), plugin, caller, state })
    }

    /// The version that runs in a tenant: the one whose `init` was committed there, if it can work on its tables; else the
    /// one that is active.
    async fn running(
        &self,
        tenant: &TenantId,
        plugin: &PluginName,
        state: Option<&ActivationState>,
    ) -> HostResult<Arc<Installed>> {
        let active = self.installed(plugin).await?;
        let Some(state) = state.filter(|state| state.enabled && state.version != active.record.version)
        else {
            return Ok(active);
        };
        let find = || self.catalog.version_of(plugin, &state.version).filter(|here| here.fits);
        if let Some(here) = find() {
            let known = self.catalog.get_in(tenant, plugin);
            if known.is_none_or(|known| known.record.version != state.version) {
                // The tenant went there a moment ago. In an upgrade they all do, so nothing is read for each of them.
                self.catalog.distrust();
            }
            return Ok(here);
        }
        // Another process has taken the tenant there.
        self.read_catalog().await?;
        match find() {
            Some(here) => Ok(here),
            None => self.installed(plugin).await,
        }
    }

    /// Reads what is installed if another process has changed it; asks at most once a second.
    pub(crate) async fn refresh(&self) -> HostResult<()> {
        if !self.catalog.is_due(Instant::now()) {
            return Ok(());
        }
        let mut platform = self.look_at_platform().await?;
        let revision = platform.revision().await?;
        platform.rollback().await?;
        if !self.catalog.is_at(&revision) {
            self.read_catalog().await?;
        }
        Ok(())
    }

    /// An installed plugin, by this process or by another one on the same database.
    pub(crate) async fn installed(&self, plugin: &PluginName) -> HostResult<Arc<Installed>> {
        if let Some(installed) = self.catalog.get(plugin) {
            return Ok(installed);
        }
        self.read_catalog().await?;
        self.catalog.get(plugin).ok_or_else(|| {
            HostError::not_found(format!("no plugin {plugin} is installed; install it first")).into()
        })
    }

    /// The loaded component of a plugin; read from storage and loaded at its first call.
    async fn load(&self, plugin: &Installed) -> HostResult<LoadedPlugin> {
        let load = async || {
            let hash = &plugin.record.component;
            let mut platform = self.look_at_platform().await?;
            let bytes = platform.component(hash).await?;
            platform.rollback().await?;
            let bytes = bytes.ok_or_else(|| StorageError::new(ErrorKind::Corrupt, "component"))?;
            HostResult::Ok(self.loader.load(&bytes.into(), hash, plugin.max_size()).await?)
        };
        plugin.loaded.get_or_try_init(load).await.cloned()
    }

    fn limits_for(&self, plugin: &Installed, export: &Export) -> Limits {
        let mut limits = plugin.limits(&self.limits, &self.caps);
        if matches!(export, Export::Init | Export::OnTenantCreated { .. }) {
            limits.deadline_ms =
                limits.deadline_ms.max(u64::try_from(LIFECYCLE_DEADLINE.as_millis()).unwrap_or(u64::MAX));
        }
        limits
    }
}

/// Whether an invocation may be run again, and what has to be looked up before.
#[derive(Clone, Copy, Debug, Default)]
struct Again {
    may: bool,
    /// Another version of the plugin runs by now.
    stale: bool,
}

impl Again {
    fn note(&mut self, fatal: Option<&Fatal>) {
        self.may |= fatal.is_some_and(Fatal::may_rerun);
        self.stale |= fatal.is_some_and(Fatal::is_stale);
    }
}

fn fatal_of(error: &CallError) -> Option<&Fatal> {
    match error {
        CallError::Fatal(fatal) => Some(fatal),
        CallError::Answer(_) => None,
    }
}

fn failed(outcome: &Result<(), Finish>) -> Option<&Fatal> {
    match outcome {
        Err(Finish::Failed(fatal)) => Some(fatal),
        _ => None,
    }
}

/// Ends an invocation at the edge: commits what succeeded, rolls back what did not. With a failure comes whether the whole
/// of it may be done again.
async fn end_edge<T>(edge: Invocation, answer: Result<T, CallError>) -> Result<T, (EdgeFailure, Again)> {
    let mut again = Again::default();
    let failed = |error: HostError, fatal: Option<&Fatal>, again: &mut Again| {
        again.note(fatal);
        EdgeFailure { error, platform_fault: fatal.is_some_and(|fatal| Fault::of(fatal).is_some()) }
    };
    match answer {
        Ok(done) => match edge.finish(Ok(()), Usage::default()).await.outcome {
            Ok(()) => Ok(done),
            Err(reason) => {
                let fatal = if let Finish::Failed(fatal) = &reason { Some(fatal) } else { None };
                Err((failed(reason.to_host_error(), fatal, &mut again), again))
            }
        },
        Err(error) => {
            let fatal = fatal_of(&error);
            let failure = failed(error_of(&error), fatal, &mut again);
            drop(edge.finish(Err(failure.error.clone()), Usage::default()).await);
            Err((failure, again))
        }
    }
}

/// Calls an export, and another one if that went well, each in a sandbox of its own and both in one transaction. Returns
/// also whether it was the other one that failed.
async fn call_each(
    loaded: &LoadedPlugin,
    invocation: Invocation,
    export: &Export,
    then: Option<&Export>,
) -> (Called, bool) {
    let first = loaded.call(invocation, export).await;
    match then {
        Some(then) if matches!(first.result, Ok(Ok(()))) => {
            let mut second = loaded.call(first.invocation, then).await;
            second.measured.fuel = second.measured.fuel.saturating_add(first.measured.fuel);
            second.measured.peak_memory = second.measured.peak_memory.max(first.measured.peak_memory);
            let failed = !matches!(second.result, Ok(Ok(())));
            (second, failed)
        }
        _ => (first, false),
    }
}

/// Takes a step, unless the plugin does not stand any more where it stood when that was decided. What it fails with does
/// not count: it changes nothing of where the plugin stands.
async fn take(invocation: &mut Invocation, step: &Step) -> Result<bool, CallError> {
    let own = invocation.transaction().await?;
    let place = |state: ActivationState| ActivationState { quarantine: None, ..state };
    let now = own.activation(&step.mark.state.plugin).await?;
    if now.map(place) != step.before.clone().map(place) {
        return Ok(false);
    }
    step.mark.set(own).await?;
    Ok(true)
}

fn overtaken(plugin: &Installed, tenant: &TenantId) -> HostError {
    let (plugin, meanwhile) = (plugin.name(), "enabled, disabled or upgraded by somebody else meanwhile");
    HostError::new(ErrorCode::Unavailable, format!("{plugin} was {meanwhile} in {tenant}; try again"))
}

pub(crate) fn to_host_error(error: CallError) -> HostError {
    match error {
        CallError::Answer(error) => error,
        CallError::Fatal(fatal) => fatal.to_host_error(),
    }
}

fn error_of(error: &CallError) -> HostError {
    match error {
        CallError::Answer(error) => error.clone(),
        CallError::Fatal(fatal) => fatal.to_host_error(),
    }
}

/// A guest's own error: with one of the codes if it begins with one, else a business rule that says no.
fn guest_error(text: &str) -> HostError {
    let coded = text.split_once(": ").and_then(|(code, message)| {
        let code = ErrorCode::ALL.into_iter().find(|known| known.as_str() == code)?;
        Some(HostError::new(code, message))
    });
    coded.unwrap_or_else(|| HostError::new(ErrorCode::Rejected, text))
}
