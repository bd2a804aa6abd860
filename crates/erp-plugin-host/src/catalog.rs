//! What is installed, as this process knows it: of each plugin the version that is active, and the others that run in some
//! tenants. A component is loaded at its first use, and unloaded when the last call of a version that runs nowhere has ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Instant;

use chrono::{DateTime, Utc};
use erp_plugin_host_api::DynamicDirectory;
use erp_plugin_model::event::{EventPattern, RetryPolicy};
use erp_plugin_model::evolution;
use erp_plugin_model::job::Job;
use erp_plugin_model::manifest::{Capabilities, DEFAULT_MAX_SIZE};
use erp_plugin_model::{EntityRef, EntitySchema, EventType, JobName, Limits, Manifest, PluginName, TenantId};
use erp_plugin_runtime::LoadedPlugin;
use erp_plugin_storage::{Entity, NewJob, PluginVersion, Subscription};
use tokio::sync::OnceCell;

use crate::tenants::KEPT;

/// An installed plugin.
pub(crate) struct Installed {
    pub(crate) record: PluginVersion,
    /// `None` for a bare component.
    pub(crate) manifest: Option<Manifest>,
    pub(crate) granted: Capabilities,
    pub(crate) entities: HashMap<EntityRef, Arc<Entity>>,
    pub(crate) dynamic: Option<Arc<DynamicDirectory>>,
    /// Whether it can work on its tables as they are.
    pub(crate) fits: bool,
    /// The component, loaded at its first call.
    pub(crate) loaded: OnceCell<LoadedPlugin>,
}

impl Installed {
    /// `found` is what the database has of its entities, declared and dynamic: it knows in which columns fields are.
    pub(crate) fn new(
        record: PluginVersion,
        manifest: Option<Manifest>,
        granted: Capabilities,
        found: &[EntitySchema],
    ) -> Self {
        let stored = |schema: &EntitySchema| match found.iter().find(|own| own.name == schema.name) {
            Some(own) => schema.in_columns_of(own),
            None => schema.clone(),
        };
        let entities = manifest
            .iter()
            .flat_map(|manifest| &manifest.entities)
            .map(|schema| (schema.name.clone(), Arc::new(Entity::new(stored(schema)))))
            .collect();
        let dynamic = found.iter().filter(|own| own.is_dynamic()).map(|own| own.name.clone());
        let may_have_dynamic = manifest.is_none() || granted.dynamic_entities;
        let dynamic = may_have_dynamic.then(|| Arc::new(DynamicDirectory::new(record.name.clone(), dynamic)));
        let declared = manifest.as_ref().map(|manifest| manifest.entities.as_slice()).unwrap_or_default();
        let fits = evolution::obstacle(found, declared).is_none();
        Self { record, manifest, granted, entities, dynamic, fits, loaded: OnceCell::new() }
    }

    /// The entities that its manifest declares, whatever its tables are at.
    pub(crate) fn declared(&self) -> Vec<EntitySchema> {
        self.manifest.iter().flat_map(|manifest| manifest.entities.clone()).collect()
    }

    pub(crate) fn name(&self) -> &PluginName {
        &self.record.name
    }

    /// Whether it is the same version with the same rights and columns.
    fn is_like(&self, other: &Self) -> bool {
        // The manifest is in the component, and when it was installed tells nothing.
        self.record.name == other.record.name
            && self.record.version == other.record.version
            && self.record.component == other.record.component
            && self.record.granted == other.record.granted
            && self.fits == other.fits
            && self.entities.len() == other.entities.len()
            && self.entities.iter().all(|(name, entity)| {
                other.entities.get(name).is_some_and(|own| own.schema() == entity.schema())
            })
    }

    pub(crate) fn max_size(&self) -> u64 {
        self.manifest.as_ref().map_or(DEFAULT_MAX_SIZE, |manifest| manifest.max_size)
    }

    /// What one of its invocations may use: what it asks for, capped.
    pub(crate) fn limits(&self, defaults: &Limits, caps: &Limits) -> Limits {
        self.asked(defaults).capped_by(caps)
    }

