//! What Postgres does with the statements that are meant to be served by an index: in the role and with the settings
//! in which they are sent, on a table and on one in partitions; both with the values, as a statement is planned at
//! first, and without them, as it may be from the sixth time on.
//!
//! It takes statistics. Until a table was analysed for the first time, which the server does by itself a minute after
//! its first fifty records, the planner takes it that a tenant has one or two and that one index is as good as another:
//! of that time it is held only that nothing reads the other tenants.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests, which fail by panicking"
)]

mod history;
mod workers;

use std::fmt::Write;

use erp_plugin_model::filter::{Column, Comparison, Filter};
use erp_plugin_model::page::{Page, SortKey, Start};
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::{EntityRef, EntitySchema, Field, FieldType, Labels, OnDelete, TenantId, Value};
use erp_plugin_storage::layout::FieldSet;
use erp_plugin_storage::{Entity, Mode};
use uuid::Uuid;

use crate::client::Client;
use crate::columns::ColumnType;
use crate::connection::{As, quote};
use crate::error::Result;
use crate::names::read_text;
use crate::query::{self, Question};
use crate::session::Session;
use crate::sql::{Parameter, Sql};
use crate::support::notes::{create, field, options};
use crate::support::{self, Database};
use crate::{PostgresStorage, statements};

/// What an index has to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    /// 60,000 records of several tenants, half of them of one, and nothing known about them: as after an import.
    Fresh,
    /// The same, with statistics.
    Analysed,
    /// The same, in partitions.
    InPartitions,
}

const KNOWN: [Table; 2] = [Table::Analysed, Table::InPartitions];
const RECORDS: u32 = 60_000;

struct Fixture {
    session: Session,
    entity: Entity,
    tenant: TenantId,
    table: Table,
    /// What is not as it should be.
    wrong: Vec<String>,
    _storage: PostgresStorage,
    _database: Database,
}

/// The session of a transaction, which nothing was sent on yet.
async fn begin(storage: &PostgresStorage, who: As<'_>, mode: Mode) -> Session {
    storage.pools.begin(who, &storage.platform, options(mode)).await.unwrap()
}

impl Fixture {
    async fn of(server: &str, table: Table, fields: Vec<Field>) -> Self {
        let how = match table {
            Table::Fresh | Table::Analysed => support::As::App,
            Table::InPartitions => support::As::Partitioned,
        };
        let database = Database::new(server, how).await;
        let storage = PostgresStorage::open(&database.options()).await.unwrap();
        let name = EntityRef::parse("inventory.item").unwrap();
        let entity = Entity::new(EntitySchema::declared(name, Labels::default(), None, fields));
        create(&storage, &entity).await;
        let admin = database.admin().await;
        admin.batch_execute(&filled(entity.schema())).await.unwrap();
        if table != Table::Fresh {
            admin.batch_execute("ANALYZE erp_plugin.inventory__item").await.unwrap();
        }
        let tenant = TenantId::parse("northwind").unwrap();
        let session = begin(&storage, As::Tenant(&tenant), Mode::Write).await;
        Self { session, entity, tenant, table, wrong: Vec::new(), _storage: storage, _database: database }
    }

    /// The plans of a statement, with its values and without.
    async fn plans(&mut self, sql: &Sql<'_>) -> Vec<String> {
        plans(&mut self.session, sql).await
    }

    /// The plans of a page, of each of its parts.
    async fn pages(&mut self, filter: &Filter, sort: &[(Column, bool)], start: Start) -> Vec<Vec<String>> {
        let sort = sort
            .iter()
            .map(|(column, descending)| SortKey { column: column.clone(), descending: *descending });
        let page = Page { limit: 50, sort: sort.collect(), start, total: false };
        let Self { session, entity, tenant, .. } = self;
        let schema = entity.schema();
        let statements = statements::of(entity).unwrap();
        let question = Question { statements, schema, tenant, filter, page: &page };
        let mut pages = Vec::new();
        for part in query::parts(schema, &page) {
            pages.push(plans(session, &question.select(*part, 0, 51).unwrap()).await);
        }
        pages
    }

