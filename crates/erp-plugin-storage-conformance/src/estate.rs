//! A database with something of everything: what a copy must bring over.

use std::sync::Arc;

use chrono::DateTime;
use erp_plugin_model::event::{EventPattern, NewEvent, Publisher};
use erp_plugin_model::manifest::{Capabilities, Manifest};
use erp_plugin_model::usage::{InvocationRecord, LogLevel, LogLine};
use erp_plugin_model::{
    EntityRef, EntitySchema, ErrorCode, EventId, InvocationId, JobName, RecordId, RunId, UserId, Value,
    Version,
};
use erp_plugin_storage::transfer::Transfer;
use erp_plugin_storage::{
    ActivationState, AuditEntry, Change, CreateDynamic, DeleteOutcome, Entity, InsertOutcome, NewChange,
    NewJob, NewRecord, OneOff, Origin, PlannedJob, PlannedRun, PluginVersion, RunFailure, RunRequest,
    Storage, Subscription, Transaction, Verb,
};

use crate::cases::series::take;
use crate::fixture::{
    ALPHA, BETA, done, event, fail, installation, invocation, json, new_id, new_uuid, pattern, platform,
    plugin, publish, role, stamp, subscribe, tenant, text, time, update, user, work, worker, write,
};

/// Two entities, of which one has a field of every type, and one refers to the other.
const MANIFEST: &str = r#"
manifest = 1
[plugin]
name = "suite"
version = "1.0.0"
title.en = "Suite"
contract = "0"
[capabilities]
dynamic-entities = true
[[subscriptions]]
event = "order.*"
[entities.code.fields.code]
type = "string"
required = true
unique = true
search = true
[entities.code.fields.order]
type = "integer"
indexed = true
[entities.sample.fields.string]
type = "string"
[entities.sample.fields.text]
type = "text"
[entities.sample.fields.integer]
type = "integer"
[entities.sample.fields.decimal]
type = "decimal"
precision = 18
scale = 2
[entities.sample.fields.boolean]
type = "boolean"
[entities.sample.fields.date]
type = "date"
[entities.sample.fields.datetime]
type = "datetime"
[entities.sample.fields.uuid]
type = "uuid"
[entities.sample.fields.enum]
type = "enum"
options = ["open", "closed"]
[entities.sample.fields.reference]
type = "reference"
entity = "code"
[entities.sample.fields.json]
type = "json"
[entities.sample.fields.file]
type = "file"
"#;

/// More than a copy takes at once.
const MANY: usize = 260;

/// The entities, as one storage has them.
pub struct Entities {
    pub(crate) code: Entity,
    pub(crate) sample: Entity,
    pub(crate) note: Entity,
}

/// What cases look for.
pub struct Estate {
    pub(crate) entities: Entities,
    /// Of tenant alpha: live, changed since, deleted.
    pub(crate) codes: [RecordId; 3],
    pub(crate) note: RecordId,
}

impl Entities {
    /// The entities for a storage that has none of them prepared yet.
    #[must_use]
    pub fn new() -> Self {
        let manifest = Manifest::from_toml(MANIFEST).unwrap();
        let declared = |name: &str| {
            let schema = manifest.entities.iter().find(|schema| schema.name.entity.as_str() == name).unwrap();
            Entity::new(schema.clone())
        };
        let note = EntitySchema::dynamic(EntityRef::parse("suite.note").unwrap());
        Self { code: declared("code"), sample: declared("sample"), note: Entity::new(note) }
    }
}

impl Default for Entities {
    fn default() -> Self {
        Self::new()
    }
}

/// Fills an empty database.
pub async fn fill(storage: &Arc<dyn Transfer>) -> Estate {
    let storage: Arc<dyn Storage> = Arc::clone(storage) as Arc<dyn Storage>;
    fill_any(&storage).await
}

/// As [`fill`], where nothing is to be copied.
pub async fn fill_any(storage: &Arc<dyn Storage>) -> Estate {
    let entities = Entities::new();
    install(storage, &entities).await;
    let mut transaction = write(storage, BETA).await;
    assert_eq!(transaction.create_dynamic(&entities.note).await.unwrap(), CreateDynamic::Ready);
    transaction.commit(None).await.unwrap();
    let (codes, note) = records(storage, ALPHA, &entities).await;
    records(storage, BETA, &entities).await;
    journal(storage).await;
    events(storage).await;
    jobs(storage).await;
    Estate { entities, codes, note }
}

