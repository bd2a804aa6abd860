//! Setting a database up: roles, schema and system tables. For an administrator, once, and again with each release that
//! has other tables; a storage that is opened never does it.
//!
//! Three roles without a login. The *owner* owns all tables; the *app* is what invocations are, kept in one tenant by
//! row-level security; the *worker* sees the system's tables of all tenants and no others. A host's user is a member
//! of the last two, and takes one of them for each transaction; who installs plugins is a member of the owner too.
//! Where roles cannot be made, one user is all three ([`SetupOptions::single_role`]): row-level security still keeps
//! entities' records apart, and nothing keeps the host's own work out of them.

mod check;

use tokio_postgres::Client as Driver;
use tokio_postgres::error::SqlState;

use crate::connection::{Roles, chain, quote};
use crate::error::Error;
use crate::found::{Found, dial, found, place};
use crate::migrations::{MIGRATIONS, known};
use crate::options::{InvalidUrl, PostgresOptions, Target, parse};

pub use check::{Finding, check, clock};

/// The oldest Postgres that has all that is used.
const OLDEST: i32 = 140_000;
/// The most partitions that tables can be made with.
pub const MAX_PARTITIONS: u32 = 64;
/// What the names of roles begin with unless something else is asked for.
const DEFAULT_PREFIX: &str = "erp_plugin";
/// How often a setup that met another one is begun again.
const ATTEMPTS: u32 = 20;

/// Why a database could not be set up. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The URL cannot be used.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// Something is not as it must be; the text says what, and the way out.
    #[error("{0}")]
    Refused(String),
    /// Postgres said no, or could not be reached.
    #[error("{doing}: {reason}")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// What the server said.
        reason: String,
    },
}

/// How a database is to be set up.
#[derive(Clone)]
pub struct SetupOptions {
    target: Target,
    prefix: String,
    single_role: bool,
    login: Option<String>,
    host: Option<Target>,
    partitions: u32,
}

/// Something that a setup has done, or found to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What, for people.
    pub what: String,
    /// Whether it was done now.
    pub done_now: bool,
}

impl SetupOptions {
    /// With the URL of a user who may create roles and a schema in this database.
    pub fn from_url(url: &str) -> Result<Self, InvalidUrl> {
        let target = parse(url)?.0;
        Ok(Self {
            target,
            prefix: DEFAULT_PREFIX.to_owned(),
            single_role: false,
            login: None,
            host: None,
            partitions: 0,
        })
    }

    /// Begins the names of the three roles with this, `erp_plugin` unless said otherwise: roles belong to the whole
    /// server, and other databases may have theirs.
    pub fn role_prefix(mut self, prefix: &str) -> Result<Self, SetupError> {
        let valid = (1..=40).contains(&prefix.len())
            && prefix.starts_with(|c: char| c.is_ascii_lowercase())
            && prefix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !valid {
            return Err(SetupError::Refused(format!(
                "{prefix:?} is no prefix for roles: 1 to 40 of a-z 0-9 _, beginning with a letter"
            )));
        }
        prefix.clone_into(&mut self.prefix);
        Ok(self)
    }

    /// Makes no roles: the URL's user is owner, app and worker in one.
    #[must_use]
    pub fn single_role(mut self) -> Self {
        self.single_role = true;
        self
    }

    /// Makes this user, which must exist, a member of app and worker: the user of a host's URL.
    #[must_use]
    pub fn login(mut self, user: &str) -> Self {
        self.login = Some(user.to_owned());
        self
    }

    /// As [`login`](Self::login), for the user of a host's URL, which must lead to the same database.
    #[must_use]
    pub fn host(mut self, options: &PostgresOptions) -> Self {
        self.login = options.user().map(str::to_owned);
        self.host = Some(options.target.clone());
        self
    }

