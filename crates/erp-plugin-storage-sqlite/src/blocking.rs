//! Work that keeps a thread waiting: commits, scans.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Does the work on this thread, after telling a multi-thread runtime to move its other tasks elsewhere. On a
/// current-thread runtime, or outside of any, there is nobody to tell and the work is simply done. Must not be
/// called inside a `LocalSet`, where Tokio refuses it.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(work)
        }
        _ => work(),
    }
}
