//! Events in an outbox, put there many at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use erp_plugin::{EventId, EventType, InvocationId, Storage, TenantId};
use erp_plugin_model::IdGenerator as _;
use erp_plugin_model::event::{NewEvent, Publisher};
use erp_plugin_storage::{Mode, TenantScope, TransactionOptions};

use crate::hosts::BenchHost;

/// Events of one transaction.
const BATCH: u64 = 500;

/// Publishes so many events with so many keys, a few hundred a transaction.
pub(crate) async fn publish(storage: &Arc<dyn Storage>, events: u64, keys: u64) -> anyhow::Result<()> {
    let ids = erp_plugin::SystemIds::default();
    let scope = TenantScope::granted_by_host(TenantId::parse("acme")?);
    let event_type = EventType::parse("load.noop")?;
    let now = erp_plugin::Clock::now(&erp_plugin::SystemClock);
    for first in (0..events).step_by(BATCH as usize) {
        let new = (first..events.min(first + BATCH)).map(|number| NewEvent {
            id: EventId(ids.new_id(now)),
            event_type: event_type.clone(),
            key: format!("key{}", number % keys),
            payload: "[0,null]".to_owned(),
            publisher: Publisher::Platform,
            invocation: InvocationId(ids.new_id(now)),
            ordinal: 0,
            caused_by: None,
            parent: None,
            depth: 0,
            published_at: now,
        });
        let patience = Duration::from_secs(60);
        let options = TransactionOptions {
            mode: Mode::Write,
            deadline: Instant::now() + patience,
            writer_hold: patience,
        };
        let mut transaction = storage.begin(&scope, options).await?;
        transaction.publish(&new.collect::<Vec<_>>()).await?;
        transaction.commit(None).await?;
    }
    Ok(())
}

/// Publishes events and works them off; how long both took.
pub(crate) fn through(
    host: &BenchHost,
    storage: &Arc<dyn Storage>,
    events: u64,
    keys: u64,
) -> anyhow::Result<Duration> {
    let (bench, storage) = (Arc::clone(&host.host), Arc::clone(storage));
    let task = async move {
        let start = Instant::now();
        publish(&storage, events, keys).await?;
        let report = bench.drain().await?;
        ensure!(report.delivered == events && report.failed == 0, "{report:?}");
        Ok(start.elapsed())
    };
    host.runtime.block_on(host.runtime.spawn(task))?
}
