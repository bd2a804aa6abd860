//! A page out of JSON: `{"limit":50,"sort":["-created_at","sku"],"cursor":"…"}`, or `"offset"`, or `"page"` and
//! `"page_size"`. Every sort ends with the `id`, which goes in the direction of the last key named: `-created_at` is
//! `created_at` descending and, among equals, `id` descending.

use erp_plugin_model::HostError;
use erp_plugin_model::filter::Column;
use erp_plugin_model::page::{DEFAULT_LIMIT, MAX_LIMIT, MAX_SORT_KEYS, Page, SortKey, Start};
use erp_plugin_model::parse::quote;
use erp_plugin_model::schema::SystemField;
use serde::Deserialize;
use serde_json::Value as Json;

use super::cursor::{self, Binding};
use super::filter::{column, column_type};
use super::verify;
use crate::fields::Seen;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPage {
    limit: Option<u64>,
    sort: Option<Vec<String>>,
    cursor: Option<String>,
    offset: Option<u64>,
    page: Option<u64>,
    page_size: Option<u64>,
    #[serde(default)]
    total: bool,
}

/// Reads a page of what this filter finds; empty bytes are `{}`.
pub(crate) fn read(seen: Seen<'_>, filter: &Json, bytes: &[u8]) -> Result<Page, HostError> {
    let raw: RawPage = if bytes.is_empty() || bytes == b"{}" {
        RawPage::default()
    } else {
        let text = verify::json("page", bytes)?;
        serde_json::from_str(text).map_err(|error| HostError::invalid(format!("page: {error}")))?
    };
    let one_of = [raw.cursor.is_some(), raw.offset.is_some(), raw.page.is_some()];
    if one_of.into_iter().filter(|given| *given).count() > 1 {
        return Err(HostError::invalid("page: give only one of cursor, offset and page"));
    }
    if raw.limit.is_some() && raw.page_size.is_some() {
        return Err(HostError::invalid("page: give only one of limit and page_size"));
    }
    let limit = raw.limit.or(raw.page_size).unwrap_or(u64::from(DEFAULT_LIMIT));
    let limit =
        u32::try_from(limit).ok().filter(|limit| (1..=MAX_LIMIT).contains(limit)).ok_or_else(|| {
            HostError::invalid(format!(
                "page: limit must be 1 to {MAX_LIMIT}, not {limit}; use the cursor for more"
            ))
        })?;
    let sort = sort(seen, raw.sort.unwrap_or_default())?;
    let start = match (raw.cursor, raw.page) {
        (Some(text), _) => {
            Start::After(cursor::read(&Binding { schema: seen.schema, filter, sort: &sort }, &text)?)
        }
        (None, Some(0)) => return Err(HostError::invalid("page: page is counted from 1")),
        (None, Some(page)) => Start::Offset((page - 1).saturating_mul(u64::from(limit))),
        (None, None) => Start::Offset(raw.offset.unwrap_or(0)),
    };
    if let Start::Offset(offset) = start
        && i64::try_from(offset).is_err()
    {
        return Err(HostError::invalid(format!(
            "page: offset {offset} is beyond every record; use the cursor"
        )));
    }
    Ok(Page { limit, sort, start, total: raw.total })
}

fn sort(seen: Seen<'_>, names: Vec<String>) -> Result<Vec<SortKey>, HostError> {
    if names.len() > MAX_SORT_KEYS {
        return Err(HostError::invalid(format!(
            "page: sort has {} fields, {MAX_SORT_KEYS} are allowed",
            names.len()
        )));
    }
    let mut keys: Vec<SortKey> = Vec::with_capacity(names.len() + 1);
    for name in names {
        let (descending, name) = match name.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, name.as_str()),
        };
        let column = column(seen, name)?;
        match column_type(seen.schema, &column) {
            None => {
                return Err(HostError::invalid(format!(
                    "page: sort by {}: a dynamic entity sorts by id, version, created_at, created_by, updated_at and \
                     updated_by only; declare the field",
                    quote(name)
                )));
            }
            Some(field_type) if !field_type.is_ordered() && matches!(column, Column::Field(_)) => {
                return Err(HostError::invalid(format!(
                    "page: sort by \"{name}\": a {} field has no order",
                    field_type.as_str()
                )));
            }
            Some(_) => {}
        }
        if keys.iter().any(|key| key.column == column) {
            return Err(HostError::invalid(format!("page: sort names \"{name}\" twice")));
        }
        keys.push(SortKey { column, descending });
    }
    // What comes after the id decides nothing.
    let id = Column::System(SystemField::Id);
    match keys.iter().position(|key| key.column == id) {
        Some(position) => keys.truncate(position + 1),
        // In the direction of the key before it, so that an index on that key gives the whole order.
        None => {
            let descending = keys.last().is_some_and(|key| key.descending);
            keys.push(SortKey { column: id, descending });
        }
    }
    Ok(keys)
}
