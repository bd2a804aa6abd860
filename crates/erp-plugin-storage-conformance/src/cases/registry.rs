//! Installed plugins, activation, configuration.

use std::sync::Arc;

use erp_plugin_storage::{ActivationState, PluginVersion, Storage};
use semver::Version;

use crate::fixture::{ALPHA, BETA, platform, plugin, read, scope, tenant, time, write};

fn version(name: &str, version: &str) -> PluginVersion {
    PluginVersion {
        name: plugin(name),
        version: Version::parse(version).unwrap(),
        component: [7; 32],
        manifest: Some(br#"{"manifest":1}"#.to_vec()),
        granted: b"{}".to_vec(),
        installed_at: time(3),
    }
}

pub async fn rights_of_a_version_can_be_granted_anew(storage: Arc<dyn Storage>) {
    let (one, two) = (version("suite", "1.0.0"), version("suite", "2.0.0"));
    let mut own = platform(&storage).await;
    own.add_version(&one).await.unwrap();
    own.add_version(&two).await.unwrap();
    assert!(own.set_granted(&two.name, &two.version, b"{\"more\":1}").await.unwrap());
    assert!(!own.set_granted(&plugin("other"), &two.version, b"{}").await.unwrap());
    own.commit().await.unwrap();
    let granted: Vec<_> =
        platform(&storage).await.versions().await.unwrap().into_iter().map(|own| own.granted).collect();
    assert_eq!(granted, [b"{}".to_vec(), b"{\"more\":1}".to_vec()]);
}

pub async fn one_version_of_a_plugin_is_active(storage: Arc<dyn Storage>) {
    let (one, two) = (Version::new(1, 0, 0), Version::new(2, 0, 0));
    let mut own = platform(&storage).await;
    assert_eq!(own.active_versions().await.unwrap(), []);
    own.activate(&plugin("suite"), &one).await.unwrap();
    own.activate(&plugin("other"), &one).await.unwrap();
    own.activate(&plugin("suite"), &two).await.unwrap();
    own.commit().await.unwrap();
    let mut own = platform(&storage).await;
    let expected = [(plugin("other"), one.clone()), (plugin("suite"), two)];
    assert_eq!(own.active_versions().await.unwrap(), expected);
    own.activate(&plugin("suite"), &one).await.unwrap();
    own.rollback().await.unwrap();
    let mut own = platform(&storage).await;
    assert_eq!(own.active_versions().await.unwrap(), expected);
    assert!(own.deactivate(&plugin("other")).await.unwrap());
    assert!(!own.deactivate(&plugin("other")).await.unwrap());
    own.commit().await.unwrap();
    assert_eq!(platform(&storage).await.active_versions().await.unwrap(), expected[1..]);
}

pub async fn the_versions_of_a_plugin_go_together(storage: Arc<dyn Storage>) {
    let of = |name, number, component| PluginVersion { component, ..version(name, number) };
    let mut own = platform(&storage).await;
    for component in [[1; 32], [2; 32]] {
        own.put_component(&component, &component).await.unwrap();
    }
    let kept = of("other", "1.0.0", [2; 32]);
    for version in [of("suite", "1.0.0", [1; 32]), kept.clone(), of("suite", "2.0.0", [2; 32])] {
        own.add_version(&version).await.unwrap();
    }
    own.commit().await.unwrap();
    let mut own = platform(&storage).await;
    assert_eq!(own.remove_versions(&plugin("suite")).await.unwrap(), 2);
    assert_eq!(own.remove_versions(&plugin("suite")).await.unwrap(), 0);
    own.commit().await.unwrap();
    let mut own = platform(&storage).await;
    assert_eq!(own.versions().await.unwrap(), [kept]);
    assert_eq!(own.component(&[1; 32]).await.unwrap(), None);
    assert_eq!(own.component(&[2; 32]).await.unwrap(), Some(vec![2; 32]));
}

pub async fn a_component_comes_back_by_its_hash(storage: Arc<dyn Storage>) {
    let bytes: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
    let mut transaction = platform(&storage).await;
    transaction.put_component(&[1; 32], &bytes).await.unwrap();
    transaction.put_component(&[1; 32], &bytes).await.unwrap();
    transaction.put_component(&[2; 32], &[]).await.unwrap();
    transaction.commit().await.unwrap();
    let mut transaction = platform(&storage).await;
    assert_eq!(transaction.component(&[1; 32]).await.unwrap(), Some(bytes));
    assert_eq!(transaction.component(&[2; 32]).await.unwrap(), Some(Vec::new()));
    assert_eq!(transaction.component(&[3; 32]).await.unwrap(), None);
}

pub async fn a_version_is_new_once_and_never_changes(storage: Arc<dyn Storage>) {
    let mut transaction = platform(&storage).await;
    let first = version("sales", "1.0.0");
    assert!(transaction.add_version(&first).await.unwrap());
    let other = PluginVersion { component: [8; 32], granted: b"[]".to_vec(), ..first.clone() };
    assert!(!transaction.add_version(&other).await.unwrap());
    transaction.commit().await.unwrap();
    assert_eq!(platform(&storage).await.versions().await.unwrap(), [first]);
}

pub async fn versions_are_listed_in_the_order_of_installation(storage: Arc<dyn Storage>) {
    let versions = [
        version("stock", "2.0.0"),
        version("sales", "1.0.0-rc.1+build.5"),
        PluginVersion { manifest: None, ..version("stock", "1.0.0") },
        version("sales", "1.0.0"),
    ];
    for version in &versions {
        let mut transaction = platform(&storage).await;
        assert!(transaction.add_version(version).await.unwrap());
        transaction.commit().await.unwrap();
    }
    assert_eq!(platform(&storage).await.versions().await.unwrap(), versions);
}

pub async fn a_plugin_is_enabled_per_tenant(storage: Arc<dyn Storage>) {
    let sales = plugin("sales");
    let state = ActivationState {
        plugin: sales.clone(),
        version: Version::new(1, 0, 0),
        enabled: true,
        tenant_told: false,
    };
    assert_eq!(read(&storage, ALPHA).await.activation(&sales).await.unwrap(), None);
    for tenant in ["c", "a", "b"] {
        let mut transaction = write(&storage, tenant).await;
        transaction.set_activation(&state, &[]).await.unwrap();
        transaction.commit(None).await.unwrap();
    }
    let upgraded = ActivationState {
        version: Version::new(1, 1, 0),
        enabled: false,
        tenant_told: true,
        ..state.clone()
    };
    let mut transaction = write(&storage, "a").await;
    transaction.set_activation(&upgraded, &[]).await.unwrap();
    assert_eq!(transaction.activation(&sales).await.unwrap(), Some(upgraded));
    transaction.commit(None).await.unwrap();
    assert_eq!(read(&storage, "b").await.activation(&sales).await.unwrap(), Some(state));
    let mut own = platform(&storage).await;
    assert_eq!(own.enabled_in(&sales).await.unwrap(), [tenant("b"), tenant("c")]);
    assert_eq!(own.enabled_in(&plugin("other")).await.unwrap(), []);
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

pub async fn configuration_is_set_replaced_and_taken_away(storage: Arc<dyn Storage>) {
    let sales = plugin("sales");
    let mut transaction = write(&storage, ALPHA).await;
    transaction.set_config(&sales, "b", Some("1")).await.unwrap();
    transaction.set_config(&sales, "a", Some("\"x\"")).await.unwrap();
    transaction.set_config(&sales, "gone", Some("1")).await.unwrap();
    transaction.set_config(&sales, "b", Some("[2]")).await.unwrap();
    transaction.set_config(&sales, "gone", None).await.unwrap();
    transaction.set_config(&sales, "never", None).await.unwrap();
    transaction.set_config(&plugin("stock"), "a", Some("0")).await.unwrap();
    transaction.commit(None).await.unwrap();
    let mut transaction = read(&storage, ALPHA).await;
    let mut config = transaction.config(&sales).await.unwrap();
    config.sort();
    assert_eq!(config, [pair("a", "\"x\""), pair("b", "[2]")]);
}

pub async fn the_platforms_configuration_is_one(storage: Arc<dyn Storage>) {
    let mut transaction = platform(&storage).await;
    transaction.set_system_config("system.zone", Some("\"UTC\"")).await.unwrap();
    transaction.set_system_config("system.name", Some("1")).await.unwrap();
    transaction.set_system_config("system.name", Some("2")).await.unwrap();
    transaction.set_system_config("system.gone", Some("1")).await.unwrap();
    transaction.set_system_config("system.gone", None).await.unwrap();
    transaction.commit().await.unwrap();
    let mut config = platform(&storage).await.system_config().await.unwrap();
    config.sort();
    assert_eq!(config, [pair("system.name", "2"), pair("system.zone", "\"UTC\"")]);
}

pub async fn lifecycle_marks_go_with_a_rollback(storage: Arc<dyn Storage>) {
    let state = ActivationState {
        plugin: plugin("sales"),
        version: Version::new(1, 0, 0),
        enabled: true,
        tenant_told: true,
    };
    let mut transaction = write(&storage, ALPHA).await;
    transaction.set_activation(&state, &[]).await.unwrap();
    transaction.set_config(&state.plugin, "a", Some("1")).await.unwrap();
    transaction.rollback(None).await.unwrap();
    let mut transaction = read(&storage, ALPHA).await;
    assert_eq!(transaction.activation(&state.plugin).await.unwrap(), None);
    assert_eq!(transaction.config(&state.plugin).await.unwrap(), []);
    drop(transaction);
    let mut transaction = platform(&storage).await;
    transaction.put_component(&[1; 32], b"x").await.unwrap();
    transaction.add_version(&version("sales", "1.0.0")).await.unwrap();
    transaction.create_tenant(scope(BETA).tenant(), time(0)).await.unwrap();
    transaction.rollback().await.unwrap();
    let mut transaction = platform(&storage).await;
    assert_eq!(transaction.component(&[1; 32]).await.unwrap(), None);
    assert!(transaction.versions().await.unwrap().is_empty());
    assert!(transaction.tenants().await.unwrap().is_empty());
}
