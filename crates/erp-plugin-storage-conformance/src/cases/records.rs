//! Records as they are written and read back.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use erp_plugin_model::schema::MAX_FIELDS;
use erp_plugin_model::{FieldType, Value, Version};
use erp_plugin_storage::{Change, InsertOutcome, NewRecord, Stamp, Storage, UpdateOutcome};

use crate::fixture::{
    ALPHA, Collect, Found, declare, every_type, get, given, indexed, insert, json, money, new_id, new_uuid,
    optional, required, seen, stamp, text, time, unique, update, write,
};

async fn values_come_back(storage: &Arc<dyn Storage>, rows: Vec<Vec<Value>>) {
    let entity = declare(storage, "suite.sample", every_type()).await;
    // A reference needs something to refer to.
    let target = given(storage, ALPHA, &entity, [vec![Value::Null; 12]]).await[0];
    let rows = rows.into_iter().map(|mut row| {
        if !row[9].is_null() {
            row[9] = Value::Uuid(target.0);
        }
        row
    });
    let rows: Vec<_> = rows.collect();
    let ids = given(storage, ALPHA, &entity, rows.clone()).await;
    for (id, row) in ids.into_iter().zip(rows) {
        assert_eq!(seen(storage, ALPHA, &entity, id).await.unwrap().values, row);
    }
}

fn moment(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub async fn a_value_of_every_type_comes_back_as_it_was(storage: Arc<dyn Storage>) {
    let row = vec![
        text("Chai"),
        text("A long story.\nWith lines."),
        Value::Integer(42),
        Value::Decimal(1250),
        Value::Boolean(true),
        Value::Date("2026-01-31".parse().unwrap()),
        Value::DateTime(moment("2026-01-31T09:30:00.123456Z")),
        Value::Uuid(new_uuid()),
        text("open"),
        Value::Uuid(new_uuid()),
        json(r#"{"a":[1,2.50,"x",null,true],"big":12345678901234567890}"#),
        text("file-1"),
    ];
    values_come_back(&storage, vec![row]).await;
}

pub async fn the_extremes_of_every_type_come_back_as_they_were(storage: Arc<dyn Storage>) {
    let highest = 999_999_999_999_999_999;
    let rows = [
        (i64::MIN, -highest, false, "0001-01-01", "0001-01-01T00:00:00Z", uuid::Uuid::nil()),
        (i64::MAX, highest, true, "9999-12-31", "9999-12-31T23:59:59.999999Z", uuid::Uuid::max()),
        ((1 << 53) + 1, -1, true, "1969-12-31", "1969-12-31T23:59:59.999999Z", new_uuid()),
        (-(1 << 53) - 1, 0, false, "2024-02-29", "1970-01-01T00:00:00.000001Z", new_uuid()),
    ];
    let rows = rows.map(|(integer, decimal, truth, date, datetime, uuid)| {
        vec![
            text(&"x".repeat(500)),
            text(&"long ".repeat(50_000)),
            Value::Integer(integer),
            Value::Decimal(decimal),
            Value::Boolean(truth),
            Value::Date(date.parse().unwrap()),
            Value::DateTime(moment(datetime)),
            Value::Uuid(uuid),
            text("closed"),
            Value::Null,
            json("0"),
            text(""),
        ]
    });
    values_come_back(&storage, rows.into()).await;
}

pub async fn text_of_every_kind_comes_back_as_it_was(storage: Arc<dyn Storage>) {
    let texts = [
        "",
        " ",
        "null",
        "'; DROP TABLE suite__sample; --",
        "\"quoted\" and 'quoted' and \\escaped\\ and ?1 and $1 and :name",
        "Ünïcödé 名前 мир عربى",
        "e\u{301} is not \u{e9}",
        "\u{1F600}\u{10FFFF}\u{FFFF}\u{FEFF}\u{200D}",
        "tab\tnewline\r\nbell\u{7}escape\u{1b}[31m",
        "0012",
        "1e3",
        "0x10",
    ];
    let rows = texts.map(|content| {
        let mut row = vec![Value::Null; 12];
        row[0] = text(content);
        row[1] = text(content);
        row[10] = json(&serde_json::to_string(content).unwrap());
        row[11] = text(content);
        row
    });
    values_come_back(&storage, rows.into()).await;
}

pub async fn json_keeps_its_spelling_or_at_least_its_value(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("json", FieldType::Json)]).await;
    for spelling in ["null", "true", "-0.5", "\"\"", "[]", "{}", r#"{"b":1,"a":2}"#, "18446744073709551615"] {
        let id = given(&storage, ALPHA, &entity, [vec![json(spelling)]]).await[0];
        let Value::Json(found) = &seen(&storage, ALPHA, &entity, id).await.unwrap().values[0] else {
            panic!("{spelling} came back as no JSON")
        };
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(parse(found), parse(spelling));
    }
}

