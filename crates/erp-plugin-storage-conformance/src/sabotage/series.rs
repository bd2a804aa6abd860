//! A backend whose series have gaps.

use async_trait::async_trait;
use erp_plugin_storage::{Series, StorageResult};

use crate::intercept::{Interceptor, Opened};

/// Numbers are taken in a transaction of their own, as from a sequence.
pub(super) struct Outside;

#[async_trait]
impl Interceptor for Outside {
    async fn take_numbers(&self, opened: &mut Opened, series: Series<'_>, count: u32) -> StorageResult<u64> {
        let first = opened.inner().take_numbers(series, count).await?;
        let (scope, options) = (opened.scope().clone(), opened.options());
        opened.exchange(&scope, options).await?;
        Ok(first)
    }
}

/// What was not used is lost.
pub(super) struct NothingIsGivenBack;

#[async_trait]
impl Interceptor for NothingIsGivenBack {
    async fn give_back_numbers(&self, _: &mut Opened, _: Series<'_>, _: u32) -> StorageResult<()> {
        Ok(())
    }
}
