//! [`Ledger`] and [`Alter`]: tables from one schema to the next. Each step is one transaction, the ledger with it.
//!
//! SQLite alters a table by writing its definition anew, so almost every step takes a moment whatever the table holds;
//! what reads or writes all of it (a new index, a required field, a new column with a default) keeps other writers out for
//! about a second a million records. Readers keep their snapshots and go on.

mod ddl;

use std::time::Instant;

use async_trait::async_trait;
use erp_plugin_model::evolution::{Action, Archived, Step};
use erp_plugin_model::{EntityName, EntityRef, EntitySchema, FieldName, PluginName, TenantId};
use erp_plugin_storage::moves;
use erp_plugin_storage::{
    Alter, Altered, Ledger, Mode, PlatformScope, StorageResult, TransactionOptions, Which,
};
use rusqlite::ffi::{SQLITE_CONSTRAINT, SQLITE_CONSTRAINT_CHECK, SQLITE_CONSTRAINT_UNIQUE};
use rusqlite::{Connection, OptionalExtension};

use crate::SqliteStorage;
use crate::error::{Error, Result};
use crate::names::{read_plugin, read_tenant, read_text};
use crate::registry::note_change;
use crate::reshape;
use crate::schema;
use crate::statistics;
use crate::transaction::SqlitePlatformTransaction;

/// The records that are moved at once while writers wait.
const NOTED_AT_ONCE: u32 = 1_000;

#[async_trait]
impl Ledger for SqlitePlatformTransaction {
    async fn entities(&mut self, plugin: &PluginName) -> StorageResult<Vec<EntitySchema>> {
        self.session.read("entities", |connection| {
            let sql = "SELECT entity, definition FROM entities WHERE plugin = ?1 ORDER BY entity";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([plugin.as_str()])?;
            let mut entities = Vec::new();
            while let Some(row) = rows.next()? {
                let name = EntityRef { plugin: plugin.clone(), entity: entity_name(read_text(row, 0)?)? };
                let definition: Option<String> = row.get(1)?;
                entities.push(schema::read_schema(name, definition.as_deref())?);
            }
            Ok(entities)
        })
    }

    async fn set_version(&mut self, plugin: &PluginName, version: &semver::Version) -> StorageResult<()> {
        self.session.write("set version", |connection| {
            connection
                .prepare_cached("UPDATE entities SET version = ?2 WHERE plugin = ?1 AND kind = 'declared'")?
                .execute((plugin.as_str(), version.to_string()))?;
            note_change(connection)
        })
    }

    async fn archived(&mut self, plugin: &PluginName) -> StorageResult<Vec<Archived>> {
        self.session.read("archived", |connection| {
            let sql = "SELECT plugin, entity, field, table_name, kept_as, definition, version FROM archives
                 WHERE plugin = ?1 ORDER BY ordinal, table_name, kept_as";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([plugin.as_str()])?;
            let mut archived = Vec::new();
            while let Some(row) = rows.next()? {
                let entity =
                    EntityRef { plugin: read_plugin(row, 0)?, entity: entity_name(read_text(row, 1)?)? };
                let field: Option<String> = row.get(2)?;
                let definition: Option<String> = row.get(5)?;
                let version: Option<String> = row.get(6)?;
                archived.push(Archived {
                    field: field.as_deref().map(field_name).transpose()?,
                    table: row.get(3)?,
                    kept_as: row.get(4)?,
                    definition: schema::read_schema(entity.clone(), definition.as_deref())?,
                    version: version.and_then(|text| text.parse().ok()),
                    entity,
                });
            }
            Ok(archived)
        })
    }

    async fn purge_archived(&mut self, archived: &Archived) -> StorageResult<bool> {
        self.session.migrate("purge archived", |connection| {
            if !forget_archived(connection, &archived.table, &archived.kept_as)? {
                return Ok(false);
            }
            connection.execute_batch(&ddl::purge(archived))?;
            if archived.is_entity() {
                // With the table goes what was put aside in it before.
                connection
                    .prepare_cached("DELETE FROM archives WHERE table_name = ?1")?
                    .execute([&archived.kept_as])?;
            }
            Ok(true)
        })
    }
}

#[async_trait]
impl Alter for SqliteStorage {
    async fn alter(&self, _: PlatformScope, step: &Step, deadline: Instant) -> StorageResult<Altered> {
        self.step("alter", deadline, |connection| alter(connection, step)).await
    }

    async fn finish(&self, _: PlatformScope, step: &Step, deadline: Instant) -> StorageResult<Altered> {
        self.step("finish", deadline, |connection| finish(connection, step)).await
    }

    fn statements(&self, step: &Step) -> Vec<String> {
        ddl::shown(step)
    }
}

impl SqliteStorage {
    async fn step(
        &self,
        operation: &'static str,
        deadline: Instant,
        work: impl FnOnce(&Connection) -> Result<Altered> + Send,
    ) -> StorageResult<Altered> {
        let hold = deadline.saturating_duration_since(Instant::now());
        let options = TransactionOptions { mode: Mode::Migrate, deadline, writer_hold: hold };
        let mut session = self.connections.begin(&self.platform, options).await?;
        match session.migrate(operation, work)? {
            Altered::Done => {
                session.keep(|_| Ok(()))?.wait().await?;
                Ok(Altered::Done)
            }
            ended => {
                session.undo();
                Ok(ended)
            }
        }
    }
}

