//! An entity as its caller may see and write it: without the fields that take a permission which the user lacks.
//!
//! Subject to it is whoever needs a permission for the entity itself: the platform's edge, and a plugin that acts on
//! another's entity for a user. A plugin on its own entities is not, nor is the system.
//!
//! Invariants:
//! - A field that may not be seen is in no answer, and no answer depends on it: to a filter, a sort or a figure it is
//!   unknown, and no error that it causes names it unless its caller has.
//! - It is decided when the entity's name is looked up. Where no field is withheld nothing is looked at again: not for
//!   a field, and not for a record.

use erp_plugin_model::{EntitySchema, Field, HostError, UserId};
use erp_plugin_storage::layout::FieldSet;

/// The fields of an entity that a user may not see, and those that they may not give a value.
#[derive(Clone, Debug)]
pub(crate) struct Withheld {
    who: UserId,
    unreadable: FieldSet,
    unwritable: FieldSet,
}

impl Withheld {
    /// What is withheld from somebody who has the permissions that `allows` knows; `None` when nothing is.
    pub(crate) fn from(who: &UserId, schema: &EntitySchema, allows: impl Fn(&str) -> bool) -> Option<Self> {
        let mut withheld =
            Self { who: who.clone(), unreadable: FieldSet::default(), unwritable: FieldSet::default() };
        let mut any = false;
        for (position, field) in schema.fields().iter().enumerate() {
            for (permission, set) in [
                (&field.read_permission, &mut withheld.unreadable),
                (&field.write_permission, &mut withheld.unwritable),
            ] {
                if permission.as_ref().is_some_and(|permission| !allows(permission.as_str())) {
                    any |= set.insert(position);
                }
            }
        }
        any.then_some(withheld)
    }

    /// Whether a field is in no answer.
    pub(crate) fn hides(&self, position: usize) -> bool {
        self.unreadable.contains(position)
    }
}

/// An entity's schema, as its caller may see and write it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) schema: &'a EntitySchema,
    pub(crate) withheld: Option<&'a Withheld>,
}

impl<'a> Seen<'a> {
    /// The position of a field that may be seen.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.schema.position(name).filter(|position| self.shows(*position))
    }

    /// The names of the fields that may be seen.
    pub(crate) fn names(&self) -> Vec<&'a str> {
        self.names_that(Self::shows)
    }

    /// The names of the fields that data may be given for, or that may be seen.
    pub(crate) fn names_in_data(&self) -> Vec<&'a str> {
        self.names_that(|seen, position| seen.shows(position) || !seen.locks(position))
    }

    fn names_that(&self, holds: impl Fn(&Self, usize) -> bool) -> Vec<&'a str> {
        let fields = self.schema.fields().iter().enumerate();
        fields.filter(|(position, _)| holds(self, *position)).map(|(_, field)| field.name.as_str()).collect()
    }

    /// Whether a field may be seen.
    pub(crate) fn shows(&self, position: usize) -> bool {
        self.withheld.is_none_or(|withheld| !withheld.hides(position))
    }

    /// Whether a field may not be given a value.
    fn locks(&self, position: usize) -> bool {
        self.withheld.is_some_and(|withheld| withheld.unwritable.contains(position))
    }

    /// Refuses a value for a field that takes a permission which its caller lacks. Nothing is said about the value, and
    /// it is refused as well when it is what the record has: to compare would be to tell.
    pub(crate) fn check_writable(&self, position: usize, field: &Field) -> Result<(), HostError> {
        let Some(withheld) = self.withheld.filter(|_| self.locks(position)) else { return Ok(()) };
        let permission = field.write_permission.as_ref().map_or("", |permission| permission.as_str());
        Err(HostError::denied(format!(
            "{} lacks the permission {permission} for the field \"{}\" of {}; leave it out, or let a role give it",
            withheld.who, field.name, self.schema.name
        )))
    }

    /// Who may not see a field; `None` when its caller may.
    pub(crate) fn hidden_from(&self, position: usize) -> Option<&'a UserId> {
        self.withheld.filter(|withheld| withheld.hides(position)).map(|withheld| &withheld.who)
    }
}