    /// Notes it when a plan does not go by one index, from a place in it, and give what it finds in its order.
    fn expect_ordered(&mut self, plan: &str, index: &str, place: &str) {
        self.expect_searched(plan, index, place);
        if sorts(plan) {
            self.wrong.push(format!("it is sorted:\n{plan}"));
        }
    }

    /// Notes it when a plan does not go by one index, from a place in it.
    fn expect_searched(&mut self, plan: &str, index: &str, place: &str) {
        let mut wrong = Vec::new();
        if ["Seq Scan", "Bitmap", "One-Time Filter: false"].iter().any(|dear| plan.contains(dear)) {
            wrong.push("it reads a whole table or nothing".to_owned());
        }
        if self.table == Table::InPartitions {
            let is_read = |part: &u32| {
                let name = format!(" on inventory__item__p0{part}");
                plan.lines().any(|line| line.contains(" using ") && line.contains(&name))
            };
            let parts = (0..3).filter(is_read).count();
            if parts != 1 {
                wrong.push(format!("it reads {parts} partitions"));
            }
        } else if !plan.contains(&format!(" using {index} on inventory__item")) {
            wrong.push(format!("it does not go by {index}"));
        }
        let searches = plan.lines().any(|line| {
            line.trim_start().starts_with("Index Cond: ")
                && line.contains("tenant_id = ")
                && line.contains(place)
        });
        if !searches {
            wrong.push(format!("it does not begin at {place}"));
        }
        if !wrong.is_empty() {
            self.wrong.push(format!("{:?}: {}:\n{plan}", self.table, wrong.join(", ")));
        }
    }

    fn assert_well(self) {
        assert!(self.wrong.is_empty(), "{} plans:\n\n{}", self.wrong.len(), self.wrong.join("\n\n"));
    }
}

/// Whether a plan sorts, wholly or in part. What merges partitions that are in order has a key to do it by.
fn sorts(plan: &str) -> bool {
    plan.lines().any(|line| ["Sort", "Incremental Sort"].contains(&line.trim_start_matches([' ', '-', '>'])))
}

async fn plans(session: &mut Session, sql: &Sql<'_>) -> Vec<String> {
    let client = session.client();
    let explained =
        Sql { text: format!("EXPLAIN (COSTS OFF) {}", sql.text), parameters: sql.parameters.clone() };
    let work = async { Ok([plan(&client, &explained).await?, generic_plan(&client, sql).await?]) };
    session.run("explain", work).await.unwrap_or_else(|error| panic!("{error:?}\n{}", sql.text)).into()
}

async fn plan(client: &Client, explained: &Sql<'_>) -> Result<String> {
    let rows = client.rows_built(explained).await?;
    let lines = rows.iter().map(|row| read_text(row, 0)).collect::<Result<Vec<_>>>()?;
    Ok(lines.join("\n"))
}

async fn generic_plan(client: &Client, sql: &Sql<'_>) -> Result<String> {
    let types: Vec<_> = sql.parameters.iter().map(|(_, of)| of.name()).collect();
    // The plan is made without them; the first one says which partition it then goes to.
    let mut values = vec!["NULL"; types.len()];
    if types.first() == Some(&"text") {
        values[0] = "'northwind'";
    }
    let (declared, given) = match types.as_slice() {
        [] => (String::new(), String::new()),
        types => (format!("({})", types.join(", ")), format!("({})", values.join(", "))),
    };
    let prepare =
        format!("SET LOCAL plan_cache_mode = force_generic_plan; PREPARE it{declared} AS {}", sql.text);
    client.batch(&prepare).await?;
    let explained = Sql { text: format!("EXPLAIN (COSTS OFF) EXECUTE it{given}"), parameters: Vec::new() };
    let plan = plan(client, &explained).await;
    client.batch("DEALLOCATE it; RESET plan_cache_mode").await?;
    plan
}

