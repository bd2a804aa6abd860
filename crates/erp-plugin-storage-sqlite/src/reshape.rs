//! [`Reshape`]: what a step looks at and writes in one tenant.

use async_trait::async_trait;
use erp_plugin_model::evolution::{Check, Step};
use erp_plugin_model::schema::FieldType;
use erp_plugin_model::{EntitySchema, FieldName, RecordId, TenantId, Value};
use erp_plugin_storage::moves::{DOCUMENT, filled_columns, source_column};
use erp_plugin_storage::{Clashes, Moved, Reshape, StorageResult, Which};
use rusqlite::Connection;

use crate::columns::{self, ColumnType};
use crate::error::{Error, Result};
use crate::statements::quote;
use crate::transaction::SqliteTransaction;

#[async_trait]
impl Reshape for SqliteTransaction {
    async fn values(
        &mut self,
        schema: &EntitySchema,
        field: Option<&FieldName>,
        after: Option<RecordId>,
        limit: u32,
    ) -> StorageResult<Vec<(RecordId, Value)>> {
        let Self { session, tenant, .. } = self;
        session.scan("values", |connection| {
            let (column, column_type) = column_of(schema, field)?;
            let column = column.map_or_else(|| "NULL".to_owned(), |column| quote(&column));
            let table = quote(&schema.name.table());
            let from = if after.is_some() { " AND id > ?3" } else { "" };
            let sql = format!(
                "SELECT id, {column} FROM {table} WHERE tenant_id = ?1 AND deleted_at IS NULL{from} ORDER BY id LIMIT ?2"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            statement.raw_bind_parameter(1, tenant.as_str())?;
            statement.raw_bind_parameter(2, limit)?;
            if let Some(id) = after {
                statement.raw_bind_parameter(3, &id.0.as_bytes()[..])?;
            }
            read_values(statement.raw_query(), column_type)
        })
    }

    async fn clashes(&mut self, schema: &EntitySchema, check: &Check, limit: u32) -> StorageResult<Clashes> {
        let Self { session, tenant, .. } = self;
        session.scan("clashes", |connection| {
            let field = check.field().and_then(|name| schema.field(name.as_str()));
            let field = field.ok_or(Error::Misuse("a check of a field that is not there"))?;
            let (table, column) = (quote(&schema.name.table()), quote(field.column()));
            let live = "tenant_id = ?1 AND deleted_at IS NULL";
            let condition = match (check, &field.field_type) {
                (Check::Duplicate(_), _) => format!(
                    "{column} IN (SELECT {column} FROM {table} WHERE {live} AND {column} IS NOT NULL
                     GROUP BY {column} HAVING count(*) > 1)"
                ),
                (Check::Dangling(_), FieldType::Reference { target, .. }) => format!(
                    "{column} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {} AS o WHERE o.tenant_id = ?1
                     AND o.id = {table}.{column} AND o.deleted_at IS NULL)",
                    quote(&target.table())
                ),
                _ => return Err(Error::Misuse("a check that is not of records together")),
            };
            let count: i64 = connection
                .prepare_cached(&format!("SELECT count(*) FROM {table} WHERE {live} AND {condition}"))?
                .query_row([tenant.as_str()], |row| row.get(0))?;
            let sql = format!(
                "SELECT id, {column} FROM {table} WHERE {live} AND {condition} ORDER BY {column}, id LIMIT ?2"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            statement.raw_bind_parameter(1, tenant.as_str())?;
            statement.raw_bind_parameter(2, limit)?;
            let sample = read_values(statement.raw_query(), ColumnType::of(&field.field_type))?;
            Ok(Clashes { count: count.unsigned_abs(), sample })
        })
    }

    async fn move_records(&mut self, step: &Step, which: Which, limit: u32) -> StorageResult<Moved> {
        let Self { session, tenant, .. } = self;
        session.migrate("move records", |connection| move_records(connection, tenant, step, which, limit))
    }
}

fn column_of(schema: &EntitySchema, field: Option<&FieldName>) -> Result<(Option<String>, ColumnType)> {
    match field {
        None => Ok((schema.is_dynamic().then(|| DOCUMENT.to_owned()), ColumnType::Json)),
        Some(name) => {
            let field = schema.field(name.as_str());
            let field = field.ok_or(Error::Misuse("the values of a field that is not there"))?;
            Ok((Some(field.column().to_owned()), ColumnType::of(&field.field_type)))
        }
    }
}

fn read_values(mut rows: rusqlite::Rows<'_>, column_type: ColumnType) -> Result<Vec<(RecordId, Value)>> {
    let mut values = Vec::new();
    while let Some(row) = rows.next()? {
        let id = RecordId(crate::names::read_uuid(row, 0)?);
        values.push((id, column_type.read(row.get_ref(1)?)?.to_owned()));
    }
    Ok(values)
}

pub(crate) fn move_records(
    connection: &Connection,
    tenant: &TenantId,
    step: &Step,
    which: Which,
    limit: u32,
) -> Result<Moved> {
    let (source, source_type) =
        source_column(step).ok_or(Error::Misuse("records moved by a step that moves none"))?;
    let name = step.entity.table();
    let (table, source) = (quote(&name), quote(&source));
    let sql = match which {
        Which::After(None) => {
            format!("SELECT id, {source} FROM {table} WHERE tenant_id = ?1 ORDER BY id LIMIT ?2")
        }
        Which::After(Some(_)) => {
            format!("SELECT id, {source} FROM {table} WHERE tenant_id = ?1 AND id > ?3 ORDER BY id LIMIT ?2")
        }
        Which::Noted => format!(
            "SELECT n.id, t.{source} FROM schema_notes AS n LEFT JOIN {table} AS t
             ON t.tenant_id = n.tenant_id AND t.id = n.id
             WHERE n.table_name = ?3 AND n.tenant_id = ?1 ORDER BY n.id LIMIT ?2"
        ),
    };
    let mut select = connection.prepare_cached(&sql)?;
    select.raw_bind_parameter(1, tenant.as_str())?;
    select.raw_bind_parameter(2, limit)?;
    match which {
        Which::After(None) => {}
        Which::After(Some(id)) => select.raw_bind_parameter(3, &id.0.as_bytes()[..])?,
        Which::Noted => select.raw_bind_parameter(3, &name)?,
    }
    let records = read_values(select.raw_query(), ColumnType::of(&source_type))?;
    let columns = filled_columns(step);
    let mut assignments = String::new();
    for (index, (column, _)) in columns.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        assignments.push_str(&format!("{comma}{} = ?{}", quote(column), index + 3));
    }
    let sql = format!("UPDATE {table} SET {assignments} WHERE tenant_id = ?1 AND id = ?2");
    let mut update = connection.prepare_cached(&sql)?;
    let sql = "DELETE FROM schema_notes WHERE table_name = ?1 AND tenant_id = ?2 AND id = ?3";
    let mut forget = connection.prepare_cached(sql)?;
    for (id, old) in &records {
        update.raw_bind_parameter(1, tenant.as_str())?;
        update.raw_bind_parameter(2, &id.0.as_bytes()[..])?;
        for (value, parameter) in step.moved(old).iter().zip(3..) {
            columns::bind(&mut update, parameter, value)?;
        }
        update.raw_execute()?;
        if which == Which::Noted {
            forget.execute((&name, tenant.as_str(), &id.0.as_bytes()[..]))?;
        }
    }
    Ok(Moved { records: records.len() as u64, last: records.last().map(|(id, _)| *id) })
}
