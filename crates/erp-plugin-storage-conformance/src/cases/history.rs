//! Who changed what.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use erp_plugin_model::{EntityRef, FieldType, InvocationId, PluginName, RecordId, UserId, Value, Version};
use erp_plugin_storage::{
    Change, ChangeFilter, ChangePlace, CreateDynamic, Entity, ErrorKind, HistoryQuery, HistorySink,
    InsertOutcome, NewChange, NewRecord, NotedChange, Origin, RecordSink, RecordUpdate, ReplacedView,
    RowView, SinkFlow, Storage, StorageResult, Transaction, UpdateOutcome, Verb,
};

use crate::fixture::{
    ALPHA, BETA, declare, insert, json, new_id, new_uuid, optional, read, stamp, text, time, unique, write,
};

fn entity(name: &str) -> EntityRef {
    EntityRef::parse(name).unwrap()
}

fn item() -> EntityRef {
    entity("suite.item")
}

fn version(number: i64) -> Version {
    Version::new(number).unwrap()
}

/// Anna, at the platform's edge.
fn origin(at: i64) -> Origin<'static> {
    Origin { at: time(at), by: "anna", caused_by: None, plugin: None, invocation: InvocationId(new_uuid()) }
}

/// A change as a sink saw it.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    place: ChangePlace,
    by: String,
    caused_by: Option<String>,
    plugin: Option<(String, String)>,
    invocation: InvocationId,
    changes: Option<String>,
}

/// Keeps what it is given, and has enough at some number.
struct Collect {
    seen: Vec<Seen>,
    enough: usize,
}

impl HistorySink for Collect {
    fn change(&mut self, change: &NotedChange<'_>) -> StorageResult<SinkFlow> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        self.seen.push(Seen {
            place: change.place,
            by: change.by.to_owned(),
            caused_by: owned(change.caused_by),
            plugin: owned(change.plugin).zip(owned(change.plugin_version)),
            invocation: change.invocation,
            changes: owned(change.changes),
        });
        Ok(if self.seen.len() == self.enough { SinkFlow::Stop } else { SinkFlow::Continue })
    }
}

async fn page(
    transaction: &mut dyn Transaction,
    entity: &EntityRef,
    query: HistoryQuery<'_>,
) -> (Vec<Seen>, bool) {
    let mut sink = Collect { seen: Vec::new(), enough: usize::MAX };
    let more = transaction.history(entity, query, &mut sink).await.unwrap();
    (sink.seen, more)
}

/// All of it, a page of two at a time.
async fn all(transaction: &mut dyn Transaction, entity: &EntityRef, record: Option<RecordId>) -> Vec<Seen> {
    let mut all: Vec<Seen> = Vec::new();
    loop {
        let after = all.last().map(|last| last.place);
        let (seen, more) = page(
            transaction,
            entity,
            HistoryQuery { record, filter: ChangeFilter::default(), after, limit: 2 },
        )
        .await;
        assert!(seen.len() <= 2 && (!more || seen.len() == 2));
        all.extend(seen);
        if !more {
            return all;
        }
    }
}

async fn seen(storage: &Arc<dyn Storage>, tenant: &str, entity: &EntityRef) -> Vec<Seen> {
    all(&mut *read(storage, tenant).await, entity, None).await
}

/// Notes changes of one record each, in a transaction of their own: when, which, version and verb.
async fn noted(storage: &Arc<dyn Storage>, tenant: &str, changes: &[(i64, RecordId, i64, Verb)]) {
    let mut transaction = write(storage, tenant).await;
    for (at, record, number, verb) in changes {
        let change = of(&item(), *record, *number, *verb);
        transaction.note_changes(origin(*at), &[change.as_change()]).await.unwrap();
    }
    transaction.commit(None).await.unwrap();
}

/// A change that owns what it is made of.
struct Own {
    entity: EntityRef,
    record: RecordId,
    number: i64,
    verb: Verb,
}

impl Own {
    fn as_change(&self) -> NewChange<'_> {
        NewChange {
            entity: &self.entity,
            record: self.record,
            version: version(self.number),
            verb: self.verb,
            changes: Some("{}"),
        }
    }
}

fn of(entity: &EntityRef, record: RecordId, number: i64, verb: Verb) -> Own {
    Own { entity: entity.clone(), record, number, verb }
}

