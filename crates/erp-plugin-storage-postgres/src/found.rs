//! What a database says about itself: who its roles are, and which release set it up.

use erp_plugin_storage::ErrorKind;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client as Driver, Row};

use crate::connection::{Roles, chain};
use crate::error::{Error, Result};
use crate::migrations::known;
use crate::names::{read_boolean, read_integer, read_text};
use crate::options::{CONNECT_TIMEOUT, Target};
use crate::tls;

/// What a database says about itself.
pub(crate) struct Found {
    pub(crate) roles: Roles,
    /// Whether the one who asks is a member of the owner.
    pub(crate) may_migrate: bool,
    /// Whether they are a member of the app and the worker.
    pub(crate) may_work: bool,
    pub(crate) version: i64,
    pub(crate) oldest_host: i64,
    pub(crate) partitions: i64,
}

/// What a storage needs to know of a database before it works with it.
pub(crate) async fn look(target: &Target) -> Result<Found> {
    let (client, connection) = dial(target).await?;
    let found = found(&client).await;
    drop(client);
    // It ends with its client.
    drop(connection.await);
    let found = found.map_err(|error| match &error {
        // What we make, everybody may look at.
        Error::Postgres(refused) if refused.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            Error::Kind(ErrorKind::Foreign)
        }
        _ => error,
    })?;
    let found = found.ok_or_else(|| Error::Kind(ErrorKind::NeedsMigration))?;
    if found.oldest_host > known() {
        return Err(Error::Kind(ErrorKind::TooNew));
    }
    if found.version < known() {
        return Err(Error::Kind(ErrorKind::NeedsMigration));
    }
    if !found.may_work {
        return Err(Error::Url(format!(
            "this user is no member of {} and {}; run erp-plugin db init with it, or grant them",
            found.roles.app, found.roles.worker
        )));
    }
    Ok(found)
}

/// Which database a connection leads to, whatever its URL calls it.
#[derive(PartialEq, Eq)]
pub(crate) struct Place {
    name: String,
    /// The server, by when it was started, and the database's number in it.
    identity: String,
}

/// Where a connection leads to.
pub(crate) async fn place(client: &Driver) -> Result<Place> {
    let sql =
        "SELECT current_database()::text, extract(epoch FROM pg_postmaster_start_time())::text || ' ' || (
             SELECT oid FROM pg_database WHERE datname = current_database()
         )::text";
    let row = client.query_one(sql, &[]).await?;
    Ok(Place { name: read_text(&row, 0)?.to_owned(), identity: read_text(&row, 1)?.to_owned() })
}

impl Place {
    /// What is wrong when a migration URL leads here and the other URL there.
    pub(crate) fn differs_from(&self, other: &Self) -> Option<String> {
        let servers = if self.name == other.name { " of another server" } else { "" };
        (self != other).then(|| {
            format!(
                "the migration URL leads to the database {}{servers}, and the URL to {}; give two users of one database",
                self.name, other.name
            )
        })
    }
}

/// Refuses a migration URL that leads to another database: tables would be made there, and tenants' rows copied there.
pub(crate) async fn check_same(target: &Target, migration: &Target) -> Result<()> {
    let (own, owners) = (dial(target).await?.0, dial(migration).await?.0);
    match place(&owners).await?.differs_from(&place(&own).await?) {
        Some(wrong) => Err(Error::Url(wrong)),
        None => Ok(()),
    }
}

/// What it says, if it was ever set up.
pub(crate) async fn found(client: &Driver) -> Result<Option<Found>> {
    let sql = "SELECT version, oldest_host, owner_role, app_role, worker_role, partitions,
             pg_has_role(owner_role, 'MEMBER'), pg_has_role(app_role, 'MEMBER') AND pg_has_role(worker_role, 'MEMBER')
         FROM erp_plugin.system_schema";
    match client.query_opt(sql, &[]).await {
        Ok(row) => row.as_ref().map(read_found).transpose(),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_absent(error: &tokio_postgres::Error) -> bool {
    error
        .code()
        .is_some_and(|code| *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME)
}

fn read_found(row: &Row) -> Result<Found> {
    Ok(Found {
        version: read_integer(row, 0)?,
        oldest_host: read_integer(row, 1)?,
        roles: Roles {
            owner: read_text(row, 2)?.to_owned(),
            app: read_text(row, 3)?.to_owned(),
            worker: read_text(row, 4)?.to_owned(),
        },
        partitions: read_integer(row, 5)?,
        may_migrate: read_boolean(row, 6)?,
        may_work: read_boolean(row, 7)?,
    })
}

/// Connects. The connection ends with its client.
pub(crate) async fn dial(target: &Target) -> Result<(Driver, JoinHandle<()>)> {
    let connector = tls::connector(&target.tls)?;
    let config = &target.config;
    // The driver's own patience ends when the host takes the connection, whether or not a server ever says a word.
    let hosts = u32::try_from(config.get_hosts().len().max(config.get_hostaddrs().len())).unwrap_or(u32::MAX);
    let patience =
        config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT).saturating_mul(hosts.max(1));
    let dialled = timeout(patience, config.connect(connector)).await;
    let (client, connection) = dialled
        .map_err(|_| Error::Pool(format!("{target} did not answer within {patience:?}")))?
        .map_err(|error| Error::Pool(format!("{target}: {}", chain(&error))))?;
    Ok((client, tokio::spawn(async move { drop(connection.await) })))
}
