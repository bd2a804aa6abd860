//! What keeps tenants apart, and the host's roles from what is not theirs: looked at from outside, in the SQL of
//! somebody who got hold of the host's connection.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests, which fail by panicking"
)]

mod support;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use erp_plugin_model::event::Publisher;
use erp_plugin_storage::{EventFilter, Mode, PlatformScope, Storage};
use support::notes::{Notes, insert, options, scope};
use support::{As, Database, connect};

/// A database with a note of tenant a and one of tenant b, and the host's own connection to it.
struct Wall {
    host: Client,
    notes: Notes,
}

impl Wall {
    async fn new(server: &str) -> Self {
        let notes = Notes::new(server).await;
        for tenant in ["a", "b"] {
            let mut transaction = notes.storage.begin(&scope(tenant), options(Mode::Write)).await.unwrap();
            insert(&mut *transaction, &notes.entity, &format!("of {tenant}")).await.unwrap();
            transaction.commit(None).await.unwrap();
        }
        Self { host: connect(&notes.database.url).await, notes }
    }

    /// The state with which the server refuses a statement, in a transaction that begins with others.
    async fn refusal(&self, begin: &str, sql: &str) -> SqlState {
        self.host.batch_execute(&format!("BEGIN; {begin}")).await.unwrap();
        let Err(error) = self.host.simple_query(sql).await else {
            panic!("it is let through: {begin}; {sql}");
        };
        self.host.batch_execute("ROLLBACK").await.unwrap();
        error.code().unwrap().clone()
    }

    /// How many rows a statement gives or writes, in a transaction that begins with others.
    async fn rows(&self, begin: &str, sql: &str) -> u64 {
        self.host.batch_execute(&format!("BEGIN; {begin}")).await.unwrap();
        let rows = self.host.execute(sql, &[]).await.unwrap();
        self.host.batch_execute("ROLLBACK").await.unwrap();
        rows
    }
}

const APP: &str = "SET LOCAL ROLE erp_plugin_app";
const APP_IN_A: &str = "SET LOCAL ROLE erp_plugin_app; SET LOCAL erp_plugin.tenant = 'a'";
const WORKER: &str = "SET LOCAL ROLE erp_plugin_worker";
/// The system's tables that hold what is a tenant's, as far as the app role reads them.
const TENANTS_TABLES: [&str; 15] = [
    "activations",
    "audit",
    "subscriptions",
    "plugin_config",
    "roles",
    "role_assignments",
    "number_series",
    "outbox",
    "streams",
    "deliveries",
    "jobs",
    "job_runs",
    "invocations",
    "log_lines",
    "record_history",
];

fn no_tenant() -> SqlState {
    SqlState::from_code("ER001")
}

#[tokio::test]
async fn without_a_tenant_nothing_is_read_and_nothing_written() {
    let Some(server) = support::server() else { return };
    let wall = Wall::new(&server).await;
    let entity = "SELECT * FROM erp_plugin.suite__note".to_owned();
    let system = TENANTS_TABLES.map(|table| format!("SELECT * FROM erp_plugin.{table}"));
    let write = "UPDATE erp_plugin.suite__note SET text = 'x'".to_owned();
    let delete = "DELETE FROM erp_plugin.suite__note".to_owned();
    for _ in 0..2 {
        for sql in system.iter().chain([&entity, &write, &delete]) {
            assert_eq!(wall.refusal(APP, sql).await, no_tenant(), "{sql}");
            assert_eq!(
                wall.refusal(&format!("{APP}; SET LOCAL erp_plugin.tenant = ''"), sql).await,
                no_tenant()
            );
        }
        // The second time the setting is one that an earlier transaction had, and reads as ''.
        assert_eq!(wall.rows(APP_IN_A, &entity).await, 1);
    }
}

