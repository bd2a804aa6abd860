//! How a component becomes an installed plugin.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use erp_plugin_model::manifest::{Capabilities, DEFAULT_MAX_SIZE, MAX_MAX_SIZE};
use erp_plugin_model::schema::FieldType;
use erp_plugin_model::{EntityRef, EntitySchema, ErrorCode, HostError, Manifest, PluginName, TenantId};
use erp_plugin_runtime::{Export, LoadError, Loader, validate};
use erp_plugin_storage::{ErrorKind, PluginVersion, StorageError};
use sha2::{Digest as _, Sha256};

use crate::catalog::Installed;
use crate::error::{HostFailure, HostResult};
use crate::host::{Inner, PluginSummary};

/// The names that stand for the host and the platform in events, permissions and records.
const RESERVED_NAMES: [&str; 3] = ["core", "system", "plugin"];

/// The tenant in which an installation tries `init`. It has no records and never will.
pub(crate) const TRIAL_TENANT: &str = "installation-trial";

/// How a component is to be installed.
#[derive(Clone, Debug, Default)]
pub struct InstallOptions {
    /// The name of a component without a manifest. One with a manifest has its name there.
    pub name: Option<PluginName>,
    /// What is granted of what the manifest asks for. `None` grants all of it.
    pub granted: Option<Capabilities>,
}

/// How the keeping of an installation ended.
enum Kept {
    New,
    /// Another process on the same database was first.
    InstalledElsewhere,
    /// The entity's table is another's.
    OthersTable(EntityRef),
}

impl Inner {
    pub(crate) async fn install(
        &self,
        component: Arc<[u8]>,
        options: InstallOptions,
    ) -> HostResult<PluginSummary> {
        let _one_at_a_time = self.installing.lock().await;
        let manifest = read_manifest(&component)?;
        let now = self.services.clock.now();
        let record = version(&component, manifest.as_ref(), &options, self.bare_components, now)?;
        if let Some(present) = self.catalog.get(&record.name) {
            return self.already_there(&present, &record);
        }
        if let Some(manifest) = &manifest {
            self.check_references(manifest)?;
        }

        let loaded = self.loader.load(&component, &record.component, max_size(manifest.as_ref())).await?;
        let granted = Capabilities::from_json(&record.granted, &record.name)?;
        let plugin = Installed { loaded: loaded.into(), ..Installed::new(record, manifest, granted, []) };
        let plugin = Arc::new(plugin);
        self.try_init(&plugin).await?;

        match self.keep(&plugin, &component).await? {
            Kept::New => {}
            Kept::InstalledElsewhere => {
                self.read_catalog().await?;
                let present = self.catalog.get(&plugin.record.name);
                let present = present.ok_or_else(|| StorageError::new(ErrorKind::Busy, "install"))?;
                return self.already_there(&present, &plugin.record);
            }
            Kept::OthersTable(entity) => {
                return Err(HostError::new(
                    ErrorCode::AlreadyExists,
                    format!("a table for {entity} was made from another schema; rename the entity"),
                )
                .into());
            }
        }
        self.catalog.learn(Arc::clone(&plugin));
        self.activations.forget_all();
        Ok(self.summary(&plugin))
    }

    /// Reads what is installed: when the host starts, and when it is asked for a plugin that another process may have
    /// installed since. Nothing is compiled yet.
    pub(crate) async fn read_catalog(&self) -> HostResult<()> {
        let mut platform = self.look_at_platform().await?;
        for record in platform.versions().await? {
            let manifest = record.manifest.as_deref().map(Manifest::from_json).transpose()?;
            let granted = Capabilities::from_json(&record.granted, &record.name)?;
            let dynamic = platform.dynamic_entities(&record.name).await?;
            self.catalog.learn(Arc::new(Installed::new(record, manifest, granted, dynamic)));
        }
        Ok(platform.rollback().await?)
    }

    fn already_there(&self, present: &Installed, record: &PluginVersion) -> HostResult<PluginSummary> {
        if present.record.component == record.component && present.record.granted == record.granted {
            return Ok(self.summary(present));
        }
        let (name, own, new) = (&record.name, &present.record.version, &record.version);
        let message = if present.record.component == record.component {
            format!(
                "{name} {own} is installed with other rights; this release cannot change them while it is"
            )
        } else if own == new {
            format!(
                "{name} {own} is installed with other bytes, and a version never changes; this release cannot replace it"
            )
        } else {
            format!("{name} {own} is installed; this release cannot replace it by {new} while it is")
        };
        Err(HostError::new(ErrorCode::AlreadyExists, message).into())
    }

    /// Every entity that is referred to must be there.
    fn check_references(&self, manifest: &Manifest) -> Result<(), HostError> {
        let exists = |target: &EntityRef| {
            manifest.entities.iter().any(|entity| entity.name == *target)
                || self.catalog.get(&target.plugin).is_some_and(|plugin| plugin.entities.contains_key(target))
        };
        let fields = manifest
            .entities
            .iter()
            .flat_map(|entity| entity.fields().iter().map(move |field| (entity, field)));
        for (entity, field) in fields {
            if let FieldType::Reference { target, .. } = &field.field_type
                && !exists(target)
            {
                return Err(HostError::invalid(format!(
                    "field \"{}\" of {} refers to {target}, which is not installed; install {} first",
                    field.name, entity.name, target.plugin
                )));
            }
        }
        Ok(())
    }

