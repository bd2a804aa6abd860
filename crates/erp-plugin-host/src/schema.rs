//! How a plugin's tables become what another version of it declares: planned, looked at, consented to, made.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use erp_plugin_model::evolution::{self, Action, Archived, Class, Step};
use erp_plugin_model::filter::Filter;
use erp_plugin_model::{EntityRef, EntitySchema, ErrorCode, HostError, PluginName, TenantId, UserId};
use erp_plugin_storage::evolve::{self, Found};
use erp_plugin_storage::{Altered, AuditEntry, Entity, ErrorKind};

use crate::catalog::Installed;
use crate::error::{HostFailure, HostResult};
use crate::host::Inner;

/// The records of each tenant that are shown of those that are in the way.
const SHOWN: u32 = 10;
/// How often a plan is made again because somebody else was first, or wrote meanwhile.
const MAX_PLANS: u32 = 10;

/// What a version of a plugin would do to its tables.
#[derive(Clone, Debug)]
pub struct SchemaPlan {
    /// The plugin.
    pub plugin: PluginName,
    /// The version that runs; `None` when none is installed.
    pub from: Option<semver::Version>,
    /// The version that is planned for.
    pub to: semver::Version,
    /// What would be done, in order. Empty when the tables are as they must be.
    pub steps: Vec<PlannedStep>,
}

/// A step of a plan, and what it would meet.
#[derive(Clone, Debug)]
pub struct PlannedStep {
    /// The step.
    pub step: Step,
    /// The live records of the entity, in all tenants.
    pub records: u64,
    /// What keeps it from being made, or is lost from sight by it, in each tenant that has any.
    pub found: Vec<Found>,
    /// The statements, for the database in use.
    pub statements: Vec<String>,
}

impl PlannedStep {
    /// Whether records are in its way.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.step.is_refused_by_checks() && !self.found.is_empty()
    }

    /// Whether it takes consent.
    #[must_use]
    pub fn needs_consent(&self) -> bool {
        self.step.class == Class::Destructive
    }
}

impl SchemaPlan {
    fn revived_entities(&self) -> Vec<EntityRef> {
        let steps = self.steps.iter().map(|planned| &planned.step);
        let revivals = steps.filter(|step| matches!(step.action, Action::ReviveEntity { .. }));
        revivals.map(|step| step.entity.clone()).collect()
    }

    /// The subjects of the steps that take consent and have none, each once.
    fn unconsented(&self, consent: &[String]) -> Vec<String> {
        let destructive = self.steps.iter().filter(|planned| planned.needs_consent());
        let subjects = destructive.map(|planned| planned.step.subject());
        subjects.filter(|subject| !consent.contains(subject)).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// Why a plan was not made: what must be consented to, or changed first.
#[derive(Clone, Debug)]
pub struct Obstacles {
    /// The whole plan.
    pub plan: SchemaPlan,
    /// The subjects of the steps that take consent and have none.
    pub unconsented: Vec<String>,
}

impl fmt::Display for Obstacles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SchemaPlan { plugin, to, steps, .. } = &self.plan;
        write!(f, "the tables of {plugin} cannot become those of {to}: ")?;
        let mut separator = "";
        for planned in steps.iter().filter(|planned| planned.is_refused()) {
            let count: u64 = planned.found.iter().map(|found| found.count).sum();
            let example = planned.found.iter().find_map(|found| Some((&found.tenant, found.sample.first()?)));
            write!(
                f,
                "{separator}{}: {} does not fit {count} records",
                planned.step.subject(),
                planned.step
            )?;
            if let Some((tenant, offence)) = example {
                write!(f, " (in {tenant} {} {})", offence.id, offence.reason)?;
            }
            f.write_str("; change them first")?;
            separator = "; ";
        }
        if !self.unconsented.is_empty() {
            let subjects = self.unconsented.join(", ");
            write!(f, "{separator}{subjects} would go out of sight; consent to it by name, or keep it")?;
        }
        Ok(())
    }
}