    /// What a run of one of its jobs may use: what the job asks for, else ten times what an invocation does, capped.
    pub(crate) fn job_limits(&self, job: &JobName, defaults: &Limits, caps: &Limits) -> Limits {
        let mut limits = self.asked(defaults).for_jobs();
        for (kind, value) in self.job(job).iter().flat_map(|job| &job.limits) {
            limits.set(*kind, *value);
        }
        limits.capped_by(caps)
    }

    fn asked(&self, defaults: &Limits) -> Limits {
        let mut limits = defaults.clone();
        for (kind, value) in self.manifest.iter().flat_map(|manifest| &manifest.limits) {
            limits.set(*kind, *value);
        }
        limits
    }

    /// A job that its manifest declares.
    pub(crate) fn job(&self, name: &JobName) -> Option<&Job> {
        self.manifest.as_ref()?.job(name)
    }

    /// Its jobs as they are set where it is enabled, with the first moment at which each is planned.
    pub(crate) fn jobs(&self, now: DateTime<Utc>) -> Vec<NewJob> {
        let jobs = self.manifest.iter().flat_map(|manifest| &manifest.jobs);
        jobs.map(|own| NewJob {
            job: own.name.clone(),
            schedule: own.schedule.as_ref().map(ToString::to_string),
            plan_at: own.schedule.as_ref().and_then(|schedule| schedule.next_after(now)),
        })
        .collect()
    }

    /// How failed deliveries of such events are tried again.
    pub(crate) fn retry_policy(&self, event_type: &EventType) -> RetryPolicy {
        let subscriptions = self.manifest.iter().flat_map(|manifest| &manifest.subscriptions);
        let first = subscriptions.into_iter().find(|own| own.pattern.matches(event_type));
        first.map_or(RetryPolicy::DEFAULT, |own| own.retry.clone())
    }

    pub(crate) fn subscriptions(&self) -> Vec<Subscription> {
        match &self.manifest {
            Some(manifest) => manifest
                .subscriptions
                .iter()
                .map(|own| Subscription {
                    pattern: own.pattern.clone(),
                    own_events: true,
                    key: own.key.clone(),
                })
                .collect(),
            None => vec![Subscription { pattern: EventPattern::everything(), own_events: false, key: None }],
        }
    }
}

/// The installed plugins: the version of each that is active, and the others that run in some tenants.
#[derive(Default)]
pub(crate) struct Catalog {
    known: RwLock<Known>,
    /// What the database said when it was read, and when it was asked the last time.
    looked: Mutex<Option<(String, Instant)>>,
}

#[derive(Default)]
struct Known {
    active: HashMap<PluginName, Arc<Installed>>,
    /// Other versions that run, or are to run, each once.
    others: Vec<Arc<Installed>>,
    /// In which tenants.
    deviations: HashMap<TenantId, HashMap<PluginName, Arc<Installed>>>,
    /// What is being installed and loaded already.
    fresh: Option<Arc<Installed>>,
}

/// What was read of what is installed.
#[derive(Default)]
pub(crate) struct Reading {
    /// Another text after each change.
    pub(crate) revision: String,
    /// The version of each plugin that is active.
    pub(crate) active: Vec<Installed>,
    /// Other versions that run, or are to run.
    pub(crate) others: Vec<Installed>,
    /// In which tenants.
    pub(crate) deviations: Vec<(TenantId, PluginName, semver::Version)>,
}

impl Catalog {
    /// The version of a plugin that is active.
    pub(crate) fn get(&self, name: &PluginName) -> Option<Arc<Installed>> {
        self.read().active.get(name).cloned()
    }

    /// The version of a plugin that runs in a tenant.
    pub(crate) fn get_in(&self, tenant: &TenantId, name: &PluginName) -> Option<Arc<Installed>> {
        let known = self.read();
        let other = known.deviations.get(tenant).and_then(|others| others.get(name));
        other.or_else(|| known.active.get(name)).cloned()
    }

