//! A storage that loses transactions, as many as it was told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use erp_plugin::{Storage, StorageError};
use erp_plugin_storage::{
    ErrorKind, PlatformScope, PlatformTransaction, StorageResult, TenantScope, Transaction,
    TransactionOptions,
};

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
        Arc::new(Lossy { storage, losses: self.clone() })
    }
}

struct Lossy {
    storage: Arc<dyn Storage>,
    losses: Losses,
}

#[async_trait]
impl Storage for Lossy {
    async fn begin(
        &self,
        scope: &TenantScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn Transaction>> {
        let Losses(left) = &self.losses;
        match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Err(StorageError::new(ErrorKind::TransactionLost, "begin")),
            Err(_) => self.storage.begin(scope, options).await,
        }
    }

    async fn begin_platform(
        &self,
        scope: PlatformScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn PlatformTransaction>> {
        self.storage.begin_platform(scope, options).await
    }
}
