//! How much memory a guest may have, all of it together.

use wasmtime::ResourceLimiter;

/// The most elements of one table.
pub(crate) const TABLE_ELEMENTS: usize = 20_000;

/// Counts the linear memories of one sandbox against one limit.
#[derive(Debug)]
pub(crate) struct Limiter {
    allowed: usize,
    used: usize,
    peak: usize,
    denied: bool,
}

impl Limiter {
    pub(crate) fn new(allowed: u64) -> Self {
        Self { allowed: usize::try_from(allowed).unwrap_or(usize::MAX), used: 0, peak: 0, denied: false }
    }

    /// The most memory there ever was, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.peak as u64
    }

    /// Whether the guest was ever refused memory: the reason why an allocator gives up.
    pub(crate) fn denied(&self) -> bool {
        self.denied
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_sub(current).saturating_add(desired);
        if used > self.allowed {
            self.denied = true;
            return Ok(false);
        }
        self.used = used;
        self.peak = self.peak.max(used);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}
