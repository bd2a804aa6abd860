//! Tables that become others: pairs of random schemas there and back, and a large table while others work on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use erp_plugin::{ErrorKind, Storage, TenantId};
use erp_plugin_model::evolution::{Action, Class, Step, plan};
use erp_plugin_model::filter::Column;
use erp_plugin_model::filter::Filter;
use erp_plugin_model::page::{Page, SortKey, Start};
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::{
    EntityRef, EntitySchema, Field, FieldName, FieldType, Labels, RecordId, Value, Version,
};
use erp_plugin_storage::{
    Altered, Change, Entity, InsertOutcome, Mode, NewRecord, PlatformScope, RecordSink, RowView, SinkFlow,
    Stamp, StorageError, StorageResult, TenantScope, Transaction, TransactionOptions, UpdateOutcome, evolve,
};
use erp_plugin_tests::Database;

const TENANT: &str = "acme";

fn options(mode: Mode) -> TransactionOptions {
    let ample = Duration::from_secs(120);
    TransactionOptions { mode, deadline: Instant::now() + ample, writer_hold: ample }
}

async fn begin(storage: &dyn Storage, mode: Mode) -> StorageResult<Box<dyn Transaction>> {
    let scope = TenantScope::granted_by_host(TenantId::parse(TENANT).unwrap());
    storage.begin(&scope, options(mode)).await
}

fn stamp() -> Stamp<'static> {
    Stamp { at: chrono::DateTime::UNIX_EPOCH, by: "anna" }
}

fn new_id() -> RecordId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = u128::from(NEXT.fetch_add(1, Ordering::Relaxed));
    RecordId::parse(&format!("019b7d00-0000-7000-8000-{number:012x}")).unwrap()
}

fn field(name: &str, field_type: FieldType) -> Field {
    Field {
        name: FieldName::parse(name).unwrap(),
        field_type,
        required: false,
        unique: false,
        indexed: false,
        searchable: false,
        default: Value::Null,
        min: None,
        max: None,
        max_length: None,
        pattern: None,
        read_permission: None,
        write_permission: None,
        label: Labels::default(),
        renamed_from: None,
        column: None,
    }
}

fn schema(mut fields: Vec<Field>) -> EntitySchema {
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    EntitySchema::declared(EntityRef::parse("suite.thing").unwrap(), Labels::default(), None, fields)
}

async fn steps(storage: &dyn Storage, wanted: &EntitySchema) -> Vec<Step> {
    let options = options(Mode::Read);
    let mut own = storage.begin_platform(PlatformScope::granted_by_host(), options).await.unwrap();
    let plugin = &wanted.name.plugin;
    let (found, archived) = (own.entities(plugin).await.unwrap(), own.archived(plugin).await.unwrap());
    own.rollback().await.unwrap();
    plan(&found, &archived, std::slice::from_ref(wanted))
}

/// The entity as its table is.
async fn stored(storage: &dyn Storage, wanted: &EntitySchema) -> Entity {
    let options = options(Mode::Read);
    let mut own = storage.begin_platform(PlatformScope::granted_by_host(), options).await.unwrap();
    let found = own.entities(&wanted.name.plugin).await.unwrap();
    own.rollback().await.unwrap();
    let found = found.into_iter().find(|own| own.name == wanted.name).unwrap();
    Entity::new(found)
}

/// The same numbers each time: which schemas come, only the seed decides.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    /// Some of five fields, each of some type, with some options.
    fn fields(&mut self) -> Vec<Field> {
        let mut fields = vec![field("a", FieldType::String)];
        for name in ["b", "c", "d", "e"] {
            if self.one_in(3) {
                continue;
            }
            let field_type = match self.below(9) {
                0 => FieldType::String,
                1 => FieldType::Text,
                2 => FieldType::Integer,
                3 => FieldType::Decimal { precision: 12, scale: 2 },
                4 => FieldType::Decimal { precision: 16, scale: 4 },
                5 => FieldType::Boolean,
                6 => FieldType::Date,
                7 => FieldType::DateTime,
                _ => FieldType::Enum { options: vec!["x".to_owned(), "y".to_owned()] },
            };
            let ordered = field_type.is_ordered();
            let is_string = field_type == FieldType::String;
            let default = if self.one_in(2) { Value::Null } else { some_value(&field_type, self.below(2)) };
            fields.push(Field {
                indexed: ordered && self.one_in(3),
                unique: ordered && self.one_in(6),
                searchable: is_string && self.one_in(2),
                required: !default.is_null() && self.one_in(2),
                default,
                ..field(name, field_type)
            });
        }
        fields
    }
}

