//! [`SchemaAdmin`] and [`DynamicEntities`]: the tables of entities.
//!
//! A table has the primary key (tenant, id) and the policy that keeps the app role in its tenant, the owner included.
//! Every index begins with the tenant and holds live records only. The ledger `entities` keeps the schema that each table
//! is at; two schemas with one layout share a table. Tables are made by the owner, one maker at a time, who
//! holds the ledger's lock.
//!
//! An invocation that inserts into a dynamic entity for the first time has it made beside its own transaction, which
//! has no right to do so: so an empty table outlives a rollback.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use erp_plugin_model::{EntityRef, EntitySchema, Field, TenantId};
use erp_plugin_storage::layout::{folded_column, index_name, index_of, layout, required_constraint};
use erp_plugin_storage::{
    CreateDynamic, DynamicEntities, Entity, MAX_DYNAMIC_ENTITIES, Mode, SchemaAdmin, StorageResult,
};

use crate::client::Client;
use crate::columns::ColumnType;
use crate::connection::{Roles, quote};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::names::read_integer;
use crate::row::raw;
use crate::scanned;
use crate::sql::Parameter;
use crate::statements::{self, table};
use crate::transaction::{PostgresPlatformTransaction, PostgresTransaction};
use tokio_postgres::Row;

/// Two makers of tables one after the other. Readers and the ledger's own readers go on.
pub(crate) const LOCK_LEDGER: &str = "LOCK TABLE erp_plugin.entities IN SHARE ROW EXCLUSIVE MODE";

/// The tables that are known to be there, and what is counted apart for those that were searched. Forgotten whenever a
/// table turns out to be another than it was.
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

    /// Forgets all of them.
    pub(crate) fn forget(&self) {
        self.there.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.relations.write().unwrap_or_else(PoisonError::into_inner).clear();
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
    if let Some(found) = found(client, &schema.name, "").await? {
        return Ok(found.kind == schema.kind && layout(&found) == layout(schema));
    }
    client.batch(&ddl(schema, roles, partitions(client).await?)).await?;
    enter(client, schema).await?;
    Ok(true)
}

/// How many parts an entity's table has; 0 for one that is whole.
pub(crate) async fn partitions(client: &Client) -> Result<i64> {
    read_integer(&client.one("SELECT partitions FROM erp_plugin.system_schema", &[]).await?, 0)
}

/// Enters a table into the ledger.
pub(crate) async fn enter(client: &Client, schema: &EntitySchema) -> Result<()> {
    let name = schema.name.table();
    let kind = if schema.is_dynamic() { "dynamic" } else { "declared" };
    let definition = (!schema.is_dynamic()).then(|| schema.to_definition());
    let parameters = [
        Parameter::Text(&name),
        Parameter::Text(schema.name.plugin.as_str()),
        Parameter::Text(schema.name.entity.as_str()),
        Parameter::Text(kind),
        Parameter::text(definition.as_deref()),
    ];
    let sql = "INSERT INTO erp_plugin.entities (table_name, plugin, entity, kind, definition) VALUES ($1, $2, $3, $4, $5)";
    client.execute(sql, &parameters).await?;
    Ok(())
}

/// The schema that an entity's table is at; `None` when there is no such table. `lock` is what the statement ends with.
pub(crate) async fn found(client: &Client, name: &EntityRef, lock: &str) -> Result<Option<EntitySchema>> {
    let sql = format!("SELECT definition FROM erp_plugin.entities WHERE table_name = $1{lock}");
    let row = client.row(&sql, &[Parameter::Owned(name.table())]).await?;
    row.map(|row| read_schema(name.clone(), &row, 0)).transpose()
}

/// A schema as the ledger keeps it: a dynamic entity has no definition.
pub(crate) fn read_schema(name: EntityRef, row: &Row, column: usize) -> Result<EntitySchema> {
    match raw(row, column)? {
        None => Ok(EntitySchema::dynamic(name)),
        Some(text) => EntitySchema::from_definition(&name, text.text()?)
            .map_err(|_| Error::Unreadable("entity definition")),
    }
}

