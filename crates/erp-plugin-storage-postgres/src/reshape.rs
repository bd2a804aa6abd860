//! [`Reshape`]: what a step looks at and writes in one tenant.

use async_trait::async_trait;
use erp_plugin_model::evolution::{Check, Step};
use erp_plugin_model::{EntitySchema, FieldName, FieldType, RecordId, TenantId, Value};
use erp_plugin_storage::moves::{DOCUMENT, filled_columns, source_column};
use erp_plugin_storage::{Clashes, Moved, Reshape, StorageResult, Which};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::client::Client;
use crate::columns::ColumnType;
use crate::connection::quote;
use crate::error::{Error, Result};
use crate::names::{read_count, read_uuid};
use crate::row::raw;
use crate::schema::check_mode;
use crate::sql::Parameter;
use crate::statements::{Text, table};
use crate::transaction::PostgresTransaction;

#[async_trait]
impl Reshape for PostgresTransaction {
    async fn values(
        &mut self,
        schema: &EntitySchema,
        field: Option<&FieldName>,
        after: Option<RecordId>,
        limit: u32,
    ) -> StorageResult<Vec<(RecordId, Value)>> {
        let (client, tenant) = (self.session.client(), self.tenant.clone());
        let work = async {
            let (column, column_type) = column_of(schema, field)?;
            let column = column.map_or_else(|| "NULL".to_owned(), |column| quote(&column));
            let mut parameters = vec![Parameter::Text(tenant.as_str()), Parameter::Integer(i64::from(limit))];
            let mut from = "";
            if let Some(id) = after {
                parameters.push(Parameter::Uuid(id.0));
                from = " AND id > $3";
            }
            let sql = format!(
                "SELECT id, {column} FROM {} WHERE tenant_id = $1 AND deleted_at IS NULL{from} ORDER BY id LIMIT $2",
                table(&schema.name.table())
            );
            read_values(&client.rows(&sql, &parameters).await?, column_type)
        };
        self.session.run("values", work).await
    }

