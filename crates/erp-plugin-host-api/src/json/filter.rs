//! A filter out of JSON, checked against its entity.

use std::borrow::Cow;

use erp_plugin_model::filter::{Column, Comparison, Filter};
use erp_plugin_model::fold::fold;
use erp_plugin_model::parse;
use erp_plugin_model::schema::{FieldType, SystemField};
use erp_plugin_model::{EntitySchema, HostError, Value};
use serde_json::{Map, Value as Json};

use super::row::unknown_field;
use super::verify;
use crate::fields::Seen;

/// The most values of one filter, those of `$in` counted singly. What has no value in it, such as `{}` or `{"$in":[]}`,
/// counts as one, so that this bounds the conditions as well: a backend may be able to take a thousand and no more.
const MAX_TERMS: usize = 500;

/// A filter and the JSON it came from, which a cursor is bound to.
#[derive(Debug)]
pub(crate) struct ParsedFilter {
    pub(crate) filter: Filter,
    pub(crate) source: Json,
}

/// Reads a filter; empty bytes are `{}`.
pub(crate) fn read(seen: Seen<'_>, bytes: &[u8]) -> Result<ParsedFilter, HostError> {
    if bytes.is_empty() || bytes == b"{}" {
        return Ok(ParsedFilter { filter: Filter::everything(), source: Json::Object(Map::new()) });
    }
    let text = verify::json("filter", bytes)?;
    let source: Json = serde_json::from_str(text).map_err(|error| super::syntax_error("filter", &error))?;
    let mut reader = Reader { seen, terms: 0 };
    let filter = reader.object(&source)?;
    Ok(ParsedFilter { filter, source })
}

/// The column with this name. One that may not be seen is unknown here, for filters, sorts and figures alike.
pub(crate) fn column(seen: Seen<'_>, name: &str) -> Result<Column, HostError> {
    if let Some(position) = seen.position(name) {
        return Ok(Column::Field(position));
    }
    if let Some(system) = SystemField::ALL.into_iter().find(|system| system.as_str() == name) {
        return Ok(Column::System(system));
    }
    match name {
        "tenant_id" | "deleted_at" => Err(HostError::invalid(format!(
            "field \"{name}\" cannot be named here: the host keeps to the caller's tenant and to records that live"
        ))),
        _ if seen.schema.is_dynamic() => Ok(Column::Document(name.to_owned())),
        _ => Err(unknown_field(seen.schema, name, &seen.names())),
    }
}

/// A column's type; `None` for a key of a dynamic entity's document.
pub(crate) fn column_type<'a>(schema: &'a EntitySchema, column: &Column) -> Option<Cow<'a, FieldType>> {
    match column {
        Column::System(system) => Some(Cow::Owned(system.field_type())),
        Column::Field(position) => {
            schema.fields().get(*position).map(|field| Cow::Borrowed(&field.field_type))
        }
        Column::Document(_) => None,
    }
}

struct Reader<'a> {
    seen: Seen<'a>,
    terms: usize,
}

