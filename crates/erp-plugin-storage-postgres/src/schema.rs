//! [`SchemaAdmin`] and [`DynamicEntities`]: the tables of entities.
//!
//! A table has the primary key (tenant, id) and the policy that keeps the app role in its tenant, the owner included.
//! Every index begins with the tenant and holds live records only. The ledger `entities` keeps the layout each table
//! was made from; two schemas with one layout share a table. Tables are made by the owner, one maker at a time, who
//! holds the ledger's lock.
//!
//! An invocation that inserts into a dynamic entity for the first time has it made beside its own transaction, which
//! has no right to do so: so an empty table outlives a rollback.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use erp_plugin_model::{EntityName, EntityRef, EntitySchema, PluginName, TenantId};
use erp_plugin_storage::layout::{folded_column, index_name, index_of, layout};
use erp_plugin_storage::{
    CreateDynamic, DynamicEntities, Entity, MAX_DYNAMIC_ENTITIES, Mode, SchemaAdmin, StorageResult,
};

use crate::client::Client;
use crate::columns::ColumnType;
use crate::connection::{Roles, quote};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::names::{read_integer, read_text};
use crate::scanned;
use crate::sql::Parameter;
use crate::statements::{self, table};
use crate::transaction::{PostgresPlatformTransaction, PostgresTransaction};

/// Two makers of tables one after the other. Readers and the ledger's own readers go on.
pub(crate) const LOCK_LEDGER: &str = "LOCK TABLE erp_plugin.entities IN SHARE ROW EXCLUSIVE MODE";

/// The tables that are known to be there, and what is counted apart for those that were searched. None goes away while
/// a host runs.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    there: RwLock<HashSet<String>>,
    relations: RwLock<HashMap<String, Arc<[i64]>>>,
}

impl Tables {
    /// What an operation on an entity's records knows.
    pub(crate) fn context<'a>(
        &'a self,
        client: &'a Client,
        tenant: &'a TenantId,
        entity: &'a Entity,
    ) -> Result<Context<'a>> {
        Ok(Context { client, tables: self, tenant, entity, statements: statements::of(entity)? })
    }

    /// Whether a table is there, for a transaction that makes none itself.
    pub(crate) async fn is_there(&self, client: &Client, name: &str) -> Result<bool> {
        if self.there.read().unwrap_or_else(PoisonError::into_inner).contains(name) {
            return Ok(true);
        }
        let row = client.one("SELECT to_regclass($1) IS NOT NULL", &[Parameter::Owned(table(name))]).await?;
        let is_there = crate::names::read_boolean(&row, 0)?;
        if is_there && !client.makes_tables() {
            self.there.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        }
        Ok(is_there)
    }

    /// What is counted apart for a table that is there, given its full name.
    pub(crate) async fn relations(&self, client: &Client, table: &str) -> Result<Arc<[i64]>> {
        if let Some(known) = self.relations.read().unwrap_or_else(PoisonError::into_inner).get(table) {
            return Ok(Arc::clone(known));
        }
        let found: Arc<[i64]> = scanned::relations(client, table).await?.into();
        if !client.makes_tables() {
            let mut relations = self.relations.write().unwrap_or_else(PoisonError::into_inner);
            relations.insert(table.to_owned(), Arc::clone(&found));
        }
        Ok(found)
    }
}

#[async_trait]
impl SchemaAdmin for PostgresPlatformTransaction {
    async fn create_entity(&mut self, schema: &EntitySchema) -> StorageResult<bool> {
        check_mode(self.session.mode()).map_err(|error| error.at("create entity"))?;
        let (client, roles) = (self.session.client(), self.pools.roles.clone());
        let work = async {
            check_declared(schema)?;
            client.batch(LOCK_LEDGER).await?;
            create(&client, &roles, schema).await
        };
        self.session.write("create entity", work).await
    }

    async fn dynamic_entities(&mut self, plugin: &PluginName) -> StorageResult<Vec<EntityRef>> {
        let client = self.session.client();
        let work = async {
            let sql = "SELECT entity FROM erp_plugin.entities WHERE plugin = $1 AND kind = 'dynamic' ORDER BY entity";
            let rows = client.rows(sql, &[Parameter::Text(plugin.as_str())]).await?;
            rows.iter()
                .map(|row| {
                    let entity = EntityName::parse(read_text(row, 0)?)
                        .map_err(|_| Error::Unreadable("entity name"))?;
                    Ok(EntityRef { plugin: plugin.clone(), entity })
                })
                .collect()
        };
        self.session.run("dynamic entities", work).await
    }
}

