//! [`Ledger`] and [`Alter`]: tables from one schema to the next, by the owner.
//!
//! Nothing here holds a lock that others wait for longer than a moment, but for two: a column's conversion ends, and a
//! document's declaration, with the table locked for as long as it takes to move what was written last and to look
//! through the table for what is required. (An entity that comes back is nobody's until its indexes are built.) Indexes are
//! built concurrently and constraints validated beside writers, which takes transactions of their own: so what goes before
//! the ledger's entry can be done again. A lock that is not there at once is given up, so that nobody queues behind it, and
//! asked for again by the caller.

mod ddl;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use erp_plugin_model::evolution::{Action, Archived, Step};
use erp_plugin_model::{EntityName, EntityRef, EntitySchema, Field, FieldName, PluginName, TenantId};
use erp_plugin_storage::moves;
use erp_plugin_storage::{
    Alter, Altered, ErrorKind, Ledger, Mode, PlatformScope, StorageError, StorageResult, TransactionOptions,
    Which,
};

use crate::PostgresStorage;
use crate::client::Client;
use crate::columns::Raw;
use crate::connection::{As, Roles, quote};
use crate::error::{Error, Result};
use crate::names::{read_boolean, read_plugin, read_tenant, read_text};
use crate::registry::note_change;
use crate::reshape;
use crate::row::raw;
use crate::schema::{self, Index, LOCK_LEDGER};
use crate::session::{Committed, Session};
use crate::sql::Parameter;
use crate::statements::table;
use crate::transaction::PostgresPlatformTransaction;

/// How long a lock is waited for, while others may queue behind it.
const LOCK_MILLIS: u32 = 500;
/// The records that are moved at once while writers wait.
const NOTED_AT_ONCE: u32 = 1_000;
/// How long an index may take to build.
const BUILD_PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

#[async_trait]
impl Ledger for PostgresPlatformTransaction {
    async fn entities(&mut self, plugin: &PluginName) -> StorageResult<Vec<EntitySchema>> {
        let client = self.session.client();
        let work = async {
            let sql = "SELECT entity, definition FROM erp_plugin.entities WHERE plugin = $1 ORDER BY entity";
            let rows = client.rows(sql, &[Parameter::Text(plugin.as_str())]).await?;
            rows.iter()
                .map(|row| {
                    let entity = entity_name(read_text(row, 0)?)?;
                    schema::read_schema(EntityRef { plugin: plugin.clone(), entity }, row, 1)
                })
                .collect()
        };
        self.session.run("entities", work).await
    }

    async fn set_version(&mut self, plugin: &PluginName, version: &semver::Version) -> StorageResult<()> {
        let client = self.session.client();
        let work = async {
            let sql = "UPDATE erp_plugin.entities SET version = $2 WHERE plugin = $1 AND kind = 'declared'";
            let version = version.to_string();
            client.execute(sql, &[Parameter::Text(plugin.as_str()), Parameter::Text(&version)]).await?;
            note_change(&client).await
        };
        self.session.write("set version", work).await
    }

    async fn archived(&mut self, plugin: &PluginName) -> StorageResult<Vec<Archived>> {
        let client = self.session.client();
        let work = async {
            let sql = "SELECT plugin, entity, field, table_name, kept_as, definition, version
                 FROM erp_plugin.archives
                 WHERE plugin = $1 ORDER BY ordinal, table_name, kept_as";
            let rows = client.rows(sql, &[Parameter::Text(plugin.as_str())]).await?;
            rows.iter()
                .map(|row| {
                    let entity =
                        EntityRef { plugin: read_plugin(row, 0)?, entity: entity_name(read_text(row, 1)?)? };
                    let version = raw(row, 6)?.map(Raw::text).transpose()?;
                    Ok(Archived {
                        field: raw(row, 2)?.map(|text| field_name(text.text()?)).transpose()?,
                        table: read_text(row, 3)?.to_owned(),
                        kept_as: read_text(row, 4)?.to_owned(),
                        definition: schema::read_schema(entity.clone(), row, 5)?,
                        version: version.and_then(|text| text.parse().ok()),
                        entity,
                    })
                })
                .collect()
        };
        self.session.run("archived", work).await
    }

