//! Which fields refer to which entity, and what the deletion of a record means for them.
//!
//! Made once of every entity there is and shared by all callers, because a deletion has to follow the rules of plugins
//! that its caller does not know. The target of a reference can be a declared entity or a dynamic one; only declared
//! ones refer.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use erp_plugin_model::{EntityRef, Field, FieldType, OnDelete};
use erp_plugin_storage::Entity;

/// A field that refers to records of an entity.
#[derive(Clone, Debug)]
pub struct Referrer {
    /// The entity whose field it is.
    pub entity: Arc<Entity>,
    /// The field's position in its schema.
    pub position: usize,
    /// The rule.
    pub on_delete: OnDelete,
}

impl Referrer {
    pub(crate) fn field(&self) -> Option<&Field> {
        self.entity.schema().fields().get(self.position)
    }
}

/// The fields that refer to each entity.
#[derive(Debug, Default)]
pub struct References(HashMap<EntityRef, Vec<Referrer>>);

impl References {
    /// The references among these entities, each of which may be given more than once.
    #[must_use]
    pub fn new<'a>(entities: impl IntoIterator<Item = &'a Arc<Entity>>) -> Self {
        let mut seen = HashSet::new();
        let mut references: HashMap<EntityRef, Vec<Referrer>> = HashMap::new();
        for entity in entities {
            if !seen.insert(&entity.schema().name) {
                continue;
            }
            for (position, field) in entity.schema().fields().iter().enumerate() {
                if let FieldType::Reference { target, on_delete } = &field.field_type {
                    let referrer = Referrer { entity: Arc::clone(entity), position, on_delete: *on_delete };
                    references.entry(target.clone()).or_default().push(referrer);
                }
            }
        }
        // In an order that does not depend on how the entities came: what a deletion does is the same each time.
        for referrers in references.values_mut() {
            referrers.sort_by(|a, b| {
                let name = |referrer: &Referrer| referrer.entity.schema().name.clone();
                name(a).cmp(&name(b)).then(a.position.cmp(&b.position))
            });
        }
        Self(references)
    }

    /// The fields that refer to this entity.
    #[must_use]
    pub fn to(&self, entity: &EntityRef) -> &[Referrer] {
        self.0.get(entity).map_or(&[], Vec::as_slice)
    }
}
