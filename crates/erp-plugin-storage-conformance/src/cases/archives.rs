//! What was put aside: kept, brought back, purged.

use std::sync::Arc;

use erp_plugin_model::evolution::{self, Action, Archived, Class};
use erp_plugin_model::{EntitySchema, FieldType, Value};
use erp_plugin_storage::{Altered, Entity, ErrorKind, NewRecord, PlatformScope, Storage, evolve};

use super::evolution::{create_tenants, evolve_to, soon, steps, works};
use crate::fixture::{
    ALPHA, declare, given, indexed, installation, json, new_id, platform, plugin, schema, seen, stamp, text,
    unique, write,
};
use crate::kinds::{item, searchable};

pub async fn what_is_put_aside_is_kept_until_it_is_purged(storage: Arc<dyn Storage>) {
    let tenants = create_tenants(&storage).await;
    let both = item(vec![unique("a", FieldType::String), indexed("b", FieldType::Integer)]);
    let one = item(vec![unique("a", FieldType::String)]);
    let old = declare(&storage, "suite.item", both.fields().to_vec()).await;
    let id = given(&storage, ALPHA, &old, [vec![text("x"), Value::Integer(7)]]).await[0];
    let entity = evolve_to(&storage, &tenants, &one).await;
    assert_eq!(seen(&storage, ALPHA, &entity, id).await.unwrap().values, [text("x")]);
    // It comes back with what it had, whatever was inserted meanwhile.
    let other = given(&storage, ALPHA, &entity, [vec![text("y")]]).await[0];
    let entity = evolve_to(&storage, &tenants, &both).await;
    assert_eq!(seen(&storage, ALPHA, &entity, id).await.unwrap().values, [text("x"), Value::Integer(7)]);
    assert_eq!(seen(&storage, ALPHA, &entity, other).await.unwrap().values, [text("y"), Value::Null]);
    // Once it is purged it comes back empty.
    evolve_to(&storage, &tenants, &one).await;
    let mut own = installation(&storage).await;
    let archived = own.archived(&plugin("suite")).await.unwrap();
    assert_eq!(archived.len(), 1);
    assert!(own.purge_archived(&archived[0]).await.unwrap());
    assert!(!own.purge_archived(&archived[0]).await.unwrap());
    own.commit().await.unwrap();
    let entity = evolve_to(&storage, &tenants, &both).await;
    assert_eq!(seen(&storage, ALPHA, &entity, id).await.unwrap().values, [text("x"), Value::Null]);
}

/// Puts every entity of the suite's aside.
async fn leave(storage: &Arc<dyn Storage>) {
    let mut own = platform(storage).await;
    let found = own.entities(&plugin("suite")).await.unwrap();
    own.rollback().await.unwrap();
    for step in evolution::leave(&found) {
        assert_eq!(evolve::make(&**storage, &step, &[]).await.unwrap(), Altered::Done);
    }
}

async fn archived(storage: &Arc<dyn Storage>) -> Vec<Archived> {
    let mut own = platform(storage).await;
    let archived = own.archived(&plugin("suite")).await.unwrap();
    own.rollback().await.unwrap();
    archived
}

