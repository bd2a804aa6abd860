//! What a field can become, with values before and after: the kinds of steps, for the cases on evolution.

use erp_plugin_model::{EntitySchema, Field, FieldType, Value};

use crate::fixture::{field_name, indexed, json, optional, reference, required, schema, text, unique};

pub(crate) fn item(fields: Vec<Field>) -> EntitySchema {
    let mut fields = fields;
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    schema("suite.item", fields)
}

pub(crate) fn decimal(precision: u8, scale: u8) -> FieldType {
    FieldType::Decimal { precision, scale }
}

pub(crate) fn choice(options: &[&str]) -> FieldType {
    FieldType::Enum { options: options.iter().map(ToString::to_string).collect() }
}

pub(crate) fn with_default(field: Field, default: Value) -> Field {
    Field { default, ..field }
}

pub(crate) fn renamed(field: Field, from: &str) -> Field {
    Field { renamed_from: Some(field_name(from)), ..field }
}

pub(crate) fn searchable(name: &str) -> Field {
    Field { searchable: true, ..optional(name, FieldType::String) }
}

/// Beside a field `a` that stays: the field before, its values, the field after, and what becomes of the values.
pub(crate) type Kind = (Vec<Field>, Vec<Value>, Vec<Field>, Vec<Value>);

pub(crate) fn kinds() -> Vec<Kind> {
    let integers = || vec![Value::Integer(5), Value::Null, Value::Integer(-7)];
    let texts = || vec![text("one"), Value::Null, text("two")];
    let money = || vec![Value::Decimal(1250), Value::Null, Value::Decimal(-1)];
    let date: chrono::NaiveDate = "2026-01-31".parse().unwrap();
    let midnight = date.and_hms_opt(0, 0, 0).unwrap().and_utc();
    vec![
        (vec![], vec![], vec![optional("b", FieldType::Integer)], vec![Value::Null; 3]),
        (
            vec![],
            vec![],
            vec![with_default(required("b", FieldType::String), text("it's \\ new"))],
            vec![text("it's \\ new"); 3],
        ),
        (
            vec![],
            vec![],
            vec![with_default(required("b", decimal(9, 2)), Value::Decimal(150))],
            vec![Value::Decimal(150); 3],
        ),
        (
            vec![],
            vec![],
            vec![with_default(indexed("b", FieldType::Boolean), Value::Boolean(true))],
            vec![Value::Boolean(true); 3],
        ),
        (vec![], vec![], vec![optional("b", reference("suite.item"))], vec![Value::Null; 3]),
        (vec![optional("b", FieldType::Integer)], integers(), vec![], vec![]),
        (
            vec![indexed("b", FieldType::Integer)],
            integers(),
            vec![renamed(indexed("c", FieldType::Integer), "b")],
            integers(),
        ),
        (
            vec![unique("b", FieldType::String)],
            texts(),
            vec![renamed(unique("c", FieldType::String), "b")],
            texts(),
        ),
        (vec![optional("b", FieldType::String)], texts(), vec![indexed("b", FieldType::String)], texts()),
        (vec![optional("b", FieldType::String)], texts(), vec![unique("b", FieldType::String)], texts()),
        (vec![unique("b", FieldType::String)], texts(), vec![optional("b", FieldType::String)], texts()),
        (vec![optional("b", FieldType::String)], texts(), vec![searchable("b")], texts()),
        (vec![searchable("b")], texts(), vec![optional("b", FieldType::String)], texts()),
        (
            vec![optional("b", FieldType::Integer)],
            integers(),
            vec![with_default(required("b", FieldType::Integer), Value::Integer(0))],
            vec![Value::Integer(5), Value::Integer(0), Value::Integer(-7)],
        ),
        (
            vec![required("b", FieldType::Integer)],
            vec![Value::Integer(1), Value::Integer(2), Value::Integer(3)],
            vec![optional("b", FieldType::Integer)],
            vec![Value::Integer(1), Value::Integer(2), Value::Integer(3)],
        ),
        (
            vec![optional("b", choice(&["one", "two"]))],
            texts(),
            vec![optional("b", choice(&["one", "two", "x"]))],
            texts(),
        ),
        (
            vec![optional("b", choice(&["one", "two"]))],
            texts(),
            vec![optional("b", FieldType::Text)],
            texts(),
        ),
        (
            vec![indexed("b", decimal(12, 2))],
            money(),
            vec![indexed("b", decimal(14, 4))],
            vec![Value::Decimal(125_000), Value::Null, Value::Decimal(-100)],
        ),
        (
            vec![optional("b", decimal(14, 2))],
            money(),
            vec![optional("b", decimal(9, 0))],
            // What has digits that are not kept is lost from sight.
            vec![Value::Null, Value::Null, Value::Null],
        ),
        (
            vec![optional("b", FieldType::Integer)],
            integers(),
            vec![optional("b", decimal(12, 2))],
            vec![Value::Decimal(500), Value::Null, Value::Decimal(-700)],
        ),
        (
            vec![optional("b", FieldType::Integer)],
            integers(),
            vec![searchable("b")],
            vec![text("5"), Value::Null, text("-7")],
        ),
        (
            vec![optional("b", FieldType::Date)],
            vec![Value::Date(date), Value::Null, Value::Date(date)],
            vec![indexed("b", FieldType::DateTime)],
            vec![Value::DateTime(midnight), Value::Null, Value::DateTime(midnight)],
        ),
        (
            vec![optional("b", FieldType::String)],
            vec![text("12"), Value::Null, text("twelve")],
            vec![with_default(optional("b", FieldType::Integer), Value::Integer(-1))],
            vec![Value::Integer(12), Value::Null, Value::Integer(-1)],
        ),
        (
            vec![optional("b", FieldType::Boolean)],
            vec![Value::Boolean(true), Value::Null, Value::Boolean(false)],
            vec![optional("b", FieldType::Json)],
            vec![json("true"), Value::Null, json("false")],
        ),
        (
            vec![optional("b", FieldType::Boolean)],
            vec![Value::Boolean(true), Value::Null, Value::Boolean(false)],
            vec![optional("b", FieldType::Date)],
            vec![Value::Null, Value::Null, Value::Null],
        ),
        (vec![optional("b", FieldType::Text)], texts(), vec![searchable("b")], texts()),
    ]
}
