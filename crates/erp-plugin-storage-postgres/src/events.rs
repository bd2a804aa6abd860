//! [`Events`]: what an invocation writes into the outbox, and the mark that a delivery is done.

use async_trait::async_trait;
use erp_plugin_model::UserId;
use erp_plugin_model::event::{Delivery, NewEvent};
use erp_plugin_storage::{Events, StorageResult};

use crate::names::read_count;
use crate::sql::Parameter;
use crate::transaction::PostgresTransaction;

/// All events of an invocation: tenant, then an array for each column.
const PUBLISH: &str = "INSERT INTO erp_plugin.outbox
         (tenant_id, id, event_type, key, payload, publisher, invocation, ordinal, caused_by, parent, depth,
         published_at)
     SELECT $1, e.* FROM unnest(
         $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::bigint[], $9::text[],
         $10::uuid[], $11::bigint[], $12::timestamptz[]
     ) AS e";
/// One row, and that only for the claim that has it. Nothing else: the stream belongs to those who claim. The event is
/// named as well, because a stream that was pruned begins anew.
const MARK_DONE: &str = "UPDATE erp_plugin.deliveries SET status = 'done'
     WHERE tenant_id = $1 AND plugin = $2 AND key = $3 AND number = $4 AND token = $5 AND event = $6
         AND status = 'pending'";

#[async_trait]
impl Events for PostgresTransaction {
    async fn publish(&mut self, events: &[NewEvent]) -> StorageResult<()> {
        let (client, tenant) = (self.session.client(), self.tenant.as_str());
        let work = async {
            if events.is_empty() {
                return Ok(());
            }
            let column = |value: fn(&NewEvent) -> Parameter<'_>| Parameter::many(events.iter().map(value));
            let parameters = [
                Parameter::Text(tenant),
                column(|event| Parameter::Uuid(event.id.0)),
                column(|event| Parameter::Text(event.event_type.as_str())),
                column(|event| Parameter::Text(&event.key)),
                column(|event| Parameter::Text(&event.payload)),
                column(|event| Parameter::Text(event.publisher.as_str())),
                column(|event| Parameter::Uuid(event.invocation.0)),
                column(|event| Parameter::Integer(i64::from(event.ordinal))),
                column(|event| Parameter::text(event.caused_by.as_ref().map(UserId::as_str))),
                column(|event| event.parent.map_or(Parameter::Null, |parent| Parameter::Uuid(parent.0))),
                column(|event| Parameter::Integer(i64::from(event.depth))),
                column(|event| Parameter::Time(event.published_at)),
            ];
            client.execute(PUBLISH, &parameters).await?;
            Ok(())
        };
        self.session.write("publish", work).await
    }

    async fn mark_done(&mut self, delivery: &Delivery) -> StorageResult<bool> {
        let (client, tenant) = (self.session.client(), self.tenant.clone());
        let work = async {
            // A delivery of another tenant is none that this transaction could have claimed.
            if delivery.tenant != tenant {
                return Ok(false);
            }
            let parameters = [
                Parameter::Text(tenant.as_str()),
                Parameter::Text(delivery.plugin.as_str()),
                Parameter::Text(&delivery.key),
                Parameter::Integer(delivery.number),
                Parameter::Integer(delivery.token.0),
                Parameter::Uuid(delivery.event.0),
            ];
            Ok(client.execute(MARK_DONE, &parameters).await? == 1)
        };
        self.session.write("mark done", work).await
    }

    async fn event_count(&mut self) -> StorageResult<u64> {
        let (client, tenant) = (self.session.client(), self.tenant.as_str());
        let work = async {
            let sql = "SELECT count(*) FROM erp_plugin.outbox WHERE tenant_id = $1";
            read_count(&client.one(sql, &[Parameter::Text(tenant)]).await?, 0)
        };
        self.session.run("event count", work).await
    }
}
