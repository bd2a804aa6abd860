//! `erp-plugin records`: every verb, on the entity of test-sample that has a field of each type.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::place::{Place, on_every_backend};
use crate::program::{Done, bare, erp_plugin, file, plugin, with_manifest};

on_every_backend! {
    a_record_is_inserted_read_changed_deleted_restored_and_purged
    the_history_tells_who_changed_what_a_page_at_a_time
    an_array_is_inserted_with_an_outcome_for_each
    pages_follow_one_another_by_cursor
    figures_are_a_table_or_an_object
    what_is_exported_is_imported_equal
    refused_lines_are_named_and_the_others_are_in
    a_large_export_and_import_go_page_by_page
    a_user_may_what_the_permissions_say
    a_table_has_no_column_for_a_field_that_its_reader_may_not_see
    what_is_not_there_is_named_with_the_way_out
}

const NOTE: &str = "test-sample.note";

impl Place {
    /// Installs the plugin, and enables it in a tenant.
    pub(crate) fn install(&self, tenant: &str) {
        let done = erp_plugin([
            "run",
            &plugin("test-sample"),
            "--event",
            "sample.log",
            "--payload",
            r#"{"message":"x"}"#,
            "--tenant",
            tenant,
            "--db",
            &self.database,
        ]);
        assert_eq!(done.code, Some(0), "{done:?}");
    }

    /// A verb on notes, in a tenant.
    pub(crate) fn notes_of(&self, tenant: &str, verb: &str, more: &[&str]) -> Done {
        let arguments = ["records", verb, NOTE, "--db", &self.database, "--tenant", tenant];
        erp_plugin(arguments.iter().chain(more))
    }

    fn notes(&self, verb: &str, more: &[&str]) -> Done {
        self.notes_of("acme", verb, more)
    }

    /// A verb that does what it is asked to do, and says nothing else.
    fn done(&self, verb: &str, more: &[&str]) -> Done {
        let done = self.notes(verb, more);
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
        done
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.folder.path().join(name), text).unwrap();
        self.path(name)
    }

    /// What two tenants' records have in common: the declared fields, by title.
    fn fields_of(&self, tenant: &str) -> Vec<Value> {
        let done = self.notes_of(tenant, "query", &["--sort", "title", "--limit", "1000"]);
        let mut records = lines(&done);
        for record in &mut records {
            for own in ["id", "tenant_id", "version", "created_at", "created_by", "updated_at", "updated_by"]
            {
                assert!(record.as_object_mut().unwrap().remove(own).is_some(), "{own}: {record}");
            }
        }
        records
    }
}

