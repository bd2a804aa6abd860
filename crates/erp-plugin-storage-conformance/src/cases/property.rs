//! Random operations of two tenants, and a plain model of what must come of them.
//!
//! At least ten thousand of them, in as many runs as that takes. `PROPTEST_CASES` and `PROPTEST_RNG_SEED` change how
//! many and which; by default they are the same each time. A failure is shrunk to the fewest and simplest operations
//! that still fail, and tells the seed that it came from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use erp_plugin_model::filter::{Column, Filter};
use erp_plugin_model::page::SortKey;
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::{Field, FieldType};
use erp_plugin_storage::{Entity, Storage};
use proptest::collection::vec;
use proptest::test_runner::{Config, RngSeed, TestRunner, contextualize_config};

use crate::fixture::{begin, declare, indexed, optional, reference, required, unique};
use crate::operations::{End, Operation, Turn, turn};
use crate::world::{Checked, Records, World, fault};

/// The least number of operations in all.
const OPERATIONS: u64 = 10_000;
/// The runs that have as many.
const RUNS: u32 = 520;

pub async fn random_operations_of_two_tenants_agree_with_the_model(storage: Arc<dyn Storage>) {
    let fields = vec![
        Field { searchable: true, ..unique("code", FieldType::String) },
        indexed("number", FieldType::Integer),
        required("flag", FieldType::Boolean),
        optional("parent", reference("suite.sample")),
    ];
    let entity = declare(&storage, "suite.sample", fields).await;
    let config = Config {
        cases: RUNS,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let config = contextualize_config(config);
    let (runs, seed) = (config.cases, config.rng_seed);
    let done = AtomicU64::new(0);
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&vec(turn(), 1..12), |turns| {
        tokio::task::block_in_place(|| {
            let operations = turns.iter().map(|turn| turn.operations.len() as u64).sum();
            done.fetch_add(operations, Ordering::Relaxed);
            tokio::runtime::Handle::current().block_on(run(&storage, &entity, &turns))
        })
    });
    if let Err(failure) = outcome {
        panic!("{failure}\nagain with PROPTEST_CASES={runs} and the seed of {seed:?} as PROPTEST_RNG_SEED");
    }
    let done = done.into_inner();
    assert!(runs < RUNS || done >= OPERATIONS, "{done} operations");
}

async fn run(storage: &Arc<dyn Storage>, entity: &Entity, turns: &[Turn]) -> Checked {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let tenants = [format!("one-{number}"), format!("two-{number}")];
    let mut committed = [Records::default(), Records::default()];
    let mut world = World { entity, ids: Vec::new() };
    for turn in turns {
        let tenant = usize::from(turn.second_tenant);
        let mut records = committed[tenant].clone();
        let mut transaction = begin(storage, &tenants[tenant]).await.map_err(fault)?;
        for operation in &turn.operations {
            world.check(&mut *transaction, &mut records, operation).await?;
        }
        match turn.end {
            End::Commit => {
                transaction.commit(None).await.map_err(fault)?;
                committed[tenant] = records;
            }
            End::Rollback => transaction.rollback(None).await.map_err(fault)?,
            End::Drop => drop(transaction),
        }
    }
    for (tenant, records) in tenants.iter().zip(&committed) {
        let mut transaction = begin(storage, tenant).await.map_err(fault)?;
        for id in world.ids.clone() {
            world.check_get(&mut *transaction, records, id).await?;
        }
        let all = Operation::Query {
            filter: Filter::everything(),
            sort: vec![SortKey { column: Column::System(SystemField::Id), descending: false }],
            limit: 3,
        };
        world.check(&mut *transaction, &mut records.clone(), &all).await?;
    }
    Ok(())
}
