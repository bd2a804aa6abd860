//! Tables of entities.

use async_trait::async_trait;
use erp_plugin_model::{EntityRef, EntitySchema};

use crate::{Entity, StorageResult};

/// The most dynamic entities of one plugin.
pub const MAX_DYNAMIC_ENTITIES: u32 = 32;

/// How the making of a dynamic entity ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateDynamic {
    /// It is there, made now or before.
    Ready,
    /// The plugin has [`MAX_DYNAMIC_ENTITIES`] already.
    TooMany,
}

/// Makes and finds tables.
#[async_trait]
pub trait SchemaAdmin: Send {
    /// Makes the table of a declared entity, and returns whether it is now as the schema says: `false` when a table
    /// of that name was made from another schema, which is then left alone. Takes a transaction in
    /// [`Mode::Migrate`](crate::Mode::Migrate).
    ///
    /// Held by `schema::making_an_entity_again_changes_nothing`,
    /// `schema::an_entity_made_from_another_schema_is_left_alone`, `schema::what_no_table_depends_on_may_change`,
    /// `schema::tables_are_made_in_a_transaction_that_was_begun_to_make_them`,
    /// `schema::entities_of_one_name_in_two_plugins_are_two`, `dynamic::a_declared_entity_is_no_dynamic_one`.
    async fn create_entity(&mut self, schema: &EntitySchema) -> StorageResult<bool>;
}

/// What an invocation can do about tables.
#[async_trait]
pub trait DynamicEntities: Send {
    /// Makes the table of a dynamic entity unless it is there. On an embedded backend it is part of the transaction;
    /// on a server an empty table may outlive a rollback.
    ///
    /// Held by `dynamic::the_first_insert_makes_the_entity_in_its_own_transaction`,
    /// `dynamic::after_a_rollback_it_has_no_records`, `dynamic::a_plugin_has_a_limited_number_of_them`.
    async fn create_dynamic(&mut self, entity: &Entity) -> StorageResult<CreateDynamic>;

    /// Makes the table of a declared entity inside this transaction, for a trial that will be rolled back; returns
    /// what [`SchemaAdmin::create_entity`] would. Takes a transaction in [`Mode::Migrate`](crate::Mode::Migrate).
    ///
    /// Held by `schema::a_trial_leaves_nothing`,
    /// `schema::tables_are_made_in_a_transaction_that_was_begun_to_make_them`.
    async fn declare(&mut self, schema: &EntitySchema) -> StorageResult<bool>;

    /// Whether a dynamic entity's table is there.
    ///
    /// Held by `dynamic::the_first_insert_makes_the_entity_in_its_own_transaction`,
    /// `dynamic::a_declared_entity_is_no_dynamic_one`.
    async fn has_dynamic(&mut self, name: &EntityRef) -> StorageResult<bool>;
}