async fn install(storage: &Arc<dyn Storage>, entities: &Entities) {
    let manifest = Manifest::from_toml(MANIFEST).unwrap();
    let version = |name: &str, number: u64, manifest: Option<Vec<u8>>| PluginVersion {
        name: plugin(name),
        version: semver::Version::new(1, number, 0),
        component: [u8::try_from(number).unwrap(); 32],
        manifest,
        granted: Capabilities::default().to_json(),
        installed_at: time(10 - i64::try_from(number).unwrap()),
    };
    // The second of the third plugin's is installed before the first, and two have one component.
    let versions = [
        version("suite", 0, Some(manifest.to_canonical_json())),
        version("bare", 2, None),
        version("bare", 1, None),
        version("other", 1, None),
    ];
    let mut own = platform(storage).await;
    for version in &versions {
        own.put_component(&version.component, &[0, 255, version.component[0]]).await.unwrap();
        assert!(own.add_version(version).await.unwrap());
    }
    own.note_platform_audit(&audit_entry()).await.unwrap();
    own.set_system_config("system.currency", Some("\"EUR\"")).await.unwrap();
    own.subscribe(&plugin("core-mail"), &pattern("invoice.paid")).await.unwrap();
    own.set_system_config("system.名", Some("{\"a\": 1.50}")).await.unwrap();
    for (name, at) in [(BETA, 7), (ALPHA, 8)] {
        assert!(own.create_tenant(&tenant(name), time(at)).await.unwrap());
    }
    own.commit().await.unwrap();
    let mut own = installation(storage).await;
    for entity in [&entities.code, &entities.sample] {
        assert!(own.create_entity(entity.schema()).await.unwrap());
    }
    own.commit().await.unwrap();
}