#[async_trait]
impl DynamicEntities for PostgresTransaction {
    async fn create_dynamic(&mut self, entity: &Entity) -> StorageResult<CreateDynamic> {
        self.session.check_mode("create dynamic entity")?;
        let schema = entity.schema();
        if !schema.is_dynamic() {
            return Err(Error::Misuse("a declared entity made as a dynamic one").at("create dynamic entity"));
        }
        if self.made.contains(&schema.name) {
            return Ok(CreateDynamic::Ready);
        }
        let outcome = if self.session.mode() == Mode::Migrate {
            let (client, roles) = (self.session.client(), self.pools.roles.clone());
            self.session.write("create dynamic entity", create_dynamic(&client, &roles, schema)).await?
        } else {
            self.create_beside(schema).await?
        };
        if outcome == CreateDynamic::Ready {
            self.made.insert(schema.name.clone());
        }
        Ok(outcome)
    }

    async fn declare(&mut self, schema: &EntitySchema) -> StorageResult<bool> {
        check_mode(self.session.mode()).map_err(|error| error.at("declare entity"))?;
        let (client, roles) = (self.session.client(), self.pools.roles.clone());
        let work = async {
            check_declared(schema)?;
            // Without the ledger's lock: a trial takes long, and is rolled back.
            create(&client, &roles, schema).await
        };
        self.session.write("declare entity", work).await
    }

    async fn has_dynamic(&mut self, name: &EntityRef) -> StorageResult<bool> {
        if self.made.contains(name) {
            return Ok(true);
        }
        let client = self.session.client();
        let work = async {
            let sql = "SELECT 1 FROM erp_plugin.entities WHERE table_name = $1 AND kind = 'dynamic'";
            Ok(client.row(sql, &[Parameter::Owned(name.table())]).await?.is_some())
        };
        self.session.run("has dynamic entity", work).await
    }
}

pub(crate) fn check_mode(mode: Mode) -> Result<()> {
    match mode {
        Mode::Migrate => Ok(()),
        Mode::Read | Mode::Write => Err(Error::Misuse("a table made in a transaction that makes none")),
    }
}

fn check_declared(schema: &EntitySchema) -> Result<()> {
    if schema.is_dynamic() {
        return Err(Error::Misuse("a dynamic entity made as a declared one"));
    }
    Ok(())
}

/// Makes a dynamic entity's table in a transaction of the owner.
pub(crate) async fn create_dynamic(
    client: &Client,
    roles: &Roles,
    schema: &EntitySchema,
) -> Result<CreateDynamic> {
    client.batch(LOCK_LEDGER).await?;
    let sql = "SELECT count(*) FILTER (WHERE table_name = $2), count(*) FROM erp_plugin.entities
         WHERE plugin = $1 AND kind = 'dynamic'";
    let parameters = [Parameter::Text(schema.name.plugin.as_str()), Parameter::Owned(schema.name.table())];
    let row = client.one(sql, &parameters).await?;
    let (own, all) = (read_integer(&row, 0)?, read_integer(&row, 1)?);
    if own == 0 && all >= i64::from(MAX_DYNAMIC_ENTITIES) {
        return Ok(CreateDynamic::TooMany);
    }
    if create(client, roles, schema).await? {
        Ok(CreateDynamic::Ready)
    } else {
        Err(Error::Misuse("a dynamic entity with the name of a declared one"))
    }
}

