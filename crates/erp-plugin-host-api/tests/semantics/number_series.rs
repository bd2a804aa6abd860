//! Numbers that the host gives new records: one after another, each once, none left out.

use crate::fixture::{ALPHA, BETA, Fixture, column, id_of, items, json};

const INVOICES: &str = r#"
    [entities.customer.fields.name]
    type = "string"
    [entities.invoice.fields.customer]
    type = "reference"
    entity = "customer"
    [entities.invoice.fields.code]
    type = "string"
    unique = true
    [entities.invoice.fields.number]
    type = "number-series"
    pattern = "INV-{yyyy}-{000}"
"#;

const REFUSED: &str =
    "invalid-input: the host numbers \"number\" of inventory.invoice; leave it out of the data";

fn number(record: &str) -> String {
    json(record)["number"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn records_are_numbered_as_they_are_inserted() {
    let fixture = Fixture::declaring(INVOICES).await;
    let mut call = fixture.call();
    let first = call.insert("invoice", "{}").await.unwrap();
    assert_eq!(number(&first), "INV-2026-001");
    assert_eq!(number(&call.insert("invoice", r#"{"number":null}"#).await.unwrap()), "INV-2026-002");
    let many = call.insert_many("invoice", "[{},{},{}]").await.unwrap();
    let numbers: Vec<_> = items(&many).iter().map(|item| item["ok"]["number"].clone()).collect();
    assert_eq!(numbers, ["INV-2026-003", "INV-2026-004", "INV-2026-005"]);
    // What was answered is what is kept.
    assert_eq!(call.get("invoice", &id_of(&first)).await.unwrap(), first);
    call.commit().await;
    let noted = fixture.call().history("invoice", Some(&id_of(&first)), "").await.unwrap();
    assert_eq!(items(&noted)[0]["changes"]["number"], json(r#"{"to":"INV-2026-001"}"#));
}

#[tokio::test]
async fn what_is_refused_takes_no_number() {
    let fixture = Fixture::declaring(INVOICES).await;
    let mut call = fixture.call();
    call.insert("invoice", r#"{"code":"a"}"#).await.unwrap();
    let taken = "already-exists: another inventory.invoice has the same \"code\"; it must be unique";
    assert_eq!(call.insert("invoice", r#"{"code":"a"}"#).await, Err(taken.to_owned()));
    let nobody = r#"{"customer":"0198c0de-0000-7000-8000-000000000001"}"#;
    let many = format!(r#"[{{"code":"b"}},{{"code":"a"}},{nobody},{{"number":"X"}},{{"code":"c"}}]"#);
    let answer = items(&call.insert_many("invoice", &many).await.unwrap());
    assert_eq!(answer[0]["ok"]["number"], "INV-2026-002");
    for refused in &answer[1..4] {
        assert!(refused["error"].is_object(), "{refused}");
    }
    assert_eq!(answer[4]["ok"]["number"], "INV-2026-003");
    call.commit().await;
    assert_eq!(number(&fixture.call().insert("invoice", "{}").await.unwrap()), "INV-2026-004");
}

#[tokio::test]
async fn a_rollback_leaves_no_gap() {
    let fixture = Fixture::declaring(INVOICES).await;
    fixture.given("invoice", &["{}"]).await;
    let mut call = fixture.call();
    assert_eq!(number(&call.insert("invoice", "{}").await.unwrap()), "INV-2026-002");
    call.insert_many("invoice", "[{},{}]").await.unwrap();
    call.refuse().await;
    assert_eq!(number(&fixture.call().insert("invoice", "{}").await.unwrap()), "INV-2026-002");
}

#[tokio::test]
async fn a_number_is_given_once_and_never_changes() {
    let fixture = Fixture::declaring(INVOICES).await;
    let mut call = fixture.call();
    for given in [r#"{"number":"INV-2026-001"}"#, r#"{"number":7}"#, r#"{"number":{"a":[]}}"#] {
        assert_eq!(call.insert("invoice", given).await, Err(REFUSED.to_owned()));
    }
    let twice = r#"{"number":null,"number":null}"#;
    let stands = "invalid-input: field \"number\" stands twice".to_owned();
    assert_eq!(call.insert("invoice", twice).await, Err(stands));
    let record = call.insert("invoice", r#"{"code":"a"}"#).await.unwrap();
    let id = id_of(&record);
    let changed = "invalid-input: field \"number\" is set by the host; leave it out, or as it was".to_owned();
    for given in [r#"{"number":"INV-2026-002"}"#, r#"{"number":null}"#] {
        assert_eq!(call.update("invoice", &id, given, 1).await, Err(changed.clone()));
    }
    // Whoever sends back what they read changes nothing.
    let updated = call.update("invoice", &id, &record, 1).await.unwrap();
    assert_eq!(number(&updated), "INV-2026-001");
    // A deleted record keeps its number, and gives it to nobody.
    call.delete("invoice", &id).await.unwrap();
    assert_eq!(number(&call.insert("invoice", "{}").await.unwrap()), "INV-2026-002");
    assert_eq!(number(&call.restore("invoice", &id).await.unwrap()), "INV-2026-001");
}

#[tokio::test]
async fn another_tenant_has_numbers_of_its_own() {
    let fixture = Fixture::declaring(INVOICES).await;
    for tenant in [ALPHA, BETA] {
        let mut call = fixture.call_in(tenant);
        assert_eq!(number(&call.insert("invoice", "{}").await.unwrap()), "INV-2026-001");
        call.commit().await;
    }
}

#[tokio::test]
async fn a_new_year_begins_with_one() {
    let fixture = Fixture::declaring(INVOICES).await;
    fixture.given("invoice", &["{}", "{}"]).await;
    // The clock stands at nine o'clock on the first of January.
    fixture.clock.advance((365 * 24 - 9) * 3600 - 1);
    fixture.given("invoice", &["{}"]).await;
    fixture.clock.advance(1);
    fixture.given("invoice", &["{}", "{}"]).await;
    let numbers =
        column(&fixture.call().query("invoice", "", r#"{"sort":["number"]}"#).await.unwrap(), "number");
    let expected = ["INV-2026-001", "INV-2026-002", "INV-2026-003", "INV-2027-001", "INV-2027-002"];
    assert_eq!(numbers, expected);
}

#[tokio::test]
async fn numbers_are_found_as_text() {
    let fixture = Fixture::declaring(INVOICES).await;
    fixture.given("invoice", &["{}"; 12]).await;
    assert_eq!(fixture.found("invoice", r#"{"number":{"$prefix":"INV-2026-01"}}"#).await.len(), 3);
    assert_eq!(fixture.found("invoice", r#"{"number":"INV-2026-007"}"#).await.len(), 1);
    assert_eq!(fixture.found("invoice", r#"{"number":{"$gt":"INV-2026-010"}}"#).await.len(), 2);
}
