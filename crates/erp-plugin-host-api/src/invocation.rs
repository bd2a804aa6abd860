//! One call of one export, or one request at the edge: one budget, one transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use erp_plugin_model::event::{Delivery, NewEvent};
use erp_plugin_model::job::JobRun;
use erp_plugin_model::time::to_micros;
use erp_plugin_model::usage::{InvocationRecord, LogLine, Usage};
use erp_plugin_model::{
    Clock, EventId, HostError, IdGenerator, Identity, IdentityKind, InvocationId, Limits, PermissionSet,
    PluginName, RecordId, TenantId, UserId,
};
use erp_plugin_storage::{Entity, Mode, Storage, TenantScope, Transaction, TransactionOptions, Verb};

use crate::budget::Budget;
use crate::caller::Caller;
use crate::error::{CallResult, Fatal};
use crate::history::Noted;
use crate::hooks::HookRunner;
use crate::writer_watch::WriterWatch;

/// How long an invocation that has ended waits for the database to take its record.
const RECORD_PATIENCE: Duration = Duration::from_secs(5);

/// What every invocation of a host works with.
#[derive(Clone)]
pub struct Services {
    /// Where data lives.
    pub storage: Arc<dyn Storage>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn IdGenerator>,
    /// Other plugins' say in writes.
    pub hooks: Arc<dyn HookRunner>,
}

/// What set an invocation off.
#[derive(Clone, Debug)]
pub enum Cause {
    /// A request, a lifecycle call: the start of a chain.
    Request,
    /// An event that is being handled; marked as done when the invocation commits.
    Delivery(Box<Delivery>),
    /// A run of a job, the start of a chain; marked as done when the invocation commits.
    Run(Box<JobRun>),
}

/// Who calls what, where.
pub struct InvocationContext {
    /// The tenant.
    pub scope: TenantScope,
    /// Who acts.
    pub identity: Arc<Identity>,
    /// What they may do.
    pub permissions: Arc<PermissionSet>,
    /// The plugin, or the edge.
    pub caller: Arc<Caller>,
    /// The export, as people say it: `init`, `handle-event order.created`.
    pub trigger: String,
    /// Whether it may write.
    pub mode: Mode,
    /// What set it off.
    pub cause: Cause,
    /// What it may use.
    pub limits: Limits,
    /// When it must have ended.
    pub deadline: Instant,
    /// Whether it is committed only where its plugin is enabled at this version.
    pub fenced: bool,
}

/// An invocation under way: what the guest's host calls act on.
pub struct Invocation {
    pub(crate) id: InvocationId,
    pub(crate) scope: TenantScope,
    pub(crate) identity: Arc<Identity>,
    pub(crate) permissions: Arc<PermissionSet>,
    pub(crate) caller: Arc<Caller>,
    pub(crate) services: Services,
    pub(crate) budget: Budget,
    pub(crate) events: Vec<NewEvent>,
    pub(crate) log: Vec<LogLine>,
    pub(crate) dynamic_made: Vec<Arc<Entity>>,
    pub(crate) writes: Vec<Write>,
    pub(crate) noted: Vec<Noted>,
    /// What `created_by` and `updated_by` say.
    pub(crate) writer: Arc<str>,
    pub(crate) now: DateTime<Utc>,
    pub(crate) current_user: Option<Vec<u8>>,
    trigger: String,
    mode: Mode,
    cause: Cause,
    started: Instant,
    deadline: Instant,
    fenced: bool,
    transaction: Option<Box<dyn Transaction>>,
    writer_watch: Arc<WriterWatch>,
}

/// A record that an invocation wrote.
#[derive(Clone, Debug)]
pub struct Write {
    /// What was done.
    pub verb: Verb,
    /// The record's entity.
    pub entity: Arc<Entity>,
    /// The record.
    pub id: RecordId,
}

/// How an invocation ended.
#[derive(Debug)]
pub struct Finished {
    /// Its id.
    pub id: InvocationId,
    /// `Err` when everything was rolled back: the guest's own error or the reason why it could not be committed.
    pub outcome: Result<(), Finish>,
    /// What it used.
    pub usage: Usage,
    /// What it logged.
    pub log: Vec<LogLine>,
    /// What it published; empty unless committed.
    pub events: Vec<NewEvent>,
    /// What it wrote, in order; undone unless committed.
    pub writes: Vec<Write>,
    /// Whether it came to know dynamic entities that nobody here knew before.
    pub new_entities: bool,
}

/// Why an invocation was rolled back.
#[derive(Debug)]
pub enum Finish {
    /// It was told to.
    Refused(HostError),
    /// The storage could not do it.
    Failed(Fatal),
}

