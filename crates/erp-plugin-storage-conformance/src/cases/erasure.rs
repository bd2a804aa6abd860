//! A tenant that leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use erp_plugin_model::evolution::{Action, Step, plan};
use erp_plugin_model::filter::Filter;
use erp_plugin_model::usage::LogLevel;
use erp_plugin_model::{FieldType, Value};
use erp_plugin_storage::erase::{Erased, erase, erase_plugin};
use erp_plugin_storage::{
    ActivationState, Altered, DeadLetterFilter, ErrorKind, LogQuery, Mode, PlatformScope,
    PlatformTransaction, Storage, StorageError, StorageResult, TenantScope, TenantState, Transaction,
    TransactionOptions, evolve,
};

use crate::estate::{self, Estate};
use crate::fixture::{
    ALPHA, BETA, claim, declare, event, given, indexed, installation, matching, options, platform, plugin,
    publish, read, scope, subscribe, tenant, text, time, trial, work, write,
};
use crate::intercept::{Intercepted, Interceptor};

async fn erased(storage: &Arc<dyn Storage>, name: &str) -> Erased {
    erase(&**storage, &tenant(name), &mut |_| {}).await.unwrap()
}

/// How many rows each table has of a tenant: as many as could be erased, which is then undone.
async fn held(storage: &Arc<dyn Storage>, name: &str) -> Vec<(String, u64)> {
    let mut transaction = trial(storage, name).await;
    let mut held = Vec::new();
    for table in transaction.tenant_tables().await.unwrap() {
        let rows = transaction.erase(&table, 100_000).await.unwrap();
        if rows > 0 {
            held.push((table, rows));
        }
    }
    transaction.rollback(None).await.unwrap();
    held
}

/// How much the other traits say that a tenant has: each of them, whatever the tables are.
async fn seen(storage: &Arc<dyn Storage>, name: &str, estate: &Estate) -> Vec<usize> {
    let mut own = read(storage, name).await;
    let mut seen = Vec::new();
    let log = LogQuery { plugin: None, min_level: LogLevel::Trace, limit: 100 };
    for entity in [&estate.entities.code, &estate.entities.sample, &estate.entities.note] {
        seen.push(matching(&mut *own, entity, &Filter::All(Vec::new())).await.len());
    }
    seen.extend([
        own.config(&plugin("suite")).await.unwrap().len(),
        usize::from(own.activation(&plugin("suite")).await.unwrap().is_some()),
        own.roles().await.unwrap().len(),
        own.role_assignments().await.unwrap().len(),
        own.log(&log).await.unwrap().len(),
        own.usage().await.unwrap().len(),
        usize::try_from(own.event_count().await.unwrap()).unwrap(),
    ]);
    own.rollback(None).await.unwrap();
    seen
}

pub async fn nothing_of_a_tenant_is_left_and_everything_of_the_others(storage: Arc<dyn Storage>) {
    let estate = estate::fill_any(&storage).await;
    let before = (held(&storage, BETA).await, seen(&storage, BETA, &estate).await);
    let own = held(&storage, ALPHA).await;
    assert!(own.len() >= 14 && own.iter().any(|(_, rows)| *rows > 250), "{own:?}");
    assert!(seen(&storage, ALPHA, &estate).await.iter().all(|own| *own > 0));

    let receipt = erased(&storage, ALPHA).await;
    assert!(receipt.was_there);
    assert_eq!(receipt.rows.into_iter().collect::<Vec<_>>(), own);
    assert_eq!(held(&storage, ALPHA).await, []);
    let left = seen(&storage, ALPHA, &estate).await;
    assert!(left.iter().all(|own| *own == 0), "{left:?}");
    assert_eq!((held(&storage, BETA).await, seen(&storage, BETA, &estate).await), before);
    let mut platform = platform(&storage).await;
    assert_eq!(platform.tenants().await.unwrap(), [tenant(BETA)]);
    assert_eq!(platform.tenant_state(&tenant(BETA)).await.unwrap(), Some(TenantState::Active));
    let dead = platform.dead_letters(&DeadLetterFilter::default(), None, 100).await.unwrap();
    assert!(dead.iter().all(|letter| letter.delivery.tenant == tenant(BETA)));
    platform.rollback().await.unwrap();
    assert!(work(&storage).await.iter().all(|delivery| delivery.tenant == tenant(BETA)));

    // There is nothing to erase any more, and a tenant of that name begins anew.
    assert_eq!(erased(&storage, ALPHA).await, Erased::default());
    let mut own = self::platform(&storage).await;
    assert!(own.create_tenant(&tenant(ALPHA), time(0)).await.unwrap());
    assert_eq!(own.tenant_state(&tenant(ALPHA)).await.unwrap(), Some(TenantState::Active));
}

