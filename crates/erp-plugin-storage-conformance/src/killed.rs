//! A storage whose user is killed: from some transaction on, nothing that would write ever begins.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Instant;

use async_trait::async_trait;
use erp_plugin_model::evolution::Step;
use erp_plugin_storage::transfer::{PlatformTransfer, TenantTransfer, Transfer};
use erp_plugin_storage::{
    Alter, Altered, PlatformScope, PlatformTransaction, Storage, StorageResult, TenantScope, Transaction,
    TransactionOptions,
};

/// Lets so many writing transactions begin.
pub(crate) struct Killed {
    inner: Arc<dyn Transfer>,
    left: AtomicU32,
}

impl Killed {
    pub(crate) fn after(inner: &Arc<dyn Transfer>, writes: u32) -> Self {
        Self { inner: Arc::clone(inner), left: AtomicU32::new(writes + 1) }
    }

    /// Does the work until it is over, or would write once more than it may: then it is dropped where it stands.
    pub(crate) async fn ends<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = Box::pin(work);
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if self.left.load(Ordering::SeqCst) == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    async fn count(&self, options: TransactionOptions) {
        if options.mode.writes() && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Alter for Killed {
    async fn alter(&self, scope: PlatformScope, step: &Step, deadline: Instant) -> StorageResult<Altered> {
        self.inner.alter(scope, step, deadline).await
    }

    async fn finish(&self, scope: PlatformScope, step: &Step, deadline: Instant) -> StorageResult<Altered> {
        self.inner.finish(scope, step, deadline).await
    }

    fn statements(&self, step: &Step) -> Vec<String> {
        self.inner.statements(step)
    }
}

#[async_trait]
impl Storage for Killed {
    async fn begin(
        &self,
        scope: &TenantScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn Transaction>> {
        self.inner.begin(scope, options).await
    }

    async fn begin_platform(
        &self,
        scope: PlatformScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn PlatformTransaction>> {
        self.inner.begin_platform(scope, options).await
    }
}

#[async_trait]
impl Transfer for Killed {
    async fn begin_transfer(
        &self,
        scope: &TenantScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn TenantTransfer>> {
        self.count(options).await;
        self.inner.begin_transfer(scope, options).await
    }

    async fn begin_platform_transfer(
        &self,
        scope: PlatformScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn PlatformTransfer>> {
        self.count(options).await;
        self.inner.begin_platform_transfer(scope, options).await
    }
}