#[tokio::test]
async fn a_tenant_sees_its_own_records_and_changes_no_others() {
    let Some(server) = support::server() else { return };
    let wall = Wall::new(&server).await;
    for (sql, rows) in [
        ("SELECT * FROM erp_plugin.suite__note", 1),
        ("SELECT * FROM erp_plugin.suite__note WHERE tenant_id = 'b'", 0),
        ("SELECT * FROM erp_plugin.suite__note WHERE tenant_id <> 'a' OR true", 1),
        ("UPDATE erp_plugin.suite__note SET text = 'x'", 1),
        ("UPDATE erp_plugin.suite__note SET text = 'x' WHERE tenant_id = 'b'", 0),
        ("DELETE FROM erp_plugin.suite__note WHERE tenant_id = 'b'", 0),
        ("DELETE FROM erp_plugin.suite__note", 1),
    ] {
        assert_eq!(wall.rows(APP_IN_A, sql).await, rows, "{sql}");
    }
    let columns = "tenant_id, id, version, created_at, created_by, updated_at, updated_by";
    let into_b = format!(
        "INSERT INTO erp_plugin.suite__note ({columns})
         VALUES ('b', gen_random_uuid(), 1, now(), 'anna', now(), 'anna')"
    );
    for sql in [
        into_b.as_str(),
        "UPDATE erp_plugin.suite__note SET tenant_id = 'b'",
        "INSERT INTO erp_plugin.plugin_config (tenant_id, plugin, key, value) VALUES ('b', 'suite', 'k', '1')",
        "INSERT INTO erp_plugin.roles (tenant_id, role, permissions) VALUES ('b', 'clerk', '*')",
        "INSERT INTO erp_plugin.role_assignments (tenant_id, user_id, role) VALUES ('b', 'anna', 'clerk')",
        "INSERT INTO erp_plugin.number_series (tenant_id, entity, field, series, last_number)
             VALUES ('b', 'suite.note', 'number', '{}', 1)",
        "INSERT INTO erp_plugin.outbox (tenant_id, id, event_type, key, payload, publisher, invocation, ordinal, depth,
             published_at) VALUES ('b', gen_random_uuid(), 'a.b', 'k', '1', 'core', gen_random_uuid(), 1, 0, now())",
    ] {
        // What a policy refuses is refused for want of a right.
        assert_eq!(wall.refusal(APP_IN_A, sql).await, SqlState::INSUFFICIENT_PRIVILEGE, "{sql}");
    }
}

#[tokio::test]
async fn an_own_function_in_a_condition_sees_no_other_tenants_records() {
    let Some(server) = support::server() else { return };
    let wall = Wall::new(&server).await;
    // As cheap as can be, so that the planner would rather ask it first.
    let spy = "CREATE FUNCTION public.spy(text) RETURNS boolean COST 0.0000001 LANGUAGE plpgsql AS
        $$ BEGIN RAISE NOTICE 'saw %', $1; IF $1 LIKE '%b' THEN RAISE 'it leaks'; END IF; RETURN true; END $$";
    wall.notes.database.admin().await.batch_execute(spy).await.unwrap();
    assert_eq!(wall.rows(APP_IN_A, "SELECT * FROM erp_plugin.suite__note WHERE public.spy(text)").await, 1);
}

#[tokio::test]
async fn the_hosts_user_has_no_rights_before_it_takes_a_role() {
    let Some(server) = support::server() else { return };
    let wall = Wall::new(&server).await;
    let tables = ["suite__note", "tenants", "outbox", "components", "entities", "streams", "invocations"];
    for table in tables {
        let sql = format!("SELECT * FROM erp_plugin.{table}");
        let begin = "SET LOCAL erp_plugin.tenant = 'a'";
        assert_eq!(wall.refusal(begin, &sql).await, SqlState::INSUFFICIENT_PRIVILEGE, "{table}");
    }
    for role in ["SET LOCAL ROLE erp_plugin_owner", "SET LOCAL ROLE postgres"] {
        assert_eq!(wall.refusal("SELECT 1", role).await, SqlState::INSUFFICIENT_PRIVILEGE, "{role}");
    }
}

#[tokio::test]
async fn the_worker_reads_no_entitys_records() {
    let Some(server) = support::server() else { return };
    let wall = Wall::new(&server).await;
    for begin in [WORKER.to_owned(), format!("{WORKER}; SET LOCAL erp_plugin.tenant = 'a'")] {
        for sql in ["SELECT * FROM erp_plugin.suite__note", "DELETE FROM erp_plugin.suite__note"] {
            assert_eq!(wall.refusal(&begin, sql).await, SqlState::INSUFFICIENT_PRIVILEGE, "{sql}");
        }
    }
    assert_eq!(wall.rows(WORKER, "SELECT * FROM erp_plugin.outbox").await, 0);
}

#[tokio::test]
async fn the_app_role_reads_no_system_table_that_is_not_its_business() {
    let Some(server) = support::server() else { return };
    let wall = Wall::new(&server).await;
    for table in ["components", "plugin_versions", "system_config", "tenants", "dispatcher", "claim_turn"] {
        let sql = format!("SELECT * FROM erp_plugin.{table}");
        assert_eq!(wall.refusal(APP_IN_A, &sql).await, SqlState::INSUFFICIENT_PRIVILEGE, "{table}");
    }
    for sql in [
        "DELETE FROM erp_plugin.outbox",
        "UPDATE erp_plugin.outbox SET payload = '1'",
        "DELETE FROM erp_plugin.invocations",
        "DELETE FROM erp_plugin.deliveries",
        "UPDATE erp_plugin.streams SET token = 0",
        "TRUNCATE erp_plugin.suite__note",
        "ALTER TABLE erp_plugin.suite__note DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON erp_plugin.suite__note",
        "CREATE TABLE erp_plugin.mine (id int)",
    ] {
        assert_eq!(wall.refusal(APP_IN_A, sql).await, SqlState::INSUFFICIENT_PRIVILEGE, "{sql}");
    }
}

