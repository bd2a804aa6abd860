//! How an entity becomes what the next version of its plugin declares: a plan of steps, each from one schema to the next.
//!
//! Knows no database: what a step means for a table is for a backend to say. A step names the schema that it begins
//! with and the one that it ends with, so a plan needs no memory: whoever was stopped half-way makes a new plan from
//! what the database says of itself, and two who work at once see whether the other was first.
//!
//! To add a kind of change: 1. a variant of [`Action`], and where [`plan`] finds it; 2. what each backend does;
//! 3. a case in the conformance suite, and a pair of schemas in the table of `compare`'s tests.

mod compare;
mod convert;
mod serve;

use std::fmt;

use crate::ids::{FieldName, RecordId};
use crate::schema::{EntitySchema, Field, FieldType};
use crate::{EntityRef, Value};

pub use compare::{leave, plan};
pub use convert::{Conversion, convert};
pub use serve::{alongside, obstacle, renaming};

/// What a step may do to data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Nothing that is there stops fitting.
    Safe,
    /// Something that is there might not fit: it is looked at first, and nothing is done if so.
    Checked,
    /// Something goes out of sight. Only with consent, and kept under another name until it is purged.
    Destructive,
}

impl Class {
    /// The class as people read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Checked => "checked",
            Self::Destructive => "destructive",
        }
    }
}

/// What of an entity changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Its table is made.
    CreateEntity,
    /// Its table is put aside under another name.
    ArchiveEntity,
    /// A table that was put aside comes back as it was, with its records.
    ReviveEntity {
        /// The name under which it was kept.
        table: Box<str>,
    },
    /// What was one document a record becomes fields. The document is put aside.
    Declare,
    /// A field is added; records that are there get its default.
    AddField(FieldName),
    /// A field is put aside under another name.
    ArchiveField(FieldName),
    /// A field that was put aside comes back, with the values that it had.
    ReviveField {
        /// The field.
        field: FieldName,
        /// The column in which it was kept.
        column: Box<str>,
    },
    /// A field gets another name; its values stay where they are.
    RenameField {
        /// The name that it had.
        from: FieldName,
        /// The name that it gets.
        to: FieldName,
    },
    /// A field's values are written anew in another type, in another column. The old one is put aside.
    Convert(FieldName),
    /// Records without the field get its default.
    Fill(FieldName),
    /// A field becomes required.
    Require(FieldName),
    /// A field is required no longer.
    Release(FieldName),
    /// A field's text is kept folded too, for searches.
    AddSearch(FieldName),
    /// It is not any longer.
    DropSearch(FieldName),
    /// A field is described otherwise: limits, indexes, a type that is stored alike. The table keeps its columns.
    ChangeField(FieldName),
    /// Labels and the like, which no table depends on.
    Describe,
}

/// What a check looks for in a field of live records.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// Records without it.
    Absent(FieldName),
    /// Records that share a value.
    Duplicate(FieldName),
    /// References to no live record, once the field refers to what the step says.
    Dangling(FieldName),
    /// Values that a field like this would not take.
    Fits(Box<Field>),
    /// Values that cannot be written in the type of a field like this.
    Converts {
        /// As it is.
        from: Box<Field>,
        /// As it will be.
        to: Box<Field>,
    },
    /// Documents with something that no declared field takes.
    Declares(Box<EntitySchema>),
}

impl Check {
    /// The field that it looks at; `None` for documents.
    #[must_use]
    pub fn field(&self) -> Option<&FieldName> {
        match self {
            Self::Absent(field) | Self::Duplicate(field) | Self::Dangling(field) => Some(field),
            Self::Fits(field) => Some(&field.name),
            Self::Converts { from, .. } => Some(&from.name),
            Self::Declares(_) => None,
        }
    }

