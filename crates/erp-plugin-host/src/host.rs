//! The host's public face: each call runs as a task of its own.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use erp_plugin_host_api::{Authorizer, Invocation, Services};
use erp_plugin_model::event::{Publisher, RetryCaps};
use erp_plugin_model::evolution::Archived;
use erp_plugin_model::{
    Clock, IdGenerator, Identity, Limits, Manifest, PermissionPattern, PluginName, Role, RoleAssignment,
    RoleName, TenantId, UserId, WorkerId,
};
use erp_plugin_runtime::{Export, Loader};
use erp_plugin_storage::erase::Progress;
use erp_plugin_storage::{
    AuditEntry, LogQuery, Mode, PlatformScope, PlatformTransaction, Storage, StoredLogLine, TenantScope,
    TenantState, Transaction, TransactionOptions, UsageTotal,
};
use tokio::sync::Notify;

use crate::activation::Activations;
use crate::audit::AuditFilter;
use crate::budget::Budgets;
use crate::builder::PluginHostBuilder;
use crate::catalog::{Catalog, Installed};
use crate::core::is_core;
use crate::cpu::Cpu;
use crate::delivery::{
    DrainReport, Drainer, HandlerFuture, Received, Subscribed, WorkerHandle, WorkerOptions,
};
use crate::departure::{ArchivedPlugin, PluginState, PurgedPlugin};
use crate::diagnosis::PluginHealth;
use crate::edge::Records;
use crate::error::HostResult;
use crate::events::Events;
use crate::executor::Executor;
use crate::install::InstallOptions;
use crate::jobs::Jobs;
use crate::locks::Locks;
use crate::quarantine::{Failing, QuarantineOptions};
use crate::report::InvocationReport;
use crate::roles::StoredRoles;
use crate::rollback::RollbackOptions;
use crate::schema::{SchemaPlan, SchemaStatus};
use crate::slots::Slots;
use crate::tenants::{DeletionReceipt, KnownTenants};

/// How long the host waits for the database when no invocation's deadline says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs plugins for the tenants of a platform. A clone is the same host.
#[derive(Clone)]
pub struct PluginHost {
    inner: Arc<Inner>,
    executor: Arc<Executor>,
    /// Who changes something through this handle, as the audit trail has it.
    actor: UserId,
}

/// What every task of a host shares.
pub(crate) struct Inner {
    pub(crate) services: Services,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    /// The authorizer, where it is the one of the tenants' own roles.
    pub(crate) stored_roles: Option<Arc<StoredRoles>>,
    pub(crate) loader: Loader,
    pub(crate) catalog: Catalog,
    pub(crate) activations: Activations,
    pub(crate) slots: Slots,
    pub(crate) cpu: Cpu,
    pub(crate) budgets: Budgets,
    pub(crate) known_tenants: KnownTenants,
    pub(crate) limits: Limits,
    pub(crate) caps: Limits,
    pub(crate) job_caps: Limits,
    pub(crate) bare_components: bool,
    /// The host's own identity.
    pub(crate) system: UserId,
    /// Held while what is installed is read, so that of two readings the later one is kept.
    pub(crate) reading: tokio::sync::Mutex<()>,
    /// Held while an installation changes what is installed.
    pub(crate) installing: tokio::sync::Mutex<()>,
    /// Held while a plugin is enabled in a tenant, so that its lifecycle calls happen once.
    pub(crate) enabling: Locks<(TenantId, PluginName)>,
    /// Held by whoever drains.
    pub(crate) draining: tokio::sync::Mutex<Drainer>,
    /// Told when something was published here.
    pub(crate) published: Notify,
    /// Told when a run of a job was asked for here.
    pub(crate) run_added: Notify,
    /// What the platform's own subscribers do.
    pub(crate) subscribed: Subscribed,
    pub(crate) retry_caps: RetryCaps,
    pub(crate) worker_options: WorkerOptions,
    pub(crate) quarantine: QuarantineOptions,
    /// The plugins that fail at present.
    pub(crate) failing: Failing,
}