    async fn purge_archived(&mut self, archived: &Archived) -> StorageResult<bool> {
        schema::check_mode(self.session.mode()).map_err(|error| error.at("purge archived"))?;
        let client = self.session.client();
        let work = async {
            if !forget_archived(&client, &archived.table, &archived.kept_as).await? {
                return Ok(false);
            }
            client.batch(&ddl::purge(archived)).await?;
            if archived.is_entity() {
                // With the table goes what was put aside in it before.
                let sql = "DELETE FROM erp_plugin.archives WHERE table_name = $1";
                client.execute(sql, &[Parameter::Text(&archived.kept_as)]).await?;
            }
            Ok(true)
        };
        self.session.write("purge archived", work).await
    }
}

#[async_trait]
impl Alter for PostgresStorage {
    async fn alter(&self, _: PlatformScope, step: &Step, deadline: Instant) -> StorageResult<Altered> {
        if step.moves_records() {
            return self
                .transacted("alter", deadline, async |client, _| begin_move(client, step).await)
                .await;
        }
        // What the ledger's entry needs to be true is made true before it, in a transaction of its own.
        if let Some(first) = ddl::first(step) {
            let made = self.transacted("alter", deadline, async |client, _| {
                if !is_there(client, step).await? {
                    return Ok(Altered::Elsewhere);
                }
                client.batch(&first).await?;
                Ok(Altered::Done)
            });
            match made.await? {
                Altered::Done => {}
                ended => return Ok(ended),
            }
        }
        let ended = self
            .transacted("alter", self.until(step, deadline), async |client, roles| {
                // A revival has the entry of what was put aside to itself, and takes as long as its indexes do.
                if matches!(step.action, Action::CreateEntity) {
                    client.batch(LOCK_LEDGER).await?;
                }
                if !is_there(client, step).await? {
                    return Ok(Altered::Elsewhere);
                }
                if !self.build_indexes(client, step).await? {
                    return Ok(Altered::DoesNotFit);
                }
                alter(client, roles, step).await
            })
            .await?;
        if ended == Altered::DoesNotFit
            && let Some(undo) = ddl::undo_first(step)
        {
            self.transacted("alter", deadline, async |client, _| {
                client.batch(&undo).await?;
                Ok(Altered::Done)
            })
            .await?;
        }
        Ok(ended)
    }

    async fn finish(&self, _: PlatformScope, step: &Step, deadline: Instant) -> StorageResult<Altered> {
        self.transacted("finish", self.until(step, deadline), async |client, _| {
            let name = step.entity.table();
            let is_begun = under_way(client, &name).await?.is_some_and(|(own, _)| own == moves::key(step));
            if !is_there(client, step).await? || !is_begun {
                return Ok(Altered::Elsewhere);
            }
            if !self.build_indexes(client, step).await? {
                return Ok(Altered::DoesNotFit);
            }
            finish(client, step).await
        })
        .await
    }

    fn statements(&self, step: &Step) -> Vec<String> {
        ddl::shown(step, &self.pools.roles)
    }
}

impl PostgresStorage {
    /// Does work in a transaction of the owner's, which is kept only if it is done. What does not fit is an outcome.
    async fn transacted(
        &self,
        operation: &'static str,
        deadline: Instant,
        work: impl AsyncFnOnce(&Client, &Roles) -> Result<Altered>,
    ) -> StorageResult<Altered> {
        let options = TransactionOptions { mode: Mode::Migrate, deadline, writer_hold: Duration::MAX };
        let begun = self.pools.begin(As::Platform, &self.platform, options).await;
        let mut session = begun.map_err(|error| error.at(operation))?;
        let (client, roles) = (session.client(), &self.pools.roles);
        let work = async {
            client.batch(&format!("SET LOCAL lock_timeout = {LOCK_MILLIS}")).await?;
            match work(&client, roles).await {
                Err(error) if error.unique_violation().is_some() || error.check_violation().is_some() => {
                    Ok(Err(Altered::DoesNotFit))
                }
                Err(error) => Err(error),
                Ok(ended) => Ok(Ok(ended)),
            }
        };
        match session.write(operation, work).await? {
            Ok(Altered::Done) => {
                self.pools.everyday.forget_tables();
                committed(session, operation).await
            }
            Ok(ended) | Err(ended) => {
                // Its locks are gone with the answer: whoever takes the next step would be refused by them.
                session.rollback().await;
                Ok(ended)
            }
        }
    }

