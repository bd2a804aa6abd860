//! A new, empty database on a server.

use std::path::Path;
use std::process::{self, Command};

use anyhow::{Context, Result, bail};

use super::{Server, url};

/// A database that was made here. On a server that is not ours it is dropped with this.
pub(crate) struct Database<'a> {
    server: &'a Server,
    name: String,
}

impl Server {
    /// Makes a database, whose name begins as is said.
    pub(crate) fn new_database(&self, prefix: &str) -> Result<Database<'_>> {
        let name = format!("{prefix}_{}", process::id());
        client(self, "createdb", &[&name])?;
        Ok(Database { server: self, name })
    }
}

impl Database<'_> {
    pub(crate) fn url(&self) -> String {
        url::with_database(&self.server.url, &self.name)
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        if self.server.is_ours() {
            return;
        }
        if let Err(error) = client(self.server, "dropdb", &["--force", "--if-exists", &self.name]) {
            eprintln!("the database {} stays: {error:#}", self.name);
        }
    }
}

/// Runs one of Postgres' client programs. Its own words are the error, since the command holds a password.
fn client(server: &Server, program: &str, arguments: &[&str]) -> Result<()> {
    let path = server.programs.as_deref().unwrap_or(Path::new("")).join(program);
    let path = if path.is_absolute() && path.is_file() { path } else { program.into() };
    let output = Command::new(path)
        .arg(format!("--maintenance-db={}", server.url))
        .args(arguments)
        .output()
        .with_context(|| {
            format!(
                "cannot run {program}, which makes the demo's database; apt-get install postgresql-client, \
                 or give --db the URL of an empty database"
            )
        })?;
    if !output.status.success() {
        bail!("{program} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Durability, Source, VARIABLE, find};

    #[test]
    fn a_database_on_the_server_of_somebody_else_is_dropped_afterwards() {
        let Ok(source @ Source::Running { .. }) = find() else {
            eprintln!("NOT RUN: {VARIABLE} is not set; cargo xtask with-postgres sets it");
            return;
        };
        let server = source.start(Durability::Off).unwrap();
        let database = server.new_database("erp_plugin_xtask").unwrap();
        assert!(database.url().contains("/erp_plugin_xtask_"));
        let again = server.new_database("erp_plugin_xtask").map(|_| ()).unwrap_err();
        assert!(again.to_string().contains("already exists"), "{again}");
        drop(database);
        server.new_database("erp_plugin_xtask").unwrap();
    }
}
