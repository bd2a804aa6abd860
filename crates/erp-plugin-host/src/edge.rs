//! Records at the platform's edge: what a REST resource, a page or a command does for an identity. Every call is an
//! invocation of its own, and every right is the identity's permission `<plugin>.<entity>.<verb>`.

use erp_plugin_model::{ErrorCode, HostError, Identity, RecordId, Version};
use erp_plugin_storage::Mode;
use serde_json::Value as Json;

use crate::error::HostResult;
use crate::host::PluginHost;

/// Records as one identity sees them, in its tenant. Entities are named in full: `inventory.item`.
pub struct Records<'a> {
    host: &'a PluginHost,
    identity: Identity,
}

impl<'a> Records<'a> {
    pub(crate) fn new(host: &'a PluginHost, identity: Identity) -> Self {
        Self { host, identity }
    }

    /// Inserts a record; returns all of it.
    pub async fn insert(&self, entity: &str, data: &Json) -> HostResult<Json> {
        let (entity, data) = (entity.to_owned(), data.to_string());
        let identity = self.identity.clone();
        let answer = self.host.run(|inner| async move {
            let mut edge = inner.begin_edge(identity, Mode::Write).await?;
            let answer = edge.insert(&entity, data.as_bytes()).await;
            inner.end_edge(edge, answer).await
        });
        json(&answer.await?)
    }

    /// A page of records that fulfil a filter: `{"items":[…],"next_cursor":…,"total":…?}`.
    pub async fn query(&self, entity: &str, filter: &Json, page: &Json) -> HostResult<Json> {
        let (entity, filter, page) = (entity.to_owned(), filter.to_string(), page.to_string());
        let identity = self.identity.clone();
        let answer = self.host.run(|inner| async move {
            let mut edge = inner.begin_edge(identity, Mode::Read).await?;
            let answer = edge.query(&entity, filter.as_bytes(), page.as_bytes()).await;
            inner.end_edge(edge, answer).await
        });
        json(&answer.await?)
    }

    /// One record, or `not-found`.
    pub async fn get(&self, entity: &str, id: RecordId) -> HostResult<Json> {
        let filter = serde_json::json!({ "id": id.to_string() });
        let mut page = self.query(entity, &filter, &serde_json::json!({})).await?;
        let item = page.get_mut("items").and_then(|items| items.get_mut(0)).map(Json::take);
        item.ok_or_else(|| HostError::not_found(format!("no {entity} has the id {id}")).into())
    }

    /// Changes the given fields of the record that has this id and version; returns all of it.
    pub async fn update(
        &self,
        entity: &str,
        id: RecordId,
        data: &Json,
        version: Version,
    ) -> HostResult<Json> {
        let (entity, id, data) = (entity.to_owned(), id.to_string(), data.to_string());
        let identity = self.identity.clone();
        let answer = self.host.run(|inner| async move {
            let mut edge = inner.begin_edge(identity, Mode::Write).await?;
            let answer = edge.update(&entity, &id, data.as_bytes(), version.get()).await;
            inner.end_edge(edge, answer).await
        });
        json(&answer.await?)
    }

    /// Deletes a record softly.
    pub async fn delete(&self, entity: &str, id: RecordId) -> HostResult<()> {
        let (entity, id) = (entity.to_owned(), id.to_string());
        let identity = self.identity.clone();
        self.host
            .run(|inner| async move {
                let mut edge = inner.begin_edge(identity, Mode::Write).await?;
                let answer = edge.delete(&entity, &id).await;
                inner.end_edge(edge, answer).await
            })
            .await
    }
}

fn json(answer: &[u8]) -> HostResult<Json> {
    serde_json::from_slice(answer)
        .map_err(|_| HostError::new(ErrorCode::Internal, "the answer is no JSON: a fault of the host").into())
}
