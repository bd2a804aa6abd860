//! A backend that loses the order or the proof of deliveries.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use erp_plugin_model::event::{ClaimToken, Delivery};
use erp_plugin_storage::{DispatchOutcome, Failure, PlatformTransaction, StorageResult};

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
    async fn claim(&self, inner: &mut dyn PlatformTransaction, limit: u32) -> StorageResult<Vec<Delivery>> {
        let claimed = inner.claim(limit).await?;
        self.claimed.lock().unwrap().extend_from_slice(&claimed);
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
    async fn claim(&self, inner: &mut dyn PlatformTransaction, limit: u32) -> StorageResult<Vec<Delivery>> {
        inner.claim(limit.saturating_sub(self.0.swap(0, Ordering::SeqCst))).await
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
    async fn claim(&self, inner: &mut dyn PlatformTransaction, limit: u32) -> StorageResult<Vec<Delivery>> {
        let mut claimed = inner.claim(limit).await?;
        claimed.iter_mut().for_each(self.0);
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

/// The first failure sets a delivery aside.
pub(super) struct NoSecondAttempt;

#[async_trait]
impl Interceptor for NoSecondAttempt {
    async fn record_failure(
        &self,
        inner: &mut dyn PlatformTransaction,
        failure: Failure<'_>,
    ) -> StorageResult<bool> {
        inner.record_failure(Failure { park: true, ..failure }).await
    }
}

/// A claim that was given back counts as an attempt.
pub(super) struct ReleaseCounts;

#[async_trait]
impl Interceptor for ReleaseCounts {
    async fn release(&self, inner: &mut dyn PlatformTransaction, delivery: &Delivery) -> StorageResult<bool> {
        let at = chrono::DateTime::UNIX_EPOCH;
        inner.record_failure(Failure { delivery, error: "released", park: false, at }).await
    }
}
