//! Somebody who has a say in writes, and says no a number of times.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use erp_plugin::{ErrorCode, HookPoint, HookRunner, HookVerdict, HostError};
use erp_plugin_model::EntityRef;
use erp_plugin_storage::Transaction;

/// Refuses writes of one entity, as often as it was told to.
#[derive(Clone)]
pub struct Veto {
    entity: EntityRef,
    left: Arc<AtomicU32>,
}

impl Veto {
    /// Refuses nothing of this entity yet.
    #[must_use]
    pub fn of(entity: &str) -> Self {
        Self { entity: EntityRef::parse(entity).unwrap(), left: Arc::default() }
    }

    /// Refuses the next so many writes.
    pub fn the_next(&self, writes: u32) {
        self.left.store(writes, Ordering::SeqCst);
    }
}

#[async_trait]
impl HookRunner for Veto {
    fn listens(&self, entity: &EntityRef) -> bool {
        *entity == self.entity
    }

    async fn run(
        &self,
        _point: HookPoint<'_>,
        transaction: Box<dyn Transaction>,
    ) -> (Option<Box<dyn Transaction>>, HookVerdict) {
        let refused = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let verdict = match refused {
            Ok(_) => Err(HostError::new(ErrorCode::Rejected, "vetoed")),
            Err(_) => Ok(()),
        };
        (Some(transaction), verdict)
    }
}
