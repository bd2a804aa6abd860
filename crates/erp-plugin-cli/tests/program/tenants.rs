//! `erp-plugin tenants`: made, suspended, resumed, deleted.

use serde_json::json;

use crate::place::{Place, on_every_backend};
use crate::program::{Done, erp_plugin};

on_every_backend! {
    a_tenant_is_made_suspended_and_resumed
    a_tenant_that_is_deleted_leaves_nothing_and_the_others_as_they_were
    a_tenant_moves_from_one_platform_to_another
    what_cannot_be_done_to_a_tenant_is_told_the_way_out
}

impl Place {
    fn tenants(&self, words: &[&str]) -> Done {
        erp_plugin(["tenants"].iter().chain(words).chain(&["--db", &self.database]))
    }

    /// A verb that does what it is asked to do, and what it printed.
    fn tenants_done(&self, words: &[&str]) -> String {
        let done = self.tenants(words);
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
        done.stdout
    }

    fn records(&self, words: &[&str], tenant: &str) -> Done {
        let (verb, rest) = words.split_first().unwrap();
        let of = ["--tenant", tenant, "--db", &self.database];
        erp_plugin(["records", verb, "test-sample.note"].iter().chain(rest).chain(&of))
    }
}

fn a_tenant_is_made_suspended_and_resumed(place: &Place) {
    assert_eq!(place.tenants_done(&["create", "acme"]), "acme is made\n");
    assert_eq!(place.tenants_done(&["create", "acme"]), "acme was there before\n");
    place.install("acme");
    assert_eq!(
        place.tenants(&["create", "globex", "--json"]).json(),
        json!({ "tenant": "globex", "new": true })
    );
    assert_eq!(place.tenants_done(&["suspend", "acme"]), "acme is suspended\n");
    assert_eq!(place.tenants_done(&["suspend", "acme"]), "acme was suspended before\n");
    assert_eq!(place.tenants_done(&["list"]), "tenant  state\nacme    suspended\nglobex  active\n");
    let listed = json!({ "tenants": [
        { "tenant": "acme", "state": "suspended" },
        { "tenant": "globex", "state": "active" },
    ] });
    assert_eq!(place.tenants(&["list", "--json"]).json(), listed);
    for words in [&["query"][..], &["insert", r#"{"title":"a"}"#]] {
        let done = place.records(words, "acme");
        assert_eq!(done.code, Some(1));
        let told = "tenant acme is suspended, and nothing is done in it; resume it first: erp-plugin tenants resume acme";
        assert_eq!(done.error(), told);
    }
    let resumed = place.tenants(&["resume", "acme", "--json"]).json();
    assert_eq!(resumed, json!({ "tenant": "acme", "state": "active" }));
    assert_eq!(place.tenants_done(&["resume", "acme"]), "acme was not suspended\n");
    assert_eq!(place.records(&["insert", r#"{"title":"a"}"#], "acme").code, Some(0));
}

fn a_tenant_that_is_deleted_leaves_nothing_and_the_others_as_they_were(place: &Place) {
    for tenant in ["acme", "globex"] {
        place.install(tenant);
        assert_eq!(place.records(&["insert", r#"{"title":"a"}"#], tenant).code, Some(0));
    }
    let before = place.records(&["query"], "globex").stdout;
    place.tenants_done(&["suspend", "acme"]);
    let unsure = place.tenants(&["delete", "acme"]);
    assert_eq!(
        (unsure.code, unsure.error()),
        (Some(1), "what is deleted is gone for good; give --confirm acme if that is meant")
    );
    assert_eq!(place.tenants(&["delete", "acme", "--confirm", "globex"]).code, Some(1));
    let receipt = place.tenants(&["delete", "acme", "--confirm", "acme", "--json"]).json();
    assert_eq!(receipt["deleted"], "acme");
    assert!(receipt["at"].is_string() && receipt["rows"].as_u64().unwrap() >= 4, "{receipt}");
    let tables = receipt["tables"].as_object().unwrap();
    for table in ["activations", "invocations", "record_history", "test-sample__note"] {
        let name = tables.keys().find(|name| name.replace('_', "-") == table.replace('_', "-"));
        assert!(name.is_some_and(|name| tables[name].as_u64().unwrap() > 0), "{table}: {receipt}");
    }
    assert_eq!(place.tenants_done(&["list"]), "tenant  state\nglobex  active\n");
    assert_eq!(place.records(&["query"], "globex").stdout, before);
    let gone = place.tenants(&["delete", "acme", "--confirm", "acme"]);
    assert_eq!((gone.code, gone.error()), (Some(1), "no tenant acme; there is nothing to delete"));

    // One of that name is another. As it is active, it is waited for.
    place.install("acme");
    let text = place.tenants_done(&["delete", "acme", "--confirm", "acme"]);
    assert!(text.starts_with("acme is deleted: ") && text.contains("\n  activations "), "{text}");
}

fn a_tenant_moves_from_one_platform_to_another(place: &Place) {
    for tenant in ["acme", "globex"] {
        place.install(tenant);
        assert_eq!(place.records(&["insert", r#"[{"title":"a"},{"title":"b"}]"#], tenant).code, Some(0));
    }
    let (folder, other) = (place.path("acme.export"), place.path("other.db"));
    let text = place.tenants_done(&["export", "acme", "-o", &folder]);
    assert!(text.starts_with("acme is exported: ") && text.contains("test-sample.note.jsonl"), "{text}");
    let over = place.tenants(&["export", "acme", "-o", &folder]);
    assert!(over.error().contains("is there already; name a folder that is not"), "{over:?}");

    // Into a file of its own, on which the plugin does not run yet.
    assert_eq!(erp_plugin(["tenants", "create", "umbrella", "--db", &other]).code, Some(0));
    let import = || erp_plugin(["tenants", "import", &folder, "--db", &other]);
    let told = "the export was made with test-sample 0.1.0, and test-sample is not installed here; install 0.1.0, then import";
    assert_eq!((import().code, import().error()), (Some(1), told));
    let applied = erp_plugin(["schema", "apply", &crate::program::plugin("test-sample"), "--db", &other]);
    assert_eq!(applied.code, Some(0), "{applied:?}");
    let done = import();
    assert!(done.stdout.starts_with("acme is imported: "), "{done:?}");
    assert_eq!(import().code, Some(1), "it is there");
    let there = erp_plugin(["records", "query", "test-sample.note", "--tenant", "acme", "--db", &other]);
    assert_eq!(there.stdout, place.records(&["query"], "acme").stdout);

    // A copy to try things in, beside its original.
    let imported = place.tenants(&["import", &folder, "--as", "acme-test", "--json"]).json();
    assert_eq!((&imported["imported"], &imported["suspended"]), (&json!("acme-test"), &json!(false)));
    let copied = place.records(&["query"], "acme-test").stdout.replace("acme-test", "acme");
    assert_eq!(copied, place.records(&["query"], "acme").stdout);
    assert_eq!(place.records(&["insert", r#"{"title":"c"}"#], "acme-test").code, Some(0));
    assert_eq!(there.stdout, place.records(&["query"], "acme").stdout);
    assert_eq!(
        place.tenants_done(&["list"]),
        "tenant     state\nacme       active\nacme-test  active\nglobex     active\n"
    );
    let nothing = place.tenants(&["import", &place.path("nowhere")]);
    assert!(nothing.code == Some(1) && nothing.error().contains("cannot read"), "{nothing:?}");
}

fn what_cannot_be_done_to_a_tenant_is_told_the_way_out(place: &Place) {
    assert_eq!(place.tenants_done(&["create", "acme"]), "acme is made\n");
    for verb in ["suspend", "resume"] {
        let done = place.tenants(&[verb, "globex"]);
        assert_eq!((done.code, done.error()), (Some(1), "no tenant globex; create it first"));
    }
    let done = erp_plugin(["tenants", "list", "--db", "nowhere.db"]);
    assert!(done.error().contains("there is no database nowhere.db"), "{done:?}");
    let done = erp_plugin(["tenants", "list", "--db", "sqlite::memory:"]);
    assert!(done.error().contains("a database in memory has no tenants"), "{done:?}");
}
