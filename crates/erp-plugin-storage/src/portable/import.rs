//! Into a database that may have other tenants.
//!
//! The tenant is suspended until it is whole, so nobody works in it and none of its deliveries is claimed. Its events get
//! other numbers: no two events of a database have one number, whoever's they are.

use std::path::Path;

use chrono::{DateTime, Utc};
use erp_plugin_model::{EntityRef, EntitySchema, ErrorCode, HostError, TenantId, Value};

use super::contents::{Contents, FileOf};
use super::error::PortableError;
use super::folder::Reader;
use super::json;
use crate::copy::{PAGE, making, reading, scope, tables, tenant_scope, writing};
use crate::transfer::{Column, EntityTable, Row, TenantTable, Transfer};
use crate::{StorageError, TenantState, erase};

/// How often a page is tried again when its transaction is lost.
const RETRIES: u32 = 5;

/// What came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The tenant, by the id that it has here.
    pub tenant: TenantId,
    /// How many rows.
    pub rows: u64,
    /// Whether it is suspended, as it was.
    pub suspended: bool,
}

/// Takes a tenant in that was exported into a folder, under its own id or another one that is free. The versions of its
/// plugins must run here. `progress` is told of every page: the table, and how many rows.
pub async fn import_tenant(
    storage: &dyn Transfer,
    folder: &Path,
    id: Option<&TenantId>,
    progress: &mut (dyn FnMut(&str, u64) + Send),
) -> Result<Imported, PortableError> {
    let reader = Reader::open(folder)?;
    let Some(own) = &reader.contents.tenant else {
        return Err(PortableError::invalid(format!(
            "{} is the export of a plugin; name that of a tenant",
            folder.display()
        )));
    };
    let tenant = match id {
        Some(id) => id.clone(),
        None => TenantId::parse(&own.id).map_err(|error| PortableError::invalid(error.to_string()))?,
    };
    let created_at = DateTime::parse_from_rfc3339(&own.created_at)
        .map_err(|_| {
            PortableError::invalid(format!("export.json has no time in created_at: {:?}", own.created_at))
        })?
        .to_utc();
    let schemas = schemas(storage, &reader.contents).await?;
    let files = files(&reader.contents, &schemas)?;
    make(storage, &tenant, created_at).await?;
    let here = Here { tenant: &tenant, id_there: &own.id, schemas: &schemas };
    match fill(storage, &here, &reader, &files, progress).await {
        Ok(rows) => {
            if !own.suspended {
                set_state(storage, &tenant, TenantState::Active).await?;
            }
            Ok(Imported { tenant, rows, suspended: own.suspended })
        }
        Err(error) => {
            // Nobody has seen any of it. If this fails as well, the tenant is there, suspended, to be deleted.
            drop(erase::erase(storage, &tenant, &mut |_| {}).await);
            Err(error)
        }
    }
}

/// The entities as they are stored here, after a look at whether they and the plugins are those of the export.
async fn schemas(storage: &dyn Transfer, contents: &Contents) -> Result<Vec<EntitySchema>, PortableError> {
    let mut platform = storage.begin_platform_transfer(scope(), reading()).await?;
    let active = platform.active_versions().await?;
    let found = platform.entity_tables().await?;
    platform.rollback().await?;
    for plugin in contents.plugins.iter().filter(|plugin| plugin.version.is_some()) {
        let own = active.iter().find(|own| own.0.as_str() == plugin.name).map(|own| own.1.to_string());
        if own != plugin.version {
            let (name, wanted) = (&plugin.name, plugin.version.as_deref().unwrap_or_default());
            let here = own.map_or_else(|| "is not installed".to_owned(), |own| format!("runs as {own}"));
            return Err(PortableError::Refused(HostError::new(
                ErrorCode::Rejected,
                format!(
                    "the export was made with {name} {wanted}, and {name} {here} here; install {wanted}, then import"
                ),
            )));
        }
    }
    let mut schemas = Vec::new();
    for entity in &contents.entities {
        let name = EntityRef::parse(&entity.name)
            .map_err(|error| PortableError::invalid(format!("export.json: {error}")))?;
        let exported = match &entity.definition {
            None => EntitySchema::dynamic(name.clone()),
            Some(definition) => {
                EntitySchema::from_definition(&name, &definition.to_string()).map_err(|error| {
                    PortableError::invalid(format!("export.json: the entity {name}: {error}"))
                })?
            }
        };
        let here = found.iter().find(|table| table.name == name).map(EntityTable::schema);
        let here = here.transpose().map_err(|error| PortableError::invalid(error.to_string()))?;
        schemas.push(match here {
            Some(here) => alike(here, &exported)?,
            None if exported.is_dynamic() => {
                make_dynamic(storage, &name).await?;
                exported
            }
            None => return Err(differs(&name, "is not there")),
        });
    }
    Ok(schemas)
}

