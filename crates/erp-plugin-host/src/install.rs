//! How a component becomes an installed plugin.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use erp_plugin_model::manifest::{Capabilities, DEFAULT_MAX_SIZE, MAX_MAX_SIZE};
use erp_plugin_model::schema::FieldType;
use erp_plugin_model::{
    EntityRef, EntitySchema, ErrorCode, HostError, Manifest, PluginName, TenantId, UserId,
};
use erp_plugin_runtime::{Export, LoadError, LoadedPlugin, Loader, validate};
use erp_plugin_storage::{AuditEntry, Entity, PluginVersion};
use sha2::{Digest as _, Sha256};

use crate::catalog::{Installed, Reading};
use crate::error::{HostFailure, HostResult};
use crate::host::{Inner, PluginSummary};
use crate::schema::SchemaPlan;

/// The tenant in which an installation tries `init`. It has no records and never will.
pub(crate) const TRIAL_TENANT: &str = "installation-trial";

/// How a component is to be installed.
#[derive(Clone, Debug, Default)]
pub struct InstallOptions {
    /// The name of a component without a manifest. One with a manifest has its name there.
    pub name: Option<PluginName>,
    /// What is granted of what the manifest asks for. `None` grants all of it to a plugin that is new, and to another
    /// version of one that is installed what the present one has: what it asks for beyond that is not granted, and the
    /// summary says so.
    pub granted: Option<Capabilities>,
    /// What may go out of sight when another version of a plugin is installed: `inventory.item`,
    /// `inventory.item.category`.
    pub consent: Vec<String>,
    /// The tenants in which the version is tried, while the one that is active goes on in all others; everywhere when there are
    /// none. Only what both versions can live with is done to the plugin's tables.
    pub tenants: Vec<TenantId>,
}

impl Inner {
    pub(crate) async fn install(
        &self,
        by: &UserId,
        component: Arc<[u8]>,
        options: InstallOptions,
    ) -> HostResult<PluginSummary> {
        let _one_at_a_time = self.installing.lock().await;
        let manifest = read_manifest(&component)?;
        let now = self.services.clock.now();
        // Another process may have installed it, or another version.
        self.read_catalog().await?;
        let mut record = version(&component, manifest.as_ref(), &options, self.bare_components, now)?;
        let present = self.catalog.get(&record.name);
        let mut notes = Vec::new();
        if options.granted.is_none()
            && let Some(before) = self.granted_before(&record.name, present.as_deref()).await?
        {
            let asked = Capabilities::from_json(&record.granted, &record.name)?;
            let kept = before.common(&asked);
            notes = asked.beyond(&kept).into_iter().map(|right| not_granted(&record.name, &right)).collect();
            record.granted = kept.to_json();
        }
        if let Some(present) = &present
            && (present.record.version == record.version || present.record.component == record.component)
        {
            self.grant_anew(by, present, &record, &options).await?;
            let installed = self.installed(&record.name).await?;
            return self.run_in(by, &installed, &options.tenants, notes).await;
        }
        if let Some(manifest) = &manifest {
            self.check_references(manifest)?;
        }
        if !options.tenants.is_empty() {
            self.check_enabled(&record.name, &options.tenants).await?;
        }

        let loaded = self.loader.load(&component, &record.component, max_size(manifest.as_ref())).await?;
        let granted = Capabilities::from_json(&record.granted, &record.name)?;
        let plugin = Installed::new(record, manifest, granted, &[]);
        // What was installed before was tried before.
        if !self.was_installed(&plugin.record).await? {
            let trial = plugin.in_scratch_tables(loaded.clone(), &self.scratch_name(now)?)?;
            self.try_init(&Arc::new(trial)).await?;
        }

        let (name, version) = (plugin.name().clone(), plugin.record.version.clone());
        if options.tenants.is_empty() {
            self.evolve(&name, &version, &plugin.declared(), &options.consent).await?;
        } else {
            self.evolve_alongside(&plugin).await?;
        }
        self.keep(&plugin, &component).await?;
        let mut platform = self.look_at_platform().await?;
        let found = platform.entities(&name).await?;
        platform.rollback().await?;
        let Installed { record, manifest, granted, .. } = plugin;
        let installed = Installed::new(record, manifest, granted, &found);
        // Compiled once.
        let installed = Arc::new(Installed { loaded: loaded.into(), ..installed });
        self.catalog.expect(Some(Arc::clone(&installed)));
        let summary = self.run_in(by, &installed, &options.tenants, notes).await;
        self.catalog.expect(None);
        summary
    }