/// What a database has of a plugin's tables.
#[derive(Clone, Debug)]
pub struct SchemaStatus {
    /// The plugin.
    pub plugin: PluginName,
    /// The version that runs.
    pub version: semver::Version,
    /// The entities, declared and dynamic.
    pub entities: Vec<EntitySchema>,
    /// What was put aside and not purged.
    pub archived: Vec<Archived>,
    /// Whether the tables are as the version that runs declares them.
    pub is_current: bool,
}

impl Inner {
    /// Plans without looking at a record.
    pub(crate) async fn steps(&self, plugin: &PluginName, wanted: &[EntitySchema]) -> HostResult<Vec<Step>> {
        let mut platform = self.look_at_platform().await?;
        let found = platform.entities(plugin).await?;
        let archived = platform.archived(plugin).await?;
        platform.rollback().await?;
        Ok(evolution::plan(&found, &archived, wanted))
    }

    /// Plans, counts and looks.
    pub(crate) async fn plan(
        &self,
        plugin: &PluginName,
        to: &semver::Version,
        wanted: &[EntitySchema],
    ) -> HostResult<SchemaPlan> {
        let tenants = self.tenants().await?;
        let mut steps = Vec::new();
        let mut counted = HashMap::new();
        for step in self.steps(plugin, wanted).await? {
            let records = match counted.get(&step.entity) {
                Some(records) => *records,
                None => self.records_of(&step, &tenants).await?,
            };
            counted.insert(step.entity.clone(), records);
            steps.push(PlannedStep {
                records,
                found: self.found(&step, &tenants).await?,
                statements: self.services.storage.statements(&step),
                step,
            });
        }
        let from = self.catalog.get(plugin).map(|present| present.record.version.clone());
        Ok(SchemaPlan { plugin: plugin.clone(), from, to: to.clone(), steps })
    }

    async fn found(&self, step: &Step, tenants: &[TenantId]) -> HostResult<Vec<Found>> {
        Ok(evolve::look(&*self.services.storage, step, tenants, SHOWN).await?)
    }

    async fn records_of(&self, step: &Step, tenants: &[TenantId]) -> HostResult<u64> {
        // A step later in the plan begins with a schema that is not there yet: what is counted is the table.
        let Some(before) = &step.before else { return Ok(0) };
        let bare = if before.is_dynamic() { before.clone() } else { before.with_fields(Vec::new()) };
        let entity = Entity::new(bare);
        let mut records = 0;
        for tenant in tenants {
            let mut own = self.look(tenant).await?;
            records += own.count(&entity, &Filter::everything()).await?.count;
            own.rollback(None).await?;
        }
        Ok(records)
    }

    /// Makes the tables of a plugin what is wanted, or says what is in the way. Nothing is done if anything is.
    pub(crate) async fn evolve(
        &self,
        plugin: &PluginName,
        to: &semver::Version,
        wanted: &[EntitySchema],
        consent: &[String],
    ) -> HostResult<()> {
        let mut revived = Vec::new();
        for _ in 0..MAX_PLANS {
            let plan = match self.plan(plugin, to, wanted).await {
                // The table was altered while it was looked at.
                Err(HostFailure::Storage(error)) if error.is_transient() => continue,
                planned => planned?,
            };
            let unconsented = plan.unconsented(consent);
            if !unconsented.is_empty() || plan.steps.iter().any(PlannedStep::is_refused) {
                self.put_aside_again(plugin, &revived).await?;
                return Err(HostFailure::Schema(Box::new(Obstacles { plan, unconsented })));
            }
            revived.extend(plan.revived_entities());
            // What is wanted of an entity that came back is planned now that its records can be looked at.
            if self.make(&plan).await? && plan.revived_entities().is_empty() {
                return Ok(());
            }
        }
        Err(HostError::new(
            ErrorCode::Unavailable,
            format!("the tables of {plugin} are changed by somebody else, or written faster than they can be changed; try again"),
        )
        .into())
    }

