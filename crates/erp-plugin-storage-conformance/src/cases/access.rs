//! Tenants.

use std::sync::Arc;

use erp_plugin_storage::Storage;

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
    assert!(platform.tenant_exists(&tenant("north.wind")).await.unwrap());
    for other in ["North.wind", "north-wind", "north", "north.wind.", "n"] {
        assert!(!platform.tenant_exists(&tenant(other)).await.unwrap(), "{other}");
    }
}