/// An installed plugin, for lists.
#[derive(Clone, Debug)]
pub struct PluginSummary {
    /// Its name.
    pub name: PluginName,
    /// Its version; 0.0.0 without a manifest.
    pub version: semver::Version,
    /// Its manifest, if it has one.
    pub manifest: Option<Manifest>,
    /// What somebody who installs it should know: capped limits, rights of a bare component.
    pub notes: Vec<String>,
    /// After an installation, the tenants in which this version does not run although the plugin was enabled there: its `init`
    /// failed, as the notes say.
    pub not_in: Vec<TenantId>,
}

impl PluginHost {
    /// Begins to put a host together.
    #[must_use]
    pub fn builder(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
    ) -> PluginHostBuilder {
        PluginHostBuilder::new(storage, clock, ids)
    }

    pub(crate) async fn start(
        builder: PluginHostBuilder,
        loader: Loader,
        executor: Executor,
    ) -> HostResult<Self> {
        let stored_roles = builder.stored_roles.then(|| {
            let (storage, other) = (Arc::clone(&builder.services.storage), Arc::clone(&builder.authorizer));
            Arc::new(StoredRoles::new(storage, other))
        });
        let authorizer = match &stored_roles {
            Some(stored) => Arc::clone(stored) as Arc<dyn Authorizer>,
            None => builder.authorizer,
        };
        let budgets = Budgets::new(builder.tenant_limits.fuel_per_minute);
        let slots = Slots::new(loader.engine().options().sandboxes, builder.tenant_limits);
        let id = builder.services.ids.new_id(builder.services.clock.now());
        let drainer = Drainer::new(WorkerId(id));
        let caps = builder.caps.unwrap_or_else(|| builder.limits.clone());
        let inner = Inner {
            job_caps: builder.job_caps.unwrap_or_else(|| caps.for_jobs()),
            caps,
            services: builder.services,
            authorizer,
            stored_roles,
            loader,
            catalog: Catalog::default(),
            activations: Activations::default(),
            slots,
            cpu: Cpu::new(executor.threads()),
            budgets,
            known_tenants: KnownTenants::default(),
            limits: builder.limits,
            bare_components: builder.bare_components,
            system: UserId::parse("system")?,
            reading: tokio::sync::Mutex::default(),
            installing: tokio::sync::Mutex::default(),
            enabling: Locks::default(),
            draining: tokio::sync::Mutex::new(drainer),
            published: Notify::new(),
            run_added: Notify::new(),
            subscribed: Subscribed::default(),
            retry_caps: builder.retry_caps,
            worker_options: builder.worker,
            quarantine: builder.quarantine,
            failing: Failing::default(),
        };
        let actor = builder.actor.unwrap_or_else(|| inner.system.clone());
        let executor = Arc::new(executor);
        let host = Self { inner: Arc::new(inner), executor, actor };
        host.run(|inner| async move { inner.read_catalog().await }).await?;
        Ok(host)
    }

    /// The same host for somebody: what is changed through it has this user's, or service's, id in the
    /// [audit trail](Self::audit). Whether they may is for the caller to decide. Without it everything is `system`'s doing.
    #[must_use]
    pub fn acting_as(&self, user: UserId) -> Self {
        Self { actor: user, ..self.clone() }
    }

    /// Who did what about plugins, tenants, configuration and roles, the newest first.
    pub async fn audit(&self, filter: AuditFilter) -> HostResult<Vec<AuditEntry>> {
        self.run(|inner| async move { inner.audit(&filter).await }).await
    }

    /// Adds a tenant of the platform, and returns whether it was new.
    pub async fn create_tenant(&self, tenant: &str) -> HostResult<bool> {
        let tenant = TenantId::parse(tenant)?;
        self.run_as(|inner, by| async move { inner.create_tenant(&by, &tenant).await }).await
    }