/// A value of a type, in SQL, made of a number in SQL.
fn value_sql(of: ColumnType, number: &str) -> String {
    match of {
        ColumnType::Text => format!("'v' || lpad(({number})::text, 6, '0')"),
        ColumnType::Integer | ColumnType::Decimal => number.to_owned(),
        ColumnType::Boolean => format!("({number}) % 2 = 0"),
        ColumnType::Date => format!("date '2000-01-01' + ({number})"),
        ColumnType::DateTime => format!("timestamptz '2000-01-01Z' + ({number}) * interval '1 second'"),
        ColumnType::Uuid => format!("lpad(to_hex({number}), 32, '0')::uuid"),
        ColumnType::Json => format!("to_json({number})"),
    }
}

/// The same, as a filter or a cursor has it.
fn value(of: ColumnType, number: u16) -> Value {
    let seconds = chrono::TimeDelta::seconds(i64::from(number));
    match of {
        ColumnType::Text => Value::Text(format!("v{number:06}")),
        ColumnType::Integer => Value::Integer(number.into()),
        ColumnType::Decimal => Value::Decimal(number.into()),
        ColumnType::Boolean => Value::Boolean(number.is_multiple_of(2)),
        ColumnType::Date => {
            Value::Date("2000-01-01".parse::<chrono::NaiveDate>().unwrap() + chrono::Days::new(number.into()))
        }
        ColumnType::DateTime => Value::DateTime(
            "2000-01-01T00:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap() + seconds,
        ),
        ColumnType::Uuid => Value::Uuid(Uuid::from_u128(number.into())),
        ColumnType::Json => Value::Json(number.to_string()),
    }
}

/// Fills a table: a thousand values of each field, of one that can be absent every fifth is; one in fifty is deleted.
fn filled(schema: &EntitySchema) -> String {
    let (mut columns, mut values) = (String::new(), String::new());
    for own in schema.fields() {
        let of = ColumnType::of(&own.field_type);
        let value = match (own.unique, of) {
            // There are no more of them.
            (true, ColumnType::Boolean) => "CASE WHEN n < 2 THEN n % 2 = 0 END".to_owned(),
            (true, of) => value_sql(of, "n"),
            (false, of) if own.required => value_sql(of, "n / 2 % 1000"),
            (false, of) => format!("CASE WHEN n % 5 > 0 THEN {} END", value_sql(of, "n / 2 % 1000")),
        };
        let _ = write!(columns, ", {}", quote(own.name.as_str()));
        let _ = write!(values, ", {value}");
        if own.searchable {
            let _ = write!(columns, ", {}", quote(&erp_plugin_storage::layout::folded_column(own)));
            let _ = write!(values, ", {value}");
        }
    }
    format!(
        "INSERT INTO erp_plugin.inventory__item
             (tenant_id, id, version, created_at, created_by, updated_at, updated_by, deleted_at{columns})
         SELECT CASE n % 2 WHEN 0 THEN 'northwind' ELSE 'tenant' || n % 7 END, md5(n::text)::uuid, 1, now(), 'anna',
             now(), 'anna', CASE n % 50 WHEN 48 THEN now() END{values}
         FROM generate_series(0, {RECORDS} - 1) AS n"
    )
}

const ID: Column = Column::System(SystemField::Id);

fn refers() -> FieldType {
    FieldType::Reference {
        target: EntityRef::parse("inventory.item").unwrap(),
        on_delete: OnDelete::default(),
    }
}

/// Every type that has an order.
fn types() -> [FieldType; 9] {
    [
        FieldType::String,
        FieldType::Integer,
        FieldType::Decimal { precision: 12, scale: 2 },
        FieldType::Boolean,
        FieldType::Date,
        FieldType::DateTime,
        FieldType::Uuid,
        FieldType::Enum { options: vec!["open".to_owned(), "closed".to_owned()] },
        refers(),
    ]
}

