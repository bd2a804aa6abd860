//! Installed plugins, activation, configuration.

use std::sync::Arc;

use erp_plugin_model::{EntityRef, EntitySchema};
use erp_plugin_storage::{
    ActivationState, CreateDynamic, Entity, ErrorKind, PluginVersion, Quarantine, Storage,
};
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
        pinned: false,
        quarantine: None,
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
        pinned: false,
        quarantine: None,
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

pub async fn what_a_version_wrote_is_kept_only_where_it_runs(storage: Arc<dyn Storage>) {
    let sales = plugin("sales");
    let place = async |tenant, version: &str, enabled| {
        let state = ActivationState::enabled(plugin("sales"), Version::parse(version).unwrap());
        let mut own = write(&storage, tenant).await;
        own.set_activation(&ActivationState { enabled, ..state }, &[]).await.unwrap();
        own.commit(None).await.unwrap();
    };
    // What it writes is there afterwards, or the error's kind.
    let written = async |tenant, version: &str, value: &str| {
        let mut own = write(&storage, tenant).await;
        own.set_config(&plugin("sales"), "a", Some(value)).await.unwrap();
        let required = own.require_version(&plugin("sales"), version).await;
        let ended = match required {
            Ok(()) => own.commit(None).await,
            Err(error) => {
                own.rollback(None).await.unwrap();
                Err(error)
            }
        };
        let mut own = read(&storage, tenant).await;
        let kept = own.config(&plugin("sales")).await.unwrap() == [("a".to_owned(), value.to_owned())];
        assert_eq!(kept, ended.is_ok());
        ended.map_err(|error| error.kind)
    };
    let stale = Err(ErrorKind::SchemaChanged);
    assert_eq!(written(ALPHA, "1.0.0", "never enabled").await, stale);
    place(ALPHA, "1.0.0", true).await;
    assert_eq!(written(ALPHA, "1.0.0", "at its version").await, Ok(()));
    assert_eq!(written(BETA, "1.0.0", "another tenant's").await, stale);
    place(ALPHA, "1.0.1", true).await;
    assert_eq!(written(ALPHA, "1.0.0", "the one before").await, stale);
    assert_eq!(written(ALPHA, "1.0.1", "the one after").await, Ok(()));
    place(ALPHA, "1.0.1", false).await;
    assert_eq!(written(ALPHA, "1.0.1", "disabled").await, stale);
    // Enabled by the transaction itself.
    let mut own = write(&storage, ALPHA).await;
    own.set_activation(&ActivationState::enabled(sales.clone(), Version::new(2, 0, 0)), &[]).await.unwrap();
    own.require_version(&sales, "2.0.0").await.unwrap();
    own.commit(None).await.unwrap();
}

pub async fn a_quarantine_is_changed_by_one(storage: Arc<dyn Storage>) {
    let sales = plugin("sales");
    let quarantine = |until, times| Quarantine {
        since: time(1),
        until: time(until),
        times,
        error: "trapped \u{540d}".to_owned(),
    };
    let set = async |tenant, until: Option<i64>, wanted: Option<&Quarantine>| {
        let mut own = write(&storage, tenant).await;
        let was_set = own.set_quarantine(&plugin("sales"), until.map(time), wanted).await.unwrap();
        own.commit(None).await.unwrap();
        was_set
    };
    let seen = async |tenant| {
        read(&storage, tenant).await.activation(&plugin("sales")).await.unwrap().unwrap().quarantine
    };
    assert!(!set(ALPHA, None, Some(&quarantine(5, 1))).await, "it stands nowhere");
    for tenant in [ALPHA, BETA] {
        let mut own = write(&storage, tenant).await;
        own.set_activation(&ActivationState::enabled(sales.clone(), Version::new(1, 0, 0)), &[])
            .await
            .unwrap();
        own.commit(None).await.unwrap();
    }
    assert!(!set(ALPHA, Some(5), Some(&quarantine(6, 1))).await, "it is in none");
    assert!(set(ALPHA, None, Some(&quarantine(5, 1))).await);
    assert!(!set(ALPHA, None, Some(&quarantine(7, 1))).await, "somebody was first");
    assert_eq!((seen(ALPHA).await, seen(BETA).await), (Some(quarantine(5, 1)), None));
    assert!(set(ALPHA, Some(5), Some(&quarantine(9, 2))).await);
    assert!(!set(ALPHA, Some(5), None).await, "it was extended");
    assert_eq!(seen(ALPHA).await, Some(quarantine(9, 2)));
    assert!(set(ALPHA, Some(9), None).await);
    assert_eq!(seen(ALPHA).await, None);

    // Setting where it stands sets that as well.
    let state = ActivationState {
        pinned: true,
        quarantine: Some(quarantine(3, 4)),
        ..ActivationState::enabled(sales.clone(), Version::new(1, 0, 0))
    };
    let mut own = write(&storage, ALPHA).await;
    own.set_activation(&state, &[]).await.unwrap();
    own.commit(None).await.unwrap();
    assert_eq!(read(&storage, ALPHA).await.activation(&sales).await.unwrap(), Some(state));
}