fn lines(done: &Done) -> Vec<Value> {
    assert_eq!(done.code, Some(0), "{done:?}");
    done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn a_record_is_inserted_read_changed_deleted_restored_and_purged(place: &Place) {
    place.install("acme");
    let data = place.write("note.json", r#"{"title":"first","price":"9.5","extra":{"a":[1]}}"#);
    let first = place.done("insert", &[&format!("@{data}")]).json();
    let id = first["id"].as_str().unwrap();
    assert_eq!(
        (first["version"].as_i64(), &first["price"], &first["created_by"]),
        (Some(1), &json!("9.50"), &json!("system"))
    );
    assert_eq!(place.done("get", &[id]).json(), first);

    let second = place.done("update", &[id, "--version", "1", r#"{"title":"second","price":null}"#]).json();
    assert_eq!(
        (second["version"].as_i64(), &second["title"], &second["price"]),
        (Some(2), &json!("second"), &Value::Null)
    );
    let stale = place.notes("update", &[id, "--version", "1", r#"{"title":"third"}"#, "--json"]);
    assert_eq!((stale.code, &stale.json()["error"]["code"]), (Some(1), &json!("conflict")));
    assert!(stale.error().contains('2'), "{stale:?}");

    assert_eq!(place.done("count", &[]).stdout, "1\n");
    assert_eq!(place.done("delete", &[id]).stdout, format!("deleted {NOTE} {id}\n"));
    assert_eq!(place.done("count", &["--json"]).json(), json!({ "count": 0 }));
    let gone = place.notes("get", &[id]);
    assert_eq!((gone.code, gone.error()), (Some(1), format!("no {NOTE} has the id \"{id}\"").as_str()));
    let restored = place.done("restore", &[id]).json();
    assert_eq!((restored["version"].as_i64(), &restored["title"]), (Some(3), &json!("second")), "{restored}");

    assert_eq!(place.done("delete", &[id, "--json"]).json(), json!({ "deleted": id }));
    assert_eq!(place.done("purge", &["--deleted-before", "1d"]).stdout, "0 records purged\n");
    assert_eq!(place.done("purge", &["--deleted-before", "2020-01-31"]).stdout, "0 records purged\n");
    assert_eq!(place.done("purge", &["--deleted-before", "0d", "--json"]).json(), json!({ "purged": 1 }));
    assert_eq!(place.notes("restore", &[id]).code, Some(1));
}

fn the_history_tells_who_changed_what_a_page_at_a_time(place: &Place) {
    place.install("acme");
    let id = place.done("insert", &[r#"{"title":"first","price":"9.5"}"#]).json()["id"].clone();
    let id = id.as_str().unwrap();
    place.done("update", &[id, "--version", "1", r#"{"title":"second","price":"9.50"}"#]);
    place.done("delete", &[id]);
    place.done("insert", &[r#"{"title":"other"}"#]);
    let of_one = lines(&place.done("history", &[id]));
    let told: Vec<_> =
        of_one.iter().map(|change| (change["verb"].clone(), change["version"].clone())).collect();
    assert_eq!(told, [("delete", 2), ("update", 2), ("insert", 1)].map(|(verb, n)| (json!(verb), json!(n))));
    assert_eq!(of_one[1]["changes"], json!({ "title": { "from": "first", "to": "second" } }));
    assert_eq!((&of_one[1]["by"], &of_one[1]["plugin"]), (&json!("system"), &Value::Null));

    // The installation has made notes, too.
    let page = place.done("history", &["--limit", "3", "--json"]).json();
    assert_eq!(page["items"].as_array().unwrap()[1..], of_one[..2]);
    let limited = place.notes("history", &["--limit", "3"]);
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(limited.code, Some(0), "{limited:?}");
    assert!(limited.stderr.contains(&format!("go on with --cursor {cursor}")), "{limited:?}");
    let rest = place.notes("history", &["--limit", "1", "--cursor", cursor]);
    assert_eq!(lines(&rest)[0], of_one[2]);
    let deleted =
        place.done("history", &["--verb", "delete", "--by", "system", "--since", "2026-01-01T00:00:00Z"]);
    assert_eq!(lines(&deleted), of_one[..1]);
    let before = place.done("history", &["--until", "2026-01-01T00:00:00Z"]);
    assert_eq!(before.stdout, "");
    let nobody = place.done("history", &["019ab3c4-9c1e-7d54-8a8e-0d6f0a1b2c3d"]);
    assert_eq!(nobody.stdout, "");

    let refused = place.notes("prune-history", &["--json"]);
    assert_eq!((refused.code, &refused.json()["error"]["code"]), (Some(1), &json!("invalid-input")));
    assert!(refused.stderr.contains("keeps its history for ever"), "{refused:?}");
}

fn an_array_is_inserted_with_an_outcome_for_each(place: &Place) {
    place.install("acme");
    let data =
        r#"[{"title":"a","code":"AB-1"},{"title":"b","code":"AB-1"},{"body":"no title"},{"title":"c"}]"#;
    let done = place.notes("insert", &[data]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(4), ""), "{done:?}");
    let items: Vec<Value> = done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&items[0]["ok"]["title"], &items[3]["ok"]["title"]), (&json!("a"), &json!("c")));
    assert_eq!(items[1]["error"]["code"], "already-exists");
    assert_eq!(items[2]["error"]["index"], 2);

    let mut child = Command::new(env!("CARGO_BIN_EXE_erp-plugin"))
        .args(["records", "insert", NOTE, "-", "--db", &place.database, "--tenant", "acme", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(br#"[{"title":"d"}]"#).unwrap();
    let output = child.wait_with_output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &answer["items"][0]["ok"]["title"]), (Some(0), &json!("d")));
    assert_eq!(place.done("count", &[]).stdout, "3\n");

    let wrong = place.notes("insert", &["{oops"]);
    assert!(wrong.error().ends_with("give JSON, @FILE, or - for standard input"), "{wrong:?}");
}

fn pages_follow_one_another_by_cursor(place: &Place) {
    place.install("acme");
    place.done("insert", &[r#"[{"title":"a"},{"title":"b","quantity":5},{"title":"c"}]"#]);
    let titles = |done: &Done| lines(done).iter().map(|record| record["title"].clone()).collect::<Vec<_>>();
    let first = place.notes("query", &["--sort", "-quantity,title", "--limit", "2", "--total"]);
    assert_eq!(titles(&first), ["b", "a"]);
    let cursor = first.stderr.trim().rsplit_once("--cursor ").unwrap().1;
    assert!(first.stderr.starts_with("note: 3 records in all\nnote: there are more; "), "{first:?}");
    let rest = place.done("query", &["--sort", "-quantity,title", "--limit", "2", "--cursor", cursor]);
    assert_eq!(titles(&rest), ["c"]);
    assert_eq!(titles(&place.done("query", &["--sort", "title", "--offset", "2"])), ["c"]);

    let filter = place.write("filter.json", r#"{"quantity":{"$gte":5}}"#);
    let page = place.done("query", &["--filter", &format!("@{filter}"), "--total", "--json"]).json();
    assert_eq!(
        (&page["total"], &page["next_cursor"], &page["items"][0]["title"]),
        (&json!(1), &Value::Null, &json!("b"))
    );
    let wrong = place.notes("query", &["--sort", "size"]);
    assert!(wrong.code == Some(1) && wrong.error().contains("\"size\""), "{wrong:?}");
    let wrong = place.notes("query", &["--limit", "1001"]);
    assert!(wrong.error().contains("limit must be 1 to 1000"), "{wrong:?}");
}

fn figures_are_a_table_or_an_object(place: &Place) {
    place.install("acme");
    place.done(
        "insert",
        &[r#"[{"title":"a","price":"1.50"},{"title":"b","price":"10.00"},{"title":"c","status":"closed"}]"#],
    );
    let figures = r#"{"group_by":["status"],"figures":{"n":{"count":true},"sum":{"sum":"price"}}}"#;
    let table = place.done("aggregate", &["--figures", figures]).stdout;
    assert_eq!(table, "status  n    sum\nclosed  1   0.00\nopen    2  11.50\n");
    let object =
        place.done("aggregate", &["--figures", figures, "--filter", r#"{"title":"a"}"#, "--json"]).json();
    assert_eq!(object["groups"], json!([{ "status": "open", "n": 1, "sum": "1.50" }]));
}

fn what_is_exported_is_imported_equal(place: &Place) {
    for tenant in ["acme", "bolt", "cask"] {
        place.install(tenant);
    }
    let notes = json!([
        { "title": "=HYPERLINK(\"http://evil\")", "body": "-1", "code": "AB-1", "quantity": -5, "price": "0.10", "done": true },
        { "title": "'=quoted", "body": "", "quantity": "9007199254740993", "price": "9999999999.99", "due": "2026-01-31" },
        { "title": "库存 \"不足\", 请补货", "body": "two\r\nlines\n\nand a\ttab", "remind_at": "2026-01-31T09:30:00.000001Z" },
        { "title": "@cmd", "body": "\t=1", "extra": { "a": ["=1", null, 1.5], "b": "" }, "status": "closed" },
        { "title": "'tis", "body": " blank ", "extra": "", "ticket": "0198c1f0-0000-7000-8000-000000000001" },
        { "title": "＝全角", "body": "\u{9b}31m\u{202e}", "extra": false },
        { "title": "''", "body": "'", "extra": "=1" },
    ]);
    place.done("insert", &[&notes.to_string()]);
    let given = place.fields_of("acme");
    assert_eq!(given.len(), 7);

    let (jsonl, csv) = (place.path("notes.jsonl"), place.path("notes.csv"));
    assert_eq!(place.done("export", &["-o", &jsonl]).stdout, format!("7 records in {jsonl}\n"));
    assert_eq!(place.done("export", &["-o", &csv, "--json"]).json(), json!({ "exported": 7 }));
    let text = fs::read_to_string(&csv).unwrap();
    let head =
        "id,version,created_at,created_by,updated_at,updated_by,body,code,done,due,extra,parent,price,";
    assert!(text.starts_with(head), "{text}");
    // Nothing that a spreadsheet would run, and an empty text that is not absent.
    for part in [
        ",'-1,AB-1,true,,,,0.10,-5,,open,,\"'=HYPERLINK(\"\"http://evil\"\")\"\r\n",
        ",\"\",,false,2026-01-31,,,9999999999.99,9007199254740993,,open,,''=quoted\r\n",
        ",'\t=1,,false,,\"{\"\"a\"\":[\"\"=1\"\",null,1.5],\"\"b\"\":\"\"\"\"}\",",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(place.done("export", &["--format", "csv"]).stdout, text);
    assert_eq!(place.done("export", &[]).stdout, fs::read_to_string(&jsonl).unwrap());
    let folder = place.folder.path().display().to_string();
    assert!(place.notes("export", &["-o", &folder]).error().contains("is no file; name another"));
    let one = place.done("export", &["--filter", r#"{"code":"AB-1"}"#]);
    assert_eq!(lines(&one).len(), 1);

    for (tenant, file) in [("bolt", &jsonl), ("cask", &csv)] {
        let done = place.notes_of(tenant, "import", &[file]);
        assert_eq!(
            (done.code, done.stdout.as_str()),
            (Some(0), "7 records inserted, 0 refused\n"),
            "{done:?}"
        );
        assert!(done.stderr.starts_with("note: the host sets created_at, created_by, id, "), "{done:?}");
        assert_eq!(place.fields_of(tenant), given, "{file}");
    }
}

fn refused_lines_are_named_and_the_others_are_in(place: &Place) {
    place.install("acme");
    let file = place.write("notes.jsonl", "{\"title\":\"a\",\"code\":\"AB-1\"}\n\n{oops\n[1]\n{\"title\":\"b\",\"code\":\"AB-1\"}\n{\"body\":\"x\"}\n{\"title\":\"c\"}");
    let done = place.notes("import", &[&file, "--batch", "2"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(4), "2 records inserted, 4 refused\n"), "{done:?}");
    let refused: Vec<&str> = done.stderr.lines().collect();
    assert_eq!(refused.len(), 4, "{done:?}");
    assert_eq!(refused[0], "line 3: invalid-input: this is not JSON: key must be a string, column 2");
    assert!(refused[1].starts_with("line 4: invalid-input: this is JSON and no object; "), "{done:?}");
    assert_eq!(
        refused[2],
        "line 5: already-exists: another test-sample.note has the same \"code\"; it must be unique"
    );
    assert_eq!(refused[3], "line 6: invalid-input: field \"title\" is required");

    let file = place.write("notes.csv", "\u{feff}title,quantity,done,extra,price\r\n\"d\nd\",1,TRUE,\"{\"\"a\"\":1}\",1.5\r\ne,many,,,\r\nf,1\r\ng,,,{oops,\r\nh,,no,,\r\ni,,,,\r\nj\"k,,,,\r\n");
    let done = place.notes("import", &[&file, "--json"]);
    assert_eq!((done.code, done.json()), (Some(4), json!({ "inserted": 2, "refused": 5 })), "{done:?}");
    for part in [
        "line 4: invalid-input: field \"quantity\"",
        "line 5: invalid-input: the row has 2 cells, the first row 5\n",
        "line 6: invalid-input: field \"extra\" is not JSON: ",
        "line 7: invalid-input: field \"done\"",
        "line 9: invalid-input: a quote stands inside a cell without quotes",
    ] {
        assert!(done.stderr.contains(part), "{part}: {done:?}");
    }
    let multiline = place.done("query", &["--filter", r#"{"title":"d\nd"}"#]).json();
    assert_eq!(
        (&multiline["done"], &multiline["extra"], &multiline["price"]),
        (&json!(true), &json!({ "a": 1 }), &json!("1.50"))
    );
    assert_eq!(place.done("count", &[]).stdout, "4\n");

    for (text, words) in [
        (
            "title;quantity\n",
            "the first row names \"title;quantity\", which is no field of test-sample.note; it takes the names of fields, separated by commas: body, code",
        ),
        ("title,title\n", "the first row names \"title\" twice"),
    ] {
        let file = place.write("wrong.csv", text);
        let done = place.notes("import", &[&file]);
        assert!(done.code == Some(1) && done.error().contains(words), "{done:?}");
    }
    let done = place.notes("import", &["no-such-file.csv"]);
    assert!(done.code == Some(1) && done.error().starts_with("cannot read no-such-file.csv"), "{done:?}");
    let empty = place.write("empty.csv", "");
    assert_eq!(place.done("import", &[&empty]).stdout, "0 records inserted, 0 refused\n");
}

fn a_large_export_and_import_go_page_by_page(place: &Place) {
    place.install("acme");
    place.install("bolt");
    // More than a page of records, and more than a page's bytes, so that batches and pages are halved.
    let body = "b".repeat(20_000);
    let text: String =
        (0..1_100).map(|number| format!("{{\"title\":\"{number:04}\",\"body\":\"{body}\"}}\n")).collect();
    let file = place.write("notes.jsonl", &text);
    assert_eq!(
        place.done("import", &[&file, "--batch", "1000"]).stdout,
        "1,100 records inserted, 0 refused\n"
    );
    let copy = place.path("copy.csv");
    assert_eq!(place.done("export", &["-o", &copy]).stdout, format!("1,100 records in {copy}\n"));
    let done = place.notes_of("bolt", "import", &[&copy]);
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (Some(0), "1,100 records inserted, 0 refused\n"),
        "{done:?}"
    );
    let titles = |tenant: &str| {
        let done = place.notes_of(tenant, "export", &[]);
        lines(&done).into_iter().map(|note| note["title"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let expected: Vec<String> = (0..1_100).map(|number| format!("{number:04}")).collect();
    assert_eq!((titles("acme"), titles("bolt")), (expected.clone(), expected));
}

fn a_user_may_what_the_permissions_say(place: &Place) {
    place.install("acme");
    let ada = [
        "--user",
        "ada",
        "--permission",
        "test-sample.note.insert",
        "--permission",
        "test-sample.note.delete",
    ];
    let by_ada = |verb: &str, more: &[&str]| place.notes(verb, &[more, &ada].concat());
    let note = by_ada("insert", &[r#"{"title":"a"}"#]).json();
    assert_eq!(note["created_by"], "ada");
    let id = note["id"].as_str().unwrap();
    for (verb, more) in [
        ("query", &[][..]),
        ("count", &[]),
        ("export", &[]),
        ("get", &[id]),
        ("update", &[id, "--version", "1", "{}"]),
        ("purge", &["--deleted-before", "0d"]),
    ] {
        let done = by_ada(verb, more);
        let permission = match verb {
            "update" | "purge" => verb,
            _ => "read",
        };
        assert_eq!(done.code, Some(1), "{done:?}");
        let words = format!("ada lacks the permission test-sample.note.{permission}; a role can give it");
        assert!(done.error().contains(&words), "{done:?}");
    }
    assert_eq!(by_ada("delete", &[id]).code, Some(0));
    let file = place.write("notes.jsonl", r#"{"title":"b"}"#);
    let done = place.notes("import", &[&file, "--user", "bob", "--json"]);
    assert_eq!(
        (done.code, &done.json()["error"]["code"]),
        (Some(1), &json!("permission-denied")),
        "{done:?}"
    );
    assert!(
        done.error().starts_with("lines 1 to 1 are not in, 0 records before them are: bob lacks"),
        "{done:?}"
    );
}

fn a_table_has_no_column_for_a_field_that_its_reader_may_not_see(place: &Place) {
    const MANIFEST: &str = r#"{"manifest":1,
        "plugin":{"name":"shop","version":"1.0.0","contract":"0"},
        "entities":{"item":{"fields":{
            "cost":{"type":"integer","read-permission":"shop.item.read.field:cost"},
            "name":{"type":"string"}
        }}}}"#;
    let (_folder, shop) = file("shop.component.wasm", with_manifest(&bare(), MANIFEST));
    let common = ["--db", &place.database, "--tenant", "acme"];
    let run = ["run", &shop, "--event", "order.created", "--payload", "{}"];
    assert_eq!(erp_plugin(run.iter().chain(&common)).code, Some(0));
    let records = |words: &[&str]| erp_plugin(["records"].iter().chain(words).chain(&common));
    let export = |more: &[&str]| {
        let done = records(&[&["export", "shop.item", "--format", "csv", "--user", "ada"], more].concat());
        let columns = |line: &str| line.split(',').skip(6).collect::<Vec<_>>().join(",");
        done.stdout.lines().map(columns).collect::<Vec<_>>()
    };
    let read = ["--permission", "shop.item.read"];
    let cost = [&read[..], &["--permission", "shop.item.read.field:cost"]].concat();
    // Without records there is the head.
    assert_eq!((export(&read), export(&cost)), (vec!["name".to_owned()], vec!["cost,name".to_owned()]));
    assert_eq!(records(&["insert", "shop.item", r#"{"cost":7,"name":"a"}"#]).code, Some(0));
    assert_eq!(export(&read), ["name", "a"]);
    assert_eq!(export(&cost), ["cost,name", "7,a"]);
    let sorted = records(&[&["query", "shop.item", "--sort", "cost", "--user", "ada"][..], &read].concat());
    assert!(sorted.error().contains("unknown field \"cost\" of shop.item; its fields: name"), "{sorted:?}");
}

fn what_is_not_there_is_named_with_the_way_out(place: &Place) {
    place.install("acme");
    let fails = |entity: &str, tenant: &str, words: &str| {
        let done =
            erp_plugin(["records", "count", entity, "--db", &place.database, "--tenant", tenant, "--json"]);
        assert_eq!((done.code, &done.json()["error"]["code"]), (Some(1), &json!("not-found")), "{done:?}");
        assert!(done.error().contains(words), "{words}: {done:?}");
    };
    fails(
        "crm.lead",
        "acme",
        "no plugin crm is installed in this database, so there is no crm.lead; installed: test-sample. ",
    );
    fails(
        "test-sample.nota",
        "acme",
        "test-sample 0.1.0 has no entity nota; it has: test-sample.greeting, test-sample.note",
    );
    fails(NOTE, "acmee", "no tenant acmee; create it first");
    let done = place.notes("get", &["17"]);
    assert!(done.error().contains("no test-sample.note has the id \"17\"; an id is a UUID"), "{done:?}");
}

#[test]
fn the_database_must_be_one_that_was_used() {
    let missing = Place::file();
    let count = |database: &[&str]| {
        let done = erp_plugin(["records", "count", NOTE, "--tenant", "acme"].iter().chain(database));
        assert_eq!(done.code, Some(1), "{done:?}");
        done.error().to_owned()
    };
    assert!(
        count(&["--db", &missing.database])
            .ends_with("is not there; name the file that a host has worked on")
    );
    assert!(!missing.folder.path().join("erp.db").exists(), "it was not made");
    assert!(count(&["--db", "sqlite::memory:"]).contains("a database in memory has no records"));
    assert!(count(&[]).contains("no database is named; give --db FILE"));
}

#[test]
fn a_wrong_command_line_of_records_says_what_it_must_be() {
    for (arguments, words) in [
        (&["get", "note", "x"][..], "write it in full, the plugin first"),
        (&["purge", NOTE, "--deleted-before", "90"], "write it as 90d, 12h, 2026-01-31"),
        (&["update", NOTE, "x", "{}", "--version", "0"], "a version is a number from 1"),
        (&["import", NOTE, "x", "--batch", "1001"], "1001 is not in 1..=1000"),
        (&["count", NOTE, "--role", "sales"], "--user <U>"),
    ] {
        let done =
            erp_plugin(["records"].iter().chain(arguments).chain(&["--tenant", "acme", "--db", "x.db"]));
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{done:?}");
        assert!(done.stderr.contains(words), "{words}: {done:?}");
    }
}
