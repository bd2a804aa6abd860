//! Pages: which part of an answer to ask for, and the part that came.

use serde::{Deserialize, Serialize};

use super::Record;

/// Which records of an answer are wanted, and in which order. The default is the host's: the first 50.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PageRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sort: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    total: bool,
}

impl PageRequest {
    /// The first `limit` records.
    pub fn first(limit: u32) -> Self {
        Self { limit: Some(limit), ..Self::default() }
    }

    /// Sorts by a field, descending with a `-` in front; call again for the next criterion. Records that are
    /// equal in all of them come in the order of their ids.
    #[must_use]
    pub fn sorted_by(mut self, field: impl Into<String>) -> Self {
        self.sort.push(field.into());
        self
    }

    /// Goes on after the page that gave this cursor, with the same filter and sort.
    #[must_use]
    pub fn after(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    /// Skips the first records. A cursor is faster and does not lose its place when records come and go.
    #[must_use]
    pub fn skipping(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// Asks for the number of all matching records too, which costs a count.
    #[must_use]
    pub fn with_total(mut self) -> Self {
        self.total = true;
        self
    }
}

/// One page of an answer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Page<T> {
    /// The records, in the order that was asked for.
    pub items: Vec<Record<T>>,
    /// Where the next page begins; `None` on the last one.
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// The number of all matching records, if it was asked for.
    #[serde(default)]
    pub total: Option<u64>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json, to_value};

    use super::*;

    #[test]
    fn only_what_was_asked_for_is_sent() {
        assert_eq!(to_value(PageRequest::default()).unwrap(), json!({}));
        let request = PageRequest::first(10).sorted_by("-created_at").sorted_by("sku").with_total();
        assert_eq!(
            to_value(request).unwrap(),
            json!({"limit": 10, "sort": ["-created_at", "sku"], "total": true})
        );
        assert_eq!(to_value(PageRequest::first(5).after("c1")).unwrap(), json!({"limit": 5, "cursor": "c1"}));
        assert_eq!(to_value(PageRequest::first(5).skipping(5)).unwrap(), json!({"limit": 5, "offset": 5}));
    }

    #[test]
    fn the_last_page_has_no_cursor() {
        let page: Page<Value> = serde_json::from_str(r#"{"items":[],"next_cursor":null}"#).unwrap();
        assert!(page.items.is_empty());
        assert_eq!((page.next_cursor, page.total), (None, None));
    }
}
