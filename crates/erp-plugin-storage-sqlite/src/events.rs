//! [`Events`]: what an invocation writes into the outbox, and the mark that a delivery is done.

use async_trait::async_trait;
use erp_plugin_model::event::{Delivery, NewEvent};
use erp_plugin_model::{TenantId, UserId};
use erp_plugin_storage::{Events, StorageResult};
use rusqlite::Connection;

use crate::dispatch;
use crate::error::{Error, Result};
use crate::transaction::SqliteTransaction;

#[async_trait]
impl Events for SqliteTransaction {
    async fn publish(&mut self, events: &[NewEvent]) -> StorageResult<()> {
        let Self { session, tenant, .. } = self;
        session.write("publish", |connection| publish(connection, tenant, events))
    }

    async fn mark_done(&mut self, delivery: &Delivery) -> StorageResult<bool> {
        let Self { session, tenant, .. } = self;
        session.write("mark done", |connection| {
            // A delivery of another tenant is none that this transaction could have claimed.
            Ok(delivery.tenant == *tenant && dispatch::mark_done(connection, delivery)?)
        })
    }

    async fn event_count(&mut self) -> StorageResult<u64> {
        let Self { session, tenant, .. } = self;
        session.scan("event count", |connection| {
            let count: i64 = connection
                .prepare_cached("SELECT count(*) FROM outbox WHERE tenant_id = ?1")?
                .query_row([tenant.as_str()], |row| row.get(0))?;
            u64::try_from(count).map_err(|_| Error::Unreadable("count"))
        })
    }
}

fn publish(connection: &Connection, tenant: &TenantId, events: &[NewEvent]) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO outbox (tenant_id, id, event_type, key, payload, publisher, invocation, ordinal, caused_by,
         parent, depth, published_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?;
    for event in events {
        insert.execute((
            tenant.as_str(),
            &event.id.0.as_bytes()[..],
            event.event_type.as_str(),
            &event.key,
            &event.payload,
            event.publisher.as_str(),
            &event.invocation.0.as_bytes()[..],
            event.ordinal,
            event.caused_by.as_ref().map(UserId::as_str),
            event.parent.as_ref().map(|parent| &parent.0.as_bytes()[..]),
            event.depth,
            event.published_at.timestamp_micros(),
        ))?;
    }
    Ok(())
}
