//! Tables from one schema to the next, with data in place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use erp_plugin_model::evolution::{Action, Check, Class, Step, plan};
use erp_plugin_model::{EntitySchema, Field, FieldType, RecordId, TenantId, Value};
use erp_plugin_storage::{
    Altered, Change, CreateDynamic, Entity, ErrorKind, InsertOutcome, NewRecord, PlatformScope,
    RestoreOutcome, Storage, UpdateOutcome, Violation, Which, evolve,
};

use crate::fixture::{
    ALPHA, BETA, Collect, declare, field_name, given, indexed, installation, json, new_id, optional,
    platform, plugin, reference, required, schema, seen, stamp, tenant, text, trial, unique, update, write,
};
use crate::intercept::Intercepted;
use crate::kinds::{decimal, item, kinds, renamed, searchable, with_default};
use crate::stopped::StopsAt;

pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

pub(super) async fn create_tenants(storage: &Arc<dyn Storage>) -> Vec<TenantId> {
    let mut own = platform(storage).await;
    for name in [ALPHA, BETA] {
        own.create_tenant(&tenant(name), crate::fixture::time(0)).await.unwrap();
    }
    own.commit().await.unwrap();
    vec![tenant(ALPHA), tenant(BETA)]
}

/// The steps from what the ledger has to what is wanted.
pub(super) async fn steps(storage: &Arc<dyn Storage>, wanted: &[EntitySchema]) -> Vec<Step> {
    let mut own = platform(storage).await;
    let found = own.entities(&plugin("suite")).await.unwrap();
    let archived = own.archived(&plugin("suite")).await.unwrap();
    own.rollback().await.unwrap();
    let others = found.iter().filter(|own| wanted.iter().any(|schema| schema.name == own.name));
    plan(&others.cloned().collect::<Vec<_>>(), &archived, wanted)
}

/// Makes a whole plan.
pub(super) async fn evolve_to(
    storage: &Arc<dyn Storage>,
    tenants: &[TenantId],
    wanted: &EntitySchema,
) -> Entity {
    for step in steps(storage, std::slice::from_ref(wanted)).await {
        let made = evolve::make(&**storage, &step, tenants).await.unwrap();
        assert_eq!(made, Altered::Done, "{} {step}", step.subject());
    }
    stored(storage, wanted).await
}

/// An entity as it is wanted, in the columns that the ledger has for it.
pub(super) async fn stored(storage: &Arc<dyn Storage>, wanted: &EntitySchema) -> Entity {
    let mut own = platform(storage).await;
    let found = own.entities(&wanted.name.plugin).await.unwrap();
    own.rollback().await.unwrap();
    let found = found.iter().find(|schema| schema.name == wanted.name).unwrap();
    let entity = Entity::new(wanted.in_columns_of(found));
    assert_eq!(entity.schema(), found, "the ledger is where the plan ends");
    entity
}

/// A row of `item` with `a` and the other field, if there is one.
pub(super) fn row(index: usize, other: Option<&Value>) -> Vec<Value> {
    [Some(text(&format!("a{index}"))), other.cloned()].into_iter().flatten().collect()
}

pub async fn each_kind_of_step_keeps_what_it_must(storage: Arc<dyn Storage>) {
    let tenants = create_tenants(&storage).await;
    let a = || unique("a", FieldType::String);
    for (number, (before, values, after, expected)) in kinds().into_iter().enumerate() {
        let name = format!("suite.item{number}");
        let before: Vec<Field> = [a()].into_iter().chain(before).collect();
        let after = schema(&name, [a()].into_iter().chain(after).collect());
        let old = declare(&storage, &name, before).await;
        let rows = || (0..3).map(|index| row(index, values.get(index)));
        let mut ids = Vec::new();
        for tenant in [ALPHA, BETA] {
            ids.push(given(&storage, tenant, &old, rows()).await);
        }
        let mut transaction = write(&storage, BETA).await;
        transaction.delete(&old, ids[1][2], stamp()).await.unwrap();
        transaction.commit(None).await.unwrap();

        let entity = evolve_to(&storage, &tenants, &after).await;
        for (tenant, ids) in [ALPHA, BETA].into_iter().zip(&ids) {
            if tenant == BETA {
                let mut transaction = write(&storage, BETA).await;
                let mut sink = Collect::of(&entity, &[]);
                let restored = transaction.restore(&entity, ids[2], stamp(), &mut sink).await.unwrap();
                assert_eq!(restored, RestoreOutcome::Restored, "{number}");
                transaction.commit(None).await.unwrap();
            }
            for (index, id) in ids.iter().enumerate() {
                let found = seen(&storage, tenant, &entity, *id).await.unwrap();
                assert_eq!(found.values, row(index, expected.get(index)), "{number}: {tenant} {index}");
            }
        }
        works(&storage, &entity).await;
    }
}

