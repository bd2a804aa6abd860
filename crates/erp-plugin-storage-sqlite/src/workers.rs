//! [`Workers`]: signs of life, and what becomes of those who give none.

use async_trait::async_trait;
use erp_plugin_model::WorkerId;
use erp_plugin_storage::{StorageResult, WorkerState, Workers};
use rusqlite::Connection;

use crate::error::Result;
use crate::names::read_uuid;
use crate::transaction::SqlitePlatformTransaction;

#[async_trait]
impl Workers for SqlitePlatformTransaction {
    async fn beat(&mut self, worker: WorkerId) -> StorageResult<()> {
        self.session.write("beat", |connection| beat(connection, worker))
    }

    async fn workers(&mut self) -> StorageResult<Vec<WorkerState>> {
        self.session.read("workers", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, beat, EXISTS (SELECT 1 FROM streams WHERE claimed_by = workers.id)
                     OR EXISTS (SELECT 1 FROM job_runs WHERE claimed_by = workers.id)
                 FROM workers ORDER BY id",
            )?;
            let mut rows = statement.query(())?;
            let mut workers = Vec::new();
            while let Some(row) = rows.next()? {
                let worker = WorkerId(read_uuid(row, 0)?);
                workers.push(WorkerState { worker, beat: row.get(1)?, is_busy: row.get(2)? });
            }
            Ok(workers)
        })
    }

    async fn retire(&mut self, worker: WorkerState) -> StorageResult<bool> {
        self.session.write_long("retire", |connection| {
            let id = &worker.worker.0.as_bytes()[..];
            let gone = connection
                .prepare_cached("DELETE FROM workers WHERE id = ?1 AND beat = ?2")?
                .execute((id, worker.beat))?;
            if gone > 0 {
                not_attempted(connection, id)?;
                for table in ["streams", "job_runs"] {
                    let sql = format!("UPDATE {table} SET claimed_by = NULL WHERE claimed_by = ?1");
                    connection.prepare_cached(&sql)?.execute([id])?;
                }
            }
            Ok(gone > 0)
        })
    }
}

/// A sign of life.
pub(crate) fn beat(connection: &Connection, worker: WorkerId) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO workers (id, beat) VALUES (?1, 1) ON CONFLICT DO UPDATE SET beat = beat + 1",
        )?
        .execute([&worker.0.as_bytes()[..]])?;
    Ok(())
}

/// What a worker has claimed behind the first delivery of each of its streams was not attempted.
fn not_attempted(connection: &Connection, worker: &[u8]) -> Result<()> {
    let mut claimed = connection
        .prepare_cached("SELECT tenant_id, plugin, key, token FROM streams WHERE claimed_by = ?1")?;
    let mut given_back = connection.prepare_cached(
        "UPDATE deliveries SET attempts = attempts - 1
         WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3 AND token = ?4 AND status = 'pending' AND number > (
             SELECT min(number) FROM deliveries
             WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3 AND status = 'pending'
         )",
    )?;
    let mut streams = claimed.query([worker])?;
    while let Some(row) = streams.next()? {
        let stream: (String, String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        given_back.execute(stream)?;
    }
    Ok(())
}
