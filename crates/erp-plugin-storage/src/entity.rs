//! An entity as storage sees it: its schema, and whatever the backend has prepared for it.

use std::any::Any;
use std::fmt;
use std::sync::OnceLock;

use erp_plugin_model::EntitySchema;

/// An entity of one plugin version, shared by all its invocations. The backend keeps the statements that it built
/// for it in here: they live exactly as long as the schema that they were built from, and no map is searched.
pub struct Entity {
    schema: EntitySchema,
    prepared: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Entity {
    /// An entity with nothing prepared.
    #[must_use]
    pub fn new(schema: EntitySchema) -> Self {
        Self { schema, prepared: OnceLock::new() }
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &EntitySchema {
        &self.schema
    }

    /// What a backend prepared, made at the first call. `None` when another backend got there first, which is a
    /// fault of the composition: an entity serves one storage.
    pub fn prepared<T: Any + Send + Sync>(&self, prepare: impl FnOnce(&EntitySchema) -> T) -> Option<&T> {
        self.prepared.get_or_init(|| Box::new(prepare(&self.schema))).downcast_ref()
    }
}

impl fmt::Debug for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entity").field("name", &self.schema.name).finish_non_exhaustive()
    }
}
