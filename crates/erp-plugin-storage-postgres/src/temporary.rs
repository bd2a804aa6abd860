//! A database for the length of a test, on a server that is there.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::setup::{self, SetupError, SetupOptions};

/// A database that was made and set up, and is dropped at the end, whoever still uses it.
pub struct TemporaryDatabase {
    server: String,
    name: String,
    url: String,
}

impl TemporaryDatabase {
    /// Makes one on the server that a URL names, whose user may create databases and roles. Its name begins with
    /// `erp_plugin_test_`.
    pub async fn create(server: &str) -> Result<Self, SetupError> {
        let database = Self::create_empty(server).await?;
        setup::init(&SetupOptions::from_url(&database.url)?).await?;
        Ok(database)
    }

    /// As [`create`](Self::create), and leaves the setting up to the caller.
    pub async fn create_empty(server: &str) -> Result<Self, SetupError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("erp_plugin_test_{}_{number}", std::process::id());
        setup::execute(server, "create the database", &format!("CREATE DATABASE {name}")).await?;
        Ok(Self { server: server.to_owned(), url: with_database(server, &name), name })
    }

    /// Does something in it as the server's user: what a test needs that damages it.
    pub async fn execute(&self, sql: &str) -> Result<(), SetupError> {
        setup::execute(&self.url, "execute", sql).await
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL, with the user of the server's.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// The same URL, with another database.
fn with_database(url: &str, name: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    let (scheme, rest) = base.split_once("://").unwrap_or(("postgres", base));
    let host = rest.split_once('/').map_or(rest, |(host, _)| host);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{scheme}://{host}/{name}{query}")
}

impl Drop for TemporaryDatabase {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let server = std::mem::take(&mut self.server);
        // Nothing asynchronous can be waited for here, so it happens on a thread with a runtime of its own. A server
        // that has gone meanwhile has taken the database with it.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.is_ok_and(|runtime| {
                runtime.block_on(setup::execute(&server, "drop the database", &sql)).is_ok()
            })
        });
        drop(dropping.join());
    }
}

impl fmt::Debug for TemporaryDatabase {
    // A password is part of the URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemporaryDatabase").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_database_of_a_url_is_replaced() {
        for (url, expected) in [
            ("postgres://u@h:5/old", "postgres://u@h:5/new"),
            ("postgres://h", "postgres://h/new"),
            ("postgres://u@%2Ftmp%2Fpg/old?pool_size=2", "postgres://u@%2Ftmp%2Fpg/new?pool_size=2"),
        ] {
            assert_eq!(with_database(url, "new"), expected);
        }
    }
}
