//! The process is killed in the middle of its work: what it acknowledged is there, and nothing half.
//!
//! The test runs itself as the process to be killed. That one writes, in each transaction, two notes and an event,
//! from several tasks at once, and says which transactions were acknowledged; the pipe keeps what it said.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests, which fail by panicking"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use erp_plugin_model::event::{NewEvent, Publisher};
use erp_plugin_model::ids::{EventId, EventType};
use erp_plugin_model::{InvocationId, RecordId};
use erp_plugin_storage::{Mode, Storage};
use erp_plugin_storage_sqlite::{SqliteOptions, SqliteStorage};
use support::{new_uuid, note, notes, options, scope};
use uuid::Uuid;

/// Set in the process that is to be killed: the path, and the number of its life.
const VICTIM: &str = "ERP_PLUGIN_CRASH_TEST";
const TASKS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_kill_and_nothing_is_half() {
    if let Ok(victim) = std::env::var(VICTIM) {
        let (life, path) = victim.split_once(' ').unwrap();
        return write_until_killed(life, Path::new(path)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.db");
    let mut acknowledged = BTreeSet::new();
    // Killed after so many acknowledgements, so at another point of its work each time.
    for (life, patience) in [1, 2, 5, 17, 60, 150].into_iter().enumerate() {
        acknowledged.extend(live_and_die(life, patience, &path));
        check(&path, &acknowledged).await;
    }
    assert!(acknowledged.len() >= 235);
}

/// Runs the victim until it has acknowledged so many transactions, kills it, and returns all that it acknowledged.
fn live_and_die(life: usize, patience: usize, path: &Path) -> Vec<String> {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "what_was_acknowledged_survives_a_kill_and_nothing_is_half", "--nocapture"])
        .env(VICTIM, format!("{life} {}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    while acknowledged.len() < patience {
        let line = lines.next().expect("the victim ended by itself").unwrap();
        acknowledged.extend(line.strip_prefix("ack ").map(str::to_owned));
    }
    victim.kill().unwrap();
    victim.wait().unwrap();
    // What it said before it died, unless the kill cut the line.
    acknowledged.extend(
        lines.map_while(Result::ok).filter_map(|line| {
            line.strip_prefix("ack ").filter(|name| name.ends_with('.')).map(str::to_owned)
        }),
    );
    acknowledged
}

async fn write_until_killed(life: &str, path: &Path) {
    let storage = Arc::new(SqliteStorage::open(&SqliteOptions::file(path)).unwrap());
    let mut platform = support::platform(&storage).await;
    assert!(platform.create_entity(note().schema()).await.unwrap());
    platform.commit().await.unwrap();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (storage, life) = (storage.clone(), life.to_owned());
            tokio::spawn(async move {
                for round in 0_usize.. {
                    write_one(&storage, &format!("{life}-{task}-{round}.")).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn write_one(storage: &SqliteStorage, name: &str) {
    let entity = note();
    let mut turn = storage.begin(&scope("a"), options(Mode::Write)).await.unwrap();
    for half in ["left", "right"] {
        insert_named(&mut *turn, &entity, &format!("{name} {half}")).await;
    }
    let event = NewEvent {
        id: EventId(id_of(name)),
        event_type: EventType::parse("note.written").unwrap(),
        key: name.to_owned(),
        payload: "{}".to_owned(),
        publisher: Publisher::Platform,
        invocation: InvocationId(new_uuid()),
        ordinal: 0,
        caused_by: None,
        parent: None,
        depth: 0,
        published_at: chrono::DateTime::UNIX_EPOCH,
    };
    turn.publish(&[event]).await.unwrap();
    turn.commit(None).await.unwrap();
    // One write, so that a line is whole or cut, and never mixed with another's.
    std::io::stdout().lock().write_all(format!("ack {name}\n").as_bytes()).unwrap();
}

/// Inserts a note under an id that comes of its text: ids are counted anew in each life.
async fn insert_named(
    turn: &mut dyn erp_plugin_storage::Transaction,
    entity: &erp_plugin_storage::Entity,
    text: &str,
) {
    let values = [erp_plugin_model::Value::Text(text.to_owned())];
    let record = erp_plugin_storage::NewRecord { id: RecordId(id_of(text)), values: &values };
    let stamp = erp_plugin_storage::Stamp { at: chrono::DateTime::UNIX_EPOCH, by: "anna" };
    turn.insert(entity, record, stamp).await.unwrap();
}

fn id_of(text: &str) -> Uuid {
    let add = |sum: u128, byte| sum.wrapping_mul(257).wrapping_add(u128::from(byte));
    Uuid::from_u128(text.bytes().fold(0, add))
}

async fn check(path: &Path, acknowledged: &BTreeSet<String>) {
    let storage = SqliteStorage::open(&SqliteOptions::file(path)).unwrap();
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for text in notes(&storage, &note(), "a").await {
        *found.entry(text.split(' ').next().unwrap().to_owned()).or_default() += 1;
    }
    assert!(found.values().all(|halves| *halves == 2), "half a transaction");
    for name in acknowledged {
        assert!(found.contains_key(name), "{name} was acknowledged and is gone");
    }
    let mut reader = storage.begin(&scope("a"), options(Mode::Read)).await.unwrap();
    assert_eq!(reader.event_count().await.unwrap() as usize, found.len(), "an event is where its notes are");
}
