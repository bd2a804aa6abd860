//! P24: a record inserted by a plugin on Postgres: inside a transaction, and with a commit of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use erp_plugin::postgres::TemporaryDatabase;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Statement};

use crate::compare::{Goal, Pair};
use crate::hosts::{BenchHost, ITEM};

/// The server, for a user who may create databases.
const SERVER: &str = "ERP_PLUGIN_TEST_POSTGRES";

/// A table with the columns that ours has, in the same database.
const TABLE: &str = "CREATE TABLE public.item (
    tenant_id text COLLATE \"C\" NOT NULL, id uuid NOT NULL, version bigint NOT NULL,
    created_at timestamptz NOT NULL, created_by text COLLATE \"C\" NOT NULL,
    updated_at timestamptz NOT NULL, updated_by text COLLATE \"C\" NOT NULL,
    deleted_at timestamptz, deleted_by text COLLATE \"C\",
    category text COLLATE \"C\", discontinued boolean, name text COLLATE \"C\", on_hand bigint, reorder_level bigint,
    sku text COLLATE \"C\", unit text COLLATE \"C\", unit_price bigint, PRIMARY KEY (tenant_id, id));
    CREATE INDEX item_sku ON public.item (tenant_id, sku, id) WHERE deleted_at IS NULL";
const INSERT: &str = "INSERT INTO public.item VALUES ($1, gen_random_uuid(), 1, now(), $2, now(), $2, NULL, NULL, $3, $4, \
    $5, $6, $7, $8, $9, $10)";

pub(crate) fn run() -> anyhow::Result<()> {
    let Ok(server) = std::env::var(SERVER) else {
        println!(
            "P24  NOT RUN: {SERVER} is not set; `cargo xtask with-postgres --durable cargo bench p24` sets it"
        );
        return Ok(());
    };
    // Of two, either may answer the connection, and waking the other takes longer than a statement does.
    let runtime = BenchHost::runtime(1)?;
    let database = runtime.block_on(TemporaryDatabase::create(&server))?;
    let host = BenchHost::on(runtime, database.url())?;
    let bare = Arc::new(host.runtime.block_on(Bare::new(database.url()))?);
    let item = serde_json::from_str(ITEM)?;
    // As ours: from a task of the runtime.
    let bare = |count: u64, times: u64| -> anyhow::Result<Duration> {
        let bare = Arc::clone(&bare);
        host.runtime.block_on(host.runtime.spawn(async move { bare.transactions(count, times).await }))?
    };
    Pair {
        id: "P24",
        name: "Postgres: plugin record insert / bare prepared insert, in a transaction",
        goal: Goal::AtMost(1.25),
        ours: &mut |times| host.call("insert", times, &item),
        bare: &mut |times| bare(1, times),
    }
    .run()?;
    Pair {
        id: "P24",
        name: "Postgres: one invocation, one insert, own commit / bare BEGIN, insert, COMMIT",
        goal: Goal::AtMost(1.25),
        ours: &mut |times| host.invocations(times, "insert", &item),
        bare: &mut |times| bare(times, 1),
    }
    .run()
}

/// A connection with nothing of ours.
struct Bare {
    client: Client,
    insert: Statement,
}

impl Bare {
    async fn new(url: &str) -> anyhow::Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        for setting in ["fsync", "synchronous_commit"] {
            let set: String = client.query_one(&format!("SHOW {setting}"), &[]).await?.get(0);
            ensure!(set == "on", "{setting} is {set}: a commit would not wait for the disk");
        }
        client.batch_execute(TABLE).await?;
        let insert = client.prepare(INSERT).await?;
        Ok(Self { client, insert })
    }

    async fn transactions(&self, count: u64, times: u64) -> anyhow::Result<Duration> {
        let parameters: [&(dyn ToSql + Sync); 10] = [
            &"acme",
            &"ada",
            &"Beverages",
            &true,
            &"Chai",
            &39_i64,
            &10_i64,
            &"NW-001",
            &"10 boxes x 30 bags",
            &1800_i64,
        ];
        let start = Instant::now();
        for _ in 0..count {
            self.client.batch_execute("BEGIN").await?;
            for _ in 0..times {
                self.client.execute(&self.insert, &parameters).await?;
            }
            self.client.batch_execute("COMMIT").await?;
        }
        Ok(start.elapsed())
    }
}
