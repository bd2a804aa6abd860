//! Searches that ignore case, by the folds that are kept beside a searchable field's text.

use std::sync::Arc;

use erp_plugin_model::filter::Filter;
use erp_plugin_model::fold::fold;
use erp_plugin_model::{Field, FieldType, RecordId, Value, Version};
use erp_plugin_storage::{
    Change, Entity, ErrorKind, InsertOutcome, NewRecord, RecordUpdate, Storage, Transaction,
};

use crate::fixture::{
    ALPHA, BETA, Collect, declare, get, given, insert, matching, new_id, optional, page, query, read, stamp,
    text, unique, update, write,
};

async fn titled(storage: &Arc<dyn Storage>) -> Entity {
    let searchable = |field: Field| Field { searchable: true, ..field };
    let fields = vec![
        optional("n", FieldType::Integer),
        searchable(optional("title", FieldType::String)),
        optional("other", FieldType::String),
        searchable(unique("code", FieldType::String)),
    ];
    declare(storage, "suite.book", fields).await
}

const TITLE: usize = 1;
const OTHER: usize = 2;
const CODE: usize = 3;

fn row(title: &str) -> Vec<Value> {
    vec![Value::Null, text(title), text(title), Value::Null]
}

fn is(title: &str) -> Filter {
    Filter::FoldedEq(TITLE, fold(title))
}

fn begins(title: &str) -> Filter {
    Filter::FoldedPrefix(TITLE, fold(title))
}

async fn finds(transaction: &mut dyn Transaction, entity: &Entity, filter: Filter) -> Vec<RecordId> {
    matching(transaction, entity, &filter).await
}

pub async fn a_search_ignores_case_in_every_script(storage: Arc<dyn Storage>) {
    let entity = titled(&storage).await;
    for (kept, wanted) in [
        ("Chai", "CHAI"),
        ("Straße", "STRASSE"),
        ("STRASSE", "straße"),
        ("ΟΔΟΣ", "οδος"),
        ("οδός", "ΟΔΌΣ"),
        ("Ünïcödé", "üNÏCÖDÉ"),
        ("Привет", "ПРИВЕТ"),
        ("İstanbul", "i\u{307}stanbul"),
        ("ﬁsh", "FISH"),
        ("名前 Name", "名前 nAME"),
        ("\u{1F600} \u{10428}", "\u{1F600} \u{10400}"),
        ("", ""),
    ] {
        let mut transaction = write(&storage, ALPHA).await;
        let id = insert(&mut *transaction, &entity, &row(kept)).await;
        insert(&mut *transaction, &entity, &row("another")).await;
        assert_eq!(finds(&mut *transaction, &entity, is(wanted)).await, [id], "{kept} {wanted}");
        let wanted: String = wanted.chars().take(3).collect();
        let begins_with_it = finds(&mut *transaction, &entity, begins(&wanted)).await;
        assert_eq!(begins_with_it[0], id, "{kept} {wanted}");
        assert_eq!(begins_with_it.len(), if wanted.is_empty() { 2 } else { 1 }, "{kept} {wanted}");
    }
}

pub async fn a_search_makes_a_difference_of_all_but_case(storage: Arc<dyn Storage>) {
    let entity = titled(&storage).await;
    let titles = ["resume", "Résumé", "re\u{301}sume\u{301}", "resume ", " resume", "名前", "名 前"];
    let ids = given(&storage, ALPHA, &entity, titles.map(row)).await;
    let mut transaction = read(&storage, ALPHA).await;
    for (id, title) in ids.iter().zip(titles) {
        assert_eq!(finds(&mut *transaction, &entity, is(title)).await, [*id], "{title}");
    }
    assert_eq!(finds(&mut *transaction, &entity, begins("RE")).await, [ids[0], ids[2], ids[3]]);
    assert_eq!(finds(&mut *transaction, &entity, is("%")).await, []);
    assert_eq!(finds(&mut *transaction, &entity, begins("_esume")).await, []);
}

pub async fn a_search_is_one_condition_among_others(storage: Arc<dyn Storage>) {
    let entity = titled(&storage).await;
    let titles = ["Chai", "chai", "CHANG", "Tofu"];
    let mut rows: Vec<_> = titles.into_iter().map(row).collect();
    rows.push(vec![Value::Null; 4]);
    let ids = given(&storage, ALPHA, &entity, rows).await;
    given(&storage, BETA, &entity, [row("CHAI")]).await;
    let mut transaction = write(&storage, ALPHA).await;
    transaction.delete(&entity, ids[1], stamp()).await.unwrap();
    assert_eq!(finds(&mut *transaction, &entity, is("CHAI")).await, [ids[0]]);
    assert_eq!(finds(&mut *transaction, &entity, begins("cha")).await, [ids[0], ids[2]]);
    // An absent value is found by no search, and by the opposite of each.
    let not = Filter::Not(Box::new(begins("CHA")));
    assert_eq!(finds(&mut *transaction, &entity, not).await, [ids[3], ids[4]]);
    let either = Filter::Any(vec![is("tofu"), begins("chan")]);
    assert_eq!(finds(&mut *transaction, &entity, either).await, [ids[2], ids[3]]);
    let (_, found) = query(&mut *transaction, &entity, &begins("CHA"), &page(1)).await;
    assert_eq!(found[0].values, row("Chai"), "a row shows its own fields and no fold");
}