    /// Splits each entity's table by a hash of the tenant into so many partitions; 0, which is none, unless said
    /// otherwise. Cannot be changed later.
    pub fn partitions(mut self, partitions: u32) -> Result<Self, SetupError> {
        if partitions > MAX_PARTITIONS {
            return Err(SetupError::Refused(format!(
                "{partitions} partitions are too many; at most {MAX_PARTITIONS}"
            )));
        }
        self.partitions = partitions;
        Ok(self)
    }
}

/// Sets a database up: makes the roles, the schema and the system's tables that are not there. Doing it again changes
/// nothing. All of it is one transaction.
pub async fn init(options: &SetupOptions) -> Result<Vec<Step>, SetupError> {
    check_host(options).await?;
    let mut attempt = 1;
    loop {
        let client = connect(&options.target).await?;
        match init_once(&client, options).await {
            Err(Attempt::Met) if attempt < ATTEMPTS => {
                attempt += 1;
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            Err(Attempt::Met) => {
                return Err(SetupError::Refused(
                    "somebody else is setting this server up; try again".to_owned(),
                ));
            }
            Err(Attempt::Failed(error)) => return Err(error),
            Ok(steps) => return Ok(steps),
        }
    }
}

/// Whether a database was set up before, by this release or another one.
pub async fn is_set_up(options: &SetupOptions) -> Result<bool, SetupError> {
    Ok(read_schema(&connect(&options.target).await?).await?.is_some())
}

/// Brings the system's tables up to this release; what it did, of which nothing may be new.
pub async fn migrate(options: &SetupOptions) -> Result<Vec<Step>, SetupError> {
    let client = connect(&options.target).await?;
    let Some(found) = read_schema(&client).await? else {
        return Err(SetupError::Refused("this database was never set up; run erp-plugin db init".to_owned()));
    };
    check_not_newer(&found)?;
    if !found.may_migrate {
        return Err(not_a_member(&client, &found.roles).await?);
    }
    let mut steps = Vec::new();
    batch(&client, "begin", "BEGIN").await?;
    steps.push(run_migrations(&client, &found.roles, found.version, None).await?);
    batch(&client, "commit", "COMMIT").await?;
    Ok(steps)
}

/// Does one thing as a URL's user.
pub(crate) async fn execute(url: &str, doing: &'static str, sql: &str) -> Result<(), SetupError> {
    batch(&connect(&parse(url)?.0).await?, doing, sql).await
}

enum Attempt {
    /// Another setup of the same server was under way.
    Met,
    Failed(SetupError),
}

impl From<SetupError> for Attempt {
    fn from(error: SetupError) -> Self {
        Self::Failed(error)
    }
}

/// Tells two setups that met from a refusal.
fn attempt(doing: &'static str, error: &tokio_postgres::Error) -> Attempt {
    let met = error.code().is_some_and(|code| {
        [
            SqlState::DUPLICATE_OBJECT,
            SqlState::DUPLICATE_SCHEMA,
            SqlState::UNIQUE_VIOLATION,
            SqlState::DUPLICATE_TABLE,
            SqlState::T_R_DEADLOCK_DETECTED,
            // "tuple concurrently updated" has no state of its own.
            SqlState::INTERNAL_ERROR,
        ]
        .contains(code)
    });
    if met { Attempt::Met } else { Attempt::Failed(failed(doing, error)) }
}

fn failed(doing: &'static str, error: &tokio_postgres::Error) -> SetupError {
    let reason = error.as_db_error().map_or_else(|| chain(error), |error| error.message().to_owned());
    SetupError::Failed { doing, reason }
}

async fn init_once(client: &Driver, options: &SetupOptions) -> Result<Vec<Step>, Attempt> {
    let mut steps = vec![Step { what: check_server(client).await?, done_now: false }];
    let found = read_schema(client).await?;
    if let Some(found) = &found {
        check_not_newer(found)?;
        check_unchanged(found, options)?;
    }
    batch(client, "begin", "BEGIN").await?;
    let roles = match &found {
        Some(found) => found.roles.clone(),
        None => chosen_roles(client, options).await?,
    };
    if roles.owner != roles.app {
        for (name, what) in [(&roles.owner, "owner"), (&roles.app, "app"), (&roles.worker, "worker")] {
            steps.push(make_role(client, name, what).await?);
        }
        steps.push(join_owner(client, &roles.owner).await?);
    }
    if let Some(login) = &options.login
        && roles.owner != roles.app
    {
        steps.push(admit(client, login, &roles).await?);
    }
    let schema =
        one_bool(client, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'erp_plugin')").await?;
    if !schema {
        let owner = quote(&roles.owner);
        run(client, "make the schema", &format!("CREATE SCHEMA erp_plugin AUTHORIZATION {owner}")).await?;
    } else if found.is_none() {
        return Err(SetupError::Refused(
            "this database has a schema erp_plugin that is another program's; use another database"
                .to_owned(),
        )
        .into());
    } else {
        check_owner(client, &roles).await?;
    }
    steps.push(Step { what: format!("schema erp_plugin, owned by {}", roles.owner), done_now: !schema });
    let version = found.as_ref().map_or(0, |found| found.version);
    let partitions = found.is_none().then_some(options.partitions);
    steps.push(run_migrations(client, &roles, version, partitions).await?);
    run(client, "commit", "COMMIT").await?;
    Ok(steps)
}

/// Refuses a host's URL that leads to another database. One that does not let its user in yet is taken at its word.
async fn check_host(options: &SetupOptions) -> Result<(), SetupError> {
    let Some(host) = &options.host else { return Ok(()) };
    let refused = |wrong: String| Err(SetupError::Refused(wrong));
    let Ok(theirs) = connect(host).await else {
        // Without a name the server takes the user's.
        let name =
            |target: &Target| target.config.get_dbname().or(target.config.get_user()).map(str::to_owned);
        return if name(&options.target) == name(host) {
            Ok(())
        } else {
            refused(format!(
                "the migration URL names {}, and the URL {host}, which cannot be reached; name one database in both",
                options.target
            ))
        };
    };
    match differs(&connect(&options.target).await?, &theirs).await? {
        Some(wrong) => refused(wrong),
        None => Ok(()),
    }
}

/// What is wrong when a migration URL leads to another database than the other URL.
async fn differs(migration: &Driver, own: &Driver) -> Result<Option<String>, SetupError> {
    let places = async { Ok(place(migration).await?.differs_from(&place(own).await?)) };
    places
        .await
        .map_err(|error: Error| SetupError::Failed { doing: "look where it is", reason: chain(&error) })
}

/// A dump that was restored without its owners leaves everything to whoever restored it.
async fn check_owner(client: &Driver, roles: &Roles) -> Result<(), SetupError> {
    let sql = "SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = 'erp_plugin'";
    let owner: String = client
        .query_one(sql, &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|error| failed("look at the schema", &error))?;
    if owner == roles.owner {
        return Ok(());
    }
    Err(SetupError::Refused(format!(
        "the schema erp_plugin belongs to {owner}, not to {own}; ALTER SCHEMA erp_plugin OWNER TO {own}, and see what \
         erp-plugin db check finds",
        own = roles.owner
    )))
}

fn check_not_newer(found: &Found) -> Result<(), SetupError> {
    if found.oldest_host > known() {
        return Err(SetupError::Refused(format!(
            "the system tables have version {}, and this release knows {}; use the newer release",
            found.version,
            known()
        )));
    }
    Ok(())
}

/// Refuses options that would have to be chosen anew.
fn check_unchanged(found: &Found, options: &SetupOptions) -> Result<(), SetupError> {
    let Roles { owner, app, .. } = &found.roles;
    let single = owner == app;
    let asked = i64::from(options.partitions);
    let wrong = if asked != 0 && asked != found.partitions {
        format!("{} partitions, not {asked}", found.partitions)
    } else if options.single_role && !single {
        format!("the roles {owner} and {app}, not a single one")
    } else if !options.single_role
        && options.prefix != DEFAULT_PREFIX
        && *app != format!("{}_app", options.prefix)
    {
        format!("the role {app}, not {}_app", options.prefix)
    } else {
        return Ok(());
    };
    Err(SetupError::Refused(format!(
        "this database was set up with {wrong}, which cannot be changed; leave the option out, or use another database"
    )))
}

async fn chosen_roles(client: &Driver, options: &SetupOptions) -> Result<Roles, SetupError> {
    if !options.single_role {
        let SetupOptions { prefix, .. } = options;
        return Ok(Roles {
            owner: format!("{prefix}_owner"),
            app: format!("{prefix}_app"),
            worker: format!("{prefix}_worker"),
        });
    }
    let sql =
        "SELECT current_user::text, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user";
    let row = client.query_one(sql, &[]).await.map_err(|error| failed("look at the user", &error))?;
    let user: String = row.try_get(0).map_err(|error| failed("look at the user", &error))?;
    if row.try_get(1).unwrap_or(true) {
        return Err(SetupError::Refused(format!(
            "{user} is above row-level security, which is what keeps tenants apart; set up with roles, or as another user"
        )));
    }
    if user.contains(['"', '\'', '%', '$']) {
        return Err(SetupError::Refused(format!("the user {user:?} has a name that cannot be used")));
    }
    Ok(Roles { owner: user.clone(), app: user.clone(), worker: user })
}

async fn make_role(client: &Driver, name: &str, what: &str) -> Result<Step, Attempt> {
    let sql = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)";
    let row = client.query_one(sql, &[&name]).await.map_err(|error| failed("look for roles", &error))?;
    let there: bool = row.try_get(0).map_err(|error| failed("look for roles", &error))?;
    if !there {
        run(client, "make the roles", &format!("CREATE ROLE {} NOLOGIN", quote(name))).await?;
    }
    Ok(Step { what: format!("role {name}, the {what}"), done_now: !there })
}