pub async fn changes_become_visible_with_the_commit(storage: Arc<dyn Storage>) {
    let own = of(&item(), new_id(), 1, Verb::Insert);
    let mut transaction = write(&storage, ALPHA).await;
    transaction.note_changes(origin(0), &[own.as_change()]).await.unwrap();
    transaction.commit(None).await.unwrap();
    let seen = seen(&storage, ALPHA, &item()).await;
    assert_eq!(seen.iter().map(|seen| seen.place.record).collect::<Vec<_>>(), [own.record]);
}

pub async fn changes_go_with_a_rollback(storage: Arc<dyn Storage>) {
    let own = of(&item(), new_id(), 1, Verb::Insert);
    let mut transaction = write(&storage, ALPHA).await;
    transaction.note_changes(origin(0), &[own.as_change()]).await.unwrap();
    transaction.rollback(Some(&crate::fixture::invocation("suite", None))).await.unwrap();
    let own = of(&item(), new_id(), 1, Verb::Insert);
    let mut transaction = write(&storage, ALPHA).await;
    transaction.note_changes(origin(0), &[own.as_change()]).await.unwrap();
    drop(transaction);
    assert_eq!(seen(&storage, ALPHA, &item()).await, []);
}

pub async fn noting_nothing_is_nothing(storage: Arc<dyn Storage>) {
    let mut transaction = write(&storage, ALPHA).await;
    transaction.note_changes(origin(0), &[]).await.unwrap();
    transaction.commit(None).await.unwrap();
    assert_eq!(seen(&storage, ALPHA, &item()).await, []);
}

pub async fn a_change_comes_back_as_it_was(storage: Arc<dyn Storage>) {
    let at: DateTime<Utc> = "2026-01-31T09:30:00.123456Z".parse().unwrap();
    let (caused_by, plugin) = (UserId::parse("anna").unwrap(), PluginName::parse("sales").unwrap());
    let full = Origin {
        at,
        by: "plugin:sales",
        caused_by: Some(&caused_by),
        plugin: Some((&plugin, "1.2.0")),
        invocation: InvocationId(new_uuid()),
    };
    let (record, other, name) = (new_id(), new_id(), item());
    // As it was spelled, with a key that an object need not have twice.
    let changes = r#"{"naïve \u0001 key" : {"from":1.50, "to":"'; DROP TABLE x; --"}, "b":{"to":[ 1 ]}}"#;
    let first = NewChange {
        entity: &name,
        record,
        version: version(i64::MAX),
        verb: Verb::Update,
        changes: Some(changes),
    };
    let second = NewChange { record: other, version: version(1), verb: Verb::Delete, changes: None, ..first };
    let mut transaction = write(&storage, ALPHA).await;
    transaction.note_changes(full, &[first, second]).await.unwrap();
    transaction.commit(None).await.unwrap();
    let expected = Seen {
        place: ChangePlace { at, record, version: version(i64::MAX), verb: Verb::Update },
        by: "plugin:sales".to_owned(),
        caused_by: Some("anna".to_owned()),
        plugin: Some(("sales".to_owned(), "1.2.0".to_owned())),
        invocation: full.invocation,
        changes: Some(changes.to_owned()),
    };
    let place = ChangePlace { at, record: other, version: version(1), verb: Verb::Delete };
    let other = Seen { place, changes: None, ..expected.clone() };
    assert_eq!(seen(&storage, ALPHA, &item()).await, [other, expected]);
}

pub async fn a_transaction_sees_what_it_noted_itself(storage: Arc<dyn Storage>) {
    let record = new_id();
    let mut transaction = write(&storage, ALPHA).await;
    for number in 1..=3 {
        let own = of(&item(), record, number, Verb::Update);
        transaction.note_changes(origin(number), &[own.as_change()]).await.unwrap();
        let seen = all(&mut *transaction, &item(), Some(record)).await;
        assert_eq!(seen.len(), usize::try_from(number).unwrap());
    }
    assert_eq!(transaction.prune_history(&item(), time(3), 10).await.unwrap(), 2);
    transaction.commit(None).await.unwrap();
    assert_eq!(seen(&storage, ALPHA, &item()).await.len(), 1);
}

pub async fn a_read_transaction_notes_nothing(storage: Arc<dyn Storage>) {
    let own = of(&item(), new_id(), 1, Verb::Insert);
    let mut transaction = read(&storage, ALPHA).await;
    let refused = transaction.note_changes(origin(0), &[own.as_change()]).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Bug);
    let refused = transaction.prune_history(&item(), time(1), 1).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Bug);
}

