//! `erp-plugin plugins`: where they are enabled, and how one leaves.

use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::place::{Place, on_every_backend};
use crate::program::{Done, erp_plugin, killed_after, plugin};

on_every_backend! {
    a_plugin_is_installed_upgraded_rolled_back_and_uninstalled
    a_plugin_is_disabled_and_enabled_again
    a_plugin_is_archived_into_files_and_comes_back
    a_plugin_is_purged_by_its_name
    a_version_is_tried_in_one_tenant_and_everything_is_in_the_trail
    a_leaving_that_is_killed_anywhere_is_finished_by_the_next
}

impl Place {
    fn plugins(&self, words: &[&str]) -> Done {
        erp_plugin(["plugins"].iter().chain(words).chain(&["--db", &self.database]))
    }

    /// A verb that does what it is asked to do, and what it printed.
    fn plugins_done(&self, words: &[&str]) -> String {
        let done = self.plugins(words);
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
        done.stdout
    }

    fn with_notes(&self) {
        for tenant in ["acme", "globex"] {
            self.install(tenant);
            let notes = r#"[{"title":"a"},{"title":"b"}]"#;
            assert_eq!(self.notes_of(tenant, "insert", &[notes]).code, Some(0));
        }
        let found = self.notes_of("acme", "query", &["--json", "--filter", r#"{"title":"b"}"#]).json();
        let id = found["items"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(self.notes_of("acme", "delete", &[&id]).code, Some(0));
    }
}

fn a_plugin_is_disabled_and_enabled_again(place: &Place) {
    place.with_notes();
    let listed = "plugin       version  enabled in\ntest-sample  0.1.0    acme, globex\n";
    assert_eq!(place.plugins_done(&["list"]), listed);
    let of = ["test-sample", "--tenant", "acme"];
    assert_eq!(place.plugins_done(&[&["disable"], &of[..]].concat()), "test-sample is disabled in acme\n");
    let listed = json!({ "plugins": [
        { "plugin": "test-sample", "version": "0.1.0", "versions": ["0.1.0"], "enabled_in": ["globex"], "elsewhere": [] },
    ] });
    assert_eq!(place.plugins(&["list", "--json"]).json(), listed);
    assert_eq!(
        place.plugins(&[&["enable", "--json"], &of[..]].concat()).json(),
        json!({ "plugin": "test-sample", "tenants": ["acme"], "enabled": true })
    );
    for (words, told) in [
        (["enable", "nobody", "--tenant", "acme"], "no plugin nobody is installed; install it first"),
        (["disable", "test-sample", "--tenant", "umbrella"], "no tenant umbrella; create it first"),
    ] {
        let done = place.plugins(&words);
        assert_eq!((done.code, done.error()), (Some(1), told));
    }
}

fn a_plugin_is_archived_into_files_and_comes_back(place: &Place) {
    place.with_notes();
    let folder = place.path("sample.export");
    let text = place.plugins_done(&["archive", "test-sample", "-o", &folder]);
    for line in [
        "test-sample 0.1.0 is archived: ".to_owned(),
        "\n  disabled in acme, globex\n".to_owned(),
        "\n  kept: test-sample.note, as test_sample__note__old1, of 0.1.0\n".to_owned(),
    ] {
        assert!(text.contains(&line), "{line}: {text}");
    }
    let listed = "plugin       version   enabled in\ntest-sample  archived  no tenant\n";
    assert_eq!(place.plugins_done(&["list"]), listed);
    assert_eq!(place.notes_of("acme", "query", &[]).code, Some(1));
    // Whoever reads the files needs nothing of ours.
    let notes = fs::read_to_string(format!("{folder}/acme/test-sample.note.jsonl")).unwrap();
    let mut titles: Vec<(String, bool)> = notes
        .lines()
        .map(|line| {
            let note: serde_json::Value = serde_json::from_str(line).unwrap();
            (note["title"].as_str().unwrap().to_owned(), note.get("deleted_at").is_some())
        })
        .collect();
    titles.sort();
    assert_eq!(titles, [("a".to_owned(), false), ("b".to_owned(), true)]);
    let history = fs::read_to_string(format!("{folder}/acme/history.jsonl")).unwrap();
    assert_eq!(history.lines().filter(|line| line.contains(r#""entity":"test-sample.note""#)).count(), 3);
    let contents: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(format!("{folder}/export.json")).unwrap()).unwrap();
    assert_eq!(contents["plugins"], json!([{ "name": "test-sample", "version": "0.1.0" }]));

    let over = place.plugins(&["archive", "test-sample", "-o", &folder]);
    assert!(over.code == Some(1) && over.error().contains("is there already; name a folder that is not"));
    // The export can be made again for as long as the tables are there.
    let again = place.plugins(&["archive", "test-sample", "-o", &place.path("again"), "--json"]).json();
    assert_eq!((&again["version"], &again["disabled_in"]), (&json!(null), &json!([])));
    assert_eq!(again["files"], contents["files"]);

    let applied = erp_plugin(["schema", "apply", &plugin("test-sample"), "--db", &place.database]);
    assert_eq!(applied.code, Some(0), "{applied:?}");
    place.plugins_done(&["enable", "test-sample", "--tenant", "acme"]);
    let found = place.notes_of("acme", "query", &["--json"]).json();
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
}

fn a_plugin_is_purged_by_its_name(place: &Place) {
    place.with_notes();
    let purge = ["purge", "test-sample", "--confirm", "test-sample"];
    let told = "test-sample is in use; archive it first: erp-plugin plugins archive test-sample";
    assert_eq!(place.plugins(&purge).error(), told);
    place.plugins_done(&["archive", "test-sample", "-o", &place.path("sample.export")]);
    let unsure = place.plugins(&["purge", "test-sample"]);
    assert_eq!(
        (unsure.code, unsure.error()),
        (Some(1), "what is purged is gone for good; give --confirm test-sample if that is meant")
    );
    let receipt = place.plugins(&[&purge[..], &["--json"]].concat()).json();
    assert_eq!((&receipt["purged"], &receipt["versions"]), (&json!("test-sample"), &json!(1)));
    assert!(receipt["rows"].as_u64().unwrap() >= 5, "{receipt}");
    assert!(receipt["dropped"].as_array().unwrap().iter().any(|kept| kept["entity"] == "test-sample.note"));
    assert_eq!(place.plugins_done(&["list"]), "no plugins; `erp-plugin schema apply` installs one\n");
    let nothing = place.plugins(&purge);
    assert_eq!(nothing.error(), "no plugin test-sample is or was installed; there is nothing to purge");
    // Nothing of it is in the way of the same plugin installed anew.
    place.install("acme");
    assert_eq!(place.notes_of("acme", "query", &["--json"]).json()["items"], json!([]));
}

fn a_leaving_that_is_killed_anywhere_is_finished_by_the_next(place: &Place) {
    place.with_notes();
    let file = place.path("notes.jsonl");
    fs::write(&file, (0..900).map(|n| format!("{{\"title\":\"n{n}\"}}")).collect::<Vec<_>>().join("\n"))
        .unwrap();
    assert_eq!(place.notes_of("globex", "import", &[&file]).code, Some(0));
    let folder = place.path("sample.export");
    // It may be killed when it has done everything, and only not ended yet.
    let killed_until = |words: &[&str], is_done: &dyn Fn() -> bool| {
        let arguments: Vec<&str> =
            ["plugins"].iter().chain(words).chain(&["--db", &place.database]).copied().collect();
        let mut killed = 0;
        for wait in (0..).map(|attempt| Duration::from_millis(5 + 7 * attempt)) {
            if !killed_after(wait, &arguments) || is_done() {
                break;
            }
            killed += 1;
        }
        assert!(killed > 1 && is_done(), "{killed} times killed");
    };
    killed_until(&["archive", "test-sample", "-o", &folder], &|| fs::exists(&folder).unwrap());
    let contents: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(format!("{folder}/export.json")).unwrap()).unwrap();
    let files = contents["files"].as_array().unwrap();
    let notes = files.iter().find(|file| file["file"] == "globex/test-sample.note.jsonl").unwrap();
    assert_eq!(notes["rows"], 902);
    let is_gone = || place.plugins_done(&["list"]).starts_with("no plugins;");
    killed_until(&["purge", "test-sample", "--confirm", "test-sample"], &is_gone);
    place.install("globex");
    assert_eq!(place.notes_of("globex", "query", &["--json"]).json()["items"], json!([]));
}

fn a_plugin_is_installed_upgraded_rolled_back_and_uninstalled(place: &Place) {
    // Which makes the database as well.
    place.install("acme");
    let (first, next) = (plugin("inventory"), plugin("inventory-0.2"));
    let refused = place.plugins(&["upgrade", &first]);
    assert_eq!(
        (refused.code, refused.error()),
        (Some(1), "no plugin inventory is installed; `erp-plugin plugins install` does that")
    );
    let told = place.plugins_done(&["install", &first, "--tenant", "acme"]);
    assert_eq!(told, "inventory 0.1.0 is installed\n");
    let refused = place.plugins(&["install", &next]);
    assert_eq!(
        (refused.code, refused.error()),
        (
            Some(1),
            "inventory 0.1.0 is installed; `erp-plugin plugins upgrade` has another version run, `erp-plugin plugins enable` \
             adds a tenant"
        )
    );
    let consent = ["--consent", "inventory.item.discontinued"];
    let told = place.plugins_done(&[&["upgrade", &next], &consent[..]].concat());
    assert_eq!(told, "inventory 0.2.0 runs in the place of 0.1.0\n");
    // What the later version added is not lost without a word.
    let refused = place.plugins(&["rollback", "inventory"]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.error().contains("would go out of sight; consent to it by name, or keep it"),
        "{refused:?}"
    );
    let unknown = place.plugins(&["rollback", "inventory", "--to", "9.0.0"]);
    assert_eq!(unknown.error(), "inventory 9.0.0 was never installed; these were: 0.1.0, 0.2.0");
    let names = refused.error().split(": ").nth(1).unwrap().split(" would go").next().unwrap().to_owned();
    let mut words = vec!["rollback", "inventory", "--json"];
    for name in names.split(", ") {
        words.extend(["--consent", name]);
    }
    let told = place.plugins(&words).json();
    assert_eq!((&told["from"], &told["to"]), (&json!("0.2.0"), &json!("0.1.0")));
    let told = place.plugins_done(&["uninstall", "inventory"]);
    assert!(
        told.starts_with("inventory 0.1.0 is uninstalled; installing it brings its records back"),
        "{told}"
    );
    let listed = place.plugins_done(&["list"]);
    assert!(listed.contains("inventory    archived  no tenant\n"), "{listed}");
}

/// The sample as another version of itself, with a field that is new.
fn newer(place: &Place) -> String {
    let component = fs::read(plugin("test-sample")).unwrap();
    let manifest = erp_plugin_package::manifest::read(&component).unwrap().unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&manifest.to_canonical_json()).unwrap();
    json["plugin"]["version"] = json!("0.2.0");
    json["entities"]["note"]["fields"]["colour"] = json!({ "type": "string" });
    let manifest = erp_plugin::Manifest::from_json(json.to_string().as_bytes()).unwrap();
    let file = place.path("newer.component.wasm");
    fs::write(&file, erp_plugin_package::manifest::embed(&component, &manifest).unwrap()).unwrap();
    file
}

fn a_version_is_tried_in_one_tenant_and_everything_is_in_the_trail(place: &Place) {
    for tenant in ["acme", "globex"] {
        place.install(tenant);
    }
    let newer = newer(place);
    let told = place.plugins_done(&["upgrade", &newer, "--tenant", "acme"]);
    assert_eq!(told, "test-sample 0.2.0 runs in acme\n");
    let listed = "plugin       version  enabled in\ntest-sample  0.1.0    acme, globex; 0.2.0 in acme\n";
    assert_eq!(place.plugins_done(&["list"]), listed);
    let told = place.plugins_done(&["rollback", "test-sample", "--tenant", "acme"]);
    assert_eq!(told, "test-sample 0.1.0 runs in acme\n");
    let nowhere = place.plugins(&["upgrade", &newer, "--tenant", "umbrella"]);
    assert!(
        nowhere.code == Some(1) && nowhere.error().ends_with("no tenant umbrella; create it first"),
        "{nowhere:?}"
    );

    // Where init fails the version before goes on, and the exit code says so.
    let config = place.path("config.toml");
    fs::write(&config, "fail_init = \"rejected: not today\"").unwrap();
    let sample = plugin("test-sample");
    let whoami = [
        "run",
        &sample,
        "--tenant",
        "globex",
        "--event",
        "sample.whoami",
        "--payload",
        "{}",
        "--config",
        &config,
    ];
    let configured = erp_plugin(whoami.iter().chain(&["--db", place.database.as_str()]));
    assert_eq!(configured.code, Some(0), "{configured:?}");
    let held = place.plugins(&["upgrade", &newer]);
    assert_eq!(held.code, Some(4), "{held:?}");
    assert!(
        held.stderr.contains("in globex: test-sample: init failed: rejected: not today; 0.1.0 goes on there"),
        "{held:?}"
    );
    let listed = "plugin       version  enabled in\ntest-sample  0.2.0    acme, globex; 0.1.0 in globex\n";
    assert_eq!(place.plugins_done(&["list"]), listed);

    let trail = place.plugins(&["history", "test-sample", "--tenant", "acme", "--json"]).json();
    let lines: Vec<String> = trail["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            format!(
                "{} {} {} {}",
                entry["by"].as_str().unwrap(),
                entry["action"].as_str().unwrap(),
                entry["from"],
                entry["to"]
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            r#"tester plugin.upgraded "0.1.0" "0.2.0""#,
            r#"tester plugin.rolled-back "0.2.0" "0.1.0""#,
            r#"tester plugin.upgraded "0.1.0" "0.2.0""#,
            r#"tester plugin.enabled null "0.1.0""#,
        ]
    );
    let told = place.plugins_done(&["history", "test-sample", "--limit", "1"]);
    let rights = "granted events-publish \"test-sample.*\", system-config \"system.currency\"";
    let expected = format!("Z  tester  plugin.upgraded  test-sample 0.1.0 → 0.2.0  {rights}\n");
    assert!(told.ends_with(&expected), "{told}");
    let all = erp_plugin(["audit", "--tenant", "globex", "--db", &place.database]);
    assert_eq!(all.code, Some(0), "{all:?}");
    assert!(all.stdout.contains("  tester  tenant.created  in globex\n"), "{all:?}");
    assert!(all.stdout.contains("  plugin.configured  test-sample  in globex  fail_init set\n"), "{all:?}");
    assert!(!all.stdout.contains("not today"), "a value may be secret: {all:?}");
}
