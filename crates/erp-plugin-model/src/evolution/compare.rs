//! From what a database has to what a manifest declares.
//!
//! The order within an entity: what gets another name, what goes, what comes, and then each field from its type over
//! its limits to what is asked of it, so that a check looks at the values as they will be.

use super::convert::Conversion;
use super::{Action, Archived, Check, Class, Step};
use crate::schema::{EntityKind, EntitySchema, Field};
use crate::value::Value;

/// The steps from the entities that there are, declared and dynamic, to the declared ones that are wanted. A dynamic
/// entity that nobody declares stays as it is.
///
/// An entity that was put aside comes back as it was, and so does a dynamic one. What is wanted beyond that is planned
/// when it is there: only then can its records be looked at.
#[must_use]
pub fn plan(found: &[EntitySchema], archived: &[Archived], wanted: &[EntitySchema]) -> Vec<Step> {
    let mut steps = revivals(found, archived, wanted);
    for schema in wanted {
        match found.iter().find(|own| own.name == schema.name) {
            None if steps.iter().any(|step| step.entity == schema.name) => {}
            None => steps.push(whole(Action::CreateEntity, schema)),
            Some(own) if own.kind == EntityKind::Dynamic => steps.push(declare(own, schema)),
            Some(own) => {
                let table = own.name.table();
                let of_entity = archived.iter().filter(|kept| kept.table == table && !kept.is_entity());
                Evolution { current: own.clone(), archived: of_entity.collect(), steps: &mut steps }
                    .run(schema);
            }
        }
    }
    for own in found.iter().filter(|own| !own.is_dynamic()) {
        if !wanted.iter().any(|schema| schema.name == own.name) {
            steps.push(whole(Action::ArchiveEntity, own));
        }
    }
    steps
}

/// The steps by which a plugin leaves: every entity is put aside, dynamic ones as well.
#[must_use]
pub fn leave(found: &[EntitySchema]) -> Vec<Step> {
    found.iter().map(|own| whole(Action::ArchiveEntity, own)).collect()
}

/// Of each entity that is not there what was put aside last, if it is wanted or dynamic.
fn revivals(found: &[EntitySchema], archived: &[Archived], wanted: &[EntitySchema]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for kept in archived.iter().rev().filter(|kept| kept.is_entity()) {
        let is_there = found.iter().any(|own| own.name == kept.entity);
        let is_wanted =
            kept.definition.is_dynamic() || wanted.iter().any(|schema| schema.name == kept.entity);
        if !is_there && is_wanted && steps.iter().all(|step| step.entity != kept.entity) {
            let action = Action::ReviveEntity { table: kept.kept_as.as_str().into() };
            steps.push(whole(action, &kept.definition));
        }
    }
    steps.reverse();
    steps
}

/// A step that is about an entity as a whole.
fn whole(action: Action, schema: &EntitySchema) -> Step {
    let goes = action == Action::ArchiveEntity;
    Step {
        entity: schema.name.clone(),
        action,
        class: if goes { Class::Destructive } else { Class::Safe },
        before: goes.then(|| schema.clone()),
        after: (!goes).then(|| schema.clone()),
        checks: Vec::new(),
    }
}

/// The document stays under another name, so that what no field takes is not lost; but a required field must be there.
fn declare(own: &EntitySchema, schema: &EntitySchema) -> Step {
    Step {
        entity: schema.name.clone(),
        action: Action::Declare,
        class: Class::Destructive,
        before: Some(own.clone()),
        after: Some(schema.clone()),
        checks: vec![Check::Declares(Box::new(schema.clone()))],
    }
}

struct Evolution<'a> {
    current: EntitySchema,
    archived: Vec<&'a Archived>,
    steps: &'a mut Vec<Step>,
}