pub async fn an_entity_that_was_put_aside_comes_back_with_all_that_it_had(storage: Arc<dyn Storage>) {
    let tenants = create_tenants(&storage).await;
    let both = item(vec![unique("a", FieldType::String), indexed("b", FieldType::Integer)]);
    let one = item(vec![unique("a", FieldType::String), searchable("c")]);
    let old = declare(&storage, "suite.item", both.fields().to_vec()).await;
    let id = given(&storage, ALPHA, &old, [vec![text("x"), Value::Integer(7)]]).await[0];
    let entity = evolve_to(&storage, &tenants, &one).await;
    let note = Entity::new(EntitySchema::dynamic(schema("suite.note", vec![]).name));
    let mut transaction = write(&storage, ALPHA).await;
    transaction.create_dynamic(&note).await.unwrap();
    transaction.commit(None).await.unwrap();
    let noted = given(&storage, ALPHA, &note, [vec![json(r#"{"n":1}"#)]]).await[0];

    leave(&storage).await;
    let kept = archived(&storage).await;
    let told: Vec<_> = kept.iter().map(|kept| (kept.entity.to_string(), kept.is_entity())).collect();
    let own = |name: &str, is_entity| (name.to_owned(), is_entity);
    assert_eq!(told, [own("suite.item", false), own("suite.item", true), own("suite.note", true)]);
    // Whoever does not know of it finds no table.
    let mut transaction = write(&storage, ALPHA).await;
    let values = [text("late"), Value::Null];
    let record = NewRecord { id: new_id(), values: &values };
    assert_eq!(
        transaction.insert(&entity, record, stamp()).await.unwrap_err().kind,
        ErrorKind::SchemaChanged
    );
    drop(transaction);

    let revivals = steps(&storage, std::slice::from_ref(&both)).await;
    assert_eq!(revivals.len(), 2, "{revivals:?}");
    let scope = PlatformScope::granted_by_host;
    for step in &revivals {
        assert!(matches!(step.action, Action::ReviveEntity { .. }) && step.class == Class::Safe);
        assert_eq!(storage.alter(scope(), step, soon()).await.unwrap(), Altered::Done);
        assert_eq!(storage.alter(scope(), step, soon()).await.unwrap(), Altered::Elsewhere);
    }
    assert_eq!(seen(&storage, ALPHA, &entity, id).await.unwrap().values, [text("x"), Value::Null]);
    assert_eq!(seen(&storage, ALPHA, &note, noted).await.unwrap().values, [json(r#"{"n":1}"#)]);
    works(&storage, &entity).await;
    // What was put aside in it before it was put aside itself.
    let entity = evolve_to(&storage, &tenants, &both).await;
    assert_eq!(seen(&storage, ALPHA, &entity, id).await.unwrap().values, [text("x"), Value::Integer(7)]);
}

pub async fn an_entity_that_was_purged_begins_anew(storage: Arc<dyn Storage>) {
    let tenants = create_tenants(&storage).await;
    let both = item(vec![unique("a", FieldType::String), indexed("b", FieldType::Integer)]);
    let one = item(vec![unique("a", FieldType::String)]);
    let old = declare(&storage, "suite.item", both.fields().to_vec()).await;
    let id = given(&storage, ALPHA, &old, [vec![text("x"), Value::Integer(7)]]).await[0];
    evolve_to(&storage, &tenants, &one).await;
    leave(&storage).await;
    let kept = archived(&storage).await;
    assert_eq!(kept.iter().map(Archived::is_entity).collect::<Vec<_>>(), [false, true]);
    let revival = steps(&storage, std::slice::from_ref(&one)).await;
    let mut own = installation(&storage).await;
    for kept in &kept {
        assert!(own.purge_archived(kept).await.unwrap());
        assert!(!own.purge_archived(kept).await.unwrap());
    }
    own.commit().await.unwrap();
    assert_eq!(archived(&storage).await, []);
    // Who planned before it was purged is told.
    let scope = PlatformScope::granted_by_host();
    assert_eq!(storage.alter(scope, &revival[0], soon()).await.unwrap(), Altered::Elsewhere);
    let entity = evolve_to(&storage, &tenants, &both).await;
    assert_eq!(seen(&storage, ALPHA, &entity, id).await, None);
    works(&storage, &entity).await;

    // With the table goes what lay in it, without being named.
    evolve_to(&storage, &tenants, &one).await;
    leave(&storage).await;
    let mut own = installation(&storage).await;
    let kept = own.archived(&plugin("suite")).await.unwrap();
    assert!(own.purge_archived(kept.last().unwrap()).await.unwrap());
    assert_eq!(own.archived(&plugin("suite")).await.unwrap(), []);
    own.commit().await.unwrap();
}
