//! A plugin under test.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};
use erp_plugin_host_api::{CallError, Cause, Finish, Finished, Invocation, InvocationContext, Services};
use erp_plugin_model::job::Job;
use erp_plugin_model::usage::{LogLevel, LogLine, Usage};
use erp_plugin_model::{
    ErrorCode, EventType, HostError, Identity, JobName, Limits, PermissionSet, TenantId, UserId,
};
use erp_plugin_runtime::{Called, Export, LoadedPlugin};
use erp_plugin_storage::{Mode, TenantScope};
use serde_json::Value as Json;

use crate::environment::StandingClock;
use crate::error::CallFailure;
use crate::rights::Rights;
use crate::state::{DbOp, PublishedEvent, TestState};

/// How an export's call ended: the plugin's answer, which may be an error of its own, or why there is none.
pub type CallOutcome = Result<Result<(), String>, CallFailure>;

/// How long `init` and `on-tenant-created` may take.
const LIFECYCLE_DEADLINE: Duration = Duration::from_secs(30);

/// A plugin on a database of its own, in one tenant. Each call is an invocation as on a server: a fresh sandbox, one
/// transaction, rolled back unless the plugin answers ok.
pub struct TestPlugin {
    loaded: LoadedPlugin,
    services: Services,
    clock: Arc<StandingClock>,
    rights: Rights,
    limits: Limits,
    jobs: Vec<Job>,
    system: UserId,
    identity: Arc<Identity>,
    permissions: Arc<PermissionSet>,
    state: TestState,
    /// What its database needs, given up after everything that uses it.
    _database: Option<Box<dyn Any + Send + Sync>>,
}

impl TestPlugin {
    #[expect(clippy::expect_used, reason = "the ids are constants")]
    pub(crate) fn new(
        loaded: LoadedPlugin,
        services: Services,
        clock: Arc<StandingClock>,
        rights: Rights,
        limits: Limits,
        jobs: Vec<Job>,
        database: Option<Box<dyn Any + Send + Sync>>,
    ) -> Self {
        let tenant = TenantId::parse("tenant").expect("the constant is an id");
        let system = UserId::parse("system").expect("the constant is an id");
        Self {
            loaded,
            services,
            clock,
            rights,
            limits,
            jobs,
            identity: Arc::new(Identity::system(tenant, system.clone(), None)),
            system,
            permissions: Arc::new(PermissionSet::all()),
            state: TestState::default(),
            _database: database,
        }
    }

    /// Calls `init`, as when the plugin is enabled.
    pub async fn call_init(&mut self) -> CallOutcome {
        self.call(Export::Init).await
    }

    /// Calls `on-tenant-created`. This call and those after it happen in that tenant.
    pub async fn call_on_tenant_created(&mut self, tenant_id: &str) -> CallOutcome {
        let tenant = TenantId::parse(tenant_id)?;
        Arc::make_mut(&mut self.identity).tenant = tenant;
        self.call(Export::OnTenantCreated { tenant_id: tenant_id.to_owned() }).await
    }

    /// Calls `handle-event` with an event's type and its payload, which is JSON.
    pub async fn call_handle_event(&mut self, event_type: &str, payload: &[u8]) -> CallOutcome {
        let event_type = EventType::parse(event_type)?.to_string();
        let payload = serde_json::from_slice::<&serde_json::value::RawValue>(payload)?.to_string();
        self.call(Export::HandleEvent { event_type, payload }).await
    }

    /// Runs a job that the manifest declares, as a host does for this moment, at the first attempt: with the job's own
    /// limits, as the system. The clock stays where it is.
    pub async fn run_job(&mut self, job: &str, scheduled_for: DateTime<Utc>) -> CallOutcome {
        let name = JobName::parse(job)?;
        let Some(job) = self.jobs.iter().find(|own| own.name == name) else {
            return Err(CallFailure::NoJob(name));
        };
        let mut limits = self.limits.for_jobs();
        for (kind, value) in &job.limits {
            limits.set(*kind, *value);
        }
        let scheduled_for = scheduled_for.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let payload = serde_json::json!({ "scheduled_for": scheduled_for, "attempt": 1 }).to_string();
        let export = Export::HandleEvent { event_type: format!("job.{name}"), payload };
        let system = Identity::system(self.identity.tenant.clone(), self.system.clone(), None);
        let acting = std::mem::replace(&mut self.identity, Arc::new(system));
        let permissions = std::mem::replace(&mut self.permissions, Arc::new(PermissionSet::all()));
        let ordinary = std::mem::replace(&mut self.limits, limits);
        let outcome = self.call(export).await;
        (self.identity, self.permissions, self.limits) = (acting, permissions, ordinary);
        outcome
    }

    /// Records that the plugin wrote, in order.
    #[must_use]
    pub fn db_ops(&self) -> &[DbOp] {
        &self.state.db_ops
    }

    /// Events that the plugin published, in order.
    #[must_use]
    pub fn events(&self) -> &[PublishedEvent] {
        &self.state.events
    }

    /// Log lines, in order; those of failed calls as well.
    #[must_use]
    pub fn logs(&self) -> &[LogLine] {
        &self.state.logs
    }

