//! What of a schema its table depends on, and what physical names come of it: the same for every backend, so that a
//! table that one of them made can be moved to another.

use std::fmt::Write;

use erp_plugin_model::schema::{FieldType, MAX_FIELDS};
use erp_plugin_model::{EntitySchema, Field, Value};
use sha2::{Digest, Sha256};

/// The longest physical name that every backend takes, in bytes.
const LONGEST_NAME: usize = 63;

/// What a table depends on, as canonical JSON: labels, defaults, bounds and the order of the fields may change without
/// touching it. Names and types hold nothing that JSON would have to escape.
#[must_use]
pub fn layout(schema: &EntitySchema) -> String {
    let mut fields: Vec<_> = schema.fields().iter().collect();
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    let mut json = String::from("{");
    for (index, field) in fields.into_iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(json, "{comma}\"{}\":{{\"type\":\"{}\"", field.name, field.field_type.as_str());
        if let Some(column) = &field.column {
            let _ = write!(json, ",\"column\":\"{column}\"");
        }
        match &field.field_type {
            FieldType::Decimal { scale, .. } => {
                let _ = write!(json, ",\"scale\":{scale}");
            }
            FieldType::Reference { target, .. } => {
                let _ = write!(json, ",\"entity\":\"{target}\"");
            }
            _ => {}
        }
        for (option, set) in [
            ("required", field.required),
            ("unique", field.unique),
            ("indexed", field.has_index() && !field.unique),
            ("search", field.searchable),
        ] {
            if set {
                let _ = write!(json, ",\"{option}\":true");
            }
        }
        json.push('}');
    }
    json.push('}');
    json
}

/// The index of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its physical name.
    pub name: String,
    /// Whether it keeps live records of one tenant from having the same value.
    pub unique: bool,
}

/// The index that a field has, if it has one. A unique one serves filters and sorts as well; a reference has one always,
/// because deletions look there.
#[must_use]
pub fn index_of(table: &str, field: &Field) -> Option<Index> {
    let suffix = match (field.unique, field.has_index()) {
        (true, _) => "unique",
        (false, true) => "indexed",
        (false, false) => return None,
    };
    Some(Index { name: index_name(table, field.column(), suffix), unique: field.unique })
}

/// The name of an index: at most 63 bytes, a longer one cut and ended with a hash of the whole.
#[must_use]
pub fn index_name(table: &str, field: &str, suffix: &str) -> String {
    let mut name = format!("{table}__{field}__{suffix}");
    if name.len() > LONGEST_NAME {
        let hash = Sha256::digest(name.as_bytes());
        // Names are ASCII.
        name.truncate(LONGEST_NAME - 17);
        name.push('_');
        for byte in hash.iter().take(8) {
            let _ = write!(name, "{byte:02x}");
        }
    }
    name
}

/// The constraint that live records have a field.
#[must_use]
pub fn required_constraint(field: &Field) -> String {
    format!("{}__required", field.column())
}

/// The column in which a searchable field's text is kept folded. No field's own name has two underscores.
#[must_use]
pub fn folded_column(field: &Field) -> String {
    format!("{}__folded", field.column())
}

/// A set of fields by their positions in the schema: the shape of an update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSet([u64; MAX_FIELDS.div_ceil(64)]);

impl FieldSet {
    /// The fields that an update changes; `None` when one is there twice, or is not one of so many.
    #[must_use]
    pub fn of(fields: &[(usize, Value)], all: usize) -> Option<Self> {
        let mut set = Self::default();
        fields.iter().all(|(position, _)| *position < all && set.insert(*position)).then_some(set)
    }

    /// Adds a field; `false` when it was there already, or can be in no schema.
    pub fn insert(&mut self, position: usize) -> bool {
        match self.0.get_mut(position / 64) {
            Some(word) if *word & (1 << (position % 64)) == 0 => {
                *word |= 1 << (position % 64);
                true
            }
            _ => false,
        }
    }

    /// Whether a field is among them.
    #[must_use]
    pub fn contains(&self, position: usize) -> bool {
        self.0.get(position / 64).is_some_and(|word| word & (1 << (position % 64)) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_index_name_ends_in_a_hash_and_stays_distinct() {
        assert_eq!(index_name("crm__lead", "email", "unique"), "crm__lead__email__unique");
        let table = format!("{}__{}", "p".repeat(24), "e".repeat(30));
        let (one, two) =
            (index_name(&table, &"f".repeat(30), "unique"), index_name(&table, &"f".repeat(29), "unique"));
        assert!(one.len() == LONGEST_NAME && two.len() == LONGEST_NAME);
        assert_ne!(one, two);
    }

    #[test]
    fn a_set_of_fields_refuses_one_twice_and_one_that_cannot_be() {
        let mut set = FieldSet::default();
        assert!(set.insert(0) && set.insert(MAX_FIELDS - 1));
        assert!(!set.insert(0) && !set.insert(1000));
        assert!(set.contains(0) && !set.contains(1));

        let of = |positions: &[usize]| {
            FieldSet::of(&positions.iter().map(|at| (*at, Value::Null)).collect::<Vec<_>>(), 2)
        };
        assert!(of(&[1, 0]).is_some_and(|set| set.contains(0) && set.contains(1)));
        assert_eq!((of(&[1, 1]), of(&[2])), (None, None));
    }
}