    /// Puts entities aside that came back for an installation that is refused.
    async fn put_aside_again(&self, plugin: &PluginName, revived: &[EntityRef]) -> HostResult<()> {
        if revived.is_empty() {
            return Ok(());
        }
        let mut platform = self.look_at_platform().await?;
        let found = platform.entities(plugin).await?;
        platform.rollback().await?;
        let again: Vec<EntitySchema> = found.into_iter().filter(|own| revived.contains(&own.name)).collect();
        for step in evolution::leave(&again) {
            // Where somebody else was first, it is theirs.
            evolve::make(&*self.services.storage, &step, &[]).await?;
        }
        Ok(())
    }

    /// Whether the whole plan was made; otherwise a new one has to be.
    async fn make(&self, plan: &SchemaPlan) -> HostResult<bool> {
        for planned in &plan.steps {
            // Tenants come while a plan is made.
            let tenants = self.tenants().await?;
            match evolve::make(&*self.services.storage, &planned.step, &tenants).await {
                Ok(Altered::Done) => {}
                Ok(Altered::Elsewhere | Altered::DoesNotFit) => return Ok(false),
                Err(error) if error.kind == ErrorKind::SchemaChanged => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    pub(crate) async fn schema_status(&self, plugin: &PluginName) -> HostResult<SchemaStatus> {
        let installed = self.installed(plugin).await?;
        let mut platform = self.look_at_platform().await?;
        let entities = platform.entities(plugin).await?;
        let archived = platform.archived(plugin).await?;
        platform.rollback().await?;
        let is_current = self.has_current_tables(&installed).await?;
        Ok(SchemaStatus {
            plugin: plugin.clone(),
            version: installed.record.version.clone(),
            entities,
            archived,
            is_current,
        })
    }

    /// Whether the tables of a plugin that runs are as it declares them. What a version that is tried in some tenants added is
    /// in nobody's way.
    pub(crate) async fn has_current_tables(&self, installed: &Installed) -> HostResult<bool> {
        match self.catalog.versions_of(installed.name()).len() {
            0 | 1 => Ok(self.steps(installed.name(), &installed.declared()).await?.is_empty()),
            _ => Ok(installed.fits),
        }
    }

    /// Removes for good what earlier versions of a plugin that runs have left; returns what there was.
    pub(crate) async fn purge_archived(&self, by: &UserId, plugin: &PluginName) -> HostResult<Vec<Archived>> {
        let _one_at_a_time = self.installing.lock().await;
        self.read_catalog().await?;
        // Of an archived one it would be everything.
        self.installed(plugin).await?;
        self.drop_archived(by, plugin).await
    }

    /// Removes for good what was put aside of a plugin; returns what there was. Noted first: the owner of the tables, who
    /// drops them, has no part in the audit trail, and one that tells too much is better than one that leaves a loss out.
    pub(crate) async fn drop_archived(&self, by: &UserId, plugin: &PluginName) -> HostResult<Vec<Archived>> {
        let mut platform = self.change_platform().await?;
        let found = platform.archived(plugin).await?;
        if found.is_empty() {
            platform.rollback().await?;
            return Ok(found);
        }
        let kept: Vec<&str> = found.iter().map(|own| own.kept_as.as_str()).collect();
        let entry = AuditEntry {
            plugin: Some(plugin.clone()),
            detail: Some(kept.join(", ")),
            ..self.done(by, "schema.purged")
        };
        platform.note_platform_audit(&entry).await?;
        platform.commit().await?;
        let mut purged = Vec::new();
        let mut platform = self.begin_installation().await?;
        for archived in found {
            if platform.purge_archived(&archived).await? {
                purged.push(archived);
            }
        }
        platform.commit().await?;
        Ok(purged)
    }
}