pub async fn a_records_changes_come_newest_first_a_page_at_a_time(storage: Arc<dyn Storage>) {
    let (record, other) = (new_id(), new_id());
    // A clock that went back, and a deletion that leaves the version as it is.
    let changes = [
        (5, record, 1, Verb::Insert),
        (6, record, 2, Verb::Update),
        (4, record, 2, Verb::Delete),
        (7, record, 3, Verb::Restore),
        (7, record, 3, Verb::Delete),
    ];
    noted(&storage, ALPHA, &[&[(5, other, 1, Verb::Insert)], &changes[..]].concat()).await;
    let found = all(&mut *read(&storage, ALPHA).await, &item(), Some(record)).await;
    let told: Vec<_> = found.iter().map(|seen| (seen.place.version.get(), seen.place.verb)).collect();
    let mut expected = changes.map(|(_, _, number, verb)| (number, verb));
    expected.reverse();
    assert_eq!(told, expected);
    let exact = HistoryQuery { record: Some(record), filter: ChangeFilter::default(), after: None, limit: 5 };
    let (all_of_it, more) = page(&mut *read(&storage, ALPHA).await, &item(), exact).await;
    assert!(all_of_it == found && !more);
    let nobody = HistoryQuery { record: Some(new_id()), ..exact };
    assert_eq!(page(&mut *read(&storage, ALPHA).await, &item(), nobody).await, (Vec::new(), false));
}

pub async fn an_entitys_changes_come_newest_first_a_page_at_a_time(storage: Arc<dyn Storage>) {
    let (a, b) = (new_id(), new_id());
    // Of one time in the order of the ids, and of one id in that of the versions.
    let changes = [
        (1, a, 9, Verb::Update),
        (2, a, 1, Verb::Insert),
        (2, a, 2, Verb::Update),
        (2, a, 2, Verb::Delete),
        (2, b, 1, Verb::Insert),
        (3, a, 3, Verb::Restore),
    ];
    let mut shuffled = changes.to_vec();
    shuffled.rotate_left(3);
    noted(&storage, ALPHA, &shuffled).await;
    let told: Vec<_> = seen(&storage, ALPHA, &item())
        .await
        .into_iter()
        .map(|Seen { place: ChangePlace { at, record, version, verb }, .. }| {
            (at, record, version.get(), verb)
        })
        .collect();
    let mut expected = changes.map(|(at, record, number, verb)| (time(at), record, number, verb));
    expected.reverse();
    assert_eq!(told, expected);
}

pub async fn changes_are_the_tenants_and_the_entitys_own(storage: Arc<dyn Storage>) {
    let record = new_id();
    noted(&storage, ALPHA, &[(1, record, 1, Verb::Insert)]).await;
    noted(&storage, BETA, &[(2, record, 1, Verb::Insert), (3, record, 2, Verb::Update)]).await;
    let mut transaction = write(&storage, ALPHA).await;
    for other in [entity("suite.items"), entity("suites.item"), entity("suite.ite")] {
        let own = of(&other, record, 1, Verb::Insert);
        transaction.note_changes(origin(4), &[own.as_change()]).await.unwrap();
    }
    transaction.commit(None).await.unwrap();
    let times = |seen: Vec<Seen>| seen.into_iter().map(|seen| seen.place.at).collect::<Vec<_>>();
    assert_eq!(times(seen(&storage, ALPHA, &item()).await), [time(1)]);
    assert_eq!(times(seen(&storage, BETA, &item()).await), [time(3), time(2)]);
    for name in [ALPHA, BETA] {
        let own = all(&mut *read(&storage, name).await, &item(), Some(record)).await;
        assert_eq!(times(own), times(seen(&storage, name, &item()).await));
    }
    assert_eq!(seen(&storage, "gamma", &item()).await, []);
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(transaction.prune_history(&item(), time(9), 10).await.unwrap(), 1);
    transaction.commit(None).await.unwrap();
    assert_eq!(seen(&storage, BETA, &item()).await.len(), 2);
    assert_eq!(seen(&storage, ALPHA, &entity("suite.items")).await.len(), 1);
}

