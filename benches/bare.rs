//! The bare side: Wasmtime without fuel, epochs and checks, and SQLite without anything of ours.

use std::path::Path;

use rusqlite::{CachedStatement, Connection, params};
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Wasmtime's error is not a standard one.
pub(crate) fn plain(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}

/// A component on a plain engine with a pool like ours, the host functions that a bench calls answering at once.
pub(crate) struct BareComponent {
    pub(crate) engine: Engine,
    pub(crate) pre: InstancePre<()>,
}

impl BareComponent {
    pub(crate) fn new(component: &[u8]) -> anyhow::Result<Self> {
        let mut pool = PoolingAllocationConfig::new();
        pool.max_memory_size(64 << 20)
            .linear_memory_keep_resident(256 << 10)
            .table_keep_resident(16 << 10)
            .async_stack_keep_resident(64 << 10)
            .total_component_instances(64)
            .total_stacks(64)
            .max_unused_warm_slots(64);
        let mut config = Config::new();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool)).max_wasm_stack(512 << 10);
        let engine = Engine::new(&config).map_err(plain)?;
        let component = Component::new(&engine, component).map_err(plain)?;
        let mut linker = Linker::new(&engine);
        linker
            .instance("erp:plugin/host-api")
            .and_then(|mut host| {
                host.func_wrap("check-permission", |_, (_permission,): (String,)| {
                    Ok((Ok::<bool, String>(true),))
                })?;
                host.func_wrap("log-write", |_, (_level, _message): (String, String)| Ok(()))
            })
            .map_err(plain)?;
        // What a bench does not call may trap.
        linker.define_unknown_imports_as_traps(&component).map_err(plain)?;
        let pre = linker.instantiate_pre(&component).map_err(plain)?;
        Ok(Self { engine, pre })
    }
}

/// A table with the columns that ours has, and the same row.
pub(crate) struct BareTable {
    pub(crate) connection: Connection,
    next: u128,
}

const INSERT: &str = "INSERT INTO item VALUES (?1,?2,1,?3,?4,?3,?4,NULL,NULL,?5,?6,?7,?8,?9,?10,?11,?12)";

impl BareTable {
    /// A database file in the mode that ours uses.
    pub(crate) fn new(folder: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(folder.join("bare.db"))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;
             CREATE TABLE item (
                 tenant_id TEXT NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL,
                 created_at INTEGER NOT NULL, created_by TEXT NOT NULL,
                 updated_at INTEGER NOT NULL, updated_by TEXT NOT NULL, deleted_at INTEGER, deleted_by TEXT,
                 category TEXT, discontinued INTEGER, name TEXT, on_hand INTEGER, reorder_level INTEGER, sku TEXT,
                 unit TEXT, unit_price INTEGER, PRIMARY KEY (tenant_id, id)) STRICT, WITHOUT ROWID;
             CREATE INDEX item_sku ON item (tenant_id, sku, id) WHERE deleted_at IS NULL;",
        )?;
        Ok(Self { connection, next: 0x0198_c0de_0000_7000_8000_0000_0000_0000 })
    }

    pub(crate) fn insert(&mut self) -> anyhow::Result<[u8; 16]> {
        self.next += 1;
        let id = self.next.to_be_bytes();
        let mut statement: CachedStatement<'_> = self.connection.prepare_cached(INSERT)?;
        statement.execute(params![
            "acme",
            id,
            1_769_851_800_000_000_i64,
            "ada",
            "Beverages",
            true,
            "Chai",
            39,
            10,
            "NW-001",
            "10 boxes x 30 bags",
            1800,
        ])?;
        Ok(id)
    }
}
