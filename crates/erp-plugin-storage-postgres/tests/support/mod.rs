//! Databases of their own for tests, on the server that `ERP_PLUGIN_TEST_POSTGRES` names.

#![allow(dead_code, reason = "each test file uses its own part of this")]

#[cfg(unix)]
pub(crate) mod cluster;
pub(crate) mod notes;
#[cfg(unix)]
pub(crate) mod proxy;

use std::env;

use erp_plugin_storage_postgres::setup::{self, SetupOptions};
use erp_plugin_storage_postgres::{PostgresOptions, TemporaryDatabase};
use tokio_postgres::{Client, NoTls};

/// The URL of a role that may create databases and roles.
const SERVER: &str = "ERP_PLUGIN_TEST_POSTGRES";
/// The user of a host's URL, as `db init` is told to admit it. It has no rights of its own.
const HOST_USER: &str = "erp_plugin_test_host";
/// A user for everything at once.
const SINGLE_USER: &str = "erp_plugin_test_single";

/// How a database is set up, and by whom it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum As {
    /// Three roles; the host's user takes app and worker, an administrator's URL is for migrations.
    App,
    /// One user that owns everything.
    Owner,
    /// Three roles, and tables in partitions.
    Partitioned,
    /// Three roles and a host's user that no other database has, for tests that change them.
    Apart,
}

/// A database, dropped at the end.
pub(crate) struct Database {
    /// Before the roles, which cannot go while it is there.
    database: TemporaryDatabase,
    _roles: Option<Roles>,
    /// What a host connects with.
    pub(crate) url: String,
    /// What an administrator does.
    pub(crate) admin_url: String,
    /// What the names of its roles begin with, and the host's user.
    pub(crate) prefix: String,
    pub(crate) host_user: String,
}

/// The server, if there is one. Without one tests say so and pass, in CI they fail.
pub(crate) fn server() -> Option<String> {
    let server = env::var(SERVER).ok().filter(|url| !url.is_empty());
    if server.is_none() {
        assert!(env::var_os("CI").is_none(), "{SERVER} is not set, and CI is");
        eprintln!("NOT RUN: {SERVER} is not set; cargo xtask with-postgres cargo test sets it");
    }
    server
}

pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The same URL, with another user.
pub(crate) fn with_user(url: &str, user: &str) -> String {
    let rest = url.split_once("://").unwrap().1;
    let host = rest.split_once('@').map_or(rest, |(_, host)| host);
    format!("postgres://{user}@{host}")
}

impl Database {
    /// A database that was set up.
    pub(crate) async fn new(server: &str, how: As) -> Self {
        let database = Self::empty(server, how).await;
        let options = database.setup();
        let options = match how {
            As::App | As::Apart => options,
            As::Owner => options.single_role(),
            As::Partitioned => options.partitions(3).unwrap(),
        };
        setup::init(&options).await.unwrap();
        database
    }

    /// How it is set up: with three roles, and its host's user admitted.
    pub(crate) fn setup(&self) -> SetupOptions {
        let options = SetupOptions::from_url(&self.admin_url).unwrap();
        options.role_prefix(&self.prefix).unwrap().login(&self.host_user)
    }

    /// What a host is opened with.
    pub(crate) fn options(&self) -> PostgresOptions {
        let options = PostgresOptions::from_url(&self.url).unwrap();
        options.migration_url(&self.admin_url).unwrap()
    }

    /// A connection of somebody who is above everything.
    pub(crate) async fn admin(&self) -> Client {
        connect(&self.admin_url).await
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.database.name()
    }

    /// A database with nothing in it.
    pub(crate) async fn empty(server: &str, how: As) -> Self {
        let database = TemporaryDatabase::create_empty(server).await.unwrap();
        let url = database.url().to_owned();
        let client = connect(&url).await;
        let name = database.name().to_owned();
        let (prefix, host_user) = match how {
            As::Apart => (name.clone(), format!("{name}_host")),
            As::App | As::Owner | As::Partitioned => ("erp_plugin".to_owned(), HOST_USER.to_owned()),
        };
        for user in [host_user.as_str(), SINGLE_USER] {
            // Several tests at once: whoever comes second finds it there.
            let made = format!(
                "DO $$ BEGIN CREATE ROLE {user} LOGIN NOINHERIT;
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            );
            client.batch_execute(&made).await.unwrap();
        }
        let (url, admin_url) = if how == As::Owner {
            client.batch_execute(&format!("ALTER DATABASE {name} OWNER TO {SINGLE_USER}")).await.unwrap();
            let single = with_user(&url, SINGLE_USER);
            (single.clone(), single)
        } else {
            (with_user(&url, &host_user), url)
        };
        let roles = (how == As::Apart).then(|| Roles { server: server.to_owned(), prefix: name });
        Self { database, _roles: roles, url, admin_url, prefix, host_user }
    }
}

/// The roles of one database alone, gone after it.
struct Roles {
    server: String,
    prefix: String,
}

impl Drop for Roles {
    fn drop(&mut self) {
        let roles = ["owner", "app", "worker", "host"].map(|role| format!("{}_{role}", self.prefix));
        let (server, sql) = (self.server.clone(), format!("DROP ROLE IF EXISTS {}", roles.join(", ")));
        // Nothing asynchronous can be waited for here, so it happens on a thread of its own.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { connect(&server).await.batch_execute(&sql).await.unwrap() });
        });
        drop(dropping.join());
    }
}
