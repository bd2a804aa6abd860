//! `[entities.<name>]` and `[entities.<name>.fields.<name>]`.

use serde_json::Value as Json;

use super::{ManifestError, Table};
use crate::ids::{EntityName, FieldName, PermissionName, PluginName};
use crate::schema::{
    DEFAULT_STRING, EntitySchema, Field, FieldType, HIDDEN_COLUMNS, KeptHistory, MAX_FIELDS, MAX_OPTIONS,
    MAX_PRECISION, MAX_STRING, OnDelete, Pattern, SYSTEM_FIELDS,
};
use crate::series::SeriesPattern;
use crate::{EntityRef, Value, check, parse};

/// The most days that history is kept, if not for ever: a hundred years.
const MAX_KEEP_DAYS: u64 = 36_525;
/// The most entities that a plugin may declare.
const MAX_ENTITIES: usize = 64;

pub(super) fn read(root: &mut Table<'_>, plugin: &PluginName) -> Result<Vec<EntitySchema>, ManifestError> {
    root.entries("entities", MAX_ENTITIES)?
        .into_iter()
        .map(|(name, table)| entity(name, table, plugin, Origin::Manifest))
        .collect()
}

/// Where a definition comes from: what a database has kept says more than a manifest may.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Manifest,
    Stored,
}

pub(super) fn entity(
    name: &str,
    mut table: Table<'_>,
    plugin: &PluginName,
    origin: Origin,
) -> Result<EntitySchema, ManifestError> {
    let entity = EntityName::parse(name).map_err(|error| table.error("", error.to_string()))?;
    let title = table.labels("title")?;
    let fields = table
        .entries("fields", MAX_FIELDS)?
        .into_iter()
        .map(|(name, table)| field(name, table, plugin, origin))
        .collect::<Result<Vec<_>, _>>()?;
    // A step on the way from one version to the next can leave none for a moment.
    if fields.is_empty() && origin == Origin::Manifest {
        return Err(table.error("fields", "is missing; an entity has at least one field"));
    }
    let display = match table.string("display")? {
        None => None,
        Some(text) => match fields.iter().find(|field| field.name.as_str() == text) {
            Some(field) => Some(field.name.clone()),
            None => {
                return Err(
                    table.error("display", format!("names {text:?}, which is no field of this entity"))
                );
            }
        },
    };
    for field in &fields {
        if let Some(old) = &field.renamed_from
            && origin == Origin::Manifest
            && fields.iter().any(|other| other.name == *old)
        {
            let path = format!("fields.{}.renamed-from", field.name);
            return Err(
                table.error(&path, format!("is {:?}, which is another field of this entity", old.as_str()))
            );
        }
    }
    let history = history(&mut table)?;
    table.finish()?;
    let name = EntityRef { plugin: plugin.clone(), entity };
    let mut schema = EntitySchema::declared(name, title, display, fields);
    schema.history = history;
    Ok(schema)
}

/// `history = false`, or `history = { keep-days = 3650 }`; kept for ever without it.
fn history(table: &mut Table<'_>) -> Result<KeptHistory, ManifestError> {
    match table.take("history") {
        None | Some(Json::Bool(true)) => Ok(KeptHistory::Forever),
        Some(Json::Bool(false)) => Ok(KeptHistory::None),
        Some(value @ Json::Object(_)) => {
            let mut own = Table::new(table.path("history"), value)?;
            let days = own.number("keep-days", 1, MAX_KEEP_DAYS)?;
            let missing = own.error("keep-days", "is missing; without a limit leave `history` out");
            own.finish()?;
            Ok(KeptHistory::Days(u32::try_from(days.ok_or(missing)?).unwrap_or(u32::MAX)))
        }
        Some(other) => {
            Err(table
                .error("history", format!("must be true, false or {{ keep-days = <number> }}, not {other}")))
        }
    }
}