pub async fn what_was_put_aside_is_erased_too(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.item", vec![indexed("a", FieldType::String)]).await;
    for name in [ALPHA, BETA] {
        given(&storage, name, &entity, [vec![text("x")], vec![text("y")]]).await;
    }
    let steps = plan(std::slice::from_ref(entity.schema()), &[], &[]);
    let [step] = &steps[..] else { panic!("one step") };
    assert!(matches!(step, Step { action: Action::ArchiveEntity, .. }));
    assert_eq!(evolve::make(&*storage, step, &[]).await.unwrap(), Altered::Done);
    let mut own = installation(&storage).await;
    let archived = own.archived(&plugin("suite")).await.unwrap();
    own.rollback().await.unwrap();
    let kept = archived[0].kept_as.clone();
    let receipt = erased(&storage, ALPHA).await;
    assert_eq!(receipt.rows.into_iter().collect::<Vec<_>>(), [(kept.clone(), 2)]);
    assert_eq!(held(&storage, ALPHA).await, []);
    assert_eq!(held(&storage, BETA).await, [(kept, 2)]);
}

/// The rows of each of the system's tables that name a plugin.
const PLUGIN_TABLES: [&str; 9] = [
    "activations",
    "deliveries",
    "job_runs",
    "jobs",
    "number_series",
    "plugin_config",
    "record_history",
    "streams",
    "subscriptions",
];

pub async fn nothing_of_a_plugin_is_left_and_everything_of_the_others(storage: Arc<dyn Storage>) {
    estate::fill_any(&storage).await;
    // A plugin whose name begins alike.
    let state = |name| ActivationState {
        plugin: plugin(name),
        version: semver::Version::new(1, 0, 0),
        enabled: true,
        tenant_told: true,
        pinned: false,
        quarantine: None,
    };
    let mut own = write(&storage, ALPHA).await;
    own.set_activation(&state("suite-two"), &[]).await.unwrap();
    own.set_config(&plugin("suite-two"), "colour", Some("1")).await.unwrap();
    own.commit(None).await.unwrap();
    let (own, others) = (held(&storage, ALPHA).await, held(&storage, BETA).await);
    for table in PLUGIN_TABLES {
        assert!(own.iter().any(|(name, _)| name == table), "{table} has something");
    }

    let mut transaction = trial(&storage, ALPHA).await;
    for limit in [0, 2] {
        let erased = transaction.erase_plugin(&plugin("suite"), limit).await.unwrap();
        assert_eq!(erased, u64::from(limit));
    }
    transaction.rollback(None).await.unwrap();
    let erased = erase_plugin(&*storage, &plugin("suite"), &[tenant(ALPHA)]).await.unwrap();
    let left = held(&storage, ALPHA).await;
    let rows = |held: &[(String, u64)]| held.iter().map(|(_, rows)| rows).sum::<u64>();
    assert_eq!(rows(&own) - rows(&left), erased);
    let unchanged = |held: &[(String, u64)]| -> Vec<(String, u64)> {
        held.iter().filter(|(table, _)| !PLUGIN_TABLES.contains(&&**table)).cloned().collect()
    };
    assert_eq!(unchanged(&left), unchanged(&own), "what it did is still told");
    assert_eq!(held(&storage, BETA).await, others);
    let mut transaction = read(&storage, ALPHA).await;
    assert_eq!(transaction.activation(&plugin("suite")).await.unwrap(), None);
    assert_eq!(transaction.config(&plugin("suite")).await.unwrap(), []);
    assert_eq!(transaction.activation(&plugin("suite-two")).await.unwrap(), Some(state("suite-two")));
    assert_eq!(transaction.config(&plugin("suite-two")).await.unwrap().len(), 1);
    transaction.rollback(None).await.unwrap();
    assert_eq!(erase_plugin(&*storage, &plugin("suite"), &[tenant(ALPHA)]).await.unwrap(), 0);
    // Whatever was waiting for it is delivered to nobody, and the others' goes on.
    let delivered = work(&storage).await;
    assert!(delivered.iter().all(|own| own.tenant == tenant(BETA) || own.plugin != plugin("suite")));
    assert!(delivered.iter().any(|own| own.plugin != plugin("suite")), "{delivered:?}");
}

pub async fn a_batch_has_at_most_its_limit(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.item", vec![indexed("a", FieldType::Integer)]).await;
    for name in [ALPHA, BETA] {
        given(&storage, name, &entity, (0..5).map(|n| vec![Value::Integer(n)])).await;
    }
    let mut own = trial(&storage, ALPHA).await;
    let table = entity.schema().name.table();
    for (limit, expected) in [(0, 0), (2, 2), (2, 2), (2, 1), (2, 0)] {
        assert_eq!(own.erase(&table, limit).await.unwrap(), expected);
    }
    own.commit(None).await.unwrap();
    assert_eq!(held(&storage, BETA).await, [(table, 5)]);
}

