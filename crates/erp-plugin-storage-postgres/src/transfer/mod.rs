//! [`Transfer`]: rows as they are stored, out and in.
//!
//! What is in is read as the app role, so that row-level security holds a tenant's rows apart here too. Rows are taken in
//! as the owner, who alone may write all tables, and whom the policies keep in the tenant as well.
//!
//! Events that wait for the dispatcher get negative transaction numbers, in their order: whatever is published later
//! comes after them.

mod tables;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::fold::fold;
use erp_plugin_model::{EntityName, EntityRef, EntitySchema, TenantId, Value};
use erp_plugin_storage::transfer::{
    EntityTable, PlatformTransfer, Row, TenantTable, TenantTransfer, Transfer,
};
use erp_plugin_storage::{PlatformScope, StorageResult, TenantScope, TransactionOptions};

use crate::PostgresStorage;
use crate::client::Client;
use crate::columns::ColumnType;
use crate::connection::As;
use crate::error::{Error, Result};
use crate::names::{read_boolean, read_integer, read_plugin, read_tenant, read_text, read_time};
use crate::row::raw;
use crate::schema::{self, LOCK_LEDGER};
use crate::sql::Parameter;
use crate::transaction::{PostgresPlatformTransaction, PostgresTransaction};

/// Before the first transaction number of an event that came with a copy. A server's own are positive.
const BEFORE_ALL: i64 = i64::MIN / 2;