    /// When a step must be made: an index takes as long as it takes.
    fn until(&self, step: &Step, deadline: Instant) -> Instant {
        let builds = matches!(step.action, Action::ReviveEntity { .. }) || !ddl::new_indexes(step).is_empty();
        if builds { deadline.max(Instant::now() + BUILD_PATIENCE) } else { deadline }
    }

    /// Builds the indexes that the step's end has and its beginning has not, beside readers and writers; whether what is
    /// stored fits them. On another connection than the caller's, whose transaction holds the ledger's entry meanwhile,
    /// so that nobody else builds them: it looks at nothing, and an index that is built does not wait for it.
    async fn build_indexes(&self, held: &Client, step: &Step) -> Result<bool> {
        let new = ddl::new_indexes(step);
        if new.is_empty() {
            return Ok(true);
        }
        // The last statement's snapshot lives on in its portal, and would be waited for; this leaves none.
        held.batch("SELECT 1").await?;
        let until = Instant::now() + BUILD_PATIENCE;
        let options = TransactionOptions { mode: Mode::Migrate, deadline: until, writer_hold: Duration::MAX };
        // Not BEGIN: what builds concurrently cannot be in a transaction. The connection is closed afterwards.
        let role = format!(
            "SET ROLE {}; SET lock_timeout = {}",
            quote(&self.pools.roles.owner),
            Duration::from_secs(30).as_millis()
        );
        let mut session = self.pools.begin_owner(role, &self.platform, options).await?;
        let client = session.client();
        let work = async {
            let partitions = schema::partitions(&client).await?;
            for index in &new {
                if !build_index(&client, &step.entity.table(), index, partitions).await? {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        session.run("build index", work).await.map_err(Error::Sink)
    }
}

async fn committed(mut session: Session, operation: &'static str) -> StorageResult<Altered> {
    match session.commit_alone().await? {
        Committed::Yes => Ok(Altered::Done),
        // Whoever plans again sees what became of it.
        Committed::Unknown => Err(StorageError::new(ErrorKind::TransactionLost, operation)),
    }
}

/// What a build that was stopped has left is of no use, and goes first.
async fn build_index(client: &Client, name: &str, index: &Index, partitions: i64) -> Result<bool> {
    let own = table(&index.name);
    let sql = "SELECT coalesce((SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)), false)";
    if read_boolean(&client.one(sql, &[Parameter::Text(&own)]).await?, 0)? {
        return Ok(true);
    }
    client.batch(&format!("DROP INDEX IF EXISTS {own}")).await?;
    let mut parts = Vec::new();
    if partitions == 0 {
        parts.push((index.name.clone(), table(name)));
    }
    for number in 0..partitions {
        parts.push((ddl::part_index(index, number), table(&schema::part(name, number))));
    }
    for (own, of) in &parts {
        client.batch(&format!("DROP INDEX IF EXISTS {}", table(own))).await?;
        match client.batch(&index.create("CONCURRENTLY ", own, of)).await {
            Ok(()) => {}
            Err(error) if error.unique_violation().is_some() => {
                client.batch(&format!("DROP INDEX IF EXISTS {}", table(own))).await?;
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
    if partitions > 0 {
        client.batch(&index.create("", &index.name, &format!("ONLY {}", table(name)))).await?;
        for (part, _) in &parts {
            client.batch(&format!("ALTER INDEX {own} ATTACH PARTITION {}", table(part))).await?;
        }
    }
    Ok(true)
}

/// Whether the ledger is where a step begins. Whoever asks has the entry to itself; who comes second comes again.
async fn is_there(client: &Client, step: &Step) -> Result<bool> {
    Ok(schema::found(client, &step.entity, " FOR UPDATE NOWAIT").await? == step.before)
}

async fn alter(client: &Client, roles: &Roles, step: &Step) -> Result<Altered> {
    let name = step.entity.table();
    give_up_move(client, &name).await?;
    match (&step.action, step.fields(), &step.after) {
        (Action::CreateEntity, _, Some(after)) => {
            schema::create(client, roles, after).await?;
            return Ok(Altered::Done);
        }
        (Action::ArchiveEntity, _, _) => {
            let kept_as = free_name(client, &name, |number| format!("{name}__old{number}")).await?;
            move_archived(client, &name, &kept_as).await?;
            note_archived(client, step, None, &kept_as).await?;
            client.batch(&ddl::archive_table(step, &kept_as, schema::partitions(client).await?)).await?;
            let sql = "DELETE FROM erp_plugin.entities WHERE table_name = $1";
            client.execute(sql, &[Parameter::Text(&name)]).await?;
            return Ok(Altered::Done);
        }
        (Action::ReviveEntity { table: kept_as }, _, Some(after)) => {
            if !forget_archived(client, &name, kept_as).await? {
                return Ok(Altered::Elsewhere);
            }
            client.batch(&ddl::revive_table(after, kept_as, schema::partitions(client).await?)).await?;
            move_archived(client, kept_as, &name).await?;
            schema::enter(client, after).await?;
            return Ok(Altered::Done);
        }
        (Action::ArchiveField(_), (Some(field), _), _) => archive_column(client, step, field).await?,
        (Action::ReviveField { column, .. }, (_, Some(field)), _) => {
            forget_archived(client, &name, column).await?;
            client.batch(&ddl::rename_column(&name, column, field.column())).await?;
        }
        _ => {}
    }
    client.batch(&ddl::plain(step)).await?;
    settle(client, step).await
}

/// Drops the indexes that only the step's beginning has, and moves the ledger on.
async fn settle(client: &Client, step: &Step) -> Result<Altered> {
    let Some(after) = &step.after else { return Ok(Altered::Done) };
    client.batch(&ddl::drop_old_indexes(step)).await?;
    let sql = "UPDATE erp_plugin.entities SET kind = 'declared', definition = $2 WHERE table_name = $1";
    client
        .execute(sql, &[Parameter::Owned(after.name.table()), Parameter::Owned(after.to_definition())])
        .await?;
    Ok(Altered::Done)
}

async fn begin_move(client: &Client, step: &Step) -> Result<Altered> {
    if !is_there(client, step).await? {
        return Ok(Altered::Elsewhere);
    }
    let name = step.entity.table();
    let key = moves::key(step);
    if under_way(client, &name).await?.is_some_and(|(own, _)| own == key) {
        return Ok(Altered::Done);
    }
    give_up_move(client, &name).await?;
    client.batch(&ddl::begin_move(step)).await?;
    let added: Vec<String> = moves::added_columns(step).into_iter().map(|(column, _)| column).collect();
    let sql = "INSERT INTO erp_plugin.schema_moves (table_name, step, columns) VALUES ($1, $2, $3)";
    let parameters = [Parameter::Text(&name), Parameter::Text(&key), Parameter::Owned(added.join(" "))];
    client.execute(sql, &parameters).await?;
    Ok(Altered::Done)
}

/// The step whose records are being moved, and the columns that were added for it.
async fn under_way(client: &Client, name: &str) -> Result<Option<(String, String)>> {
    let sql = "SELECT step, columns FROM erp_plugin.schema_moves WHERE table_name = $1";
    let row = client.row(sql, &[Parameter::Text(name)]).await?;
    row.map(|row| Ok((read_text(&row, 0)?.to_owned(), read_text(&row, 1)?.to_owned()))).transpose()
}

/// Takes back what was begun and not finished.
async fn give_up_move(client: &Client, name: &str) -> Result<()> {
    let Some((_, columns)) = under_way(client, name).await? else { return Ok(()) };
    client.batch(&ddl::drop_triggers(name)).await?;
    for column in columns.split_whitespace() {
        client.batch(&ddl::drop_column(name, column)).await?;
    }
    end_move(client, name).await
}

async fn end_move(client: &Client, name: &str) -> Result<()> {
    let own = [Parameter::Text(name)];
    client.execute("DELETE FROM erp_plugin.schema_moves WHERE table_name = $1", &own).await?;
    client.execute("DELETE FROM erp_plugin.schema_notes WHERE table_name = $1", &own).await?;
    Ok(())
}

async fn finish(client: &Client, step: &Step) -> Result<Altered> {
    let name = step.entity.table();
    client.batch(&format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", table(&name))).await?;
    while let Some(tenant) = noted_tenant(client, &name).await? {
        // A tenant's id has no character that means anything inside a literal.
        client.batch(&format!("SET LOCAL erp_plugin.tenant = '{tenant}'")).await?;
        reshape::move_records(client, &tenant, step, Which::Noted, NOTED_AT_ONCE).await?;
    }
    client.batch(&ddl::drop_triggers(&name)).await?;
    match (&step.action, step.fields()) {
        (Action::Convert(_), (Some(field), _)) => archive_column(client, step, field).await?,
        (Action::Declare, _) => {
            let kept_as = free_name(client, &name, |number| format!("data__old{number}")).await?;
            note_archived(client, step, None, &kept_as).await?;
            client.batch(&ddl::archive_document(&name, &kept_as)).await?;
        }
        _ => {}
    }
    client.batch(&ddl::plain(step)).await?;
    end_move(client, &name).await?;
    settle(client, step).await
}

async fn noted_tenant(client: &Client, name: &str) -> Result<Option<TenantId>> {
    let sql = "SELECT tenant_id FROM erp_plugin.schema_notes WHERE table_name = $1 LIMIT 1";
    let row = client.row(sql, &[Parameter::Text(name)]).await?;
    row.map(|row| read_tenant(&row, 0)).transpose()
}

async fn archive_column(client: &Client, step: &Step, field: &Field) -> Result<()> {
    let name = step.entity.table();
    let kept_as = free_name(client, &name, |number| format!("{}__old{number}", field.name)).await?;
    note_archived(client, step, Some(field), &kept_as).await?;
    client.batch(&ddl::archive_column(&name, field, &kept_as)).await
}

async fn note_archived(client: &Client, step: &Step, field: Option<&Field>, kept_as: &str) -> Result<()> {
    let Some(before) = &step.before else { return Ok(()) };
    let definition = match field {
        Some(field) => Some(before.with_fields(vec![field.clone()])),
        None => Some(before.clone()).filter(|schema| !schema.is_dynamic()),
    };
    let definition = definition.map(|mut schema| {
        schema.display = None;
        schema.to_definition()
    });
    let sql = "INSERT INTO erp_plugin.archives
             (table_name, kept_as, ordinal, plugin, entity, field, definition, version)
         SELECT $1, $2, (SELECT coalesce(max(ordinal), 0) + 1 FROM erp_plugin.archives), $3, $4, $5, $6,
             (SELECT version FROM erp_plugin.entities WHERE table_name = $1)";
    let parameters = [
        Parameter::Owned(step.entity.table()),
        Parameter::Text(kept_as),
        Parameter::Text(step.entity.plugin.as_str()),
        Parameter::Text(step.entity.entity.as_str()),
        Parameter::text(field.map(|field| field.name.as_str())),
        Parameter::text(definition.as_deref()),
    ];
    client.execute(sql, &parameters).await?;
    Ok(())
}

/// Whether something was put aside under this name; it is not any more.
async fn forget_archived(client: &Client, name: &str, kept_as: &str) -> Result<bool> {
    let sql = "DELETE FROM erp_plugin.archives WHERE table_name = $1 AND kept_as = $2";
    Ok(client.execute(sql, &[Parameter::Text(name), Parameter::Text(kept_as)]).await? > 0)
}

/// What was put aside in a table goes with it when the table gets another name.
async fn move_archived(client: &Client, from: &str, to: &str) -> Result<()> {
    // What begins with the table's name is the table itself, as it was put aside before.
    let sql = "UPDATE erp_plugin.archives SET table_name = $2
         WHERE table_name = $1 AND substr(kept_as, 1, length($1) + 5) <> $1 || '__old'";
    client.execute(sql, &[Parameter::Text(from), Parameter::Text(to)]).await?;
    Ok(())
}

/// The first of these names that nothing was put aside under.
async fn free_name(client: &Client, name: &str, candidate: impl Fn(u32) -> String) -> Result<String> {
    let sql = "SELECT 1 FROM erp_plugin.archives WHERE table_name = $1 AND kept_as = $2";
    for number in 1.. {
        let candidate = candidate(number);
        if client.row(sql, &[Parameter::Text(name), Parameter::Text(&candidate)]).await?.is_none() {
            return Ok(candidate);
        }
    }
    Err(Error::Misuse("no name is free"))
}

fn entity_name(text: &str) -> Result<EntityName> {
    EntityName::parse(text).map_err(|_| Error::Unreadable("entity name"))
}

fn field_name(text: &str) -> Result<FieldName> {
    FieldName::parse(text).map_err(|_| Error::Unreadable("field name"))
}
