//! What is installed, as this process knows it: one entry a plugin, its component loaded at first use.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use erp_plugin_host_api::DynamicDirectory;
use erp_plugin_model::event::{EventPattern, RetryPolicy};
use erp_plugin_model::job::Job;
use erp_plugin_model::manifest::{Capabilities, DEFAULT_MAX_SIZE};
use erp_plugin_model::{EntityRef, EntitySchema, EventType, JobName, Limits, Manifest, PluginName};
use erp_plugin_runtime::LoadedPlugin;
use erp_plugin_storage::{Entity, NewJob, PluginVersion, Subscription};
use tokio::sync::OnceCell;

/// An installed plugin.
pub(crate) struct Installed {
    pub(crate) record: PluginVersion,
    /// `None` for a bare component.
    pub(crate) manifest: Option<Manifest>,
    pub(crate) granted: Capabilities,
    pub(crate) entities: HashMap<EntityRef, Arc<Entity>>,
    pub(crate) dynamic: Option<Arc<DynamicDirectory>>,
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
        Self { record, manifest, granted, entities, dynamic, loaded: OnceCell::new() }
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
        self.record == other.record
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

/// The installed plugins by name.
#[derive(Default)]
pub(crate) struct Catalog {
    plugins: RwLock<HashMap<PluginName, Arc<Installed>>>,
}

impl Catalog {
    pub(crate) fn get(&self, name: &PluginName) -> Option<Arc<Installed>> {
        self.plugins.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Has these and no others, and returns whether that is anything new. One that is as it was stays: it may have been
    /// loaded.
    pub(crate) fn learn(&self, all: Vec<Installed>) -> bool {
        let mut plugins = self.plugins.write().unwrap_or_else(PoisonError::into_inner);
        let mut learned = HashMap::with_capacity(all.len());
        let mut is_new = false;
        for plugin in all {
            let own = plugins.remove(plugin.name()).filter(|own| own.is_like(&plugin));
            is_new |= own.is_none();
            learned.insert(plugin.name().clone(), own.unwrap_or_else(|| Arc::new(plugin)));
        }
        is_new |= !plugins.is_empty();
        *plugins = learned;
        is_new
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Installed>> {
        let plugins = self.plugins.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = plugins.values().cloned().collect();
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all
    }
}
