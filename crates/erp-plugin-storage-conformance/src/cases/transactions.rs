//! How transactions end, and that they are one or nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use erp_plugin_model::filter::Filter;
use erp_plugin_model::usage::LogLevel;
use erp_plugin_model::{EntityRef, EntitySchema, ErrorCode, FieldType, Value, Version};
use erp_plugin_storage::{
    Change, DeadLetterFilter, Entity, ErrorKind, InsertOutcome, LogQuery, Mode, NewRecord, PlatformScope,
    Storage, TransactionOptions,
};

use crate::fixture::{
    ALPHA, BETA, Collect, count, declare, event, get, given, insert, invocation, matching, new_id, options,
    page, pattern, platform, plugin, read, request, scope, seen, stamp, tenant, text, time, unique, update,
    write,
};

async fn coded(storage: &Arc<dyn Storage>) -> Entity {
    declare(storage, "suite.coded", vec![unique("code", FieldType::String)]).await
}

pub async fn a_commit_makes_all_of_it_visible(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    let changed = given(&storage, ALPHA, &entity, [vec![text("a")]]).await[0];
    let deleted = given(&storage, ALPHA, &entity, [vec![text("b")]]).await[0];
    let mut transaction = write(&storage, ALPHA).await;
    let inserted = insert(&mut *transaction, &entity, &[text("c")]).await;
    let change = [(0, text("d"))];
    update(&mut *transaction, &entity, changed, 1, Change::Fields(&change)).await;
    transaction.delete(&entity, deleted, stamp()).await.unwrap();
    transaction.publish(&[event("order.created", "k", 0)]).await.unwrap();
    transaction.set_config(&plugin("sales"), "a", Some("1")).await.unwrap();
    transaction.commit(Some(&invocation("sales", None))).await.unwrap();

    let mut after = read(&storage, ALPHA).await;
    assert_eq!(get(&mut *after, &entity, inserted).await.unwrap().values, [text("c")]);
    assert_eq!(get(&mut *after, &entity, changed).await.unwrap().values, [text("d")]);
    assert_eq!(get(&mut *after, &entity, deleted).await, None);
    assert_eq!(after.event_count().await.unwrap(), 1);
    assert_eq!(after.config(&plugin("sales")).await.unwrap().len(), 1);
    assert_eq!(after.usage().await.unwrap()[0].invocations, 1);
}

pub async fn a_rollback_leaves_only_the_invocations_record(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    let id = given(&storage, ALPHA, &entity, [vec![text("a")]]).await[0];
    let mut transaction = write(&storage, ALPHA).await;
    insert(&mut *transaction, &entity, &[text("b")]).await;
    let change = [(0, text("c"))];
    update(&mut *transaction, &entity, id, 1, Change::Fields(&change)).await;
    transaction.delete(&entity, id, stamp()).await.unwrap();
    transaction.publish(&[event("order.created", "k", 0)]).await.unwrap();
    transaction.set_config(&plugin("sales"), "a", Some("1")).await.unwrap();
    let dynamic = Entity::new(EntitySchema::dynamic(EntityRef::parse("suite.note").unwrap()));
    transaction.create_dynamic(&dynamic).await.unwrap();
    insert(&mut *transaction, &dynamic, &[Value::Json("{}".to_owned())]).await;
    transaction.rollback(Some(&invocation("sales", Some(ErrorCode::Rejected)))).await.unwrap();

    let mut after = read(&storage, ALPHA).await;
    assert_eq!(matching(&mut *after, &entity, &Filter::everything()).await, [id]);
    let found = get(&mut *after, &entity, id).await.unwrap();
    assert_eq!((found.version, found.values), (1, vec![text("a")]));
    assert_eq!(after.event_count().await.unwrap(), 0);
    assert_eq!(after.config(&plugin("sales")).await.unwrap(), []);
    assert!(matching(&mut *after, &dynamic, &Filter::everything()).await.is_empty());
    let usage = after.usage().await.unwrap();
    assert_eq!((usage[0].invocations, usage[0].failed), (1, 1));
    let lines = LogQuery { plugin: None, min_level: LogLevel::Trace, limit: 10 };
    assert_eq!(after.log(&lines).await.unwrap().len(), 1);
}

pub async fn dropping_a_transaction_rolls_it_back(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    let mut transaction = write(&storage, ALPHA).await;
    let id = insert(&mut *transaction, &entity, &[text("a")]).await;
    drop(transaction);
    assert_eq!(seen(&storage, ALPHA, &entity, id).await, None);
    // Nothing of it is in the way, and nothing of it comes back with what follows.
    given(&storage, ALPHA, &entity, [vec![text("a")]]).await;
    assert_eq!(count(&storage, ALPHA, &entity).await, 1);
}