fn some_value(field_type: &FieldType, number: u64) -> Value {
    let signed = i64::try_from(number).unwrap();
    match field_type {
        FieldType::String | FieldType::Text => Value::Text(format!("text {number}")),
        FieldType::Integer => Value::Integer(signed),
        FieldType::Decimal { scale, .. } => Value::Decimal(signed * 10_i64.pow(u32::from(*scale))),
        FieldType::Boolean => Value::Boolean(number.is_multiple_of(2)),
        FieldType::Date => Value::Date("2026-01-31".parse().unwrap()),
        FieldType::DateTime => Value::DateTime("2026-01-31T00:00:00Z".parse().unwrap()),
        FieldType::Enum { options } => Value::Text(options[usize::from(!number.is_multiple_of(2))].clone()),
        other => panic!("no value of {other:?}"),
    }
}

struct All(Vec<(RecordId, Vec<Value>)>, usize);

impl RecordSink for All {
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow> {
        let values = (0..self.1).map(|at| Ok(row.field(at)?.to_owned())).collect::<StorageResult<_>>()?;
        self.0.push((row.system()?.id, values));
        Ok(SinkFlow::Continue)
    }
}

fn by_id(limit: u32) -> Page {
    let sort = vec![SortKey { column: Column::System(SystemField::Id), descending: false }];
    Page { limit, sort, start: Start::Offset(0), total: false }
}

async fn rows(storage: &dyn Storage, entity: &Entity) -> Vec<(RecordId, Vec<Value>)> {
    let mut sink = All(Vec::new(), entity.schema().fields().len());
    let mut transaction = begin(storage, Mode::Read).await.unwrap();
    transaction.query(entity, &Filter::everything(), &by_id(1000), &mut sink).await.unwrap();
    transaction.rollback(None).await.unwrap();
    sink.0
}

/// What becomes of the rows by a plan, step by step, computed without a database.
fn expected(steps: &[Step], rows: Vec<(RecordId, Vec<Value>)>) -> Vec<(RecordId, Vec<Value>)> {
    let mut rows = rows;
    for step in steps {
        let (before, after) = (step.before.as_ref().unwrap(), step.after.as_ref().unwrap());
        for (_, values) in &mut rows {
            let value_of = |name: &str| before.position(name).map(|at| values[at].clone());
            let moved =
                after.fields().iter().map(|field| match (&step.action, value_of(field.name.as_str())) {
                    (Action::Convert(name) | Action::Fill(name), Some(old)) if *name == field.name => {
                        step.moved(&old)[0].clone()
                    }
                    (Action::AddField(_), None) => field.default.clone(),
                    (Action::RenameField { from, to }, None) if *to == field.name => {
                        value_of(from.as_str()).unwrap()
                    }
                    (_, Some(old)) => old,
                    (other, None) => panic!("{other:?} leaves {} open", field.name),
                });
            *values = moved.collect();
        }
    }
    rows
}

