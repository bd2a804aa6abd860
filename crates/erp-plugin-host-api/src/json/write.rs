//! Records as JSON: the host's fields first, then the declared ones in the order of the schema.

use std::io::Write as _;

use erp_plugin_model::parse::{MAX_SAFE_INTEGER, write_decimal};
use erp_plugin_model::schema::FieldType;
use erp_plugin_model::time::{write_date, write_rfc3339};
use erp_plugin_model::value::ValueRef;
use erp_plugin_model::{RecordId, TenantId};
use erp_plugin_storage::{RowView, StorageResult, SystemValues};

use crate::fields::Seen;

/// Appends a record that a backend stands on, as far as it may be seen.
pub(crate) fn record(
    seen: Seen<'_>,
    tenant: &TenantId,
    row: &dyn RowView,
    out: &mut Vec<u8>,
) -> StorageResult<()> {
    system(tenant, &row.system()?, out);
    let Seen { schema, withheld } = seen;
    if schema.is_dynamic() {
        if let ValueRef::Json(document) = row.field(0)? {
            splice(document, out);
        }
    } else if let Some(withheld) = withheld {
        for (position, field) in schema.fields().iter().enumerate().filter(|(at, _)| !withheld.hides(*at)) {
            key(field.name.as_str(), out);
            value(&field.field_type, row.field(position)?, out);
        }
    } else {
        for (position, field) in schema.fields().iter().enumerate() {
            key(field.name.as_str(), out);
            value(&field.field_type, row.field(position)?, out);
        }
    }
    out.push(b'}');
    Ok(())
}

/// Appends the opening brace and the host's fields.
pub(crate) fn system(tenant: &TenantId, system: &SystemValues<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    uuid(system.id.0, out);
    out.extend_from_slice(b",\"tenant_id\":");
    string(tenant.as_str(), out);
    out.extend_from_slice(b",\"version\":");
    integer(system.version.get(), out);
    out.extend_from_slice(b",\"created_at\":\"");
    let at = out.len();
    write_rfc3339(system.created_at, out);
    let end = out.len();
    out.extend_from_slice(b"\",\"created_by\":");
    string(system.created_by, out);
    out.extend_from_slice(b",\"updated_at\":\"");
    if system.updated_at == system.created_at {
        out.extend_from_within(at..end);
    } else {
        write_rfc3339(system.updated_at, out);
    }
    out.extend_from_slice(b"\",\"updated_by\":");
    string(system.updated_by, out);
}

/// Appends the keys of a document, a JSON object, to an object that is open.
pub(crate) fn splice(document: &str, out: &mut Vec<u8>) {
    let inside = document.trim().trim_start_matches('{');
    let inside = inside.strip_suffix('}').unwrap_or(inside);
    if !inside.is_empty() {
        out.push(b',');
        out.extend_from_slice(inside.as_bytes());
    }
}

/// Appends a comma and a key that needs no escaping: a field name.
pub(crate) fn key(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends a value in its type's form on the wire.
pub(crate) fn value(field_type: &FieldType, value: ValueRef<'_>, out: &mut Vec<u8>) {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Text(text) => string(text, out),
        ValueRef::Integer(number) => integer(number, out),
        ValueRef::Decimal(units) => {
            let scale = if let FieldType::Decimal { scale, .. } = field_type { *scale } else { 0 };
            out.push(b'"');
            write_decimal(units, scale, out);
            out.push(b'"');
        }
        ValueRef::Boolean(truth) => out.extend_from_slice(if truth { b"true" } else { b"false" }),
        ValueRef::Date(date) => {
            out.push(b'"');
            write_date(date, out);
            out.push(b'"');
        }
        ValueRef::DateTime(time) => {
            out.push(b'"');
            write_rfc3339(time, out);
            out.push(b'"');
        }
        ValueRef::Uuid(id) => uuid(id, out),
        // Writing into a Vec cannot fail.
        ValueRef::Number(number) => drop(write!(out, "{number}")),
        ValueRef::Json(json) => out.extend_from_slice(json.as_bytes()),
    }
}

fn integer(number: i64, out: &mut Vec<u8>) {
    let quote = number.unsigned_abs() > MAX_SAFE_INTEGER;
    if quote {
        out.push(b'"');
    }
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    if quote {
        out.push(b'"');
    }
}

fn uuid(id: uuid::Uuid, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(id.hyphenated().encode_lower(&mut [0; uuid::fmt::Hyphenated::LENGTH]).as_bytes());
    out.push(b'"');
}

/// Appends a JSON string.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    // Writing into a Vec cannot fail.
    drop(serde_json::to_writer(out, text));
}

/// One record's id as JSON text.
pub(crate) fn id_json(id: RecordId) -> String {
    format!("\"{id}\"")
}
