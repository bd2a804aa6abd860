//! About how many records a statement looked at: what the server itself has counted, before it and after it.
//!
//! Sent in one go with the statement, so that it costs no round trip. Where the server does not count
//! (`track_counts = off`), nothing is what it says.

use futures_util::future::join3;

use crate::client::Client;
use crate::error::Result;
use crate::names::{read_count, read_integer};
use crate::sql::Parameter;

/// A table, its partitions, and all their indexes: what is read through an index is counted there.
const RELATIONS: &str = "WITH tables AS (
         SELECT to_regclass($1)::oid AS id UNION SELECT relid::oid FROM pg_partition_tree(to_regclass($1))
     )
     SELECT id::bigint FROM tables
     UNION ALL SELECT i.indexrelid::bigint FROM pg_index AS i JOIN tables AS t ON i.indrelid = t.id";
/// What this transaction has read of them.
const LOOKED_AT: &str = "SELECT coalesce(sum(pg_stat_get_xact_tuples_returned(r.id::oid)), 0)::bigint
     FROM unnest($1::bigint[]) AS r(id)";

/// What is counted apart for a table, given its full name.
pub(crate) async fn relations(client: &Client, table: &str) -> Result<Vec<i64>> {
    let rows = client.rows(RELATIONS, &[Parameter::Text(table)]).await?;
    rows.iter().map(|row| read_integer(row, 0)).collect()
}

/// Sends a statement that is ready, and tells with its answer how many records it looked at.
pub(crate) async fn around<T>(
    client: &Client,
    relations: &[i64],
    work: impl Future<Output = Result<T>>,
) -> Result<(T, u64)> {
    client.ready(LOOKED_AT).await?;
    let relations = [Parameter::many(relations.iter().map(|id| Parameter::Integer(*id)))];
    let (before, done, after) =
        join3(client.one(LOOKED_AT, &relations), work, client.one(LOOKED_AT, &relations)).await;
    // The work's own error is worth more than that of what follows it.
    let done = done?;
    let (before, after): (u64, u64) = (read_count(&before?, 0)?, read_count(&after?, 0)?);
    Ok((done, after.saturating_sub(before)))
}
