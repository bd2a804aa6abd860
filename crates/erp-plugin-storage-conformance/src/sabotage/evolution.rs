//! Plans that are made carelessly.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use erp_plugin_model::evolution::{Archived, Check, Step};
use erp_plugin_model::{EntitySchema, PluginName, TenantId};
use erp_plugin_storage::{
    Altered, Clashes, Moved, PlatformScope, PlatformTransaction, Storage, StorageResult, Which,
};

use crate::intercept::{Interceptor, Opened};

/// Who comes second takes a step for made by himself.
pub(super) struct EveryStepIsMade;

#[async_trait]
impl Interceptor for EveryStepIsMade {
    async fn alter(
        &self,
        storage: &Arc<dyn Storage>,
        step: &Step,
        deadline: Instant,
    ) -> StorageResult<Altered> {
        storage.alter(PlatformScope::granted_by_host(), step, deadline).await.map(|_| Altered::Done)
    }
}

/// The columns are there, and nothing in them.
pub(super) struct MovesNothing;

#[async_trait]
impl Interceptor for MovesNothing {
    async fn move_records(
        &self,
        opened: &mut Opened,
        step: &Step,
        which: Which,
        limit: u32,
    ) -> StorageResult<Moved> {
        match which {
            Which::After(_) => Ok(Moved::default()),
            Which::Noted => opened.inner().move_records(step, which, limit).await,
        }
    }
}

/// What was put aside in a table that was put aside is forgotten.
pub(super) struct ForgetsColumns;

#[async_trait]
impl Interceptor for ForgetsColumns {
    async fn archived(
        &self,
        inner: &mut dyn PlatformTransaction,
        plugin: &PluginName,
    ) -> StorageResult<Vec<Archived>> {
        let mut archived = inner.archived(plugin).await?;
        archived.retain(Archived::is_entity);
        Ok(archived)
    }
}

/// What was purged is only said to be gone.
pub(super) struct PurgesNothing;

#[async_trait]
impl Interceptor for PurgesNothing {
    async fn purge_archived(&self, _: &mut dyn PlatformTransaction, _: &Archived) -> StorageResult<bool> {
        Ok(true)
    }
}

/// What records break together is not seen.
pub(super) struct SeesNoClash;

#[async_trait]
impl Interceptor for SeesNoClash {
    async fn clashes(&self, _: &mut Opened, _: &EntitySchema, _: &Check, _: u32) -> StorageResult<Clashes> {
        Ok(Clashes::default())
    }
}

/// What was put aside is forgotten, and what runs never changes.
pub(super) struct RemembersNothing;

#[async_trait]
impl Interceptor for RemembersNothing {
    async fn archived(
        &self,
        _: &mut dyn PlatformTransaction,
        _: &PluginName,
    ) -> StorageResult<Vec<Archived>> {
        Ok(Vec::new())
    }

    async fn activate(
        &self,
        _: &mut dyn PlatformTransaction,
        _: &PluginName,
        _: &semver::Version,
    ) -> StorageResult<()> {
        Ok(())
    }

    async fn enabled_in(
        &self,
        _: &mut dyn PlatformTransaction,
        _: &PluginName,
    ) -> StorageResult<Vec<TenantId>> {
        Ok(Vec::new())
    }

    async fn remove_versions(&self, _: &mut dyn PlatformTransaction, _: &PluginName) -> StorageResult<u64> {
        Ok(0)
    }

    async fn set_granted(
        &self,
        _: &mut dyn PlatformTransaction,
        _: &PluginName,
        _: &semver::Version,
        _: &[u8],
    ) -> StorageResult<bool> {
        Ok(true)
    }
}