    /// Calls `init` in a tenant that does not exist, and rolls everything back.
    async fn try_init(&self, plugin: &Arc<Installed>) -> HostResult<()> {
        let nobody = TenantId::parse(TRIAL_TENANT)?;
        let schemas: Vec<EntitySchema> =
            plugin.entities.values().map(|entity| entity.schema().clone()).collect();
        match self.trial(&nobody, plugin, schemas, Export::Init).await? {
            Ok(()) => Ok(()),
            Err(error) => {
                Err(HostFailure::Lifecycle { plugin: plugin.name().to_string(), export: "init", error })
            }
        }
    }

    /// Keeps component, version and tables in one transaction.
    async fn keep(&self, plugin: &Installed, component: &[u8]) -> HostResult<Kept> {
        let mut platform = self.begin_installation().await?;
        let mut schemas: Vec<_> = plugin.entities.values().map(|entity| entity.schema()).collect();
        schemas.sort_by(|a, b| a.name.cmp(&b.name));
        for schema in schemas {
            if !platform.create_entity(schema).await? {
                platform.rollback().await?;
                return Ok(Kept::OthersTable(schema.name.clone()));
            }
        }
        platform.put_component(&plugin.record.component, component).await?;
        if !platform.add_version(&plugin.record).await? {
            platform.rollback().await?;
            return Ok(Kept::InstalledElsewhere);
        }
        platform.commit().await?;
        Ok(Kept::New)
    }
}

/// Everything that an installation looks at in the component alone; nothing of it is run or kept.
pub(crate) async fn judge(
    loader: &Loader,
    component: &Arc<[u8]>,
    options: &InstallOptions,
    bare_components: bool,
    now: DateTime<Utc>,
) -> HostResult<()> {
    let manifest = read_manifest(component)?;
    let version = version(component, manifest.as_ref(), options, bare_components, now)?;
    loader.load(component, &version.component, max_size(manifest.as_ref())).await?;
    Ok(())
}

/// What is kept of a component that may be installed.
fn version(
    component: &[u8],
    manifest: Option<&Manifest>,
    options: &InstallOptions,
    bare_components: bool,
    now: DateTime<Utc>,
) -> HostResult<PluginVersion> {
    let (name, version, asked) = match (manifest, &options.name) {
        (Some(manifest), Some(name)) if manifest.name != *name => {
            return Err(HostError::invalid(format!(
                "the manifest says that this is {}, not {name}; leave the name out",
                manifest.name
            ))
            .into());
        }
        (Some(manifest), _) => {
            (manifest.name.clone(), manifest.version.clone(), manifest.capabilities.clone())
        }
        (None, _) if !bare_components => {
            return Err(HostError::denied(
                "this component has no manifest, and this host takes none without; add a plugin.toml and build \
                 it again",
            )
            .into());
        }
        (None, Some(name)) => {
            let capabilities = Capabilities { dynamic_entities: true, ..Capabilities::default() };
            (name.clone(), semver::Version::new(0, 0, 0), capabilities)
        }
        (None, None) => {
            return Err(HostError::invalid(
                "this component has no manifest and no name was given; name it, or add a plugin.toml and build \
                 it again",
            )
            .into());
        }
    };
    if RESERVED_NAMES.contains(&name.as_str()) {
        return Err(
            HostError::invalid(format!("the name {name} is the platform's own; choose another")).into()
        );
    }
    Ok(PluginVersion {
        name,
        version,
        component: Sha256::digest(component).into(),
        manifest: manifest.map(Manifest::to_canonical_json),
        granted: granted(&asked, options.granted.as_ref())?.to_json(),
        installed_at: now,
    })
}

/// The manifest that a component carries, if it has one.
fn read_manifest(component: &[u8]) -> HostResult<Option<Manifest>> {
    if component.len() as u64 > MAX_MAX_SIZE {
        return Err(LoadError::TooLarge { size: component.len() as u64, allowed: MAX_MAX_SIZE }.into());
    }
    Ok(validate::manifest_section(component)?.map(Manifest::from_json).transpose()?)
}

fn max_size(manifest: Option<&Manifest>) -> u64 {
    manifest.map_or(DEFAULT_MAX_SIZE, |manifest| manifest.max_size)
}

/// What is granted of what is asked for: never more.
fn granted(asked: &Capabilities, wanted: Option<&Capabilities>) -> Result<Capabilities, HostError> {
    let Some(wanted) = wanted else { return Ok(asked.clone()) };
    let more = wanted.entities.iter().any(|grant| !asked.entities.contains(grant))
        || wanted.events_publish.iter().any(|pattern| !asked.events_publish.contains(pattern))
        || wanted.system_config.iter().any(|key| !asked.system_config.contains(key))
        || (wanted.dynamic_entities && !asked.dynamic_entities);
    if more {
        return Err(HostError::invalid(
            "more would be granted than the manifest asks for; grant a part of it",
        ));
    }
    Ok(wanted.clone())
}