pub async fn an_unpolled_commit_is_a_drop(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    let mut transaction = write(&storage, ALPHA).await;
    insert(&mut *transaction, &entity, &[text("a")]).await;
    let record = invocation("sales", None);
    drop(transaction.commit(Some(&record)));
    assert_eq!(count(&storage, ALPHA, &entity).await, 0);
    assert!(read(&storage, ALPHA).await.usage().await.unwrap().is_empty());
}

pub async fn a_transaction_sees_what_it_wrote_itself(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    let mut transaction = write(&storage, ALPHA).await;
    let id = insert(&mut *transaction, &entity, &[text("a")]).await;
    assert!(get(&mut *transaction, &entity, id).await.is_some());
    let change = [(0, text("b"))];
    update(&mut *transaction, &entity, id, 1, Change::Fields(&change)).await;
    assert_eq!(get(&mut *transaction, &entity, id).await.unwrap().version, 2);
    transaction.delete(&entity, id, stamp()).await.unwrap();
    assert_eq!(get(&mut *transaction, &entity, id).await, None);
}

pub async fn a_read_transaction_refuses_to_write(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    let id = given(&storage, ALPHA, &entity, [vec![text("a")]]).await[0];
    let mut transaction = read(&storage, ALPHA).await;
    let values = [text("b")];
    let record = NewRecord { id: new_id(), values: &values };
    let mut sink = Collect::of(&entity, &[]);
    let nothing = Change::Fields(&[]);
    let dynamic = Entity::new(EntitySchema::dynamic(EntityRef::parse("suite.note").unwrap()));
    let refused = [
        transaction.insert(&entity, record, stamp()).await.map(drop).unwrap_err(),
        transaction
            .update(&entity, id, Version::FIRST, nothing, stamp(), &mut sink)
            .await
            .map(drop)
            .unwrap_err(),
        transaction.delete(&entity, id, stamp()).await.map(drop).unwrap_err(),
        transaction.create_dynamic(&dynamic).await.map(drop).unwrap_err(),
        transaction.publish(&[event("order.created", "k", 0)]).await.unwrap_err(),
        transaction.set_config(&plugin("sales"), "a", Some("1")).await.unwrap_err(),
    ];
    assert!(refused.iter().all(|error| error.kind == ErrorKind::Bug));
    // Asking was no harm.
    assert!(get(&mut *transaction, &entity, id).await.is_some());
    transaction.commit(None).await.unwrap();
    assert_eq!(count(&storage, ALPHA, &entity).await, 1);
}

pub async fn a_platform_transaction_may_only_read(storage: Arc<dyn Storage>) {
    let mut writing = platform(&storage).await;
    writing.create_tenant(&tenant(ALPHA), time(0)).await.unwrap();
    writing.commit().await.unwrap();
    let scope = PlatformScope::granted_by_host();
    let mut reading = storage.begin_platform(scope, options(Mode::Read)).await.unwrap();
    assert!(reading.tenant_state(&tenant(ALPHA)).await.unwrap().is_some());
    let request = request();
    let refused = [
        reading.create_tenant(&tenant(BETA), time(0)).await.map(drop).unwrap_err(),
        reading.put_component(&[0; 32], b"").await.unwrap_err(),
        reading.set_system_config("system.zone", Some("1")).await.unwrap_err(),
        reading.dispatch(1).await.map(drop).unwrap_err(),
        reading.claim(&request).await.map(drop).unwrap_err(),
        reading.end_claims(request.worker, &[]).await.unwrap_err(),
        reading.beat(request.worker).await.unwrap_err(),
        reading.subscribe(&plugin("core"), &pattern("*")).await.map(drop).unwrap_err(),
        reading.resend(&DeadLetterFilter::default(), 1).await.map(drop).unwrap_err(),
        reading.drop_dead_letters(&DeadLetterFilter::default(), 1).await.map(drop).unwrap_err(),
        reading.prune_events(time(9), 1).await.map(drop).unwrap_err(),
        reading.prune_log(time(9), 1).await.map(drop).unwrap_err(),
    ];
    assert!(refused.iter().all(|error| error.kind == ErrorKind::Bug));
    // Asking was no harm.
    assert!(reading.tenant_state(&tenant(BETA)).await.unwrap().is_none());
    reading.commit().await.unwrap();
}

