//! A storage that loses transactions, as many as it was told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use erp_plugin::{Storage, StorageError};
use erp_plugin_storage::{ErrorKind, Mode, StorageResult, TenantScope, Transaction, TransactionOptions};
use erp_plugin_storage_conformance::intercept::{Intercepted, Interceptor};

/// How many transactions are to be lost.
#[derive(Clone, Default)]
pub struct Losses {
    all: Arc<AtomicU32>,
    writing: Arc<AtomicU32>,
}

impl Losses {
    /// Loses the next so many transactions of tenants.
    pub fn of_the_next(&self, transactions: u32) {
        self.all.store(transactions, Ordering::SeqCst);
    }

    /// Loses the next so many transactions of tenants that may write.
    pub fn of_the_next_that_write(&self, transactions: u32) {
        self.writing.store(transactions, Ordering::SeqCst);
    }

    /// The storage, with these losses.
    pub(crate) fn of(&self, storage: Arc<dyn Storage>) -> Arc<dyn Storage> {
        Arc::new(Intercepted::new(storage, Arc::new(self.clone())))
    }
}

#[async_trait]
impl Interceptor for Losses {
    async fn begin(
        &self,
        storage: &Arc<dyn Storage>,
        scope: &TenantScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn Transaction>> {
        let is_lost = |left: &AtomicU32| {
            left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        };
        if is_lost(&self.all) || (options.mode == Mode::Write && is_lost(&self.writing)) {
            return Err(StorageError::new(ErrorKind::TransactionLost, "begin"));
        }
        storage.begin(scope, options).await
    }
}
