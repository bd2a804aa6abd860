//! What a step that moves records reads and fills, and what tells it from others: the same for every backend.

use erp_plugin_model::evolution::{Action, Step};
use erp_plugin_model::{EntitySchema, Field, FieldType};

use crate::layout::folded_column;

/// The column of a dynamic entity's document.
pub const DOCUMENT: &str = "data";

/// The column that it reads, and the type of what is there.
#[must_use]
pub fn source_column(step: &Step) -> Option<(String, FieldType)> {
    match (&step.action, step.fields()) {
        (Action::Declare, _) => Some((DOCUMENT.to_owned(), FieldType::Json)),
        (Action::Convert(_) | Action::Fill(_) | Action::AddSearch(_), (Some(field), _)) => {
            Some(column(field))
        }
        _ => None,
    }
}

/// The columns that it fills, and their types, in the order of [`Step::moved`].
#[must_use]
pub fn filled_columns(step: &Step) -> Vec<(String, FieldType)> {
    let fold = |field: &Field| (folded_column(field), FieldType::Text);
    match (&step.action, step.fields(), &step.after) {
        (Action::Convert(_) | Action::Fill(_), (_, Some(field)), _) => vec![column(field)],
        (Action::AddSearch(_), (_, Some(field)), _) => vec![fold(field)],
        (Action::Declare, _, Some(after)) => {
            let folds = after.fields().iter().filter(|field| field.searchable).map(fold);
            after.fields().iter().map(column).chain(folds).collect()
        }
        _ => Vec::new(),
    }
}

/// The columns that are added for it.
#[must_use]
pub fn added_columns(step: &Step) -> Vec<(String, FieldType)> {
    match step.action {
        Action::Fill(_) => Vec::new(),
        _ => filled_columns(step),
    }
}

/// What tells it from every other of its entity.
#[must_use]
pub fn key(step: &Step) -> String {
    let after = step.after.as_ref().map(EntitySchema::to_definition).unwrap_or_default();
    format!("{:?} {after}", step.action)
}

fn column(field: &Field) -> (String, FieldType) {
    (field.column().to_owned(), field.field_type.clone())
}