    /// Every tenant, by id.
    pub async fn tenants(&self) -> HostResult<Vec<TenantId>> {
        self.run(|inner| async move { inner.tenants().await }).await
    }

    /// Every tenant by id, and whether anything is done in it.
    pub async fn tenant_states(&self) -> HostResult<Vec<(TenantId, TenantState)>> {
        self.run(|inner| async move { inner.tenant_states().await }).await
    }

    /// Suspends a tenant: calls, requests at the edge, changes of its configuration and roles, and what enables a plugin are
    /// refused as `unavailable`, and its deliveries wait. In force at once here, and within a second in other processes.
    /// What has begun ends. Returns whether it was active.
    pub async fn suspend_tenant(&self, tenant: &str) -> HostResult<bool> {
        let tenant = TenantId::parse(tenant)?;
        let state = TenantState::Suspended;
        self.run_as(
            |inner, by| async move { Ok(inner.set_tenant_state(&by, &tenant, state).await? != state) },
        )
        .await
    }

    /// Lets a tenant go on where it was suspended. Returns whether it was.
    pub async fn resume_tenant(&self, tenant: &str) -> HostResult<bool> {
        let tenant = TenantId::parse(tenant)?;
        let state = TenantState::Active;
        self.run_as(
            |inner, by| async move { Ok(inner.set_tenant_state(&by, &tenant, state).await? != state) },
        )
        .await
    }

    /// Erases everything of a tenant, and the tenant: records of every entity, what was put aside of them, history, log,
    /// events and deliveries, configuration, roles. There is no way back, and the receipt is the only trace. One that was
    /// not suspended is suspended first, and waited for. Whoever is stopped begins again and goes on.
    ///
    /// On Postgres it takes the tables' owner, as an installation does. `progress` is told of every batch.
    pub async fn delete_tenant(
        &self,
        tenant: &str,
        mut progress: impl FnMut(Progress) + Send + 'static,
    ) -> HostResult<DeletionReceipt> {
        let tenant = TenantId::parse(tenant)?;
        self.run_as(|inner, by| async move { inner.delete_tenant(&by, &tenant, &mut progress).await }).await
    }

    /// Installs a component: judges, compiles and links it, tries its `init` in a transaction that is rolled back,
    /// makes its tables, and keeps it. Installing the same bytes again changes nothing.
    ///
    /// Another version of an installed plugin takes its place: its tables become what it declares, as
    /// [`plan`](Self::plan) says, or nothing is done and [`HostFailure::Schema`](crate::HostFailure::Schema) says what is
    /// in the way. `init` is called where the plugin is enabled, and a tenant goes to the version in that transaction; where
    /// it fails the version that it had goes on, as the summary's notes say.
    ///
    /// With [`InstallOptions::tenants`] only those go to the version, and stay there until it is installed for all.
    pub async fn install(
        &self,
        component: impl Into<Arc<[u8]>>,
        options: InstallOptions,
    ) -> HostResult<PluginSummary> {
        let component = component.into();
        self.run_as(|inner, by| async move { inner.install(&by, component, options).await }).await
    }

    /// Declares the platform's own entities: the text of a manifest whose plugin is called `core`, with `[entities]` and nothing
    /// else that a plugin has. They are there in every tenant, at the edge as `core.customer` for whoever has the permission,
    /// and plugins may refer to them and ask for them. Declaring the same again changes nothing; the tables become what a later
    /// version declares, as in [`install`](Self::install), with consent to what goes out of sight. An older version changes
    /// nothing: it is refused unless it can work on the tables of the one that is declared.
    pub async fn declare(&self, manifest: &str, consent: Vec<String>) -> HostResult<()> {
        let text = manifest.to_owned();
        self.run_as(|inner, by| async move { inner.declare(&by, &text, &consent).await }).await
    }

