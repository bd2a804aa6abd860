//! Dynamic entities: made by their first insert, a JSON document a record.

use std::sync::Arc;

use erp_plugin_host_api::{DynamicDirectory, InvocationContext};
use erp_plugin_storage::MAX_DYNAMIC_ENTITIES;

use crate::fixture::{ALPHA, BETA, Call, Fixture, NOBODY, anna, id_of, items, json, scope};

/// `inventory` with the capability, and what it knows of its dynamic entities.
pub(crate) struct Dynamic {
    pub(crate) fixture: Fixture,
    pub(crate) directory: Arc<DynamicDirectory>,
}

impl Dynamic {
    pub(crate) async fn new() -> Self {
        let directory = DynamicDirectory::new("inventory".parse().unwrap(), []);
        Self { fixture: Fixture::new().await, directory: Arc::new(directory) }
    }

    pub(crate) fn context(&self) -> InvocationContext {
        let mut caller = self.fixture.caller();
        caller.dynamic = Some(Arc::clone(&self.directory));
        InvocationContext { caller: Arc::new(caller), ..self.fixture.context() }
    }

    pub(crate) fn call(&self) -> Call {
        self.fixture.begin(self.context())
    }

    pub(crate) fn call_in(&self, tenant: &str) -> Call {
        let identity = Arc::new(anna(tenant));
        self.fixture.begin(InvocationContext { scope: scope(tenant), identity, ..self.context() })
    }

    pub(crate) fn known(&self) -> Vec<String> {
        let mut known: Vec<String> =
            self.directory.all().iter().map(|entity| entity.schema().name.to_string()).collect();
        known.sort();
        known
    }
}