/// Makes the table unless it is there, for who holds the ledger's lock or will be rolled back; whether it is now as the
/// schema says.
pub(crate) async fn create(client: &Client, roles: &Roles, schema: &EntitySchema) -> Result<bool> {
    let (name, layout) = (schema.name.table(), layout(schema));
    let kind = if schema.is_dynamic() { "dynamic" } else { "declared" };
    let sql = "SELECT kind, layout FROM erp_plugin.entities WHERE table_name = $1";
    if let Some(row) = client.row(sql, &[Parameter::Text(&name)]).await? {
        return Ok(read_text(&row, 0)? == kind && read_text(&row, 1)? == layout);
    }
    let row = client.one("SELECT partitions FROM erp_plugin.system_schema", &[]).await?;
    client.batch(&ddl(schema, roles, read_integer(&row, 0)?)).await?;
    let parameters = [
        Parameter::Text(&name),
        Parameter::Text(schema.name.plugin.as_str()),
        Parameter::Text(schema.name.entity.as_str()),
        Parameter::Text(kind),
        Parameter::Text(&layout),
    ];
    let sql = "INSERT INTO erp_plugin.entities (table_name, plugin, entity, kind, layout) VALUES ($1, $2, $3, $4, $5)";
    client.execute(sql, &parameters).await?;
    Ok(true)
}

fn ddl(schema: &EntitySchema, roles: &Roles, partitions: i64) -> String {
    let name = schema.name.table();
    let table = table(&name);
    let mut sql = format!(
        "CREATE TABLE {table} (
            tenant_id text COLLATE \"C\" NOT NULL,
            id uuid NOT NULL,
            version bigint NOT NULL,
            created_at timestamptz NOT NULL,
            created_by text COLLATE \"C\" NOT NULL,
            updated_at timestamptz NOT NULL,
            updated_by text COLLATE \"C\" NOT NULL,
            deleted_at timestamptz,
            deleted_by text COLLATE \"C\""
    );
    if schema.is_dynamic() {
        sql.push_str(", data json NOT NULL");
    }
    for field in schema.fields() {
        let column_type = ColumnType::of(&field.field_type).ddl();
        let required = if field.required { " NOT NULL" } else { "" };
        let _ = write!(sql, ", {} {column_type}{required}", quote(field.name.as_str()));
        if field.searchable {
            let _ = write!(sql, ", {} text COLLATE \"C\"", quote(&folded_column(field)));
        }
    }
    sql.push_str(", PRIMARY KEY (tenant_id, id))");
    if partitions > 0 {
        sql.push_str(" PARTITION BY HASH (tenant_id)");
    }
    sql.push(';');
    for number in 0..partitions {
        let part = self::table(&format!("{name}__p{number:02}"));
        let _ = write!(
            sql,
            "CREATE TABLE {part} PARTITION OF {table} FOR VALUES WITH (MODULUS {partitions}, REMAINDER {number});"
        );
    }
    push_indexes(&mut sql, schema, &name, &table);
    let app = quote(&roles.app);
    let _ = write!(
        sql,
        "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
         ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
         CREATE POLICY tenant ON {table} USING (tenant_id = (SELECT erp_plugin.current_tenant()));
         GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {app};"
    );
    sql
}

fn push_indexes(sql: &mut String, schema: &EntitySchema, name: &str, table: &str) {
    for field in schema.fields() {
        let column = quote(field.name.as_str());
        if let Some(index) = index_of(name, field) {
            let own = quote(&index.name);
            let _ = if index.unique {
                write!(
                    sql,
                    "CREATE UNIQUE INDEX {own} ON {table} (tenant_id, {column}) WHERE deleted_at IS NULL;"
                )
            } else {
                write!(
                    sql,
                    "CREATE INDEX {own} ON {table} (tenant_id, {column}, id) WHERE deleted_at IS NULL;"
                )
            };
            if index.unique && !field.required {
                // Absent values clash with none, so there can be many; this has them in the order of their ids.
                let absent = quote(&index_name(name, field.name.as_str(), "absent"));
                let _ = write!(
                    sql,
                    "CREATE INDEX {absent} ON {table} (tenant_id, id) WHERE deleted_at IS NULL AND {column} IS NULL;"
                );
            }
        }
        if field.searchable {
            let index = quote(&index_name(name, field.name.as_str(), "folded"));
            let column = quote(&folded_column(field));
            let _ = write!(
                sql,
                "CREATE INDEX {index} ON {table} (tenant_id, {column}, id) WHERE deleted_at IS NULL;"
            );
        }
    }
    let index = quote(&index_name(name, "deleted_at", "deleted"));
    let _ = write!(
        sql,
        "CREATE INDEX {index} ON {table} (tenant_id, deleted_at, id) WHERE deleted_at IS NOT NULL;"
    );
}