pub async fn changes_are_found_by_time_author_and_kind(storage: Arc<dyn Storage>) {
    let (a, b) = (new_id(), new_id());
    let changes = [
        (1, a, 1, Verb::Insert, "anna"),
        (2, b, 1, Verb::Insert, "bert"),
        (3, a, 2, Verb::Update, "bert"),
        (4, a, 3, Verb::Update, "anna"),
        (5, a, 3, Verb::Delete, "anna"),
        (6, b, 2, Verb::Update, "plugin:suite"),
    ];
    let mut transaction = write(&storage, ALPHA).await;
    for (at, record, number, verb, by) in changes {
        let change = of(&item(), record, number, verb);
        transaction.note_changes(Origin { by, ..origin(at) }, &[change.as_change()]).await.unwrap();
    }
    transaction.commit(None).await.unwrap();
    let none = ChangeFilter::default();
    for (record, filter, expected) in [
        (None, ChangeFilter { since: Some(time(4)), ..none }, &[6, 5, 4][..]),
        (None, ChangeFilter { until: Some(time(3)), ..none }, &[2, 1]),
        (None, ChangeFilter { since: Some(time(2)), until: Some(time(4)), ..none }, &[3, 2]),
        (None, ChangeFilter { by: Some("anna"), ..none }, &[5, 4, 1]),
        (None, ChangeFilter { by: Some("ann"), ..none }, &[]),
        (None, ChangeFilter { verb: Some(Verb::Insert), ..none }, &[2, 1]),
        (None, ChangeFilter { by: Some("bert"), verb: Some(Verb::Update), ..none }, &[3]),
        (Some(a), ChangeFilter { since: Some(time(2)), ..none }, &[5, 4, 3]),
        (Some(a), ChangeFilter { by: Some("anna"), until: Some(time(5)), ..none }, &[4, 1]),
        (Some(b), ChangeFilter { verb: Some(Verb::Delete), ..none }, &[]),
    ] {
        // A change a page.
        let (mut found, mut after) = (Vec::new(), None);
        let mut transaction = read(&storage, ALPHA).await;
        loop {
            let query = HistoryQuery { record, filter, after, limit: 1 };
            let (seen, more) = page(&mut *transaction, &item(), query).await;
            after = seen.last().map(|seen| seen.place);
            found.extend(seen.into_iter().map(|seen| seen.place.at));
            if !more {
                break;
            }
        }
        assert_eq!(found, expected.iter().map(|at| time(*at)).collect::<Vec<_>>(), "{filter:?}");
    }
}

pub async fn a_sink_that_has_enough_gets_no_more(storage: Arc<dyn Storage>) {
    let record = new_id();
    let changes: Vec<_> = (1..=4).map(|number| (number, record, number, Verb::Update)).collect();
    noted(&storage, ALPHA, &changes).await;
    let mut transaction = read(&storage, ALPHA).await;
    for record in [None, Some(record)] {
        let mut sink = Collect { seen: Vec::new(), enough: 2 };
        let query = HistoryQuery { record, filter: ChangeFilter::default(), after: None, limit: 3 };
        transaction.history(&item(), query, &mut sink).await.unwrap();
        assert_eq!(sink.seen.len(), 2);
    }
    // The transaction is as good as before.
    assert_eq!(all(&mut *transaction, &item(), None).await.len(), 4);
}

pub async fn pruning_removes_only_what_is_older_at_most_its_limit_the_oldest_first(
    storage: Arc<dyn Storage>,
) {
    let record = new_id();
    let changes: Vec<_> = (1..=1200).map(|number| (number, record, number, Verb::Update)).collect();
    noted(&storage, ALPHA, &changes).await;
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(transaction.prune_history(&item(), time(1), 10).await.unwrap(), 0);
    assert_eq!(transaction.prune_history(&item(), time(1001), 0).await.unwrap(), 0);
    assert_eq!(transaction.prune_history(&item(), time(1001), 700).await.unwrap(), 700);
    let query = HistoryQuery { record: None, filter: ChangeFilter::default(), after: None, limit: 1000 };
    let (left, _) = page(&mut *transaction, &item(), query).await;
    assert_eq!((left.len(), left.last().unwrap().place.at), (500, time(701)));
    assert_eq!(transaction.prune_history(&item(), time(1001), 700).await.unwrap(), 300);
    assert_eq!(transaction.prune_history(&item(), time(1001), 700).await.unwrap(), 0);
    transaction.commit(None).await.unwrap();
    assert_eq!(seen(&storage, ALPHA, &item()).await.len(), 200);
}

