//! Sorts and cursors: one total order, absent values last, and pages that neither skip nor repeat.

use std::sync::Arc;

use erp_plugin_model::filter::{Column, Filter};
use erp_plugin_model::page::{Page, SortKey, Start};
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::{FieldType, RecordId, Value};
use erp_plugin_storage::{Entity, Storage, Transaction};

use crate::fixture::{
    ALPHA, Collect, compare, declare, every_type, given, indexed, insert, money, optional, page, query, read,
    required, text, time, unique, write,
};
use crate::model::{self, Record};

fn key(position: usize, descending: bool) -> SortKey {
    SortKey { column: Column::Field(position), descending }
}

fn id_key(descending: bool) -> SortKey {
    SortKey { column: Column::System(SystemField::Id), descending }
}

/// Follows the cursor to the end.
async fn walk(
    transaction: &mut dyn Transaction,
    entity: &Entity,
    filter: &Filter,
    sort: &[SortKey],
    limit: u32,
) -> Vec<RecordId> {
    let mut ids = Vec::new();
    let mut start = Start::Offset(0);
    loop {
        let page = Page { limit, sort: sort.to_vec(), start, total: false };
        let mut sink = Collect::of(entity, &page.sort);
        let outcome = transaction.query(entity, filter, &page, &mut sink).await.unwrap();
        assert!(sink.found.len() <= limit as usize);
        // A cursor that stands still would never come to the end.
        assert!(sink.found.iter().all(|found| !ids.contains(&found.id)), "twice, {limit}: {sort:?}");
        ids.extend(sink.found.iter().map(|found| found.id));
        if !outcome.has_more {
            return ids;
        }
        start = Start::After(sink.cursors.pop().unwrap());
    }
}

/// In the model's order, whatever the size of the page, by cursor and by offset.
async fn agrees(transaction: &mut dyn Transaction, entity: &Entity, records: &[Record], sort: &[SortKey]) {
    let mut expected = records.to_vec();
    model::sort(&mut expected, sort);
    let expected: Vec<_> = expected.into_iter().map(|record| record.id).collect();
    let everything = Filter::everything();
    for limit in [1, 2, 3, 7, 1000] {
        assert_eq!(walk(transaction, entity, &everything, sort, limit).await, expected, "{limit}: {sort:?}");
        let mut by_offset = Vec::new();
        for offset in (0..expected.len() as u64).step_by(limit as usize) {
            let page = Page { limit, sort: sort.to_vec(), start: Start::Offset(offset), total: false };
            by_offset.extend(
                query(transaction, entity, &everything, &page).await.1.into_iter().map(|found| found.id),
            );
        }
        assert_eq!(by_offset, expected, "by offset, {limit}: {sort:?}");
    }
}

async fn modelled(storage: &Arc<dyn Storage>, entity: &Entity, rows: Vec<Vec<Value>>) -> Vec<Record> {
    let ids = given(storage, ALPHA, entity, rows.clone()).await;
    ids.into_iter().zip(rows).map(|(id, values)| Record { id, version: 1, values }).collect()
}

pub async fn absent_values_come_last_in_both_directions(storage: Arc<dyn Storage>) {
    // Without an index, with one, and with a unique one.
    for (entity, field) in [
        ("suite.plain", optional("n", FieldType::Integer)),
        ("suite.indexed", indexed("n", FieldType::Integer)),
        ("suite.unique", unique("n", FieldType::Integer)),
    ] {
        let entity = declare(&storage, entity, vec![field]).await;
        let rows = [None, Some(2), None, Some(1), Some(3), None];
        let rows = rows.map(|n| vec![n.map_or(Value::Null, Value::Integer)]).into();
        let records = modelled(&storage, &entity, rows).await;
        let mut transaction = read(&storage, ALPHA).await;
        for descending in [false, true] {
            for id_descending in [false, true] {
                let sort = [key(0, descending), id_key(id_descending)];
                agrees(&mut *transaction, &entity, &records, &sort).await;
            }
        }
    }
}

pub async fn pages_neither_skip_nor_repeat_on_equal_keys(storage: Arc<dyn Storage>) {
    let fields = vec![
        optional("a", FieldType::Integer),
        indexed("b", FieldType::String),
        required("c", FieldType::Boolean),
    ];
    let entity = declare(&storage, "suite.sample", fields).await;
    let mut rows = Vec::new();
    for number in 0..40_i64 {
        let a = if number % 5 == 0 { Value::Null } else { Value::Integer(number % 3) };
        let b = if number % 7 == 0 { Value::Null } else { text(["x", "y"][(number % 2) as usize]) };
        rows.push(vec![a, b, Value::Boolean(number % 4 == 0)]);
    }
    let records = modelled(&storage, &entity, rows).await;
    let mut transaction = read(&storage, ALPHA).await;
    for directions in 0..16 {
        let down = |bit: u32| directions & (1 << bit) != 0;
        let sort = [key(0, down(0)), key(1, down(1)), key(2, down(2)), id_key(down(3))];
        agrees(&mut *transaction, &entity, &records, &sort).await;
        let sort = [key(2, down(2)), key(1, down(1)), id_key(down(3))];
        agrees(&mut *transaction, &entity, &records, &sort).await;
    }
}

