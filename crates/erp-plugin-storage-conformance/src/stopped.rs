//! Somebody who makes a plan and is stopped on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use erp_plugin_model::evolution::Step;
use erp_plugin_storage::{
    Altered, ErrorKind, Mode, PlatformScope, Storage, StorageError, StorageResult, TenantScope, Transaction,
    TransactionOptions,
};

use crate::intercept::Interceptor;

/// Stops for good before some alteration or batch.
pub(crate) struct StopsAt(AtomicU32);

impl StopsAt {
    pub(crate) fn after(so_many: u32) -> Self {
        Self(AtomicU32::new(so_many))
    }

    fn count(&self) -> StorageResult<()> {
        let left = self.0.load(Ordering::SeqCst);
        if left == 0 {
            return Err(StorageError::new(ErrorKind::Unavailable, "stopped"));
        }
        self.0.store(left - 1, Ordering::SeqCst);
        Ok(())
    }
}

#[async_trait]
impl Interceptor for StopsAt {
    async fn begin(
        &self,
        storage: &Arc<dyn Storage>,
        scope: &TenantScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn Transaction>> {
        if options.mode == Mode::Migrate {
            self.count()?;
        }
        storage.begin(scope, options).await
    }

    async fn alter(
        &self,
        storage: &Arc<dyn Storage>,
        step: &Step,
        deadline: Instant,
    ) -> StorageResult<Altered> {
        self.count()?;
        storage.alter(PlatformScope::granted_by_host(), step, deadline).await
    }

    async fn finish(
        &self,
        storage: &Arc<dyn Storage>,
        step: &Step,
        deadline: Instant,
    ) -> StorageResult<Altered> {
        self.count()?;
        storage.finish(PlatformScope::granted_by_host(), step, deadline).await
    }
}