pub async fn other_versions_are_told_where_they_run(storage: Arc<dyn Storage>) {
    let stands = async |tenant: &str, name: &str, minor, enabled| {
        let state =
            ActivationState { enabled, ..ActivationState::enabled(plugin(name), Version::new(1, minor, 0)) };
        let mut own = write(&storage, tenant).await;
        own.set_activation(&state, &[]).await.unwrap();
        own.commit(None).await.unwrap();
    };
    for (tenant, name, minor, enabled) in [
        ("c", "sales", 0, true),
        ("b", "sales", 1, true),
        ("a", "stock", 0, true),
        ("a", "sales", 0, false),
        ("b", "gone", 0, true),
    ] {
        stands(tenant, name, minor, enabled).await;
    }
    let mut own = platform(&storage).await;
    assert_eq!(own.deviations().await.unwrap(), [], "none is active");
    own.activate(&plugin("sales"), &Version::new(1, 1, 0)).await.unwrap();
    own.activate(&plugin("stock"), &Version::new(2, 0, 0)).await.unwrap();
    own.commit().await.unwrap();
    let pinned = ActivationState {
        enabled: false,
        pinned: true,
        ..ActivationState::enabled(plugin("sales"), Version::new(1, 0, 0))
    };
    let mut own = write(&storage, "d").await;
    own.set_activation(&pinned, &[]).await.unwrap();
    own.commit(None).await.unwrap();
    let expected = [("a", "stock"), ("c", "sales"), ("d", "sales")];
    let expected = expected.map(|(own, name)| (tenant(own), plugin(name), Version::new(1, 0, 0)));
    assert_eq!(platform(&storage).await.deviations().await.unwrap(), expected);
}

pub async fn another_revision_tells_of_every_change(storage: Arc<dyn Storage>) {
    let revision = async || platform(&storage).await.revision().await.unwrap();
    let mut seen = vec![revision().await];
    assert_eq!(revision().await, seen[0]);
    let mut note = async || {
        let now = revision().await;
        assert!(!seen.contains(&now), "{now} was there before");
        seen.push(now);
    };
    let sales = version("sales", "1.0.0");
    let mut own = platform(&storage).await;
    own.add_version(&sales).await.unwrap();
    own.activate(&sales.name, &sales.version).await.unwrap();
    own.commit().await.unwrap();
    note().await;
    let mut own = platform(&storage).await;
    own.set_granted(&sales.name, &sales.version, b"{}").await.unwrap();
    own.commit().await.unwrap();
    note().await;
    let mut own = platform(&storage).await;
    own.set_version(&sales.name, &sales.version).await.unwrap();
    own.commit().await.unwrap();
    note().await;
    let note_entity = Entity::new(EntitySchema::dynamic(EntityRef::parse("sales.note").unwrap()));
    let mut own = write(&storage, ALPHA).await;
    assert_eq!(own.create_dynamic(&note_entity).await.unwrap(), CreateDynamic::Ready);
    own.commit(None).await.unwrap();
    note().await;
    let mut own = platform(&storage).await;
    own.note_change().await.unwrap();
    own.commit().await.unwrap();
    note().await;
    let mut own = platform(&storage).await;
    own.deactivate(&sales.name).await.unwrap();
    own.commit().await.unwrap();
    note().await;
}
