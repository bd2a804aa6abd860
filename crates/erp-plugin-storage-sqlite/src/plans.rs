//! What SQLite does with the statements that are meant to be served by an index.

use erp_plugin_model::filter::{Column, Comparison, Filter};
use erp_plugin_model::page::{Page, SortKey, Start};
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::{
    EntityRef, EntitySchema, Field, FieldName, FieldType, Labels, OnDelete, TenantId, Value,
};
use erp_plugin_storage::Entity;
use erp_plugin_storage::layout::FieldSet;
use rusqlite::Connection;

use crate::{dead_letters, dispatch, history, migrations, outbox, query, schema, statements};

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
        read_permission: None,
        write_permission: None,
        pattern: None,
        label: Labels::default(),
        renamed_from: None,
        column: None,
    }
}

impl Fixture {
    fn new() -> Self {
        Self::of(vec![
            Field { unique: true, ..field("sku", FieldType::String) },
            Field { indexed: true, ..field("price", FieldType::Decimal { precision: 12, scale: 2 }) },
            Field { indexed: true, required: true, ..field("day", FieldType::Date) },
            field("name", FieldType::String),
        ])
    }

    fn of(fields: Vec<Field>) -> Self {
        let mut connection = Connection::open_in_memory().unwrap();
        migrations::run(&mut connection).unwrap();
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
        let schema = self.entity.schema();
        let parts = query::parts(schema, &page).iter().map(|part| {
            let sql = query::select(statements, schema, &self.tenant, filter, &page, (*part, 51)).unwrap();
            self.plan_of(&sql.text)
        });
        parts.collect::<Vec<_>>().join("\n")
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
fn a_page_by_the_id_begins_where_the_cursor_stands() {
    let fixture = Fixture::new();
    let after = |descending: bool| {
        fixture.plan(&Filter::everything(), &[(ID, descending)], Start::After(vec![text("a")]))
    };
    assert_eq!(after(false), "SEARCH inventory__item USING PRIMARY KEY (tenant_id=? AND id>?)");
    assert_eq!(after(true), "SEARCH inventory__item USING PRIMARY KEY (tenant_id=? AND id<?)");
}

/// Every type that has an order, each optional, required and unique.
fn every_order() -> Vec<Field> {
    let types = [
        FieldType::String,
        FieldType::Integer,
        FieldType::Decimal { precision: 12, scale: 2 },
        FieldType::Boolean,
        FieldType::Date,
        FieldType::DateTime,
        FieldType::Uuid,
        FieldType::Enum { options: vec!["open".to_owned(), "closed".to_owned()] },
        refers(),
    ];
    let kinds = types.into_iter().flat_map(|of| {
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

fn refers() -> FieldType {
    FieldType::Reference {
        target: EntityRef::parse("inventory.item").unwrap(),
        on_delete: OnDelete::default(),
    }
}

#[test]
fn every_page_by_an_indexed_field_begins_at_its_place_and_is_never_sorted() {
    let fixture = Fixture::of(every_order());
    let everything = Filter::everything();
    for (position, field) in fixture.entity.schema().fields().iter().enumerate() {
        let name = field.name.as_str();
        let kind = if field.unique { "unique" } else { "indexed" };
        let search =
            format!("SEARCH inventory__item USING INDEX inventory__item__{name}__{kind} (tenant_id=?");
        for descending in [false, true] {
            let sort = [(Column::Field(position), descending), (ID, descending)];
            assert_eq!(fixture.plan(&everything, &sort, Start::Offset(0)), format!("{search})"));
            let after = if descending { "<" } else { ">" };
            // However many others have the value of the record that the cursor stands on.
            let present = format!("{search} AND ({name},id){after}(?,?))");
            let absent = format!("{search} AND {name}=?)");
            let among_absent = format!("{search} AND {name}=? AND id{after}?)");
            let with = |value| fixture.plan(&everything, &sort, Start::After(vec![value, text("a")]));
            if field.required {
                assert_eq!(with(text("a")), present);
            } else {
                assert_eq!(with(text("a")), format!("{present}\n{absent}"));
                assert_eq!(with(Value::Null), among_absent);
            }
        }
    }
}

#[test]
fn every_kind_of_filter_finds_its_place_in_an_index() {
    let fields = vec![
        Field { indexed: true, ..field("name", FieldType::String) },
        Field { searchable: true, ..field("title", FieldType::String) },
        field("parent", refers()),
    ];
    let fixture = Fixture::of(fields);
    let name = || Column::Field(0);
    let compare = |comparison| Filter::Compare(name(), comparison, text("a"));
    let range = Filter::All(vec![compare(Comparison::Gte), compare(Comparison::Lt)]);
    for (filter, searched) in [
        (compare(Comparison::Eq), "name__indexed (tenant_id=? AND name=?)"),
        (Filter::In(name(), vec![text("a"), text("b")]), "name__indexed (tenant_id=? AND name=?)"),
        (range, "name__indexed (tenant_id=? AND name>? AND name<?)"),
        (Filter::Prefix(name(), "a".to_owned()), "name__indexed (tenant_id=? AND name>? AND name<?)"),
        (Filter::Absent(name()), "name__indexed (tenant_id=? AND name=?)"),
        (Filter::FoldedEq(1, "a".to_owned()), "title__folded (tenant_id=? AND title__folded=?)"),
        (
            Filter::FoldedPrefix(1, "a".to_owned()),
            "title__folded (tenant_id=? AND title__folded>? AND title__folded<?)",
        ),
        (equals(Column::Field(2), "a"), "parent__indexed (tenant_id=? AND parent=?)"),
    ] {
        let plan = fixture.plan(&filter, &[(ID, false)], Start::Offset(0));
        assert!(plan.contains(&format!("USING INDEX inventory__item__{searched}")), "{filter:?}: {plan}");
    }
}

#[test]
fn deleted_records_are_found_without_passing_over_the_live_ones() {
    let fixture = Fixture::new();
    let plan = fixture.plan_of(&statements::of(&fixture.entity).unwrap().purge);
    assert!(
        plan.contains(
            "INDEX inventory__item__deleted_at__deleted (tenant_id=? AND deleted_at>? AND deleted_at<?)"
        ),
        "{plan}"
    );
    assert!(!plan.contains("SCAN inventory__item") && !plan.contains("TEMP B-TREE"), "{plan}");
}

#[test]
fn history_is_read_in_the_order_of_an_index_and_the_oldest_is_found_at_once() {
    let fixture = Fixture::new();
    let (of_one, newest) =
        ("PRIMARY KEY (tenant_id=? AND entity=? AND record=?", "INDEX record_history_newest");
    for (is_of_one, after, searched) in [
        (true, false, format!("{of_one})")),
        (true, true, format!("{of_one} AND (version,verb)<(?,?))")),
        (false, false, format!("{newest} (tenant_id=? AND entity=?)")),
        (false, true, format!("{newest} (tenant_id=? AND entity=? AND (at,record,version,verb)<(?,?,?,?))")),
    ] {
        let plan = fixture.plan_of(&history::select(is_of_one, after, false));
        assert_eq!(plan, format!("SEARCH record_history USING {searched}"));
    }
    let plan = fixture.plan_of(&history::select(false, false, true));
    assert_eq!(
        plan,
        format!("SEARCH record_history USING {newest} (tenant_id=? AND entity=? AND at>? AND at<?)")
    );
    let plan = fixture.plan_of(history::PRUNE);
    assert!(plan.contains(&format!("COVERING {newest} (tenant_id=? AND entity=? AND at<?)")), "{plan}");
    assert!(!plan.contains("SCAN record_history") && !plan.contains("TEMP B-TREE FOR ORDER BY"), "{plan}");
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
        &statements.deleted,
        &statements.restore,
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
        (
            dispatch::NEXT_UNNUMBERED_TENANT,
            "SEARCH outbox USING COVERING INDEX outbox_unnumbered (tenant_id>?)",
        ),
        (dispatch::UNNUMBERED, "SEARCH outbox USING INDEX outbox_unnumbered (tenant_id=?)"),
        (
            dispatch::NEXT_TENANT,
            "SEARCH s USING COVERING INDEX streams_waiting (tenant_id>?); CORRELATED SCALAR SUBQUERY 1; \
             SEARCH a USING PRIMARY KEY (tenant_id=? AND plugin=?); LIST SUBQUERY 2; \
             SCAN json_each VIRTUAL TABLE INDEX 1:; CREATE BLOOM FILTER; CORRELATED SCALAR SUBQUERY 3; \
             SEARCH t USING PRIMARY KEY (id=?)",
        ),
        (
            dispatch::NEXT_STREAM,
            "SEARCH s USING COVERING INDEX streams_waiting \
             (tenant_id=? AND (head_event,plugin,key)>(?,?,?)); CORRELATED SCALAR SUBQUERY 1; \
             SEARCH a USING PRIMARY KEY (tenant_id=? AND plugin=?); LIST SUBQUERY 2; \
             SCAN json_each VIRTUAL TABLE INDEX 1:; CREATE BLOOM FILTER",
        ),
        (dispatch::DUE, "SEARCH streams USING INDEX streams_retry (retry_at>? AND retry_at<?)"),
        (dispatch::AHEAD, "SEARCH streams USING INDEX streams_failed (failed_at>?)"),
        (
            &dead_letters::list(),
            "SCAN d USING INDEX deliveries_dead; SCALAR SUBQUERY 1; \
             SEARCH outbox USING COVERING INDEX outbox_id (tenant_id=? AND id=?); \
             SEARCH o USING INTEGER PRIMARY KEY (rowid=?)",
        ),
        (&outbox::list(false), "SEARCH outbox USING INTEGER PRIMARY KEY (rowid>?)"),
        (&outbox::list(true), "SEARCH outbox USING INTEGER PRIMARY KEY (rowid>?)"),
        (
            outbox::DELIVERED,
            "SEARCH o USING COVERING INDEX outbox_published (published_at<?); SCALAR SUBQUERY 1; SEARCH outbox; \
             CORRELATED SCALAR SUBQUERY 2; SEARCH d USING INDEX deliveries_event (event=?)",
        ),
        (
            outbox::PRUNE_LOG,
            "SEARCH log_lines USING PRIMARY KEY (tenant_id=? AND at=? AND invocation=? AND ordinal=?); \
             LIST SUBQUERY 5; MATERIALIZE t; SETUP; SEARCH log_lines USING PRIMARY KEY; RECURSIVE STEP; SCAN t; \
             CORRELATED SCALAR SUBQUERY 2; SEARCH l USING PRIMARY KEY (tenant_id>?); SCAN t; \
             SEARCH l USING PRIMARY KEY (tenant_id=? AND at<?)",
        ),
    ] {
        assert_eq!(fixture.plan_of(sql), expected, "{sql}");
    }
}
