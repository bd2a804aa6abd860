//! Roles that a tenant keeps in its own data: what they give, and when a change of them counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use erp_plugin::{
    ErrorCode, ErrorKind, HostFailure, Identity, PluginHost, PluginHostBuilder, RolePermissions,
    StorageError, StorageResult, SystemClock, SystemIds,
};
use erp_plugin_model::{Role, RoleName, UserId};
use erp_plugin_storage_conformance::intercept::{Intercepted, Interceptor, Opened};
use erp_plugin_tests::{Database, Platform, TENANT, guests, sample, system_of, user};
use serde_json::json;

const NOTE: &str = "test-sample.note";

async fn platform() -> Platform {
    let platform = Platform::with(PluginHostBuilder::stored_roles).await;
    platform.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    platform
}

/// A user of whom the platform knows no role.
fn nobody(id: &str) -> Identity {
    Identity { roles: Vec::new(), ..user(id, "") }
}

/// Whether somebody may see the notes.
async fn may_read(host: &PluginHost, identity: Identity) -> bool {
    match host.records(identity).count(NOTE, &json!({})).await {
        Ok(_) => true,
        Err(HostFailure::Refused(error)) if error.code == ErrorCode::PermissionDenied => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_user_may_what_the_roles_give_that_are_assigned_or_named() {
    let Platform { host, .. } = &platform().await;
    host.set_role(TENANT, "clerk", ["test-sample.note.read"]).await.unwrap();
    assert!(!may_read(host, nobody("ada")).await);
    assert!(may_read(host, user("ada", "clerk")).await, "the platform says she has it");
    assert!(
        !may_read(host, user("ada", "boss")).await && !may_read(host, user("ada", "no role's name")).await
    );
    host.assign_role(TENANT, "ada", "clerk").await.unwrap();
    assert!(may_read(host, nobody("ada")).await && !may_read(host, nobody("ben")).await);
    assert!(may_read(host, system_of(TENANT)).await);
    let insert = host.records(nobody("ada")).insert(NOTE, &json!({ "title": "a" })).await.unwrap_err();
    assert_eq!(insert.code(), ErrorCode::PermissionDenied);
}

#[tokio::test]
async fn a_change_is_in_force_at_once_where_it_is_made() {
    let Platform { host, .. } = &platform().await;
    let ada = || nobody("ada");
    host.set_role(TENANT, "clerk", ["test-sample.*"]).await.unwrap();
    host.assign_role(TENANT, "ada", "clerk").await.unwrap();
    assert!(may_read(host, ada()).await);
    host.set_role(TENANT, "clerk", ["crm.*"]).await.unwrap();
    assert!(!may_read(host, ada()).await, "the role was replaced");
    host.set_role(TENANT, "clerk", ["*"]).await.unwrap();
    assert!(may_read(host, ada()).await);
    assert!(host.unassign_role(TENANT, "ada", "clerk").await.unwrap());
    assert!(!may_read(host, ada()).await, "the role was taken from her");
    host.assign_role(TENANT, "ada", "clerk").await.unwrap();
    assert!(may_read(host, ada()).await);
    assert!(host.remove_role(TENANT, "clerk").await.unwrap());
    host.set_role(TENANT, "clerk", ["*"]).await.unwrap();
    assert!(!may_read(host, ada()).await, "another role of its name is nobody's");
}

#[tokio::test]
async fn a_change_is_in_force_within_a_second_elsewhere() {
    let database = Database::lasting().await;
    let one = Platform::on(database.url(), PluginHostBuilder::stored_roles).await;
    one.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    let other = Platform::on(database.url(), PluginHostBuilder::stored_roles).await;
    one.host.set_role(TENANT, "clerk", ["*"]).await.unwrap();
    one.host.assign_role(TENANT, "ada", "clerk").await.unwrap();
    assert!(may_read(&other.host, nobody("ada")).await);
    one.host.unassign_role(TENANT, "ada", "clerk").await.unwrap();
    let taken = Instant::now();
    while may_read(&other.host, nobody("ada")).await {
        // What is asked for after that second must be refused; the rest is what a slow machine takes.
        assert!(taken.elapsed() < Duration::from_secs(10));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn roles_of_one_tenant_give_nothing_in_another() {
    let Platform { host, .. } = &platform().await;
    host.create_tenant("globex").await.unwrap();
    host.set_role(TENANT, "clerk", ["*"]).await.unwrap();
    host.assign_role(TENANT, "ada", "clerk").await.unwrap();
    let there = |identity: Identity| Identity { tenant: "globex".parse().unwrap(), ..identity };
    assert!(may_read(host, nobody("ada")).await);
    assert!(
        !may_read(host, there(nobody("ada"))).await && !may_read(host, there(user("ada", "clerk"))).await
    );
    assert_eq!(host.roles("globex").await.unwrap(), []);
    let error = host.assign_role("globex", "ada", "clerk").await.unwrap_err().to_string();
    assert_eq!(error, "not-found: globex has no role clerk; make it first. Its roles: none");
}

#[tokio::test]
async fn the_platforms_own_authorizer_counts_beside_them() {
    let roles = RolePermissions::new().grant("clerk", ["test-sample.note.insert"]);
    let platform = Platform::with(|builder| builder.authorizer(roles).stored_roles()).await;
    platform.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    let host = &platform.host;
    host.set_role(TENANT, "clerk", ["test-sample.note.read"]).await.unwrap();
    assert!(may_read(host, user("ada", "clerk")).await);
    host.records(user("ada", "clerk")).insert(NOTE, &json!({ "title": "a" })).await.unwrap();
}

#[tokio::test]
async fn without_the_choice_stored_roles_give_nothing() {
    let platform = Platform::new().await;
    platform.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    platform.host.set_role(TENANT, "clerk", ["*"]).await.unwrap();
    assert!(!may_read(&platform.host, user("ada", "clerk")).await);
}

#[tokio::test]
async fn roles_have_their_bounds() {
    let Platform { host, .. } = &platform().await;
    let many: Vec<String> = (0..201).map(|number| format!("a.p{number}")).collect();
    let error = host.set_role(TENANT, "clerk", &many).await.unwrap_err().to_string();
    let expected =
        "limit-exceeded: role clerk has 201 permissions, 200 are allowed; write patterns such as inventory.*";
    assert_eq!(error, expected);
    for number in 0..200 {
        host.set_role(TENANT, &format!("r{number}"), &many[..1]).await.unwrap();
    }
    let error = host.set_role(TENANT, "clerk", ["*"]).await.unwrap_err().to_string();
    let expected = "limit-exceeded: acme has 200 roles, as many as it may; remove one before clerk is made";
    assert_eq!(error, expected);
    host.set_role(TENANT, "r7", ["*"]).await.unwrap();
    for number in 0..50 {
        host.assign_role(TENANT, "ada", &format!("r{number}")).await.unwrap();
    }
    host.assign_role(TENANT, "ada", "r7").await.unwrap();
    let error = host.assign_role(TENANT, "ada", "r50").await.unwrap_err().to_string();
    assert_eq!(error, "limit-exceeded: ada has 50 roles, as many as one may; take one away before r50");
    let error = host.set_role(TENANT, "clerk", ["inv*"]).await.unwrap_err();
    assert!(error.to_string().starts_with("invalid permission pattern \"inv*\": "), "{error}");
}

/// Cannot say who has which role.
struct NoRoles;

#[async_trait]
impl Interceptor for NoRoles {
    async fn roles_of(&self, _: &mut Opened, _: &UserId, _: &[RoleName]) -> StorageResult<Vec<Role>> {
        Err(StorageError::new(ErrorKind::Unavailable, "roles of"))
    }
}

#[tokio::test]
async fn where_the_roles_cannot_be_read_nothing_is_given() {
    let database = Database::new().await;
    let storage = erp_plugin::storage(database.url()).await.unwrap();
    let storage = Arc::new(Intercepted::new(storage, Arc::new(NoRoles)));
    // Also nothing of what the platform itself gives: who is refused is told why.
    let roles = RolePermissions::new().grant("clerk", ["*"]);
    let builder = PluginHost::builder(storage, Arc::new(SystemClock), Arc::new(SystemIds::default()));
    let host = builder.authorizer(roles).stored_roles().build().await.unwrap();
    host.create_tenant(TENANT).await.unwrap();
    let error = host.records(user("ada", "clerk")).count(NOTE, &json!({})).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unavailable);
    assert!(
        !matches!(host.records(system_of(TENANT)).count(NOTE, &json!({})).await, Err(error) if error.code() == ErrorCode::Unavailable)
    );
}
