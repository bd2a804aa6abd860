//! [`Workers`]: signs of life, and what becomes of those who give none.

use async_trait::async_trait;
use erp_plugin_model::WorkerId;
use erp_plugin_storage::{StorageResult, WorkerState, Workers};

use crate::client::Client;
use crate::error::Result;
use crate::names::{read_boolean, read_integer, read_uuid};
use crate::sql::Parameter;
use crate::transaction::PostgresPlatformTransaction;

const BEAT: &str = "INSERT INTO erp_plugin.workers (id, beat) VALUES ($1, 1)
     ON CONFLICT (id) DO UPDATE SET beat = workers.beat + 1";

/// Ends a worker's claims. What it claimed behind the first delivery of each stream was not attempted.
pub(crate) const GIVE_UP_STREAMS: &str = "WITH ended AS (
         UPDATE erp_plugin.streams SET claimed_by = NULL WHERE claimed_by = $1
         RETURNING tenant_id, plugin, key, token
     )
     UPDATE erp_plugin.deliveries AS d SET attempts = d.attempts - 1 FROM ended AS e
     WHERE d.tenant_id = e.tenant_id AND d.plugin = e.plugin AND d.key = e.key AND d.token = e.token
         AND d.status = 'pending' AND d.number > (
             SELECT min(first.number) FROM erp_plugin.deliveries AS first
             WHERE first.tenant_id = e.tenant_id AND first.plugin = e.plugin AND first.key = e.key
                 AND first.status = 'pending'
         )";

#[async_trait]
impl Workers for PostgresPlatformTransaction {
    async fn beat(&mut self, worker: WorkerId) -> StorageResult<()> {
        let client = self.session.client();
        self.session.write("beat", beat(&client, worker)).await
    }

    async fn workers(&mut self) -> StorageResult<Vec<WorkerState>> {
        let client = self.session.client();
        let work = async {
            let sql =
                "SELECT id, beat, EXISTS (SELECT FROM erp_plugin.streams AS s WHERE s.claimed_by = w.id)
                     OR EXISTS (SELECT FROM erp_plugin.job_runs AS r WHERE r.claimed_by = w.id)
                 FROM erp_plugin.workers AS w ORDER BY id";
            let rows = client.rows(sql, &[]).await?;
            let read = rows.iter().map(|row| {
                let (beat, is_busy) = (read_integer(row, 1)?, read_boolean(row, 2)?);
                Ok(WorkerState { worker: WorkerId(read_uuid(row, 0)?), beat, is_busy })
            });
            read.collect()
        };
        self.session.run("workers", work).await
    }

    async fn retire(&mut self, worker: WorkerState) -> StorageResult<bool> {
        let client = self.session.client();
        let work = async {
            let id = Parameter::Uuid(worker.worker.0);
            let sql = "DELETE FROM erp_plugin.workers WHERE id = $1 AND beat = $2";
            if client.execute(sql, &[id.clone(), Parameter::Integer(worker.beat)]).await? == 0 {
                return Ok(false);
            }
            for sql in
                [GIVE_UP_STREAMS, "UPDATE erp_plugin.job_runs SET claimed_by = NULL WHERE claimed_by = $1"]
            {
                client.execute(sql, std::slice::from_ref(&id)).await?;
            }
            Ok(true)
        };
        self.session.write("retire", work).await
    }
}

/// A sign of life.
pub(crate) async fn beat(client: &Client, worker: WorkerId) -> Result<()> {
    client.execute(BEAT, &[Parameter::Uuid(worker.0)]).await?;
    Ok(())
}
