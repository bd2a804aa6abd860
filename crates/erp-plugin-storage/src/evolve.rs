//! Makes the steps of a plan: looks first, then alters, moves records in batches, and finishes.
//!
//! Works through the storage's traits alone, so that every backend evolves alike. Every batch is a commit of its own:
//! nobody waits for long, and whoever is stopped goes on from where it was.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use erp_plugin_model::evolution::{Action, Check, Conversion, Offence, Step};
use erp_plugin_model::{EntitySchema, Field, TenantId};

use crate::{
    Altered, ErrorKind, Mode, PlatformScope, Storage, StorageError, StorageResult, TenantScope, Transaction,
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
    let stored = stored_columns(storage, before).await?;
    for tenant in tenants {
        let mut own = Found { tenant: tenant.clone(), count: 0, sample: Vec::new() };
        for check in &step.checks {
            let mut transaction = tenant_transaction(storage, tenant).await?;
            match check {
                Check::Duplicate(_) | Check::Dangling(_) => {
                    // As it is stored, with the reference that it will be.
                    let schema = step.after.as_ref().unwrap_or(before);
                    let field = check.field().and_then(|field| schema.field(field.as_str()));
                    if field.is_none_or(|field| !is_stored(&stored, field)) {
                        // An earlier step of the plan makes it. What it then holds, the step itself will find.
                        continue;
                    }
                    let clashes = transaction.clashes(schema, check, shown).await?;
                    own.count += clashes.count;
                    let reason = match check {
                        Check::Duplicate(_) => "has a value that another record has too",
                        _ => "refers to no record",
                    };
                    let sample = clashes.sample.into_iter();
                    own.sample.extend(sample.map(|(id, _)| Offence { id, reason: reason.to_owned() }));
                }
                _ => judge(&mut *transaction, step, check, &stored, shown, &mut own).await?,
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
    stored: &HashMap<String, Field>,
    shown: u32,
    found: &mut Found,
) -> StorageResult<()> {
    let Some(before) = &step.before else { return Ok(()) };
    let mut schema = before.clone();
    if let (Action::ReviveField { column, .. }, (_, Some(field))) = (&step.action, step.fields()) {
        // It is no field yet, and lies where it was put aside.
        let field = Field { column: Some(column.clone()), ..field.clone() };
        schema = before.with_fields(before.fields().iter().cloned().chain([field]).collect());
    }
    let mut field = check.field();
    let is_revived = matches!(step.action, Action::ReviveField { .. });
    let own = field.and_then(|name| schema.field(name.as_str()));
    if !is_revived && field.is_some() && own.is_none_or(|own| !is_stored(stored, own)) {
        // An earlier step of the plan makes it, and every record will be without it; whatever else it then holds, the
        // step itself will find.
        if !matches!(check, Check::Absent(_)) {
            return Ok(());
        }
        field = None;
    }
    let mut after = None;
    loop {
        let values = transaction.values(&schema, field, after, LOOK).await?;
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
    // Whoever altered the table meanwhile has made this step, or another: that takes another plan.
    error.is_transient() && error.kind != ErrorKind::SchemaChanged && Instant::now() < until
}

/// The columns of an entity's fields, as its table has them now: a plan's later steps begin with others.
async fn stored_columns(
    storage: &dyn Storage,
    schema: &EntitySchema,
) -> StorageResult<HashMap<String, Field>> {
    let options =
        TransactionOptions { mode: Mode::Read, deadline: Instant::now() + PATIENCE, writer_hold: PATIENCE };
    let mut platform = storage.begin_platform(PlatformScope::granted_by_host(), options).await?;
    let entities = platform.entities(&schema.name.plugin).await?;
    platform.rollback().await?;
    let own = entities.iter().find(|own| own.name == schema.name);
    let fields = own.into_iter().flat_map(EntitySchema::fields);
    Ok(fields.map(|field| (field.column().to_owned(), field.clone())).collect())
}

/// Whether a field's column is there, and has the values that the field will have.
fn is_stored(stored: &HashMap<String, Field>, field: &Field) -> bool {
    stored
        .get(field.column())
        .is_some_and(|own| matches!(Conversion::between(own, field), Conversion::Alike(_)))
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