    /// Has a version that is kept run everywhere, or in these tenants.
    async fn run_in(
        &self,
        by: &UserId,
        installed: &Arc<Installed>,
        tenants: &[TenantId],
        notes: Vec<String>,
    ) -> HostResult<PluginSummary> {
        self.read_catalog().await?;
        let mut summary = self.summary(installed);
        summary.notes.extend(notes);
        if tenants.is_empty() {
            self.upgrade(by, installed, &mut summary).await?;
        } else {
            self.check_enabled(installed.name(), tenants).await?;
            self.try_in(by, tenants, installed).await?;
        }
        Ok(summary)
    }

    /// Whether this very component was installed before. Refuses another one under the name of a version.
    pub(crate) async fn was_installed(&self, record: &PluginVersion) -> HostResult<bool> {
        let mut platform = self.look_at_platform().await?;
        let mut versions = platform.versions().await?;
        platform.rollback().await?;
        versions.retain(|own| own.name == record.name);
        if versions.iter().any(|own| own.version == record.version && own.component != record.component) {
            return Err(other_bytes(record).into());
        }
        Ok(versions.iter().any(|own| own.component == record.component))
    }

    /// What the version that runs was granted; of an archived plugin the one that ran last, as its tables tell.
    async fn granted_before(
        &self,
        plugin: &PluginName,
        present: Option<&Installed>,
    ) -> HostResult<Option<Capabilities>> {
        if let Some(present) = present {
            return Ok(Some(present.granted.clone()));
        }
        let mut platform = self.look_at_platform().await?;
        let versions = platform.versions().await?;
        let archived = platform.archived(plugin).await?;
        platform.rollback().await?;
        let ran =
            archived.iter().rev().filter(|kept| kept.is_entity()).find_map(|kept| kept.version.as_ref());
        let mut own = versions.iter().rev().filter(|version| version.name == *plugin);
        let last = match ran {
            Some(ran) => own.find(|version| version.version == *ran),
            None => own.next(),
        };
        Ok(last.map(|last| Capabilities::from_json(&last.granted, plugin)).transpose()?)
    }

    /// A name that no plugin has, nor another trial that goes on meanwhile.
    fn scratch_name(&self, now: DateTime<Utc>) -> HostResult<PluginName> {
        let (_, random) = self.services.ids.new_id(now).as_u64_pair();
        Ok(PluginName::parse(&format!("trial-{random:016x}"))?)
    }

    /// What installing a component would do to its tables.
    pub(crate) async fn plan_of(&self, component: &[u8], options: &InstallOptions) -> HostResult<SchemaPlan> {
        let manifest = read_manifest(component)?;
        let now = self.services.clock.now();
        let record = version(component, manifest.as_ref(), options, self.bare_components, now)?;
        self.read_catalog().await?;
        let declared = manifest.map(|manifest| manifest.entities).unwrap_or_default();
        self.plan(&record.name, &record.version, &declared).await
    }

