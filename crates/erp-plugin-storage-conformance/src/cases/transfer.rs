//! From one database to another.

use std::sync::Arc;

use erp_plugin_model::event::Delivery;
use erp_plugin_model::filter::Filter;
use erp_plugin_model::fold::fold;
use erp_plugin_model::{FieldType, Value};
use erp_plugin_storage::copy::{CopyError, CopyReport, Step, copy, verify};
use erp_plugin_storage::erase::erase;
use erp_plugin_storage::transfer::{TenantTable, Transfer};
use erp_plugin_storage::{
    Change, DeadLetterFilter, Entity, ErrorKind, InsertOutcome, Mode, NewRecord, PlatformScope,
    RestoreOutcome, Storage, TenantState, UpdateOutcome, Violation,
};

use super::series::take;
use crate::estate::{self, Entities};
use crate::fixture::{
    ALPHA, BETA, Collect, declare, done, event, field_name, given, json, matching, new_id, optional, options,
    platform, publish, read, scope, seen, stamp, tenant, text, time, update, work, write,
};
use crate::killed::Killed;

pub(super) fn storage(transfer: &Arc<dyn Transfer>) -> Arc<dyn Storage> {
    Arc::clone(transfer) as Arc<dyn Storage>
}

async fn copied(source: &Arc<dyn Transfer>, target: &Arc<dyn Transfer>) -> CopyReport {
    copy(&**source, &**target, &mut |_| {}).await.unwrap()
}

fn assert_equal(report: &CopyReport) {
    let unequal: Vec<_> = report.tables.iter().filter(|table| !table.is_equal()).collect();
    assert!(unequal.is_empty() && report.is_equal(), "{unequal:#?}");
}

/// Every table of a tenant.
pub(super) fn tables(entities: &Entities) -> Vec<TenantTable<'_>> {
    let records = [&entities.code, &entities.sample, &entities.note];
    records
        .map(|entity| TenantTable::Records(entity.schema()))
        .into_iter()
        .chain(TenantTable::SYSTEM)
        .collect()
}

pub(super) async fn rows(
    transfer: &Arc<dyn Transfer>,
    name: &str,
    table: TenantTable<'_>,
    page: u32,
) -> Vec<Vec<Value>> {
    let mut transaction = transfer.begin_transfer(&scope(name), options(Mode::Read)).await.unwrap();
    let mut all: Vec<Vec<Value>> = Vec::new();
    loop {
        let last = all.last().map(|row| row[..table.key()].to_vec());
        let rows = transaction.export(table, last.as_deref(), page).await.unwrap();
        assert!(rows.len() <= page as usize);
        if rows.is_empty() {
            return all;
        }
        all.extend(rows);
    }
}

pub async fn rows_come_in_the_order_of_their_keys_a_page_at_a_time(
    source: Arc<dyn Transfer>,
    _: Arc<dyn Transfer>,
) {
    let estate = estate::fill(&source).await;
    for table in tables(&estate.entities) {
        let all = rows(&source, ALPHA, table, 1000).await;
        assert!(!all.is_empty(), "{}", table.name());
        assert_eq!(rows(&source, ALPHA, table, 2).await, all, "{}", table.name());
        for row in &all {
            assert_eq!(row.len(), table.columns().len(), "{}", table.name());
        }
    }
    // Deleted ones are among them.
    let codes = rows(&source, ALPHA, TenantTable::Records(estate.entities.code.schema()), 10).await;
    let deleted = codes.iter().find(|row| row[0] == Value::Uuid(estate.codes[2].0)).unwrap();
    assert_eq!(deleted[6..], [Value::DateTime(time(0)), text("anna"), text("c"), Value::Integer(1)]);
    let places = rows(&source, ALPHA, TenantTable::UnnumberedEvents, 2).await;
    let place = |row: &Vec<Value>| (row[0].clone(), row[4].clone());
    let published = [50, 51, 53].map(|n| text(&format!("{{\"n\":{n}}}")));
    let expected: Vec<_> = (1..).map(Value::Integer).zip(published).collect();
    assert_eq!(places.iter().map(place).collect::<Vec<_>>(), expected);
}

pub async fn rows_are_this_tenants_alone(source: Arc<dyn Transfer>, _: Arc<dyn Transfer>) {
    let estate = estate::fill(&source).await;
    for table in tables(&estate.entities) {
        assert!(rows(&source, "gamma", table, 10).await.is_empty(), "{}", table.name());
    }
    let table = TenantTable::Records(estate.entities.code.schema());
    let ids = |rows: Vec<Vec<Value>>| rows.into_iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    let (alpha, beta) =
        (ids(rows(&source, ALPHA, table, 10).await), ids(rows(&source, BETA, table, 10).await));
    assert!(alpha.len() == 4 && beta.len() == 4 && alpha.iter().all(|id| !beta.contains(id)));
}

