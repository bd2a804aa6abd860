//! A disk that is full: a typed error, nobody told that a lost write is lasting, and everything works again when there
//! is space. On a small file system of its own, which takes somebody who may mount one.

#![cfg(target_os = "linux")]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests, which fail by panicking"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use erp_plugin_model::ErrorCode;
use erp_plugin_storage::ErrorKind;

use support::cluster::{Cluster, not_run};
use support::notes::{Notes, invocation};
use support::{As, Database};

/// A small file system, unmounted at the end.
struct Small(PathBuf);

impl Small {
    /// `None` where nobody lets us.
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        mount(at, "size=4m").then(|| Self(at.to_owned()))
    }

    fn grow(&self) {
        assert!(mount(&self.0, "remount,size=64m"));
    }
}

fn mount(at: &Path, options: &str) -> bool {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at);
    mount.output().is_ok_and(|answer| answer.status.success())
}

impl Drop for Small {
    fn drop(&mut self) {
        // The server still has files open in it.
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_the_write_and_works_again_with_space() {
    let Some(cluster) = Cluster::start(&["listen_addresses = ''"], |_| {}).await else { return };
    let place = cluster.folder.join("small");
    let Some(small) = Small::mount(&place) else {
        return not_run("a small file system cannot be mounted here");
    };
    cluster.give(&place);
    let database = Database::empty(&cluster.url, As::App).await;
    let admin = database.admin().await;
    let tablespace = format!("CREATE TABLESPACE small LOCATION '{}'", place.display());
    admin.batch_execute(&tablespace).await.unwrap();
    admin.batch_execute("GRANT CREATE ON TABLESPACE small TO PUBLIC").await.unwrap();
    erp_plugin_storage_postgres::setup::init(&database.setup()).await.unwrap();
    let move_there = format!("ALTER DATABASE {} SET default_tablespace = small", database.name());
    support::connect(&cluster.url).await.batch_execute(&move_there).await.unwrap();
    let notes = Notes::of(database, |options| options.pool_size(2)).await;

    let large = "x".repeat(1000);
    let mut written: usize = 0;
    let full = loop {
        match notes.keep(&large).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 20_000, "it is not full");
    };
    assert_eq!((full.kind, full.operation, full.is_transient()), (ErrorKind::Full, "insert", false));
    assert!(written > 100);
    assert_eq!(notes.texts().await.len(), written, "what was acknowledged, and nothing else");
    // What it was in the middle of is lost; that it was so can be kept.
    let mut transaction = notes.write().await;
    let mut last = Ok(());
    for _ in 0..100 {
        last = notes.insert(&mut *transaction, &large).await.map(drop);
        if last.is_err() {
            break;
        }
    }
    assert_eq!(last.unwrap_err().kind, ErrorKind::Full);
    transaction.rollback(Some(&invocation(Some(ErrorCode::Unavailable)))).await.unwrap();
    let mut transaction = notes.write().await;
    let usage = transaction.usage().await.unwrap();
    assert_eq!(usage.iter().map(|total| (total.invocations, total.failed)).collect::<Vec<_>>(), [(1, 1)]);
    drop(transaction);

    small.grow();
    for _ in 0..100 {
        notes.keep(&large).await.unwrap();
    }
    assert_eq!(notes.texts().await.len(), written + 100);
    drop((notes, admin));
}