/// Whether an entity whose first field is unique can be written as any other.
pub(super) async fn works(storage: &Arc<dyn Storage>, entity: &Entity) {
    let values: Vec<Value> =
        entity
            .schema()
            .fields()
            .iter()
            .map(|field| {
                if field.required && field.name.as_str() != "a" { field.default.clone() } else { Value::Null }
            })
            .enumerate()
            .map(|(index, value)| if index == 0 { text("new") } else { value })
            .collect();
    let id = given(storage, ALPHA, entity, [values.clone()]).await[0];
    let mut transaction = write(storage, ALPHA).await;
    let record = NewRecord { id: new_id(), values: &values };
    let taken = InsertOutcome::Violates(Violation::Unique(field_name("a")));
    assert_eq!(transaction.insert(entity, record, stamp()).await.unwrap(), taken);
    let change = [(0, text("newer"))];
    let (outcome, found) = update(&mut *transaction, entity, id, 1, Change::Fields(&change)).await;
    assert_eq!((outcome, found.unwrap().values[0].clone()), (UpdateOutcome::Written, text("newer")));
    transaction.commit(None).await.unwrap();
}

pub async fn the_ledger_tells_what_each_table_is_at(storage: Arc<dyn Storage>) {
    let tenants = create_tenants(&storage).await;
    let mut every = crate::fixture::every_type();
    every.sort_by(|a, b| a.name.cmp(&b.name));
    let every = schema("suite.sample", every);
    let mut own = installation(&storage).await;
    assert!(own.create_entity(&every).await.unwrap());
    own.commit().await.unwrap();
    let mut transaction = write(&storage, ALPHA).await;
    let note = Entity::new(EntitySchema::dynamic(schema("suite.note", vec![]).name));
    assert_eq!(transaction.create_dynamic(&note).await.unwrap(), CreateDynamic::Ready);
    transaction.commit(None).await.unwrap();
    declare(&storage, "other.item", vec![optional("a", FieldType::String)]).await;

    let mut own = platform(&storage).await;
    let found = own.entities(&plugin("suite")).await.unwrap();
    assert_eq!(found, [note.schema().clone(), every.clone()]);
    own.set_version(&plugin("suite"), &semver::Version::new(1, 2, 3)).await.unwrap();
    own.commit().await.unwrap();

    let fewer = schema("suite.sample", vec![optional("string", FieldType::String)]);
    evolve_to(&storage, &tenants, &fewer).await;
    let mut own = platform(&storage).await;
    assert_eq!(own.entities(&plugin("suite")).await.unwrap()[1], fewer);
    let archived = own.archived(&plugin("suite")).await.unwrap();
    assert_eq!(archived.len(), every.fields().len() - 1);
    assert!(archived.iter().all(|kept| kept.version == Some(semver::Version::new(1, 2, 3))));
    assert_eq!(own.archived(&plugin("other")).await.unwrap(), []);
}