impl Evolution<'_> {
    fn run(mut self, wanted: &EntitySchema) {
        self.rename(wanted);
        self.archive(wanted);
        for field in wanted.fields() {
            match self.current.field(field.name.as_str()).cloned() {
                None => self.add(field),
                Some(own) => self.retype(&own, field),
            }
            self.limit(field);
            self.search(field);
            self.require(field);
        }
        let wanted = wanted.in_columns_of(&self.current);
        if self.current != wanted {
            self.step(Action::Describe, Class::Safe, wanted, Vec::new());
        }
    }

    fn step(&mut self, action: Action, class: Class, after: EntitySchema, checks: Vec<Check>) {
        let before = std::mem::replace(&mut self.current, after.clone());
        self.steps.push(Step {
            entity: before.name.clone(),
            action,
            class,
            before: Some(before),
            after: Some(after),
            checks,
        });
    }

    /// The present schema with a field in the place of the one that has its name, or of none.
    fn with(&self, field: Field) -> EntitySchema {
        let mut fields = self.current.fields().to_vec();
        match fields.iter_mut().find(|own| own.name == field.name) {
            Some(own) => *own = field,
            None => fields.push(field),
        }
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        self.current.with_fields(fields)
    }

    fn rename(&mut self, wanted: &EntitySchema) {
        for field in wanted.fields() {
            if self.current.field(field.name.as_str()).is_some() {
                continue;
            }
            let forwards = field.renamed_from.as_ref().and_then(|old| self.current.field(old.as_str()));
            // The version before the renaming does not know what became of its field; what came after it does.
            let backwards = || {
                self.current.fields().iter().find(|own| {
                    own.renamed_from.as_ref() == Some(&field.name)
                        && wanted.field(own.name.as_str()).is_none()
                })
            };
            let Some(old) = forwards.or_else(backwards).cloned() else { continue };
            if wanted.field(old.name.as_str()).is_some() {
                continue;
            }
            let fields = self.current.fields().iter().map(|own| match own.name == old.name {
                true => Field {
                    name: field.name.clone(),
                    renamed_from: field.renamed_from.clone(),
                    column: (field.name.as_str() != own.column()).then(|| own.column().into()),
                    ..own.clone()
                },
                false => own.clone(),
            });
            let mut fields: Vec<_> = fields.collect();
            fields.sort_by(|a, b| a.name.cmp(&b.name));
            let mut after = self.current.with_fields(fields);
            if after.display.as_ref() == Some(&old.name) {
                after.display = Some(field.name.clone());
            }
            let action = Action::RenameField { from: old.name.clone(), to: field.name.clone() };
            self.step(action, Class::Safe, after, Vec::new());
        }
    }

    fn archive(&mut self, wanted: &EntitySchema) {
        for field in self.current.fields().to_vec() {
            if wanted.field(field.name.as_str()).is_none() {
                self.archive_field(&field);
            }
        }
    }

    fn archive_field(&mut self, field: &Field) {
        let fields = self.current.fields().iter().filter(|own| own.name != field.name).cloned().collect();
        let mut after = self.current.with_fields(fields);
        if after.display.as_ref() == Some(&field.name) {
            after.display = None;
        }
        self.step(Action::ArchiveField(field.name.clone()), Class::Destructive, after, Vec::new());
    }

    fn add(&mut self, field: &Field) {
        let kept = self.archived.iter().rev().find(|kept| {
            kept.archived_field()
                .is_some_and(|own| own.name == field.name && own.field_type == field.field_type)
        });
        let column = kept.map(|kept| kept.kept_as.clone());
        let bare = Field {
            required: false,
            unique: false,
            indexed: false,
            searchable: false,
            column: self.free_column(field.name.as_str()),
            ..field.clone()
        };
        match column {
            Some(column) => {
                let action = Action::ReviveField { field: field.name.clone(), column: column.into() };
                let fits = vec![Check::Fits(Box::new(field.clone()))];
                let after = self.with(bare);
                self.step(action, Class::Checked, after, fits);
            }
            None => {
                let after = self.with(bare);
                self.step(Action::AddField(field.name.clone()), Class::Safe, after, Vec::new());
            }
        }
    }

    /// A name for a column that no other has: `None` for the field's own.
    fn free_column(&self, name: &str) -> Option<Box<str>> {
        let taken = |column: &str| self.current.fields().iter().any(|field| field.column() == column);
        if !taken(name) {
            return None;
        }
        // No field's own name has two underscores.
        (2..).map(|number| format!("{name}__{number}")).find(|column| !taken(column)).map(Into::into)
    }

    fn retype(&mut self, own: &Field, field: &Field) {
        if own.field_type == field.field_type {
            return;
        }
        match Conversion::between(own, field) {
            // Changed with the limits.
            Conversion::Alike(_) => {}
            Conversion::None => {
                self.archive_field(own);
                self.add(field);
            }
            Conversion::Anew(class) => {
                let column = self.free_column(field.name.as_str());
                let to = Field {
                    required: false,
                    unique: false,
                    indexed: false,
                    searchable: false,
                    column,
                    ..field.clone()
                };
                let check = Check::Converts { from: Box::new(own.clone()), to: Box::new(field.clone()) };
                // Also a safe conversion can meet a limit that the new field has.
                let class = if class == Class::Safe && has_limits(field) { Class::Checked } else { class };
                let checks = if class == Class::Safe { Vec::new() } else { vec![check] };
                let after = self.with(to);
                self.step(Action::Convert(field.name.clone()), class, after, checks);
            }
        }
    }

    /// Type, limits and indexes.
    fn limit(&mut self, field: &Field) {
        let Some(own) = self.current.field(field.name.as_str()).cloned() else { return };
        let mut class = match Conversion::between(&own, field) {
            Conversion::Alike(class) => class,
            // Those are done by now.
            Conversion::Anew(_) | Conversion::None => Class::Safe,
        };
        let mut checks = Vec::new();
        if class == Class::Checked || is_tighter(&own, field) {
            checks.push(Check::Fits(Box::new(field.clone())));
        }
        if target(field) != target(&own) && target(field).is_some() {
            checks.push(Check::Dangling(field.name.clone()));
        }
        if field.unique && !own.unique {
            checks.push(Check::Duplicate(field.name.clone()));
        }
        if !checks.is_empty() {
            class = Class::Checked;
        }
        let changed = Field {
            // What takes steps of its own.
            required: own.required,
            searchable: own.searchable && field.searchable,
            renamed_from: own.renamed_from.clone(),
            column: own.column.clone(),
            label: own.label.clone(),
            ..field.clone()
        };
        if own.searchable && !field.searchable {
            let after = self.with(Field { searchable: false, ..own.clone() });
            self.step(Action::DropSearch(field.name.clone()), Class::Safe, after, Vec::new());
        }
        if self.current.field(field.name.as_str()) != Some(&changed) {
            let after = self.with(changed);
            self.step(Action::ChangeField(field.name.clone()), class, after, checks);
        }
    }

    fn search(&mut self, field: &Field) {
        let Some(own) = self.current.field(field.name.as_str()).cloned() else { return };
        if field.searchable && !own.searchable {
            let after = self.with(Field { searchable: true, ..own });
            self.step(Action::AddSearch(field.name.clone()), Class::Safe, after, Vec::new());
        }
    }

    fn require(&mut self, field: &Field) {
        let Some(own) = self.current.field(field.name.as_str()).cloned() else { return };
        match (own.required, field.required) {
            (true, false) => {
                let after = self.with(Field { required: false, ..own });
                self.step(Action::Release(field.name.clone()), Class::Safe, after, Vec::new());
            }
            // A default of a unique field is one record's at most.
            (false, true) if field.default.is_null() || field.unique => {
                let after = self.with(Field { required: true, ..own });
                let checks = vec![Check::Absent(field.name.clone())];
                self.step(Action::Require(field.name.clone()), Class::Checked, after, checks);
            }
            (false, true) => {
                let filled = self.with(Field { default: field.default.clone(), ..own.clone() });
                self.step(Action::Fill(field.name.clone()), Class::Safe, filled, Vec::new());
                let after = self.with(Field { required: true, default: field.default.clone(), ..own });
                self.step(Action::Require(field.name.clone()), Class::Safe, after, Vec::new());
            }
            _ => {}
        }
    }
}

fn has_limits(field: &Field) -> bool {
    field.min.is_some() || field.max.is_some() || field.max_length.is_some() || field.pattern.is_some()
}

/// Whether a value that the one takes might be refused by the other, their types aside.
fn is_tighter(own: &Field, field: &Field) -> bool {
    let below = |new: &Option<Value>, old: &Option<Value>| match (new, old) {
        (Some(new), Some(old)) => crate::check::exceeds(new, old),
        (Some(_), None) => true,
        (None, _) => false,
    };
    below(&field.min, &own.min)
        || match (&field.max, &own.max) {
            (Some(new), Some(old)) => crate::check::exceeds(old, new),
            (Some(_), None) => true,
            (None, _) => false,
        }
        || field.max_length.is_some_and(|new| own.max_length.is_none_or(|old| new < old))
        || (field.pattern.is_some() && field.pattern != own.pattern)
}

fn target(field: &Field) -> Option<&crate::EntityRef> {
    match &field.field_type {
        crate::FieldType::Reference { target, .. } => Some(target),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
