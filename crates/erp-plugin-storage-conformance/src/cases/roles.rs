//! Roles of a tenant, and who has them.

use std::sync::Arc;

use erp_plugin_storage::{Storage, Transaction};

use crate::fixture::{ALPHA, assignments, read, role, role_name, user, write};

/// The names of the roles that a user has.
async fn names(transaction: &mut dyn Transaction, of: &str, beside: &[&str]) -> Vec<String> {
    let beside: Vec<_> = beside.iter().map(|name| role_name(name)).collect();
    let roles = transaction.roles_of(&user(of), &beside).await.unwrap();
    roles.iter().map(|role| role.name.to_string()).collect()
}

pub async fn a_role_is_made_replaced_and_removed(storage: Arc<dyn Storage>) {
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(transaction.roles().await.unwrap(), []);
    let sales = role("sales.manager", &["crm.*", "sales.order.read.field:margin"]);
    let (clerk, nothing) = (role("clerk", &["inventory.item.read"]), role("Nothing", &[]));
    for role in [&sales, &clerk, &nothing] {
        transaction.set_role(role).await.unwrap();
    }
    transaction.commit(None).await.unwrap();
    let mut transaction = write(&storage, ALPHA).await;
    // In the order of the code points.
    assert_eq!(transaction.roles().await.unwrap(), [nothing.clone(), clerk, sales.clone()]);
    let clerk = role("clerk", &["*"]);
    transaction.set_role(&clerk).await.unwrap();
    assert!(transaction.remove_role(&role_name("Nothing")).await.unwrap());
    for none in ["Nothing", "nothing", "cler"] {
        assert!(!transaction.remove_role(&role_name(none)).await.unwrap(), "{none}");
    }
    transaction.commit(None).await.unwrap();
    assert_eq!(read(&storage, ALPHA).await.roles().await.unwrap(), [clerk, sales]);
}

pub async fn a_role_that_is_replaced_stays_with_its_users(storage: Arc<dyn Storage>) {
    let mut transaction = write(&storage, ALPHA).await;
    transaction.set_role(&role("clerk", &["a.b"])).await.unwrap();
    assert!(transaction.assign_role(&user("ada"), &role_name("clerk")).await.unwrap());
    let replaced = role("clerk", &["a.c", "a.d"]);
    transaction.set_role(&replaced).await.unwrap();
    transaction.commit(None).await.unwrap();
    assert_eq!(read(&storage, ALPHA).await.roles_of(&user("ada"), &[]).await.unwrap(), [replaced]);
}

pub async fn a_role_is_assigned_and_taken_away(storage: Arc<dyn Storage>) {
    let mut transaction = write(&storage, ALPHA).await;
    for name in ["clerk", "buyer"] {
        transaction.set_role(&role(name, &["a.b"])).await.unwrap();
    }
    for (who, name) in [("ben", "clerk"), ("ada", "clerk"), ("ada", "buyer"), ("ada", "clerk")] {
        assert!(transaction.assign_role(&user(who), &role_name(name)).await.unwrap());
    }
    // There is no such role, whatever its name is like.
    for name in ["Clerk", "cler", "seller"] {
        assert!(!transaction.assign_role(&user("ada"), &role_name(name)).await.unwrap(), "{name}");
    }
    transaction.commit(None).await.unwrap();
    let mut transaction = write(&storage, ALPHA).await;
    let all = [("ada", "buyer"), ("ada", "clerk"), ("ben", "clerk")];
    assert_eq!(transaction.role_assignments().await.unwrap(), assignments(&all));
    assert!(transaction.unassign_role(&user("ada"), &role_name("clerk")).await.unwrap());
    assert!(!transaction.unassign_role(&user("ada"), &role_name("clerk")).await.unwrap());
    assert!(!transaction.unassign_role(&user("Ben"), &role_name("clerk")).await.unwrap());
    transaction.commit(None).await.unwrap();
    let mut transaction = read(&storage, ALPHA).await;
    assert_eq!(transaction.role_assignments().await.unwrap(), assignments(&[all[0], all[2]]));
    assert_eq!(names(&mut *transaction, "ada", &[]).await, ["buyer"]);
    assert_eq!(names(&mut *transaction, "ben", &[]).await, ["clerk"]);
}

pub async fn removing_a_role_takes_it_from_its_users(storage: Arc<dyn Storage>) {
    let mut transaction = write(&storage, ALPHA).await;
    for name in ["clerk", "buyer"] {
        transaction.set_role(&role(name, &["a.b"])).await.unwrap();
        assert!(transaction.assign_role(&user("ada"), &role_name(name)).await.unwrap());
    }
    transaction.commit(None).await.unwrap();
    let mut transaction = write(&storage, ALPHA).await;
    assert!(transaction.remove_role(&role_name("clerk")).await.unwrap());
    transaction.commit(None).await.unwrap();
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(names(&mut *transaction, "ada", &["clerk"]).await, ["buyer"]);
    assert_eq!(transaction.role_assignments().await.unwrap(), assignments(&[("ada", "buyer")]));
    // Another one of its name is nobody's.
    transaction.set_role(&role("clerk", &["*"])).await.unwrap();
    transaction.commit(None).await.unwrap();
    let mut transaction = read(&storage, ALPHA).await;
    assert_eq!(names(&mut *transaction, "ada", &[]).await, ["buyer"]);
}

pub async fn a_users_roles_come_with_those_named_beside_them(storage: Arc<dyn Storage>) {
    let mut transaction = write(&storage, ALPHA).await;
    for name in ["a", "b", "c", "d"] {
        transaction.set_role(&role(name, &[&format!("x.{name}")])).await.unwrap();
    }
    for name in ["b", "d"] {
        assert!(transaction.assign_role(&user("ada"), &role_name(name)).await.unwrap());
    }
    transaction.commit(None).await.unwrap();
    let mut transaction = read(&storage, ALPHA).await;
    let of_ada = transaction.roles_of(&user("ada"), &[role_name("b"), role_name("a")]).await.unwrap();
    assert_eq!(of_ada, [role("a", &["x.a"]), role("b", &["x.b"]), role("d", &["x.d"])]);
    assert_eq!(names(&mut *transaction, "ada", &["B", "none"]).await, ["b", "d"]);
    assert_eq!(names(&mut *transaction, "ben", &["c", "c"]).await, ["c"]);
    assert!(names(&mut *transaction, "Ada", &[]).await.is_empty());
}

pub async fn roles_go_with_a_rollback(storage: Arc<dyn Storage>) {
    let mut transaction = write(&storage, ALPHA).await;
    transaction.set_role(&role("clerk", &["a.b"])).await.unwrap();
    assert!(transaction.assign_role(&user("ada"), &role_name("clerk")).await.unwrap());
    transaction.rollback(None).await.unwrap();
    let mut transaction = read(&storage, ALPHA).await;
    assert_eq!(transaction.roles().await.unwrap(), []);
    assert_eq!(transaction.role_assignments().await.unwrap(), []);
}