/// What an update told of a record: before, and then with the new one its version.
#[derive(Debug, PartialEq)]
enum Told {
    Before(RecordId, Vec<Value>),
    Record(RecordId, i64),
}

/// Keeps what it is told, of these fields.
struct Listener<'a> {
    fields: &'a [usize],
    asks: bool,
    told: Vec<Told>,
}

impl RecordSink for Listener<'_> {
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow> {
        let system = row.system()?;
        self.told.push(Told::Record(system.id, system.version.get()));
        Ok(SinkFlow::Continue)
    }

    fn wants_replaced(&self) -> bool {
        self.asks
    }

    fn replaced(&mut self, id: RecordId, before: &dyn ReplacedView) -> StorageResult<()> {
        let values = self.fields.iter().map(|at| Ok(before.replaced_field(*at)?.to_owned()));
        self.told.push(Told::Before(id, values.collect::<StorageResult<_>>()?));
        Ok(())
    }
}

impl Listener<'_> {
    /// Without what was not replaced after all.
    fn told(self) -> Vec<Told> {
        let mut told: Vec<Told> = Vec::new();
        for next in self.told {
            let is_followed =
                matches!((told.last(), &next), (Some(Told::Before(a, _)), Told::Record(b, _)) if a == b);
            if matches!(told.last(), Some(Told::Before(..))) && !is_followed {
                told.pop();
            }
            told.push(next);
        }
        if matches!(told.last(), Some(Told::Before(..))) {
            told.pop();
        }
        told
    }
}

fn listener(fields: &[usize]) -> Listener<'_> {
    Listener { fields, asks: true, told: Vec::new() }
}

async fn things(storage: &Arc<dyn Storage>) -> Entity {
    let fields = vec![
        unique("code", FieldType::String),
        optional("n", FieldType::Integer),
        optional("order", FieldType::Json),
    ];
    declare(storage, "suite.thing", fields).await
}

pub async fn an_update_shows_what_it_replaces(storage: Arc<dyn Storage>) {
    let entity = things(&storage).await;
    let mut transaction = write(&storage, ALPHA).await;
    let before = [text("a"), Value::Integer(1), Value::Null];
    let id = insert(&mut *transaction, &entity, &before).await;
    insert(&mut *transaction, &entity, &[text("taken"), Value::Null, Value::Null]).await;
    for (version, change, fields, expected) in [
        (1, vec![(1, Value::Integer(2)), (2, json("[1]"))], vec![1, 2], vec![Value::Integer(1), Value::Null]),
        (2, vec![(2, json("[2]")), (0, text("b"))], vec![0, 2], vec![text("a"), json("[1]")]),
        (3, vec![], vec![], vec![]),
        (4, vec![(1, Value::Null)], vec![1], vec![Value::Integer(2)]),
    ] {
        let mut sink = listener(&fields);
        let expected = [Told::Before(id, expected), Told::Record(id, version + 1)];
        let outcome = updated(&mut *transaction, &entity, id, version, &change, &mut sink).await;
        assert_eq!((outcome, sink.told()), (UpdateOutcome::Written, expected.into()));
    }
    // Of what is refused no record is told.
    for (id, version, change) in [
        (id, 4, vec![(1, Value::Integer(9))]),
        (new_id(), 1, vec![(1, Value::Integer(9))]),
        (id, 5, vec![(0, text("taken"))]),
    ] {
        let mut sink = listener(&[]);
        let outcome = updated(&mut *transaction, &entity, id, version, &change, &mut sink).await;
        assert!(outcome != UpdateOutcome::Written && sink.told().is_empty(), "{outcome:?}");
    }
    // What another transaction committed is seen as it is.
    transaction.commit(None).await.unwrap();
    let mut transaction = write(&storage, ALPHA).await;
    let mut sink = listener(&[0]);
    updated(&mut *transaction, &entity, id, 5, &[(0, text("c"))], &mut sink).await;
    assert_eq!(sink.told()[0], Told::Before(id, vec![text("b")]));
}

async fn updated(
    transaction: &mut dyn Transaction,
    entity: &Entity,
    id: RecordId,
    expected: i64,
    change: &[(usize, Value)],
    sink: &mut dyn RecordSink,
) -> UpdateOutcome {
    let change = Change::Fields(change);
    transaction.update(entity, id, version(expected), change, stamp(), sink).await.unwrap()
}

