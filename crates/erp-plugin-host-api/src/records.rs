//! Host calls on records, a file for each kind: `insert`, `update`, `delete`, `query`, `figures`, `deleted` for what
//! becomes of deleted records, `history` for who changed what, and `numbers` for those that the host gives new records. Here is what they share: which entity a name means, and whether the caller may.

mod delete;
mod deleted;
mod figures;
mod history;
mod insert;
mod numbers;
mod query;
mod update;

use std::sync::Arc;

use erp_plugin_model::parse::quote;
use erp_plugin_model::{EntityName, EntitySchema, ErrorCode, FieldName, HostError, IdentityKind, TenantId};
use erp_plugin_storage::{
    CreateDynamic, Entity, MAX_DYNAMIC_ENTITIES, RecordSink, RowView, SinkFlow, StorageResult, Violation,
};

use crate::caller::{EntityGrant, Right};
use crate::error::{CallResult, Fatal};
use crate::fields::{Seen, Withheld};
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
            let withheld = self.withheld(write, entity.schema());
            return Ok(Writable { entity, missing: false, withheld });
        }
        let Some(directory) = &self.caller.dynamic else {
            return Err(self.caller.unknown_entity(name).into());
        };
        let name = self.own(name);
        if let Some(entity) = directory.get(name).or_else(|| self.made_here(name)) {
            return Ok(Writable { entity, missing: false, withheld: None });
        }
        let entity_name = EntityName::parse(name).map_err(|error| HostError::invalid(error.to_string()))?;
        if verb != "insert" {
            // Nothing was ever inserted, so there is nothing to change.
            return Err(HostError::not_found(format!(
                "no entity {entity_name} yet; its first insert creates it"
            ))
            .into());
        }
        Ok(Writable { entity: directory.make(entity_name), missing: true, withheld: None })
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
    pub(crate) async fn readable(&mut self, name: &str) -> CallResult<Readable> {
        if let Some(grant) = self.caller.entities.get(name) {
            let EntityGrant { entity, read, .. } = grant.clone();
            self.check_right(read, &entity, "read")?;
            let withheld = self.withheld(read, entity.schema());
            let by_permission = read == Right::WithPermission && self.identity.kind != IdentityKind::System;
            return Ok(Readable { entity, withheld, by_permission });
        }
        let Some(directory) = self.caller.dynamic.clone() else {
            return Err(self.caller.unknown_entity(name).into());
        };
        let name = self.own(name);
        if let Some(entity) = directory.get(name).or_else(|| self.made_here(name)) {
            return Ok(Readable { entity, withheld: None, by_permission: false });
        }
        let entity_name = EntityName::parse(name).map_err(|error| HostError::invalid(error.to_string()))?;
        let entity = directory.make(entity_name);
        // Another process may have made it since this host started.
        if self.transaction().await?.has_dynamic(&entity.schema().name).await? {
            self.dynamic_made.push(Arc::clone(&entity));
        }
        Ok(Readable { entity, withheld: None, by_permission: false })
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

    /// The fields of an entity that whoever acts may not see or write, where that depends on their permissions.
    pub(crate) fn withheld(&self, right: Right, schema: &EntitySchema) -> Option<Withheld> {
        if right == Right::Own || !schema.has_guarded_fields() || self.identity.kind == IdentityKind::System {
            return None;
        }
        Withheld::from(&self.identity.id, schema, |permission| self.permissions.allows(permission))
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

/// The error for a write that cannot be. A field that may not be seen is named to whoever gave it a value: `given` knows
/// the positions of those.
pub(crate) fn violated(seen: Seen<'_>, violation: &Violation, given: impl Fn(usize) -> bool) -> HostError {
    let schema = seen.schema;
    let hidden_from = |field: &FieldName| {
        let position = schema.position(field.as_str()).filter(|position| !given(*position))?;
        seen.hidden_from(position)
    };
    match violation {
        Violation::Unique(field) => {
            let same = match hidden_from(field) {
                None => format!("\"{field}\""),
                Some(who) => format!("value in a field that {who} may not see"),
            };
            let message = format!("another {} has the same {same}; it must be unique", schema.name);
            HostError::new(ErrorCode::AlreadyExists, message)
        }
        Violation::Required(field) => HostError::invalid(format!(
            "field \"{field}\" of {} became required while the record was deleted, and the record has none",
            schema.name
        )),
        Violation::Reference(field) => HostError::invalid(match hidden_from(field) {
            None => format!("field \"{field}\" of {} names no record", schema.name),
            Some(who) => format!("a field of {} that {who} may not see names no record", schema.name),
        }),
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
    /// What of it the caller may not see or write; `None` when that is nothing.
    pub(crate) withheld: Option<Withheld>,
}

impl Writable {
    pub(crate) fn seen(&self) -> Seen<'_> {
        Seen { schema: self.entity.schema(), withheld: self.withheld.as_ref() }
    }
}

/// An entity that may be read.
pub(crate) struct Readable {
    pub(crate) entity: Arc<Entity>,
    /// What of it the caller may not see; `None` when that is nothing.
    withheld: Option<Withheld>,
    /// Whether it takes a permission of whoever acts.
    pub(crate) by_permission: bool,
}

impl Readable {
    pub(crate) fn seen(&self) -> Seen<'_> {
        Seen { schema: self.entity.schema(), withheld: self.withheld.as_ref() }
    }
}

/// Writes one record.
pub(crate) struct OneRecord<'a> {
    pub(crate) seen: Seen<'a>,
    pub(crate) tenant: &'a TenantId,
    pub(crate) out: Vec<u8>,
}

impl RecordSink for OneRecord<'_> {
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow> {
        write::record(self.seen, self.tenant, row, &mut self.out)?;
        Ok(SinkFlow::Continue)
    }
}

#[cfg(test)]
mod tests;