/// Whether the ledger is where a step begins.
fn is_there(connection: &Connection, step: &Step) -> Result<bool> {
    Ok(schema::found(connection, &step.entity)? == step.before)
}

fn alter(connection: &Connection, step: &Step) -> Result<Altered> {
    if !is_there(connection, step)? {
        return Ok(Altered::Elsewhere);
    }
    if step.moves_records() {
        return begin_move(connection, step);
    }
    give_up_move(connection, &step.entity.table())?;
    let table = step.entity.table();
    match (&step.action, step.fields(), &step.after) {
        (Action::CreateEntity, _, Some(after)) => {
            schema::create(connection, after)?;
            return Ok(Altered::Done);
        }
        (Action::ArchiveEntity, _, _) => {
            let kept_as = free_name(connection, &table, |number| format!("{table}__old{number}"))?;
            move_archived(connection, &table, &kept_as)?;
            note_archived(connection, step, None, &kept_as)?;
            connection.execute_batch(&ddl::archive_table(step, &kept_as))?;
            connection.prepare_cached("DELETE FROM entities WHERE table_name = ?1")?.execute([&table])?;
            connection.prepare_cached("DELETE FROM sqlite_stat1 WHERE tbl = ?1")?.execute([&table])?;
            return Ok(Altered::Done);
        }
        (Action::ReviveEntity { table: kept_as }, _, Some(after)) => {
            if !forget_archived(connection, &table, kept_as)? {
                return Ok(Altered::Elsewhere);
            }
            connection.execute_batch(&ddl::revive_table(after, kept_as))?;
            move_archived(connection, kept_as, &table)?;
            schema::enter(connection, after)?;
            return Ok(Altered::Done);
        }
        (Action::ArchiveField(field), (Some(own), _), _) => archive_column(connection, step, field, own)?,
        (Action::ReviveField { column, .. }, (_, Some(field)), _) => {
            forget_archived(connection, &table, column)?;
            connection.execute_batch(&ddl::rename_column(&table, column, field.column()))?;
        }
        _ => {}
    }
    if !fits(connection.execute_batch(&ddl::plain(step)))? {
        return Ok(Altered::DoesNotFit);
    }
    settle(connection, step)
}

/// Makes the indexes that the step's end has and its beginning has not, drops the others, and moves the ledger on.
fn settle(connection: &Connection, step: &Step) -> Result<Altered> {
    let Some(after) = &step.after else { return Ok(Altered::Done) };
    if !fits(connection.execute_batch(&ddl::indexes(step)))? {
        return Ok(Altered::DoesNotFit);
    }
    statistics::rewrite(connection, after)?;
    connection
        .prepare_cached("UPDATE entities SET kind = 'declared', definition = ?2 WHERE table_name = ?1")?
        .execute((after.name.table(), after.to_definition()))?;
    Ok(Altered::Done)
}

fn begin_move(connection: &Connection, step: &Step) -> Result<Altered> {
    let table = step.entity.table();
    let under_way: Option<String> = connection
        .prepare_cached("SELECT step FROM schema_moves WHERE table_name = ?1")?
        .query_row([&table], |row| row.get(0))
        .optional()?;
    if under_way.as_deref() == Some(&moves::key(step)) {
        return Ok(Altered::Done);
    }
    give_up_move(connection, &table)?;
    connection.execute_batch(&ddl::begin_move(step))?;
    connection
        .prepare_cached("INSERT INTO schema_moves (table_name, step, columns) VALUES (?1, ?2, ?3)")?
        .execute((&table, moves::key(step), added(step)))?;
    Ok(Altered::Done)
}

fn added(step: &Step) -> String {
    let names: Vec<String> = moves::added_columns(step).into_iter().map(|(column, _)| column).collect();
    names.join(" ")
}

/// Takes back what was begun and not finished.
fn give_up_move(connection: &Connection, table: &str) -> Result<()> {
    let columns: Option<String> = connection
        .prepare_cached("SELECT columns FROM schema_moves WHERE table_name = ?1")?
        .query_row([table], |row| row.get(0))
        .optional()?;
    let Some(columns) = columns else { return Ok(()) };
    connection.execute_batch(&ddl::drop_triggers(table))?;
    for column in columns.split_whitespace() {
        connection.execute_batch(&ddl::drop_column(table, column))?;
    }
    end_move(connection, table)
}

fn end_move(connection: &Connection, table: &str) -> Result<()> {
    connection.prepare_cached("DELETE FROM schema_moves WHERE table_name = ?1")?.execute([table])?;
    connection.prepare_cached("DELETE FROM schema_notes WHERE table_name = ?1")?.execute([table])?;
    Ok(())
}