pub async fn an_absent_value_is_not_an_empty_one(storage: Arc<dyn Storage>) {
    let fields = vec![optional("string", FieldType::String), optional("text", FieldType::Text)];
    let entity = declare(&storage, "suite.sample", fields).await;
    let rows = [vec![text(""), Value::Null], vec![Value::Null, text("")]];
    let ids = given(&storage, ALPHA, &entity, rows.clone()).await;
    for (id, row) in ids.into_iter().zip(rows) {
        assert_eq!(seen(&storage, ALPHA, &entity, id).await.unwrap().values, row);
    }
}

pub async fn a_new_record_has_version_one_and_its_stamp(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await;
    let (id, values) = (new_id(), [Value::Integer(1)]);
    let (created, updated) = (moment("2026-01-31T09:30:00.123456Z"), moment("2026-02-01T00:00:00.000001Z"));
    let mut transaction = write(&storage, ALPHA).await;
    let at_first = Stamp { at: created, by: "anna" };
    let inserted = transaction.insert(&entity, NewRecord { id, values: &values }, at_first).await.unwrap();
    assert_eq!(inserted, InsertOutcome::Inserted);
    transaction.commit(None).await.unwrap();
    let by_anna = (created, "anna".to_owned());
    let expected =
        Found { id, version: 1, created: by_anna.clone(), updated: by_anna, values: values.to_vec() };
    assert_eq!(seen(&storage, ALPHA, &entity, id).await.as_ref(), Some(&expected));
    // Those of an update are as exact.
    let mut transaction = write(&storage, ALPHA).await;
    let later = Stamp { at: updated, by: "ben" };
    let mut sink = Collect::of(&entity, &[]);
    let change = Change::Fields(&[]);
    transaction.update(&entity, id, Version::FIRST, change, later, &mut sink).await.unwrap();
    transaction.commit(None).await.unwrap();
    let expected = Found { version: 2, updated: (updated, "ben".to_owned()), ..expected };
    assert_eq!(seen(&storage, ALPHA, &entity, id).await, Some(expected));
}

pub async fn an_id_that_never_was_is_not_found(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await;
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(get(&mut *transaction, &entity, new_id()).await, None);
    let (outcome, _) = update(&mut *transaction, &entity, new_id(), 1, Change::Fields(&[])).await;
    assert_eq!(outcome, UpdateOutcome::NotFound);
    let deleted = transaction.delete(&entity, new_id(), stamp()).await.unwrap();
    assert_eq!(deleted, erp_plugin_storage::DeleteOutcome::NotFound);
}

pub async fn an_update_changes_only_what_it_names(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", every_type()).await;
    let mut row = vec![Value::Null; 12];
    row[0] = text("before");
    row[2] = Value::Integer(1);
    row[4] = Value::Boolean(true);
    let id = given(&storage, ALPHA, &entity, [row.clone()]).await[0];

    let mut transaction = write(&storage, ALPHA).await;
    // In another order than the schema's, and one of them cleared.
    let change = [(4, Value::Null), (0, text("after")), (3, Value::Decimal(7))];
    let (outcome, found) = update(&mut *transaction, &entity, id, 1, Change::Fields(&change)).await;
    assert_eq!(outcome, UpdateOutcome::Written);
    transaction.commit(None).await.unwrap();

    row[0] = text("after");
    row[3] = Value::Decimal(7);
    row[4] = Value::Null;
    let created = (stamp().at, stamp().by.to_owned());
    let expected = Found { id, version: 2, created, updated: (time(60), "ben".to_owned()), values: row };
    assert_eq!(found.as_ref(), Some(&expected), "what the sink was given");
    assert_eq!(seen(&storage, ALPHA, &entity, id).await, Some(expected), "what was kept");
}

pub async fn an_update_of_each_single_field_leaves_the_others(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", every_type()).await;
    let id = given(&storage, ALPHA, &entity, [vec![Value::Null; 12]]).await[0];
    let values = [
        text("s"),
        text("t"),
        Value::Integer(-1),
        Value::Decimal(-1),
        Value::Boolean(false),
        Value::Date("2026-01-31".parse().unwrap()),
        Value::DateTime(time(5)),
        Value::Uuid(new_uuid()),
        text("open"),
        Value::Uuid(id.0),
        json("[1]"),
        text("f"),
    ];
    let mut expected = vec![Value::Null; 12];
    for (version, (position, value)) in (1..).zip(values.into_iter().enumerate()) {
        let mut transaction = write(&storage, ALPHA).await;
        let change = [(position, value.clone())];
        let (outcome, _) = update(&mut *transaction, &entity, id, version, Change::Fields(&change)).await;
        assert_eq!(outcome, UpdateOutcome::Written);
        transaction.commit(None).await.unwrap();
        expected[position] = value;
        assert_eq!(seen(&storage, ALPHA, &entity, id).await.unwrap().values, expected);
    }
}

