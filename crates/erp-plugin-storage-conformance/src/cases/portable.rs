//! A tenant, or what a plugin left, out of one database and a tenant into another.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use erp_plugin_model::evolution::{leave, plan};
use erp_plugin_model::{EntityRef, ErrorCode, Field, FieldType, SeriesPattern, Value};
use erp_plugin_storage::erase::erase;
use erp_plugin_storage::portable::{
    Contents, Imported, PortableError, export_plugin, export_tenant, import_tenant,
};
use erp_plugin_storage::transfer::{TenantTable, Transfer};
use erp_plugin_storage::{Altered, Change, Series, TenantState, UpdateOutcome, evolve};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::transfer::{deliveries, rows, storage, tables};
use crate::estate::{self, Entities, Estate};
use crate::fixture::{
    ALPHA, BETA, declare, event, field_name, given, matching, optional, platform, plugin, publish, read,
    schema, stamp, tenant, text, time, update, work, write,
};
use crate::killed::Killed;
use crate::kinds::renamed;

/// A folder that is not there yet, in one that goes with the test.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("export")
    }
}

async fn exported(source: &Arc<dyn Transfer>, name: &str, folder: &Path) -> Contents {
    export_tenant(&**source, &tenant(name), time(9), folder, &mut |_, _| {}).await.unwrap()
}

async fn imported(
    target: &Arc<dyn Transfer>,
    folder: &Path,
    id: Option<&str>,
) -> Result<Imported, PortableError> {
    let id = id.map(tenant);
    import_tenant(&**target, folder, id.as_ref(), &mut |_, _| {}).await
}

/// The rows of every table of a tenant, with the ids of events in the place of their numbers.
async fn everything(
    transfer: &Arc<dyn Transfer>,
    name: &str,
    entities: &Entities,
) -> Vec<(String, Vec<Vec<Value>>)> {
    let events = rows(transfer, name, TenantTable::NumberedEvents, 1000).await;
    let id_of = |number: &Value| {
        let event = events.iter().find(|event| event[0] == *number);
        event.unwrap_or_else(|| panic!("{name} has an event with the number {number:?}"))[1].clone()
    };
    let mut all = Vec::new();
    for table in tables(entities) {
        let mut own = rows(transfer, name, table, 1000).await;
        for row in &mut own {
            match table {
                TenantTable::NumberedEvents => row[0] = Value::Null,
                TenantTable::Deliveries => row[3] = id_of(&row[3]),
                _ => {}
            }
        }
        all.push((table.name(), own));
    }
    all
}

/// A target that has the other tenant of an estate, and what its plugins need.
async fn others(target: &Arc<dyn Transfer>) -> Estate {
    let estate = estate::fill(target).await;
    erase(&**target, &tenant(ALPHA), &mut |_| {}).await.unwrap();
    estate
}

/// Has a version of the suite's run.
async fn run(transfer: &Arc<dyn Transfer>, version: &str) {
    let mut own = platform(&storage(transfer)).await;
    own.activate(&plugin("suite"), &version.parse().unwrap()).await.unwrap();
    own.commit().await.unwrap();
}

pub async fn a_tenant_comes_into_a_database_of_others(source: Arc<dyn Transfer>, target: Arc<dyn Transfer>) {
    let (ours, place) = (estate::fill(&source).await, Place::new());
    let theirs = others(&target).await;
    let neighbour = everything(&target, BETA, &theirs.entities).await;
    let contents = exported(&source, ALPHA, &place.folder()).await;
    let own = everything(&source, ALPHA, &ours.entities).await;
    let count: usize = own.iter().map(|(_, rows)| rows.len()).sum();
    assert_eq!(
        (contents.files.len(), contents.rows()),
        (own.len(), count as u64),
        "each table has something"
    );

    let came = imported(&target, &place.folder(), None).await.unwrap();
    assert_eq!(came, Imported { tenant: tenant(ALPHA), rows: count as u64, suspended: false });
    assert_eq!(everything(&target, ALPHA, &theirs.entities).await, own);
    assert_eq!(everything(&target, BETA, &theirs.entities).await, neighbour);
    let (mut one, mut other) = (platform(&storage(&source)).await, platform(&storage(&target)).await);
    assert_eq!(one.tenant_state(&tenant(ALPHA)).await.unwrap(), Some(TenantState::Active));
    assert_eq!(other.tenant_state(&tenant(ALPHA)).await.unwrap(), Some(TenantState::Active));
    one.rollback().await.unwrap();
    other.rollback().await.unwrap();

    // What waited there is delivered here, in its order, and what is published from now on comes behind it.
    let (source, target) = (storage(&source), storage(&target));
    let of_alpha = async |storage| {
        publish(storage, ALPHA, &[event("order.created", "k", 90)]).await;
        let delivered = deliveries(storage).await.into_iter().filter(|own| own.tenant == tenant(ALPHA));
        delivered.map(|own| (own.plugin, own.key, own.payload, own.attempt)).collect::<Vec<_>>()
    };
    let (ours, theirs) = (of_alpha(&source).await, of_alpha(&target).await);
    assert!(ours.len() > 5, "{ours:?}");
    assert_eq!(ours, theirs);
}