    /// What is wrong with one value, where that takes no look at others.
    #[must_use]
    pub fn judge(&self, value: &Value) -> Option<String> {
        match self {
            Self::Absent(_) => value.is_null().then(|| "is absent".to_owned()),
            Self::Duplicate(_) | Self::Dangling(_) => None,
            Self::Fits(field) if value.is_null() || convert::retype(field, value).is_ok() => None,
            Self::Fits(field) => convert::retype(field, value).err(),
            Self::Converts { from, to } => convert(from, to, value).err(),
            Self::Declares(schema) => convert::undeclared(schema, value),
        }
    }
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The entity.
    pub entity: EntityRef,
    /// What changes.
    pub action: Action,
    /// What that may do to data.
    pub class: Class,
    /// The entity before it; `None` when there is none yet.
    pub before: Option<EntitySchema>,
    /// The entity after it; `None` when there is none any longer.
    pub after: Option<EntitySchema>,
    /// What must not be found for it to be made. In a destructive step that cannot be refused for it, what will be lost.
    pub checks: Vec<Check>,
}

impl Step {
    /// The field that changes.
    #[must_use]
    pub fn field(&self) -> Option<&FieldName> {
        match &self.action {
            Action::CreateEntity
            | Action::ArchiveEntity
            | Action::ReviveEntity { .. }
            | Action::Declare
            | Action::Describe => None,
            Action::AddField(field)
            | Action::ArchiveField(field)
            | Action::ReviveField { field, .. }
            | Action::RenameField { to: field, .. }
            | Action::Convert(field)
            | Action::Fill(field)
            | Action::Require(field)
            | Action::Release(field)
            | Action::AddSearch(field)
            | Action::DropSearch(field)
            | Action::ChangeField(field) => Some(field),
        }
    }

    /// What changes, as it is named to consent: `inventory.item`, `inventory.item.category`.
    #[must_use]
    pub fn subject(&self) -> String {
        match self.field() {
            Some(field) => format!("{}.{field}", self.entity),
            None => self.entity.to_string(),
        }
    }

    /// The changing field before the step and after it.
    #[must_use]
    pub fn fields(&self) -> (Option<&Field>, Option<&Field>) {
        let (old, new) = match &self.action {
            Action::RenameField { from, to } => (Some(from), Some(to)),
            _ => (self.field(), self.field()),
        };
        let find = |schema: &'_ Option<EntitySchema>, name: Option<&FieldName>| {
            schema.as_ref()?.position(name?.as_str())
        };
        let before = find(&self.before, old).and_then(|at| self.before.as_ref()?.fields().get(at));
        let after = find(&self.after, new).and_then(|at| self.after.as_ref()?.fields().get(at));
        (before, after)
    }

    /// Whether records are written, a batch at a time.
    #[must_use]
    pub fn moves_records(&self) -> bool {
        matches!(self.action, Action::Convert(_) | Action::Fill(_) | Action::AddSearch(_) | Action::Declare)
    }

    /// Whether what the checks find keeps the step from being made. A destructive one was consented to: what does not
    /// fit is lost from sight with the rest.
    #[must_use]
    pub fn is_refused_by_checks(&self) -> bool {
        self.class == Class::Checked
    }

    /// What a step that moves records writes into one, given what it reads: of a declaration every field's value in the
    /// order of the schema and then the folds of the searchable ones, of any other step one value.
    #[must_use]
    pub fn moved(&self, old: &Value) -> Vec<Value> {
        convert::moved(self, old)
    }
}

/// What was put aside and can still be had back.
#[derive(Clone, Debug, PartialEq)]
pub struct Archived {
    /// The entity that it is or was of.
    pub entity: EntityRef,
    /// The field; `None` for the whole entity, or for the documents that it had before it was declared.
    pub field: Option<FieldName>,
    /// The table that has it: the entity's, or the one that the entity itself was put aside in later. Of a whole entity
    /// the table that it was.
    pub table: String,
    /// The name under which it is kept: of the column, or of the table.
    pub kept_as: String,
    /// The entity as it was, or the field alone in an entity of its name.
    pub definition: EntitySchema,
    /// The last version of the plugin that had it; `None` before one was noted.
    pub version: Option<semver::Version>,
}