    /// Has a version of a plugin run again that was installed before; without one the version before the one that runs. Its
    /// tables become what that version declares, as in [`install`](Self::install): what the later one added goes out of
    /// sight, which takes consent. `init` is called where the plugin is enabled. Tenants that are named in the options go
    /// back alone, without a version to the one that is active.
    pub async fn rollback(
        &self,
        plugin: &str,
        to: Option<semver::Version>,
        options: RollbackOptions,
    ) -> HostResult<PluginSummary> {
        let plugin = PluginName::parse(plugin)?;
        self.run_as(|inner, by| async move { inner.rollback(&by, &plugin, to.as_ref(), options).await }).await
    }

    /// What installing a component would do to its plugin's tables; nothing is changed.
    pub async fn plan(
        &self,
        component: impl Into<Arc<[u8]>>,
        options: InstallOptions,
    ) -> HostResult<SchemaPlan> {
        let component = component.into();
        self.run(|inner| async move { inner.plan_of(&component, &options).await }).await
    }

    /// What the database has of a plugin's tables.
    pub async fn schema_status(&self, plugin: &str) -> HostResult<SchemaStatus> {
        let plugin = PluginName::parse(plugin)?;
        self.run(|inner| async move { inner.schema_status(&plugin).await }).await
    }

    /// Removes for good what earlier versions of an installed plugin left behind; returns what there was. There is no way
    /// back. What an archived one has, [`purge`](Self::purge) removes.
    pub async fn purge_archived(&self, plugin: &str) -> HostResult<Vec<Archived>> {
        let plugin = PluginName::parse(plugin)?;
        self.run_as(|inner, by| async move { inner.purge_archived(&by, &plugin).await }).await
    }

    /// Every plugin that is or was installed, by name, with its versions and the tenants in which it is enabled.
    pub async fn plugin_states(&self) -> HostResult<Vec<PluginState>> {
        self.run(|inner| async move { inner.plugin_states().await }).await
    }

    /// Whether the version of each plugin that runs can do so, by name: its component is read, compared with its hash, and
    /// loaded as for a call; nothing of it is run. Takes a transaction for each tenant in which a plugin is enabled.
    pub async fn examine(&self) -> HostResult<Vec<PluginHealth>> {
        self.run(|inner| async move { inner.examine().await }).await
    }

    /// Takes a plugin out of use: it is disabled in every tenant, no version of it runs, and its tables are kept under
    /// other names. Nothing is lost: installing it brings them back, and its configuration and history stay. Refused as
    /// `rejected` while another plugin refers to its entities or may use them, with a list.
    ///
    /// On Postgres it takes the tables' owner, as an installation does. Whoever is stopped begins again and goes on.
    pub async fn archive(&self, plugin: &str) -> HostResult<ArchivedPlugin> {
        let plugin = PluginName::parse(plugin)?;
        self.run_as(|inner, by| async move { inner.archive_plugin(&by, &plugin).await }).await
    }

    /// Removes for good what an archived plugin has left: its tables with all records, and in every tenant its
    /// configuration, deliveries, number series and the history of its records; then its versions. What it did stays in
    /// the log, the usage and the events. There is no way back. Whoever is stopped begins again and goes on.
    ///
    /// On Postgres it takes the tables' owner, as an installation does.
    pub async fn purge(&self, plugin: &str) -> HostResult<PurgedPlugin> {
        let plugin = PluginName::parse(plugin)?;
        self.run_as(|inner, by| async move { inner.purge_plugin(&by, &plugin).await }).await
    }

    /// The installed plugins, by name.
    #[must_use]
    pub fn plugins(&self) -> Vec<PluginSummary> {
        let all = self.inner.catalog.all();
        let plugins = all.iter().filter(|own| !is_core(own.name()));
        plugins.map(|plugin| self.inner.summary(plugin)).collect()
    }