/// From one schema to the next; `false` where records are in the way, and then nothing is done.
async fn evolve_to(storage: &dyn Storage, tenants: &[TenantId], wanted: &EntitySchema) -> bool {
    let before = stored(storage, wanted).await;
    let had = rows(storage, &before).await;
    let plan = steps(storage, wanted).await;
    let mut is_refused = false;
    for step in &plan {
        is_refused |= step.class == Class::Checked
            && !evolve::look(storage, step, tenants, 1).await.unwrap().is_empty();
    }
    // A step may still find what an earlier one made: the default of a unique field, given to all.
    let mut made = Vec::new();
    for step in &plan {
        if is_refused {
            return false;
        }
        match evolve::make(storage, step, tenants).await.unwrap() {
            Altered::Done => made.push(step.clone()),
            Altered::DoesNotFit => break,
            Altered::Elsewhere => panic!("{step}: nobody else is there"),
        }
    }
    // Fields that came back bring values that the plan does not know.
    if !made.iter().any(|step| matches!(step.action, Action::ReviveField { .. })) {
        let entity = stored(storage, wanted).await;
        assert_eq!(rows(storage, &entity).await, expected(&made, had), "{:?}", wanted.fields());
    }
    made.len() == plan.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_pairs_of_schemas_become_each_other() {
    let database = Database::new().await;
    let storage = erp_plugin::storage(database.url()).await.unwrap();
    let tenants = [TenantId::parse(TENANT).unwrap()];
    let first = schema(vec![field("a", FieldType::String)]);
    let options = options(Mode::Migrate);
    let mut own = storage.begin_platform(PlatformScope::granted_by_host(), options).await.unwrap();
    own.create_entity(&first).await.unwrap();
    own.commit().await.unwrap();

    let seed = std::env::var("ERP_PLUGIN_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261);
    println!("ERP_PLUGIN_SEED={seed}");
    let mut random = Random(seed);
    let (mut whole, mut back) = (0, 0);
    for pair in 0..200 {
        let (one, other) = (schema(random.fields()), schema(random.fields()));
        for wanted in [&one, &other, &one] {
            let is_whole = evolve_to(&*storage, &tenants, wanted).await;
            whole += u32::from(is_whole);
            back += u32::from(is_whole && std::ptr::eq(wanted, &raw const one));
            // Two records in whatever there is by now, and never too many.
            let entity = stored(&*storage, wanted).await;
            let mut transaction = begin(&*storage, Mode::Write).await.unwrap();
            for number in 0..2 {
                let values: Vec<Value> = entity
                    .schema()
                    .fields()
                    .iter()
                    .map(|field| {
                        if random.one_in(3) && !field.required {
                            Value::Null
                        } else {
                            some_value(&field.field_type, pair + number)
                        }
                    })
                    .collect();
                let record = NewRecord { id: new_id(), values: &values };
                // A unique value may be taken.
                transaction.insert(&entity, record, stamp()).await.unwrap();
            }
            for (id, _) in rows_of(&mut *transaction, &entity).await.into_iter().skip(12) {
                transaction.delete(&entity, id, stamp()).await.unwrap();
            }
            transaction.commit(None).await.unwrap();
        }
    }
    assert!(whole > 200 && back > 100, "{whole} plans were made whole, {back} of them there or back");
}

async fn rows_of(transaction: &mut dyn Transaction, entity: &Entity) -> Vec<(RecordId, Vec<Value>)> {
    let mut sink = All(Vec::new(), entity.schema().fields().len());
    transaction.query(entity, &Filter::everything(), &by_id(1000), &mut sink).await.unwrap();
    sink.0
}

/// What somebody who works on the table all the time has seen.
#[derive(Default)]
struct Watched {
    longest: Duration,
    done: u64,
}

/// Works until it is told to stop, and looks again at what the table is whenever it has changed.
async fn work(
    storage: Arc<dyn Storage>,
    wanted: EntitySchema,
    stop: Arc<AtomicBool>,
    longest: Arc<AtomicU64>,
    writes: bool,
) -> Watched {
    let mut entity = stored(&*storage, &wanted).await;
    let mut watched = Watched::default();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        loop {
            let done = if writes { write(&*storage, &entity).await } else { read(&*storage, &entity).await };
            match done {
                Ok(()) => break,
                Err(error) if error.kind == ErrorKind::SchemaChanged => {
                    entity = stored(&*storage, &wanted).await;
                }
                Err(error) if error.is_transient() => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        let took = began.elapsed();
        longest.fetch_max(u64::try_from(took.as_micros()).unwrap(), Ordering::Relaxed);
        watched.longest = watched.longest.max(took);
        watched.done += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    watched
}

/// A record, and a change of it, of which both the price is a whole number.
async fn write(storage: &dyn Storage, entity: &Entity) -> Result<(), StorageError> {
    let id = new_id();
    let mut transaction = begin(storage, Mode::Write).await?;
    let value = |field: &Field, price: i64| match &field.field_type {
        FieldType::String => Value::Text(id.to_string()),
        FieldType::Decimal { scale, .. } => Value::Decimal(price * 10_i64.pow(u32::from(*scale))),
        _ => field.default.clone(),
    };
    let values: Vec<Value> = entity.schema().fields().iter().map(|field| value(field, 1)).collect();
    let record = NewRecord { id, values: &values };
    assert_eq!(transaction.insert(entity, record, stamp()).await?, InsertOutcome::Inserted);
    transaction.commit(None).await?;
    let mut transaction = begin(storage, Mode::Write).await?;
    let position =
        entity.schema().fields().iter().position(|own| matches!(own.field_type, FieldType::Decimal { .. }));
    let position = position.unwrap();
    let change = [(position, value(&entity.schema().fields()[position], 2))];
    let mut sink = All(Vec::new(), 0);
    let done =
        transaction.update(entity, id, Version::FIRST, Change::Fields(&change), stamp(), &mut sink).await?;
    assert_eq!(done, UpdateOutcome::Written);
    transaction.commit(None).await
}

async fn read(storage: &dyn Storage, entity: &Entity) -> Result<(), StorageError> {
    let mut sink = All(Vec::new(), entity.schema().fields().len());
    let mut transaction = begin(storage, Mode::Read).await?;
    transaction.query(entity, &Filter::everything(), &by_id(50), &mut sink).await?;
    assert_eq!(sink.0.len(), 50);
    transaction.rollback(None).await
}

/// A new column, a unique index, another name and a finer decimal, each while a writer and a reader go on.
async fn a_large_table_is_altered(records: u64) {
    let database = Database::lasting().await;
    let storage = erp_plugin::storage(database.url()).await.unwrap();
    let tenants = [TenantId::parse(TENANT).unwrap()];
    let price = |scale| FieldType::Decimal { precision: 14, scale };
    let before = schema(vec![field("code", FieldType::String), field("price", price(2))]);
    let migrate = options(Mode::Migrate);
    let mut own = storage.begin_platform(PlatformScope::granted_by_host(), migrate).await.unwrap();
    own.create_entity(&before).await.unwrap();
    own.commit().await.unwrap();
    let entity = Entity::new(before.clone());
    for chunk in 0..records / 1000 {
        let mut transaction = begin(&*storage, Mode::Write).await.unwrap();
        let values: Vec<_> = (0..1000)
            .map(|number| {
                let code = Value::Text(format!("code {}", chunk * 1000 + number));
                [code, Value::Decimal(100)]
            })
            .collect();
        let rows: Vec<_> = values.iter().map(|values| NewRecord { id: new_id(), values }).collect();
        transaction.insert_many(&entity, &rows, stamp()).await.unwrap();
        transaction.commit(None).await.unwrap();
    }

    let code = |name: &str, unique| Field { unique, ..field(name, FieldType::String) };
    let stock = || Field { default: Value::Integer(7), required: true, ..field("stock", FieldType::Integer) };
    let renamed =
        |name: &str| Field { renamed_from: Some(FieldName::parse("code").unwrap()), ..code(name, true) };
    let versions = [
        ("a new required field with a default", vec![code("code", false), field("price", price(2)), stock()]),
        ("a new unique index", vec![code("code", true), field("price", price(2)), stock()]),
        ("another name", vec![renamed("sku"), field("price", price(2)), stock()]),
        ("a decimal with more digits", vec![renamed("sku"), field("price", price(4)), stock()]),
    ];
    let (stop, wrote, read) =
        (Arc::new(AtomicBool::new(false)), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let writer =
        tokio::spawn(work(Arc::clone(&storage), before.clone(), Arc::clone(&stop), Arc::clone(&wrote), true));
    let reader =
        tokio::spawn(work(Arc::clone(&storage), before.clone(), Arc::clone(&stop), Arc::clone(&read), false));
    for (what, fields) in versions {
        let wanted = schema(fields);
        let began = Instant::now();
        wrote.store(0, Ordering::Relaxed);
        read.store(0, Ordering::Relaxed);
        for step in steps(&*storage, &wanted).await {
            assert_eq!(evolve::make(&*storage, &step, &tenants).await.unwrap(), Altered::Done, "{step}");
        }
        println!(
            "{records} records, {what}: {:.1?}; the longest write took {} ms, the longest page {} ms",
            began.elapsed(),
            wrote.load(Ordering::Relaxed) / 1000,
            read.load(Ordering::Relaxed) / 1000
        );
    }
    stop.store(true, Ordering::Relaxed);
    let (writer, reader) = (writer.await.unwrap(), reader.await.unwrap());
    assert!(writer.done > 0 && reader.done > 0);
    println!(
        "{} writes, at most {:?}; {} pages, at most {:?}",
        writer.done, writer.longest, reader.done, reader.longest
    );

    // Nothing is lost, and every price is what its writer gave last.
    let wanted = schema(vec![renamed("sku"), field("price", price(4)), stock()]);
    let entity = stored(&*storage, &wanted).await;
    let mut transaction = begin(&*storage, Mode::Migrate).await.unwrap();
    let (mut after, mut count) = (None, 0);
    loop {
        let name = FieldName::parse("price").unwrap();
        let values = transaction.values(entity.schema(), Some(&name), after, 5000).await.unwrap();
        let Some((last, _)) = values.last() else { break };
        after = Some(*last);
        count += values.len() as u64;
        assert!(
            values.iter().all(|(_, price)| [Value::Decimal(10_000), Value::Decimal(20_000)].contains(price))
        );
    }
    assert!(count >= records + writer.done, "{count} of {records} and {}", writer.done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_table_is_altered_while_others_work_on_it() {
    a_large_table_is_altered(20_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a while; prints its times"]
async fn a_million_records_are_altered_while_others_work_on_them() {
    a_large_table_is_altered(1_000_000).await;
}