pub async fn rows_are_erased_only_where_tables_may_be_made(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.item", vec![indexed("a", FieldType::Integer)]).await;
    given(&storage, ALPHA, &entity, [vec![Value::Integer(1)]]).await;
    let table = entity.schema().name.table();
    for mode in [Mode::Read, Mode::Write] {
        let mut own = storage.begin(&scope(ALPHA), options(mode)).await.unwrap();
        assert_eq!(own.erase(&table, 10).await.unwrap_err().kind, ErrorKind::Bug);
        drop(own);
        let mut own = storage.begin(&scope(ALPHA), options(mode)).await.unwrap();
        let refused = own.erase_plugin(&plugin("suite"), 10).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Bug);
    }
    for table in ["nowhere", "tenants\"; DROP TABLE tenants; --"] {
        let mut own = trial(&storage, ALPHA).await;
        assert_eq!(own.erase(table, 10).await.unwrap_err().kind, ErrorKind::Bug);
    }
    assert_eq!(held(&storage, ALPHA).await, [(table, 1)]);
}

pub async fn the_turn_goes_on_after_a_tenant_that_is_gone(storage: Arc<dyn Storage>) {
    let mut own = platform(&storage).await;
    for name in ["a", "b", "c"] {
        own.create_tenant(&tenant(name), time(0)).await.unwrap();
    }
    own.commit().await.unwrap();
    for name in ["a", "b", "c"] {
        subscribe(&storage, name, "sales", &["*"]).await;
        publish(&storage, name, &[event("order.created", "k", 0)]).await;
    }
    let mut own = platform(&storage).await;
    own.dispatch(10).await.unwrap();
    own.commit().await.unwrap();
    let turn = async || claim(&storage, 1).await.remove(0).tenant.to_string();
    assert_eq!((turn().await.as_str(), turn().await.as_str()), ("a", "b"));
    erased(&storage, "b").await;
    assert_eq!((turn().await.as_str(), turn().await.as_str()), ("c", "a"));
    erased(&storage, "a").await;
    assert_eq!(turn().await, "c");
}

/// Whoever uses it is killed: so many writing transactions begin, and no more.
struct Stops(AtomicU32);

impl Stops {
    fn count(&self, options: TransactionOptions) -> StorageResult<()> {
        if options.mode.writes()
            && self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err()
        {
            return Err(StorageError::new(ErrorKind::Unavailable, "begin"));
        }
        Ok(())
    }
}

#[async_trait]
impl Interceptor for Stops {
    async fn begin(
        &self,
        storage: &Arc<dyn Storage>,
        scope: &TenantScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn Transaction>> {
        self.count(options)?;
        storage.begin(scope, options).await
    }

    async fn begin_platform(
        &self,
        storage: &Arc<dyn Storage>,
        scope: PlatformScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn PlatformTransaction>> {
        self.count(options)?;
        storage.begin_platform(scope, options).await
    }
}

pub async fn an_erasure_that_is_stopped_anywhere_is_gone_on_with(storage: Arc<dyn Storage>) {
    estate::fill_any(&storage).await;
    subscribe(&storage, "gamma", "sales", &["*"]).await;
    let before = (held(&storage, BETA).await, held(&storage, "gamma").await);
    let all = held(&storage, ALPHA).await.iter().map(|(_, rows)| rows).sum::<u64>();
    let (mut stops, mut rows) = (0, 0);
    for writes in 0.. {
        let stopping = Intercepted::new(Arc::clone(&storage), Arc::new(Stops(AtomicU32::new(writes))));
        let mut count = |progress: erp_plugin_storage::erase::Progress| rows += progress.rows;
        match erase(&stopping, &tenant(ALPHA), &mut count).await {
            Ok(receipt) => {
                assert!(receipt.was_there);
                break;
            }
            Err(error) => assert_eq!(error.kind, ErrorKind::Unavailable),
        }
        stops += 1;
        // The tenant goes last, and is suspended from the first commit on.
        let state = platform(&storage).await.tenant_state(&tenant(ALPHA)).await.unwrap();
        let expected = if writes == 0 { TenantState::Active } else { TenantState::Suspended };
        assert_eq!(state, Some(expected));
        assert!(stops < 200);
    }
    assert!(stops > 10, "{stops}");
    assert_eq!(rows, all);
    assert_eq!(held(&storage, ALPHA).await, []);
    assert_eq!((held(&storage, BETA).await, held(&storage, "gamma").await), before);
}