    /// Enables a plugin in a tenant: calls `init`, and `on-tenant-created` if it was never called there. Enabling an
    /// enabled plugin changes nothing.
    pub async fn enable(&self, tenant: &str, plugin: &str) -> HostResult<()> {
        let (tenant, plugin) = (TenantId::parse(tenant)?, PluginName::parse(plugin)?);
        self.run_as(|inner, by| async move { inner.enable(&by, &tenant, &plugin).await }).await
    }

    /// Stops a plugin's calls and new deliveries in a tenant, at once here and within a second in other processes; what has
    /// begun ends. Deliveries that it was assigned before wait until it is
    /// enabled again; events that are numbered meanwhile never reach it.
    pub async fn disable(&self, tenant: &str, plugin: &str) -> HostResult<()> {
        let (tenant, plugin) = (TenantId::parse(tenant)?, PluginName::parse(plugin)?);
        self.run_as(|inner, by| async move { inner.disable(&by, &tenant, &plugin).await }).await
    }

    /// Calls a plugin's `handle-event` at once, as this identity, past the outbox. Whether the identity may is for the
    /// caller to decide. The report tells how it ended; `Err` is for what kept it from being called at all.
    pub async fn call(
        &self,
        identity: Identity,
        plugin: &str,
        event_type: &str,
        payload: &serde_json::Value,
    ) -> HostResult<InvocationReport> {
        let plugin = PluginName::parse(plugin)?;
        let export = Export::HandleEvent {
            event_type: erp_plugin_model::EventType::parse(event_type)?.to_string(),
            payload: payload.to_string(),
        };
        self.run(|inner| async move { inner.call(identity, &plugin, export).await }).await
    }

    /// Publishes an event of the platform's own, as this identity. Whether it may is for the caller to decide.
    pub async fn publish(
        &self,
        identity: Identity,
        event_type: &str,
        payload: &serde_json::Value,
    ) -> HostResult<()> {
        let (event_type, payload) = (event_type.to_owned(), payload.to_string());
        self.run(|inner| async move { inner.publish(identity, &event_type, None, &payload).await }).await
    }

    /// As [`publish`](Self::publish), in order with other events of this key only; else those of the whole tenant are. A
    /// subscription that names a field of the payload takes that as the key in either case.
    pub async fn publish_in_order(
        &self,
        identity: Identity,
        event_type: &str,
        key: &str,
        payload: &serde_json::Value,
    ) -> HostResult<()> {
        let (event_type, key, payload) = (event_type.to_owned(), key.to_owned(), payload.to_string());
        self.run(|inner| async move { inner.publish(identity, &event_type, Some(&key), &payload).await })
            .await
    }

    /// Has a function of the platform's own handle events of every tenant whose type is, or matches, `event`, with the
    /// guarantees that plugins have: in order, tried again when it fails, a dead letter at last. What it does with the
    /// [`Invocation`], and that the event was handled, commit together or not at all; what it does elsewhere it may do
    /// again after a failure, and can tell by the event's id. A panic is a failure.
    ///
    /// The subscription lasts: what is published while no process has a handler waits for one, until
    /// [`unsubscribe`](Self::unsubscribe). All handlers of one process make up the subscriber `core`, which gets an event
    /// once, and calls those that match in the order in which they subscribed, in one transaction;
    /// [`subscribe_as`](Self::subscribe_as) is for one that is to fail alone, or to be in another process: a process is given a
    /// subscriber's events only while it has a handler for everything that this subscriber subscribes to.
    pub async fn subscribe<H>(&self, event: &str, handler: H) -> HostResult<()>
    where
        H: for<'i> Fn(&'i mut Invocation, &'i Received) -> HandlerFuture<'i> + Send + Sync + 'static,
    {
        self.subscribe_as(Publisher::PLATFORM, event, handler).await
    }

    /// As [`subscribe`](Self::subscribe), as a subscriber with a name of its own, which begins with `core-`.
    pub async fn subscribe_as<H>(&self, name: &str, event: &str, handler: H) -> HostResult<()>
    where
        H: for<'i> Fn(&'i mut Invocation, &'i Received) -> HandlerFuture<'i> + Send + Sync + 'static,
    {
        let (name, event, handler) = (name.to_owned(), event.to_owned(), Arc::new(handler));
        self.run_as(|inner, by| async move { inner.subscribe(&by, &name, &event, handler).await }).await
    }