    async fn clashes(&mut self, schema: &EntitySchema, check: &Check, limit: u32) -> StorageResult<Clashes> {
        let (client, tenant) = (self.session.client(), self.tenant.clone());
        let work = async {
            let field = check.field().and_then(|name| schema.field(name.as_str()));
            let field = field.ok_or(Error::Misuse("a check of a field that is not there"))?;
            let (own, column) = (table(&schema.name.table()), quote(field.column()));
            let live = "t.tenant_id = $1 AND t.deleted_at IS NULL";
            let condition = match (check, &field.field_type) {
                (Check::Duplicate(_), _) => format!(
                    "t.{column} IN (SELECT t.{column} FROM {own} AS t WHERE {live} AND t.{column} IS NOT NULL
                     GROUP BY t.{column} HAVING count(*) > 1)"
                ),
                (Check::Dangling(_), FieldType::Reference { target, .. }) => format!(
                    "t.{column} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {} AS o WHERE o.tenant_id = $1
                     AND o.id = t.{column} AND o.deleted_at IS NULL)",
                    table(&target.table())
                ),
                _ => return Err(Error::Misuse("a check that is not of records together")),
            };
            let sql = format!("SELECT count(*) FROM {own} AS t WHERE {live} AND {condition}");
            let count = read_count(&client.one(&sql, &[Parameter::Text(tenant.as_str())]).await?, 0)?;
            let sql = format!(
                "SELECT t.id, t.{column} FROM {own} AS t WHERE {live} AND {condition}
                 ORDER BY t.{column}, t.id LIMIT $2"
            );
            let parameters = [Parameter::Text(tenant.as_str()), Parameter::Integer(i64::from(limit))];
            let sample =
                read_values(&client.rows(&sql, &parameters).await?, ColumnType::of(&field.field_type))?;
            Ok(Clashes { count, sample })
        };
        self.session.run("clashes", work).await
    }

    async fn move_records(&mut self, step: &Step, which: Which, limit: u32) -> StorageResult<Moved> {
        check_mode(self.session.mode()).map_err(|error| error.at("move records"))?;
        let (client, tenant) = (self.session.client(), self.tenant.clone());
        self.session.write("move records", move_records(&client, &tenant, step, which, limit)).await
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

fn read_values(rows: &[Row], column_type: ColumnType) -> Result<Vec<(RecordId, Value)>> {
    let read = |row| Ok((RecordId(read_uuid(row, 0)?), column_type.read(raw(row, 1)?)?.to_owned()));
    rows.iter().map(read).collect()
}

/// The records are locked before anything is forgotten that was noted of them, in the order in which a writer does it.
pub(crate) async fn move_records(
    client: &Client,
    tenant: &TenantId,
    step: &Step,
    which: Which,
    limit: u32,
) -> Result<Moved> {
    let (source, source_type) =
        source_column(step).ok_or(Error::Misuse("records moved by a step that moves none"))?;
    let name = step.entity.table();
    let (own, source) = (table(&name), quote(&source));
    let mut parameters = vec![Parameter::Text(tenant.as_str()), Parameter::Integer(i64::from(limit))];
    let sql = match which {
        Which::After(after) => {
            let mut from = "";
            if let Some(id) = after {
                parameters.push(Parameter::Uuid(id.0));
                from = " AND id > $3";
            }
            format!(
                "SELECT id, {source} FROM {own} WHERE tenant_id = $1{from} ORDER BY id LIMIT $2 FOR UPDATE"
            )
        }
        Which::Noted => {
            parameters.push(Parameter::Text(&name));
            format!(
                "SELECT id, {source} FROM {own} WHERE tenant_id = $1 AND id = ANY(ARRAY(
                     SELECT id FROM erp_plugin.schema_notes WHERE tenant_id = $1 AND table_name = $3
                     ORDER BY id LIMIT $2
                 )) ORDER BY id FOR UPDATE"
            )
        }
    };
    let records = read_values(&client.rows(&sql, &parameters).await?, ColumnType::of(&source_type))?;
    if which == Which::Noted {
        let ids = Parameter::many(records.iter().map(|(id, _)| Parameter::Uuid(id.0)));
        let sql = "DELETE FROM erp_plugin.schema_notes AS n WHERE n.tenant_id = $1 AND n.table_name = $2
             AND (n.id = ANY($3) OR n.id = ANY(ARRAY(
                 SELECT m.id FROM erp_plugin.schema_notes AS m WHERE m.tenant_id = $1 AND m.table_name = $2
                 ORDER BY m.id LIMIT $4
             )) AND cardinality($3) = 0)";
        let limit = if records.is_empty() { i64::from(limit) } else { 0 };
        // A record that was purged meanwhile is noted and there no more.
        let parameters =
            [Parameter::Text(tenant.as_str()), Parameter::Text(&name), ids, Parameter::Integer(limit)];
        client.execute(sql, &parameters).await?;
    }
    if !records.is_empty() {
        write(client, tenant, step, &records).await?;
    }
    Ok(Moved { records: records.len() as u64, last: records.last().map(|(id, _)| *id) })
}

async fn write(client: &Client, tenant: &TenantId, step: &Step, records: &[(RecordId, Value)]) -> Result<()> {
    let columns = filled_columns(step);
    let rows: Vec<Vec<Value>> = records.iter().map(|(_, old)| step.moved(old)).collect();
    let (mut assignments, mut names, mut arrays) = (Vec::new(), String::new(), String::new());
    let mut types = vec![Type::TEXT, Type::UUID_ARRAY];
    let mut parameters = vec![
        Parameter::Text(tenant.as_str()),
        Parameter::many(records.iter().map(|(id, _)| Parameter::Uuid(id.0))),
    ];
    for (index, (column, field_type)) in columns.iter().enumerate() {
        assignments.push(format!("{} = r.p__v{index}", quote(column)));
        names.push_str(&format!(", p__v{index}"));
        arrays.push_str(&format!(", ${}", index + 3));
        types.push(ColumnType::of(field_type).array());
        let values = rows.iter().map(|row| row.get(index).map_or(Parameter::Null, Parameter::Value));
        parameters.push(Parameter::many(values));
    }
    let sql = format!(
        "UPDATE {} AS t SET {} FROM unnest($2{arrays}) AS r(p__id{names}) WHERE t.tenant_id = $1 AND t.id = r.p__id",
        table(&step.entity.table()),
        assignments.join(", ")
    );
    client.execute_text(&Text { sql, types }, &parameters).await?;
    Ok(())
}
