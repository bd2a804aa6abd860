//! The wall between tenants: another tenant's record is one that never was.

use std::sync::Arc;

use erp_plugin_model::event::EventPattern;
use erp_plugin_model::filter::{Column, Comparison, Filter};
use erp_plugin_model::page::Page;
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::usage::LogLevel;
use erp_plugin_model::{FieldType, Value, Version};
use erp_plugin_storage::{
    ActivationState, Change, DeleteOutcome, InsertOutcome, LogQuery, NewRecord, Storage, Subscription,
    UpdateOutcome,
};

use super::series::take;
use crate::fixture::{
    ALPHA, BETA, assignments, count, declare, event, get, given, insert, invocation, matching, optional,
    page, plugin, query, read, role, seen, stamp, text, update, user, write,
};

pub async fn every_verb_answers_for_anothers_record_as_for_none(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await;
    let theirs = given(&storage, BETA, &entity, [vec![Value::Integer(1)]]).await[0];
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(get(&mut *transaction, &entity, theirs).await, None);
    let change = [(0, Value::Integer(666))];
    let (outcome, _) = update(&mut *transaction, &entity, theirs, 1, Change::Fields(&change)).await;
    assert_eq!(outcome, UpdateOutcome::NotFound);
    // Also with a version that it does not have: no word about the one it has.
    let (outcome, _) = update(&mut *transaction, &entity, theirs, 9, Change::Fields(&change)).await;
    assert_eq!(outcome, UpdateOutcome::NotFound);
    assert_eq!(transaction.delete(&entity, theirs, stamp()).await.unwrap(), DeleteOutcome::NotFound);
    transaction.commit(None).await.unwrap();
    let found = seen(&storage, BETA, &entity, theirs).await.unwrap();
    assert_eq!((found.version, found.values), (1, vec![Value::Integer(1)]));
}

pub async fn no_query_shows_or_counts_anothers_records(storage: Arc<dyn Storage>) {
    let fields = vec![optional("n", FieldType::Integer), optional("s", FieldType::String)];
    let entity = declare(&storage, "suite.sample", fields).await;
    let mine = given(&storage, ALPHA, &entity, [vec![Value::Integer(1), text("a")]]).await[0];
    let theirs = given(&storage, BETA, &entity, [vec![Value::Integer(1), text("a")]]).await[0];
    let mut transaction = read(&storage, ALPHA).await;
    let id = |id| Filter::Compare(Column::System(SystemField::Id), Comparison::Eq, id);
    let n = |comparison| Filter::Compare(Column::Field(0), comparison, Value::Integer(1));
    let everywhere = [
        Filter::everything(),
        Filter::Any(vec![Filter::everything(), n(Comparison::Eq)]),
        Filter::Not(Box::new(Filter::Any(Vec::new()))),
        Filter::Not(Box::new(n(Comparison::Ne))),
        Filter::Any(vec![n(Comparison::Eq), n(Comparison::Ne)]),
        Filter::In(Column::System(SystemField::Id), vec![Value::Uuid(mine.0), Value::Uuid(theirs.0)]),
        Filter::Any(vec![id(Value::Uuid(mine.0)), id(Value::Uuid(theirs.0))]),
        Filter::Prefix(Column::Field(1), String::new()),
    ];
    for filter in everywhere {
        assert_eq!(matching(&mut *transaction, &entity, &filter).await, [mine], "{filter:?}");
        let counting = Page { total: true, ..page(10) };
        assert_eq!(query(&mut *transaction, &entity, &filter, &counting).await.0.total, Some(1));
    }
    assert!(matching(&mut *transaction, &entity, &id(Value::Uuid(theirs.0))).await.is_empty());
}

pub async fn one_id_in_two_tenants_is_two_records(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await;
    let id = given(&storage, ALPHA, &entity, [vec![Value::Integer(1)]]).await[0];
    let mut transaction = write(&storage, BETA).await;
    let values = [Value::Integer(2)];
    let outcome = transaction.insert(&entity, NewRecord { id, values: &values }, stamp()).await.unwrap();
    assert_eq!(outcome, InsertOutcome::Inserted);
    assert_eq!(
        transaction.delete(&entity, id, stamp()).await.unwrap(),
        DeleteOutcome::Deleted(Version::FIRST)
    );
    transaction.commit(None).await.unwrap();
    assert_eq!(seen(&storage, ALPHA, &entity, id).await.unwrap().values, [Value::Integer(1)]);
    assert_eq!(count(&storage, BETA, &entity).await, 0);
}

pub async fn names_that_are_nearly_equal_are_two_tenants(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await;
    for tenant in ["north", "North", "north.", "north-", "north_", "north1", "n"] {
        given(&storage, tenant, &entity, [vec![Value::Null]]).await;
        assert_eq!(count(&storage, tenant, &entity).await, 1, "{tenant}");
    }
}