/// Makes whoever sets up a member of the owner, which a superuser is anyway.
async fn join_owner(client: &Driver, owner: &str) -> Result<Step, Attempt> {
    let sql = "SELECT pg_has_role($1, 'MEMBER'), current_user::text";
    let row = client.query_one(sql, &[&owner]).await.map_err(|error| failed("look at the roles", &error))?;
    let is_member: bool = row.try_get(0).map_err(|error| failed("look at the roles", &error))?;
    let user: String = row.try_get(1).map_err(|error| failed("look at the roles", &error))?;
    if !is_member {
        run(client, "join the owner", &format!("GRANT {} TO {}", quote(owner), quote(&user))).await?;
    }
    Ok(Step { what: format!("{user} may act as {owner}"), done_now: !is_member })
}

/// Makes a host's user a member of the roles that it works in.
async fn admit(client: &Driver, login: &str, roles: &Roles) -> Result<Step, Attempt> {
    let sql =
        "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1), current_setting('server_version_num')::int";
    let row = client.query_one(sql, &[&login]).await.map_err(|error| failed("look for the user", &error))?;
    if !row.try_get::<_, bool>(0).unwrap_or(false) {
        return Err(SetupError::Refused(format!(
            "there is no user {login}; create one: CREATE ROLE {} LOGIN PASSWORD '…'",
            quote(login)
        ))
        .into());
    }
    let sql = "SELECT pg_has_role($1, $2, 'MEMBER') AND pg_has_role($1, $3, 'MEMBER')";
    let is_member: bool = client
        .query_one(sql, &[&login, &roles.app, &roles.worker])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|error| failed("look at the roles", &error))?;
    if !is_member {
        // Where it can be said: the rights are had by taking the role, and not before.
        let version: i32 = row.try_get(1).unwrap_or_default();
        let how = if version >= 160_000 { " WITH INHERIT FALSE, SET TRUE" } else { "" };
        let grant = format!("GRANT {}, {} TO {}{how}", quote(&roles.app), quote(&roles.worker), quote(login));
        run(client, "admit the user", &grant).await?;
    }
    Ok(Step { what: format!("{login} may work as {} and {}", roles.app, roles.worker), done_now: !is_member })
}