    /// Reads what is installed: when the host starts, and when it is asked for a plugin that another process may have
    /// installed since. Nothing is compiled yet.
    pub(crate) async fn read_catalog(&self) -> HostResult<()> {
        let _one_at_a_time = self.reading.lock().await;
        let mut platform = self.look_at_platform().await?;
        let revision = platform.revision().await?;
        let active = platform.active_versions().await?;
        let deviations = platform.deviations().await?;
        let mut reading = Reading { revision, ..Reading::default() };
        for record in platform.versions().await? {
            let is_active = active.contains(&(record.name.clone(), record.version.clone()));
            let runs = deviations
                .iter()
                .any(|(_, name, version)| *name == record.name && *version == record.version);
            if !is_active && !runs {
                continue;
            }
            let manifest = record.manifest.as_deref().map(Manifest::from_json).transpose()?;
            let granted = Capabilities::from_json(&record.granted, &record.name)?;
            let found = platform.entities(&record.name).await?;
            let installed = Installed::new(record, manifest, granted, &found);
            if is_active {
                reading.active.push(installed);
            } else if installed.fits {
                reading.others.push(installed);
            }
        }
        platform.rollback().await?;
        reading.deviations = deviations;
        if self.catalog.learn(reading, Instant::now()) {
            // One plugin may name what another has.
            self.activations.forget_all();
        }
        Ok(())
    }

    /// Refuses other bytes under the name of a version, and grants the same ones anew if that is asked for.
    async fn grant_anew(
        &self,
        by: &UserId,
        present: &Installed,
        record: &PluginVersion,
        options: &InstallOptions,
    ) -> HostResult<()> {
        let (name, own) = (&record.name, &present.record.version);
        if present.record.component != record.component {
            return Err(HostError::new(
                ErrorCode::AlreadyExists,
                format!(
                    "{name} {own} is installed with other bytes, and a version never changes; give it another version"
                ),
            )
            .into());
        }
        if options.granted.is_some() && present.record.granted != record.granted {
            let mut platform = self.change_platform().await?;
            platform.set_granted(name, own, &record.granted).await?;
            let entry = AuditEntry {
                plugin: Some(name.clone()),
                from: Some(String::from_utf8_lossy(&present.record.granted).into_owned()),
                to: Some(String::from_utf8_lossy(&record.granted).into_owned()),
                ..self.done(by, "plugin.granted")
            };
            platform.note_platform_audit(&entry).await?;
            platform.commit().await?;
            self.read_catalog().await?;
        }
        Ok(())
    }

    /// Every entity that is referred to must be there.
    pub(crate) fn check_references(&self, manifest: &Manifest) -> Result<(), HostError> {
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

    /// Keeps component and version.
    pub(crate) async fn keep(&self, plugin: &Installed, component: &[u8]) -> HostResult<()> {
        let (name, version) = (plugin.name(), &plugin.record.version);
        let mut platform = self.change_platform().await?;
        platform.put_component(&plugin.record.component, component).await?;
        if !platform.add_version(&plugin.record).await? {
            let known = platform.versions().await?;
            let same = known.iter().any(|own| {
                own.name == *name && own.version == *version && own.component == plugin.record.component
            });
            if !same {
                platform.rollback().await?;
                return Err(other_bytes(&plugin.record).into());
            }
        }
        platform.set_granted(name, version, &plugin.record.granted).await?;
        Ok(platform.commit().await?)
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
    if name.is_reserved() {
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

fn other_bytes(record: &PluginVersion) -> HostError {
    let PluginVersion { name, version, .. } = record;
    HostError::new(
        ErrorCode::AlreadyExists,
        format!(
            "{name} {version} was installed before with other bytes, and a version never changes; give it another version"
        ),
    )
}

fn not_granted(plugin: &PluginName, right: &str) -> String {
    format!("asks for {right}, which the installed version of {plugin} was not granted; grant it to accept")
}

impl Installed {
    /// The same plugin with its entities in tables that nobody has: those of a trial that is rolled back, while others
    /// work on its own.
    fn in_scratch_tables(&self, loaded: LoadedPlugin, scratch: &PluginName) -> HostResult<Self> {
        let own = self.name().clone();
        let entities = self.entities.iter().map(|(name, entity)| {
            let schema = entity.schema().moved_to(&own, scratch);
            (name.clone(), Arc::new(Entity::new(schema)))
        });
        let entities = entities.collect();
        let (record, granted) = (self.record.clone(), self.granted.clone());
        let scratch = Self::new(record, self.manifest.clone(), granted, &[]);
        Ok(Self { entities, loaded: loaded.into(), ..scratch })
    }
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