pub(crate) fn ddl(schema: &EntitySchema, roles: &Roles, partitions: i64) -> String {
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
        let _ = write!(sql, ", {} {column_type}", quote(field.column()));
        if field.searchable {
            let _ = write!(sql, ", {} text COLLATE \"C\"", quote(&folded_column(field)));
        }
    }
    sql.push_str(", PRIMARY KEY (tenant_id, id)");
    for field in schema.fields().iter().filter(|field| field.required) {
        let _ = write!(sql, ", {}", required(field));
    }
    sql.push(')');
    if partitions > 0 {
        sql.push_str(" PARTITION BY HASH (tenant_id)");
    }
    sql.push(';');
    for number in 0..partitions {
        let part = self::table(&part(&name, number));
        let _ = write!(
            sql,
            "CREATE TABLE {part} PARTITION OF {table} FOR VALUES WITH (MODULUS {partitions}, REMAINDER {number});"
        );
    }
    sql.push_str(&create_indexes(schema));
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

/// The statements that make all indexes of an entity's table, which nobody works on.
pub(crate) fn create_indexes(schema: &EntitySchema) -> String {
    let name = schema.name.table();
    let table = table(&name);
    let mut sql = String::new();
    for index in schema.fields().iter().flat_map(|field| indexes_of(&name, field)) {
        let _ = write!(sql, "{};", index.create("", &index.name, &table));
    }
    let deleted = quote(&deleted_index(&name));
    let _ = write!(
        sql,
        "CREATE INDEX {deleted} ON {table} (tenant_id, deleted_at, id) WHERE deleted_at IS NOT NULL;"
    );
    sql
}

/// The name of one part of a table.
pub(crate) fn part(name: &str, number: i64) -> String {
    format!("{name}__p{number:02}")
}

/// That live records have a field.
pub(crate) fn required(field: &Field) -> String {
    let (name, column) = (quote(&required_constraint(field)), quote(field.column()));
    format!("CONSTRAINT {name} CHECK ({column} IS NOT NULL OR deleted_at IS NOT NULL)")
}

/// An index of an entity's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) name: String,
    unique: bool,
    /// What it is on behind the tenant, and of which records.
    columns: String,
    condition: String,
}

impl Index {
    /// The statement that makes it, on this table and by this name; `how` is `CONCURRENTLY` or nothing.
    pub(crate) fn create(&self, how: &str, name: &str, table: &str) -> String {
        let unique = if self.unique { "UNIQUE " } else { "" };
        format!(
            "CREATE {unique}INDEX {how}{} ON {table} (tenant_id, {}) WHERE {}",
            quote(name),
            self.columns,
            self.condition
        )
    }
}

/// The indexes that a field has.
pub(crate) fn indexes_of(table: &str, field: &Field) -> Vec<Index> {
    const LIVE: &str = "deleted_at IS NULL";
    let column = quote(field.column());
    let mut indexes = Vec::new();
    if let Some(own) = index_of(table, field) {
        let columns = if own.unique { column.clone() } else { format!("{column}, id") };
        indexes.push(Index { name: own.name, unique: own.unique, columns, condition: LIVE.to_owned() });
        if own.unique {
            // Absent values clash with none, so there can be many; this has them in the order of their ids.
            indexes.push(Index {
                name: index_name(table, field.column(), "absent"),
                unique: false,
                columns: "id".to_owned(),
                condition: format!("{LIVE} AND {column} IS NULL"),
            });
        }
    }
    if field.searchable {
        indexes.push(Index {
            name: index_name(table, field.column(), "folded"),
            unique: false,
            columns: format!("{}, id", quote(&folded_column(field))),
            condition: LIVE.to_owned(),
        });
    }
    indexes
}

/// The index of a table's deleted records.
pub(crate) fn deleted_index(table: &str) -> String {
    index_name(table, "deleted_at", "deleted")
}
