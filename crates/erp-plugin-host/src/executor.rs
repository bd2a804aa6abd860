//! Where the host's tasks run.

use std::future::Future;

use erp_plugin_model::{ErrorCode, HostError};
use futures_util::future::BoxFuture;
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

use crate::error::{HostFailure, HostResult};

tokio::task_local! {
    /// Set while the code of an invocation runs: a guest, the platform's own functions that it calls, a subscriber.
    static INSIDE: ();
}

/// Runs the code of an invocation. What it asks of the host is refused: a second transaction would wait for the first one,
/// and what it does would stay when the first one is undone.
pub(crate) async fn inside<T>(work: impl Future<Output = T>) -> T {
    INSIDE.scope((), work).await
}

/// A multi-thread runtime: the host's own, or one that the embedder lends.
pub(crate) struct Executor {
    handle: Handle,
    /// `None` when it is lent, or while it is being dropped.
    own: Option<Runtime>,
}

impl Executor {
    /// A runtime of the host's own.
    pub(crate) fn own(threads: Option<usize>) -> HostResult<Self> {
        let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from));
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(2))
            .thread_name("erp-plugin")
            .enable_all()
            .build()
            .map_err(|error| {
                HostError::new(ErrorCode::Internal, format!("no threads can be had: {error}"))
            })?;
        Ok(Self { handle: runtime.handle().clone(), own: Some(runtime) })
    }

    /// The embedder's runtime.
    pub(crate) fn lent(handle: Handle) -> HostResult<Self> {
        if handle.runtime_flavor() != RuntimeFlavor::MultiThread {
            return Err(HostError::invalid(
                "the host cannot run on a current-thread runtime, which one plugin would keep from all others; give it \
                 a multi-thread one, or none for one of its own",
            )
            .into());
        }
        Ok(Self { handle, own: None })
    }

    /// How many tasks can run at once.
    pub(crate) fn threads(&self) -> usize {
        self.handle.metrics().num_workers()
    }

    /// Begins a task that goes on for as long as it likes.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.handle.spawn(work)
    }

    /// Runs work as a task of its own: a caller that goes away cancels nothing half-way. Boxed, so that what the host does
    /// inside is no part of the types of those who call it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: BoxFuture<'static, HostResult<T>>,
    ) -> HostResult<T> {
        if INSIDE.try_with(|()| ()).is_ok() {
            return Err(HostError::new(
                ErrorCode::InTransaction,
                "the host was asked from within an invocation, which is one transaction; ask the invocation, or publish an \
                 event for what is to be done apart from it",
            )
            .into());
        }
        match self.handle.spawn(work).await {
            Ok(done) => done,
            Err(ended) => match ended.try_into_panic() {
                // A panic of the host's own code outside of any guest is its caller's to see.
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(HostFailure::ShuttingDown),
            },
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        if let Some(runtime) = self.own.take() {
            // Dropping a runtime waits, which is not allowed inside another one.
            runtime.shutdown_background();
        }
    }
}