fn field(
    name: &str,
    mut table: Table<'_>,
    plugin: &PluginName,
    origin: Origin,
) -> Result<Field, ManifestError> {
    let name = FieldName::parse(name).map_err(|error| table.error("", error.to_string()))?;
    if SYSTEM_FIELDS.iter().chain(&HIDDEN_COLUMNS).any(|kept| *kept == name.as_str()) {
        return Err(table.error("", "is a name that the host keeps for itself; choose another"));
    }
    let renamed_from = match table.string("renamed-from")? {
        None => None,
        Some(text) => {
            let old =
                FieldName::parse(text).map_err(|error| table.error("renamed-from", error.to_string()))?;
            if old == name {
                return Err(table.error("renamed-from", "is the field's own name; leave it out"));
            }
            Some(old)
        }
    };
    let column = match origin {
        Origin::Manifest => None,
        Origin::Stored => table.string("column")?.map(Into::into),
    };
    let field_type = field_type(&mut table, plugin)?;
    let is_series = matches!(field_type, FieldType::NumberSeries { .. }) && origin == Origin::Manifest;
    if is_series {
        check_series(&mut table)?;
    }
    let required = is_series || table.boolean("required")?;
    let unique = is_series || table.boolean("unique")?;
    let indexed = table.boolean("indexed")?;
    for (key, set) in [("unique", unique), ("indexed", indexed)] {
        if set && !field_type.is_ordered() {
            return Err(
                table.error(key, format!("cannot be had on a {} field; use string", field_type.as_str()))
            );
        }
    }
    let searchable = table.boolean("search")?;
    if searchable && field_type != FieldType::String {
        return Err(table.error("search", "can be had on string fields only"));
    }
    if let FieldType::Reference { on_delete: OnDelete::SetNull, .. } = field_type
        && required
    {
        return Err(table.error("on-delete", "is set-null, which a required field cannot be"));
    }
    let default = value(&mut table, "default", &field_type)?.unwrap_or(Value::Null);
    let min = value(&mut table, "min", &field_type)?;
    let max = value(&mut table, "max", &field_type)?;
    for (key, bound) in [("min", &min), ("max", &max)] {
        let bounded = matches!(
            field_type,
            FieldType::Integer | FieldType::Decimal { .. } | FieldType::Date | FieldType::DateTime
        );
        if bound.is_some() && !bounded {
            return Err(table.error(key, format!("cannot be had on a {} field", field_type.as_str())));
        }
    }
    if let (Some(min), Some(max)) = (&min, &max)
        && check::exceeds(min, max)
    {
        let (min, max) = (check::show(&field_type, min), check::show(&field_type, max));
        return Err(table.error("min", format!("is {min}, more than the max {max}: no value could be kept")));
    }
    let is_text = matches!(field_type, FieldType::String | FieldType::Text);
    let max_length = match (&field_type, table.number("max-length", 1, u64::from(u32::MAX))?) {
        (FieldType::String, Some(length)) if length > u64::from(MAX_STRING) => {
            return Err(table
                .error("max-length", format!("is {length}; a string has at most {MAX_STRING}, use text")));
        }
        (FieldType::String | FieldType::Text, Some(length)) => u32::try_from(length).ok(),
        (FieldType::String, None) if origin == Origin::Manifest => Some(DEFAULT_STRING),
        (_, Some(_)) => return Err(table.error("max-length", "can be had on string and text fields only")),
        (_, None) => None,
    };
    let pattern = match table.string("pattern")? {
        None => None,
        // Read with the type, which it is a part of.
        Some(_) if matches!(field_type, FieldType::NumberSeries { .. }) => None,
        Some(_) if !is_text => {
            return Err(table.error("pattern", "can be had on string and text fields only"));
        }
        Some(source) => Some(
            Pattern::parse(source)
                .map_err(|error| table.error("pattern", format!("is not a regular expression: {error}")))?,
        ),
    };
    if pattern.is_some() && max_length.is_none_or(|length| length > MAX_STRING) {
        return Err(table.error(
            "pattern",
            format!(
                "needs a `max-length` of at most {MAX_STRING} beside it: longer texts take too long to match"
            ),
        ));
    }
    let read_permission = permission(&mut table, "read-permission", plugin)?;
    let write_permission = permission(&mut table, "write-permission", plugin)?;
    let label = table.labels("label")?;
    let field = Field {
        name,
        field_type,
        required,
        unique,
        indexed,
        searchable,
        default,
        min,
        max,
        max_length,
        pattern,
        read_permission,
        write_permission,
        label,
        renamed_from,
        column,
    };
    field.check(&field.default).map_err(|reason| table.error("default", reason))?;
    table.finish()?;
    Ok(field)
}

/// Refuses what says of a number series that which is so in any case, or what cannot be.
fn check_series(table: &mut Table<'_>) -> Result<(), ManifestError> {
    const IN_ANY_CASE: &str =
        "is not for a number-series, which is always required, unique and indexed; leave it out";
    const BY_THE_HOST: &str =
        "is not for a number-series, which the host numbers by its pattern; leave it out";
    for (key, reason) in [
        ("required", IN_ANY_CASE),
        ("unique", IN_ANY_CASE),
        ("indexed", IN_ANY_CASE),
        ("default", BY_THE_HOST),
        ("min", BY_THE_HOST),
        ("max", BY_THE_HOST),
        ("max-length", BY_THE_HOST),
        ("write-permission", BY_THE_HOST),
    ] {
        if table.take(key).is_some() {
            return Err(table.error(key, reason));
        }
    }
    Ok(())
}

