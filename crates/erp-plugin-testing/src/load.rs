//! From bytes to a plugin that can be called.

use std::sync::Arc;
use std::time::{Duration, Instant};

use erp_plugin_host_api::{NoHooks, Services};
use erp_plugin_model::manifest::DEFAULT_MAX_SIZE;
use erp_plugin_model::{EntitySchema, FieldType, Limits, Manifest};
use erp_plugin_runtime::validate;
use erp_plugin_storage::{Mode, PlatformScope, Storage, TransactionOptions};
use sha2::{Digest as _, Sha256};

use crate::database;
use crate::engine::TestEngine;
use crate::environment::{CountingIds, StandingClock};
use crate::error::LoadFailure;
use crate::instance::TestInstance;
use crate::plugin::TestPlugin;
use crate::rights::Rights;

/// How long the tables may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Loads a plugin on a database of its own, with so much fuel for each call. Nothing of it runs yet: a test calls
/// the exports that it is about.
pub async fn load_plugin(
    engine: &TestEngine,
    wasm_bytes: &[u8],
    fuel: u64,
) -> Result<(TestPlugin, TestInstance), LoadFailure> {
    let manifest = validate::manifest_section(wasm_bytes)?.map(Manifest::from_json).transpose()?;
    let max_size = manifest.as_ref().map_or(DEFAULT_MAX_SIZE, |manifest| manifest.max_size);
    if let Some(manifest) = &manifest {
        check_references(manifest)?;
    }
    let hash = Sha256::digest(wasm_bytes).into();
    let loaded = engine.loader.load(&wasm_bytes.into(), &hash, max_size).await?;

    let database = database::new(engine.server.as_deref()).await?;
    let schemas = manifest.as_ref().map(|manifest| manifest.entities.as_slice()).unwrap_or_default();
    make_tables(&*database.storage, schemas).await?;
    let clock = Arc::new(StandingClock::default());
    let services = Services {
        storage: database.storage,
        clock: Arc::<StandingClock>::clone(&clock),
        ids: Arc::new(CountingIds::default()),
        hooks: Arc::new(NoHooks),
    };
    let limits = Limits { fuel, ..limits(manifest.as_ref()) };
    let rights = Rights::of(manifest.as_ref());
    let jobs = manifest.map(|manifest| manifest.jobs).unwrap_or_default();
    let plugin = TestPlugin::new(loaded, services, clock, rights, limits, jobs, database.kept);
    Ok((plugin, TestInstance::new()))
}

fn check_references(manifest: &Manifest) -> Result<(), LoadFailure> {
    for entity in &manifest.entities {
        for field in entity.fields() {
            if let FieldType::Reference { target, .. } = &field.field_type
                && target.plugin != manifest.name
            {
                return Err(LoadFailure::NeedsAnother {
                    field: field.name.to_string(),
                    entity: entity.name.entity.to_string(),
                    target: target.to_string(),
                });
            }
        }
    }
    Ok(())
}

async fn make_tables(storage: &dyn Storage, schemas: &[EntitySchema]) -> Result<(), LoadFailure> {
    let options = TransactionOptions {
        mode: Mode::Migrate,
        deadline: Instant::now() + PATIENCE,
        writer_hold: PATIENCE,
    };
    let mut platform = storage.begin_platform(PlatformScope::granted_by_host(), options).await?;
    for schema in schemas {
        platform.create_entity(schema).await?;
    }
    Ok(platform.commit().await?)
}

fn limits(manifest: Option<&Manifest>) -> Limits {
    let mut limits = Limits::default();
    for (kind, value) in manifest.iter().flat_map(|manifest| &manifest.limits) {
        limits.set(*kind, *value);
    }
    limits
}
