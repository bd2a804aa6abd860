//! A backend that loses the order or the proof of deliveries.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::event::{ClaimToken, Delivery};
use erp_plugin_storage::{
    ClaimRequest, DeadLetterFilter, DispatchOutcome, Failure, PlatformTransaction, StorageResult, WorkerState,
};

use crate::intercept::{Interceptor, Opened};

/// What the end of a delivery is told by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Done,
    Failure,
    Release,
}

/// One of the ends looks at the delivery and not at the token of the claim.
pub(super) struct NoToken {
    end: End,
    claimed: Mutex<Vec<Delivery>>,
}

impl NoToken {
    pub(super) fn at(end: End) -> Self {
        Self { end, claimed: Mutex::default() }
    }

    /// The delivery with the token of its last claim.
    fn with_the_last_token(&self, end: End, delivery: &Delivery) -> Delivery {
        let claimed = self.claimed.lock().unwrap();
        let same = claimed.iter().filter(|claimed| {
            claimed.event == delivery.event
                && claimed.plugin == delivery.plugin
                && claimed.tenant == delivery.tenant
        });
        let last = same.max_by_key(|claimed| claimed.token).map(|claimed| (claimed.token, claimed.attempt));
        match last {
            Some((token, attempt)) if self.end == end => Delivery { token, attempt, ..delivery.clone() },
            _ => delivery.clone(),
        }
    }
}

#[async_trait]
impl Interceptor for NoToken {
    async fn claim(
        &self,
        inner: &mut dyn PlatformTransaction,
        request: &ClaimRequest<'_>,
    ) -> StorageResult<Vec<Vec<Delivery>>> {
        let claimed = inner.claim(request).await?;
        self.claimed.lock().unwrap().extend(claimed.iter().flatten().cloned());
        Ok(claimed)
    }

    async fn mark_done(&self, opened: &mut Opened, delivery: &Delivery) -> StorageResult<bool> {
        let delivery = self.with_the_last_token(End::Done, delivery);
        opened.inner().mark_done(&delivery).await
    }

    async fn record_failure(
        &self,
        inner: &mut dyn PlatformTransaction,
        failure: Failure<'_>,
    ) -> StorageResult<bool> {
        let delivery = self.with_the_last_token(End::Failure, failure.delivery);
        inner.record_failure(Failure { delivery: &delivery, ..failure }).await
    }

    async fn release(&self, inner: &mut dyn PlatformTransaction, delivery: &Delivery) -> StorageResult<bool> {
        let delivery = self.with_the_last_token(End::Release, delivery);
        inner.release(&delivery).await
    }
}

/// Whatever was done since the last claim counts towards the limit of the next one.
#[derive(Default)]
pub(super) struct DoneTakesPlaces(AtomicU32);

#[async_trait]
impl Interceptor for DoneTakesPlaces {
    async fn claim(
        &self,
        inner: &mut dyn PlatformTransaction,
        request: &ClaimRequest<'_>,
    ) -> StorageResult<Vec<Vec<Delivery>>> {
        let streams = request.streams.saturating_sub(self.0.swap(0, Ordering::SeqCst));
        inner.claim(&ClaimRequest { streams, ..*request }).await
    }

    async fn mark_done(&self, opened: &mut Opened, delivery: &Delivery) -> StorageResult<bool> {
        self.0.fetch_add(1, Ordering::SeqCst);
        opened.inner().mark_done(delivery).await
    }
}

/// What is claimed is shown otherwise.
pub(super) struct Claims(pub(super) fn(&mut Delivery));

pub(super) fn always_the_first_attempt(delivery: &mut Delivery) {
    delivery.attempt = 1;
}

pub(super) fn always_one_token(delivery: &mut Delivery) {
    delivery.token = ClaimToken(1);
}

pub(super) fn no_depth(delivery: &mut Delivery) {
    delivery.depth = 0;
}

#[async_trait]
impl Interceptor for Claims {
    async fn claim(
        &self,
        inner: &mut dyn PlatformTransaction,
        request: &ClaimRequest<'_>,
    ) -> StorageResult<Vec<Vec<Delivery>>> {
        let mut claimed = inner.claim(request).await?;
        claimed.iter_mut().flatten().for_each(self.0);
        Ok(claimed)
    }
}

/// A round has no limit.
pub(super) struct DispatchesAll;

#[async_trait]
impl Interceptor for DispatchesAll {
    async fn dispatch(
        &self,
        inner: &mut dyn PlatformTransaction,
        _limit: u32,
    ) -> StorageResult<DispatchOutcome> {
        inner.dispatch(1000).await
    }
}

/// The first failure is for good.
pub(super) struct NoSecondAttempt;

#[async_trait]
impl Interceptor for NoSecondAttempt {
    async fn record_failure(
        &self,
        inner: &mut dyn PlatformTransaction,
        failure: Failure<'_>,
    ) -> StorageResult<bool> {
        inner.record_failure(Failure { retry_at: None, ..failure }).await
    }
}

/// A claim that was given back counts as an attempt.
pub(super) struct ReleaseCounts;

#[async_trait]
impl Interceptor for ReleaseCounts {
    async fn release(&self, inner: &mut dyn PlatformTransaction, delivery: &Delivery) -> StorageResult<bool> {
        let at = DateTime::UNIX_EPOCH;
        inner.record_failure(Failure { delivery, error: "released", at, retry_at: Some(at) }).await
    }
}

/// Everything is claimed again, whoever has it.
pub(super) struct ClaimsAreNobodys;

#[async_trait]
impl Interceptor for ClaimsAreNobodys {
    async fn claim(
        &self,
        inner: &mut dyn PlatformTransaction,
        request: &ClaimRequest<'_>,
    ) -> StorageResult<Vec<Vec<Delivery>>> {
        for state in inner.workers().await? {
            inner.retire(state).await?;
        }
        inner.claim(request).await
    }
}

/// What failed is tried again at once.
pub(super) struct NoDelay;

#[async_trait]
impl Interceptor for NoDelay {
    async fn record_failure(
        &self,
        inner: &mut dyn PlatformTransaction,
        failure: Failure<'_>,
    ) -> StorageResult<bool> {
        inner.record_failure(Failure { retry_at: failure.retry_at.map(|_| failure.at), ..failure }).await
    }
}

/// Whoever retires is taken at his word.
pub(super) struct RetiresTheLiving;

#[async_trait]
impl Interceptor for RetiresTheLiving {
    async fn retire(&self, inner: &mut dyn PlatformTransaction, worker: WorkerState) -> StorageResult<bool> {
        let last = inner.workers().await?.into_iter().find(|state| state.worker == worker.worker);
        inner.retire(last.unwrap_or(worker)).await
    }
}

/// What is sent again is dropped.
pub(super) struct DropsWhatIsResent;

#[async_trait]
impl Interceptor for DropsWhatIsResent {
    async fn resend(
        &self,
        inner: &mut dyn PlatformTransaction,
        filter: &DeadLetterFilter,
        limit: u32,
    ) -> StorageResult<u64> {
        inner.drop_dead_letters(filter, limit).await
    }
}

/// Dead letters are pruned with the rest.
pub(super) struct PrunesDeadLetters;

#[async_trait]
impl Interceptor for PrunesDeadLetters {
    async fn prune_events(
        &self,
        inner: &mut dyn PlatformTransaction,
        before: DateTime<Utc>,
        limit: u32,
    ) -> StorageResult<u64> {
        inner.drop_dead_letters(&DeadLetterFilter::default(), limit).await?;
        inner.prune_events(before, limit).await
    }
}