    /// The active version of each plugin, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Installed>> {
        sorted(self.read().active.values().cloned())
    }

    /// The version of each plugin that runs in a tenant where it is enabled, by name.
    pub(crate) fn all_in(&self, tenant: &TenantId) -> Vec<Arc<Installed>> {
        let known = self.read();
        let Some(others) = known.deviations.get(tenant) else {
            return sorted(known.active.values().cloned());
        };
        let here = known.active.iter().map(|(name, active)| others.get(name).unwrap_or(active));
        sorted(here.cloned())
    }

    /// Whether any plugin runs in a tenant at another version than the active one.
    pub(crate) fn deviates(&self, tenant: &TenantId) -> bool {
        self.read().deviations.contains_key(tenant)
    }

    /// The versions of a plugin that run anywhere.
    pub(crate) fn versions_of(&self, name: &PluginName) -> Vec<Arc<Installed>> {
        let known = self.read();
        known.every().filter(|own| own.name() == name).cloned().collect()
    }

    /// A version of a plugin that runs anywhere, or is about to.
    pub(crate) fn version_of(&self, name: &PluginName, version: &semver::Version) -> Option<Arc<Installed>> {
        let known = self.read();
        let mut all = known.every().chain(&known.fresh);
        all.find(|own| own.name() == name && own.record.version == *version).cloned()
    }

    /// Has the next [refresh](crate::host::Inner::refresh) read everything: a tenant is ahead of what is known.
    pub(crate) fn distrust(&self) {
        if let Some((revision, _)) = &mut *self.looked() {
            revision.clear();
        }
    }

    /// Keeps what is being installed, so that it is not loaded again when it is read; or keeps it no longer.
    pub(crate) fn expect(&self, fresh: Option<Arc<Installed>>) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).fresh = fresh;
    }

    /// Has these and no others, and returns whether that is anything new. One that is as it was stays: it may have been
    /// loaded.
    pub(crate) fn learn(&self, reading: Reading, now: Instant) -> bool {
        let Reading { revision, active, others, deviations } = reading;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let before: Vec<Arc<Installed>> = known.every().chain(&known.fresh).cloned().collect();
        let mut is_new = false;
        let mut keep = |plugin: Installed| {
            let own = before.iter().find(|own| own.is_like(&plugin)).cloned();
            is_new |= own.is_none();
            own.unwrap_or_else(|| Arc::new(plugin))
        };
        let active: HashMap<_, _> =
            active.into_iter().map(|plugin| (plugin.name().clone(), keep(plugin))).collect();
        let others: Vec<Arc<Installed>> = others.into_iter().map(keep).collect();
        let mut learned = Known { active, others, deviations: HashMap::new(), fresh: known.fresh.clone() };
        for (tenant, name, version) in deviations {
            let other =
                learned.others.iter().find(|own| *own.name() == name && own.record.version == version);
            if let Some(other) = other {
                learned.deviations.entry(tenant).or_default().insert(name, Arc::clone(other));
            }
        }
        is_new |= !known.is_like(&learned);
        *known = learned;
        *self.looked() = Some((revision, now));
        is_new
    }

    /// Whether it is time to ask whether another process has changed what is installed. Who is told so asks.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        match &mut *self.looked() {
            Some((_, at)) if now.saturating_duration_since(*at) < KEPT => false,
            Some((_, at)) => {
                *at = now;
                true
            }
            None => true,
        }
    }

    /// Whether it was read at this revision.
    pub(crate) fn is_at(&self, revision: &str) -> bool {
        self.looked().as_ref().is_some_and(|(own, _)| own == revision)
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn looked(&self) -> MutexGuard<'_, Option<(String, Instant)>> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn every(&self) -> impl Iterator<Item = &Arc<Installed>> {
        self.active.values().chain(&self.others)
    }

    /// Whether both have the very same versions at the same places.
    fn is_like(&self, other: &Self) -> bool {
        let alike = |own: &HashMap<PluginName, Arc<Installed>>,
                     others: &HashMap<PluginName, Arc<Installed>>| {
            own.len() == others.len()
                && own
                    .iter()
                    .all(|(name, plugin)| others.get(name).is_some_and(|other| Arc::ptr_eq(plugin, other)))
        };
        alike(&self.active, &other.active)
            && self.deviations.len() == other.deviations.len()
            && self
                .deviations
                .iter()
                .all(|(tenant, own)| other.deviations.get(tenant).is_some_and(|others| alike(own, others)))
    }
}

fn sorted(plugins: impl Iterator<Item = Arc<Installed>>) -> Vec<Arc<Installed>> {
    let mut sorted: Vec<_> = plugins.collect();
    sorted.sort_by(|a, b| a.name().cmp(b.name()));
    sorted
}
