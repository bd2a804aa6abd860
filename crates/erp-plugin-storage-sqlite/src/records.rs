//! [`Records`]: each primitive is one statement that holds its preconditions — tenant, live, expected version — and
//! only when it hit no row a second one asks why.

use async_trait::async_trait;
use erp_plugin_model::filter::Filter;
use erp_plugin_model::page::Page;
use erp_plugin_model::{RecordId, TenantId, Value, Version};
use erp_plugin_storage::{
    Change, DeleteOutcome, Entity, InsertOutcome, NewRecord, QueryOutcome, RecordSink, Records, SinkFlow,
    Stamp, StorageResult, UpdateOutcome, Violation,
};
use rusqlite::ffi::{SQLITE_CONSTRAINT_CHECK, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
use rusqlite::{Connection, Statement, StatementStatus};

use crate::document;
use crate::error::{Error, Result};
use crate::prepare::{Prepared, prepare};
use crate::query;
use crate::row::StoredRow;
use crate::schema;
use crate::sql::Sql;
use crate::statements::{self, FIRST_FIELD, FieldSet, Statements};
use crate::transaction::SqliteTransaction;
use crate::{columns, statements::Reference};

/// Steps of SQLite's machine for one record that is looked at and left: to find its tenant, whether it is deleted, one
/// field, and the next record.
const STEPS_A_ROW: u64 = 8;

#[async_trait]
impl Records for SqliteTransaction {
    async fn insert(
        &mut self,
        entity: &Entity,
        record: NewRecord<'_>,
        stamp: Stamp<'_>,
    ) -> StorageResult<InsertOutcome> {
        let Self { session, tenant, .. } = self;
        session.write("insert", |connection| insert(connection, tenant, entity, record, stamp))
    }

    async fn get(&mut self, entity: &Entity, id: RecordId, sink: &mut dyn RecordSink) -> StorageResult<bool> {
        let Self { session, tenant, .. } = self;
        session.read("get", |connection| get(connection, tenant, entity, id, sink))
    }

    async fn query(
        &mut self,
        entity: &Entity,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<QueryOutcome> {
        let Self { session, tenant, .. } = self;
        let query = |connection: &Connection| run_query(connection, tenant, entity, filter, page, sink);
        if query::finds_few(entity.schema(), filter) {
            session.read("query", query)
        } else {
            session.scan("query", query)
        }
    }

    async fn update(
        &mut self,
        entity: &Entity,
        id: RecordId,
        expected: Version,
        change: Change<'_>,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<UpdateOutcome> {
        let Self { session, tenant, .. } = self;
        session.write("update", |connection| {
            update(connection, tenant, entity, (id, expected), change, stamp, sink)
        })
    }

    async fn delete(
        &mut self,
        entity: &Entity,
        id: RecordId,
        stamp: Stamp<'_>,
    ) -> StorageResult<DeleteOutcome> {
        let Self { session, tenant, .. } = self;
        session.write("delete", |connection| delete(connection, tenant, entity, id, stamp))
    }
}

fn insert(
    connection: &Connection,
    tenant: &TenantId,
    entity: &Entity,
    record: NewRecord<'_>,
    stamp: Stamp<'_>,
) -> Result<InsertOutcome> {
    let statements = statements::of(entity)?;
    if record.values.len() != statements.types.len() {
        return Err(Error::Misuse("a record with another number of values than its schema has fields"));
    }
    for reference in &statements.references {
        if let Some(Value::Uuid(id)) = record.values.get(reference.position)
            && !refers(connection, tenant, reference, RecordId(*id))?
        {
            return Ok(InsertOutcome::Violates(Violation::Reference(reference.field.clone())));
        }
    }
    let mut statement = prepare(connection, &statements.insert)?;
    bind_record(&mut statement, tenant, record.id)?;
    statement.raw_bind_parameter(3, stamp.at.timestamp_micros())?;
    statement.raw_bind_parameter(4, stamp.by)?;
    for (index, value) in record.values.iter().enumerate() {
        columns::bind(&mut statement, FIRST_FIELD + index, value)?;
    }
    match statement.raw_execute() {
        Ok(_) => Ok(InsertOutcome::Inserted),
        Err(error) => violation(entity, error).map(InsertOutcome::Violates),
    }
}

fn get(
    connection: &Connection,
    tenant: &TenantId,
    entity: &Entity,
    id: RecordId,
    sink: &mut dyn RecordSink,
) -> Result<bool> {
    let statements = statements::of(entity)?;
    let Some(mut statement) = prepare_read(connection, entity, &statements.get)? else { return Ok(false) };
    bind_record(&mut statement, tenant, id)?;
    Ok(feed(&mut statement, statements, &[], 1, sink)?.rows > 0)
}

fn run_query(
    connection: &Connection,
    tenant: &TenantId,
    entity: &Entity,
    filter: &Filter,
    page: &Page,
    sink: &mut dyn RecordSink,
) -> Result<QueryOutcome> {
    let statements = statements::of(entity)?;
    let query = query::select(statements, entity.schema(), tenant, filter, page)?;
    let Some(mut statement) = prepare_read(connection, entity, &query.sql.text)? else {
        return Ok(QueryOutcome { has_more: false, total: page.total.then_some(0), rows_scanned: 0 });
    };
    query.sql.bind(&mut statement)?;
    restart_steps(&statement);
    let fed = feed(&mut statement, statements, &query.keys, page.limit, sink)?;
    let mut rows_scanned = rows_scanned(&statement);
    let mut total = None;
    if page.total && !fed.stopped {
        let (counted, scanned) = count(connection, tenant, entity, statements, filter)?;
        total = Some(counted);
        rows_scanned += scanned;
    }
    Ok(QueryOutcome { has_more: fed.more, total, rows_scanned })
}

/// Counts a statement's steps from here on: one that was interrupted has left its own.
fn restart_steps(statement: &Statement<'_>) {
    statement.reset_status(StatementStatus::VmStep);
}

/// About how many records a statement has looked at.
fn rows_scanned(statement: &Statement<'_>) -> u64 {
    // A counter of 32 bits that SQLite lets run over.
    u64::from(statement.reset_status(StatementStatus::VmStep).cast_unsigned()) / STEPS_A_ROW
}

/// How many records match, and about how many were looked at to know.
fn count(
    connection: &Connection,
    tenant: &TenantId,
    entity: &Entity,
    statements: &Statements,
    filter: &Filter,
) -> Result<(u64, u64)> {
    let sql = query::count(statements, entity.schema(), tenant, filter)?;
    let mut statement = prepare(connection, &sql.text)?;
    sql.bind(&mut statement)?;
    restart_steps(&statement);
    let mut rows = statement.raw_query();
    let row = rows.next()?.ok_or_else(|| Error::Unreadable("count"))?;
    let counted = u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default();
    drop(rows);
    Ok((counted, rows_scanned(&statement)))
}

fn update(
    connection: &Connection,
    tenant: &TenantId,
    entity: &Entity,
    (id, expected): (RecordId, Version),
    change: Change<'_>,
    stamp: Stamp<'_>,
    sink: &mut dyn RecordSink,
) -> Result<UpdateOutcome> {
    let statements = statements::of(entity)?;
    let schema = entity.schema();
    let mut statement = match change {
        Change::Fields(fields) if !schema.is_dynamic() => {
            let mut set = FieldSet::default();
            for (position, value) in fields {
                if *position >= schema.fields().len() || !set.insert(*position) {
                    return Err(Error::Misuse(
                        "a field twice in one update, or that the schema does not have",
                    ));
                }
                if let Some(reference) = statements.reference(*position)
                    && let Value::Uuid(target) = value
                    && !refers(connection, tenant, reference, RecordId(*target))?
                {
                    return Ok(match why_not(connection, tenant, statements, id)? {
                        UpdateOutcome::VersionMismatch { actual } if actual == expected => {
                            UpdateOutcome::Violates(Violation::Reference(reference.field.clone()))
                        }
                        worse => worse,
                    });
                }
            }
            let mut statement = prepare(connection, &statements.update(schema, set))?;
            for (position, value) in fields {
                columns::bind(&mut statement, FIRST_FIELD + position, value)?;
            }
            statement
        }
        Change::Document(changes) if schema.is_dynamic() => {
            let mut sql = Sql::after(FIRST_FIELD - 1);
            document::push_changed(&mut sql, changes)?;
            let text = statements.update_with(&format!(", data = {}", sql.text));
            let Some(mut statement) = prepare_read(connection, entity, &text)? else {
                return Ok(UpdateOutcome::NotFound);
            };
            sql.bind(&mut statement)?;
            statement
        }
        _ => return Err(Error::Misuse("a change that is not of the entity's kind")),
    };
    bind_record(&mut statement, tenant, id)?;
    statement.raw_bind_parameter(3, expected.get())?;
    statement.raw_bind_parameter(4, stamp.at.timestamp_micros())?;
    statement.raw_bind_parameter(5, stamp.by)?;
    match feed(&mut statement, statements, &[], 1, sink) {
        Ok(fed) if fed.rows > 0 => Ok(UpdateOutcome::Written),
        Ok(_) => {
            drop(statement);
            why_not(connection, tenant, statements, id)
        }
        Err(Error::Sqlite(error)) => violation(entity, error).map(UpdateOutcome::Violates),
        Err(other) => Err(other),
    }
}

/// Why an update hit no row.
fn why_not(
    connection: &Connection,
    tenant: &TenantId,
    statements: &Statements,
    id: RecordId,
) -> Result<UpdateOutcome> {
    let mut statement = prepare(connection, &statements.version)?;
    bind_record(&mut statement, tenant, id)?;
    let mut rows = statement.raw_query();
    Ok(match rows.next()? {
        None => UpdateOutcome::NotFound,
        Some(row) => UpdateOutcome::VersionMismatch {
            actual: Version::new(row.get(0)?).ok_or_else(|| Error::Unreadable("version"))?,
        },
    })
}

fn delete(
    connection: &Connection,
    tenant: &TenantId,
    entity: &Entity,
    id: RecordId,
    stamp: Stamp<'_>,
) -> Result<DeleteOutcome> {
    let statements = statements::of(entity)?;
    let Some(mut statement) = prepare_read(connection, entity, &statements.delete)? else {
        return Ok(DeleteOutcome::NotFound);
    };
    bind_record(&mut statement, tenant, id)?;
    statement.raw_bind_parameter(3, stamp.at.timestamp_micros())?;
    statement.raw_bind_parameter(4, stamp.by)?;
    Ok(match statement.raw_execute()? {
        0 => DeleteOutcome::NotFound,
        _ => DeleteOutcome::Deleted,
    })
}

/// What a sink was given.
struct Fed {
    rows: u32,
    /// Whether there was a row beyond the limit.
    more: bool,
    /// Whether the sink wanted no more.
    stopped: bool,
}

fn feed(
    statement: &mut Statement<'_>,
    statements: &Statements,
    keys: &[&str],
    limit: u32,
    sink: &mut dyn RecordSink,
) -> Result<Fed> {
    let mut fed = Fed { rows: 0, more: false, stopped: false };
    let mut rows = statement.raw_query();
    // On after the limit: a statement that also writes has to be stepped to its end.
    while let Some(row) = rows.next()? {
        if fed.rows == limit {
            fed.more = true;
            break;
        }
        fed.rows += 1;
        let row = StoredRow { row, types: &statements.types, keys };
        if sink.record(&row).map_err(Error::Sink)? == SinkFlow::Stop {
            fed.stopped = true;
            break;
        }
    }
    Ok(fed)
}

fn bind_record(statement: &mut Statement<'_>, tenant: &TenantId, id: RecordId) -> Result<()> {
    statement.raw_bind_parameter(1, tenant.as_str())?;
    statement.raw_bind_parameter(2, &id.0.as_bytes()[..])?;
    Ok(())
}

/// Prepares a statement on the records there are. `None` for a dynamic entity whose table is not there (yet): it has
/// none.
fn prepare_read<'c>(connection: &'c Connection, entity: &Entity, sql: &str) -> Result<Option<Prepared<'c>>> {
    match prepare(connection, sql) {
        Ok(statement) => Ok(Some(statement)),
        Err(_)
            if entity.schema().is_dynamic()
                && !schema::has_table(connection, &entity.schema().name.table())? =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a reference names a live record of the tenant.
fn refers(connection: &Connection, tenant: &TenantId, reference: &Reference, id: RecordId) -> Result<bool> {
    let mut statement = match prepare(connection, &reference.exists) {
        Ok(statement) => statement,
        // An entity that is not installed has no records.
        Err(_) if !schema::has_table(connection, &reference.table)? => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    bind_record(&mut statement, tenant, id)?;
    let found = statement.raw_query().next()?.is_some();
    Ok(found)
}

/// What a failed write broke; any other failure as it was.
fn violation(entity: &Entity, error: rusqlite::Error) -> Result<Violation> {
    let field = match &error {
        rusqlite::Error::SqliteFailure(failure, Some(message))
            if failure.extended_code == SQLITE_CONSTRAINT_UNIQUE =>
        {
            // "UNIQUE constraint failed: t.tenant_id, t.sku": the columns of the index, the tenant's first.
            message.rsplit('.').next().and_then(|name| entity.schema().field(name))
        }
        rusqlite::Error::SqliteFailure(failure, _)
            if failure.extended_code == SQLITE_CONSTRAINT_PRIMARYKEY =>
        {
            return Err(Error::Misuse("an id that a record of this tenant already has"));
        }
        rusqlite::Error::SqliteFailure(failure, Some(message))
            if failure.extended_code == SQLITE_CONSTRAINT_CHECK
                && message.ends_with(schema::DOCUMENT_BYTES) =>
        {
            return Ok(Violation::DocumentTooLong);
        }
        _ => None,
    };
    field.map(|field| Violation::Unique(field.name.clone())).ok_or(Error::Sqlite(error))
}