async fn records(storage: &Arc<dyn Storage>, tenant: &str, entities: &Entities) -> ([RecordId; 3], RecordId) {
    let mut transaction = write(storage, tenant).await;
    let codes = [new_id(), new_id(), new_id()];
    for (id, code) in codes.into_iter().zip(["Straße", "b", "c"]) {
        let values = [text(code), Value::Integer(1)];
        let outcome = transaction.insert(&entities.code, NewRecord { id, values: &values }, stamp()).await;
        assert_eq!(outcome.unwrap(), InsertOutcome::Inserted);
    }
    let change = [(1, Value::Null)];
    update(&mut *transaction, &entities.code, codes[1], 1, Change::Fields(&change)).await;
    let deleted = transaction.delete(&entities.code, codes[2], stamp()).await.unwrap();
    assert_eq!(deleted, DeleteOutcome::Deleted(Version::FIRST));
    // A value that a deleted record has as well.
    let values = [text("c"), Value::Null];
    transaction.insert(&entities.code, NewRecord { id: new_id(), values: &values }, stamp()).await.unwrap();

    let full = |integer: i64, date: &str, at: i64, uuid: uuid::Uuid| {
        let values = [
            text("é \u{1F600}\n'"),
            text(&"long ".repeat(1000)),
            Value::Integer(integer),
            Value::Decimal(-999_999_999_999_999_999),
            Value::Boolean(true),
            Value::Date(date.parse().unwrap()),
            Value::DateTime(DateTime::from_timestamp_micros(at).unwrap()),
            Value::Uuid(uuid),
            text("closed"),
            Value::Uuid(codes[0].0),
            json(r#"{"b": 1.50, "a": [12345678901234567890]}"#),
            text(""),
        ];
        in_order(&entities.sample, values)
    };
    let rows = [
        full(i64::MIN, "0001-01-01", -1, uuid::Uuid::nil()),
        full(i64::MAX, "9999-12-31", 253_402_300_799_999_999, uuid::Uuid::max()),
        vec![Value::Null; 12],
    ];
    for values in &rows {
        transaction.insert(&entities.sample, NewRecord { id: new_id(), values }, stamp()).await.unwrap();
    }
    let documents: Vec<_> =
        (0..MANY).map(|n| (new_id(), [json(&format!("{{\"n\": {n}, \"x\":1.0}}"))])).collect();
    let batch: Vec<_> = documents.iter().map(|(id, values)| NewRecord { id: *id, values }).collect();
    transaction.insert_many(&entities.note, &batch, stamp()).await.unwrap();
    transaction.delete(&entities.note, documents[3].0, stamp()).await.unwrap();
    for (key, value) in [("colour", "\"red\""), ("size", " 1.50")] {
        transaction.set_config(&plugin("suite"), key, Some(value)).await.unwrap();
    }
    for role in [role("clerk", &["suite.code.read", "suite.sample.*"]), role("Nothing", &[])] {
        transaction.set_role(&role).await.unwrap();
        assert!(transaction.assign_role(&user("anna"), &role.name).await.unwrap());
    }
    for text in ["INV-2026-{}", "№ {}"] {
        assert_eq!(take(&mut *transaction, text, 3).await, 1);
    }
    history(&mut *transaction, entities, codes).await;
    transaction.note_audit(&audit_entry()).await.unwrap();
    transaction.commit(None).await.unwrap();
    (codes, documents[0].0)
}

/// What somebody did, to the suite.
fn audit_entry() -> AuditEntry {
    AuditEntry {
        id: new_uuid(),
        at: time(7),
        by: user("anna"),
        action: "plugin.enabled".to_owned(),
        tenant: None,
        plugin: Some(plugin("suite")),
        from: None,
        to: Some("1.0.0".to_owned()),
        detail: Some("名".to_owned()),
    }
}

/// What was done to the records that have codes: by a plugin for somebody, and at the platform's edge.
async fn history(transaction: &mut dyn Transaction, entities: &Entities, codes: [RecordId; 3]) {
    let (caused_by, suite, entity) =
        (UserId::parse("anna").unwrap(), plugin("suite"), &entities.code.schema().name);
    let change = |record, number, verb, changes| {
        let version = Version::new(number).unwrap();
        NewChange { entity, record, version, verb, changes }
    };
    let edge = Origin {
        at: time(6),
        by: "anna",
        caused_by: None,
        plugin: None,
        invocation: InvocationId(new_uuid()),
    };
    let called = Origin { at: time(5), caused_by: Some(&caused_by), plugin: Some((&suite, "1.0.0")), ..edge };
    let inserts = codes.map(|id| change(id, 1, Verb::Insert, Some(r#"{"code":{"to": "名"}}"#)));
    transaction.note_changes(called, &inserts).await.unwrap();
    let others = [
        change(codes[1], 2, Verb::Update, Some(r#"{"order":{"from":1,"to":null}}"#)),
        change(codes[2], 1, Verb::Delete, None),
    ];
    transaction.note_changes(edge, &others).await.unwrap();
}

/// Values of every type, in the order of the manifest's text, in that of the schema.
fn in_order(entity: &Entity, values: [Value; 12]) -> Vec<Value> {
    let names = [
        "string",
        "text",
        "integer",
        "decimal",
        "boolean",
        "date",
        "datetime",
        "uuid",
        "enum",
        "reference",
        "json",
        "file",
    ];
    let mut ordered = vec![Value::Null; names.len()];
    for (name, value) in names.into_iter().zip(values) {
        ordered[entity.schema().position(name).unwrap()] = value;
    }
    ordered
}

async fn journal(storage: &Arc<dyn Storage>) {
    for (tenant, error) in [(ALPHA, None), (BETA, Some(ErrorCode::Rejected)), (ALPHA, None)] {
        let line =
            |at: i64, level, message: &str| LogLine { level, message: message.to_owned(), at: time(at) };
        // Two lines of one moment, and a clock that went back.
        let log = vec![
            line(5, LogLevel::Error, "first"),
            line(5, LogLevel::Trace, "second 名"),
            line(4, LogLevel::Warn, "third"),
        ];
        let caused_by = Some(UserId::parse("anna").unwrap());
        let record = InvocationRecord { log, caused_by, ..invocation("suite", error) };
        write(storage, tenant).await.commit(Some(&record)).await.unwrap();
    }
}

/// Handled, failed, claimed, set aside, waiting and unnumbered ones; and streams of a plugin that is disabled.
async fn events(storage: &Arc<dyn Storage>) {
    for tenant in [ALPHA, BETA] {
        subscribe(storage, tenant, "suite", &["order.*", "stock.low"]).await;
        subscribe(storage, tenant, "other", &["*"]).await;
    }
    let by = |publisher: &str, key: &str, ordinal| NewEvent {
        publisher: Publisher::Plugin(plugin(publisher)),
        caused_by: Some(UserId::parse("anna").unwrap()),
        parent: Some(EventId(new_uuid())),
        depth: 2,
        ..event("order.created", key, ordinal)
    };
    for round in 0..3 {
        for tenant in [BETA, ALPHA] {
            let events = [by("bare", "k", 10 * round), by("suite", "", 10 * round + 1)];
            publish(storage, tenant, &events).await;
        }
    }
    // Whoever is given "" or "k" first ends it in another way each.
    let claimed = work(storage).await;
    assert!(claimed.len() >= 6, "{claimed:?}");
    assert!(fail(storage, &claimed[0], "no stock\n名", Some(time(10))).await);
    assert!(fail(storage, &claimed[1], "no stock\n名", None).await);
    done(storage, &claimed[2]).await;
    done(storage, &claimed[3]).await;

    let state = ActivationState {
        plugin: plugin("other"),
        version: semver::Version::new(1, 0, 0),
        enabled: false,
        tenant_told: false,
        pinned: true,
        quarantine: None,
    };
    let own =
        Subscription { pattern: EventPattern::everything(), own_events: true, key: Some("n".to_owned()) };
    let mut transaction = write(storage, BETA).await;
    transaction.set_activation(&state, &[own]).await.unwrap();
    transaction.commit(None).await.unwrap();

    // Of two invocations the one with the greater id commits first.
    let (early, late) = (new_uuid(), new_uuid());
    for (tenant, invocation, ordinal) in
        [(ALPHA, late, 50), (ALPHA, early, 51), (BETA, late, 52), (ALPHA, early, 53)]
    {
        let invocation = InvocationId(invocation);
        publish(storage, tenant, &[NewEvent { invocation, ..by("bare", "k", ordinal) }]).await;
    }
}

/// A job that is planned and one that has no schedule; runs that wait, are under way, were done, failed and passed over.
async fn jobs(storage: &Arc<dyn Storage>) {
    let (suite, name) = (plugin("suite"), |name: &str| JobName::parse(name).unwrap());
    for owner in [ALPHA, BETA] {
        let mut transaction = write(storage, owner).await;
        let jobs = [
            NewJob {
                job: name("nightly"),
                schedule: Some("0 3 * * * Asia/Shanghai".to_owned()),
                plan_at: Some(time(10)),
            },
            NewJob { job: name("by-hand"), schedule: None, plan_at: None },
        ];
        transaction.set_jobs(&suite, &jobs, time(0), "gone").await.unwrap();
        transaction.commit(None).await.unwrap();
    }
    let mut own = platform(storage).await;
    let run = |second| PlannedRun { id: RunId(new_uuid()), occasion: time(second), due_at: time(second + 1) };
    for due in own.due_jobs(time(20), 10).await.unwrap() {
        let runs = [run(12), run(13), run(14)];
        let planned = PlannedJob {
            due: &due,
            at: time(20),
            plan_at: Some(time(30)),
            runs: &runs,
            missed: Some((RunId(new_uuid()), time(11), "missed 名")),
            skip: None,
        };
        assert!(own.plan_job(&planned).await.unwrap());
        let payload = Some("{\"n\": 1.50}".to_owned());
        let (tenant, plugin, job) = (due.tenant.clone(), suite.clone(), name("by-hand"));
        let one_off = OneOff { id: RunId(new_uuid()), tenant, plugin, job, at: time(15), payload };
        assert!(own.add_run(&one_off).await.unwrap());
    }
    own.commit().await.unwrap();
    // Of each tenant the first is done and the second fails; a one-off is still under way.
    for round in 0..2 {
        let mut own = platform(storage).await;
        let request = RunRequest { worker: worker(), at: time(50), runs: 10, per_tenant: 10, full: &[] };
        let claimed = own.claim_runs(&request).await.unwrap();
        let scheduled: Vec<_> = claimed.iter().filter(|run| run.job.as_str() == "nightly").collect();
        assert_eq!(scheduled.len(), 2);
        if round == 1 {
            for run in &scheduled {
                let failure = RunFailure { run, error: "no stock\n名", at: time(52), retry_at: None };
                assert!(own.fail_run(failure).await.unwrap());
            }
        }
        own.commit().await.unwrap();
        for run in scheduled.into_iter().filter(|_| round == 0) {
            let mut transaction = write(storage, run.tenant.as_str()).await;
            assert!(transaction.mark_run_done(run, time(51)).await.unwrap());
            transaction.commit(None).await.unwrap();
        }
    }
}