async fn run_migrations(
    client: &Driver,
    roles: &Roles,
    from: i64,
    partitions: Option<u32>,
) -> Result<Step, SetupError> {
    batch(client, "act as the owner", &format!("SET LOCAL ROLE {}", quote(&roles.owner))).await?;
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > from) {
        batch(client, "make the system's tables", &migration.sql(roles)).await?;
        let (version, oldest) = (migration.version, migration.oldest_host);
        let sql = match partitions {
            Some(partitions) if version == 1 => {
                let [owner, app, worker] =
                    [&roles.owner, &roles.app, &roles.worker].map(|role| role.replace('\'', "''"));
                format!(
                    "INSERT INTO erp_plugin.system_schema
                         (version, oldest_host, owner_role, app_role, worker_role, partitions)
                     VALUES ({version}, {oldest}, '{owner}', '{app}', '{worker}', {partitions})"
                )
            }
            _ => format!("UPDATE erp_plugin.system_schema SET version = {version}, oldest_host = {oldest}"),
        };
        batch(client, "note the version", &sql).await?;
    }
    Ok(Step { what: format!("system tables, version {}", known().max(from)), done_now: from < known() })
}

async fn not_a_member(client: &Driver, roles: &Roles) -> Result<SetupError, SetupError> {
    let user: String = client
        .query_one("SELECT current_user::text", &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|error| failed("look at the user", &error))?;
    Ok(SetupError::Refused(format!(
        "{user} may not act as {owner}, who owns the tables; give the migration URL of one who may, or: GRANT {owner} TO {user}",
        owner = roles.owner
    )))
}