pub async fn a_tenant_comes_in_again_under_another_id(source: Arc<dyn Transfer>, _: Arc<dyn Transfer>) {
    let (estate, place) = (estate::fill(&source).await, Place::new());
    publish(&storage(&source), ALPHA, &[event("order.created", ALPHA, 95)]).await;
    work(&storage(&source)).await;
    publish(&storage(&source), ALPHA, &[event("order.created", ALPHA, 96)]).await;
    let mut own = platform(&storage(&source)).await;
    assert!(own.set_tenant_state(&tenant(ALPHA), TenantState::Suspended).await.unwrap());
    own.commit().await.unwrap();
    exported(&source, ALPHA, &place.folder()).await;
    let own = everything(&source, ALPHA, &estate.entities).await;
    let came = imported(&source, &place.folder(), Some("alpha-2")).await.unwrap();
    assert_eq!((came.tenant, came.suspended), (tenant("alpha-2"), true));
    // The key of what was published without one is the tenant's id.
    let as_alpha = |mut all: Vec<(String, Vec<Vec<Value>>)>| {
        let texts = all.iter_mut().flat_map(|(_, rows)| rows.iter_mut().flatten());
        for value in texts.filter(|value| **value == text("alpha-2")) {
            *value = text(ALPHA);
        }
        all
    };
    let copied = everything(&source, "alpha-2", &estate.entities).await;
    let keys = |all: &[(String, Vec<Vec<Value>>)]| {
        all.iter().flat_map(|(_, rows)| rows.iter().flatten()).filter(|own| **own == text(ALPHA)).count()
    };
    assert!(keys(&own) > 0 && keys(&copied) == 0, "{} and {}", keys(&own), keys(&copied));
    let sorted = |mut all: Vec<(String, Vec<Vec<Value>>)>| {
        all.iter_mut().for_each(|(_, rows)| rows.sort_by_key(|row| format!("{row:?}")));
        all
    };
    assert_eq!(sorted(as_alpha(copied)), sorted(own.clone()));
    assert_eq!(everything(&source, ALPHA, &estate.entities).await, own);
    // Two tenants, not one: nothing of the one is delivered as the other's, and both can be written.
    let source = storage(&source);
    let copies = Entities::new();
    let mut transaction = write(&source, "alpha-2").await;
    let change = [(1, Value::Integer(7))];
    let id = estate.codes[0];
    let (outcome, _) = update(&mut *transaction, &copies.code, id, 1, Change::Fields(&change)).await;
    assert_eq!(outcome, UpdateOutcome::Written);
    transaction.commit(None).await.unwrap();
    assert!(work(&source).await.iter().all(|own| own.tenant == tenant(BETA)), "both are suspended");
}