    /// All of the above, and what the last call used.
    #[must_use]
    pub fn data(&self) -> &TestState {
        &self.state
    }

    /// Lets a user act from now on, who has these permissions (`inventory.item.update`, `inventory.*`). Until then
    /// it is the system, which has all.
    pub fn act_as(&mut self, user: UserId, permissions: &[&str]) {
        self.identity = Arc::new(Identity::user(self.identity.tenant.clone(), user));
        self.permissions = Arc::new(permissions.iter().collect());
    }

    /// Sets a configuration value, the plugin's own or a `system.*` one.
    pub fn set_config(&mut self, key: &str, value: &Json) {
        self.rights.set_config(key, value);
    }

    /// Sets the clock, which stands at 2026-01-01T00:00:00Z at first.
    pub fn set_time(&mut self, now: DateTime<Utc>) {
        self.clock.set(now);
    }

    /// Inserts a record that a test needs, as if the plugin did; returns all of it. It is not among
    /// [`db_ops`](Self::db_ops).
    pub async fn insert(&mut self, entity: &str, data: &Json) -> Result<Json, HostError> {
        let mut invocation = self.invocation("insert", Mode::Write, self.limits.deadline());
        let answer = invocation.insert(entity, data.to_string().as_bytes()).await.map_err(to_host_error);
        self.end(invocation, answer).await
    }

    /// The records of an entity, oldest first, up to a thousand.
    pub async fn records(&mut self, entity: &str) -> Result<Vec<Json>, HostError> {
        let mut invocation = self.invocation("records", Mode::Read, self.limits.deadline());
        let page = br#"{"limit":1000}"#;
        let answer = invocation.query(entity, b"{}", page).await.map_err(to_host_error);
        let mut page = self.end(invocation, answer).await?;
        Ok(page.get_mut("items").and_then(Json::as_array_mut).map(std::mem::take).unwrap_or_default())
    }

    async fn call(&mut self, export: Export) -> CallOutcome {
        let deadline = match export {
            Export::Init | Export::OnTenantCreated { .. } => self.limits.deadline().max(LIFECYCLE_DEADLINE),
            Export::HandleEvent { .. } => self.limits.deadline(),
        };
        let invocation = self.invocation(&export.label(), Mode::Write, deadline);
        let Called { mut invocation, result, measured } = self.loaded.call(invocation, &export).await;
        let verdict = match &result {
            Ok(Ok(())) => Ok(()),
            Ok(Err(text)) => Err(HostError::new(ErrorCode::Rejected, text)),
            Err(failure) => {
                invocation.log_by_host(LogLevel::Error, &failure.detail);
                Err(failure.error.clone())
            }
        };
        let finished = invocation.finish(verdict, measured).await;
        self.keep(&finished);
        match (result, finished.outcome) {
            (Err(failure), _) => Err(failure.into()),
            (Ok(_), Err(reason @ Finish::Failed(_))) => Err(CallFailure::Commit(reason.to_host_error())),
            (Ok(answer), Ok(()) | Err(Finish::Refused(_))) => Ok(answer),
        }
    }

    fn invocation(&self, trigger: &str, mode: Mode, deadline: Duration) -> Invocation {
        let context = InvocationContext {
            scope: TenantScope::granted_by_host(self.identity.tenant.clone()),
            identity: Arc::clone(&self.identity),
            permissions: Arc::clone(&self.permissions),
            caller: Arc::new(self.rights.caller()),
            trigger: trigger.to_owned(),
            mode,
            cause: Cause::Request,
            limits: self.limits.clone(),
            deadline: Instant::now() + deadline,
            fenced: false,
        };
        Invocation::begin(self.services.clone(), context)
    }

    async fn end(
        &self,
        invocation: Invocation,
        answer: Result<Vec<u8>, HostError>,
    ) -> Result<Json, HostError> {
        let verdict = answer.as_ref().map(|_| ()).map_err(HostError::clone);
        let finished = invocation.finish(verdict, Usage::default()).await;
        finished.outcome.map_err(|reason| reason.to_host_error())?;
        serde_json::from_slice(&answer?)
            .map_err(|error| HostError::new(ErrorCode::Internal, error.to_string()))
    }

    fn keep(&mut self, finished: &Finished) {
        self.state.logs.extend_from_slice(&finished.log);
        self.state.last_usage = finished.usage;
        if finished.outcome.is_err() {
            return;
        }
        self.state.db_ops.extend(finished.writes.iter().map(|write| DbOp {
            verb: write.verb,
            entity: write.entity.schema().name.entity.to_string(),
            id: write.id,
        }));
        self.state.events.extend(finished.events.iter().map(|event| PublishedEvent {
            event_type: event.event_type.to_string(),
            // It was checked when it was published.
            payload: serde_json::from_str(&event.payload).unwrap_or_default(),
        }));
    }
}

fn to_host_error(error: CallError) -> HostError {
    match error {
        CallError::Answer(error) => error,
        CallError::Fatal(fatal) => fatal.to_host_error(),
    }
}
