//! Makes the steps of a plan: looks first, then alters, moves records in batches, and finishes.
//!
//! Works through the storage's traits alone, so that every backend evolves alike. Every batch is a commit of its own:
//! nobody waits for long, and whoever is stopped goes on from where it was.

use std::time::{Duration, Instant};

use erp_plugin_model::TenantId;
use erp_plugin_model::evolution::{Check, Offence, Step};

use crate::{
    Altered, Mode, PlatformScope, Storage, StorageError, StorageResult, TenantScope, Transaction,
    TransactionOptions, Which,
};

/// The records of one batch.
const BATCH: u32 = 500;
/// The values that are looked at at once.
const LOOK: u32 = 5_000;
/// How long one transaction may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a step waits for others' locks, again and again, before it gives up.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);
/// The pause before a lock is asked for again, so that those who wait behind it get their turn.
const PAUSE: Duration = Duration::from_millis(50);
/// How much may be noted when a step is finished: its writers wait while it is moved.
const FEW: u64 = 100;
/// How often what was noted is worked off before a step is finished in any case.
const ROUNDS: u32 = 20;

/// What a check found in one tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The tenant.
    pub tenant: TenantId,
    /// How many records.
    pub count: u64,
    /// The first of them.
    pub sample: Vec<Offence>,
}

/// Counts what a step's checks find in each tenant, and shows at most `shown` records of each.
pub async fn look(
    storage: &dyn Storage,
    step: &Step,
    tenants: &[TenantId],
    shown: u32,
) -> StorageResult<Vec<Found>> {
    let Some(before) = &step.before else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    if step.checks.is_empty() {
        return Ok(found);
    }
    for tenant in tenants {
        let mut own = Found { tenant: tenant.clone(), count: 0, sample: Vec::new() };
        for check in &step.checks {
            let mut transaction = tenant_transaction(storage, tenant).await?;
            match check {
                Check::Duplicate(_) | Check::Dangling(_) => {
                    // As it is stored, with the reference that it will be.
                    let schema = step.after.as_ref().unwrap_or(before);
                    let clashes = transaction.clashes(schema, check, shown).await?;
                    own.count += clashes.count;
                    let reason = match check {
                        Check::Duplicate(_) => "has a value that another record has too",
                        _ => "refers to no record",
                    };
                    let sample = clashes.sample.into_iter();
                    own.sample.extend(sample.map(|(id, _)| Offence { id, reason: reason.to_owned() }));
                }
                _ => judge(&mut *transaction, step, check, shown, &mut own).await?,
            }
            transaction.rollback(None).await?;
        }
        if own.count > 0 {
            own.sample.truncate(usize::try_from(shown).unwrap_or(usize::MAX));
            found.push(own);
        }
    }
    Ok(found)
}

async fn judge(
    transaction: &mut dyn Transaction,
    step: &Step,
    check: &Check,
    shown: u32,
    found: &mut Found,
) -> StorageResult<()> {
    let Some(before) = &step.before else { return Ok(()) };
    let mut after = None;
    loop {
        // What is only about to be revived is no field yet.
        let schema = match check.field() {
            Some(field) if before.field(field.as_str()).is_none() => return Ok(()),
            _ => before,
        };
        let values = transaction.values(schema, check.field(), after, LOOK).await?;
        let Some((last, _)) = values.last() else { return Ok(()) };
        after = Some(*last);
        for (id, value) in values {
            if let Some(reason) = check.judge(&value) {
                found.count += 1;
                if found.count <= u64::from(shown) {
                    found.sample.push(Offence { id, reason });
                }
            }
        }
    }
}

/// Makes a step, its records moved and all. Nobody looks: the caller has, and what was written since is refused by the
/// database itself where it can.
pub async fn make(storage: &dyn Storage, step: &Step, tenants: &[TenantId]) -> StorageResult<Altered> {
    match patiently(|deadline| storage.alter(PlatformScope::granted_by_host(), step, deadline)).await? {
        Altered::Done if step.moves_records() => {}
        ended => return Ok(ended),
    }
    for tenant in tenants {
        let mut last = None;
        loop {
            let moved = move_records(storage, step, tenant, Which::After(last)).await?;
            let Some(end) = moved.last else { break };
            last = Some(end);
        }
    }
    for _ in 0..ROUNDS {
        let mut noted = 0;
        for tenant in tenants {
            noted += move_records(storage, step, tenant, Which::Noted).await?.records;
        }
        if noted < FEW {
            break;
        }
    }
    patiently(|deadline| storage.finish(PlatformScope::granted_by_host(), step, deadline)).await
}

async fn move_records(
    storage: &dyn Storage,
    step: &Step,
    tenant: &TenantId,
    which: Which,
) -> StorageResult<crate::Moved> {
    let until = Instant::now() + LOCK_PATIENCE;
    loop {
        let batch = async {
            let mut transaction = tenant_transaction(storage, tenant).await?;
            let moved = transaction.move_records(step, which, BATCH).await?;
            transaction.commit(None).await?;
            Ok(moved)
        };
        match batch.await {
            Err(error) if retries(&error, until) => tokio::time::sleep(PAUSE).await,
            ended => return ended,
        }
    }
}

/// Again and again as long as somebody else is in the way.
async fn patiently<F: Future<Output = StorageResult<Altered>>>(
    mut work: impl FnMut(Instant) -> F,
) -> StorageResult<Altered> {
    let until = Instant::now() + LOCK_PATIENCE;
    loop {
        match work(Instant::now() + PATIENCE).await {
            Err(error) if retries(&error, until) => tokio::time::sleep(PAUSE).await,
            ended => return ended,
        }
    }
}

fn retries(error: &StorageError, until: Instant) -> bool {
    error.is_transient() && Instant::now() < until
}

async fn tenant_transaction(storage: &dyn Storage, tenant: &TenantId) -> StorageResult<Box<dyn Transaction>> {
    let scope = TenantScope::granted_by_host(tenant.clone());
    let options = TransactionOptions {
        mode: Mode::Migrate,
        deadline: Instant::now() + PATIENCE,
        writer_hold: PATIENCE,
    };
    storage.begin(&scope, options).await
}