pub async fn what_does_not_fit_is_refused_and_nothing_is_there(
    source: Arc<dyn Transfer>,
    target: Arc<dyn Transfer>,
) {
    let place = Place::new();
    estate::fill(&source).await;
    run(&source, "1.0.0").await;
    exported(&source, ALPHA, &place.folder()).await;
    let refused = async |id: Option<&str>| match imported(&target, &place.folder(), id).await.unwrap_err() {
        PortableError::Refused(error) => (error.code, error.message),
        other => panic!("{other:?}"),
    };
    // Its plugins do not run here.
    let (code, why) = refused(None).await;
    assert!(code == ErrorCode::Rejected && why.contains("is not installed"), "{why}");
    others(&target).await;
    run(&target, "9.9.9").await;
    let (code, why) = refused(None).await;
    assert!(code == ErrorCode::Rejected && why.contains("runs as 9.9.9"), "{why}");
    run(&target, "1.0.0").await;
    // Somebody of that name is here.
    let (code, why) = refused(Some(BETA)).await;
    assert!(code == ErrorCode::AlreadyExists && why.contains("beta"), "{why}");
    // A file that was changed, and one that is none of the folder's.
    let file = place.folder().join("suite.code.jsonl");
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(&file, whole.replacen("\"version\":1", "\"version\":9", 1)).unwrap();
    let (code, why) = refused(None).await;
    assert!(
        code == ErrorCode::InvalidInput && why.contains("suite.code.jsonl") && why.contains("SHA-256"),
        "{why}"
    );
    fs::write(&file, &whole).unwrap();
    let contents = place.folder().join("export.json");
    let json = fs::read_to_string(&contents).unwrap();
    for (from, to, expected) in [
        ("suite.code.jsonl", "../suite.code.jsonl", "no file of the folder"),
        ("\"table\": \"history\"", "\"table\": \"wishes\"", "knows nothing of"),
        ("\"format\": \"erp-plugin export\"", "\"format\": \"other\"", "is of no export"),
        ("\"version\": 1,\n", "\"version\": 99,\n", "has the form 99"),
    ] {
        assert!(json.contains(from), "{from}");
        fs::write(&contents, json.replacen(from, to, 1)).unwrap();
        let (code, why) = refused(None).await;
        assert!(code == ErrorCode::InvalidInput && why.contains(expected), "{expected}: {why}");
    }
    fs::write(&contents, &json).unwrap();
    // A folder that is there is not written over.
    let again = export_tenant(&*source, &tenant(ALPHA), time(9), &place.folder(), &mut |_, _| {}).await;
    assert!(again.unwrap_err().to_string().contains("is there already"));
    let nobody =
        export_tenant(&*source, &tenant("nobody"), time(9), Path::new("nowhere"), &mut |_, _| {}).await;
    assert_eq!(nobody.unwrap_err().code(), ErrorCode::NotFound);

    let mut own = platform(&storage(&target)).await;
    assert_eq!(own.tenants().await.unwrap(), [tenant(BETA)]);
    own.rollback().await.unwrap();
    imported(&target, &place.folder(), None).await.unwrap();
}

pub async fn an_entity_that_differs_is_named(source: Arc<dyn Transfer>, target: Arc<dyn Transfer>) {
    let place = Place::new();
    for (transfer, fields) in [
        (&source, vec![optional("n", FieldType::Integer), optional("o", FieldType::String)]),
        (&target, vec![optional("n", FieldType::Text), optional("o", FieldType::String)]),
    ] {
        let entity = declare(&storage(transfer), "suite.item", fields).await;
        if Arc::ptr_eq(transfer, &source) {
            let mut own = platform(&storage(transfer)).await;
            own.create_tenant(&tenant(ALPHA), time(1)).await.unwrap();
            own.commit().await.unwrap();
            given(&storage(transfer), ALPHA, &entity, [vec![Value::Integer(1), text("x")]]).await;
        }
    }
    exported(&source, ALPHA, &place.folder()).await;
    let refused = imported(&target, &place.folder(), None).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Rejected);
    assert!(refused.to_string().contains("suite.item") && refused.to_string().contains("\"n\""), "{refused}");
}

