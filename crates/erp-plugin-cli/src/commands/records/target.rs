//! What every verb is about: an entity, a tenant of a database, and who acts there.

use anyhow::{Result, bail};
use erp_plugin::schema::EntitySchema;
use erp_plugin::{
    EntityRef, HostError, Identity, Limits, PluginHost, PluginSummary, RecordId, Records, TenantId,
};

use crate::database::{self, Database};
use crate::host;
use crate::identity;
use crate::settings::Settings;

/// The arguments that every verb has.
#[derive(clap::Args)]
pub(super) struct Target {
    /// The entity in full, such as inventory.item
    #[arg(value_name = "ENTITY", value_parser = entity)]
    entity: EntityRef,
    #[command(flatten)]
    _database: database::Flags,
    /// The tenant whose records they are
    #[arg(long, value_name = "T")]
    tenant: TenantId,
    #[command(flatten)]
    acting: identity::Arguments,
    /// Print one JSON object, and nothing else on standard output
    #[arg(long)]
    pub(super) json: bool,
}

fn entity(text: &str) -> Result<EntityRef, String> {
    if !text.contains('.') {
        return Err("write it in full, the plugin first, such as inventory.item".to_owned());
    }
    EntityRef::parse(text).map_err(|error| error.to_string())
}

/// What a verb is about, on an open database.
pub(super) struct Opened {
    host: PluginHost,
    identity: Identity,
    pub(super) entity: String,
    /// `None` when the entity is not declared: its plugin makes it as it needs it.
    pub(super) schema: Option<EntitySchema>,
}

impl Target {
    /// For a verb that reads, pages of large records included. An operator's own command has the time it needs.
    pub(super) async fn to_read(&self, settings: &Settings) -> Result<Opened> {
        let limits = Limits { call_bytes: 16 << 20, total_bytes: 32 << 20, ..patient(settings) };
        self.open(settings, limits).await
    }

    /// For a verb that writes: no record may be larger than the plugin's own could be, for it must be able to read it.
    pub(super) async fn to_write(&self, settings: &Settings) -> Result<Opened> {
        self.open(settings, patient(settings)).await
    }

    async fn open(&self, settings: &Settings, limits: Limits) -> Result<Opened> {
        let database = Database::kept(settings, "records")?;
        // Opening it would make it.
        if let Database::File(file) = &database
            && !file.exists()
        {
            bail!(HostError::not_found(format!(
                "{} is not there; name the file that a host has worked on",
                file.display()
            )));
        }
        let (identity, rights) = self.acting.identity(&self.tenant)?;
        let builder = host::without_calls(settings, &database).await?.limits(limits);
        let host = builder.authorizer(rights).stored_roles().build().await?;
        let schema = schema(&host.plugins(), &self.entity)?;
        Ok(Opened { host, identity, entity: self.entity.to_string(), schema })
    }

    /// The id of a record. One that has not the form of an id belongs to no record.
    pub(super) fn id(&self, text: &str) -> Result<RecordId> {
        match RecordId::parse(text) {
            Some(id) => Ok(id),
            None => bail!(HostError::not_found(format!(
                "no {} has the id {text:?}; an id is a UUID, as insert and query show it",
                self.entity
            ))),
        }
    }
}

fn patient(settings: &Settings) -> Limits {
    Limits { deadline_ms: 30_000, ..settings.options.limits.clone() }
}

impl Opened {
    pub(super) fn records(&self) -> Records<'_> {
        self.host.records(self.identity.clone())
    }
}

/// What the entity's plugin declares. The host tells a client only that there is no such entity; who has the database
/// may know which there are.
fn schema(plugins: &[PluginSummary], entity: &EntityRef) -> Result<Option<EntitySchema>, HostError> {
    let list = |names: Vec<String>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let Some(plugin) = plugins.iter().find(|plugin| plugin.name == entity.plugin) else {
        return Err(HostError::not_found(format!(
            "no plugin {} is installed in this database, so there is no {entity}; installed: {}. `erp-plugin run --db` \
             installs one",
            entity.plugin,
            list(plugins.iter().map(|plugin| plugin.name.to_string()).collect()),
        )));
    };
    // Without a manifest everything is dynamic, and the host knows what there is.
    let Some(manifest) = &plugin.manifest else { return Ok(None) };
    match manifest.entities.iter().find(|schema| schema.name == *entity) {
        Some(schema) => Ok(Some(schema.clone())),
        None if manifest.capabilities.dynamic_entities => Ok(None),
        None => Err(HostError::not_found(format!(
            "{} {} has no entity {}; it has: {}",
            plugin.name,
            plugin.version,
            entity.entity,
            list(manifest.entities.iter().map(|schema| schema.name.to_string()).collect()),
        ))),
    }
}
