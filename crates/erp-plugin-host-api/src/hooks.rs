//! The port through which another plugin has a say in a write.

use async_trait::async_trait;
use erp_plugin_model::{EntityRef, HostError, RecordId};
use erp_plugin_storage::Transaction;

/// What is about to happen.
#[derive(Clone, Debug)]
pub enum HookPoint<'a> {
    /// A record is about to be inserted.
    BeforeInsert {
        /// Into this entity.
        entity: &'a EntityRef,
        /// The record as the caller gave it, checked.
        data: &'a [u8],
    },
    /// A record is about to be changed.
    BeforeUpdate {
        /// Of this entity.
        entity: &'a EntityRef,
        /// This record.
        id: RecordId,
        /// What changes.
        data: &'a [u8],
    },
    /// A record is about to be deleted.
    BeforeDelete {
        /// Of this entity.
        entity: &'a EntityRef,
        /// This record.
        id: RecordId,
    },
    /// A deleted record is about to live again.
    BeforeRestore {
        /// Of this entity.
        entity: &'a EntityRef,
        /// This record.
        id: RecordId,
    },
}

/// What a hook says.
pub type HookVerdict = Result<(), HostError>;

/// Runs the hooks of other plugins inside the caller's transaction. The transaction moves in and comes back; a
/// runner that does not hand it back has ended the invocation, and dropping it has rolled everything back.
#[async_trait]
pub trait HookRunner: Send + Sync {
    /// Whether any hook listens to this entity; asked before anything is prepared for [`run`](Self::run).
    fn listens(&self, entity: &EntityRef) -> bool;

    /// Runs them in order until one says no.
    async fn run(
        &self,
        point: HookPoint<'_>,
        transaction: Box<dyn Transaction>,
    ) -> (Option<Box<dyn Transaction>>, HookVerdict);
}

/// No plugin has hooks.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

#[async_trait]
impl HookRunner for NoHooks {
    fn listens(&self, _entity: &EntityRef) -> bool {
        false
    }

    async fn run(
        &self,
        _point: HookPoint<'_>,
        transaction: Box<dyn Transaction>,
    ) -> (Option<Box<dyn Transaction>>, HookVerdict) {
        (Some(transaction), Ok(()))
    }
}