impl Archived {
    /// Whether it is a whole table.
    #[must_use]
    pub fn is_entity(&self) -> bool {
        // A column has what was put aside of it behind its own name, which is no table's.
        self.field.is_none() && self.kept_as.starts_with(&format!("{}__old", self.table))
    }

    /// The field as it was.
    #[must_use]
    pub fn archived_field(&self) -> Option<&Field> {
        self.definition.field(self.field.as_ref()?.as_str())
    }
}

/// A record that keeps a step from being made, or that loses something by it.
#[derive(Clone, Debug, PartialEq)]
pub struct Offence {
    /// The record.
    pub id: RecordId,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = self.fields();
        match &self.action {
            Action::CreateEntity => f.write_str("new entity"),
            Action::ArchiveEntity => f.write_str("entity removed"),
            Action::ReviveEntity { .. } => f.write_str("entity comes back as it was, with its records"),
            Action::Declare => f.write_str("documents become fields"),
            Action::AddField(_) => write!(f, "new field, {}", shown(after)),
            Action::ArchiveField(_) => write!(f, "field removed, {}", shown(before)),
            Action::ReviveField { .. } => write!(f, "field comes back with its values, {}", shown(after)),
            Action::RenameField { from, .. } => write!(f, "renamed from {from}"),
            Action::Convert(_) => write!(f, "{} → {}", shown(before), shown(after)),
            Action::Fill(_) => f.write_str("absent values get the default"),
            Action::Require(_) => f.write_str("required"),
            Action::Release(_) => f.write_str("no longer required"),
            Action::AddSearch(_) => f.write_str("searchable"),
            Action::DropSearch(_) => f.write_str("no longer searchable"),
            Action::ChangeField(_) => f.write_str(&changes(before, after)),
            Action::Describe => f.write_str("labels and order"),
        }
    }
}

fn shown(field: Option<&Field>) -> String {
    field.map(|field| type_text(&field.field_type)).unwrap_or_default()
}

/// A type with what belongs to it: `decimal(12,2)`.
fn type_text(field_type: &FieldType) -> String {
    match field_type {
        FieldType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        FieldType::Reference { target, .. } => format!("reference to {target}"),
        FieldType::Enum { options } => format!("enum of {}", options.join(", ")),
        FieldType::NumberSeries { pattern } => format!("number-series {}", pattern.as_str()),
        other => other.as_str().to_owned(),
    }
}

/// What of a field changes, from what to what.
fn changes(before: Option<&Field>, after: Option<&Field>) -> String {
    let (Some(before), Some(after)) = (before, after) else { return "changed".to_owned() };
    let mut texts = Vec::new();
    let mut differs = |name: &str, old: String, new: String| {
        if old != new {
            texts.push(if name.is_empty() {
                format!("{old} → {new}")
            } else {
                format!("{name} {old} → {new}")
            });
        }
    };
    differs("", type_text(&before.field_type), type_text(&after.field_type));
    differs("unique", before.unique.to_string(), after.unique.to_string());
    differs("indexed", before.has_index().to_string(), after.has_index().to_string());
    let length =
        |field: &Field| field.max_length.map_or_else(|| "any".to_owned(), |length| length.to_string());
    differs("max-length", length(before), length(after));
    let bound = |field: &Field, value: &Option<Value>| {
        value.as_ref().map_or_else(|| "none".to_owned(), |value| crate::check::show(&field.field_type, value))
    };
    differs("min", bound(before, &before.min), bound(after, &after.min));
    differs("max", bound(before, &before.max), bound(after, &after.max));
    let pattern =
        |field: &Field| field.pattern.as_ref().map_or("none", |pattern| pattern.as_str()).to_owned();
    differs("pattern", pattern(before), pattern(after));
    if texts.is_empty() { "described otherwise".to_owned() } else { texts.join("; ") }
}