/// Another text in a file, and its hash where that belongs.
fn rewrite(folder: &Path, file: &str, change: impl FnOnce(String) -> String) {
    let hash = |text: &str| -> String {
        Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let old = fs::read_to_string(folder.join(file)).unwrap();
    let new = change(old.clone());
    assert_ne!(old, new);
    fs::write(folder.join(file), &new).unwrap();
    let contents = fs::read_to_string(folder.join("export.json")).unwrap();
    assert!(contents.contains(&hash(&old)));
    fs::write(folder.join("export.json"), contents.replace(&hash(&old), &hash(&new))).unwrap();
}

pub async fn an_import_that_fails_half_way_takes_back_what_it_wrote(
    source: Arc<dyn Transfer>,
    target: Arc<dyn Transfer>,
) {
    estate::fill(&source).await;
    let theirs = others(&target).await;
    let neighbour = everything(&target, BETA, &theirs.entities).await;
    for (file, from, to, expected) in [
        ("deliveries.jsonl", "\"event_number\":", "\"event_number\":99", "which the export has not"),
        (
            "log-lines.jsonl",
            "\"level\":",
            "\"level\":true,\"lev\":",
            "log-lines.jsonl, line 1: \"level\" must be",
        ),
        ("streams.jsonl", "{", "{\"colour\":1,", "\"colour\", which is no column of it"),
    ] {
        let place = Place::new();
        exported(&source, ALPHA, &place.folder()).await;
        rewrite(&place.folder(), file, |text| text.replacen(from, to, 1));
        let failed = imported(&target, &place.folder(), None).await.unwrap_err();
        assert_eq!(failed.code(), ErrorCode::InvalidInput);
        assert!(failed.to_string().contains(expected), "{failed}");
        let mut own = platform(&storage(&target)).await;
        assert_eq!(own.tenants().await.unwrap(), [tenant(BETA)]);
        own.rollback().await.unwrap();
        for (table, rows) in everything(&target, ALPHA, &theirs.entities).await {
            assert!(rows.is_empty(), "{table}: {rows:?}");
        }
        assert_eq!(everything(&target, BETA, &theirs.entities).await, neighbour);
    }
}

/// An entity whose field was called otherwise, and whose deleted record has what its field would not take any more.
pub async fn a_tenant_fits_where_its_entities_are_stored_otherwise(
    source: Arc<dyn Transfer>,
    target: Arc<dyn Transfer>,
) {
    let place = Place::new();
    let options = |all: &[&str]| FieldType::Enum { options: all.iter().map(|own| (*own).into()).collect() };
    let number = || {
        let pattern = SeriesPattern::parse("INV-{0}").unwrap();
        Field { unique: true, required: true, ..optional("number", FieldType::NumberSeries { pattern }) }
    };
    let wanted = schema("suite.item", vec![renamed(number(), "code"), optional("state", options(&["open"]))]);
    let before = Field { name: field_name("code"), ..number() };
    let (ours, theirs) = (storage(&source), storage(&target));
    let old =
        declare(&ours, "suite.item", vec![before, optional("state", options(&["open", "draft"]))]).await;
    let mut own = platform(&ours).await;
    own.create_tenant(&tenant(ALPHA), time(1)).await.unwrap();
    own.commit().await.unwrap();
    let rows = [[text("INV-1"), text("draft")], [text("INV-2"), text("open")]];
    let ids = given(&ours, ALPHA, &old, rows.map(Vec::from)).await;
    let mut transaction = write(&ours, ALPHA).await;
    let series = Series { entity: &old.schema().name, field: &old.schema().fields()[0], text: "INV-{}" };
    transaction.take_numbers(series, 2).await.unwrap();
    transaction.delete(&old, ids[0], stamp()).await.unwrap();
    transaction.commit(None).await.unwrap();
    let mut own = platform(&ours).await;
    let found = own.entities(&plugin("suite")).await.unwrap();
    own.rollback().await.unwrap();
    for step in plan(&found, &[], std::slice::from_ref(&wanted)) {
        assert_eq!(evolve::make(&*ours, &step, &[tenant(ALPHA)]).await.unwrap(), Altered::Done, "{step}");
    }
    exported(&source, ALPHA, &place.folder()).await;

    let new = declare(&theirs, "suite.item", wanted.fields().to_vec()).await;
    imported(&target, &place.folder(), None).await.unwrap();
    let all = self::rows(&target, ALPHA, TenantTable::Records(new.schema()), 10).await;
    let states: Vec<_> = all.iter().map(|row| row[8..].to_vec()).collect();
    assert_eq!(states, [[text("INV-1"), text("draft")], [text("INV-2"), text("open")]]);
    // The series goes on, though its field is in a column of another name.
    let mut transaction = write(&theirs, ALPHA).await;
    let series = Series { entity: &new.schema().name, field: &new.schema().fields()[0], text: "INV-{}" };
    assert_eq!(transaction.take_numbers(series, 1).await.unwrap(), 3);
}

pub async fn an_import_that_is_stopped_leaves_a_tenant_to_delete(
    source: Arc<dyn Transfer>,
    target: Arc<dyn Transfer>,
) {
    let place = Place::new();
    let ours = estate::fill(&source).await;
    let theirs = others(&target).await;
    exported(&source, ALPHA, &place.folder()).await;
    let mut stopped = 0;
    loop {
        // The look at what is here, and what makes the tenant.
        let killed = Killed::after(&target, 3 + 4 * stopped);
        let (folder, mut told) = (place.folder(), |_: &str, _: u64| {});
        match killed.ends(import_tenant(&killed, &folder, None, &mut told)).await {
            Some(done) => {
                done.unwrap();
                break;
            }
            None => stopped += 1,
        }
        let mut own = platform(&storage(&target)).await;
        assert_eq!(own.tenant_state(&tenant(ALPHA)).await.unwrap(), Some(TenantState::Suspended));
        own.rollback().await.unwrap();
        assert!(work(&storage(&target)).await.iter().all(|own| own.tenant != tenant(ALPHA)));
        let again = imported(&target, &place.folder(), None).await.unwrap_err();
        assert_eq!(again.code(), ErrorCode::AlreadyExists);
        erase(&*target, &tenant(ALPHA), &mut |_| {}).await.unwrap();
    }
    assert!(stopped >= 4, "{stopped}");
    let own = everything(&source, ALPHA, &ours.entities).await;
    assert_eq!(everything(&target, ALPHA, &theirs.entities).await, own);
}

pub async fn what_a_plugin_left_is_exported_with_its_history(
    source: Arc<dyn Transfer>,
    _: Arc<dyn Transfer>,
) {
    let (estate, place) = (estate::fill(&source).await, Place::new());
    run(&source, "1.0.0").await;
    let suite = plugin("suite");
    let export = async || export_plugin(&*source, &suite, time(9), &place.folder(), &mut |_, _| {}).await;
    let refused = export().await.unwrap_err();
    assert!(refused.to_string().contains("archive it first"), "{refused}");
    let live = matching(
        &mut *read(&storage(&source), ALPHA).await,
        &estate.entities.code,
        &erp_plugin_model::filter::Filter::everything(),
    )
    .await;
    let codes = rows(&source, ALPHA, TenantTable::Records(estate.entities.code.schema()), 1000).await;
    assert!(live.len() < codes.len(), "one is deleted");

    let mut own = platform(&storage(&source)).await;
    own.deactivate(&suite).await.unwrap();
    own.commit().await.unwrap();
    let mut own = platform(&storage(&source)).await;
    let entities = own.entities(&suite).await.unwrap();
    own.rollback().await.unwrap();
    for step in leave(&entities) {
        assert_eq!(evolve::make(&*storage(&source), &step, &[]).await.unwrap(), Altered::Done);
    }
    let contents = export().await.unwrap();
    assert_eq!(contents.tenant, None);
    assert!(contents.entities.iter().any(|own| own.name == "suite.code" && own.definition.is_some()));
    for name in [ALPHA, BETA] {
        for file in ["suite.code", "suite.note", "suite.sample", "configuration", "history", "number-series"]
        {
            let path = format!("{name}/{file}.jsonl");
            let of = contents.files.iter().find(|own| own.file == path);
            let of = of.unwrap_or_else(|| panic!("{path} is among {:?}", contents.files));
            let lines = fs::read_to_string(place.folder().join(&path)).unwrap();
            assert_eq!(lines.lines().count() as u64, of.rows, "{path}");
        }
    }
    let lines = fs::read_to_string(place.folder().join("alpha/suite.code.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), codes.len());
    let deleted = lines.lines().find(|line| line.contains(&estate.codes[2].0.to_string())).unwrap();
    assert!(deleted.contains("\"deleted_at\":"), "{deleted}");
    let history = fs::read_to_string(place.folder().join("alpha/history.jsonl")).unwrap();
    let of_suite = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        EntityRef::parse(row["entity"].as_str().unwrap()).unwrap().plugin == suite
    };
    assert!(history.lines().all(of_suite));
}
