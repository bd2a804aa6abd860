//! Records: insert, query, update, delete, always in this tenant and never deleted ones.
//!
//! `entity` is the plugin's own by its plain name (`item`), another plugin's by its full one (`inventory.item`,
//! which needs a capability). Data and changes are whatever serialises to a JSON object; `serde_json::json!` is
//! fine for one-offs.

mod page;
mod record;

pub use page::{Page, PageRequest};
pub use record::Record;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::bindings::erp::plugin::host_api;
use crate::{Error, Result};

/// Rows per host call of [`query_all`]: enough that most questions are one call, few enough to stay far below
/// the size limit of one.
const QUERY_ALL_PAGE: u32 = 200;

/// Inserts a record and returns it with the fields that the host sets.
pub fn insert<T: Serialize + DeserializeOwned>(entity: &str, data: &T) -> Result<Record<T>> {
    let answer = host_api::db_insert(entity, &to_json(entity, data)?).map_err(Error::from_wire)?;
    from_json(entity, &answer)
}

/// One page of the records that match a filter, such as `json!({"status": "open", "quantity": {"$gte": 10}})`;
/// `json!({})` matches all.
pub fn query<T: DeserializeOwned>(
    entity: &str,
    filter: &impl Serialize,
    page: &PageRequest,
) -> Result<Page<T>> {
    let answer = host_api::db_query(entity, &to_json("filter", filter)?, &to_json("page", page)?)
        .map_err(Error::from_wire)?;
    from_json(entity, &answer)
}

/// All records that match a filter, page after page. For sets that are known to be small: every row counts
/// against the call's limit of rows read.
pub fn query_all<T: DeserializeOwned>(entity: &str, filter: &impl Serialize) -> Result<Vec<Record<T>>> {
    let mut request = PageRequest::first(QUERY_ALL_PAGE);
    let mut items = Vec::new();
    loop {
        let page = query(entity, filter, &request)?;
        items.extend(page.items);
        match page.next_cursor {
            Some(cursor) => request = PageRequest::first(QUERY_ALL_PAGE).after(cursor),
            None => return Ok(items),
        }
    }
}

/// The record with this id, if there is one in this tenant.
pub fn get<T: DeserializeOwned>(entity: &str, id: &str) -> Result<Option<Record<T>>> {
    let page = query(entity, &json!({ "id": id }), &PageRequest::first(1))?;
    Ok(page.items.into_iter().next())
}

/// Changes the given fields of a record that was read before; `null` clears one, an absent one keeps its value.
/// A `conflict` error says that somebody else changed the record since.
pub fn update<T: DeserializeOwned>(
    entity: &str,
    record: &Record<T>,
    changes: &impl Serialize,
) -> Result<Record<T>> {
    update_version(entity, &record.id, record.version, changes)
}

/// Like [`update`], for an id and a version that came from elsewhere.
pub fn update_version<T: DeserializeOwned>(
    entity: &str,
    id: &str,
    version: i64,
    changes: &impl Serialize,
) -> Result<Record<T>> {
    let answer =
        host_api::db_update(entity, id, &to_json(entity, changes)?, version).map_err(Error::from_wire)?;
    from_json(entity, &answer)
}

/// Deletes a record. It is kept, but no query finds it, and its unique values are free again.
pub fn delete(entity: &str, id: &str) -> Result<()> {
    host_api::db_delete(entity, id).map_err(Error::from_wire)
}

/// What a plugin sends. `subject` names it in the error.
pub(crate) fn to_json(subject: &str, value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::invalid_input(format!("{subject} as JSON: {error}")))
}

/// What the host answered. If it does not fit, the author's type is not the entity of the manifest.
fn from_json<T: DeserializeOwned>(entity: &str, json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| {
        Error::internal(format!("a record of {entity} does not fit the plugin's type for it: {error}"))
    })
}
