//! Records at the platform's edge: what a REST resource, a page or a command does for an identity. Every call is an
//! invocation of its own, and every right is the identity's permission `<plugin>.<entity>.<verb>`, where the verb is
//! `read`, `insert`, `update`, `delete`, `restore` or `purge`. The history takes `read`, and pruning it `purge`. A field
//! may take permissions of its own: a record comes without those that its reader may not see.

use chrono::{DateTime, Utc};
use erp_plugin_host_api::Invocation;
use erp_plugin_model::{ErrorCode, FieldName, HostError, Identity, RecordId, Version};
use erp_plugin_storage::Mode;
use serde_json::Value as Json;

use crate::error::HostResult;
use crate::host::PluginHost;
use crate::invoke::EdgeWork;

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
        self.written([entity.to_owned(), data.to_string()], |edge, [entity, data]| {
            Box::pin(edge.insert(entity, data.as_bytes()))
        })
        .await
    }

    /// Inserts the records of an array, 1 to 1,000 of them, and says of each how it ended:
    /// `{"items":[{"ok":{…}},{"error":{"index":1,"code":"already-exists","message":"…"}}]}`. One that is refused leaves the
    /// others.
    pub async fn insert_many(&self, entity: &str, data: &Json) -> HostResult<Json> {
        self.written([entity.to_owned(), data.to_string()], |edge, [entity, data]| {
            Box::pin(edge.insert_many(entity, data.as_bytes()))
        })
        .await
    }

    /// A page of records that fulfil a filter: `{"items":[…],"next_cursor":…,"total":…?}`.
    pub async fn query(&self, entity: &str, filter: &Json, page: &Json) -> HostResult<Json> {
        self.read(
            [entity.to_owned(), filter.to_string(), page.to_string()],
            |edge, [entity, filter, page]| Box::pin(edge.query(entity, filter.as_bytes(), page.as_bytes())),
        )
        .await
    }

    /// The fields that this identity may not see, which are in no record that it is given: for a table that has a column
    /// for each of the others.
    pub async fn unreadable_fields(&self, entity: &str) -> HostResult<Vec<FieldName>> {
        self.call(Mode::Read, [entity.to_owned()], |edge, [entity]| Box::pin(edge.unreadable_fields(entity)))
            .await
    }

    /// One record, or `not-found`.
    pub async fn get(&self, entity: &str, id: RecordId) -> HostResult<Json> {
        self.read([entity.to_owned(), id.to_string()], |edge, [entity, id]| Box::pin(edge.get(entity, id)))
            .await
    }

    /// How many records fulfil a filter.
    pub async fn count(&self, entity: &str, filter: &Json) -> HostResult<u64> {
        self.call(Mode::Read, [entity.to_owned(), filter.to_string()], |edge, [entity, filter]| {
            Box::pin(edge.count(entity, filter.as_bytes()))
        })
        .await
    }

    /// Figures over the records that fulfil a filter:
    /// `{"group_by":["status"],"figures":{"total":{"sum":"amount"},"n":{"count":true}}}` is answered by
    /// `{"groups":[{"status":"open","n":3,"total":"12.50"}],"has_more":false}`.
    pub async fn aggregate(&self, entity: &str, filter: &Json, figures: &Json) -> HostResult<Json> {
        let words = [entity.to_owned(), filter.to_string(), figures.to_string()];
        self.read(words, |edge, [entity, filter, figures]| {
            Box::pin(edge.aggregate(entity, filter.as_bytes(), figures.as_bytes()))
        })
        .await
    }

    /// Changes the given fields of the record that has this id and version; returns all of it.
    pub async fn update(
        &self,
        entity: &str,
        id: RecordId,
        data: &Json,
        version: Version,
    ) -> HostResult<Json> {
        let words = [entity.to_owned(), id.to_string(), data.to_string()];
        self.written(words, move |edge, [entity, id, data]| {
            Box::pin(edge.update(entity, id, data.as_bytes(), version.get()))
        })
        .await
    }

    /// Changes several records, `[{"id":"…","version":1,"data":{…}}]`, 1 to 1,000 of them, and says of each how it ended,
    /// as [`insert_many`](Self::insert_many) does.
    pub async fn update_many(&self, entity: &str, updates: &Json) -> HostResult<Json> {
        self.written([entity.to_owned(), updates.to_string()], |edge, [entity, updates]| {
            Box::pin(edge.update_many(entity, updates.as_bytes()))
        })
        .await
    }

    /// Deletes a record softly, and does with those that refer to it what their references say.
    pub async fn delete(&self, entity: &str, id: RecordId) -> HostResult<()> {
        self.call(Mode::Write, [entity.to_owned(), id.to_string()], |edge, [entity, id]| {
            Box::pin(edge.delete(entity, id))
        })
        .await
    }

    /// Makes a deleted record live again, with the next version; returns all of it.
    pub async fn restore(&self, entity: &str, id: RecordId) -> HostResult<Json> {
        self.written([entity.to_owned(), id.to_string()], |edge, [entity, id]| {
            Box::pin(edge.restore(entity, id))
        })
        .await
    }

    /// Removes for good what was deleted before this moment, as many records as an invocation may write; returns how
    /// many. Call it again until it returns none.
    pub async fn purge(&self, entity: &str, before: DateTime<Utc>) -> HostResult<u64> {
        self.call(Mode::Write, [entity.to_owned()], move |edge, [entity]| {
            Box::pin(edge.purge(entity, before))
        })
        .await
    }

    /// The changes to an entity's records, or to one of them, the newest first:
    /// `{"items":[{"id":"…","version":2,"verb":"update","at":"…","by":"…","changes":{…}}],"next_cursor":…}`. Takes a page
    /// `{"limit":50,"cursor":"…"}`.
    pub async fn history(&self, entity: &str, id: Option<RecordId>, page: &Json) -> HostResult<Json> {
        let id = id.map(|id| id.to_string());
        self.read([entity.to_owned(), id.clone().unwrap_or_default(), page.to_string()], {
            let is_of_one = id.is_some();
            move |edge, [entity, id, page]| {
                Box::pin(edge.history(entity, is_of_one.then_some(id.as_str()), page.as_bytes()))
            }
        })
        .await
    }

    /// Removes for good the changes that the entity's manifest does not keep any longer, as many as an invocation may
    /// write; returns how many. Call it again until it returns none.
    pub async fn prune_history(&self, entity: &str) -> HostResult<u64> {
        self.call(Mode::Write, [entity.to_owned()], |edge, [entity]| Box::pin(edge.prune_history(entity)))
            .await
    }

    async fn written<const N: usize>(
        &self,
        words: [String; N],
        work: impl for<'i> Fn(&'i mut Invocation, &'i [String; N]) -> EdgeWork<'i, Vec<u8>>
        + Send
        + Sync
        + 'static,
    ) -> HostResult<Json> {
        json(&self.call(Mode::Write, words, work).await?)
    }

    async fn read<const N: usize>(
        &self,
        words: [String; N],
        work: impl for<'i> Fn(&'i mut Invocation, &'i [String; N]) -> EdgeWork<'i, Vec<u8>>
        + Send
        + Sync
        + 'static,
    ) -> HostResult<Json> {
        json(&self.call(Mode::Read, words, work).await?)
    }

    /// Runs as a task of its own, so what it works with is its own too.
    async fn call<T: Send + 'static, const N: usize>(
        &self,
        mode: Mode,
        words: [String; N],
        work: impl for<'i> Fn(&'i mut Invocation, &'i [String; N]) -> EdgeWork<'i, T> + Send + Sync + 'static,
    ) -> HostResult<T> {
        let identity = self.identity.clone();
        self.host.run(|inner| async move { inner.at_edge(identity, mode, &words, work).await }).await
    }
}

fn json(answer: &[u8]) -> HostResult<Json> {
    serde_json::from_slice(answer)
        .map_err(|_| HostError::new(ErrorCode::Internal, "the answer is no JSON: a fault of the host").into())
}