/// Each of them optional, required and unique.
fn every_order() -> Vec<Field> {
    let kinds = types().into_iter().flat_map(|of| {
        let named =
            |kind: &str| Field { indexed: true, ..field(&format!("{}_{kind}", of.as_str()), of.clone()) };
        [
            named("optional"),
            Field { required: true, ..named("required") },
            Field { unique: true, ..named("unique") },
        ]
    });
    kinds.collect()
}

#[tokio::test]
async fn every_page_by_an_indexed_field_begins_at_its_place_and_is_never_sorted() {
    let Some(server) = support::server() else { return };
    for table in KNOWN {
        let mut fixture = Fixture::of(&server, table, every_order()).await;
        let fields = fixture.entity.schema().fields().to_vec();
        for (position, own) in fields.iter().enumerate() {
            for descending in [false, true] {
                check_order(&mut fixture, position, own, descending).await;
            }
        }
        fixture.assert_well();
    }
}

async fn check_order(fixture: &mut Fixture, position: usize, own: &Field, descending: bool) {
    let name = own.name.as_str();
    let index = format!("inventory__item__{name}__{}", if own.unique { "unique" } else { "indexed" });
    let without = if own.unique { format!("inventory__item__{name}__absent") } else { index.clone() };
    let (than, absent) = (if descending { '<' } else { '>' }, format!("{name} IS NULL"));
    let everything = Filter::everything();
    let sort = [(Column::Field(position), descending), (ID, descending)];
    let present = if own.required { "tenant_id".to_owned() } else { format!("{name} IS NOT NULL") };
    // However many others have the value of the record that the cursor stands on.
    let after = if own.unique { format!("{name} {than} ") } else { format!("ROW({name}, id) {than} ") };
    let at = value(ColumnType::of(&own.field_type), 500);
    let id = Value::Uuid(Uuid::from_u128(7));

    for (start, place) in [(Start::Offset(0), &present), (Start::After(vec![at, id.clone()]), &after)] {
        let pages = fixture.pages(&everything, &sort, start).await;
        for plan in &pages[0] {
            fixture.expect_ordered(plan, &index, place);
        }
        for plan in pages.iter().skip(1).flatten() {
            fixture.expect_ordered(plan, &without, if own.unique { "tenant_id" } else { &absent });
        }
        assert_eq!(pages.len(), if own.required { 1 } else { 2 });
    }
    if !own.required {
        let pages = fixture.pages(&everything, &sort, Start::After(vec![Value::Null, id])).await;
        let [plans] = &pages[..] else { panic!("{} parts", pages.len()) };
        for plan in plans {
            fixture.expect_ordered(plan, &without, &format!("id {than} "));
        }
    }
}

#[tokio::test]
async fn without_statistics_no_other_tenants_records_are_read() {
    let Some(server) = support::server() else { return };
    let mut fixture = Fixture::of(&server, Table::Fresh, every_order()).await;
    for position in 0..fixture.entity.schema().fields().len() {
        let sort = [(Column::Field(position), false), (ID, false)];
        let pages = fixture.pages(&Filter::everything(), &sort, Start::Offset(0)).await;
        for plan in pages.concat() {
            let is_one_tenants =
                plan.contains("Index Cond: (tenant_id = ") || plan.contains("Index Cond: ((tenant_id = ");
            assert!(is_one_tenants && !plan.contains("Seq Scan") && !plan.contains("Bitmap"), "{plan}");
        }
    }
}

#[tokio::test]
async fn a_page_by_the_id_begins_where_the_cursor_stands() {
    let Some(server) = support::server() else { return };
    for table in KNOWN {
        let mut fixture = Fixture::of(&server, table, vec![field("name", FieldType::String)]).await;
        for (descending, place) in [(false, "id > "), (true, "id < ")] {
            let start = Start::After(vec![Value::Uuid(Uuid::from_u128(7))]);
            for plan in fixture.pages(&Filter::everything(), &[(ID, descending)], start).await.concat() {
                fixture.expect_ordered(&plan, "inventory__item_pkey", place);
            }
        }
        fixture.assert_well();
    }
}

