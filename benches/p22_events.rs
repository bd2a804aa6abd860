//! P22: an event through outbox, dispatch and handler on SQLite, against a bare insert and delete in a transaction.

use erp_plugin::WorkerOptions;
use rusqlite::Connection;

use crate::compare::{Goal, Pair, timed};
use crate::hosts::BenchHost;
use crate::outbox::through;

pub(crate) fn run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite:{}", folder.path().join("events.db").display());
    let host = BenchHost::subscribing(&url, WorkerOptions::default())?;
    let storage = host.runtime.block_on(erp_plugin::storage(&url))?;
    let bare = Connection::open(folder.path().join("bare.db"))?;
    bare.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE queue (id INTEGER PRIMARY KEY, tenant TEXT, type TEXT, key TEXT, payload TEXT)",
    )?;
    Pair {
        id: "P22",
        name: "SQLite: 100 events through outbox and handler / bare insert and delete, FULL",
        goal: Goal::AtMost(5.0),
        ours: &mut |times| through(&host, &storage, 100 * times, 64),
        bare: &mut |times| {
            timed(100 * times, || {
                bare.execute_batch("BEGIN IMMEDIATE")?;
                bare.prepare_cached(
                    "INSERT INTO queue (tenant, type, key, payload) VALUES ('acme', ?1, ?2, ?3)",
                )?
                .execute(("load.noop", "key1", "[0,null]"))?;
                bare.prepare_cached("DELETE FROM queue WHERE id = ?1")?
                    .execute([bare.last_insert_rowid()])?;
                Ok(bare.execute_batch("COMMIT")?)
            })
        },
    }
    .run()
}