impl Reader<'_> {
    fn object(&mut self, json: &Json) -> Result<Filter, HostError> {
        let Json::Object(map) = json else {
            return Err(HostError::invalid(format!(
                "filter must be an object such as {{\"status\":\"open\"}}, not {}",
                parse::quote(&json.to_string())
            )));
        };
        let mut all = Vec::with_capacity(map.len());
        for (key, value) in map {
            match key.as_str() {
                "$or" => all.push(Filter::Any(self.list(key, value)?)),
                "$and" => all.push(Filter::All(self.list(key, value)?)),
                "$not" => all.push(Filter::Not(Box::new(self.object(value)?))),
                operator if operator.starts_with('$') => {
                    return Err(HostError::invalid(format!(
                        "filter has the unknown operator {}; known here: $or, $and, $not",
                        parse::quote(operator)
                    )));
                }
                name => self.field(name, value, &mut all)?,
            }
        }
        Ok(match all.len() {
            0 => {
                self.term()?;
                Filter::All(all)
            }
            1 => all.swap_remove(0),
            _ => Filter::All(all),
        })
    }

    fn list(&mut self, operator: &str, json: &Json) -> Result<Vec<Filter>, HostError> {
        match json {
            Json::Array(list) if list.is_empty() => self.term().map(|()| Vec::new()),
            Json::Array(list) => list.iter().map(|json| self.object(json)).collect(),
            _ => Err(HostError::invalid(format!("filter {operator} must be an array of filters"))),
        }
    }

    fn field(&mut self, name: &str, json: &Json, all: &mut Vec<Filter>) -> Result<(), HostError> {
        let column = column(self.seen, name)?;
        let Json::Object(operators) = json else {
            all.push(match self.value(name, &column, json)? {
                Value::Null => Filter::Absent(column),
                value => Filter::Compare(column, Comparison::Eq, value),
            });
            return Ok(());
        };
        for (operator, operand) in operators {
            let filter = match operator.as_str() {
                "$eq" => self.compare(name, &column, Comparison::Eq, operand)?,
                "$ne" => self.compare(name, &column, Comparison::Ne, operand)?,
                "$lt" => self.compare(name, &column, Comparison::Lt, operand)?,
                "$lte" => self.compare(name, &column, Comparison::Lte, operand)?,
                "$gt" => self.compare(name, &column, Comparison::Gt, operand)?,
                "$gte" => self.compare(name, &column, Comparison::Gte, operand)?,
                "$in" => self.one_of(name, &column, operand)?,
                "$prefix" => self.prefix(name, &column, operand)?,
                "$ieq" => {
                    Filter::FoldedEq(self.searchable(name, &column)?, self.folded("$ieq", name, operand)?)
                }
                "$iprefix" => Filter::FoldedPrefix(
                    self.searchable(name, &column)?,
                    self.folded("$iprefix", name, operand)?,
                ),
                "$not" => {
                    let mut inner = Vec::new();
                    self.field(name, operand, &mut inner)?;
                    if inner.is_empty() {
                        self.term()?;
                    }
                    Filter::Not(Box::new(Filter::All(inner)))
                }
                other => {
                    return Err(HostError::invalid(format!(
                        "filter on \"{name}\" has the unknown operator {}; known: $eq, $ne, $lt, $lte, $gt, $gte, \
                         $in, $prefix, $ieq, $iprefix, $not",
                        parse::quote(other)
                    )));
                }
            };
            all.push(filter);
        }
        Ok(())
    }

    fn compare(
        &mut self,
        name: &str,
        column: &Column,
        comparison: Comparison,
        json: &Json,
    ) -> Result<Filter, HostError> {
        Ok(match (self.value(name, column, json)?, comparison) {
            (Value::Null, Comparison::Eq) => Filter::Absent(column.clone()),
            (Value::Null, Comparison::Ne) => Filter::Not(Box::new(Filter::Absent(column.clone()))),
            (Value::Null, _) => {
                return Err(HostError::invalid(format!("filter on \"{name}\" compares the order of null")));
            }
            (value, comparison) => {
                let ordered = column_type(self.seen.schema, column)
                    .is_none_or(|found| found.is_ordered() || *found == FieldType::Text);
                let equality = matches!(comparison, Comparison::Eq | Comparison::Ne);
                if !ordered && !equality {
                    return Err(HostError::invalid(format!("filter on \"{name}\": its type has no order")));
                }
                Filter::Compare(column.clone(), comparison, value)
            }
        })
    }

    fn one_of(&mut self, name: &str, column: &Column, json: &Json) -> Result<Filter, HostError> {
        let Json::Array(list) = json else {
            return Err(HostError::invalid(format!("filter $in on \"{name}\" must be an array of values")));
        };
        if list.is_empty() {
            self.term()?;
        }
        let mut values = Vec::new();
        let mut absent = false;
        for json in list {
            match self.value(name, column, json)? {
                Value::Null => absent = true,
                value => values.push(value),
            }
        }
        let among = Filter::In(column.clone(), values);
        Ok(if absent { Filter::Any(vec![among, Filter::Absent(column.clone())]) } else { among })
    }

    fn prefix(&mut self, name: &str, column: &Column, json: &Json) -> Result<Filter, HostError> {
        self.term()?;
        let is_text = matches!(
            column_type(self.seen.schema, column).as_deref(),
            None | Some(
                FieldType::String | FieldType::Text | FieldType::Enum { .. } | FieldType::NumberSeries { .. }
            )
        );
        match (json, is_text) {
            (Json::String(prefix), true) if !prefix.contains('\0') => {
                Ok(Filter::Prefix(column.clone(), prefix.clone()))
            }
            _ => Err(HostError::invalid(format!(
                "filter $prefix on \"{name}\" takes a string, on a text field"
            ))),
        }
    }

    /// The position of a field whose folds are kept.
    fn searchable(&self, name: &str, column: &Column) -> Result<usize, HostError> {
        let field = match column {
            Column::Field(position) => {
                self.seen.schema.fields().get(*position).map(|field| (*position, field))
            }
            Column::System(_) | Column::Document(_) => None,
        };
        match field {
            Some((position, field)) if field.searchable => Ok(position),
            Some((_, field)) if field.field_type == FieldType::String => Err(HostError::invalid(format!(
                "filter on \"{name}\": its text is not kept for searches that ignore case; add search = true to the \
                 field in plugin.toml"
            ))),
            Some((_, field)) => Err(HostError::invalid(format!(
                "filter on \"{name}\": a {} field cannot be searched without case; only a string with search = true can",
                field.field_type.as_str()
            ))),
            None => Err(HostError::invalid(format!(
                "filter on \"{name}\": only a declared string field with search = true can be searched without case"
            ))),
        }
    }

    /// The text to search for, folded as what is stored is.
    fn folded(&mut self, operator: &str, name: &str, json: &Json) -> Result<String, HostError> {
        self.term()?;
        match json {
            Json::String(text) => Ok(fold(text)),
            _ => Err(HostError::invalid(format!("filter {operator} on \"{name}\" takes a string"))),
        }
    }

    fn term(&mut self) -> Result<(), HostError> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(HostError::invalid(format!(
                "filter has more than {MAX_TERMS} values; split the query"
            )));
        }
        Ok(())
    }

    fn value(&mut self, name: &str, column: &Column, json: &Json) -> Result<Value, HostError> {
        self.term()?;
        if json.is_null() {
            return Ok(Value::Null);
        }
        let wrong = |reason: String| HostError::invalid(format!("filter on \"{name}\": the value {reason}"));
        match column_type(self.seen.schema, column).as_deref() {
            Some(FieldType::Json) => {
                Err(wrong("cannot be compared: a json field can only be null or not".to_owned()))
            }
            // An option that does not exist matches nothing, but it is a mistake that should be told.
            Some(field_type) => parse::json(field_type, json).map_err(wrong),
            None => match json {
                Json::String(text) => Ok(Value::Text(text.clone())),
                Json::Bool(truth) => Ok(Value::Boolean(*truth)),
                Json::Number(number) => Ok(match number.as_i64() {
                    Some(integer) => Value::Integer(integer),
                    None => Value::Number(number.as_f64().unwrap_or_default()),
                }),
                other => Err(wrong(format!("must be a string, number, boolean or null, not {other}"))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use erp_plugin_model::EntityRef;

    use super::*;

    fn terms(json: &str) -> Result<usize, HostError> {
        let schema = EntitySchema::dynamic(EntityRef::parse("suite.note").unwrap());
        let seen = Seen { schema: &schema, withheld: None };
        let mut reader = Reader { seen, terms: 0 };
        reader.object(&serde_json::from_str(json).unwrap())?;
        Ok(reader.terms)
    }

    #[test]
    fn what_has_no_value_counts_as_one() {
        for (json, expected) in [
            ("{}", 1),
            (r#"{"a":1,"b":null}"#, 2),
            (r#"{"a":{"$in":[1,2,null]}}"#, 3),
            (r#"{"a":{"$in":[]},"b":{},"c":{"$not":{}}}"#, 2),
            (r#"{"a":{"$prefix":"x"},"b":{"$gt":1,"$not":{"$lt":2}}}"#, 3),
            (r#"{"$or":[{},{"$and":[]},{"$or":[{"$and":[{}]}]},{"$not":{}}]}"#, 4),
        ] {
            assert_eq!(terms(json).unwrap(), expected, "{json}");
        }
    }

    #[test]
    fn nothing_can_be_had_more_often_than_there_may_be_terms() {
        for part in [
            "{}",
            r#"{"a":1}"#,
            r#"{"a":{}}"#,
            r#"{"a":{"$in":[]}}"#,
            r#"{"a":{"$prefix":""}}"#,
            r#"{"$and":[]}"#,
            r#"{"$not":{}}"#,
        ] {
            let any = |times: usize| format!(r#"{{"$or":[{}]}}"#, vec![part; times].join(","));
            assert_eq!(terms(&any(MAX_TERMS)).unwrap(), MAX_TERMS, "{part}");
            let error = terms(&any(MAX_TERMS + 1)).unwrap_err();
            assert_eq!(error.message, "filter has more than 500 values; split the query", "{part}");
        }
    }
}