/// The entity as it is here, if rows of the other fit into it.
fn alike(here: EntitySchema, exported: &EntitySchema) -> Result<EntitySchema, PortableError> {
    if here.is_dynamic() != exported.is_dynamic() {
        return Err(differs(&here.name, "has documents in the one and fields in the other"));
    }
    for (one, other) in [(&here, exported), (exported, &here)] {
        for field in one.fields() {
            if other.field(field.name.as_str()).map(|own| &own.field_type) != Some(&field.field_type) {
                return Err(differs(&here.name, &format!("differs in the field \"{}\"", field.name)));
            }
        }
    }
    Ok(here)
}

fn differs(entity: &EntityRef, how: &str) -> PortableError {
    PortableError::Refused(HostError::new(
        ErrorCode::Rejected,
        format!(
            "the export has records of {entity}, which here {how}; install the version that they were exported with"
        ),
    ))
}

async fn make_dynamic(storage: &dyn Transfer, name: &EntityRef) -> Result<(), StorageError> {
    let mut platform = storage.begin_platform_transfer(scope(), making()).await?;
    platform.create_dynamic_entity(name).await?;
    platform.commit().await
}

/// The files in the order in which they are taken in.
fn files<'a>(
    contents: &'a Contents,
    schemas: &'a [EntitySchema],
) -> Result<Vec<(TenantTable<'a>, &'a FileOf)>, PortableError> {
    let known: Vec<TenantTable<'_>> = tables(schemas).collect();
    for file in &contents.files {
        let count = contents.files.iter().filter(|own| own.table == file.table).count();
        if count > 1 || !known.iter().any(|table| table.name() == file.table) {
            return Err(PortableError::invalid(format!(
                "export.json has {} for {}, which this release knows nothing of, or has it twice; import with the \
                 release that made it",
                file.file, file.table
            )));
        }
    }
    let file = |table: &TenantTable<'a>| {
        let name = table.name();
        contents.files.iter().find(|file| file.table == name).map(|file| (*table, file))
    };
    Ok(known.iter().filter_map(file).collect())
}

/// Makes the tenant, suspended, or refuses one that is there.
async fn make(
    storage: &dyn Transfer,
    tenant: &TenantId,
    created_at: DateTime<Utc>,
) -> Result<(), PortableError> {
    let mut platform = storage.begin_platform_transfer(scope(), writing()).await?;
    if !platform.create_tenant(tenant, created_at).await? {
        platform.rollback().await?;
        return Err(PortableError::Refused(HostError::new(
            ErrorCode::AlreadyExists,
            format!(
                "tenant {tenant} is there already; import it under another id, or delete that one first (if it is \
                 suspended and was never used, an import was stopped there): erp-plugin tenants delete {tenant}"
            ),
        )));
    }
    platform.set_tenant_state(tenant, TenantState::Suspended).await?;
    Ok(platform.commit().await?)
}

async fn set_state(
    storage: &dyn Transfer,
    tenant: &TenantId,
    state: TenantState,
) -> Result<(), StorageError> {
    let mut platform = storage.begin_platform_transfer(scope(), writing()).await?;
    platform.set_tenant_state(tenant, state).await?;
    platform.commit().await
}

/// What is another here than where a tenant comes from.
struct Here<'a> {
    tenant: &'a TenantId,
    id_there: &'a str,
    schemas: &'a [EntitySchema],
}

