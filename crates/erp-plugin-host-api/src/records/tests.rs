//! What a call leaves behind when it is refused, and what a search costs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use erp_plugin_model::event::Publisher;
use erp_plugin_model::{Clock, EntityRef, IdGenerator, Identity, Limits, PermissionSet, PluginName, UserId};
use erp_plugin_storage::{Mode, TenantScope};
use erp_plugin_storage_sqlite::{SqliteOptions, SqliteStorage};
use uuid::Uuid;

use super::*;
use crate::CallError;
use crate::caller::{Caller, DynamicDirectory, PublishRight};
use crate::hooks::NoHooks;
use crate::invocation::{Cause, InvocationContext, Services};

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }
}

#[derive(Default)]
struct Counted(AtomicU64);

impl IdGenerator for Counted {
    fn new_id(&self, _: DateTime<Utc>) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }
}

/// An invocation of a plugin that has dynamic entities only.
fn invocation() -> Invocation {
    let plugin = PluginName::parse("notes").unwrap();
    let tenant = TenantId::parse("alpha").unwrap();
    let services = Services {
        storage: Arc::new(SqliteStorage::open(&SqliteOptions::memory()).unwrap()),
        clock: Arc::new(Fixed),
        ids: Arc::new(Counted::default()),
        hooks: Arc::new(NoHooks),
    };
    let caller = Caller {
        publisher: Publisher::Plugin(plugin.clone()),
        version: "1.0.0".to_owned(),
        entities: HashMap::new(),
        dynamic: Some(Arc::new(DynamicDirectory::new(plugin, []))),
        publish: PublishRight::All,
        config: HashMap::new(),
        references: Arc::default(),
    };
    let ample = Duration::from_secs(60);
    let context = InvocationContext {
        scope: TenantScope::granted_by_host(tenant.clone()),
        identity: Arc::new(Identity::user(tenant, UserId::parse("anna").unwrap())),
        permissions: Arc::new(PermissionSet::default()),
        caller: Arc::new(caller),
        trigger: "init".to_owned(),
        mode: Mode::Write,
        cause: Cause::Request,
        limits: Limits { writer_hold_ms: 60_000, ..unlimited() },
        deadline: Instant::now() + ample,
        fenced: false,
    };
    Invocation::begin(services, context)
}

fn unlimited() -> Limits {
    let mut limits = Limits::default();
    for row in erp_plugin_model::limits::TABLE {
        limits.set(row.kind, row.default.saturating_mul(1000));
    }
    limits
}

#[tokio::test]
async fn a_refused_insert_makes_no_entity() {
    let mut call = invocation();
    let too_long = format!(r#"{{"a":"{}"}}"#, "x".repeat(70_000));
    for data in ["[]", "{", r#"{"id":"x"}"#, r#"{"a":1,"a":2}"#, &too_long] {
        let error = call.insert("note", data.as_bytes()).await.unwrap_err();
        assert!(matches!(error, CallError::Answer(_)), "{data}: {error}");
    }
    let note = EntityRef::parse("notes.note").unwrap();
    assert!(!call.transaction().await.unwrap().has_dynamic(&note).await.unwrap());
    call.insert("note", b"{}").await.unwrap();
    assert!(call.transaction().await.unwrap().has_dynamic(&note).await.unwrap());
}

#[tokio::test]
async fn an_update_that_would_make_a_record_too_long_is_answered() {
    let mut call = invocation();
    let half = format!(r#""{}""#, "x".repeat(40_000));
    let stored = call.insert("note", format!(r#"{{"a":{half}}}"#).as_bytes()).await.unwrap();
    let stored: serde_json::Value = serde_json::from_slice(&stored).unwrap();
    let id = stored["id"].as_str().unwrap();
    let error = call.update("note", id, format!(r#"{{"b":{half}}}"#).as_bytes(), 1).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid-input: with these fields the record would have more JSON than it may; a record of a dynamic entity \
         has at most 64 KiB, declare the entity in plugin.toml to have more"
    );
    call.update("note", id, format!(r#"{{"a":{half}}}"#).as_bytes(), 1).await.unwrap();
}

#[tokio::test]
async fn a_search_costs_by_what_it_looks_at_not_by_what_it_finds() {
    let mut call = invocation();
    let mut cost_of_search = async |records: usize| {
        for _ in 0..records {
            call.insert("note", br#"{"a":1}"#).await.unwrap();
        }
        call.budget_mut().take_fuel_debt();
        let page = call.query("note", br#"{"a":2}"#, b"").await.unwrap();
        assert_eq!(page, br#"{"items":[],"next_cursor":null}"#);
        call.budget_mut().take_fuel_debt()
    };
    let few = cost_of_search(10).await;
    let many = cost_of_search(9_990).await;
    assert!(few < 5_000, "{few}");
    assert!((100_000..1_000_000).contains(&many), "{many}");
}