pub async fn rows_are_taken_in_only_where_tables_may_be_made(
    source: Arc<dyn Transfer>,
    _: Arc<dyn Transfer>,
) {
    let row = vec![text("suite"), text("colour"), text("1")];
    for mode in [Mode::Read, Mode::Write] {
        let mut transaction = source.begin_transfer(&scope(ALPHA), options(mode)).await.unwrap();
        let refused = transaction.import(TenantTable::Config, std::slice::from_ref(&row)).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Bug);
    }
    let mut transaction = source.begin_transfer(&scope(ALPHA), options(Mode::Migrate)).await.unwrap();
    transaction.import(TenantTable::Config, std::slice::from_ref(&row)).await.unwrap();
    transaction.rollback(None).await.unwrap();
    assert!(rows(&source, ALPHA, TenantTable::Config, 10).await.is_empty());
}

pub async fn the_platforms_own_tables_are_told(source: Arc<dyn Transfer>, _: Arc<dyn Transfer>) {
    let own = options(Mode::Read);
    estate::fill(&source).await;
    let mut transaction =
        source.begin_platform_transfer(PlatformScope::granted_by_host(), own).await.unwrap();
    let tenants = transaction.tenants_with_times().await.unwrap();
    assert_eq!(tenants, [(tenant(ALPHA), time(8)), (tenant(BETA), time(7))]);
    let tables = transaction.entity_tables().await.unwrap();
    let told: Vec<_> = tables.iter().map(|table| (table.name.to_string(), table.dynamic)).collect();
    let expected = [("suite.code", false), ("suite.note", true), ("suite.sample", false)];
    assert_eq!(told, expected.map(|(name, dynamic)| (name.to_owned(), dynamic)));
    assert_eq!(tables[0].definition, Entities::new().code.schema().to_definition());
}

pub async fn everything_arrives_and_counts_and_hashes_agree(
    source: Arc<dyn Transfer>,
    target: Arc<dyn Transfer>,
) {
    let estate = estate::fill(&source).await;
    let report = copied(&source, &target).await;
    assert_equal(&report);
    // Seven tables of the platform, and nineteen of each tenant, all of them with something in.
    assert_eq!(report.tables.len(), 7 + 2 * 19);
    for table in &report.tables {
        assert!(table.source.rows > 0, "{table:?}");
    }
    for table in tables(&estate.entities) {
        for name in [ALPHA, BETA] {
            let (ours, theirs) =
                (rows(&source, name, table, 1000).await, rows(&target, name, table, 1000).await);
            assert_eq!(ours, theirs, "{}", table.name());
        }
    }
    let versions = |transfer: &Arc<dyn Transfer>| {
        let storage = storage(transfer);
        async move { platform(&storage).await.versions().await.unwrap() }
    };
    assert_eq!(versions(&source).await, versions(&target).await);
}

pub async fn what_arrived_can_be_worked_with(source: Arc<dyn Transfer>, target: Arc<dyn Transfer>) {
    let estate = estate::fill(&source).await;
    assert_equal(&copied(&source, &target).await);
    let (ours, target, copies) = (storage(&source), storage(&target), Entities::new());
    let [live, changed, deleted] = estate.codes;
    for id in [live, changed, deleted] {
        let original = seen(&ours, ALPHA, &estate.entities.code, id).await;
        assert_eq!(seen(&target, ALPHA, &copies.code, id).await, original);
    }
    let mut transaction = write(&target, ALPHA).await;
    let folded = Filter::FoldedEq(0, fold("STRASSE"));
    let found = matching(&mut *transaction, &copies.code, &folded).await;
    let expected = matching(&mut *read(&ours, ALPHA).await, &estate.entities.code, &folded).await;
    assert_eq!(found, expected);
    let change = [(1, Value::Integer(3))];
    let (outcome, _) = update(&mut *transaction, &copies.code, changed, 2, Change::Fields(&change)).await;
    assert_eq!(outcome, UpdateOutcome::Written);
    let values = [text("b"), Value::Null];
    let outcome =
        transaction.insert(&copies.code, NewRecord { id: new_id(), values: &values }, stamp()).await;
    assert_eq!(outcome.unwrap(), InsertOutcome::Violates(Violation::Unique(field_name("code"))));
    let mut sink = Collect::of(&copies.code, &[]);
    let outcome = transaction.restore(&copies.code, deleted, stamp(), &mut sink).await.unwrap();
    assert_eq!(outcome, RestoreOutcome::Violates(Violation::Unique(field_name("code"))));
    // A series goes on, and does not begin anew.
    assert_eq!(take(&mut *transaction, "INV-2026-{}", 1).await, 4);
    let document = [("x".to_owned(), json("2"))];
    let (outcome, _) =
        update(&mut *transaction, &copies.note, estate.note, 1, Change::Document(&document)).await;
    assert_eq!(outcome, UpdateOutcome::Written);
    transaction.commit(None).await.unwrap();
}

