//! One record: what the host keeps about it, and the author's own fields.

use serde::Deserialize;

/// A record as the host returns it. `T` holds the entity's own fields.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Record<T> {
    /// UUIDv7, set by the host.
    pub id: String,
    /// The tenant of this call.
    pub tenant_id: String,
    /// Starts at 1 and rises by one with every update.
    pub version: i64,
    /// RFC 3339, UTC, microseconds.
    pub created_at: String,
    /// A user's id, or `plugin:` and a name for what happened in an event or a job.
    pub created_by: String,
    /// RFC 3339, UTC, microseconds.
    pub updated_at: String,
    /// Like [`created_by`](Self::created_by).
    pub updated_by: String,
    /// The entity's own fields.
    #[serde(flatten)]
    pub fields: T,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Item {
        sku: String,
        on_hand: i64,
        unit: Option<String>,
    }

    #[test]
    fn system_fields_and_own_fields_are_told_apart() {
        let record: Record<Item> = serde_json::from_str(
            r#"{"id":"0198a8c2-0000-7000-8000-000000000001","tenant_id":"northwind","version":3,
                "created_at":"2026-01-02T03:04:05.000006Z","created_by":"u1",
                "updated_at":"2026-01-02T03:04:05.000006Z","updated_by":"plugin:inventory",
                "sku":"NW-001","on_hand":39,"unit":null}"#,
        )
        .unwrap();
        assert_eq!(record.version, 3);
        assert_eq!(record.updated_by, "plugin:inventory");
        assert_eq!((record.fields.sku.as_str(), record.fields.on_hand), ("NW-001", 39));
        assert_eq!(record.fields.unit, None);
    }
}
