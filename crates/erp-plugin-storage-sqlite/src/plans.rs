//! What SQLite does with the statements that are meant to be served by an index.

use erp_plugin_model::filter::{Column, Comparison, Filter};
use erp_plugin_model::page::{Page, SortKey, Start};
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::{EntityRef, EntitySchema, Field, FieldName, FieldType, Labels, TenantId, Value};
use erp_plugin_storage::Entity;
use rusqlite::Connection;

use crate::statements::FieldSet;
use crate::{dispatch, migrations, query, schema, statements};

struct Fixture {
    connection: Connection,
    entity: Entity,
    tenant: TenantId,
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
        label: Labels::default(),
    }
}

impl Fixture {
    fn new() -> Self {
        let mut connection = Connection::open_in_memory().unwrap();
        migrations::run(&mut connection).unwrap();
        let fields = vec![
            Field { unique: true, ..field("sku", FieldType::String) },
            Field { indexed: true, ..field("price", FieldType::Decimal { precision: 12, scale: 2 }) },
            Field { indexed: true, required: true, ..field("day", FieldType::Date) },
            field("name", FieldType::String),
        ];
        let name = EntityRef::parse("inventory.item").unwrap();
        let entity = Entity::new(EntitySchema::declared(name, Labels::default(), None, fields));
        assert!(schema::create(&connection, entity.schema()).unwrap());
        Self { connection, entity, tenant: TenantId::parse("northwind").unwrap() }
    }

    fn plan_of(&self, sql: &str) -> String {
        let mut statement = self.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut rows = statement.raw_query();
        let mut plan = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            plan.push(row.get::<_, String>(3).unwrap());
        }
        plan.join("; ")
    }

    fn plan(&self, filter: &Filter, sort: &[(Column, bool)], start: Start) -> String {
        let sort = sort
            .iter()
            .map(|(column, descending)| SortKey { column: column.clone(), descending: *descending });
        let page = Page { limit: 50, sort: sort.collect(), start, total: false };
        let statements = statements::of(&self.entity).unwrap();
        let query = query::select(statements, self.entity.schema(), &self.tenant, filter, &page).unwrap();
        self.plan_of(&query.sql.text)
    }
}

const SKU: Column = Column::Field(0);
const PRICE: Column = Column::Field(1);
const DAY: Column = Column::Field(2);
const ID: Column = Column::System(SystemField::Id);

fn equals(column: Column, value: &str) -> Filter {
    Filter::Compare(column, Comparison::Eq, text(value))
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn a_value_of_an_indexed_field_is_looked_up() {
    let fixture = Fixture::new();
    for (filter, searched) in [
        (equals(SKU, "a"), "sku__unique (tenant_id=? AND sku=?)"),
        (Filter::In(SKU, vec![text("a"), text("b"), text("c")]), "sku__unique (tenant_id=? AND sku=?)"),
        (Filter::Prefix(SKU, "a".to_owned()), "sku__unique (tenant_id=? AND sku>? AND sku<?)"),
        (equals(PRICE, "1"), "price__indexed (tenant_id=? AND price=?)"),
        (
            Filter::All(vec![equals(DAY, "a"), equals(Column::Field(3), "b")]),
            "day__indexed (tenant_id=? AND day=?)",
        ),
    ] {
        let plan = fixture.plan(&filter, &[(ID, false)], Start::Offset(0));
        assert!(plan.contains(&format!("USING INDEX inventory__item__{searched}")), "{filter:?}: {plan}");
    }
}

#[test]
fn an_indexed_field_gives_the_order_in_both_directions() {
    let fixture = Fixture::new();
    for (column, index) in [(SKU, "sku__unique"), (PRICE, "price__indexed"), (DAY, "day__indexed")] {
        for descending in [false, true] {
            let sort = [(column.clone(), descending), (ID, descending)];
            let plan = fixture.plan(&Filter::everything(), &sort, Start::Offset(0));
            assert_eq!(
                plan,
                format!("SEARCH inventory__item USING INDEX inventory__item__{index} (tenant_id=?)")
            );
        }
    }
}

#[test]
fn a_cursor_on_values_that_are_never_absent_begins_where_it_stands() {
    let fixture = Fixture::new();
    let after = |sort: &[(Column, bool)]| {
        let values = sort.iter().map(|_| text("a")).collect();
        fixture.plan(&Filter::everything(), sort, Start::After(values))
    };
    assert_eq!(after(&[(ID, false)]), "SEARCH inventory__item USING PRIMARY KEY (tenant_id=? AND id>?)");
    assert_eq!(after(&[(ID, true)]), "SEARCH inventory__item USING PRIMARY KEY (tenant_id=? AND id<?)");
    let by_day = "SEARCH inventory__item USING INDEX inventory__item__day__indexed (tenant_id=? AND day";
    assert_eq!(after(&[(DAY, false), (ID, false)]), format!("{by_day}>?)"));
    assert_eq!(after(&[(DAY, true), (ID, true)]), format!("{by_day}<?)"));
}

#[test]
fn the_statements_on_one_record_search_the_primary_key() {
    let fixture = Fixture::new();
    let statements = statements::of(&fixture.entity).unwrap();
    let mut all = FieldSet::default();
    assert!((0..4).all(|position| all.insert(position)));
    for sql in [
        &statements.get,
        &statements.version,
        &statements.delete,
        statements.update(fixture.entity.schema(), all).as_ref(),
    ] {
        let plan = fixture.plan_of(sql);
        assert_eq!(plan, "SEARCH inventory__item USING PRIMARY KEY (tenant_id=? AND id=?)", "{sql}");
    }
}

#[test]
fn workers_find_what_waits_without_passing_over_what_is_done() {
    let fixture = Fixture::new();
    for (sql, expected) in [
        (dispatch::UNNUMBERED, "SCAN outbox USING INDEX outbox_unnumbered"),
        (
            dispatch::NEXT_TENANT,
            "SEARCH s USING COVERING INDEX streams_waiting (tenant_id>?); CORRELATED SCALAR SUBQUERY 1; \
             SEARCH a USING PRIMARY KEY (tenant_id=? AND plugin=?)",
        ),
        (
            dispatch::NEXT_STREAM,
            "SEARCH s USING COVERING INDEX streams_waiting \
             (tenant_id=? AND (head_event,plugin,key)>(?,?,?)); CORRELATED SCALAR SUBQUERY 1; \
             SEARCH a USING PRIMARY KEY (tenant_id=? AND plugin=?)",
        ),
        (
            dispatch::PARKED,
            "SCAN d USING INDEX deliveries_parked; SEARCH o USING INTEGER PRIMARY KEY (rowid=?)",
        ),
    ] {
        assert_eq!(fixture.plan_of(sql), expected, "{sql}");
    }
}