impl Finish {
    /// The error as the caller sees it.
    #[must_use]
    pub fn to_host_error(&self) -> HostError {
        match self {
            Self::Refused(error) => error.clone(),
            Self::Failed(fatal) => fatal.to_host_error(),
        }
    }
}

impl Invocation {
    /// Begins: nothing is opened until the first storage call.
    #[must_use]
    pub fn begin(services: Services, context: InvocationContext) -> Self {
        let InvocationContext {
            scope,
            identity,
            permissions,
            caller,
            trigger,
            mode,
            cause,
            limits,
            deadline,
            fenced,
        } = context;
        let now = to_micros(services.clock.now());
        let writer = match identity.kind {
            IdentityKind::System => caller.label().into(),
            IdentityKind::User | IdentityKind::Service => identity.id.as_str().into(),
        };
        Self {
            id: InvocationId(services.ids.new_id(now)),
            budget: Budget::new(limits),
            scope,
            identity,
            permissions,
            caller,
            services,
            events: Vec::new(),
            log: Vec::new(),
            dynamic_made: Vec::new(),
            writes: Vec::new(),
            noted: Vec::new(),
            writer,
            now,
            current_user: None,
            trigger,
            mode,
            cause,
            started: Instant::now(),
            deadline,
            fenced,
            transaction: None,
            writer_watch: Arc::default(),
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> InvocationId {
        self.id
    }

    /// The tenant it happens in.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        self.scope.tenant()
    }

    /// Who acts.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The plugin that is called; `None` at the edge.
    #[must_use]
    pub fn plugin(&self) -> Option<&PluginName> {
        self.caller.plugin()
    }

    /// What it has used.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What it has used; the runtime takes the fuel that host work has cost.
    pub fn budget_mut(&mut self) -> &mut Budget {
        &mut self.budget
    }

    /// When it must have ended.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// When it must have ended because others wait for the writer it holds.
    #[must_use]
    pub fn writer_watch(&self) -> &Arc<WriterWatch> {
        &self.writer_watch
    }

    /// Every host call begins here: it is counted, and so are the bytes it brings.
    pub fn enter(&mut self, bytes: usize) -> CallResult<()> {
        self.budget.enter(bytes)
    }

    /// The transaction, opened now if it was not.
    pub async fn transaction(&mut self) -> CallResult<&mut dyn Transaction> {
        if self.transaction.is_none() {
            let options = TransactionOptions {
                mode: self.mode,
                deadline: self.deadline,
                writer_hold: self.budget.limits().writer_hold(),
            };
            let transaction = self.services.storage.begin(&self.scope, options).await?;
            self.writer_watch.note(transaction.must_end_by());
            self.transaction = Some(transaction);
        }
        match self.transaction.as_deref_mut() {
            Some(transaction) => Ok(transaction),
            None => Err(Fatal::TransactionGone.into()),
        }
    }

    pub(crate) async fn take_transaction(&mut self) -> CallResult<Box<dyn Transaction>> {
        self.transaction().await?;
        self.transaction.take().ok_or_else(|| Fatal::TransactionGone.into())
    }

    pub(crate) fn put_transaction(&mut self, transaction: Box<dyn Transaction>) {
        self.transaction = Some(transaction);
    }

    pub(crate) fn caused_by(&self) -> Option<UserId> {
        match (&self.cause, self.identity.kind) {
            (Cause::Delivery(delivery), _) => delivery.caused_by.clone(),
            (Cause::Request | Cause::Run(_), IdentityKind::System) => self.identity.caused_by.clone(),
            (Cause::Request | Cause::Run(_), IdentityKind::User | IdentityKind::Service) => {
                Some(self.identity.id.clone())
            }
        }
    }

    /// The event in whose handling others are published.
    pub(crate) fn parent_event(&self) -> Option<EventId> {
        match &self.cause {
            Cause::Request | Cause::Run(_) => None,
            Cause::Delivery(delivery) => Some(delivery.event),
        }
    }

    /// How far an event published here is from the start of its chain.
    pub(crate) fn event_depth(&self) -> u32 {
        match &self.cause {
            Cause::Request | Cause::Run(_) => 0,
            Cause::Delivery(delivery) => delivery.depth + 1,
        }
    }

    pub(crate) fn is_read_only(&self) -> bool {
        !self.mode.writes()
    }

    /// Ends it. On `Ok` records, events and the mark of the delivery or the run are committed together; on `Err` everything is rolled
    /// back but the log and what was used. `measured` brings fuel and memory, which the runtime knows.
    pub async fn finish(mut self, result: Result<(), HostError>, measured: Usage) -> Finished {
        let dropped = self.budget.log_lines_dropped();
        if dropped > 0 {
            self.log_dropped(dropped);
        }
        let micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let usage =
            Usage { fuel: measured.fuel, peak_memory: measured.peak_memory, micros, ..self.budget.used() };
        let prepared = match result {
            Ok(()) => self.prepare().await.map_err(Finish::Failed),
            Err(error) => Err(Finish::Refused(error)),
        };
        let mut record = self.plugin().cloned().map(|plugin| InvocationRecord {
            id: self.id,
            plugin,
            plugin_version: self.caller.version.clone(),
            trigger: std::mem::take(&mut self.trigger),
            caused_by: self.caused_by(),
            started_at: self.now,
            error: prepared.as_ref().err().map(|reason| reason.to_host_error().code),
            usage,
            log: std::mem::take(&mut self.log),
        });
        let outcome = match prepared {
            Ok(()) => match self.commit(record.as_ref()).await {
                Ok(()) => Ok(()),
                Err(fatal) => {
                    // The record went with the transaction, and is to be kept like that of any other failure.
                    if let Some(record) = &mut record {
                        record.error = Some(fatal.to_host_error().code);
                    }
                    self.keep_record(record.as_ref()).await;
                    Err(Finish::Failed(fatal))
                }
            },
            Err(reason) => {
                self.rollback(record.as_ref()).await;
                Err(reason)
            }
        };
        let events = if outcome.is_ok() { std::mem::take(&mut self.events) } else { Vec::new() };
        let mut new_entities = false;
        if outcome.is_ok()
            && let Some(directory) = &self.caller.dynamic
        {
            new_entities = !self.dynamic_made.is_empty();
            directory.learn(std::mem::take(&mut self.dynamic_made));
        }
        let log = record.map_or(self.log, |record| record.log);
        Finished { id: self.id, outcome, usage, log, events, writes: self.writes, new_entities }
    }

    /// Writes what was held back until the end: the history of what was written, events, then the mark that the delivery
    /// or the run is done, which must be last.
    async fn prepare(&mut self) -> Result<(), Fatal> {
        let fatal = |error: crate::CallError| match error {
            crate::CallError::Fatal(fatal) => fatal,
            // Opening a transaction has no answerable error.
            crate::CallError::Answer(_) => Fatal::TransactionGone,
        };
        if !self.noted.is_empty() {
            self.note_changes().await.map_err(fatal)?;
        }
        if !self.events.is_empty() {
            let events = std::mem::take(&mut self.events);
            self.transaction().await.map_err(fatal)?.publish(&events).await.map_err(Fatal::Storage)?;
            self.events = events;
        }
        if matches!(self.cause, Cause::Delivery(_) | Cause::Run(_)) {
            self.transaction().await.map_err(fatal)?;
        }
        if self.fenced
            && let (Some(plugin), Some(transaction)) = (self.caller.plugin(), &mut self.transaction)
        {
            transaction.require_version(plugin, &self.caller.version).await.map_err(Fatal::Storage)?;
        }
        match (&self.cause, &mut self.transaction) {
            (Cause::Delivery(delivery), Some(transaction)) => {
                let ours = transaction.mark_done(delivery).await.map_err(Fatal::Storage)?;
                if ours { Ok(()) } else { Err(Fatal::ClaimLost) }
            }
            (Cause::Run(run), Some(transaction)) => {
                let at = to_micros(self.services.clock.now());
                let ours = transaction.mark_run_done(run, at).await.map_err(Fatal::Storage)?;
                if ours { Ok(()) } else { Err(Fatal::ClaimLost) }
            }
            _ => Ok(()),
        }
    }

    async fn commit(&mut self, record: Option<&InvocationRecord>) -> Result<(), Fatal> {
        match self.transaction.take() {
            Some(transaction) => transaction.commit(record).await.map_err(Fatal::Storage),
            // Nothing was read or written: what it used and logged is worth keeping, and never worth failing for.
            None => {
                self.keep_record(record).await;
                Ok(())
            }
        }
    }

    async fn rollback(&mut self, record: Option<&InvocationRecord>) {
        match self.transaction.take() {
            // The record is lost with a storage that has failed; there is nowhere else to keep it.
            Some(transaction) => drop(transaction.rollback(record).await),
            None => self.keep_record(record).await,
        }
    }

    async fn keep_record(&mut self, record: Option<&InvocationRecord>) {
        let Some(record) = record else { return };
        let options = TransactionOptions {
            mode: Mode::Write,
            deadline: Instant::now() + RECORD_PATIENCE,
            writer_hold: RECORD_PATIENCE,
        };
        if let Ok(transaction) = self.services.storage.begin(&self.scope, options).await {
            drop(transaction.rollback(Some(record)).await);
        }
    }
}