#[tokio::test]
async fn a_value_of_every_type_is_looked_up() {
    let Some(server) = support::server() else { return };
    for table in KNOWN {
        let mut fixture = Fixture::of(&server, table, every_order()).await;
        for (position, own) in fixture.entity.schema().fields().to_vec().iter().enumerate() {
            let of = ColumnType::of(&own.field_type);
            let (column, name) = (Column::Field(position), own.name.as_str());
            let index = format!("inventory__item__{name}__{}", if own.unique { "unique" } else { "indexed" });
            let compared =
                |comparison, number| Filter::Compare(column.clone(), comparison, value(of, number));
            let range = Filter::All(vec![compared(Comparison::Gte, 500), compared(Comparison::Lt, 501)]);
            let mut cases = vec![(compared(Comparison::Eq, 500), format!("{name} = "))];
            // A truth is an index's own condition, and of a range of them the planner makes what it likes.
            if of != ColumnType::Boolean {
                let values = vec![value(of, 500), value(of, 7)];
                cases.push((Filter::In(column.clone(), values), format!("{name} = ANY")));
                cases.push((range, format!("{name} >= ")));
            }
            for (filter, place) in cases {
                for plan in fixture.pages(&filter, &[(ID, false)], Start::Offset(0)).await.concat() {
                    let place = if of == ColumnType::Boolean { name } else { &place };
                    fixture.expect_searched(&plan, &index, place);
                }
            }
        }
        fixture.assert_well();
    }
}

#[tokio::test]
async fn every_kind_of_filter_finds_its_place_in_an_index() {
    let Some(server) = support::server() else { return };
    let text = |text: &str| Value::Text(text.to_owned());
    for table in KNOWN {
        let fields = vec![
            Field { indexed: true, ..field("name", FieldType::String) },
            Field { searchable: true, ..field("title", FieldType::String) },
            field("parent", refers()),
            field("note", FieldType::String),
        ];
        let mut fixture = Fixture::of(&server, table, fields).await;
        // In the order of the ids those that are absent may as well be picked out; all of them are searched for.
        let page = Page { limit: 1, sort: Vec::new(), start: Start::Offset(0), total: false };
        let absent = Filter::Absent(Column::Field(0));
        let Fixture { session, entity, tenant, .. } = &mut fixture;
        let statements = statements::of(entity).unwrap();
        let question = Question { statements, schema: entity.schema(), tenant, filter: &absent, page: &page };
        for plan in plans(session, &question.count(query::Part::Whole).unwrap()).await {
            fixture.expect_searched(&plan, "inventory__item__name__indexed", "name IS NULL");
        }

        let id = Value::Uuid(Uuid::from_u128(7));
        let ids = vec![id.clone(), Value::Uuid(Uuid::from_u128(8))];
        let parent = Filter::Compare(Column::Field(2), Comparison::Eq, id.clone());
        let with_more = Filter::All(vec![
            parent.clone(),
            Filter::Compare(Column::Field(3), Comparison::Eq, text("v000001")),
        ]);
        for (filter, index, place) in [
            (Filter::Prefix(Column::Field(0), "v000500".to_owned()), "name__indexed", "name >= "),
            (Filter::FoldedEq(1, "v000500".to_owned()), "title__folded", "title__folded = "),
            (Filter::FoldedPrefix(1, "v000500".to_owned()), "title__folded", "title__folded >= "),
            (parent, "parent__indexed", "parent = "),
            (with_more, "parent__indexed", "parent = "),
            (Filter::Compare(ID, Comparison::Eq, id), "pkey", "id = "),
            (Filter::In(ID, ids), "pkey", "id = ANY"),
        ] {
            let index = if index == "pkey" {
                "inventory__item_pkey".to_owned()
            } else {
                format!("inventory__item__{index}")
            };
            for plan in fixture.pages(&filter, &[(ID, false)], Start::Offset(0)).await.concat() {
                fixture.expect_searched(&plan, &index, place);
            }
        }
        fixture.assert_well();
    }
}

