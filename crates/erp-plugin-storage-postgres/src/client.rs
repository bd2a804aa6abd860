//! One connection, and how statements are sent on it.
//!
//! A prepared statement is found by its text, in the connection. How many texts there are, guests decide with their
//! filters: so a long one is parsed, run and forgotten, which takes no round trip more, and a connection that has too
//! many forgets them all when it comes back.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_postgres::{ClientWrapper, Object};
use futures_util::TryStreamExt as _;
use futures_util::future::join;
use tokio_postgres::types::Type;
use tokio_postgres::{Row, RowStream};

use crate::error::{Error, Result};
use crate::sql::{Parameter, Sql};
use crate::statements::Text;

/// The longest text of a statement that is kept prepared.
const LONGEST_KEPT: usize = 8 << 10;
/// The most statements that a connection keeps prepared.
const MOST_KEPT: usize = 512;

/// A connection out of the pool. Goes back to it when dropped, unless it was spoilt.
pub(crate) struct Client {
    connection: Option<Object>,
    spoilt: AtomicBool,
    /// Whether tables are made on it, which may be gone with its transaction.
    makes_tables: bool,
}

impl Client {
    pub(crate) fn new(connection: Object, makes_tables: bool) -> Self {
        Self { connection: Some(connection), spoilt: AtomicBool::new(false), makes_tables }
    }

    /// Has it closed, not handed on.
    pub(crate) fn spoil(&self) {
        self.spoilt.store(true, Ordering::Relaxed);
    }

    /// Whether tables are made on it.
    pub(crate) fn makes_tables(&self) -> bool {
        self.makes_tables
    }

    /// Sends statements without parameters.
    pub(crate) async fn batch(&self, sql: &str) -> Result<()> {
        Ok(self.batch_execute(sql).await?)
    }

    /// Sends a statement of this crate's own and takes all its rows.
    pub(crate) async fn rows(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>> {
        Ok(self.stream(sql, parameters).await?.try_collect().await?)
    }

    /// Sends a statement that gives at most one row.
    pub(crate) async fn row(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Option<Row>> {
        Ok(self.rows(sql, parameters).await?.pop())
    }

    /// Sends a statement that gives exactly one row.
    pub(crate) async fn one(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Row> {
        self.row(sql, parameters).await?.ok_or_else(|| Error::Unreadable("row"))
    }

    /// Sends two statements of this crate's own in one go. Under READ COMMITTED, as
    /// the platform's transactions are, the second sees what the first has waited for.
    pub(crate) async fn one_then_rows(
        &self,
        first: (&str, &[Parameter<'_>]),
        second: (&str, &[Parameter<'_>]),
    ) -> Result<(Row, Vec<Row>)> {
        self.ready(first.0).await?;
        self.ready(second.0).await?;
        let (one, rows) = join(self.one(first.0, first.1), self.rows(second.0, second.1)).await;
        Ok((one?, rows?))
    }

    /// Sends a statement of this crate's own, and returns how many rows it wrote.
    pub(crate) async fn execute(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<u64> {
        let statement = self.prepare_cached(sql).await?;
        Ok(self.execute_raw(&statement, parameters).await?)
    }

    /// Sends a statement of this crate's own.
    pub(crate) async fn stream(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<RowStream> {
        let statement = self.prepare_cached(sql).await?;
        Ok(self.query_raw(&statement, parameters).await?)
    }

    /// Prepares a statement, so that the next call with it sends it at once: what is to be sent in one go has to be
    /// ready before.
    pub(crate) async fn ready(&self, sql: &str) -> Result<()> {
        drop(self.prepare_cached(sql).await?);
        Ok(())
    }

    /// As [`ready`](Self::ready), for a statement whose text depends on what a guest asked for.
    pub(crate) async fn ready_built(&self, sql: &Sql<'_>) -> Result<()> {
        if sql.text.len() <= LONGEST_KEPT {
            drop(self.prepare_typed_cached(&sql.text, &types(sql)).await?);
        }
        Ok(())
    }

    /// As [`ready`](Self::ready), for one of an entity's statements.
    pub(crate) async fn ready_text(&self, text: &Text) -> Result<()> {
        drop(self.prepare_typed_cached(&text.sql, &text.types).await?);
        Ok(())
    }

    /// Sends one of an entity's statements and takes all its rows.
    pub(crate) async fn rows_text(&self, text: &Text, parameters: &[Parameter<'_>]) -> Result<Vec<Row>> {
        let statement = self.prepare_typed_cached(&text.sql, &text.types).await?;
        Ok(self.query_raw(&statement, parameters).await?.try_collect().await?)
    }

    /// Sends one of an entity's statements, and returns how many rows it wrote.
    pub(crate) async fn execute_text(&self, text: &Text, parameters: &[Parameter<'_>]) -> Result<u64> {
        let statement = self.prepare_typed_cached(&text.sql, &text.types).await?;
        Ok(self.execute_raw(&statement, parameters).await?)
    }

    /// Sends a statement whose text depends on what a guest asked for.
    pub(crate) async fn stream_built(&self, sql: &Sql<'_>) -> Result<RowStream> {
        if sql.text.len() > LONGEST_KEPT {
            let parameters = sql.parameters.iter().map(|(value, of)| (value, of.clone()));
            return Ok(self.query_typed_raw(&sql.text, parameters).await?);
        }
        let statement = self.prepare_typed_cached(&sql.text, &types(sql)).await?;
        Ok(self.query_raw(&statement, sql.parameters.iter().map(|(value, _)| value)).await?)
    }

    /// As [`stream_built`](Self::stream_built), taking all rows.
    pub(crate) async fn rows_built(&self, sql: &Sql<'_>) -> Result<Vec<Row>> {
        Ok(self.stream_built(sql).await?.try_collect().await?)
    }
}

fn types(sql: &Sql<'_>) -> Vec<Type> {
    sql.parameters.iter().map(|(_, of)| of.clone()).collect()
}

#[expect(clippy::expect_used, reason = "the connection is taken only where the client itself ends")]
impl Deref for Client {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        self.connection.as_ref().expect("a client holds its connection")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if *self.spoilt.get_mut() {
            drop(Object::take(connection));
            return;
        }
        // What was prepared for a table that is gone would fail on one that takes its place.
        if self.makes_tables || connection.statement_cache.size() > MOST_KEPT {
            connection.statement_cache.clear();
        }
    }
}