pub async fn configuration_activation_journal_and_events_are_the_tenants_own(storage: Arc<dyn Storage>) {
    let sales = plugin("sales");
    let mut transaction = write(&storage, ALPHA).await;
    let state = ActivationState {
        plugin: sales.clone(),
        version: semver::Version::new(1, 0, 0),
        enabled: true,
        tenant_told: true,
        pinned: false,
        quarantine: None,
    };
    let everything = Subscription { pattern: EventPattern::everything(), own_events: true, key: None };
    transaction.set_activation(&state, &[everything]).await.unwrap();
    transaction.set_config(&sales, "currency", Some("\"EUR\"")).await.unwrap();
    transaction.publish(&[event("order.created", "k", 0)]).await.unwrap();
    transaction.commit(Some(&invocation("sales", None))).await.unwrap();

    let log = LogQuery { plugin: None, min_level: LogLevel::Trace, limit: 10 };
    let mut theirs = write(&storage, BETA).await;
    assert_eq!(theirs.activation(&sales).await.unwrap(), None);
    assert_eq!(theirs.config(&sales).await.unwrap(), []);
    assert_eq!(theirs.event_count().await.unwrap(), 0);
    assert_eq!(theirs.log(&log).await.unwrap(), []);
    assert_eq!(theirs.usage().await.unwrap(), []);
    // Nor can it change them.
    theirs.set_config(&sales, "currency", None).await.unwrap();
    theirs.set_activation(&ActivationState { enabled: false, ..state.clone() }, &[]).await.unwrap();
    theirs.commit(None).await.unwrap();

    let mut mine = read(&storage, ALPHA).await;
    assert_eq!(mine.activation(&sales).await.unwrap(), Some(state));
    assert_eq!(mine.config(&sales).await.unwrap(), [("currency".to_owned(), "\"EUR\"".to_owned())]);
    assert_eq!(mine.event_count().await.unwrap(), 1);
    assert_eq!(mine.log(&log).await.unwrap().len(), 1);
    assert_eq!(mine.usage().await.unwrap().len(), 1);
}

pub async fn roles_and_who_has_them_are_the_tenants_own(storage: Arc<dyn Storage>) {
    let (clerk, ada) = (role("clerk", &["inventory.*"]), user("ada"));
    let mut mine = write(&storage, ALPHA).await;
    mine.set_role(&clerk).await.unwrap();
    assert!(mine.assign_role(&ada, &clerk.name).await.unwrap());
    mine.commit(None).await.unwrap();

    let mut theirs = write(&storage, BETA).await;
    assert_eq!(theirs.roles().await.unwrap(), []);
    assert_eq!(theirs.role_assignments().await.unwrap(), []);
    assert_eq!(theirs.roles_of(&ada, std::slice::from_ref(&clerk.name)).await.unwrap(), []);
    assert!(!theirs.assign_role(&ada, &clerk.name).await.unwrap());
    // Nor can it change them.
    assert!(!theirs.unassign_role(&ada, &clerk.name).await.unwrap());
    assert!(!theirs.remove_role(&clerk.name).await.unwrap());
    theirs.set_role(&role("clerk", &["*"])).await.unwrap();
    assert_eq!(theirs.roles_of(&ada, &[]).await.unwrap(), []);
    theirs.commit(None).await.unwrap();

    let mut mine = read(&storage, ALPHA).await;
    assert_eq!(mine.roles_of(&ada, &[]).await.unwrap(), [clerk]);
    assert_eq!(mine.role_assignments().await.unwrap(), assignments(&[("ada", "clerk")]));
}

pub async fn series_are_the_tenants_own(storage: Arc<dyn Storage>) {
    let mut mine = write(&storage, ALPHA).await;
    assert_eq!(take(&mut *mine, "a{}", 3).await, 1);
    mine.commit(None).await.unwrap();
    let mut theirs = write(&storage, BETA).await;
    assert_eq!(take(&mut *theirs, "a{}", 1).await, 1);
    theirs.commit(None).await.unwrap();
    assert_eq!(take(&mut *write(&storage, ALPHA).await, "a{}", 1).await, 4);
}

pub async fn a_transaction_after_anothers_carries_nothing_of_it(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await;
    // Ended in each of the ways in which one can end, so that whatever is reused has been through all of them.
    for round in 0..3 {
        let mut theirs = write(&storage, BETA).await;
        insert(&mut *theirs, &entity, &[Value::Integer(round)]).await;
        match round {
            0 => theirs.commit(None).await.unwrap(),
            1 => theirs.rollback(None).await.unwrap(),
            _ => drop(theirs),
        }
        let mut mine = read(&storage, ALPHA).await;
        assert!(matching(&mut *mine, &entity, &Filter::everything()).await.is_empty());
        // Not dropped: what that leaves behind would be in the way of what theirs does.
        mine.commit(None).await.unwrap();
    }
}