#[async_trait]
impl Transfer for PostgresStorage {
    async fn begin_transfer(
        &self,
        scope: &TenantScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn TenantTransfer>> {
        Ok(Box::new(PostgresTransaction::begin(&self.pools, scope.tenant(), options).await?))
    }

    async fn begin_platform_transfer(
        &self,
        _scope: PlatformScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn PlatformTransfer>> {
        let session = self.pools.begin(As::Platform, &self.platform, options).await;
        let session = session.map_err(|error| error.at("begin"))?;
        Ok(Box::new(PostgresPlatformTransaction { session, pools: self.pools.clone() }))
    }
}

#[async_trait]
impl TenantTransfer for PostgresTransaction {
    async fn export(
        &mut self,
        table: TenantTable<'_>,
        after: Option<&[Value]>,
        limit: u32,
    ) -> StorageResult<Vec<Row>> {
        let client = self.session.client();
        let work = export(&client, &self.tenant, table, after, limit);
        self.session.run("export", work).await
    }

    async fn import(&mut self, table: TenantTable<'_>, rows: &[Row]) -> StorageResult<()> {
        schema::check_mode(self.session.mode()).map_err(|error| error.at("import"))?;
        let client = self.session.client();
        let work = import(&client, &self.tenant, table, rows);
        self.session.write("import", work).await
    }

    async fn last_event_number(&mut self) -> StorageResult<i64> {
        schema::check_mode(self.session.mode()).map_err(|error| error.at("last event number"))?;
        let client = self.session.client();
        let work = async {
            // Whoever numbers events changes this row.
            let sql = "SELECT last_seq FROM erp_plugin.dispatcher WHERE single FOR UPDATE";
            read_integer(&client.one(sql, &[]).await?, 0)
        };
        self.session.write("last event number", work).await
    }
}

#[async_trait]
impl PlatformTransfer for PostgresPlatformTransaction {
    async fn tenants_with_times(&mut self) -> StorageResult<Vec<(TenantId, DateTime<Utc>)>> {
        let client = self.session.client();
        let work = async {
            let rows = client.rows("SELECT id, created_at FROM erp_plugin.tenants ORDER BY id", &[]).await?;
            rows.iter().map(|row| Ok((read_tenant(row, 0)?, read_time(row, 1)?))).collect()
        };
        self.session.run("tenants", work).await
    }

    async fn entity_tables(&mut self) -> StorageResult<Vec<EntityTable>> {
        let client = self.session.client();
        let work = async {
            let sql = "SELECT plugin, entity, kind = 'dynamic', coalesce(definition, '') FROM erp_plugin.entities ORDER BY plugin, entity";
            let rows = client.rows(sql, &[]).await?;
            let table = |row| {
                let entity =
                    EntityName::parse(read_text(row, 1)?).map_err(|_| Error::Unreadable("entity name"))?;
                Ok(EntityTable {
                    name: EntityRef { plugin: read_plugin(row, 0)?, entity },
                    dynamic: read_boolean(row, 2)?,
                    definition: read_text(row, 3)?.to_owned(),
                })
            };
            rows.iter().map(table).collect()
        };
        self.session.run("entity tables", work).await
    }

    async fn create_dynamic_entity(&mut self, name: &EntityRef) -> StorageResult<bool> {
        schema::check_mode(self.session.mode()).map_err(|error| error.at("create dynamic entity"))?;
        let (client, roles) = (self.session.client(), self.pools.roles.clone());
        let schema = EntitySchema::dynamic(name.clone());
        let work = async {
            client.batch(LOCK_LEDGER).await?;
            schema::create(&client, &roles, &schema).await
        };
        self.session.write("create dynamic entity", work).await
    }

    async fn last_turn(&mut self) -> StorageResult<String> {
        let client = self.session.client();
        let work = async {
            let row = client.one("SELECT last_tenant FROM erp_plugin.claim_turn WHERE single", &[]).await?;
            Ok(read_text(&row, 0)?.to_owned())
        };
        self.session.run("last turn", work).await
    }

    async fn set_last_turn(&mut self, tenant: &str) -> StorageResult<()> {
        let client = self.session.client();
        let work = async {
            let sql = "UPDATE erp_plugin.claim_turn SET last_tenant = $1 WHERE single";
            client.execute(sql, &[Parameter::Text(tenant)]).await?;
            Ok(())
        };
        self.session.write("set last turn", work).await
    }
}

async fn export(
    client: &Client,
    tenant: &TenantId,
    table: TenantTable<'_>,
    after: Option<&[Value]>,
    limit: u32,
) -> Result<Vec<Row>> {
    let mut parameters = vec![Parameter::Text(tenant.as_str()), Parameter::Integer(i64::from(limit))];
    parameters.extend(after.into_iter().flatten().map(Parameter::Value));
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
    let rows = client.rows_text(&tables::select(table, after.is_some()), &parameters).await?;
    let mut exported = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut values = Vec::with_capacity(stored.len() + 1);
        if let Some(place) = &mut place {
            *place += 1;
            values.push(Value::Integer(*place));
        }
        for (column, column_type) in stored.iter().enumerate() {
            values.push(column_type.read(raw(row, column)?)?.to_owned());
        }
        exported.push(values);
    }
    Ok(exported)
}

async fn import(client: &Client, tenant: &TenantId, table: TenantTable<'_>, rows: &[Row]) -> Result<()> {
    let value = |row: usize, column: usize| {
        let value = rows.get(row).and_then(|row| row.get(column));
        value.ok_or(Error::Misuse("a row that is too short"))
    };
    let mut parameters = vec![Parameter::Text(tenant.as_str())];
    for column in 0..table.columns().len() {
        let stored = (0..rows.len()).map(|row| {
            let own = value(row, column)?;
            Ok(match (table, column, own) {
                (TenantTable::UnnumberedEvents, 0, Value::Integer(place)) => {
                    Parameter::Integer(BEFORE_ALL.saturating_add(*place))
                }
                _ => Parameter::Value(own),
            })
        });
        parameters.push(Parameter::Many(stored.collect::<Result<_>>()?));
    }
    if let TenantTable::Records(schema) = table {
        for (_, position) in tables::folded(schema) {
            let folds = (0..rows.len()).map(|row| {
                Ok(match value(row, position)? {
                    Value::Text(text) => Parameter::Owned(fold(text)),
                    _ => Parameter::Null,
                })
            });
            parameters.push(Parameter::Many(folds.collect::<Result<_>>()?));
        }
    }
    client.execute_text(&tables::insert(table), &parameters).await?;
    if let (TenantTable::NumberedEvents, Some([Value::Integer(last), ..])) =
        (table, rows.last().map(Vec::as_slice))
    {
        let sql = "UPDATE erp_plugin.dispatcher SET last_seq = greatest(last_seq, $1) WHERE single";
        client.execute(sql, &[Parameter::Integer(*last)]).await?;
    }
    Ok(())
}
