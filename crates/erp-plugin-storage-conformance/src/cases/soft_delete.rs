//! A deleted record is one that is not there.

use std::sync::Arc;

use erp_plugin_model::filter::Filter;
use erp_plugin_model::page::Page;
use erp_plugin_model::{FieldType, Value, Version};
use erp_plugin_storage::{Change, DeleteOutcome, Storage, UpdateOutcome};

use crate::fixture::{
    ALPHA, declare, equals, get, given, matching, optional, page, query, seen, stamp, update, write,
};

pub async fn a_deleted_record_is_invisible_to_every_verb(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await;
    let ids = given(&storage, ALPHA, &entity, [vec![Value::Integer(1)], vec![Value::Integer(1)]]).await;
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(
        transaction.delete(&entity, ids[0], stamp()).await.unwrap(),
        DeleteOutcome::Deleted(Version::FIRST)
    );
    transaction.commit(None).await.unwrap();

    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(get(&mut *transaction, &entity, ids[0]).await, None);
    let (outcome, _) = update(&mut *transaction, &entity, ids[0], 1, Change::Fields(&[])).await;
    assert_eq!(outcome, UpdateOutcome::NotFound);
    assert_eq!(transaction.delete(&entity, ids[0], stamp()).await.unwrap(), DeleteOutcome::NotFound);
    for filter in [
        Filter::everything(),
        equals(0, Value::Integer(1)),
        Filter::Any(vec![Filter::everything()]),
        Filter::Not(Box::new(Filter::Any(Vec::new()))),
    ] {
        assert_eq!(matching(&mut *transaction, &entity, &filter).await, [ids[1]]);
    }
    let counting = Page { total: true, ..page(10) };
    let (outcome, _) = query(&mut *transaction, &entity, &Filter::everything(), &counting).await;
    assert_eq!(outcome.total, Some(1));
}

pub async fn deleting_one_record_leaves_the_others(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await;
    let ids = given(&storage, ALPHA, &entity, (0..5).map(|n| vec![Value::Integer(n)])).await;
    let mut transaction = write(&storage, ALPHA).await;
    transaction.delete(&entity, ids[2], stamp()).await.unwrap();
    transaction.commit(None).await.unwrap();
    for (index, id) in ids.into_iter().enumerate() {
        assert_eq!(seen(&storage, ALPHA, &entity, id).await.is_some(), index != 2);
    }
}