#[tokio::test]
async fn the_first_insert_makes_the_entity_and_the_record_is_system_fields_and_document() {
    let dynamic = Dynamic::new().await;
    let mut call = dynamic.call();
    let data =
        r#"{"title":"Hello","tags":["a",{"b":[]}],"n":1.50,"data":{},"gone":null,"tenant_id":"alpha"}"#;
    let answer = call.insert("note", data).await.unwrap();
    let expected = concat!(
        r#"{"id":"019b7d00-0000-7000-8000-000000000002","tenant_id":"alpha","version":1,"#,
        r#""created_at":"2026-01-01T09:00:00.000000Z","created_by":"anna","#,
        r#""updated_at":"2026-01-01T09:00:00.000000Z","updated_by":"anna","#,
        r#""title":"Hello","tags":["a",{"b":[]}],"n":1.50,"data":{}}"#
    );
    assert_eq!(answer, expected);
    assert_eq!(
        call.query("note", "", "").await.unwrap(),
        format!(r#"{{"items":[{expected}],"next_cursor":null}}"#)
    );
    assert!(dynamic.known().is_empty(), "nobody else knows before the commit");
    assert!(call.commit().await.new_entities);
    assert_eq!(dynamic.known(), ["inventory.note"]);

    let mut call = dynamic.call();
    call.insert("note", "{}").await.unwrap();
    assert!(!call.commit().await.new_entities);
    assert_eq!(items(&dynamic.call().query("note", "", "").await.unwrap()).len(), 2);
}

#[tokio::test]
async fn an_entity_that_was_rolled_back_was_never_there() {
    let dynamic = Dynamic::new().await;
    let mut call = dynamic.call();
    call.insert("note", r#"{"a":1}"#).await.unwrap();
    assert!(!call.refuse().await.new_entities);
    assert!(dynamic.known().is_empty());
    let mut call = dynamic.call();
    assert_eq!(call.query("note", "", "").await.unwrap(), r#"{"items":[],"next_cursor":null}"#);
    assert_eq!(
        call.update("note", NOBODY, "{}", 1).await,
        Err("not-found: no entity note yet; its first insert creates it".to_owned())
    );
    call.insert("note", r#"{"a":2}"#).await.unwrap();
    call.commit().await;
    assert_eq!(items(&dynamic.call().query("note", "", "").await.unwrap()).len(), 1);
}

#[tokio::test]
async fn one_that_is_not_there_has_no_records_to_find_change_or_delete() {
    let dynamic = Dynamic::new().await;
    let mut call = dynamic.call();
    assert_eq!(call.query("note", "", "").await.unwrap(), r#"{"items":[],"next_cursor":null}"#);
    let missing = "not-found: no entity note yet; its first insert creates it".to_owned();
    assert_eq!(call.update("note", NOBODY, "{}", 1).await, Err(missing.clone()));
    assert_eq!(call.delete("note", NOBODY).await, Err(missing));
    call.insert("note", "{}").await.unwrap();
    let missing = format!("not-found: no inventory.note has the id \"{NOBODY}\"");
    assert_eq!(call.update("note", NOBODY, "{}", 1).await, Err(missing.clone()));
    assert_eq!(call.delete("note", NOBODY).await, Err(missing));
}

#[tokio::test]
async fn an_update_merges_one_level_deep_and_null_removes_the_key() {
    let dynamic = Dynamic::new().await;
    let mut call = dynamic.call();
    let id = id_of(&call.insert("note", r#"{"a":{"x":1,"y":2},"b":"stays","c":3}"#).await.unwrap());
    let answer =
        json(&call.update("note", &id, r#"{"a":{"x":9},"c":null,"d":[null],"e":null}"#, 1).await.unwrap());
    assert_eq!(answer["version"], 2);
    assert_eq!(answer["a"], json(r#"{"x":9}"#));
    assert_eq!(answer["b"], "stays");
    assert_eq!(answer["d"], json("[null]"));
    assert_eq!((answer.get("c"), answer.get("e")), (None, None));
    call.commit().await;
    let mut call = dynamic.call();
    assert_eq!(items(&call.query("note", "", "").await.unwrap()), [answer]);
    assert_eq!(
        call.update("note", &id, "{}", 1).await,
        Err(format!("conflict: inventory.note {id} has version 2, not 1; read it again"))
    );
}

#[tokio::test]
async fn a_record_may_be_sent_back_as_it_was_read() {
    let dynamic = Dynamic::new().await;
    let mut call = dynamic.call();
    let record = call.insert("note", r#"{"a":1}"#).await.unwrap();
    let id = id_of(&record);
    assert_eq!(json(&call.update("note", &id, &record, 1).await.unwrap())["a"], 1);
    assert_eq!(
        call.update("note", &id, r#"{"created_by":"eve"}"#, 2).await,
        Err("invalid-input: field \"created_by\" is set by the host; leave it out, or as it was".to_owned())
    );
    for (data, error) in [
        (r#"{"version":1}"#, "invalid-input: the host sets version; leave it out of the data"),
        (
            r#"{"tenant_id":"beta"}"#,
            "permission-denied: field \"tenant_id\" names another tenant; the host sets it, leave it out",
        ),
    ] {
        assert_eq!(call.insert("note", data).await, Err(error.to_owned()));
    }
}

#[tokio::test]
async fn deleted_records_are_gone_and_the_entity_stays() {
    let dynamic = Dynamic::new().await;
    let mut call = dynamic.call();
    let id = id_of(&call.insert("note", "{}").await.unwrap());
    call.delete("note", &id).await.unwrap();
    let gone = format!("not-found: no inventory.note has the id \"{id}\"");
    assert_eq!(call.delete("note", &id).await, Err(gone.clone()));
    assert_eq!(call.update("note", &id, "{}", 1).await, Err(gone));
    assert!(items(&call.query("note", "", "").await.unwrap()).is_empty());
    call.commit().await;
    assert_eq!(dynamic.known(), ["inventory.note"]);
}

#[tokio::test]
async fn the_entity_is_there_for_every_tenant_and_its_records_for_one() {
    let dynamic = Dynamic::new().await;
    let mut call = dynamic.call_in(ALPHA);
    let id = id_of(&call.insert("note", r#"{"a":1}"#).await.unwrap());
    call.commit().await;
    let mut call = dynamic.call_in(BETA);
    assert!(items(&call.query("note", "", "").await.unwrap()).is_empty());
    let gone = format!("not-found: no inventory.note has the id \"{id}\"");
    assert_eq!(call.update("note", &id, "{}", 1).await, Err(gone.clone()));
    assert_eq!(call.delete("note", &id).await, Err(gone));
}

#[tokio::test]
async fn one_that_another_host_made_is_found() {
    let dynamic = Dynamic::new().await;
    let mut call = dynamic.call();
    call.insert("note", r#"{"a":1}"#).await.unwrap();
    call.commit().await;
    let fresh = DynamicDirectory::new("inventory".parse().unwrap(), []);
    let dynamic = Dynamic { directory: Arc::new(fresh), ..dynamic };
    let mut call = dynamic.call();
    assert_eq!(items(&call.query("note", "", "").await.unwrap()).len(), 1);
    assert!(call.commit().await.new_entities);
    assert_eq!(dynamic.known(), ["inventory.note"]);
}

#[tokio::test]
async fn a_bad_name_is_refused_before_anything_is_made() {
    let dynamic = Dynamic::new().await;
    let mut call = dynamic.call();
    let rule = "1 to 30 of a-z 0-9 _, beginning with a letter, without a double or trailing underscore";
    let long = "x".repeat(31);
    for name in
        ["", "Note", "1note", "no__te", "note_", "no-te", "note; DROP TABLE", "sales.order", "笔记", &long]
    {
        let refused = Err(format!("invalid-input: invalid entity name {name:?}: {rule}"));
        assert_eq!(call.insert(name, "{}").await, refused);
        assert_eq!(call.query(name, "", "").await, refused);
        assert_eq!(call.update(name, NOBODY, "{}", 1).await, refused);
    }
    assert!(!call.commit().await.new_entities);
}

#[tokio::test]
async fn a_plugin_has_at_most_32_and_those_it_has_go_on_working() {
    let dynamic = Dynamic::new().await;
    let mut call = dynamic.call();
    for number in 0..MAX_DYNAMIC_ENTITIES {
        call.insert(&format!("note{number}"), "{}").await.unwrap();
    }
    let refused =
        "limit-exceeded: a plugin has at most 32 dynamic entities; declare them in plugin.toml".to_owned();
    for _ in 0..2 {
        assert_eq!(call.insert("another", "{}").await, Err(refused.clone()));
    }
    call.insert("note0", "{}").await.unwrap();
    call.insert("item", r#"{"sku":"A","name":"declared"}"#).await.unwrap();
    call.commit().await;
    assert_eq!(dynamic.known().len(), 32);
    assert_eq!(dynamic.call().insert("another", "{}").await, Err(refused));
}

#[tokio::test]
async fn a_document_is_an_object_of_keys_that_can_be_kept() {
    let dynamic = Dynamic::new().await;
    let mut call = dynamic.call();
    let (most, more) = ("k".repeat(128), "k".repeat(129));
    for key in ["a.b", "$set", "\\\"", "名", " ", "__proto__", "Robert'); --", "$[0]", &most] {
        let data = format!("{{\"{key}\":1}}");
        let record = call.insert("note", &data).await.unwrap();
        assert!(record.ends_with(&format!(",{}", &data[1..])), "{record}");
        let changed = call.update("note", &id_of(&record), &format!("{{\"{key}\":\"2\"}}"), 1).await.unwrap();
        assert!(changed.ends_with(&format!(",\"{key}\":\"2\"}}")), "{changed}");
    }
    for (data, reason) in [
        (
            format!(r#"{{"{more}":1}}"#),
            format!("field name \"{}…\" must have 1 to 128 bytes", "k".repeat(60)),
        ),
        (r#"{"":1}"#.to_owned(), "field name \"\" must have 1 to 128 bytes".to_owned()),
        (
            r#"{"a":1,"a":2}"#.to_owned(),
            "data: the key \"a\" stands twice in one object at line 1 column 13".to_owned(),
        ),
        (
            r#"{"a":"\u0000"}"#.to_owned(),
            "data: a string has a NUL character, which cannot be kept at line 1 column 13".to_owned(),
        ),
        (
            r#"{"a\u0000":1}"#.to_owned(),
            "data: a string has a NUL character, which cannot be kept at line 1 column 10".to_owned(),
        ),
        (
            r#"{"a":9223372036854775808}"#.to_owned(),
            "data: an integer has more than 64 bits; write it as a string at line 1 column 24".to_owned(),
        ),
        (
            "[]".to_owned(),
            "data: invalid type: sequence, expected a JSON object at line 1 column 2".to_owned(),
        ),
        (
            format!("{{\"a\":{}1{}}}", "[".repeat(32), "]".repeat(32)),
            "data is nested more than 32 levels deep; flatten it".to_owned(),
        ),
    ] {
        assert_eq!(call.insert("note", &data).await, Err(format!("invalid-input: {reason}")), "{data}");
    }
}

#[tokio::test]
async fn a_query_of_an_entity_that_is_not_there_is_read_like_any_other() {
    let dynamic = Dynamic::new().await;
    let mut call = dynamic.call();
    let empty = r#"{"items":[],"next_cursor":null,"total":0}"#;
    assert_eq!(call.query("note", r#"{"title":"a"}"#, r#"{"total":true}"#).await, Ok(empty.to_owned()));
    let error = call.query("note", "garbage", "").await.unwrap_err();
    assert!(error.starts_with("invalid-input: filter is not valid JSON"), "{error}");
    call.commit().await;
    assert!(dynamic.known().is_empty());
}

#[tokio::test]
async fn an_own_entity_can_be_named_in_full() {
    let dynamic = Dynamic::new().await;
    let mut call = dynamic.call();
    let record = call.insert("inventory.note", "{}").await.unwrap();
    assert_eq!(call.query("note", "", "").await, Ok(format!(r#"{{"items":[{record}],"next_cursor":null}}"#)));
}