pub async fn a_step_is_made_once_and_only_from_where_it_begins(storage: Arc<dyn Storage>) {
    let tenants = create_tenants(&storage).await;
    let a = || optional("a", FieldType::String);
    declare(&storage, "suite.item", vec![a()]).await;
    let wanted = item(vec![a(), optional("b", FieldType::Integer), optional("c", FieldType::Integer)]);
    let steps = steps(&storage, std::slice::from_ref(&wanted)).await;
    let [first, second] = &steps[..] else { panic!("two fields, two steps") };
    let scope = PlatformScope::granted_by_host;
    assert_eq!(storage.alter(scope(), second, soon()).await.unwrap(), Altered::Elsewhere);
    assert_eq!(storage.alter(scope(), first, soon()).await.unwrap(), Altered::Done);
    assert_eq!(storage.alter(scope(), first, soon()).await.unwrap(), Altered::Elsewhere);
    assert_eq!(storage.finish(scope(), first, soon()).await.unwrap(), Altered::Elsewhere);
    assert_eq!(storage.alter(scope(), second, soon()).await.unwrap(), Altered::Done);
    stored(&storage, &wanted).await;

    // Two who make the same plan at once.
    let wanted = item(vec![indexed("a", FieldType::String), renamed(optional("d", FieldType::Integer), "b")]);
    let both = self::steps(&storage, std::slice::from_ref(&wanted)).await;
    let make = async || {
        let mut done = 0;
        for step in &both {
            match evolve::make(&*storage, step, &tenants).await.unwrap() {
                Altered::Done => done += 1,
                Altered::Elsewhere => {}
                Altered::DoesNotFit => panic!("{step} fits"),
            }
        }
        done
    };
    let (one, other) = futures(make(), make()).await;
    assert_eq!(one + other, both.len());
    stored(&storage, &wanted).await;
}

/// Both at once, in one task.
async fn futures<A, B>(one: impl Future<Output = A>, other: impl Future<Output = B>) -> (A, B) {
    tokio::join!(one, other)
}

/// The step that converts a decimal, and the entity before it.
async fn converting(storage: &Arc<dyn Storage>, to: FieldType) -> (Entity, Step) {
    let a = || unique("a", FieldType::String);
    let old = item(vec![a(), optional("b", decimal(12, 2))]);
    let mut own = installation(storage).await;
    own.create_entity(&old).await.unwrap();
    own.commit().await.unwrap();
    let mut steps = steps(storage, &[item(vec![a(), optional("b", to)])]).await;
    (Entity::new(old), steps.remove(0))
}

pub async fn a_step_that_was_begun_is_gone_on_with_or_given_up(storage: Arc<dyn Storage>) {
    let tenants = create_tenants(&storage).await;
    let scope = PlatformScope::granted_by_host;
    let (old, finer) = converting(&storage, decimal(14, 4)).await;
    let (_, finest) = converting(&storage, decimal(16, 6)).await;
    let id = given(&storage, ALPHA, &old, [vec![text("x"), Value::Decimal(150)]]).await[0];
    for step in [&finer, &finer, &finest, &finer, &finest] {
        assert_eq!(storage.alter(scope(), step, soon()).await.unwrap(), Altered::Done);
    }
    assert_eq!(storage.finish(scope(), &finer, soon()).await.unwrap(), Altered::Elsewhere);
    // Whoever does not know of it works on.
    assert_eq!(seen(&storage, ALPHA, &old, id).await.unwrap().values, [text("x"), Value::Decimal(150)]);
    assert_eq!(evolve::make(&*storage, &finest, &tenants).await.unwrap(), Altered::Done);
    let entity = stored(&storage, finest.after.as_ref().unwrap()).await;
    assert_eq!(
        seen(&storage, ALPHA, &entity, id).await.unwrap().values,
        [text("x"), Value::Decimal(1_500_000)]
    );
    works(&storage, &entity).await;
}