    /// Takes a subscription of the platform's own back, and returns whether there was one. What was published before waits
    /// for a handler; once the subscriber has other handlers only, it ends as dead letters.
    pub async fn unsubscribe(&self, name: &str, event: &str) -> HostResult<bool> {
        let (name, event) = (name.to_owned(), event.to_owned());
        self.run_as(|inner, by| async move { inner.unsubscribe(&by, &name, &event).await }).await
    }

    /// Works off deliveries and runs of jobs until the handle is told to stop, or dropped: numbers what was published in any process on this
    /// database, and delivers it in order, stream by stream, many streams at a time. A handler that fails is tried again
    /// after the delays of its subscription; then its delivery is a dead letter. A fault of the platform (storage,
    /// authorizer) is logged, uses up nobody's attempts, and what it kept from being done is done later.
    ///
    /// Jobs are planned and run in each tenant in which their plugin is enabled, each occasion once, however many hosts there
    /// are on this database.
    #[must_use]
    pub fn start_worker(&self) -> WorkerHandle {
        WorkerHandle::start(self, self.inner.worker_options.clone())
    }

    /// Works off deliveries, but no jobs, until nothing is left that can be done now, retries without their delays: for tests, and for
    /// whoever runs no [worker](Self::start_worker). What other processes have in hand is waited for only if they give no
    /// sign of life. `Err` is for a fault of the platform (storage, authorizer): it uses up nobody's attempts, and the next
    /// drain goes on where this stopped.
    pub async fn drain(&self) -> HostResult<DrainReport> {
        self.run(|inner| async move { inner.drain().await }).await
    }

