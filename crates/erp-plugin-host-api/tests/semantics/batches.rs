//! Several records in one call: each as it would be alone, and one that is refused leaves the others.

use async_trait::async_trait;
use erp_plugin_host_api::{HookPoint, HookRunner, HookVerdict, InvocationContext, Verb};
use erp_plugin_model::{EntityRef, ErrorCode, HostError, Limits};
use erp_plugin_storage::{Mode, Transaction};
use serde_json::{Value as Json, json};

use crate::dynamic::Dynamic;
use crate::fixture::{BETA, Fixture, NOBODY, json};

fn item(sku: &str) -> Json {
    json!({ "sku": sku, "name": "n" })
}

fn array(items: impl IntoIterator<Item = Json>) -> String {
    Json::Array(items.into_iter().collect()).to_string()
}

fn change(id: &str, version: i64, data: Json) -> Json {
    json!({ "id": id, "version": version, "data": data })
}

fn outcomes(answer: &str) -> Vec<Json> {
    json(answer)["items"].as_array().unwrap().clone()
}

/// The error of an item, as `index code: message`.
fn refusal(item: &Json) -> String {
    let error = &item["error"];
    format!("{} {}: {}", error["index"], error["code"].as_str().unwrap(), error["message"].as_str().unwrap())
}

#[tokio::test]
async fn each_insert_of_many_is_answered_as_it_would_be_alone() {
    let fixture = Fixture::new().await;
    fixture.given("item", &[&item("TAKEN").to_string()]).await;
    let mut call = fixture.call();
    let rows = [
        item("A"),
        json!({ "sku": "B" }),
        item("TAKEN"),
        json!({ "sku": "C", "name": "n", "category": NOBODY }),
        json!({ "sku": "D", "name": "n", "tenant_id": BETA }),
        json!(7),
        item("A"),
        json!({ "sku": "E", "name": "n", "price": "1.5" }),
    ];
    let answer = call.insert_many("item", &array(rows)).await.unwrap();
    let found = outcomes(&answer);
    let record = &found[0]["ok"];
    assert_eq!(
        (&record["sku"], &record["version"], &record["quantity"]),
        (&json!("A"), &json!(1), &json!(0))
    );
    assert_eq!(found[7]["ok"]["price"], "1.50");
    assert_eq!(
        found[1..7].iter().map(refusal).collect::<Vec<_>>(),
        [
            "1 invalid-input: field \"name\" is required",
            "2 already-exists: another inventory.item has the same \"sku\"; it must be unique",
            "3 invalid-input: field \"category\" of inventory.item names no record",
            "4 permission-denied: field \"tenant_id\" names another tenant; the host sets it, leave it out",
            "5 invalid-input: data: invalid type: integer `7`, expected a JSON object, one key a field at line 1 column 1",
            "6 already-exists: another inventory.item has the same \"sku\"; it must be unique",
        ]
    );
    let stored = call.get("item", record["id"].as_str().unwrap()).await.unwrap();
    assert_eq!(json(&stored), *record, "what was answered is what is kept");
    let finished = call.commit().await;
    assert_eq!(finished.writes.iter().map(|write| write.verb).collect::<Vec<_>>(), [Verb::Insert; 2]);
    assert_eq!(fixture.found("item", "").await.len(), 3);
}

#[tokio::test]
async fn each_update_of_many_is_answered_as_it_would_be_alone() {
    let fixture = Fixture::new().await;
    let rows = ["A", "B", "C", "D", "E"].map(|sku| item(sku).to_string());
    let ids = fixture.given("item", &rows.each_ref().map(String::as_str)).await;
    let mut call = fixture.call();
    let updates = [
        change(&ids[2], 1, json!({ "name": "new", "version": 1 })),
        change(&ids[0], 1, json!({ "price": "2.5", "created_by": "anna" })),
        change(&ids[1], 9, json!({})),
        change(NOBODY, 1, json!({})),
        change("nonsense", 1, json!({})),
        change(&ids[3], 1, json!({ "sku": "B" })),
        change(&ids[0], 2, json!({})),
        change(&ids[3], 0, json!({})),
        change(&ids[4], 1, json!({ "created_by": "ben" })),
        json!({ "id": ids[1], "data": {} }),
        json!({ "id": ids[1], "version": 1, "data": {}, "more": 1 }),
    ];
    let answer = call.update_many("item", &array(updates)).await.unwrap();
    let found = outcomes(&answer);
    assert_eq!((&found[0]["ok"]["name"], &found[0]["ok"]["version"]), (&json!("new"), &json!(2)));
    assert_eq!((&found[1]["ok"]["sku"], &found[1]["ok"]["price"]), (&json!("A"), &json!("2.50")));
    assert_eq!(
        found[2..].iter().map(refusal).collect::<Vec<_>>(),
        [
            format!("2 conflict: inventory.item {} has version 1, not 9; read it again", ids[1]),
            format!("3 not-found: no inventory.item has the id \"{NOBODY}\""),
            "4 not-found: no inventory.item has the id \"nonsense\"".to_owned(),
            "5 already-exists: another inventory.item has the same \"sku\"; it must be unique".to_owned(),
            format!("6 invalid-input: the id \"{}\" stands twice; put all changes of a record into one", ids[0]),
            "7 invalid-input: version must be the one that was read, 1 or more, not 0".to_owned(),
            "8 invalid-input: field \"created_by\" is set by the host; leave it out, or as it was".to_owned(),
            "9 invalid-input: update: missing field `version` at line 1 column 55".to_owned(),
            "10 invalid-input: update: unknown field `more`, expected one of `id`, `version`, `data` at line 1 column 61"
                .to_owned(),
        ]
    );
    let finished = call.commit().await;
    assert_eq!(finished.writes.iter().map(|write| write.verb).collect::<Vec<_>>(), [Verb::Update; 2]);
}