async fn check_server(client: &Driver) -> Result<String, SetupError> {
    let sql = "SELECT current_setting('server_version'), current_setting('server_version_num')::int,
         current_setting('server_encoding'), current_database()::text, current_user::text";
    let row = client.query_one(sql, &[]).await.map_err(|error| failed("ask for the version", &error))?;
    let text = |column: usize| row.try_get::<_, String>(column).unwrap_or_default();
    let number: i32 = row.try_get(1).unwrap_or_default();
    if number < OLDEST {
        return Err(SetupError::Refused(format!("this is Postgres {}; 14 or newer is needed", text(0))));
    }
    if text(2) != "UTF8" {
        return Err(SetupError::Refused(format!(
            "the database {} is in {}; it must be in UTF8: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
            text(3),
            text(2)
        )));
    }
    Ok(format!("Postgres {}, database {}, as {}", text(0), text(3), text(4)))
}

async fn read_schema(client: &Driver) -> Result<Option<Found>, SetupError> {
    found(client)
        .await
        .map_err(|error| SetupError::Failed { doing: "look at the schema", reason: chain(&error) })
}

async fn connect(target: &Target) -> Result<Driver, SetupError> {
    let dialled = dial(target).await;
    let (client, _) =
        dialled.map_err(|error| SetupError::Failed { doing: "connect", reason: chain(&error) })?;
    Ok(client)
}

async fn one_bool(client: &Driver, sql: &str) -> Result<bool, SetupError> {
    client
        .query_one(sql, &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|error| failed("look at the schema", &error))
}

async fn batch(client: &Driver, doing: &'static str, sql: &str) -> Result<(), SetupError> {
    client.batch_execute(sql).await.map_err(|error| failed(doing, &error))
}

async fn run(client: &Driver, doing: &'static str, sql: &str) -> Result<(), Attempt> {
    client.batch_execute(sql).await.map_err(|error| attempt(doing, &error))
}
