//! About how many records a statement looked at: what the server itself has counted, before it and after it.
//!
//! Sent in one go with the statement, so that it costs no round trip. Where the server does not count
//! (`track_counts = off`), nothing is what it says.

use futures_util::future::join3;

use crate::client::Client;
use crate::error::Result;
use crate::names::read_count;
use crate::sql::Parameter;

/// Records that this transaction has looked at in a table, and in its partitions if it has some.
const LOOKED_AT: &str = "SELECT coalesce(sum(pg_stat_get_xact_tuples_returned(relid) +
         pg_stat_get_xact_tuples_fetched(relid)), 0)::bigint
     FROM (SELECT to_regclass($1)::oid UNION SELECT relid::oid FROM pg_partition_tree(to_regclass($1))) AS t(relid)";

/// Sends a statement that is ready, and tells with its answer how many records it looked at.
pub(crate) async fn around<T>(
    client: &Client,
    table: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<(T, u64)> {
    client.ready(LOOKED_AT).await?;
    let table = [Parameter::Text(table)];
    let (before, done, after) =
        join3(client.one(LOOKED_AT, &table), work, client.one(LOOKED_AT, &table)).await;
    // The work's own error is worth more than that of what follows it.
    let done = done?;
    let (before, after): (u64, u64) = (read_count(&before?, 0)?, read_count(&after?, 0)?);
    Ok((done, after.saturating_sub(before)))
}