#[tokio::test]
async fn what_is_no_array_of_so_many_is_refused_as_a_whole() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    let too_many = array((0..1001).map(|_| json!({})));
    for (data, reason) in [
        ("{}", "data: invalid type: map, expected a JSON array of records at line 1 column 2"),
        ("", "data is not valid JSON: EOF while parsing a value at line 1 column 0"),
        ("[{}", "data is not valid JSON: EOF while parsing a list at line 1 column 3"),
        ("[{}] 7", "data is not valid JSON: trailing characters at line 1 column 6"),
        ("[]", "data is an empty array; give 1 to 1000 records"),
        (&too_many, "data has 1001 records; give 1 to 1000 in one call, and the rest in others"),
    ] {
        let refused = Err(format!("invalid-input: {reason}"));
        assert_eq!(call.insert_many("item", data).await, refused, "{data:.10}");
        assert_eq!(call.update_many("item", data).await, refused, "{data:.10}");
    }
    let unknown = call.insert_many("itme", "[{}]").await.unwrap_err();
    assert!(unknown.starts_with("invalid-input: unknown entity \"itme\""), "{unknown}");
    let reading = InvocationContext { mode: Mode::Read, ..fixture.context() };
    drop(call);
    let mut call = fixture.begin(reading);
    assert_eq!(
        call.insert_many("item", "[{}]").await,
        Err("permission-denied: insert: this call may only read".to_owned())
    );
}

#[tokio::test]
async fn limits_refuse_the_whole_call_and_nothing_is_written() {
    let fixture = Fixture::new().await;
    let rows = |of: usize| array((0..of).map(|n| item(&format!("S{n}"))));
    let mut call = fixture.limited(Limits { rows_written: 3, ..Limits::default() });
    let refused = call.insert_many("item", &rows(4)).await.unwrap_err();
    assert!(
        refused.starts_with("limit-exceeded: rows-written (records written): 4 used, 3 allowed"),
        "{refused}"
    );
    assert_eq!(call.count("item", "").await, Ok(0));
    assert_eq!(outcomes(&call.insert_many("item", &rows(3)).await.unwrap()).len(), 3);
    assert_eq!(call.budget().used().rows_written, 3);
    // The answer is longer than what came in.
    drop(call);
    let mut call = fixture.limited(Limits { call_bytes: 500, ..Limits::default() });
    let refused = call.insert_many("item", &rows(3)).await.unwrap_err();
    assert!(refused.starts_with("limit-exceeded: call-bytes"), "{refused}");
    assert_eq!(call.count("item", "").await, Ok(0));
    // Rows that are refused for themselves are not counted as written.
    drop(call);
    let mut call = fixture.limited(Limits { rows_written: 1, ..Limits::default() });
    let answer = call.insert_many("item", &array([json!({}), item("A"), json!([])])).await.unwrap();
    assert!(outcomes(&answer)[1]["ok"].is_object());
}

