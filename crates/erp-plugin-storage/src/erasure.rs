//! What takes everything of one tenant away, or of one plugin, for good, driven by [`erase`](crate::erase).

use async_trait::async_trait;

use erp_plugin_model::PluginName;

use crate::StorageResult;

/// The erasure of the transaction's tenant. Takes a transaction in [`Mode::Migrate`](crate::Mode::Migrate): what was put
/// aside by a plugin's update is nobody else's to touch.
#[async_trait]
pub trait Erasure: Send {
    /// Every table that can hold rows of tenants, by name, as the database's own catalog tells: entities, what was put
    /// aside of them, and the system's own. So none is forgotten that a later release makes.
    ///
    /// Held by `erasure::nothing_of_a_tenant_is_left_and_everything_of_the_others`,
    /// `erasure::what_was_put_aside_is_erased_too`.
    async fn tenant_tables(&mut self) -> StorageResult<Vec<String>>;

    /// Removes at most `limit` of this tenant's rows from one of these tables, and returns how many.
    ///
    /// Held by `erasure::nothing_of_a_tenant_is_left_and_everything_of_the_others`,
    /// `erasure::a_batch_has_at_most_its_limit`, `erasure::rows_are_erased_only_where_tables_may_be_made`.
    async fn erase(&mut self, table: &str, limit: u32) -> StorageResult<u64>;

    /// Removes at most `limit` rows that a plugin has in this tenant in the system's own tables, and returns how many:
    /// where it stands, subscriptions, configuration, deliveries and streams, jobs and their runs, number series, history of its
    /// entities. What
    /// it did stays where it is told of it: events, invocations, log.
    ///
    /// Held by `erasure::nothing_of_a_plugin_is_left_and_everything_of_the_others`,
    /// `erasure::rows_are_erased_only_where_tables_may_be_made`.
    async fn erase_plugin(&mut self, plugin: &PluginName, limit: u32) -> StorageResult<u64>;
}
