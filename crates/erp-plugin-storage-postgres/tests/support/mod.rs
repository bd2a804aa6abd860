//! Databases of their own for tests, on the server that `ERP_PLUGIN_TEST_POSTGRES` names.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};

use erp_plugin_storage_postgres::setup::{self, SetupOptions};
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
}

/// A database, dropped at the end.
pub(crate) struct Database {
    server: String,
    name: String,
    /// What a host connects with.
    pub(crate) url: String,
    /// What an administrator does.
    pub(crate) admin_url: String,
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
fn with_user(url: &str, user: &str) -> String {
    let rest = url.split_once("://").unwrap().1;
    let host = rest.split_once('@').map_or(rest, |(_, host)| host);
    format!("postgres://{user}@{host}")
}

/// The same URL, with another database.
fn with_database(url: &str, name: &str) -> String {
    let (base, query) =
        url.split_once('?').map_or((url, String::new()), |(base, query)| (base, format!("?{query}")));
    let (host, _) = base.rsplit_once('/').unwrap();
    format!("{host}/{name}{query}")
}

impl Database {
    /// A database that was set up.
    pub(crate) async fn new(server: &str, how: As) -> Self {
        let database = Self::empty(server, how).await;
        let options = SetupOptions::from_url(&database.admin_url).unwrap();
        let options = match how {
            As::App => options.login(HOST_USER),
            As::Owner => options.single_role(),
            As::Partitioned => options.login(HOST_USER).partitions(3).unwrap(),
        };
        setup::init(&options).await.unwrap();
        database
    }

    /// A database with nothing in it.
    pub(crate) async fn empty(server: &str, how: As) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("erp_plugin_test_{}_{number}", std::process::id());
        let client = connect(server).await;
        for user in [HOST_USER, SINGLE_USER] {
            // Several tests at once: whoever comes second finds it there.
            let made = format!(
                "DO $$ BEGIN CREATE ROLE {user} LOGIN NOINHERIT;
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            );
            client.batch_execute(&made).await.unwrap();
        }
        let owner = if how == As::Owner { format!(" OWNER {SINGLE_USER}") } else { String::new() };
        client.batch_execute(&format!("CREATE DATABASE {name}{owner}")).await.unwrap();
        let admin_url = with_database(server, &name);
        let single = with_user(&admin_url, SINGLE_USER);
        let (url, admin_url) = match how {
            As::Owner => (single.clone(), single),
            As::App | As::Partitioned => (with_user(&admin_url, HOST_USER), admin_url),
        };
        Self { server: server.to_owned(), name, url, admin_url }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let server = self.server.clone();
        // Nothing asynchronous can be waited for here, so it happens on a thread of its own.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { connect(&server).await.batch_execute(&sql).await }).unwrap();
        });
        drop(dropping.join());
    }
}
