//! Host calls on records, a file for each kind: `insert`, `update`, `delete`, `query`, `figures`, `deleted` for what
//! becomes of deleted records, and `history` for who changed what. Here is what they share: which entity a name means, and whether the caller may.

mod delete;
mod deleted;
mod figures;
mod history;
mod insert;
mod query;
mod update;

use std::sync::Arc;

use erp_plugin_model::parse::quote;
use erp_plugin_model::{EntityName, EntitySchema, ErrorCode, HostError, IdentityKind, TenantId};
use erp_plugin_storage::{
    CreateDynamic, Entity, MAX_DYNAMIC_ENTITIES, RecordSink, RowView, SinkFlow, StorageResult, Violation,
};

use crate::caller::{EntityGrant, Right};
use crate::error::{CallResult, Fatal};
use crate::hooks::HookPoint;
use crate::invocation::Invocation;
use crate::json::{document, write};

/// What most records fit in as JSON, in bytes.
const RECORD: usize = 1 << 10;

impl Invocation {
    /// An entity that may be written.
    pub(crate) fn writable(&self, name: &str, verb: &str) -> CallResult<Writable> {
        if self.is_read_only() {
            return Err(HostError::denied(format!("{verb}: this call may only read")).into());
        }
        if let Some(grant) = self.caller.entities.get(name) {
            let EntityGrant { entity, write, .. } = grant.clone();
            self.check_right(write, &entity, verb)?;
            return Ok(Writable { entity, missing: false });
        }
        let Some(directory) = &self.caller.dynamic else {
            return Err(self.caller.unknown_entity(name).into());
        };
        let name = self.own(name);
        if let Some(entity) = directory.get(name).or_else(|| self.made_here(name)) {
            return Ok(Writable { entity, missing: false });
        }
        let entity_name = EntityName::parse(name).map_err(|error| HostError::invalid(error.to_string()))?;
        if verb != "insert" {
            // Nothing was ever inserted, so there is nothing to change.
            return Err(HostError::not_found(format!(
                "no entity {entity_name} yet; its first insert creates it"
            ))
            .into());
        }
        Ok(Writable { entity: directory.make(entity_name), missing: true })
    }

    /// Makes a dynamic entity's table.
    pub(crate) async fn make(&mut self, entity: &Arc<Entity>) -> CallResult<()> {
        match self.transaction().await?.create_dynamic(entity).await? {
            CreateDynamic::Ready => {
                self.dynamic_made.push(Arc::clone(entity));
                Ok(())
            }
            CreateDynamic::TooMany => Err(HostError::new(
                ErrorCode::LimitExceeded,
                format!("a plugin has at most {MAX_DYNAMIC_ENTITIES} dynamic entities; declare them in plugin.toml"),
            )
            .into()),
        }
    }

    /// An entity that may be read. A dynamic one that is not there yet has no records.
    pub(crate) async fn readable(&mut self, name: &str) -> CallResult<Arc<Entity>> {
        if let Some(grant) = self.caller.entities.get(name) {
            let EntityGrant { entity, read, .. } = grant.clone();
            self.check_right(read, &entity, "read")?;
            return Ok(entity);
        }
        let Some(directory) = self.caller.dynamic.clone() else {
            return Err(self.caller.unknown_entity(name).into());
        };
        let name = self.own(name);
        if let Some(entity) = directory.get(name).or_else(|| self.made_here(name)) {
            return Ok(entity);
        }
        let entity_name = EntityName::parse(name).map_err(|error| HostError::invalid(error.to_string()))?;
        let entity = directory.make(entity_name);
        // Another process may have made it since this host started.
        if self.transaction().await?.has_dynamic(&entity.schema().name).await? {
            self.dynamic_made.push(Arc::clone(&entity));
        }
        Ok(entity)
    }

    /// The name of an own entity without the plugin's before it.
    fn own<'n>(&self, name: &'n str) -> &'n str {
        let own = self.plugin().and_then(|plugin| name.strip_prefix(plugin.as_str())?.strip_prefix('.'));
        own.unwrap_or(name)
    }

    fn made_here(&self, name: &str) -> Option<Arc<Entity>> {
        self.dynamic_made.iter().find(|entity| entity.schema().name.entity.as_str() == name).cloned()
    }

    fn check_right(&self, right: Right, entity: &Entity, verb: &str) -> Result<(), HostError> {
        let name = &entity.schema().name;
        match right {
            Right::Own => Ok(()),
            Right::No => Err(HostError::denied(format!(
                "{verb} of {name} is not granted; ask for \"{name}:{}\" under [capabilities] entities in plugin.toml",
                if verb == "read" { "read" } else { "write" },
            ))),
            Right::WithPermission if self.identity.kind == IdentityKind::System => Ok(()),
            Right::WithPermission => {
                let permission = format!("{name}.{verb}");
                if self.permissions.allows(&permission) {
                    Ok(())
                } else {
                    Err(HostError::denied(format!(
                        "{} lacks the permission {permission}; a role can give it",
                        self.identity.id
                    )))
                }
            }
        }
    }

    pub(crate) async fn hook(&mut self, schema: &EntitySchema, point: HookPoint<'_>) -> CallResult<()> {
        if !self.services.hooks.listens(&schema.name) {
            return Ok(());
        }
        let transaction = self.take_transaction().await?;
        let (transaction, verdict) = self.services.hooks.clone().run(point, transaction).await;
        match transaction {
            Some(transaction) => self.put_transaction(transaction),
            None => return Err(Fatal::TransactionGone.into()),
        }
        Ok(verdict?)
    }
}

fn required(name: &str) -> HostError {
    HostError::invalid(format!("field \"{name}\" is required"))
}

pub(crate) fn no_record(schema: &EntitySchema, id: &str) -> HostError {
    HostError::not_found(format!("no {} has the id {}", schema.name, quote(id)))
}

pub(crate) fn violated(schema: &EntitySchema, violation: &Violation) -> HostError {
    match violation {
        Violation::Unique(field) => HostError::new(
            ErrorCode::AlreadyExists,
            format!("another {} has the same \"{field}\"; it must be unique", schema.name),
        ),
        Violation::Reference(field) => {
            HostError::invalid(format!("field \"{field}\" of {} names no record", schema.name))
        }
        Violation::DocumentTooLong => {
            document::too_long("with these fields the record would have more JSON than it may")
        }
    }
}

/// An entity that may be written.
pub(crate) struct Writable {
    pub(crate) entity: Arc<Entity>,
    /// Whether it is a dynamic one that is not there yet: its first insert makes it, once nothing else can refuse it.
    pub(crate) missing: bool,
}

/// Writes one record.
pub(crate) struct OneRecord<'a> {
    pub(crate) schema: &'a EntitySchema,
    pub(crate) tenant: &'a TenantId,
    pub(crate) out: Vec<u8>,
}

impl RecordSink for OneRecord<'_> {
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow> {
        write::record(self.schema, self.tenant, row, &mut self.out)?;
        Ok(SinkFlow::Continue)
    }
}

#[cfg(test)]
mod tests;