pub async fn an_update_of_nothing_raises_the_version(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await;
    let mut transaction = write(&storage, ALPHA).await;
    let id = insert(&mut *transaction, &entity, &[Value::Integer(1)]).await;
    let (_, found) = update(&mut *transaction, &entity, id, 1, Change::Fields(&[])).await;
    assert_eq!(found.map(|found| found.version), Some(2));
    let same = [(0, Value::Integer(1))];
    let (_, found) = update(&mut *transaction, &entity, id, 2, Change::Fields(&same)).await;
    assert_eq!(found.map(|found| found.version), Some(3));
}

pub async fn every_option_of_a_field_can_be_had(storage: Arc<dyn Storage>) {
    let fields = vec![
        required("code", FieldType::String),
        unique("number", FieldType::Integer),
        indexed("price", money()),
        erp_plugin_model::Field { unique: true, indexed: true, ..required("day", FieldType::Date) },
        erp_plugin_model::Field { indexed: true, ..required("state", FieldType::Boolean) },
    ];
    let entity = declare(&storage, "suite.sample", fields).await;
    let row = vec![
        text("a"),
        Value::Integer(1),
        Value::Decimal(2),
        Value::Date("2026-01-31".parse().unwrap()),
        Value::Boolean(true),
    ];
    let id = given(&storage, ALPHA, &entity, [row.clone()]).await[0];
    assert_eq!(seen(&storage, ALPHA, &entity, id).await.unwrap().values, row);
}

pub async fn fields_and_entities_may_have_the_names_of_sql_words(storage: Arc<dyn Storage>) {
    let names = [
        "order",
        "group",
        "select",
        "table",
        "index",
        "where",
        "null",
        "values",
        "user",
        "limit",
        "offset",
        "default",
        "check",
        "key",
        "rowid",
        "returning",
        "collate",
        "true",
        "system_user",
        "tenant",
    ];
    let fields = names.iter().map(|name| unique(name, FieldType::String)).collect();
    let entity = declare(&storage, "select.table", fields).await;
    let row: Vec<_> = names.iter().map(|name| text(name)).collect();
    let id = given(&storage, ALPHA, &entity, [row.clone()]).await[0];
    let mut transaction = write(&storage, ALPHA).await;
    let change: Vec<_> = (0..names.len()).map(|position| (position, text("changed"))).collect();
    let (outcome, found) = update(&mut *transaction, &entity, id, 1, Change::Fields(&change)).await;
    assert_eq!(outcome, UpdateOutcome::Written);
    assert_eq!(found.unwrap().values, vec![text("changed"); names.len()]);
}

pub async fn names_may_be_as_long_as_they_can_be(storage: Arc<dyn Storage>) {
    let name = format!("{}.{}", "p".repeat(24), "e".repeat(30));
    // Told apart by their last letters only, which a name that is merely cut would lose.
    let fields = ["a", "b"].map(|end| unique(&format!("{}{end}", "f".repeat(29)), FieldType::String));
    let more = ["c", "d"].map(|end| indexed(&format!("{}{end}", "f".repeat(29)), FieldType::String));
    let entity = declare(&storage, &name, fields.into_iter().chain(more).collect()).await;
    let row = vec![text("1"), text("2"), text("3"), text("4")];
    let id = given(&storage, ALPHA, &entity, [row.clone()]).await[0];
    assert_eq!(seen(&storage, ALPHA, &entity, id).await.unwrap().values, row);
}

pub async fn an_entity_may_have_as_many_fields_as_it_can_have(storage: Arc<dyn Storage>) {
    let fields = (0..MAX_FIELDS).map(|number| optional(&format!("f{number}"), FieldType::Integer)).collect();
    let entity = declare(&storage, "suite.wide", fields).await;
    let row: Vec<_> = (0_i64..).take(MAX_FIELDS).map(Value::Integer).collect();
    let id = given(&storage, ALPHA, &entity, [row.clone()]).await[0];
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(get(&mut *transaction, &entity, id).await.unwrap().values, row);
    let change: Vec<_> = (0..MAX_FIELDS).map(|position| (position, Value::Integer(-1))).collect();
    let (_, found) = update(&mut *transaction, &entity, id, 1, Change::Fields(&change)).await;
    assert_eq!(found.unwrap().values, vec![Value::Integer(-1); MAX_FIELDS]);
}