#[tokio::test]
async fn a_thousand_records_go_in_and_out_at_once() {
    let fixture = Fixture::new().await;
    let limits = Limits { writer_hold_ms: 60_000, ..Limits::default() };
    let mut call = fixture.limited(limits.clone());
    let answer = call.insert_many("item", &array((0..1000).map(|n| item(&format!("S{n}"))))).await.unwrap();
    let found = outcomes(&answer);
    call.commit().await;
    let mut call = fixture.limited(limits);
    let updates = found.iter().rev().map(|item| {
        let record = &item["ok"];
        change(record["id"].as_str().unwrap(), 1, json!({ "name": record["sku"] }))
    });
    let answer = call.update_many("item", &array(updates)).await.unwrap();
    for (before, after) in found.iter().rev().zip(outcomes(&answer)) {
        assert_eq!((&after["ok"]["name"], &after["ok"]["version"]), (&before["ok"]["sku"], &json!(2)));
    }
}

#[tokio::test]
async fn dynamic_entities_take_many_documents() {
    let dynamic = Dynamic::new().await;
    let mut call = dynamic.call();
    // Nothing that could be kept: no entity is made.
    let answer = call.insert_many("note", r#"[7,{"id":"x"}]"#).await.unwrap();
    assert!(outcomes(&answer).iter().all(|item| item["error"].is_object()));
    assert_eq!(call.count("note", "").await, Ok(0));
    let answer = call.insert_many("note", r#"[{"a":1},{"a":1,"a":2},{"b":[2]}]"#).await.unwrap();
    let found = outcomes(&answer);
    assert_eq!((&found[0]["ok"]["a"], &found[2]["ok"]["b"]), (&json!(1), &json!([2])));
    assert_eq!(
        refusal(&found[1]),
        "1 invalid-input: data: the key \"a\" stands twice in one object at line 1 column 13"
    );
    let id = found[0]["ok"]["id"].as_str().unwrap();
    let answer =
        call.update_many("note", &array([change(id, 1, json!({ "a": null, "c": 3 }))])).await.unwrap();
    let record = &outcomes(&answer)[0]["ok"];
    assert_eq!((record.get("a"), &record["c"]), (None, &json!(3)));
    assert_eq!(call.count("note", r#"{"c":3}"#).await, Ok(1));
}

/// Refuses what has this in its data.
struct Censor(&'static str);

#[async_trait]
impl HookRunner for Censor {
    fn listens(&self, _: &EntityRef) -> bool {
        true
    }

    async fn run(
        &self,
        point: HookPoint<'_>,
        transaction: Box<dyn Transaction>,
    ) -> (Option<Box<dyn Transaction>>, HookVerdict) {
        let verdict = match point {
            HookPoint::BeforeInsert { data, .. } | HookPoint::BeforeUpdate { data, .. }
                if String::from_utf8_lossy(data).contains(self.0) =>
            {
                Err(HostError::new(ErrorCode::Rejected, "censored"))
            }
            _ => Ok(()),
        };
        (Some(transaction), verdict)
    }
}

#[tokio::test]
async fn a_hook_refuses_one_of_many() {
    let fixture = Fixture::new().await.hooked(Censor("BAD"));
    let mut call = fixture.call();
    let answer = call.insert_many("item", &array([item("A"), item("BAD"), item("C")])).await.unwrap();
    let found = outcomes(&answer);
    assert_eq!(refusal(&found[1]), "1 rejected: censored");
    let ids = [&found[0], &found[2]].map(|item| item["ok"]["id"].as_str().unwrap().to_owned());
    let updates =
        [change(&ids[0], 1, json!({ "name": "BAD" })), change(&ids[1], 1, json!({ "name": "good" }))];
    let answer = call.update_many("item", &array(updates)).await.unwrap();
    let found = outcomes(&answer);
    assert_eq!(refusal(&found[0]), "0 rejected: censored");
    assert_eq!(found[1]["ok"]["name"], "good");
}

#[tokio::test]
async fn one_record_is_had_by_its_id() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[&item("A").to_string()]).await.remove(0);
    let found = fixture.found("item", "").await.remove(0);
    let mut call = fixture.call();
    assert_eq!(json(&call.get("item", &id).await.unwrap()), found);
    for absent in [NOBODY, "nonsense", ""] {
        let refused = format!("not-found: no inventory.item has the id \"{absent}\"");
        assert_eq!(call.get("item", absent).await, Err(refused));
    }
    let refused = format!("not-found: no inventory.item has the id \"{id}\"");
    call.delete("item", &id).await.unwrap();
    assert_eq!(call.get("item", &id).await, Err(refused.clone()));
    drop(call);
    assert_eq!(fixture.call_in(BETA).get("item", &id).await, Err(refused));
    let mut call = fixture.limited(Limits { rows_read: 0, ..Limits::default() });
    assert!(call.get("item", &id).await.unwrap_err().starts_with("limit-exceeded: rows-read"));
}
