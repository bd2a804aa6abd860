//! P23: deliveries on Postgres, claimed by the hundred from many streams, against one at a time.

use erp_plugin::WorkerOptions;
use erp_plugin::postgres::TemporaryDatabase;

use crate::compare::{Goal, Pair};
use crate::hosts::BenchHost;
use crate::outbox::through;

/// The server, for a user who may create databases.
const SERVER: &str = "ERP_PLUGIN_TEST_POSTGRES";

pub(crate) fn run() -> anyhow::Result<()> {
    let Ok(server) = std::env::var(SERVER) else {
        println!(
            "P23  NOT RUN: {SERVER} is not set; `cargo xtask with-postgres --durable cargo bench p23` sets it"
        );
        return Ok(());
    };
    let runtime = BenchHost::runtime(1)?;
    let databases = runtime.block_on(async {
        anyhow::Ok((TemporaryDatabase::create(&server).await?, TemporaryDatabase::create(&server).await?))
    })?;
    let many =
        WorkerOptions { streams: 100, streams_per_tenant: 100, batch: 100, ..WorkerOptions::default() };
    let one = WorkerOptions { streams: 1, batch: 1, ..WorkerOptions::default() };
    let many = BenchHost::subscribing(databases.0.url(), many)?;
    let one = BenchHost::subscribing(databases.1.url(), one)?;
    let storage_of = |host: &BenchHost, url: &str| host.runtime.block_on(erp_plugin::storage(url));
    let (of_many, of_one) = (storage_of(&many, databases.0.url())?, storage_of(&one, databases.1.url())?);
    Pair {
        id: "P23",
        name: "Postgres: 100 deliveries, claimed by the hundred / one at a time",
        goal: Goal::FasterBy(8.0),
        ours: &mut |times| Ok(through(&many, &of_many, 1000 * times, 100)? / 10),
        bare: &mut |times| through(&one, &of_one, 100 * times, 100),
    }
    .run()
}