pub async fn what_is_written_meanwhile_is_moved_too(storage: Arc<dyn Storage>) {
    create_tenants(&storage).await;
    let (old, step) = converting(&storage, decimal(14, 4)).await;
    let row = |name: &str, units| vec![text(name), Value::Decimal(units)];
    let ids = given(&storage, ALPHA, &old, [row("x", 1), row("y", 2), row("z", 3)]).await;
    let scope = PlatformScope::granted_by_host;
    assert_eq!(storage.alter(scope(), &step, soon()).await.unwrap(), Altered::Done);
    let moved = |which| {
        let (storage, step) = (&storage, &step);
        async move {
            let mut transaction = trial(storage, ALPHA).await;
            let moved = transaction.move_records(step, which, 2).await.unwrap();
            transaction.commit(None).await.unwrap();
            moved
        }
    };
    let first = moved(Which::After(None)).await;
    assert_eq!((first.records, first.last), (2, Some(ids[1])));
    // Moved already, moved later, deleted, new, and of a tenant that nobody counted.
    let change = async |id: RecordId, units: i64| {
        let mut transaction = write(&storage, ALPHA).await;
        let change = [(1, Value::Decimal(units))];
        let (outcome, _) = update(&mut *transaction, &old, id, 1, Change::Fields(&change)).await;
        assert_eq!(outcome, UpdateOutcome::Written);
        transaction.commit(None).await.unwrap();
    };
    change(ids[0], 10).await;
    change(ids[2], 30).await;
    let last = moved(Which::After(Some(ids[1]))).await;
    assert_eq!((last.records, last.last), (1, Some(ids[2])));
    assert_eq!(moved(Which::After(Some(ids[2]))).await, erp_plugin_storage::Moved::default());
    assert_eq!(moved(Which::Noted).await.records, 2);
    change(ids[1], 20).await;
    let new = given(&storage, ALPHA, &old, [row("w", 40)]).await[0];
    let others = given(&storage, "gamma", &old, [row("x", 50)]).await[0];
    assert_eq!(storage.finish(scope(), &step, soon()).await.unwrap(), Altered::Done);
    let entity = stored(&storage, step.after.as_ref().unwrap()).await;
    let expected = [(ALPHA, ids[0], 1000), (ALPHA, ids[1], 2000), (ALPHA, ids[2], 3000), (ALPHA, new, 4000)];
    for (tenant, id, units) in expected.into_iter().chain([("gamma", others, 5000)]) {
        assert_eq!(seen(&storage, tenant, &entity, id).await.unwrap().values[1], Value::Decimal(units));
    }
    // Whoever still works with the old schema finds no column of it, rather than to write into the wrong one.
    let mut transaction = write(&storage, ALPHA).await;
    let values = row("late", 60);
    let record = NewRecord { id: new_id(), values: &values };
    let error = transaction.insert(&old, record, stamp()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::SchemaChanged);
}

pub async fn records_are_moved_in_one_tenant_only(storage: Arc<dyn Storage>) {
    create_tenants(&storage).await;
    let (old, step) = converting(&storage, decimal(14, 4)).await;
    for tenant in [ALPHA, BETA] {
        given(&storage, tenant, &old, [vec![text("x"), Value::Decimal(1)]]).await;
    }
    storage.alter(PlatformScope::granted_by_host(), &step, soon()).await.unwrap();
    for which in [Which::After(None), Which::Noted] {
        given(&storage, ALPHA, &old, [vec![text(&format!("{which:?}")), Value::Decimal(1)]]).await;
        let mut transaction = trial(&storage, BETA).await;
        let records = transaction.move_records(&step, which, 10).await.unwrap().records;
        assert_eq!(records, u64::from(which == Which::After(None)), "{which:?}");
        transaction.commit(None).await.unwrap();
    }
}

pub async fn what_does_not_fit_is_refused_and_nothing_is_done(storage: Arc<dyn Storage>) {
    let tenants = create_tenants(&storage).await;
    let a = || unique("a", FieldType::String);
    let old = item(vec![a(), optional("b", FieldType::Integer)]);
    let entity = declare(&storage, "suite.item", old.fields().to_vec()).await;
    let rows = [
        vec![text("x"), Value::Integer(1)],
        vec![text("y"), Value::Integer(1)],
        vec![text("z"), Value::Null],
    ];
    let ids = given(&storage, BETA, &entity, rows).await;
    for wanted in [required("b", FieldType::Integer), unique("b", FieldType::Integer)] {
        let steps = steps(&storage, &[item(vec![a(), wanted])]).await;
        let [step] = &steps[..] else { panic!("one step") };
        let found = evolve::look(&*storage, step, &tenants, 10).await.unwrap();
        let offenders: Vec<_> =
            found.iter().flat_map(|own| own.sample.iter().map(|offence| offence.id)).collect();
        let expected = if matches!(step.action, Action::Require(_)) { &ids[2..] } else { &ids[..2] };
        assert_eq!(offenders, expected, "{step}");
        assert_eq!(found[0].tenant, tenant(BETA));
        assert_eq!(evolve::make(&*storage, step, &tenants).await.unwrap(), Altered::DoesNotFit, "{step}");
        let again = stored(&storage, &old).await;
        works_as_before(&storage, &again, ids[2]).await;
    }
    // A field that is not there yet is one that every record lacks.
    let steps = steps(
        &storage,
        &[item(vec![a(), optional("b", FieldType::Integer), required("c", FieldType::Integer)])],
    )
    .await;
    let [_, step] = &steps[..] else { panic!("two steps") };
    let found = evolve::look(&*storage, step, &tenants, 10).await.unwrap();
    assert_eq!((found.len(), found[0].count), (1, 3), "{step}");
    // What is not there any more is in nobody's way: a deleted record keeps what it has not.
    let mut transaction = write(&storage, BETA).await;
    transaction.delete(&entity, ids[2], stamp()).await.unwrap();
    transaction.commit(None).await.unwrap();
    let entity = evolve_to(&storage, &tenants, &item(vec![a(), required("b", FieldType::Integer)])).await;
    let mut transaction = write(&storage, BETA).await;
    let mut sink = Collect::of(&entity, &[]);
    let refused = transaction.restore(&entity, ids[2], stamp(), &mut sink).await.unwrap();
    assert_eq!(refused, RestoreOutcome::Violates(Violation::Required(field_name("b"))));
    transaction.commit(None).await.unwrap();
}

