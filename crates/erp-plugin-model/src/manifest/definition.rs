//! An entity's definition as a database keeps it: the JSON of `[entities.<name>]` in canonical form, and the columns
//! that are not called as their fields are.

use serde_json::{Map, Value as Json, json};

use super::entities::{self, Origin};
use super::{ManifestError, Table};
use crate::parse::write_decimal;
use crate::schema::{EntitySchema, Field, FieldType, KeptHistory};
use crate::time::{write_date, write_rfc3339};
use crate::{EntityRef, Labels, Value};

impl EntitySchema {
    /// The definition as JSON: keys sorted, no white space. Reading it gives the same schema.
    #[must_use]
    pub fn to_definition(&self) -> String {
        let mut map = Map::new();
        put_labels(&mut map, "title", &self.title);
        if let Some(display) = &self.display {
            map.insert("display".to_owned(), display.as_str().into());
        }
        match self.history {
            KeptHistory::Forever => {}
            KeptHistory::None => {
                map.insert("history".to_owned(), false.into());
            }
            KeptHistory::Days(days) => {
                map.insert("history".to_owned(), json!({ "keep-days": days }));
            }
        }
        let fields = self.fields().iter().map(|own| (own.name.to_string(), field(own)));
        map.insert("fields".to_owned(), Json::Object(fields.collect()));
        Json::Object(map).to_string()
    }

    /// Reads what [`to_definition`](Self::to_definition) wrote.
    pub fn from_definition(name: &EntityRef, definition: &str) -> Result<Self, ManifestError> {
        let path = format!("entities.{}", name.entity);
        let value: Json = serde_json::from_str(definition)
            .map_err(|error| ManifestError::new(&path, format!("is not JSON: {error}")))?;
        entities::entity(name.entity.as_str(), Table::new(path, &value)?, &name.plugin, Origin::Stored)
    }
}

fn field(field: &Field) -> Json {
    let mut map = Map::new();
    let field_type = &field.field_type;
    let mut put = |key: &str, value: Json| map.insert(key.to_owned(), value);
    put("type", field_type.as_str().into());
    match field_type {
        FieldType::Decimal { precision, scale } => {
            put("precision", (*precision).into());
            put("scale", (*scale).into());
        }
        FieldType::Enum { options } => {
            put("options", json!(options));
        }
        FieldType::Reference { target, on_delete } => {
            put("entity", target.to_string().into());
            put("on-delete", on_delete.as_str().into());
        }
        _ => {}
    }
    for (key, set) in [
        ("required", field.required),
        ("unique", field.unique),
        ("indexed", field.indexed),
        ("search", field.searchable),
    ] {
        if set {
            put(key, true.into());
        }
    }
    let values =
        [("default", Some(&field.default)), ("min", field.min.as_ref()), ("max", field.max.as_ref())];
    for (key, value) in values {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            put(key, value_json(field_type, value));
        }
    }
    if let Some(length) = field.max_length {
        put("max-length", length.into());
    }
    if let Some(pattern) = &field.pattern {
        put("pattern", pattern.as_str().into());
    }
    for (key, permission) in
        [("read-permission", &field.read_permission), ("write-permission", &field.write_permission)]
    {
        if let Some(permission) = permission {
            put(key, permission.as_str().into());
        }
    }
    if let Some(old) = &field.renamed_from {
        put("renamed-from", old.as_str().into());
    }
    if let Some(column) = &field.column {
        put("column", (&**column).into());
    }
    put_labels(&mut map, "label", &field.label);
    Json::Object(map)
}

fn put_labels(map: &mut Map<String, Json>, key: &str, labels: &Labels) {
    let texts = [("en", &labels.en), ("zh", &labels.zh)];
    let texts: Map<_, _> = texts
        .into_iter()
        .filter_map(|(language, text)| Some((language.to_owned(), text.as_deref()?.into())))
        .collect();
    if !texts.is_empty() {
        map.insert(key.to_owned(), Json::Object(texts));
    }
}

/// A value as [`parse::json`](crate::parse::json) reads it.
fn value_json(field_type: &FieldType, value: &Value) -> Json {
    let mut text = Vec::new();
    match value {
        Value::Null => return Json::Null,
        Value::Text(text) => return text.as_str().into(),
        Value::Integer(number) => return (*number).into(),
        Value::Boolean(truth) => return (*truth).into(),
        Value::Number(number) => return (*number).into(),
        Value::Json(json) => return serde_json::from_str(json).unwrap_or(Json::Null),
        Value::Uuid(id) => return id.to_string().into(),
        Value::Decimal(units) => {
            let scale = if let FieldType::Decimal { scale, .. } = field_type { *scale } else { 0 };
            write_decimal(*units, scale, &mut text);
        }
        Value::Date(date) => write_date(*date, &mut text),
        Value::DateTime(time) => write_rfc3339(*time, &mut text),
    }
    String::from_utf8_lossy(&text).into_owned().into()
}

#[cfg(test)]
mod tests {
    use crate::Manifest;
    use crate::schema::EntitySchema;

    const EVERYTHING: &str = r#"
        manifest = 1
        [plugin]
        name = "shop"
        version = "1.0.0"
        contract = "0"
        [entities.thing]
        title = { en = "Thing", zh = "东西" }
        display = "s"
        history = { keep-days = 30 }
        [entities.thing.fields]
        s = { type = "string", required = true, unique = true, max-length = 40, pattern = "[a-z]+", default = "abc", label = "S" }
        t = { type = "text" }
        i = { type = "integer", min = -5, max = 9007199254740993, default = 7 }
        d = { type = "decimal", precision = 12, scale = 3, min = "0.500", default = "1.250" }
        b = { type = "boolean", default = false }
        day = { type = "date", min = "2020-01-01", indexed = true }
        at = { type = "datetime", max = "2030-01-01T00:00:00Z" }
        u = { type = "uuid", renamed-from = "v" }
        e = { type = "enum", options = ["x", "y"], default = "x" }
        r = { type = "reference", entity = "other.kind", on-delete = "cascade" }
        j = { type = "json", default = { a = [1, 2] } }
        f = { type = "file", read-permission = "shop.thing.read.field:f", write-permission = "shop.files" }
        n = { type = "string", search = true }
    "#;

    #[test]
    fn a_definition_that_is_written_and_read_is_the_same() {
        let schema = Manifest::from_toml(EVERYTHING).unwrap().entities.remove(0);
        let definition = schema.to_definition();
        let read = EntitySchema::from_definition(&schema.name, &definition).unwrap();
        assert_eq!(read, schema);
        assert_eq!(read.to_definition(), definition);

        let mut fields = schema.fields().to_vec();
        fields[0].column = Some("elsewhere".into());
        let moved = schema.with_fields(fields);
        let read = EntitySchema::from_definition(&schema.name, &moved.to_definition()).unwrap();
        assert_eq!(read.fields()[0].column(), "elsewhere");
    }

    #[test]
    fn no_manifest_says_where_a_field_is_stored() {
        let text = EVERYTHING.replace("t = { type", "t = { column = \"x\", type");
        assert!(Manifest::from_toml(&text).unwrap_err().to_string().contains("column is not a known key"));
    }
}
