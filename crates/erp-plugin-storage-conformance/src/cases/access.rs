//! Tenants.

use std::sync::Arc;

use erp_plugin_storage::{Storage, TenantState};

use crate::fixture::{platform, tenant, time};

pub async fn a_tenant_is_new_once(storage: Arc<dyn Storage>) {
    let mut first = platform(&storage).await;
    assert!(first.create_tenant(&tenant("northwind"), time(0)).await.unwrap());
    assert!(!first.create_tenant(&tenant("northwind"), time(1)).await.unwrap());
    first.commit().await.unwrap();
    let mut second = platform(&storage).await;
    assert!(!second.create_tenant(&tenant("northwind"), time(2)).await.unwrap());
}

pub async fn tenants_are_listed_by_id(storage: Arc<dyn Storage>) {
    let mut platform = platform(&storage).await;
    for name in ["b", "a", "C", "a.1", "a-2"] {
        platform.create_tenant(&tenant(name), time(0)).await.unwrap();
    }
    let listed: Vec<_> = platform.tenants().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(listed, ["C", "a", "a-2", "a.1", "b"]);
}

pub async fn a_tenant_is_looked_up_by_its_very_id(storage: Arc<dyn Storage>) {
    let mut platform = platform(&storage).await;
    platform.create_tenant(&tenant("north.wind"), time(0)).await.unwrap();
    assert_eq!(platform.tenant_state(&tenant("north.wind")).await.unwrap(), Some(TenantState::Active));
    for other in ["North.wind", "north-wind", "north", "north.wind.", "n"] {
        assert_eq!(platform.tenant_state(&tenant(other)).await.unwrap(), None, "{other}");
    }
}

pub async fn a_tenant_is_suspended_and_resumed(storage: Arc<dyn Storage>) {
    let mut own = platform(&storage).await;
    for name in ["b", "a", "c"] {
        own.create_tenant(&tenant(name), time(0)).await.unwrap();
    }
    assert!(!own.set_tenant_state(&tenant("d"), TenantState::Suspended).await.unwrap());
    for name in ["c", "a", "a"] {
        assert!(own.set_tenant_state(&tenant(name), TenantState::Suspended).await.unwrap());
    }
    own.commit().await.unwrap();
    let mut own = platform(&storage).await;
    assert_eq!(own.suspended_tenants().await.unwrap(), [tenant("a"), tenant("c")]);
    assert!(!own.create_tenant(&tenant("a"), time(1)).await.unwrap());
    assert_eq!(own.tenant_state(&tenant("a")).await.unwrap(), Some(TenantState::Suspended));
    assert_eq!(own.tenant_state(&tenant("b")).await.unwrap(), Some(TenantState::Active));
    assert!(own.set_tenant_state(&tenant("a"), TenantState::Active).await.unwrap());
    assert_eq!(own.suspended_tenants().await.unwrap(), [tenant("c")]);
    assert_eq!(own.tenants().await.unwrap(), ["a", "b", "c"].map(tenant));
}