/// Whether a refused step has left the second field neither required nor unique.
async fn works_as_before(storage: &Arc<dyn Storage>, entity: &Entity, id: RecordId) {
    let mut transaction = write(storage, BETA).await;
    let version = crate::fixture::get(&mut *transaction, entity, id).await.unwrap().version;
    for (more, value) in [Value::Integer(1), Value::Null].into_iter().enumerate() {
        let change = [(1, value)];
        let version = version + i64::try_from(more).unwrap();
        let (outcome, _) = update(&mut *transaction, entity, id, version, Change::Fields(&change)).await;
        assert_eq!(outcome, UpdateOutcome::Written);
    }
    transaction.commit(None).await.unwrap();
}

pub async fn values_come_in_the_order_of_ids_of_live_records(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.item", vec![optional("a", FieldType::Integer)]).await;
    let ids = given(&storage, ALPHA, &entity, (0..5).map(|number| vec![Value::Integer(number)])).await;
    given(&storage, BETA, &entity, [vec![Value::Integer(100)]]).await;
    let mut transaction = write(&storage, ALPHA).await;
    transaction.delete(&entity, ids[2], stamp()).await.unwrap();
    transaction.commit(None).await.unwrap();
    let mut transaction = trial(&storage, ALPHA).await;
    let (schema, a) = (entity.schema(), field_name("a"));
    let first = transaction.values(schema, Some(&a), None, 2).await.unwrap();
    assert_eq!(first, [(ids[0], Value::Integer(0)), (ids[1], Value::Integer(1))]);
    let rest = transaction.values(schema, Some(&a), Some(ids[1]), 10).await.unwrap();
    assert_eq!(rest, [(ids[3], Value::Integer(3)), (ids[4], Value::Integer(4))]);
    let bare = transaction.values(schema, None, Some(ids[1]), 10).await.unwrap();
    assert_eq!(bare, [(ids[3], Value::Null), (ids[4], Value::Null)]);
    let missing = transaction.values(schema, Some(&field_name("b")), None, 2).await.unwrap_err();
    assert_eq!(missing.kind, ErrorKind::Bug);
}

pub async fn duplicates_and_dangling_references_are_found(storage: Arc<dyn Storage>) {
    let target = declare(&storage, "suite.target", vec![optional("n", FieldType::Integer)]).await;
    let targets = given(&storage, ALPHA, &target, [vec![Value::Null], vec![Value::Null]]).await;
    let foreign = given(&storage, BETA, &target, [vec![Value::Null]]).await[0];
    let fields = vec![optional("a", FieldType::String), optional("r", FieldType::Uuid)];
    let entity = declare(&storage, "suite.item", fields).await;
    let row = |name: Value, id: Option<RecordId>| vec![name, id.map_or(Value::Null, |id| Value::Uuid(id.0))];
    let ids = given(
        &storage,
        ALPHA,
        &entity,
        [
            row(text("x"), Some(targets[0])),
            row(text("x"), Some(targets[1])),
            row(text("y"), Some(foreign)),
            row(Value::Null, None),
            row(Value::Null, Some(new_id())),
            row(text("z"), None),
            row(text("z"), None),
        ],
    )
    .await;
    given(&storage, BETA, &entity, [row(text("y"), None)]).await;
    let mut transaction = write(&storage, ALPHA).await;
    transaction.delete(&entity, ids[6], stamp()).await.unwrap();
    transaction.delete(&target, targets[1], stamp()).await.unwrap();
    transaction.commit(None).await.unwrap();

    let seen = schema(
        "suite.item",
        vec![optional("a", FieldType::String), optional("r", reference("suite.target"))],
    );
    let mut transaction = trial(&storage, ALPHA).await;
    let duplicates = transaction.clashes(&seen, &Check::Duplicate(field_name("a")), 10).await.unwrap();
    assert_eq!((duplicates.count, duplicates.sample), (2, vec![(ids[0], text("x")), (ids[1], text("x"))]));
    let dangling = transaction.clashes(&seen, &Check::Dangling(field_name("r")), 10).await.unwrap();
    let mut found: Vec<_> = dangling.sample.iter().map(|(id, _)| *id).collect();
    found.sort();
    assert_eq!((dangling.count, found), (3, vec![ids[1], ids[2], ids[4]]));
    let one = transaction.clashes(&seen, &Check::Dangling(field_name("r")), 1).await.unwrap();
    assert_eq!((one.count, one.sample.len()), (3, 1));
}

