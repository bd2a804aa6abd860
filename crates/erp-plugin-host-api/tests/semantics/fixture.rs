//! A plugin with its entities, invocations of it, and what they are answered.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use erp_plugin_host_api::{
    CallError, CallResult, Caller, Cause, EntityGrant, Finished, HookRunner, Invocation, InvocationContext,
    NoHooks, PublishRight, References, Right, Services,
};
use erp_plugin_model::event::{EventPattern, Publisher};
use erp_plugin_model::usage::Usage;
use erp_plugin_model::{
    Clock, ErrorCode, HostError, IdGenerator, Identity, IdentityKind, Limits, Manifest, PermissionSet,
    TenantId, UserId,
};
use erp_plugin_storage::{
    Entity, Mode, PlatformScope, Storage, TenantScope, Transaction, TransactionOptions,
};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::storage::Witness;

pub(crate) const ALPHA: &str = "alpha";
pub(crate) const BETA: &str = "beta";

/// An id of the right form that no record has.
pub(crate) const NOBODY: &str = "0198c0de-0000-7000-8000-000000000001";

/// Fields in the order in which a manifest's keys arrive: by name.
const INVENTORY: &str = r#"
    [entities.category.fields.name]
    type = "string"

    [entities.item.fields.category]
    type = "reference"
    entity = "category"
    [entities.item.fields.name]
    type = "string"
    required = true
    [entities.item.fields.price]
    type = "decimal"
    precision = 12
    scale = 2
    [entities.item.fields.quantity]
    type = "integer"
    default = 0
    [entities.item.fields.sku]
    type = "string"
    required = true
    unique = true
"#;

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

pub(crate) fn scope(name: &str) -> TenantScope {
    TenantScope::granted_by_host(tenant(name))
}

/// Far enough away that only a hang reaches it.
pub(crate) fn ample() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// The id that the generator gives at the so manieth time. Each invocation takes one for itself.
pub(crate) fn counted(number: u64) -> Uuid {
    Uuid::from_u128(0x019b_7d00_0000_7000_8000_0000_0000_0000 | u128::from(number))
}

/// Anna, of a tenant.
pub(crate) fn anna(name: &str) -> Identity {
    Identity::user(tenant(name), user("anna"))
}

pub(crate) fn system(name: &str, caused_by: Option<&str>) -> Identity {
    Identity::system(tenant(name), user("system"), caused_by.map(user))
}

pub(crate) fn service(name: &str) -> Identity {
    Identity { kind: IdentityKind::Service, ..Identity::user(tenant(name), user("billing")) }
}

/// Stands still at 2026-01-01 09:00 until it is moved.
#[derive(Default)]
pub(crate) struct FixedClock(AtomicI64);

impl FixedClock {
    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> DateTime<Utc> {
        let start: DateTime<Utc> = "2026-01-01T09:00:00Z".parse().unwrap();
        start + Duration::from_secs(self.0.load(Ordering::SeqCst).unsigned_abs())
    }
}

#[derive(Default)]
struct CountedIds(AtomicU64);

impl IdGenerator for CountedIds {
    fn new_id(&self, _now: DateTime<Utc>) -> Uuid {
        counted(self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }
}

/// The plugin `inventory` on a database of its own.
pub(crate) struct Fixture {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) witness: Arc<Witness>,
    pub(crate) clock: Arc<FixedClock>,
    ids: Arc<CountedIds>,
    hooks: Arc<dyn HookRunner>,
    entities: HashMap<String, EntityGrant>,
}

impl Fixture {
    /// With categories and items.
    pub(crate) async fn new() -> Self {
        Self::declaring(INVENTORY).await
    }

    /// With one entity `thing` of these fields, each `name: options` as in `plugin.toml`.
    pub(crate) async fn with_fields<const N: usize>(fields: [(&str, &str); N]) -> Self {
        let tables = fields.map(|(name, options)| format!("[entities.thing.fields.{name}]\n{options}\n"));
        Self::declaring(&tables.concat()).await
    }

    /// With the entities that this part of a manifest declares.
    pub(crate) async fn declaring(entities: &str) -> Self {
        let head = "manifest = 1\n[plugin]\nname = \"inventory\"\nversion = \"1.2.0\"\ncontract = \"0\"\n";
        let manifest = Manifest::from_toml(&format!("{head}{entities}")).unwrap();
        let (storage, witness) = Witness::in_memory();
        let options = TransactionOptions {
            mode: Mode::Migrate,
            deadline: ample(),
            writer_hold: Duration::from_secs(60),
        };
        let mut platform = storage.begin_platform(PlatformScope::granted_by_host(), options).await.unwrap();
        let mut names = HashMap::new();
        for schema in manifest.entities {
            assert!(platform.create_entity(&schema).await.unwrap());
            let (bare, full) = (schema.name.entity.to_string(), schema.name.to_string());
            let grant =
                EntityGrant { entity: Arc::new(Entity::new(schema)), read: Right::Own, write: Right::Own };
            names.insert(bare, grant.clone());
            names.insert(full, grant);
        }
        platform.commit().await.unwrap();
        Self {
            storage,
            witness,
            clock: Arc::default(),
            ids: Arc::default(),
            hooks: Arc::new(NoHooks),
            entities: names,
        }
    }