    /// Events of every tenant, and what became of them.
    #[must_use]
    pub fn events(&self) -> Events<'_> {
        Events::new(self)
    }

    /// Jobs of plugins, their runs, and what became of them.
    #[must_use]
    pub fn jobs(&self) -> Jobs<'_> {
        Jobs::new(self)
    }

    /// Sets a value of a plugin's configuration in a tenant, or takes it away.
    pub async fn set_config(
        &self,
        tenant: &str,
        plugin: &str,
        key: &str,
        value: Option<serde_json::Value>,
    ) -> HostResult<()> {
        let (tenant, plugin, key) = (TenantId::parse(tenant)?, PluginName::parse(plugin)?, key.to_owned());
        self.run_as(|inner, by| async move { inner.set_config(&by, &tenant, &plugin, &key, value).await })
            .await
    }

    /// Sets a value of the platform's own configuration (`system.*`), or takes it away.
    pub async fn set_system_config(&self, key: &str, value: Option<serde_json::Value>) -> HostResult<()> {
        let key = key.to_owned();
        self.run_as(|inner, by| async move { inner.set_system_config(&by, &key, value).await }).await
    }

    /// The roles of a tenant, by name. They give something to users in a host that was built with
    /// [`stored_roles`](PluginHostBuilder::stored_roles).
    pub async fn roles(&self, tenant: &str) -> HostResult<Vec<Role>> {
        let tenant = TenantId::parse(tenant)?;
        self.run(|inner| async move { inner.roles(&tenant).await }).await
    }

    /// Makes a role of a tenant, or gives the one of this name these permissions in place of its own:
    /// `inventory.item.update`, `inventory.*`, `*`. Whether somebody may is for the caller to decide: whoever may change
    /// roles may give themselves everything.
    pub async fn set_role(
        &self,
        tenant: &str,
        role: &str,
        permissions: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> HostResult<()> {
        let tenant = TenantId::parse(tenant)?;
        let permissions = permissions.into_iter().map(|text| PermissionPattern::parse(text.as_ref()));
        let role = Role::new(RoleName::parse(role)?, permissions.collect::<Result<_, _>>()?);
        self.run_as(|inner, by| async move { inner.set_role(&by, &tenant, &role).await }).await
    }

    /// Removes a role of a tenant and takes it from everybody who has it; returns whether it was there.
    pub async fn remove_role(&self, tenant: &str, role: &str) -> HostResult<bool> {
        let (tenant, role) = (TenantId::parse(tenant)?, RoleName::parse(role)?);
        self.run_as(|inner, by| async move { inner.remove_role(&by, &tenant, &role).await }).await
    }

    /// Gives a role of a tenant to a user, or a service, by the platform's id for it. `not-found` when there is no such
    /// role; having it already changes nothing.
    pub async fn assign_role(&self, tenant: &str, user: &str, role: &str) -> HostResult<()> {
        let (tenant, user, role) = (TenantId::parse(tenant)?, UserId::parse(user)?, RoleName::parse(role)?);
        self.run_as(|inner, by| async move { inner.assign_role(&by, &tenant, &user, &role).await }).await
    }

    /// Takes a role of a tenant from a user; returns whether they had it. A role that the platform itself gives, in
    /// [`Identity::roles`], is not the tenant's to take.
    pub async fn unassign_role(&self, tenant: &str, user: &str, role: &str) -> HostResult<bool> {
        let (tenant, user, role) = (TenantId::parse(tenant)?, UserId::parse(user)?, RoleName::parse(role)?);
        self.run_as(|inner, by| async move { inner.unassign_role(&by, &tenant, &user, &role).await }).await
    }

    /// Who has which role in a tenant, by user and then by role.
    pub async fn role_assignments(&self, tenant: &str) -> HostResult<Vec<RoleAssignment>> {
        let tenant = TenantId::parse(tenant)?;
        self.run(|inner| async move { inner.role_assignments(&tenant).await }).await
    }

    /// Records as this identity sees them: the platform's edge, where permissions are checked.
    #[must_use]
    pub fn records(&self, identity: Identity) -> Records<'_> {
        Records::new(self, identity)
    }

    /// Log lines of a tenant, the oldest of those wanted first.
    pub async fn log(&self, tenant: &str, query: LogQuery) -> HostResult<Vec<StoredLogLine>> {
        let tenant = TenantId::parse(tenant)?;
        self.run(|inner| async move { Ok(inner.look_at(&tenant).await?.log(&query).await?) }).await
    }

    /// What each plugin used in a tenant.
    pub async fn usage(&self, tenant: &str) -> HostResult<Vec<UsageTotal>> {
        let tenant = TenantId::parse(tenant)?;
        self.run(|inner| async move { Ok(inner.look_at(&tenant).await?.usage().await?) }).await
    }

    /// How many events a tenant's outbox holds.
    pub async fn event_count(&self, tenant: &str) -> HostResult<u64> {
        let tenant = TenantId::parse(tenant)?;
        self.run(|inner| async move { Ok(inner.look_at(&tenant).await?.event_count().await?) }).await
    }

    pub(crate) fn actor(&self) -> &UserId {
        &self.actor
    }

    pub(crate) fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.inner)
    }

    pub(crate) fn executor(&self) -> &Executor {
        &self.executor
    }

    /// Runs work that notes who does it.
    async fn run_as<T, F>(&self, work: impl FnOnce(Arc<Inner>, UserId) -> F) -> HostResult<T>
    where
        T: Send + 'static,
        F: Future<Output = HostResult<T>> + Send + 'static,
    {
        self.executor.run(Box::pin(work(Arc::clone(&self.inner), self.actor.clone()))).await
    }

    /// Runs work as a task of its own.
    pub(crate) async fn run<T, F>(&self, work: impl FnOnce(Arc<Inner>) -> F) -> HostResult<T>
    where
        T: Send + 'static,
        F: Future<Output = HostResult<T>> + Send + 'static,
    {
        self.executor.run(Box::pin(work(Arc::clone(&self.inner)))).await
    }
}