pub async fn documents_become_fields(storage: Arc<dyn Storage>) {
    let tenants = create_tenants(&storage).await;
    let name = schema("suite.note", vec![]).name;
    let note = Entity::new(EntitySchema::dynamic(name));
    let mut transaction = write(&storage, ALPHA).await;
    transaction.create_dynamic(&note).await.unwrap();
    transaction.commit(None).await.unwrap();
    let documents = [
        r#"{"title":"one","size":3,"price":"1.50"}"#,
        r#"{"title":"two","size":"many","colour":"red"}"#,
        r#"{"size":null}"#,
    ];
    let ids = given(&storage, ALPHA, &note, documents.map(|text| vec![json(text)])).await;
    let wanted = schema(
        "suite.note",
        vec![
            optional("price", decimal(9, 2)),
            with_default(required("size", FieldType::Integer), Value::Integer(0)),
            searchable("title"),
        ],
    );
    let steps = steps(&storage, std::slice::from_ref(&wanted)).await;
    let [step] = &steps[..] else { panic!("one step") };
    assert_eq!(step.class, Class::Destructive);
    let found = evolve::look(&*storage, step, &tenants, 10).await.unwrap();
    let [found] = &found[..] else { panic!("one tenant has some: {found:?}") };
    let [offence] = &found.sample[..] else { panic!("one does not fit: {found:?}") };
    assert_eq!((found.count, offence.id), (1, ids[1]));
    assert!(
        offence.reason.contains("\"colour\"") && offence.reason.contains("\"size\""),
        "{}",
        offence.reason
    );

    let entity = evolve_to(&storage, &tenants, &wanted).await;
    let expected = [
        [Value::Decimal(150), Value::Integer(3), text("one")],
        [Value::Null, Value::Integer(0), text("two")],
        [Value::Null, Value::Integer(0), Value::Null],
    ];
    for (id, values) in ids.iter().zip(expected) {
        assert_eq!(seen(&storage, ALPHA, &entity, *id).await.unwrap().values, values);
    }
    given(&storage, ALPHA, &entity, [vec![Value::Null, Value::Integer(1), Value::Null]]).await;
    let mut own = installation(&storage).await;
    let archived = own.archived(&plugin("suite")).await.unwrap();
    assert_eq!(archived.len(), 1);
    assert!(own.purge_archived(&archived[0]).await.unwrap());
    own.commit().await.unwrap();
    assert_eq!(seen(&storage, ALPHA, &entity, ids[0]).await.unwrap().values[1], Value::Integer(3));
}

pub async fn a_step_shows_its_statements(storage: Arc<dyn Storage>) {
    for (before, _, after, _) in kinds() {
        let a = || unique("a", FieldType::String);
        let with_a = |fields: Vec<Field>| item([a()].into_iter().chain(fields).collect());
        for step in plan(&[with_a(before)], &[], &[with_a(after)]) {
            let statements = storage.statements(&step);
            let is_ledger_only =
                matches!(step.action, Action::RenameField { .. } | Action::ChangeField(_) | Action::Describe);
            assert!(is_ledger_only || !statements.is_empty(), "{step}");
            assert!(statements.iter().all(|sql| sql.contains("suite__item")), "{statements:?}");
        }
    }
}