pub async fn a_search_follows_every_write(storage: Arc<dyn Storage>) {
    let entity = titled(&storage).await;
    let mut transaction = write(&storage, ALPHA).await;
    let id = insert(&mut *transaction, &entity, &row("Before")).await;
    for (version, title) in [(1, text("AFTER")), (2, Value::Null), (3, text("Again"))] {
        let change = [(TITLE, title.clone())];
        update(&mut *transaction, &entity, id, version, Change::Fields(&change)).await;
        assert_eq!(finds(&mut *transaction, &entity, is("before")).await, []);
        let expected = if version == 1 { vec![id] } else { Vec::new() };
        assert_eq!(finds(&mut *transaction, &entity, is("after")).await, expected);
    }
    // An update of another field leaves the fold, and so do a deletion and its undoing.
    let change = [(0, Value::Integer(1)), (OTHER, text("x"))];
    update(&mut *transaction, &entity, id, 4, Change::Fields(&change)).await;
    assert_eq!(finds(&mut *transaction, &entity, is("AGAIN")).await, [id]);
    transaction.delete(&entity, id, stamp()).await.unwrap();
    assert_eq!(finds(&mut *transaction, &entity, is("AGAIN")).await, []);
    transaction.restore(&entity, id, stamp(), &mut Collect::of(&entity, &[])).await.unwrap();
    assert_eq!(finds(&mut *transaction, &entity, is("AGAIN")).await, [id]);
    // Several at once.
    let (one, two) = (new_id(), new_id());
    let rows = [row("One"), row("Two")];
    let records = [NewRecord { id: one, values: &rows[0] }, NewRecord { id: two, values: &rows[1] }];
    let outcomes = transaction.insert_many(&entity, &records, stamp()).await.unwrap();
    assert_eq!(outcomes, [InsertOutcome::Inserted, InsertOutcome::Inserted]);
    assert_eq!(finds(&mut *transaction, &entity, is("TWO")).await, [two]);
    let (uno, none) = ([(TITLE, text("Uno"))], [(TITLE, Value::Null)]);
    let updates = [
        RecordUpdate { id: two, expected: Version::FIRST, change: Change::Fields(&none) },
        RecordUpdate { id: one, expected: Version::FIRST, change: Change::Fields(&uno) },
    ];
    transaction.update_many(&entity, &updates, stamp(), &mut Collect::of(&entity, &[])).await.unwrap();
    for (title, expected) in [("one", vec![]), ("two", vec![]), ("UNO", vec![one])] {
        assert_eq!(finds(&mut *transaction, &entity, is(title)).await, expected, "{title}");
    }
    assert_eq!(get(&mut *transaction, &entity, two).await.unwrap().values[TITLE], Value::Null);
}

pub async fn a_searchable_unique_field_is_unique_by_its_very_text(storage: Arc<dyn Storage>) {
    let entity = titled(&storage).await;
    let coded = |code: &str| vec![Value::Null, Value::Null, Value::Null, text(code)];
    let ids = given(&storage, ALPHA, &entity, [coded("Ab"), coded("aB")]).await;
    let mut transaction = read(&storage, ALPHA).await;
    assert_eq!(finds(&mut *transaction, &entity, Filter::FoldedEq(CODE, fold("AB"))).await, ids);
}

pub async fn the_longest_text_is_found_by_its_beginning(storage: Arc<dyn Storage>) {
    let entity = titled(&storage).await;
    // Its fold would be longer than a string may be, and ends there.
    let long = "ΐ".repeat(500);
    let id = given(&storage, ALPHA, &entity, [row(&long)]).await[0];
    let mut transaction = read(&storage, ALPHA).await;
    assert_eq!(finds(&mut *transaction, &entity, is(&long)).await, [id]);
    assert_eq!(finds(&mut *transaction, &entity, begins(&long)).await, [id]);
    assert_eq!(finds(&mut *transaction, &entity, begins("ΐΐ")).await, [id]);
}

pub async fn only_a_searchable_field_can_be_searched(storage: Arc<dyn Storage>) {
    let entity = titled(&storage).await;
    let mut transaction = write(&storage, ALPHA).await;
    for filter in [
        Filter::FoldedEq(OTHER, "a".to_owned()),
        Filter::FoldedPrefix(0, "a".to_owned()),
        Filter::FoldedPrefix(9, "a".to_owned()),
    ] {
        let mut sink = Collect::of(&entity, &[]);
        let refused = transaction.query(&entity, &filter, &page(1), &mut sink).await;
        assert_eq!(refused.unwrap_err().kind, ErrorKind::Bug, "{filter:?}");
    }
    insert(&mut *transaction, &entity, &row("goes on")).await;
}