fn finish(connection: &Connection, step: &Step) -> Result<Altered> {
    let table = step.entity.table();
    let under_way: Option<String> = connection
        .prepare_cached("SELECT step FROM schema_moves WHERE table_name = ?1")?
        .query_row([&table], |row| row.get(0))
        .optional()?;
    if !is_there(connection, step)? || under_way.as_deref() != Some(&moves::key(step)) {
        return Ok(Altered::Elsewhere);
    }
    while let Some(tenant) = noted_tenant(connection, &table)? {
        reshape::move_records(connection, &tenant, step, Which::Noted, NOTED_AT_ONCE)?;
    }
    connection.execute_batch(&ddl::drop_triggers(&table))?;
    match (&step.action, step.fields()) {
        (Action::Convert(field), (Some(own), _)) => archive_column(connection, step, field, own)?,
        (Action::Declare, _) => {
            let kept_as = free_name(connection, &table, |number| format!("data__old{number}"))?;
            note_archived(connection, step, None, &kept_as)?;
            connection.execute_batch(&ddl::archive_document(&table, &kept_as))?;
        }
        _ => {}
    }
    if !fits(connection.execute_batch(&ddl::plain(step)))? {
        return Ok(Altered::DoesNotFit);
    }
    end_move(connection, &table)?;
    settle(connection, step)
}

fn noted_tenant(connection: &Connection, table: &str) -> Result<Option<TenantId>> {
    let mut statement =
        connection.prepare_cached("SELECT tenant_id FROM schema_notes WHERE table_name = ?1 LIMIT 1")?;
    let mut rows = statement.query([table])?;
    rows.next()?.map(|row| read_tenant(row, 0)).transpose()
}

fn archive_column(
    connection: &Connection,
    step: &Step,
    name: &FieldName,
    field: &erp_plugin_model::Field,
) -> Result<()> {
    let table = step.entity.table();
    let kept_as = free_name(connection, &table, |number| format!("{name}__old{number}"))?;
    note_archived(connection, step, Some(field), &kept_as)?;
    connection.execute_batch(&ddl::archive_column(&table, field, &kept_as))?;
    Ok(())
}

fn note_archived(
    connection: &Connection,
    step: &Step,
    field: Option<&erp_plugin_model::Field>,
    kept_as: &str,
) -> Result<()> {
    let Some(before) = &step.before else { return Ok(()) };
    let definition = match field {
        Some(field) => Some(before.with_fields(vec![field.clone()])),
        None => Some(before.clone()).filter(|schema| !schema.is_dynamic()),
    };
    connection
        .prepare_cached(
            "INSERT INTO archives (table_name, kept_as, ordinal, plugin, entity, field, definition, version)
             SELECT ?1, ?2, (SELECT coalesce(max(ordinal), 0) + 1 FROM archives), ?3, ?4, ?5, ?6,
                 (SELECT version FROM entities WHERE table_name = ?1)",
        )?
        .execute((
            step.entity.table(),
            kept_as,
            step.entity.plugin.as_str(),
            step.entity.entity.as_str(),
            field.map(|field| field.name.as_str()),
            definition.map(|mut schema| {
                schema.display = None;
                schema.to_definition()
            }),
        ))?;
    Ok(())
}

/// Whether something was put aside under this name; it is not any more.
fn forget_archived(connection: &Connection, table: &str, kept_as: &str) -> Result<bool> {
    let mut forget =
        connection.prepare_cached("DELETE FROM archives WHERE table_name = ?1 AND kept_as = ?2")?;
    Ok(forget.execute([table, kept_as])? > 0)
}

/// What was put aside in a table goes with it when the table gets another name.
fn move_archived(connection: &Connection, from: &str, to: &str) -> Result<()> {
    // What begins with the table's name is the table itself, as it was put aside before.
    let sql = "UPDATE archives SET table_name = ?2 WHERE table_name = ?1 AND substr(kept_as, 1, length(?1) + 5) <> ?1 || '__old'";
    connection.prepare_cached(sql)?.execute([from, to])?;
    Ok(())
}

/// The first of these names that nothing was put aside under.
fn free_name(connection: &Connection, table: &str, name: impl Fn(u32) -> String) -> Result<String> {
    let mut taken =
        connection.prepare_cached("SELECT 1 FROM archives WHERE table_name = ?1 AND kept_as = ?2")?;
    for number in 1.. {
        let name = name(number);
        if !taken.exists([table, &name])? {
            return Ok(name);
        }
    }
    Err(Error::Misuse("no name is free"))
}

/// Whether what is stored fits what was asked of it.
fn fits(done: rusqlite::Result<()>) -> Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(rusqlite::Error::SqliteFailure(failure, _))
            if matches!(
                failure.extended_code,
                SQLITE_CONSTRAINT | SQLITE_CONSTRAINT_CHECK | SQLITE_CONSTRAINT_UNIQUE
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

fn entity_name(text: &str) -> Result<EntityName> {
    EntityName::parse(text).map_err(|_| Error::Unreadable("entity name"))
}

fn field_name(text: &str) -> Result<FieldName> {
    FieldName::parse(text).map_err(|_| Error::Unreadable("field name"))
}
