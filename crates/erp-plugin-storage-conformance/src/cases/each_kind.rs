//! Every kind of step, with data in place: stopped wherever it can be, and made by two at once.

use std::sync::Arc;

use erp_plugin_model::{EntitySchema, Field, FieldType, RecordId, TenantId, Value};
use erp_plugin_storage::{Altered, ErrorKind, Storage, StorageError, evolve};

use super::evolution::{create_tenants, row, steps, stored};
use crate::fixture::{ALPHA, declare, given, schema, seen, unique};
use crate::intercept::Intercepted;
use crate::kinds::{Kind, kinds};
use crate::stopped::StopsAt;

/// An entity with records that is to become another.
struct Case {
    wanted: EntitySchema,
    ids: Vec<RecordId>,
    expected: Vec<Value>,
}

impl Case {
    async fn new(storage: &Arc<dyn Storage>, name: &str, (before, values, after, expected): Kind) -> Self {
        let with_a =
            |fields: Vec<Field>| [unique("a", FieldType::String)].into_iter().chain(fields).collect();
        let old = declare(storage, name, with_a(before)).await;
        let ids = given(storage, ALPHA, &old, (0..3).map(|index| row(index, values.get(index)))).await;
        Self { wanted: schema(name, with_a(after)), ids, expected }
    }

    /// Plans again and again until nothing is left; whoever is stopped says so.
    async fn evolve(&self, storage: &Arc<dyn Storage>, tenants: &[TenantId]) -> Result<(), StorageError> {
        loop {
            let steps = steps(storage, std::slice::from_ref(&self.wanted)).await;
            if steps.is_empty() {
                return Ok(());
            }
            for step in steps {
                match evolve::make(&**storage, &step, tenants).await {
                    Ok(Altered::Done) => {}
                    // Somebody else was first.
                    Ok(Altered::Elsewhere) => break,
                    Err(error) if error.kind == ErrorKind::SchemaChanged => break,
                    Ok(Altered::DoesNotFit) => panic!("{} {step} fits", step.subject()),
                    Err(error) => return Err(error),
                }
            }
        }
    }

    async fn check(&self, storage: &Arc<dyn Storage>, how: &str) {
        let entity = stored(storage, &self.wanted).await;
        for (index, id) in self.ids.iter().enumerate() {
            let found = seen(storage, ALPHA, &entity, *id).await.unwrap();
            assert_eq!(found.values, row(index, self.expected.get(index)), "{how}: {index}");
        }
    }
}

pub async fn each_kind_of_step_is_gone_on_with_wherever_it_was_stopped(storage: Arc<dyn Storage>) {
    let tenants = create_tenants(&storage).await;
    let mut stopped = 0;
    for number in 0..kinds().len() {
        for stop in 0.. {
            let name = format!("suite.item{number}_{stop}");
            let case = Case::new(&storage, &name, kinds().swap_remove(number)).await;
            let stopping: Arc<dyn Storage> =
                Arc::new(Intercepted::new(Arc::clone(&storage), Arc::new(StopsAt::after(stop))));
            let ended = case.evolve(&stopping, &tenants).await;
            case.evolve(&storage, &tenants).await.unwrap();
            case.check(&storage, &format!("{number} stopped at {stop}")).await;
            if ended.is_ok() {
                break;
            }
            stopped += 1;
        }
    }
    assert!(stopped >= kinds().len(), "{stopped} times stopped");
}

pub async fn each_kind_of_step_is_made_by_two_at_once(storage: Arc<dyn Storage>) {
    let tenants = create_tenants(&storage).await;
    for number in 0..kinds().len() {
        let name = format!("suite.item{number}");
        let case = Case::new(&storage, &name, kinds().swap_remove(number)).await;
        let both = tokio::join!(case.evolve(&storage, &tenants), case.evolve(&storage, &tenants));
        both.0.unwrap();
        both.1.unwrap();
        case.check(&storage, &format!("{number} by two")).await;
    }
}