#[tokio::test]
async fn the_platforms_own_code_may_publish_in_a_transaction_of_its_own() {
    let Some(server) = support::server() else { return };
    let wall = Wall::new(&server).await;
    let insert = |tenant: &str, event_type: &str| {
        format!(
            "INSERT INTO erp_plugin.outbox (tenant_id, event_type, key, payload)
             VALUES ('{tenant}', '{event_type}', '{tenant}', '{{}}')"
        )
    };
    wall.host
        .batch_execute(&format!("BEGIN; {APP_IN_A}; {}; COMMIT", insert("a", "order.created")))
        .await
        .unwrap();
    let refused = wall.refusal(APP_IN_A, &insert("b", "order.created")).await;
    assert_eq!(refused, SqlState::INSUFFICIENT_PRIVILEGE);
    for wrong in
        ["order", "Order.created", ".order.created", "order..created", "a.b.c.d.e.f.g.h.i", "order.created "]
    {
        assert_eq!(wall.refusal(APP_IN_A, &insert("a", wrong)).await, SqlState::CHECK_VIOLATION, "{wrong}");
    }
    let scope = PlatformScope::granted_by_host();
    let mut platform = wall.notes.storage.begin_platform(scope, options(Mode::Write)).await.unwrap();
    assert_eq!(platform.dispatch(10).await.unwrap().events, 1);
    let events = platform.events(&EventFilter::default(), false, 10).await.unwrap();
    assert_eq!(
        (events[0].tenant.as_str(), events[0].event.event_type.as_str(), &events[0].event.publisher),
        ("a", "order.created", &Publisher::Platform)
    );
}

#[tokio::test]
async fn app_and_worker_own_nothing_and_are_above_nothing() {
    let Some(server) = support::server() else { return };
    let database = Database::new(&server, As::App).await;
    let notes = Notes::of(database, |options| options).await;
    let admin = notes.database.admin().await;
    let owned = "SELECT count(*) FROM pg_shdepend AS d JOIN pg_roles AS r ON r.oid = d.refobjid
         WHERE d.deptype = 'o' AND r.rolname IN ('erp_plugin_app', 'erp_plugin_worker')
             AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(admin.query_one(owned, &[]).await.unwrap().get::<_, i64>(0), 0);
    let above = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'erp\\_plugin\\_%'
         AND rolname IN ('erp_plugin_owner', 'erp_plugin_app', 'erp_plugin_worker')
         AND (rolsuper OR rolbypassrls OR rolcanlogin OR rolcreaterole OR rolcreatedb)";
    assert_eq!(admin.query_one(above, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn every_table_with_a_tenant_in_it_has_its_wall() {
    let Some(server) = support::server() else { return };
    for how in [As::App, As::Partitioned, As::Owner] {
        let notes = Notes::of(Database::new(&server, how).await, |options| options).await;
        let sql = "SELECT c.relname::text, c.relrowsecurity AND c.relforcerowsecurity,
                 EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid AND p.polname = 'tenant'),
                 EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid AND p.polname = 'worker')
             FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
             WHERE c.relnamespace = 'erp_plugin'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition";
        let tables = notes.database.admin().await.query(sql, &[]).await.unwrap();
        assert!(tables.len() >= 9);
        for table in tables {
            let name: String = table.get(0);
            // An entity's records are nothing to a worker, and nor is what was in them or is given to them.
            let is_records =
                name.contains("__") || ["record_history", "number_series"].contains(&name.as_str());
            let (forced, tenant, worker) = (table.get(1), table.get(2), table.get(3));
            assert_eq!((forced, tenant, worker), (true, true, !is_records), "{how:?} {name}");
        }
    }
}

#[tokio::test]
async fn a_partition_is_not_a_way_around_the_wall() {
    let Some(server) = support::server() else { return };
    let notes = Notes::of(Database::new(&server, As::Partitioned).await, |options| options).await;
    let host = connect(&notes.database.url).await;
    for role in ["erp_plugin_app", "erp_plugin_worker"] {
        for number in 0..3 {
            let sql = format!(
                "BEGIN; SET LOCAL ROLE {role}; SET LOCAL erp_plugin.tenant = 'a';
                 SELECT * FROM erp_plugin.suite__note__p0{number}"
            );
            let error = host.batch_execute(&sql).await.unwrap_err();
            assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
            host.batch_execute("ROLLBACK").await.unwrap();
        }
    }
}