pub async fn an_update_shows_what_it_replaces_only_to_who_asks(storage: Arc<dyn Storage>) {
    let entity = things(&storage).await;
    let mut transaction = write(&storage, ALPHA).await;
    let id = insert(&mut *transaction, &entity, &[text("a"), Value::Null, Value::Null]).await;
    let mut sink = Listener { asks: false, ..listener(&[0]) };
    updated(&mut *transaction, &entity, id, 1, &[(0, text("b"))], &mut sink).await;
    assert_eq!(sink.told, [Told::Record(id, 2)]);
    let mut sink = listener(&[0]);
    updated(&mut *transaction, &entity, id, 2, &[(0, text("c"))], &mut sink).await;
    assert_eq!(sink.told, [Told::Before(id, vec![text("b")]), Told::Record(id, 3)]);
}

pub async fn many_updates_show_what_they_replace(storage: Arc<dyn Storage>) {
    let entity = things(&storage).await;
    let mut transaction = write(&storage, ALPHA).await;
    let mut ids = Vec::new();
    for (code, n) in (0..6).map(|n| (format!("c{n}"), n)) {
        ids.push(insert(&mut *transaction, &entity, &[text(&code), Value::Integer(n), Value::Null]).await);
    }
    let n = |n: i64| vec![(1, Value::Integer(n))];
    let code = |code: &str| vec![(0, text(code)), (1, Value::Null)];
    // Of two shapes, in another order than that of the ids; one is stale, and one takes what is taken.
    let changes =
        [(5, 1, n(50)), (0, 1, code("new")), (4, 2, n(40)), (1, 1, n(10)), (2, 1, code("c3")), (3, 1, n(30))];
    let updates: Vec<_> = changes
        .iter()
        .map(|(index, expected, change)| RecordUpdate {
            id: ids[*index],
            expected: version(*expected),
            change: Change::Fields(change),
        })
        .collect();
    let mut sink = listener(&[1]);
    let outcomes = transaction.update_many(&entity, &updates, stamp(), &mut sink).await.unwrap();
    let written: Vec<_> = outcomes.iter().map(|outcome| *outcome == UpdateOutcome::Written).collect();
    assert_eq!(written, [true, true, false, true, false, true]);
    let expected: Vec<_> = [5, 0, 1, 3]
        .into_iter()
        .flat_map(|n: i64| {
            let id = ids[usize::try_from(n).unwrap()];
            [Told::Before(id, vec![Value::Integer(n)]), Told::Record(id, 2)]
        })
        .collect();
    assert_eq!(sink.told(), expected);
}

pub async fn an_update_of_a_document_shows_the_one_before(storage: Arc<dyn Storage>) {
    let entity =
        Entity::new(erp_plugin_model::EntitySchema::dynamic(EntityRef::parse("suite.note").unwrap()));
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(transaction.create_dynamic(&entity).await.unwrap(), CreateDynamic::Ready);
    let (a, b) = (new_id(), new_id());
    for id in [a, b] {
        let values = [json(r#"{"n":1,"x":"y"}"#)];
        let outcome = transaction.insert(&entity, NewRecord { id, values: &values }, stamp()).await.unwrap();
        assert_eq!(outcome, InsertOutcome::Inserted);
    }
    let change = [("n".to_owned(), json("2")), ("x".to_owned(), Value::Null)];
    let change = Change::Document(&change);
    let mut sink = listener(&[0]);
    let outcome = transaction.update(&entity, a, version(1), change, stamp(), &mut sink).await.unwrap();
    assert_eq!(outcome, UpdateOutcome::Written);
    let before = |id| [Told::Before(id, vec![json(r#"{"n":1,"x":"y"}"#)]), Told::Record(id, 2)];
    assert_eq!(sink.told(), before(a));
    let updates =
        [(a, 1), (b, 1)].map(|(id, expected)| RecordUpdate { id, expected: version(expected), change });
    let mut sink = listener(&[0]);
    let outcomes = transaction.update_many(&entity, &updates, stamp(), &mut sink).await.unwrap();
    assert!(matches!(outcomes[..], [UpdateOutcome::VersionMismatch { .. }, UpdateOutcome::Written]));
    assert_eq!(sink.told(), before(b));
}