fn field_type(table: &mut Table<'_>, plugin: &PluginName) -> Result<FieldType, ManifestError> {
    let name = table.required_string("type")?;
    let precision = table.number("precision", 1, u64::from(MAX_PRECISION))?;
    let scale = table.number("scale", 0, u64::from(MAX_PRECISION))?;
    let options = table.strings("options", MAX_OPTIONS)?;
    let entity = table.string("entity")?;
    let on_delete = match table.string("on-delete")? {
        None => None,
        Some(text) => Some(
            [OnDelete::Restrict, OnDelete::SetNull, OnDelete::Cascade]
                .into_iter()
                .find(|rule| rule.as_str() == text)
                .ok_or_else(|| {
                    table.error("on-delete", format!("is {text:?}; it must be restrict, set-null or cascade"))
                })?,
        ),
    };
    let only = |key: &str, on: &str| Err(table.error(key, format!("can be had on {on} fields only")));
    match name {
        "decimal" => {}
        _ if precision.is_some() => return only("precision", "decimal"),
        _ if scale.is_some() => return only("scale", "decimal"),
        _ => {}
    }
    if name != "enum" && !options.is_empty() {
        return only("options", "enum");
    }
    if name != "reference" && entity.is_some() {
        return only("entity", "reference");
    }
    if name != "reference" && on_delete.is_some() {
        return only("on-delete", "reference");
    }
    Ok(match name {
        "string" => FieldType::String,
        "text" => FieldType::Text,
        "integer" => FieldType::Integer,
        "boolean" => FieldType::Boolean,
        "date" => FieldType::Date,
        "datetime" => FieldType::DateTime,
        "uuid" => FieldType::Uuid,
        "json" => FieldType::Json,
        "file" => FieldType::File,
        "number-series" => {
            let pattern = table.string("pattern")?.ok_or_else(|| {
                table.error(
                    "pattern",
                    "is missing; write how the numbers look, such as \"INV-{yyyy}-{00000}\"",
                )
            })?;
            let pattern = SeriesPattern::parse(pattern).map_err(|reason| table.error("pattern", reason))?;
            FieldType::NumberSeries { pattern }
        }
        "decimal" => {
            let (Some(precision), Some(scale)) = (precision, scale) else {
                return Err(table.error("type", "is decimal, which needs `precision` and `scale`"));
            };
            if scale > precision {
                return Err(table.error("scale", format!("is {scale}, more than the precision {precision}")));
            }
            FieldType::Decimal {
                precision: u8::try_from(precision).unwrap_or(MAX_PRECISION),
                scale: u8::try_from(scale).unwrap_or(MAX_PRECISION),
            }
        }
        "enum" => {
            let valid = |text: &&str| !text.is_empty() && text.chars().count() <= 64;
            if options.is_empty() || !options.iter().all(valid) {
                return Err(table.error("options", "must list the texts allowed, each of 1 to 64 characters"));
            }
            FieldType::Enum { options: options.into_iter().map(str::to_owned).collect() }
        }
        "reference" => {
            let entity = entity
                .ok_or_else(|| table.error("entity", "is missing: which entity does the field refer to?"))?;
            let target = EntityRef::parse_in(plugin, entity)
                .map_err(|error| table.error("entity", error.to_string()))?;
            FieldType::Reference { target, on_delete: on_delete.unwrap_or_default() }
        }
        other => {
            return Err(table.error(
                "type",
                format!(
                    "is {other:?}; it must be string, text, integer, decimal, boolean, date, datetime, uuid, enum, \
                     reference, json, file or number-series"
                ),
            ));
        }
    })
}

/// A permission of the plugin's own: it cannot make its field depend on what another plugin's roles are given for.
fn permission(
    table: &mut Table<'_>,
    key: &'static str,
    plugin: &PluginName,
) -> Result<Option<PermissionName>, ManifestError> {
    let Some(text) = table.string(key)? else { return Ok(None) };
    let name = PermissionName::parse(text).map_err(|error| table.error(key, format!("is an {error}")))?;
    if name.plugin() != plugin.as_str() {
        return Err(table.error(
            key,
            format!("is {text:?}; it must begin with the plugin's own name, such as {plugin}.{text}"),
        ));
    }
    Ok(Some(name))
}

fn value(
    table: &mut Table<'_>,
    key: &'static str,
    field_type: &FieldType,
) -> Result<Option<Value>, ManifestError> {
    match table.take(key) {
        None => Ok(None),
        Some(json) => parse::json(field_type, json).map(Some).map_err(|message| table.error(key, message)),
    }
}