pub async fn a_plan_that_is_stopped_anywhere_is_gone_on_with(storage: Arc<dyn Storage>) {
    let tenants = create_tenants(&storage).await;
    let before = || {
        vec![
            unique("a", FieldType::String),
            indexed("b", decimal(12, 2)),
            optional("c", FieldType::String),
            optional("d", FieldType::Integer),
        ]
    };
    let after = || {
        vec![
            unique("a", FieldType::String),
            indexed("b", decimal(14, 4)),
            searchable("c"),
            renamed(with_default(required("e", FieldType::Integer), Value::Integer(9)), "d"),
        ]
    };
    for stop in 0.. {
        let name = format!("suite.item{stop}");
        let old = declare(&storage, &name, before()).await;
        let rows = [
            vec![text("x"), Value::Decimal(150), text("Chai"), Value::Integer(1)],
            vec![text("y"), Value::Null, Value::Null, Value::Null],
        ];
        let ids = given(&storage, ALPHA, &old, rows).await;
        let wanted = schema(&name, after());
        let stopping: Arc<dyn Storage> =
            Arc::new(Intercepted::new(Arc::clone(&storage), Arc::new(StopsAt::after(stop))));
        let mut ended = Ok(());
        for step in steps(&storage, std::slice::from_ref(&wanted)).await {
            match evolve::make(&*stopping, &step, &tenants).await {
                Ok(made) => assert_eq!(made, Altered::Done, "{step}"),
                Err(error) => {
                    ended = Err(error);
                    break;
                }
            }
        }
        let entity = evolve_to(&storage, &tenants, &wanted).await;
        let expected = [
            [text("x"), Value::Decimal(15_000), text("Chai"), Value::Integer(1)],
            [text("y"), Value::Null, Value::Null, Value::Integer(9)],
        ];
        for (id, values) in ids.iter().zip(expected) {
            assert_eq!(
                seen(&storage, ALPHA, &entity, *id).await.unwrap().values,
                values,
                "stopped at {stop}"
            );
        }
        if ended.is_ok() {
            assert!(stop > 10, "{stop} places to be stopped at");
            return;
        }
    }
}

pub async fn a_table_that_was_altered_is_like_a_new_one(storage: Arc<dyn Storage>) {
    let tenants = create_tenants(&storage).await;
    // There and back, so that every column, index and constraint has been made and dropped.
    let a = || unique("a", FieldType::String);
    let one =
        item(vec![a(), required("b", FieldType::Integer), searchable("c"), indexed("d", decimal(9, 2))]);
    let other = item(vec![
        a(),
        unique("b", FieldType::String),
        optional("c", FieldType::Text),
        unique("d", decimal(12, 4)),
    ]);
    declare(&storage, "suite.item", one.fields().to_vec()).await;
    for wanted in [&other, &one, &other, &one] {
        let entity = evolve_to(&storage, &tenants, wanted).await;
        let row = |name: &str, number: i64| -> Vec<Value> {
            let values = wanted.fields().iter().map(|field| match (&field.field_type, field.name.as_str()) {
                (_, "a") => text(name),
                (FieldType::Integer, _) => Value::Integer(number),
                (FieldType::Decimal { .. }, _) => Value::Decimal(number),
                _ => text(&number.to_string()),
            });
            values.collect()
        };
        let ids = given(&storage, ALPHA, &entity, [row("x", 1), row("y", 2)]).await;
        let mut transaction = write(&storage, ALPHA).await;
        for (position, field) in wanted.fields().iter().enumerate().filter(|(_, field)| field.unique) {
            let mut values = row("z", 3);
            values[position] = row("x", 1)[position].clone();
            let record = NewRecord { id: new_id(), values: &values };
            let taken = InsertOutcome::Violates(Violation::Unique(field.name.clone()));
            assert_eq!(transaction.insert(&entity, record, stamp()).await.unwrap(), taken, "{}", field.name);
        }
        for id in ids {
            transaction.delete(&entity, id, stamp()).await.unwrap();
        }
        transaction.commit(None).await.unwrap();
        let mut transaction = trial(&storage, ALPHA).await;
        transaction.purge(&entity, crate::fixture::time(1000), 10).await.unwrap();
        transaction.commit(None).await.unwrap();
    }
}
