//! Setting up, checking, and opening what was set up or was not.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests, which fail by panicking"
)]

mod support;

use erp_plugin_storage::{ErrorKind, Mode, PlatformScope, Storage, StorageError};
use erp_plugin_storage_postgres::setup::{self, Finding, SetupError, SetupOptions};
use erp_plugin_storage_postgres::{PostgresOptions, PostgresStorage};

use support::notes::{note, options, reason, refused};
use support::{As, Database, connect, with_user};

async fn open(database: &Database) -> Result<PostgresStorage, StorageError> {
    PostgresStorage::open(&database.options()).await
}

fn refusal<T>(result: Result<T, SetupError>) -> String {
    match result {
        Ok(_) => panic!("it succeeded"),
        Err(SetupError::Refused(reason)) => reason,
        Err(other) => panic!("{other}"),
    }
}

async fn run(database: &Database, sql: &str) {
    database.admin().await.batch_execute(sql).await.unwrap();
}

#[tokio::test]
async fn a_second_setup_changes_nothing() {
    let Some(server) = support::server() else { return };
    let database = Database::empty(&server, As::Apart).await;
    let steps = setup::init(&database.setup()).await.unwrap();
    let done: Vec<_> = steps.iter().filter(|step| step.done_now).map(|step| step.what.clone()).collect();
    let prefix = &database.prefix;
    assert_eq!(
        done,
        [
            format!("role {prefix}_owner, the owner"),
            format!("role {prefix}_app, the app"),
            format!("role {prefix}_worker, the worker"),
            format!("{} may work as {prefix}_app and {prefix}_worker", database.host_user),
            format!("schema erp_plugin, owned by {prefix}_owner"),
            "system tables, version 1".to_owned(),
        ]
    );
    for steps in [setup::init(&database.setup()).await, setup::migrate(&database.setup()).await] {
        let steps = steps.unwrap();
        assert!(!steps.is_empty() && steps.iter().all(|step| !step.done_now), "{steps:?}");
    }
    open(&database).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn setups_that_meet_all_succeed() {
    let Some(server) = support::server() else { return };
    for _ in 0..5 {
        let database = Database::empty(&server, As::Apart).await;
        let setups: Vec<_> = (0..4)
            .map(|_| {
                let options = database.setup();
                tokio::spawn(async move { setup::init(&options).await })
            })
            .collect();
        let mut made = 0;
        for setup in setups {
            let steps = setup.await.unwrap().unwrap();
            made += steps.iter().filter(|step| step.done_now && step.what.starts_with("schema")).count();
        }
        assert_eq!(made, 1);
        open(&database).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_never_set_up_is_not_migrated() {
    let Some(server) = support::server() else { return };
    let database = Database::empty(&server, As::App).await;
    let reason = refusal(setup::migrate(&database.setup()).await);
    assert_eq!(reason, "this database was never set up; run erp-plugin db init");
}

#[tokio::test]
async fn only_who_may_act_as_the_owner_migrates() {
    let Some(server) = support::server() else { return };
    let database = Database::new(&server, As::App).await;
    let reason = refusal(setup::migrate(&SetupOptions::from_url(&database.url).unwrap()).await);
    assert!(reason.starts_with("erp_plugin_test_host may not act as erp_plugin_owner, "), "{reason}");
}

#[tokio::test]
async fn older_tables_are_migrated() {
    let Some(server) = support::server() else { return };
    let database = Database::new(&server, As::App).await;
    // As if this release had nothing new but the number.
    run(&database, "UPDATE erp_plugin.system_schema SET version = 2, oldest_host = 1").await;
    let steps = setup::migrate(&database.setup()).await.unwrap();
    assert!(steps.iter().all(|step| !step.done_now), "a newer release's tables that will do are left alone");
    open(&database).await.unwrap();
}

#[tokio::test]
async fn who_is_above_row_level_security_is_no_single_role() {
    let Some(server) = support::server() else { return };
    let database = Database::empty(&server, As::App).await;
    let reason = refusal(setup::init(&database.setup().single_role()).await);
    assert!(reason.contains(" is above row-level security, "), "{reason}");
    assert_eq!(refused(open(&database).await).kind, ErrorKind::NeedsMigration, "nothing was made");
}

#[tokio::test]
async fn a_user_that_is_missing_is_named() {
    let Some(server) = support::server() else { return };
    let database = Database::empty(&server, As::App).await;
    let reason = refusal(setup::init(&database.setup().login("nobody\"s")).await);
    assert_eq!(
        reason,
        "there is no user nobody\"s; create one: CREATE ROLE \"nobody\"\"s\" LOGIN PASSWORD '…'"
    );
}

#[tokio::test]
async fn a_database_in_another_encoding_is_refused() {
    let Some(server) = support::server() else { return };
    let database = Database::empty(&server, As::App).await;
    let other = format!("{}_ascii", database.name());
    let admin = connect(&server).await;
    let make = format!("CREATE DATABASE {other} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0");
    admin.batch_execute(&make).await.unwrap();
    let url = database.admin_url.replace(database.name(), &other);
    let reason = refusal(setup::init(&SetupOptions::from_url(&url).unwrap()).await);
    admin.batch_execute(&format!("DROP DATABASE {other} WITH (FORCE)")).await.unwrap();
    assert!(
        reason.starts_with(&format!("the database {other} is in SQL_ASCII; it must be in UTF8")),
        "{reason}"
    );
}

#[tokio::test]
async fn another_programs_schema_is_left_alone() {
    let Some(server) = support::server() else { return };
    let database = Database::empty(&server, As::App).await;
    run(&database, "CREATE SCHEMA erp_plugin; CREATE TABLE erp_plugin.theirs ()").await;
    let reason = refusal(setup::init(&database.setup()).await);
    assert!(reason.contains("a schema erp_plugin that is another program's"), "{reason}");
    assert_eq!(refused(open(&database).await).kind, ErrorKind::Foreign);
}

#[tokio::test]
async fn a_storage_opens_only_what_it_can_work_with() {
    let Some(server) = support::server() else { return };
    let database = Database::empty(&server, As::App).await;
    assert_eq!(refused(open(&database).await).kind, ErrorKind::NeedsMigration, "never set up");
    setup::init(&database.setup()).await.unwrap();
    open(&database).await.unwrap();
    for (version, oldest, kind) in [(99, 99, ErrorKind::TooNew), (0, 0, ErrorKind::NeedsMigration)] {
        let set = format!("UPDATE erp_plugin.system_schema SET version = {version}, oldest_host = {oldest}");
        run(&database, &set).await;
        let error = refused(open(&database).await);
        assert_eq!((error.kind, error.operation), (kind, "open"));
    }
    run(&database, "UPDATE erp_plugin.system_schema SET version = 99, oldest_host = 1").await;
    open(&database).await.unwrap();
}

#[tokio::test]
async fn a_user_that_was_not_admitted_is_told_so() {
    let Some(server) = support::server() else { return };
    let database = Database::empty(&server, As::Apart).await;
    let without_login = SetupOptions::from_url(&database.admin_url).unwrap();
    setup::init(&without_login.role_prefix(&database.prefix).unwrap()).await.unwrap();
    let error = refused(open(&database).await);
    assert_eq!(error.kind, ErrorKind::Unavailable);
    let reason = reason(&error);
    assert!(reason.contains(&format!("no member of {}_app", database.prefix)), "{reason}");
    let findings = setup::check(&database.options()).await.unwrap();
    assert_eq!(to_fix(&findings).len(), 1, "{findings:?}");
}

#[tokio::test]
async fn installing_takes_the_owner() {
    let Some(server) = support::server() else { return };
    let database = Database::new(&server, As::App).await;
    let hosts = PostgresOptions::from_url(&database.url).unwrap();
    let storage = PostgresStorage::open(&hosts).await.unwrap();
    let scope = PlatformScope::granted_by_host();
    let error = refused(storage.begin_platform(scope, options(Mode::Migrate)).await);
    assert_eq!((error.kind, error.operation), (ErrorKind::OwnerMissing, "begin"));
    // An administrator's own URL does for everything.
    let admins = PostgresOptions::from_url(&database.admin_url).unwrap();
    let storage = PostgresStorage::open(&admins).await.unwrap();
    support::notes::create(&storage, &note()).await;
}

fn to_fix(findings: &[Finding]) -> Vec<&str> {
    findings.iter().filter(|finding| finding.fix.is_some()).map(|finding| finding.what.as_str()).collect()
}

#[tokio::test]
async fn a_check_finds_nothing_where_all_is_well() {
    let Some(server) = support::server() else { return };
    for how in [As::Apart, As::Partitioned, As::Owner] {
        let database = Database::new(&server, how).await;
        let findings = setup::check(&database.options()).await.unwrap();
        assert!(findings.len() >= 5 && to_fix(&findings).is_empty(), "{how:?}: {findings:?}");
    }
}

#[tokio::test]
async fn a_check_tells_what_is_missing() {
    let Some(server) = support::server() else { return };
    let database = Database::empty(&server, As::Apart).await;
    let findings = setup::check(&database.options()).await.unwrap();
    assert_eq!(to_fix(&findings), ["the database was never set up"]);

    setup::init(&database.setup()).await.unwrap();
    let findings = setup::check(&PostgresOptions::from_url(&database.url).unwrap()).await.unwrap();
    let nobody_installs = "plugins cannot be installed from here: there is no migration URL";
    assert!(findings.iter().any(|finding| finding.what == nobody_installs), "{findings:?}");
    assert!(to_fix(&findings).is_empty(), "{findings:?}");

    let own = PostgresOptions::from_url(&database.url).unwrap().migration_url(&database.url).unwrap();
    let findings = setup::check(&own).await.unwrap();
    let owner = format!("{}_owner", database.prefix);
    let no_member =
        format!("plugins cannot be installed from here: the migration URL's user may not act as {owner}");
    assert_eq!(to_fix(&findings), [no_member]);
}

#[tokio::test]
async fn a_migration_url_of_another_database_is_refused() {
    let Some(server) = support::server() else { return };
    let (own, other) = (Database::new(&server, As::App).await, Database::new(&server, As::App).await);
    let wrong = format!(
        "the migration URL leads to the database {}, and the URL to {}; give two users of one database",
        other.name(),
        own.name()
    );
    let host = PostgresOptions::from_url(&own.url).unwrap();
    let options = host.clone().migration_url(&other.admin_url).unwrap();

    let error = PostgresStorage::open(&options).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), wrong);
    assert_eq!(to_fix(&setup::check(&options).await.unwrap()), [wrong.as_str()]);
    let setup = SetupOptions::from_url(&other.admin_url).unwrap().host(&host);
    assert_eq!(refusal(setup::init(&setup).await), wrong);
    setup::init(&SetupOptions::from_url(&own.admin_url).unwrap().host(&host)).await.unwrap();
}

#[tokio::test]
async fn what_a_database_was_set_up_with_is_not_chosen_anew() {
    let Some(server) = support::server() else { return };
    let database = Database::new(&server, As::Partitioned).await;
    for (options, wrong) in [
        (database.setup().partitions(4).unwrap(), "3 partitions, not 4"),
        (database.setup().single_role(), "the roles erp_plugin_owner and erp_plugin_app, not a single one"),
        (database.setup().role_prefix("other").unwrap(), "the role erp_plugin_app, not other_app"),
    ] {
        let reason = refusal(setup::init(&options).await);
        assert!(
            reason.starts_with(&format!("this database was set up with {wrong}, which cannot")),
            "{reason}"
        );
    }
    setup::init(&database.setup().partitions(3).unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_schema_that_is_not_the_owners_any_more_is_told() {
    let Some(server) = support::server() else { return };
    let database = Database::new(&server, As::App).await;
    run(&database, "ALTER SCHEMA erp_plugin OWNER TO CURRENT_USER").await;
    let reason = refusal(setup::init(&database.setup()).await);
    assert!(
        reason.starts_with("the schema erp_plugin belongs to postgres, not to erp_plugin_owner; ALTER"),
        "{reason}"
    );
}

#[tokio::test]
async fn the_tables_of_a_newer_release_are_left_alone() {
    let Some(server) = support::server() else { return };
    let database = Database::new(&server, As::App).await;
    let admin = database.admin().await;
    admin.batch_execute("UPDATE erp_plugin.system_schema SET version = 99, oldest_host = 99").await.unwrap();
    for reason in
        [refusal(setup::init(&database.setup()).await), refusal(setup::migrate(&database.setup()).await)]
    {
        assert_eq!(
            reason,
            "the system tables have version 99, and this release knows 1; use the newer release"
        );
    }
}

#[tokio::test]
async fn a_check_finds_tables_that_are_not_as_they_were_made() {
    let Some(server) = support::server() else { return };
    let database = Database::new(&server, As::Apart).await;
    let storage = open(&database).await.unwrap();
    support::notes::create(&storage, &note()).await;
    let (app, owner) = (format!("{}_app", database.prefix), format!("{}_owner", database.prefix));
    for (harm, repair, found) in [
        (
            format!("REVOKE DELETE ON erp_plugin.suite__note FROM {app}"),
            format!("GRANT DELETE ON erp_plugin.suite__note TO {app}"),
            format!("{app} may not delete in suite__note"),
        ),
        (
            "ALTER TABLE erp_plugin.tenants OWNER TO CURRENT_USER".to_owned(),
            format!("ALTER TABLE erp_plugin.tenants OWNER TO {owner}"),
            "tenants belongs to postgres".to_owned(),
        ),
        (
            "ALTER TABLE erp_plugin.claim_turn RENAME TO gone".to_owned(),
            "ALTER TABLE erp_plugin.gone RENAME TO claim_turn".to_owned(),
            "claim_turn is missing".to_owned(),
        ),
    ] {
        run(&database, &harm).await;
        let findings = setup::check(&database.options()).await.unwrap();
        assert_eq!(to_fix(&findings), [format!("tables are not as they were made: {found}")]);
        run(&database, &repair).await;
        assert!(to_fix(&setup::check(&database.options()).await.unwrap()).is_empty());
    }
}

#[tokio::test]
async fn a_check_finds_the_holes_in_the_wall() {
    let Some(server) = support::server() else { return };
    let database = Database::new(&server, As::Apart).await;
    let storage = open(&database).await.unwrap();
    support::notes::create(&storage, &note()).await;
    let (app, owner) = (format!("{}_app", database.prefix), format!("{}_owner", database.prefix));
    let above = format!("{owner} and {app} are above row-level security");
    let open = |table: &str| format!("these tables do not keep tenants apart: {table}");
    for (harm, repair, found) in [
        (format!("ALTER ROLE {app} SUPERUSER"), format!("ALTER ROLE {app} NOSUPERUSER"), above.clone()),
        (format!("ALTER ROLE {owner} BYPASSRLS"), format!("ALTER ROLE {owner} NOBYPASSRLS"), above),
        (
            "DROP POLICY tenant ON erp_plugin.suite__note".to_owned(),
            "CREATE POLICY tenant ON erp_plugin.suite__note
                 USING (tenant_id = (SELECT erp_plugin.current_tenant()))"
                .to_owned(),
            open("suite__note"),
        ),
        (
            "ALTER TABLE erp_plugin.outbox NO FORCE ROW LEVEL SECURITY".to_owned(),
            "ALTER TABLE erp_plugin.outbox FORCE ROW LEVEL SECURITY".to_owned(),
            open("outbox"),
        ),
        (
            format!(
                "CREATE TABLE erp_plugin.another (tenant_id text); ALTER TABLE erp_plugin.another OWNER TO {owner}"
            ),
            "DROP TABLE erp_plugin.another".to_owned(),
            open("another"),
        ),
    ] {
        run(&database, &harm).await;
        let findings = setup::check(&database.options()).await.unwrap();
        assert_eq!(to_fix(&findings), [found], "{harm}");
        run(&database, &repair).await;
        assert!(to_fix(&setup::check(&database.options()).await.unwrap()).is_empty());
    }
}

#[tokio::test]
async fn a_policy_that_lets_everybody_through_is_a_hole_too() {
    let Some(server) = support::server() else { return };
    let database = Database::new(&server, As::Apart).await;
    run(&database, "ALTER POLICY tenant ON erp_plugin.outbox USING (true)").await;
    let findings = setup::check(&database.options()).await.unwrap();
    assert_eq!(to_fix(&findings), ["these tables do not keep tenants apart: outbox"]);
    run(
        &database,
        "ALTER POLICY tenant ON erp_plugin.outbox USING (tenant_id = (SELECT erp_plugin.current_tenant()))",
    )
    .await;
    run(&database, "CREATE POLICY more ON erp_plugin.outbox USING (true)").await;
    let findings = setup::check(&database.options()).await.unwrap();
    assert_eq!(to_fix(&findings), ["these tables do not keep tenants apart: outbox"]);
}

#[tokio::test]
async fn a_check_of_a_server_that_is_not_there_says_so() {
    let Some(server) = support::server() else { return };
    let database = Database::empty(&server, As::App).await;
    let url = with_user(&database.url, "there_is_nobody_of_this_name");
    let error = setup::check(&PostgresOptions::from_url(&url).unwrap()).await.unwrap_err();
    assert!(error.to_string().starts_with("connect: "), "{error}");
    assert!(error.to_string().contains("there_is_nobody_of_this_name"), "{error}");
}