    pub(crate) fn hooked(self, hooks: impl HookRunner + 'static) -> Self {
        Self { hooks: Arc::new(hooks), ..self }
    }

    /// The same database, with others' say in writes.
    pub(crate) fn again(&self, hooks: impl HookRunner + 'static) -> Self {
        Self {
            storage: Arc::clone(&self.storage),
            witness: Arc::clone(&self.witness),
            clock: Arc::clone(&self.clock),
            ids: Arc::clone(&self.ids),
            hooks: Arc::new(hooks),
            entities: self.entities.clone(),
        }
    }

    /// The plugin itself: all rights on its own entities, none beyond.
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            publisher: Publisher::Plugin("inventory".parse().unwrap()),
            version: "1.2.0".to_owned(),
            entities: self.entities.clone(),
            dynamic: None,
            publish: PublishRight::Granted(vec![EventPattern::parse("inventory.*").unwrap()]),
            config: HashMap::new(),
            references: self.references(),
        }
    }

    /// What refers to what, among all entities.
    pub(crate) fn references(&self) -> Arc<References> {
        Arc::new(References::new(self.entities.values().map(|grant| &grant.entity)))
    }

    /// Another plugin with these rights on `inventory.item`.
    pub(crate) fn stranger(&self, read: Right, write: Right) -> Caller {
        let entity = Arc::clone(&self.entities["item"].entity);
        Caller {
            publisher: Publisher::Plugin("sales".parse().unwrap()),
            version: "0.1.0".to_owned(),
            entities: HashMap::from([("inventory.item".to_owned(), EntityGrant { entity, read, write })]),
            dynamic: None,
            publish: PublishRight::Granted(Vec::new()),
            config: HashMap::new(),
            references: self.references(),
        }
    }

    /// Anna of alpha calls the plugin.
    pub(crate) fn context(&self) -> InvocationContext {
        InvocationContext {
            scope: scope(ALPHA),
            identity: Arc::new(anna(ALPHA)),
            permissions: Arc::new(PermissionSet::none()),
            caller: Arc::new(self.caller()),
            trigger: "handle-event order.created".to_owned(),
            mode: Mode::Write,
            cause: Cause::Request,
            limits: Limits::default(),
            deadline: ample(),
            fenced: false,
        }
    }

    pub(crate) fn begin(&self, context: InvocationContext) -> Call {
        let services = Services {
            storage: self.storage.clone(),
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            hooks: Arc::clone(&self.hooks),
        };
        Call(Invocation::begin(services, context))
    }

    pub(crate) fn call(&self) -> Call {
        self.begin(self.context())
    }

    pub(crate) fn call_in(&self, name: &str) -> Call {
        let identity = Arc::new(anna(name));
        self.begin(InvocationContext { scope: scope(name), identity, ..self.context() })
    }

    pub(crate) fn limited(&self, limits: Limits) -> Call {
        self.begin(InvocationContext { limits, ..self.context() })
    }

    /// Inserts records in an invocation of their own; returns their ids.
    pub(crate) async fn given(&self, entity: &str, rows: &[&str]) -> Vec<String> {
        let mut call = self.call();
        let mut ids = Vec::new();
        for row in rows {
            ids.push(id_of(&call.insert(entity, row).await.unwrap()));
        }
        call.commit().await;
        ids
    }

    /// What an invocation of its own finds, without the text around the items.
    pub(crate) async fn found(&self, entity: &str, filter: &str) -> Vec<Json> {
        items(&self.call().query(entity, filter, "").await.unwrap())
    }

    pub(crate) async fn transaction(&self, name: &str) -> Box<dyn Transaction> {
        let options =
            TransactionOptions { mode: Mode::Write, deadline: ample(), writer_hold: Duration::from_secs(60) };
        self.storage.begin(&scope(name), options).await.unwrap()
    }

    /// How many events the outbox of alpha holds.
    pub(crate) async fn event_count(&self) -> u64 {
        self.transaction(ALPHA).await.event_count().await.unwrap()
    }
}

/// A host call's answer as the guest gets it. What ends the invocation begins with `fatal: `.
pub(crate) type Answer<T = String> = Result<T, String>;

/// An invocation under way, called as contract v0 calls it.
pub(crate) struct Call(Invocation);

impl Call {
    pub(crate) async fn insert(&mut self, entity: &str, data: &str) -> Answer {
        text(self.0.insert(entity, data.as_bytes()).await)
    }

    pub(crate) async fn query(&mut self, entity: &str, filter: &str, page: &str) -> Answer {
        text(self.0.query(entity, filter.as_bytes(), page.as_bytes()).await)
    }