pub async fn misuse_is_refused_and_leaves_the_transaction(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    let id = given(&storage, ALPHA, &entity, [vec![text("a")]]).await[0];
    let mut transaction = write(&storage, ALPHA).await;
    let mut sink = Collect::of(&entity, &[]);
    let again = NewRecord { id, values: &[text("b")] };
    assert_eq!(transaction.insert(&entity, again, stamp()).await.unwrap_err().kind, ErrorKind::Bug);
    let too_few = NewRecord { id: new_id(), values: &[] };
    assert_eq!(transaction.insert(&entity, too_few, stamp()).await.unwrap_err().kind, ErrorKind::Bug);
    for change in [
        Change::Fields(&[(1, Value::Null)]),
        Change::Fields(&[(0, Value::Null), (0, Value::Null)]),
        Change::Document(&[]),
    ] {
        let error =
            transaction.update(&entity, id, Version::FIRST, change, stamp(), &mut sink).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Bug, "{change:?}");
    }
    insert(&mut *transaction, &entity, &[text("b")]).await;
    transaction.commit(None).await.unwrap();
    assert_eq!(count(&storage, ALPHA, &entity).await, 2);
}

fn past(mode: Mode) -> TransactionOptions {
    TransactionOptions { deadline: Instant::now(), ..options(mode) }
}

pub async fn past_the_deadline_nothing_more_is_done(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    for mode in [Mode::Read, Mode::Write] {
        // A backend may notice at once, or at the first statement.
        let kind = match storage.begin(&scope(ALPHA), past(mode)).await {
            Err(error) => error.kind,
            Ok(mut transaction) => {
                let mut sink = Collect::of(&entity, &[]);
                let everything = Filter::everything();
                transaction.query(&entity, &everything, &page(1), &mut sink).await.unwrap_err().kind
            }
        };
        assert_eq!(kind, ErrorKind::DeadlineExceeded);
    }
    if let Ok(transaction) = storage.begin(&scope(ALPHA), past(Mode::Write)).await {
        assert_eq!(transaction.commit(None).await.unwrap_err().kind, ErrorKind::DeadlineExceeded);
    }
    given(&storage, ALPHA, &entity, [vec![text("a")]]).await;
}

pub async fn waiting_for_another_writer_ends_at_the_deadline(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    let mut first = write(&storage, ALPHA).await;
    insert(&mut *first, &entity, &[text("a")]).await;
    for tenant in [ALPHA, BETA] {
        let soon = Instant::now() + Duration::from_millis(20);
        let outcome = async {
            let mut second = storage
                .begin(&scope(tenant), TransactionOptions { deadline: soon, ..options(Mode::Write) })
                .await?;
            let record = NewRecord { id: new_id(), values: &[text("b")] };
            second.insert(&entity, record, stamp()).await?;
            second.rollback(None).await
        };
        // A backend that excludes nobody has nothing to wait for.
        if let Err(error) = outcome.await {
            assert!(matches!(error.kind, ErrorKind::DeadlineExceeded | ErrorKind::Busy), "{error:?}");
            assert!(Instant::now() >= soon);
        }
    }
    first.commit(None).await.unwrap();
    assert_eq!(count(&storage, ALPHA, &entity).await, 1);
    given(&storage, ALPHA, &entity, [vec![text("b")]]).await;
}

pub async fn a_writer_held_too_long_is_told_and_rolled_back(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    let brief = TransactionOptions { writer_hold: Duration::from_millis(5), ..options(Mode::Write) };
    let mut transactions = Vec::new();
    for _ in 0..2 {
        let mut transaction = storage.begin(&scope(ALPHA), brief).await.unwrap();
        let Some(end) = transaction.must_end_by() else { return };
        let record = NewRecord { id: new_id(), values: &[text("a")] };
        // On a slow machine the five milliseconds may be over before the first statement.
        match transaction.insert(&entity, record, stamp()).await {
            Ok(outcome) => assert_eq!(outcome, InsertOutcome::Inserted),
            Err(error) => assert_eq!(error.kind, ErrorKind::WriterHoldExceeded),
        }
        while Instant::now() <= end {
            std::hint::spin_loop();
        }
        let mut sink = Collect::of(&entity, &[]);
        let late = [
            transaction.insert(&entity, record, stamp()).await.map(drop).unwrap_err(),
            transaction.get(&entity, new_id(), &mut sink).await.map(drop).unwrap_err(),
            transaction
                .query(&entity, &Filter::everything(), &page(1), &mut sink)
                .await
                .map(drop)
                .unwrap_err(),
            transaction.event_count().await.map(drop).unwrap_err(),
        ];
        assert!(late.iter().all(|error| error.kind == ErrorKind::WriterHoldExceeded), "{late:?}");
        if transactions.is_empty() {
            let error = transaction.commit(Some(&invocation("sales", None))).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::WriterHoldExceeded);
            transactions.push(());
        } else {
            let record = invocation("sales", Some(ErrorCode::LimitExceeded));
            transaction.rollback(Some(&record)).await.unwrap();
        }
    }
    assert_eq!(count(&storage, ALPHA, &entity).await, 0);
    let usage = read(&storage, ALPHA).await.usage().await.unwrap();
    assert_eq!(usage.iter().map(|total| (total.invocations, total.failed)).collect::<Vec<_>>(), [(1, 1)]);
}
