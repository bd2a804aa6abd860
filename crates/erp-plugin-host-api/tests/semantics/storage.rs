//! A storage that keeps what it was told of invocations, and loses commits when asked to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use erp_plugin_model::usage::InvocationRecord;
use erp_plugin_storage::{ErrorKind, Storage, StorageError, StorageResult};
use erp_plugin_storage_conformance::intercept::{Intercepted, Interceptor, Opened};
use erp_plugin_storage_sqlite::{SqliteOptions, SqliteStorage};

#[derive(Default)]
pub(crate) struct Witness {
    told: Mutex<Vec<InvocationRecord>>,
    loses_commits: AtomicBool,
}

impl Witness {
    /// A database in memory, and who sees what it is told.
    pub(crate) fn in_memory() -> (Arc<dyn Storage>, Arc<Self>) {
        let storage = Arc::new(SqliteStorage::open(&SqliteOptions::memory()).unwrap());
        let witness = Arc::new(Self::default());
        (Arc::new(Intercepted::new(storage, witness.clone())), witness)
    }

    /// The records of invocations that were kept, in order.
    pub(crate) fn invocations(&self) -> Vec<InvocationRecord> {
        self.told.lock().unwrap().clone()
    }

    /// From now on a commit undoes everything and says that the transaction was lost.
    pub(crate) fn lose_commits(&self) {
        self.loses_commits.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Interceptor for Witness {
    async fn commit(&self, opened: Opened, record: Option<&InvocationRecord>) -> StorageResult<()> {
        if self.loses_commits.load(Ordering::SeqCst) {
            return Err(StorageError::new(ErrorKind::TransactionLost, "commit"));
        }
        opened.into_inner().commit(record).await?;
        self.told.lock().unwrap().extend(record.cloned());
        Ok(())
    }

    async fn rollback(&self, opened: Opened, record: Option<&InvocationRecord>) -> StorageResult<()> {
        opened.into_inner().rollback(record).await?;
        self.told.lock().unwrap().extend(record.cloned());
        Ok(())
    }
}
