//! Host calls on events.

use erp_plugin_model::event::{MAX_KEY, NewEvent};
use erp_plugin_model::limits::LimitKind;
use erp_plugin_model::{EventId, EventType, HostError};

use crate::error::CallResult;
use crate::invocation::Invocation;
use crate::json::verify;

impl Invocation {
    /// Publishes an event: it is in the outbox when the invocation commits, and nowhere when it does not.
    pub async fn publish(&mut self, event_type: &str, payload: &[u8]) -> CallResult<()> {
        let key = self.tenant().to_string();
        self.publish_in_order(event_type, &key, payload).await
    }

    /// As [`publish`](Self::publish), in order with other events of this key only; else those of the whole tenant are.
    pub async fn publish_in_order(&mut self, event_type: &str, key: &str, payload: &[u8]) -> CallResult<()> {
        self.enter(event_type.len() + payload.len())?;
        if key.len() > MAX_KEY || key.contains('\0') {
            return Err(HostError::invalid(format!(
                "publish: the key has {} bytes, {MAX_KEY} are allowed, none of them zero",
                key.len()
            ))
            .into());
        }
        if self.is_read_only() {
            return Err(HostError::denied("publish: this call may only read").into());
        }
        let event_type =
            EventType::parse(event_type).map_err(|error| HostError::invalid(error.to_string()))?;
        self.caller.publish.check(&event_type)?;
        let depth = self.event_depth();
        self.budget.check(LimitKind::EventDepth, u64::from(depth))?;
        let bytes = payload.len();
        let payload = verify::json("payload", payload)?.to_owned();
        self.budget.event(bytes)?;
        self.events.push(NewEvent {
            id: EventId(self.services.ids.new_id(self.now)),
            event_type,
            key: key.to_owned(),
            payload,
            publisher: self.caller.publisher.clone(),
            invocation: self.id,
            ordinal: u32::try_from(self.events.len()).unwrap_or(u32::MAX),
            caused_by: self.caused_by(),
            parent: self.parent_event(),
            depth,
            published_at: self.now,
        });
        Ok(())
    }
}