impl Inner {
    /// A change of the system's own tables, short enough for everybody else to wait for.
    pub(crate) async fn change_platform(&self) -> HostResult<Box<dyn PlatformTransaction>> {
        self.begin_platform(Mode::Write, self.limits.writer_hold()).await
    }

    /// An installation: it makes tables and keeps a component, and may take long.
    pub(crate) async fn begin_installation(&self) -> HostResult<Box<dyn PlatformTransaction>> {
        self.begin_platform(Mode::Migrate, PATIENCE).await
    }

    /// A look at the system's own tables.
    pub(crate) async fn look_at_platform(&self) -> HostResult<Box<dyn PlatformTransaction>> {
        self.begin_platform(Mode::Read, PATIENCE).await
    }

    async fn begin_platform(
        &self,
        mode: Mode,
        writer_hold: Duration,
    ) -> HostResult<Box<dyn PlatformTransaction>> {
        let options = TransactionOptions { mode, deadline: Instant::now() + PATIENCE, writer_hold };
        Ok(self.services.storage.begin_platform(PlatformScope::granted_by_host(), options).await?)
    }

    /// A transaction of the host's own in one tenant.
    pub(crate) async fn change(&self, tenant: &TenantId) -> HostResult<Box<dyn Transaction>> {
        self.own(tenant, Mode::Write).await
    }

    /// A look of the host's own at one tenant's data.
    pub(crate) async fn look(&self, tenant: &TenantId) -> HostResult<Box<dyn Transaction>> {
        self.own(tenant, Mode::Read).await
    }

    /// As [`look`](Self::look), for somebody who named the tenant.
    pub(crate) async fn look_at(&self, tenant: &TenantId) -> HostResult<Box<dyn Transaction>> {
        self.check_tenant(tenant).await?;
        self.look(tenant).await
    }

    async fn own(&self, tenant: &TenantId, mode: Mode) -> HostResult<Box<dyn Transaction>> {
        let scope = TenantScope::granted_by_host(tenant.clone());
        let writer_hold = self.limits.writer_hold();
        let options = TransactionOptions { mode, deadline: Instant::now() + PATIENCE, writer_hold };
        Ok(self.services.storage.begin(&scope, options).await?)
    }

    pub(crate) async fn system_config(&self) -> HostResult<Vec<(String, String)>> {
        let mut platform = self.look_at_platform().await?;
        let config = platform.system_config().await?;
        platform.rollback().await?;
        Ok(config)
    }

    pub(crate) fn summary(&self, plugin: &Installed) -> PluginSummary {
        let mut notes = Vec::new();
        match &plugin.manifest {
            None => notes.push(format!(
                "{} has no manifest: it receives every event of its tenants but its own, may publish any that do not \
                 begin with another plugin's name, owns dynamic entities only, and has the default limits",
                plugin.name()
            )),
            Some(manifest) => {
                for (kind, asked) in &manifest.limits {
                    let allowed = self.caps.get(*kind);
                    if *asked > allowed {
                        let (asked, allowed) = (kind.show(*asked), kind.show(allowed));
                        notes.push(format!("asks for {} {asked}, gets {allowed}", kind.row().name));
                    }
                }
                for job in &manifest.jobs {
                    for (kind, asked) in &job.limits {
                        let allowed = self.job_caps.get(*kind);
                        if *asked > allowed {
                            let (asked, allowed) = (kind.show(*asked), kind.show(allowed));
                            let (job, limit) = (&job.name, kind.row().name);
                            notes.push(format!("job {job} asks for {limit} {asked}, gets {allowed}"));
                        }
                    }
                }
            }
        }
        PluginSummary {
            name: plugin.name().clone(),
            version: plugin.record.version.clone(),
            manifest: plugin.manifest.clone(),
            notes,
            not_in: Vec::new(),
        }
    }
}