    pub(crate) async fn update(&mut self, entity: &str, id: &str, data: &str, version: i64) -> Answer {
        text(self.0.update(entity, id, data.as_bytes(), version).await)
    }

    pub(crate) async fn delete(&mut self, entity: &str, id: &str) -> Answer<()> {
        answer(self.0.delete(entity, id).await)
    }

    pub(crate) async fn insert_many(&mut self, entity: &str, data: &str) -> Answer {
        text(self.0.insert_many(entity, data.as_bytes()).await)
    }

    pub(crate) async fn update_many(&mut self, entity: &str, updates: &str) -> Answer {
        text(self.0.update_many(entity, updates.as_bytes()).await)
    }

    pub(crate) async fn get(&mut self, entity: &str, id: &str) -> Answer {
        text(self.0.get(entity, id).await)
    }

    pub(crate) async fn count(&mut self, entity: &str, filter: &str) -> Answer<u64> {
        answer(self.0.count(entity, filter.as_bytes()).await)
    }

    pub(crate) async fn aggregate(&mut self, entity: &str, filter: &str, spec: &str) -> Answer {
        text(self.0.aggregate(entity, filter.as_bytes(), spec.as_bytes()).await)
    }

    pub(crate) async fn restore(&mut self, entity: &str, id: &str) -> Answer {
        text(self.0.restore(entity, id).await)
    }

    pub(crate) async fn purge(&mut self, entity: &str, before: DateTime<Utc>) -> Answer<u64> {
        answer(self.0.purge(entity, before).await)
    }

    pub(crate) async fn history(&mut self, entity: &str, id: Option<&str>, page: &str) -> Answer {
        text(self.0.history(entity, id, page.as_bytes()).await)
    }

    pub(crate) async fn prune_history(&mut self, entity: &str) -> Answer<u64> {
        answer(self.0.prune_history(entity).await)
    }

    pub(crate) async fn publish(&mut self, event_type: &str, payload: &str) -> Answer<()> {
        answer(self.0.publish(event_type, payload.as_bytes()).await)
    }

    pub(crate) fn config_get(&mut self, key: &str) -> Answer {
        text(self.0.config_get(key))
    }

    pub(crate) fn log(&mut self, level: &str, message: &str) -> Answer<()> {
        answer(self.0.log(level, message))
    }

    pub(crate) fn current_user(&mut self) -> Answer {
        text(self.0.current_user())
    }

    pub(crate) fn check_permission(&mut self, permission: &str) -> Answer<bool> {
        answer(self.0.check_permission(permission))
    }

    /// Ends well, which must succeed.
    pub(crate) async fn commit(self) -> Finished {
        let finished = self.0.finish(Ok(()), Usage::default()).await;
        assert!(finished.outcome.is_ok(), "{:?}", finished.outcome);
        finished
    }

    /// Ends well, with what the runtime has measured.
    pub(crate) async fn finish_measured(self, measured: Usage) -> Finished {
        self.0.finish(Ok(()), measured).await
    }

    pub(crate) async fn finish(self, result: Result<(), HostError>) -> Finished {
        self.0.finish(result, Usage::default()).await
    }

    /// Ends as a guest's own error does.
    pub(crate) async fn refuse(self) -> Finished {
        let finished = self.finish(Err(HostError::new(ErrorCode::Rejected, "not today"))).await;
        assert_eq!(error_of(&finished), "rejected: not today");
        finished
    }
}

impl Deref for Call {
    type Target = Invocation;

    fn deref(&self) -> &Invocation {
        &self.0
    }
}

impl DerefMut for Call {
    fn deref_mut(&mut self) -> &mut Invocation {
        &mut self.0
    }
}

pub(crate) fn answer<T>(result: CallResult<T>) -> Answer<T> {
    result.map_err(|error| match error {
        CallError::Answer(error) => error.to_string(),
        CallError::Fatal(fatal) => {
            assert_eq!(fatal.to_string(), fatal.to_host_error().to_string());
            format!("fatal: {fatal}")
        }
    })
}

pub(crate) fn text(result: CallResult<Vec<u8>>) -> Answer {
    answer(result.map(|bytes| String::from_utf8(bytes).unwrap()))
}

/// Why an invocation was rolled back.
pub(crate) fn error_of(finished: &Finished) -> String {
    finished.outcome.as_ref().unwrap_err().to_host_error().to_string()
}

pub(crate) fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

pub(crate) fn id_of(record: &str) -> String {
    json(record)["id"].as_str().unwrap().to_owned()
}

pub(crate) fn items(page: &str) -> Vec<Json> {
    json(page)["items"].as_array().unwrap().clone()
}

/// One field of each record of a page.
pub(crate) fn column(page: &str, field: &str) -> Vec<Json> {
    items(page).iter().map(|item| item[field].clone()).collect()
}