/// Works everything off, and returns what was delivered, stream by stream in its order: which of two streams has its turn
/// first, a backend may decide. One delivery ends with its second attempt only.
pub(super) async fn deliveries(storage: &Arc<dyn Storage>) -> Vec<Delivery> {
    let mut all = Vec::new();
    for round in 0.. {
        let claimed = work(storage).await;
        if claimed.is_empty() {
            break;
        }
        for delivery in &claimed {
            let failing = (delivery.plugin.as_str(), delivery.key.as_str()) == ("other", "k");
            if round > 0 || !failing {
                done(storage, delivery).await;
            }
        }
        all.extend(claimed);
    }
    all.sort_by_key(|delivery| {
        let stream = (delivery.tenant.to_string(), delivery.plugin.to_string(), delivery.key.clone());
        (stream, delivery.token)
    });
    all
}

pub async fn dispatch_goes_on_where_the_source_stopped(source: Arc<dyn Transfer>, target: Arc<dyn Transfer>) {
    estate::fill(&source).await;
    assert_equal(&copied(&source, &target).await);
    let (source, target) = (storage(&source), storage(&target));
    let late = [event("order.created", "k", 90), event("order.created", "late", 91)];
    let goes_on = async |storage| {
        let dead =
            platform(storage).await.dead_letters(&DeadLetterFilter::default(), None, 10).await.unwrap();
        publish(storage, ALPHA, &late).await;
        (dead, deliveries(storage).await)
    };
    let (ours, theirs) = (goes_on(&source).await, goes_on(&target).await);
    assert!(ours.0.len() == 1 && ours.1.len() > 10, "{ours:?}");
    assert_eq!(ours, theirs);
    // Those that were published after the copy came last in their stream.
    let payloads: Vec<_> = theirs
        .1
        .iter()
        .filter(|delivery| {
            (delivery.tenant.as_str(), delivery.plugin.as_str(), delivery.key.as_str())
                == (ALPHA, "suite", "k")
        })
        .map(|delivery| delivery.payload.as_str())
        .collect();
    let last = [r#"{"n":50}"#, r#"{"n":51}"#, r#"{"n":53}"#, r#"{"n":90}"#];
    assert!(payloads.ends_with(&last), "{payloads:?}");
}

pub async fn a_copy_that_was_killed_after_any_page_goes_on(
    source: Arc<dyn Transfer>,
    target: Arc<dyn Transfer>,
) {
    estate::fill(&source).await;
    let mut kills = 0;
    let report = loop {
        // Tables and tenants are looked at each time, so of three one is new.
        let killed = Killed::after(&target, 3);
        match killed.ends(copy(&*source, &killed, &mut |_| {})).await {
            Some(done) => break done.unwrap(),
            None => kills += 1,
        }
        assert!(kills < 100);
    };
    assert!(kills > 20, "{kills}");
    assert_equal(&report);
}

pub async fn copying_again_writes_nothing(source: Arc<dyn Transfer>, target: Arc<dyn Transfer>) {
    estate::fill(&source).await;
    let first = copied(&source, &target).await;
    let mut steps = Vec::new();
    let again = copy(&*source, &*target, &mut |progress| steps.push(progress.step)).await.unwrap();
    assert_eq!(first, again);
    assert!(steps.contains(&Step::Compared) && !steps.contains(&Step::Copied), "{steps:?}");
}

pub async fn a_target_that_holds_other_things_is_refused_and_left_alone(
    source: Arc<dyn Transfer>,
    target: Arc<dyn Transfer>,
) {
    estate::fill(&source).await;
    let mut own = platform(&storage(&target)).await;
    own.create_tenant(&tenant("gamma"), time(1)).await.unwrap();
    own.commit().await.unwrap();
    let refused = copy(&*source, &*target, &mut |_| {}).await.unwrap_err();
    assert!(matches!(refused, CopyError::TargetDiffers { tenant: None, .. }), "{refused:?}");
    assert!(refused.to_string().contains("the tenant gamma"), "{refused}");
    let mut own = platform(&storage(&target)).await;
    assert_eq!(own.tenants().await.unwrap(), [tenant("gamma")]);
    assert!(own.versions().await.unwrap().is_empty() && own.system_config().await.unwrap().is_empty());
}

/// Changes a record's number in a copy.
async fn change(storage: &Arc<dyn Storage>, estate: &estate::Estate) {
    let (copies, change) = (Entities::new(), [(1, Value::Integer(7))]);
    let mut transaction = write(storage, ALPHA).await;
    let (outcome, _) =
        update(&mut *transaction, &copies.code, estate.codes[0], 1, Change::Fields(&change)).await;
    assert_eq!(outcome, UpdateOutcome::Written);
    transaction.commit(None).await.unwrap();
}

pub async fn a_record_that_differs_is_named_before_anything_is_written(
    source: Arc<dyn Transfer>,
    target: Arc<dyn Transfer>,
) {
    let estate = estate::fill(&source).await;
    // All tables and tenants are there, and one page: the rest is not.
    let killed = Killed::after(&target, 7);
    assert!(killed.ends(copy(&*source, &killed, &mut |_| {})).await.is_none());
    change(&storage(&target), &estate).await;
    let before = verify(&*source, &*target, &mut |_| {}).await.unwrap();
    let refused = copy(&*source, &*target, &mut |_| {}).await.unwrap_err().to_string();
    let id = estate.codes[0].0.to_string();
    assert!(refused.contains("suite.code") && refused.contains(&id) && refused.contains(ALPHA), "{refused}");
    assert_eq!(verify(&*source, &*target, &mut |_| {}).await.unwrap(), before);
}

pub async fn a_record_changed_in_the_target_is_found(source: Arc<dyn Transfer>, target: Arc<dyn Transfer>) {
    let estate = estate::fill(&source).await;
    copied(&source, &target).await;
    change(&storage(&target), &estate).await;
    let report = verify(&*source, &*target, &mut |_| {}).await.unwrap();
    assert!(!report.is_equal());
    let unequal: Vec<_> = report.tables.iter().filter(|table| !table.is_equal()).collect();
    let [table] = unequal[..] else { panic!("{unequal:?}") };
    assert_eq!((table.tenant.as_ref(), table.table.as_str()), (Some(&tenant(ALPHA)), "suite.code"));
    assert_eq!(table.source.rows, table.target.rows);
}

pub async fn a_table_that_no_version_declares_arrives_too(
    source: Arc<dyn Transfer>,
    target: Arc<dyn Transfer>,
) {
    let entity: Entity =
        declare(&storage(&source), "lost.thing", vec![optional("n", FieldType::Integer)]).await;
    let mut own = platform(&storage(&source)).await;
    own.create_tenant(&tenant(ALPHA), time(1)).await.unwrap();
    own.commit().await.unwrap();
    let id = given(&storage(&source), ALPHA, &entity, [vec![Value::Integer(7)]]).await[0];
    copied(&source, &target).await;
    let arrived = Entity::new(entity.schema().clone());
    assert!(seen(&storage(&target), ALPHA, &arrived, id).await.is_some());
}

pub async fn a_suspended_tenant_arrives_suspended(source: Arc<dyn Transfer>, target: Arc<dyn Transfer>) {
    estate::fill(&source).await;
    let mut own = platform(&storage(&source)).await;
    assert!(own.set_tenant_state(&tenant(BETA), TenantState::Suspended).await.unwrap());
    own.commit().await.unwrap();
    assert_equal(&copied(&source, &target).await);
    let mut own = platform(&storage(&target)).await;
    assert_eq!(own.suspended_tenants().await.unwrap(), [tenant(BETA)]);
    assert!(own.set_tenant_state(&tenant(BETA), TenantState::Active).await.unwrap());
    own.commit().await.unwrap();
    assert!(!verify(&*source, &*target, &mut |_| {}).await.unwrap().is_equal());
}

pub async fn the_others_are_as_they_were_after_one_has_left(
    source: Arc<dyn Transfer>,
    target: Arc<dyn Transfer>,
) {
    let estate = estate::fill(&source).await;
    copied(&source, &target).await;
    erase(&*target, &tenant(ALPHA), &mut |_| {}).await.unwrap();
    for table in tables(&estate.entities) {
        let ours = rows(&source, BETA, table, 1000).await;
        assert!(!ours.is_empty(), "{}", table.name());
        assert_eq!(rows(&target, BETA, table, 1000).await, ours, "{}", table.name());
        assert!(rows(&target, ALPHA, table, 10).await.is_empty(), "{}", table.name());
    }
}
