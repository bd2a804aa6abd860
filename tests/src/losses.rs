//! A storage that loses transactions, as many as it was told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use erp_plugin::{Storage, StorageError};
use erp_plugin_storage::{ErrorKind, StorageResult, TenantScope, Transaction, TransactionOptions};
use erp_plugin_storage_conformance::intercept::{Intercepted, Interceptor};

/// How many transactions are to be lost.
#[derive(Clone, Default)]
pub struct Losses(Arc<AtomicU32>);

impl Losses {
    /// Loses the next so many transactions of tenants.
    pub fn of_the_next(&self, transactions: u32) {
        self.0.store(transactions, Ordering::SeqCst);
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
        match self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Err(StorageError::new(ErrorKind::TransactionLost, "begin")),
            Err(_) => storage.begin(scope, options).await,
        }
    }
}
