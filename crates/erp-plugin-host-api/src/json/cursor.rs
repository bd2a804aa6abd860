//! Where a page ended: the sort values of its last record, bound to the entity, filter and sort that they came from.
//!
//! A cursor is no secret and proves nothing: it can only say where in the caller's own tenant to go on.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use erp_plugin_model::page::SortKey;
use erp_plugin_model::schema::FieldType;
use erp_plugin_model::{EntitySchema, HostError, Value, parse};
use erp_plugin_storage::{RowView, StorageResult};
use sha2::{Digest, Sha256};

use super::filter::column_type;
use super::write;

/// What a cursor is bound to. Most pages neither begin nor end with one, so its hash is made when it is asked for.
#[derive(Debug)]
pub(crate) struct Binding<'a> {
    pub(crate) schema: &'a EntitySchema,
    /// With its keys sorted, as [`serde_json::Value`] keeps them.
    pub(crate) filter: &'a serde_json::Value,
    pub(crate) sort: &'a [SortKey],
}

impl Binding<'_> {
    fn hash(&self) -> String {
        let Self { schema, filter, sort } = self;
        let digest = Sha256::digest(format!("{}\n{filter}\n{sort:?}", schema.name));
        URL_SAFE_NO_PAD.encode(digest.get(..8).unwrap_or_default())
    }
}

/// The cursor that goes on after the record that a backend stands on.
pub(crate) fn write(binding: &Binding<'_>, row: &dyn RowView) -> StorageResult<String> {
    let mut json = Vec::from(b"[");
    write::string(&binding.hash(), &mut json);
    for key in binding.sort {
        json.push(b',');
        let field_type = column_type(binding.schema, &key.column);
        let field_type = field_type.as_deref().unwrap_or(&FieldType::Json);
        write::value(field_type, row.column(&key.column)?, &mut json);
    }
    json.push(b']');
    Ok(URL_SAFE_NO_PAD.encode(json))
}

/// The sort values to go on after.
pub(crate) fn read(binding: &Binding<'_>, text: &str) -> Result<Vec<Value>, HostError> {
    let broken = || HostError::invalid("page: cursor is not one that a query gave; begin without one");
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| broken())?;
    let parts: Vec<serde_json::Value> = serde_json::from_slice(&json).map_err(|_| broken())?;
    let (hash, values) = parts.split_first().ok_or_else(broken)?;
    if hash.as_str() != Some(&binding.hash()) {
        return Err(HostError::invalid(
            "page: cursor belongs to another query; keep entity, filter and sort the same from page to page",
        ));
    }
    if values.len() != binding.sort.len() {
        return Err(broken());
    }
    binding
        .sort
        .iter()
        .zip(values)
        .map(|(key, value)| match (column_type(binding.schema, &key.column), value) {
            (Some(_), serde_json::Value::Null) => Ok(Value::Null),
            (Some(field_type), value) => parse::json(&field_type, value).map_err(|_| broken()),
            (None, _) => Err(broken()),
        })
        .collect()
}
