//! [`Transfer`]: rows as they are stored, out and in.
//!
//! A numbered event's number is its row in the outbox, and is kept. The unnumbered ones get new rows behind all others,
//! in their order. Where a stream stands is looked up among its deliveries, which are taken in before it.

mod tables;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::fold::fold;
use erp_plugin_model::{EntityName, EntityRef, EntitySchema, TenantId, Value};
use erp_plugin_storage::transfer::{
    EntityTable, PlatformTransfer, Row, TenantTable, TenantTransfer, Transfer,
};
use erp_plugin_storage::{PlatformScope, StorageResult, TenantScope, TransactionOptions};
use rusqlite::Connection;
use rusqlite::types::Null;

use crate::SqliteStorage;
use crate::columns::{self, ColumnType};
use crate::error::{Error, Result};
use crate::names::{read_plugin, read_tenant, read_text, read_time};
use crate::prepare::prepare;
use crate::schema;
use crate::transaction::{SqlitePlatformTransaction, SqliteTransaction};

#[async_trait]
impl Transfer for SqliteStorage {
    async fn begin_transfer(
        &self,
        scope: &TenantScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn TenantTransfer>> {
        Ok(Box::new(SqliteTransaction::begin(&self.connections, scope.tenant(), options).await?))
    }

    async fn begin_platform_transfer(
        &self,
        _scope: PlatformScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn PlatformTransfer>> {
        let session = self.connections.begin(&self.platform, options).await?;
        Ok(Box::new(SqlitePlatformTransaction { session }))
    }
}

#[async_trait]
impl TenantTransfer for SqliteTransaction {
    async fn export(
        &mut self,
        table: TenantTable<'_>,
        after: Option<&[Value]>,
        limit: u32,
    ) -> StorageResult<Vec<Row>> {
        let Self { session, tenant, .. } = self;
        session.scan("export", |connection| export(connection, tenant, table, after, limit))
    }

    async fn import(&mut self, table: TenantTable<'_>, rows: &[Row]) -> StorageResult<()> {
        let Self { session, tenant, .. } = self;
        session.migrate("import", |connection| import(connection, tenant, table, rows))
    }

    async fn last_event_number(&mut self) -> StorageResult<i64> {
        // Whoever may make tables is the only writer.
        self.session.migrate("last event number", |connection| {
            let sql = "SELECT coalesce(max(seq), 0) FROM outbox";
            Ok(connection.prepare_cached(sql)?.query_row((), |row| row.get(0))?)
        })
    }
}

#[async_trait]
impl PlatformTransfer for SqlitePlatformTransaction {
    async fn tenants_with_times(&mut self) -> StorageResult<Vec<(TenantId, DateTime<Utc>)>> {
        self.session.scan("tenants", |connection| {
            let mut statement = connection.prepare("SELECT id, created_at FROM tenants ORDER BY id")?;
            let mut rows = statement.query(())?;
            let mut tenants = Vec::new();
            while let Some(row) = rows.next()? {
                tenants.push((read_tenant(row, 0)?, read_time(row, 1)?));
            }
            Ok(tenants)
        })
    }

    async fn entity_tables(&mut self) -> StorageResult<Vec<EntityTable>> {
        self.session.scan("entity tables", |connection| {
            let mut statement = connection.prepare(
                "SELECT plugin, entity, kind = 'dynamic', coalesce(definition, '') FROM entities ORDER BY plugin, entity",
            )?;
            let mut rows = statement.query(())?;
            let mut tables = Vec::new();
            while let Some(row) = rows.next()? {
                let entity =
                    EntityName::parse(read_text(row, 1)?).map_err(|_| Error::Unreadable("entity name"))?;
                tables.push(EntityTable {
                    name: EntityRef { plugin: read_plugin(row, 0)?, entity },
                    dynamic: row.get(2)?,
                    definition: row.get(3)?,
                });
            }
            Ok(tables)
        })
    }

    async fn create_dynamic_entity(&mut self, name: &EntityRef) -> StorageResult<bool> {
        let schema = EntitySchema::dynamic(name.clone());
        self.session.migrate("create dynamic entity", |connection| schema::create(connection, &schema))
    }

    async fn last_turn(&mut self) -> StorageResult<String> {
        self.session.read("last turn", |connection| {
            Ok(connection.query_row("SELECT claimed FROM turns", (), |row| row.get(0))?)
        })
    }

    async fn set_last_turn(&mut self, tenant: &str) -> StorageResult<()> {
        self.session.write("set last turn", |connection| {
            connection.execute("UPDATE turns SET claimed = ?1", [tenant])?;
            Ok(())
        })
    }
}

fn export(
    connection: &Connection,
    tenant: &TenantId,
    table: TenantTable<'_>,
    after: Option<&[Value]>,
    limit: u32,
) -> Result<Vec<Row>> {
    let mut statement = prepare(connection, &tables::select(table, after.is_some()))?;
    statement.raw_bind_parameter(1, tenant.as_str())?;
    statement.raw_bind_parameter(2, limit)?;
    for (value, parameter) in after.into_iter().flatten().zip(3..) {
        columns::bind(&mut statement, parameter, value)?;
    }
    let mut place = match (table, after) {
        (TenantTable::UnnumberedEvents, None) => Some(0),
        (TenantTable::UnnumberedEvents, Some([Value::Integer(place)])) => Some(*place),
        (TenantTable::UnnumberedEvents, Some(_)) => return Err(Error::Misuse("a place that is no number")),
        _ => None,
    };
    let stored = table.columns();
    let stored = stored
        .iter()
        .skip(usize::from(place.is_some()))
        .map(|own| ColumnType::of(&own.field_type))
        .collect::<Vec<_>>();
    let mut exported = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let mut values = Vec::with_capacity(stored.len() + 1);
        if let Some(place) = &mut place {
            *place += 1;
            values.push(Value::Integer(*place));
        }
        for (column, column_type) in stored.iter().enumerate() {
            values.push(column_type.read(row.get_ref(column)?)?.to_owned());
        }
        exported.push(values);
    }
    Ok(exported)
}

fn import(connection: &Connection, tenant: &TenantId, table: TenantTable<'_>, rows: &[Row]) -> Result<()> {
    let target = tables::insert(table);
    let mut statement = prepare(connection, &target.sql)?;
    for row in rows {
        let value = |position: &usize| row.get(*position).ok_or(Error::Misuse("a row that is too short"));
        statement.raw_bind_parameter(1, tenant.as_str())?;
        for (position, parameter) in target.values.iter().zip(2..) {
            columns::bind(&mut statement, parameter, value(position)?)?;
        }
        let first_fold = target.values.len() + 2;
        for (position, parameter) in target.folds.iter().zip(first_fold..) {
            match value(position)? {
                Value::Text(text) => statement.raw_bind_parameter(parameter, fold(text))?,
                _ => statement.raw_bind_parameter(parameter, Null)?,
            }
        }
        statement.raw_execute()?;
    }
    Ok(())
}