pub async fn every_type_sorts_and_pages(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", every_type()).await;
    let date = |text: &str| Value::Date(text.parse().unwrap());
    let columns: [(usize, Vec<Value>); 8] = [
        (0, ["b", "", "B", "ä", "\u{FFFF}", "\u{1F600}", "b"].map(text).into()),
        (2, [5, i64::MIN, (1 << 53) + 1, 1 << 53, i64::MAX, 5].map(Value::Integer).into()),
        (3, [5, -999_999_999_999_999_999, 999_999_999_999_999_999, 5].map(Value::Decimal).into()),
        (4, [true, false, true, false].map(Value::Boolean).into()),
        (5, ["2026-01-31", "0001-01-01", "9999-12-31", "2026-01-31"].map(date).into()),
        (6, [1, -62_135_596_800, 0, 1].map(|at| Value::DateTime(time(at))).into()),
        (7, [1, u128::MAX, 0, 1].map(|n| Value::Uuid(uuid::Uuid::from_u128(n))).into()),
        (8, ["open", "closed", "open"].map(text).into()),
    ];
    let rows = columns.iter().flat_map(|(position, values)| {
        values.iter().map(|value| {
            let mut row = vec![Value::Null; 12];
            row[*position] = value.clone();
            row
        })
    });
    let rows: Vec<_> = rows.collect();
    let records = modelled(&storage, &entity, rows).await;
    let mut transaction = read(&storage, ALPHA).await;
    for (position, _) in columns {
        for descending in [false, true] {
            let sort = [key(position, descending), id_key(false)];
            agrees(&mut *transaction, &entity, &records, &sort).await;
        }
    }
}

pub async fn the_hosts_own_fields_sort_and_page(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("price", money())]).await;
    let ids = given(&storage, ALPHA, &entity, (0..5).map(|n| vec![Value::Decimal(n)])).await;
    let mut transaction = read(&storage, ALPHA).await;
    for field in SystemField::ALL {
        for descending in [false, true] {
            let mut sort = vec![SortKey { column: Column::System(field), descending }];
            if field != SystemField::Id {
                sort.push(id_key(descending));
            }
            let mut expected = ids.clone();
            if descending {
                expected.reverse();
            }
            for limit in [1, 2, 10] {
                let walked = walk(&mut *transaction, &entity, &Filter::everything(), &sort, limit).await;
                assert_eq!(walked, expected, "{field:?} {descending} {limit}");
            }
        }
    }
}

pub async fn a_cursor_keeps_its_place_while_records_come_and_go(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![required("n", FieldType::Integer)]).await;
    let ids = given(&storage, ALPHA, &entity, (0..6).map(|n| vec![Value::Integer(n * 10)])).await;
    let sort = vec![key(0, false), id_key(false)];
    let mut transaction = write(&storage, ALPHA).await;
    let first = Page { limit: 3, sort: sort.clone(), start: Start::Offset(0), total: false };
    let mut sink = Collect::of(&entity, &sort);
    transaction.query(&entity, &Filter::everything(), &first, &mut sink).await.unwrap();
    let cursor = sink.cursors.pop().unwrap();
    // Before the cursor, behind it, and the very record it stands on.
    insert(&mut *transaction, &entity, &[Value::Integer(5)]).await;
    let behind = insert(&mut *transaction, &entity, &[Value::Integer(35)]).await;
    transaction.delete(&entity, ids[2], crate::fixture::stamp()).await.unwrap();
    let next = Page { start: Start::After(cursor), limit: 10, ..first };
    let (_, found) = query(&mut *transaction, &entity, &Filter::everything(), &next).await;
    let found: Vec<_> = found.into_iter().map(|found| found.id).collect();
    assert_eq!(found, [ids[3], behind, ids[4], ids[5]]);
}

pub async fn a_cursor_works_together_with_a_filter(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![indexed("n", FieldType::Integer)]).await;
    let ids = given(&storage, ALPHA, &entity, (0..30).map(|n| vec![Value::Integer(n % 10)])).await;
    let mut transaction = read(&storage, ALPHA).await;
    let filter = compare(0, erp_plugin_model::filter::Comparison::Gte, Value::Integer(7));
    let sort = [key(0, true), id_key(false)];
    let expected: Vec<_> = [9, 8, 7].into_iter().flat_map(|n| [ids[n], ids[n + 10], ids[n + 20]]).collect();
    for limit in [1, 2, 4, 100] {
        assert_eq!(walk(&mut *transaction, &entity, &filter, &sort, limit).await, expected);
    }
}

pub async fn a_page_of_the_last_records_has_no_more(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![required("n", FieldType::Integer)]).await;
    let ids = given(&storage, ALPHA, &entity, (0..4).map(|n| vec![Value::Integer(n)])).await;
    let mut transaction = read(&storage, ALPHA).await;
    let after = |id: RecordId| Page { start: Start::After(vec![Value::Uuid(id.0)]), ..page(2) };
    let (outcome, found) = query(&mut *transaction, &entity, &Filter::everything(), &after(ids[1])).await;
    assert_eq!((found.len(), outcome.has_more), (2, false));
    let (outcome, found) = query(&mut *transaction, &entity, &Filter::everything(), &after(ids[3])).await;
    assert_eq!((found.len(), outcome.has_more), (0, false));
}