impl Here<'_> {
    fn adapt(&self, table: TenantTable<'_>, columns: &[Column], row: &mut Row) {
        match table {
            TenantTable::NumberSeries => json::find_column(row, self.schemas),
            // The key of events that were published without one is their tenant's id.
            TenantTable::NumberedEvents
            | TenantTable::UnnumberedEvents
            | TenantTable::Deliveries
            | TenantTable::Streams => {
                let key = columns.iter().position(|column| column.name == "key");
                if let Some(Value::Text(key)) = key.and_then(|key| row.get_mut(key))
                    && key == self.id_there
                {
                    self.tenant.as_str().clone_into(key);
                }
            }
            _ => {}
        }
    }
}

async fn fill(
    storage: &dyn Transfer,
    here: &Here<'_>,
    reader: &Reader,
    files: &[(TenantTable<'_>, &FileOf)],
    progress: &mut (dyn FnMut(&str, u64) + Send),
) -> Result<u64, PortableError> {
    let (mut numbers, mut all) = (Numbers::default(), 0);
    for (table, file) in files {
        let (columns, name) = (json::columns(*table), table.name());
        let mut page = Vec::new();
        let mut lines = reader.lines(file)?.peekable();
        while let Some(line) = lines.next() {
            let (number, line) = line?;
            let wrong = |reason| PortableError::invalid(format!("{}, line {number}: {reason}", file.file));
            let mut row = json::read(&columns, &line).map_err(wrong)?;
            here.adapt(*table, &columns, &mut row);
            page.push(row);
            if page.len() < PAGE as usize && lines.peek().is_some() {
                continue;
            }
            if matches!(table, TenantTable::Deliveries) {
                numbers.follow(&mut page).map_err(|event| {
                    PortableError::invalid(format!(
                        "{} names the event {event}, which the export has not",
                        file.file
                    ))
                })?;
            }
            take_in(storage, here.tenant, *table, &page, &mut numbers).await?;
            progress(&name, page.len() as u64);
            all += page.len() as u64;
            page.clear();
        }
    }
    Ok(all)
}

/// Takes a page in, again and again while somebody else is in the way.
async fn take_in(
    storage: &dyn Transfer,
    tenant: &TenantId,
    table: TenantTable<'_>,
    page: &[Row],
    numbers: &mut Numbers,
) -> Result<(), StorageError> {
    let mut retries = 0;
    loop {
        let given = async {
            let mut own = storage.begin_transfer(&tenant_scope(tenant), making()).await?;
            let mut given = Numbers::default();
            if matches!(table, TenantTable::NumberedEvents) {
                let mut events = page.to_vec();
                given.give(&mut events, own.last_event_number().await?);
                own.import(table, &events).await?;
            } else {
                own.import(table, page).await?;
            }
            own.commit(None).await.map(|()| given)
        };
        match given.await {
            Err(error) if error.is_transient() && retries < RETRIES => retries += 1,
            given => return given.map(|given| numbers.0.extend(given.0)),
        }
    }
}

/// The numbers that events had and have, in the order of both.
#[derive(Default)]
struct Numbers(Vec<(i64, i64)>);

impl Numbers {
    /// Gives events the numbers after the last one that is taken.
    fn give(&mut self, events: &mut [Row], last: i64) {
        for (number, event) in (last + 1..).zip(events) {
            if let Some(Value::Integer(own)) = event.first_mut() {
                self.0.push((*own, number));
                *own = number;
            }
        }
    }

    /// Has deliveries name their events by the numbers that these have now, or tells of one that is not among them.
    fn follow(&self, deliveries: &mut [Row]) -> Result<(), i64> {
        const EVENT_NUMBER: usize = 3;
        for delivery in deliveries {
            if let Some(Value::Integer(own)) = delivery.get_mut(EVENT_NUMBER) {
                let place = self.0.binary_search_by_key(own, |pair| pair.0).map_err(|_| *own)?;
                *own = self.0.get(place).ok_or(*own)?.1;
            }
        }
        Ok(())
    }
}