#[tokio::test]
async fn the_statements_on_one_record_search_the_primary_key() {
    let Some(server) = support::server() else { return };
    for table in KNOWN {
        let fields = vec![
            Field { unique: true, ..field("sku", FieldType::String) },
            Field { indexed: true, ..field("price", FieldType::Integer) },
        ];
        let mut fixture = Fixture::of(&server, table, fields).await;
        let prepared = Entity::new(fixture.entity.schema().clone());
        let statements = statements::of(&prepared).unwrap();
        let mut all = FieldSet::default();
        assert!((0..2).all(|position| all.insert(position)));
        let (tenant, id) = (Parameter::Text("northwind"), Parameter::Uuid(Uuid::from_u128(7)));
        let (time, author) = (Parameter::Time(chrono::DateTime::UNIX_EPOCH), Parameter::Text("anna"));
        let (one, sku) = (Parameter::Integer(1), Parameter::Text("a"));
        let key = [tenant.clone(), id.clone()];
        let stamped = [tenant.clone(), id.clone(), time.clone(), author.clone()];
        let updated =
            [tenant.clone(), id.clone(), one.clone(), time.clone(), author.clone(), sku, one.clone()];
        let update = statements.update(prepared.schema(), all, false);
        let with_replaced = statements.update(prepared.schema(), all, true);
        let of = ColumnType::parameter;
        let (text, uuid, integer, at) =
            (of(ColumnType::Text), of(ColumnType::Uuid), of(ColumnType::Integer), of(ColumnType::DateTime));
        let by_key = [text.clone(), uuid.clone()];
        let by_stamp = [text.clone(), uuid, at.clone(), text];
        for (sql, types, parameters) in [
            (&statements.get, &by_key[..], &key[..]),
            (&statements.version, &by_key, &key),
            (&statements.exists, &by_key, &key),
            (&statements.delete, &by_stamp, &stamped),
            (&statements.restore.checked.sql, &by_stamp, &stamped),
            (&update.one.checked.sql, &update.one.checked.types, &updated),
            (&with_replaced.one.checked.sql, &update.one.checked.types, &updated),
        ] {
            let parameters = parameters.iter().cloned().zip(types.iter().cloned()).collect();
            for plan in fixture.plans(&Sql { text: sql.clone(), parameters }).await {
                fixture.expect_ordered(&plan, "inventory__item_pkey", "id = ");
            }
        }
        let purge = vec![(tenant, by_key[0].clone()), (time, at), (one, integer)];
        for plan in fixture.plans(&Sql { text: statements.purge.clone(), parameters: purge }).await {
            fixture.expect_searched(&plan, "inventory__item__deleted_at__deleted", "deleted_at < ");
            fixture.expect_searched(&plan, "inventory__item_pkey", "id = ");
        }
        fixture.assert_well();
    }
}

#[tokio::test]
async fn every_comparison_of_a_columns_type_is_leak_proof() {
    let Some(server) = support::server() else { return };
    let client = support::connect(&server).await;
    for own in types() {
        let of = ColumnType::of(&own).parameter();
        let sql = "SELECT o.oprname::text FROM pg_operator AS o JOIN pg_proc AS p ON p.oid = o.oprcode
             WHERE o.oprleft = $1::text::regtype AND o.oprright = $1::text::regtype
                 AND o.oprname IN ('=', '<', '<=', '>', '>=') AND p.proleakproof";
        assert_eq!(client.query(sql, &[&of.name()]).await.unwrap().len(), 5, "{of}");
    }
}
