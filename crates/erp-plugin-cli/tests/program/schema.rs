//! `erp-plugin schema`: an upgrade as its operator does it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::place::{Place, on_every_backend};
use crate::program::{Done, erp_plugin, killed_after, plugin};

on_every_backend! {
    an_upgrade_is_planned_consented_to_and_purged
    records_in_the_way_are_listed_and_nothing_is_done
    an_upgrade_that_is_killed_anywhere_is_finished_by_the_next
}

impl Place {
    fn schema(&self, arguments: &[&str]) -> Done {
        let database = ["--db", &self.database];
        erp_plugin(["schema"].iter().chain(arguments).chain(&database))
    }

    fn items(&self, arguments: &[&str]) -> Done {
        let (command, rest) = arguments.split_first().unwrap();
        let of = ["--db", &self.database, "--tenant", "acme"];
        erp_plugin(["records", command, "inventory.item"].iter().chain(rest).chain(&of))
    }

    /// The first version of the plugin, with two items.
    fn with_inventory(&self) {
        let component = plugin("inventory");
        let run = ["run", &component, "--event", "none.of_its_own", "--payload", "{}", "--tenant", "acme"];
        let done = erp_plugin(run.iter().chain(&["--db", &self.database]));
        assert_eq!(done.code, Some(0), "{done:?}");
        let items = r#"[{"sku":"A","name":"Chai","unit":"box","unit_price":"18.5","discontinued":true},
            {"sku":"B","name":"Chang"}]"#;
        assert_eq!(self.items(&["insert", items]).code, Some(0));
    }
}

fn an_upgrade_is_planned_consented_to_and_purged(place: &Place) {
    place.with_inventory();
    let next = plugin("inventory-0.2");
    let planned = place.schema(&["plan", &next]);
    assert_eq!(planned.code, Some(0), "{planned:?}");
    // The statements are each database's own.
    let text: Vec<&str> = planned
        .stdout
        .lines()
        .filter(|line| !["CREATE ", "ALTER ", "DROP ", "UPDATE "].iter().any(|sql| line.contains(sql)))
        .collect();
    let expected = format!(
        "\
inventory 0.1.0 → 0.2.0

safe         inventory.item.unit_of_measure  renamed from unit
             2 records

destructive  inventory.item.discontinued     field removed, boolean
             2 records

safe         inventory.item.category         indexed false → true
             2 records

safe         inventory.item.lead_days        new field, integer
             2 records

safe         inventory.item.lead_days        absent values get the default
             2 records

safe         inventory.item.lead_days        required
             2 records

checked      inventory.item.unit_price       decimal(12,2) → decimal(14,4)
             2 records

safe         inventory.item                  labels and order
             2 records

to consent: erp-plugin schema apply {next} --consent inventory.item.discontinued"
    );
    assert_eq!(text.join("\n"), expected);
    let json = place.schema(&["plan", &next, "--json"]).json();
    assert_eq!((&json["from"], &json["to"]), (&json!("0.1.0"), &json!("0.2.0")));
    let removed = &json["steps"][1];
    assert_eq!(removed["consent"], "--consent inventory.item.discontinued");
    assert!(removed["statements"].as_array().unwrap().iter().any(|sql| {
        sql.as_str().unwrap().contains("RENAME COLUMN \"discontinued\" TO \"discontinued__old1\"")
    }));

    let refused = place.schema(&["apply", &next]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.error().ends_with(
            "inventory.item.discontinued would go out of sight; consent to it by name, or keep it"
        )
    );
    let old = place.items(&["query", "--sort", "sku"]);
    assert!(old.stdout.contains("\"unit\":\"box\""), "{old:?}");

    let applied = place.schema(&["apply", &next, "--consent", "inventory.item.discontinued"]);
    assert_eq!(
        (applied.code, applied.stdout.as_str()),
        (Some(0), "inventory 0.2.0 runs in the place of 0.1.0\n")
    );
    let first: Value =
        serde_json::from_str(place.items(&["query", "--sort", "sku"]).stdout.lines().next().unwrap())
            .unwrap();
    assert_eq!(
        (&first["unit_of_measure"], &first["unit_price"], &first["lead_days"], first.get("discontinued")),
        (&json!("box"), &json!("18.5000"), &json!(7), None)
    );
    assert_eq!(
        place.schema(&["plan", &next]).stdout,
        "inventory 0.2.0 → 0.2.0\nthe tables are as they must be\n"
    );
    assert_eq!(place.schema(&["apply", &next]).stdout, "inventory 0.2.0 runs as before\n");

    let status = place.schema(&["status", "inventory", "--json"]).json();
    let own = &status["plugins"][0];
    assert_eq!((&own["version"], &own["current"]), (&json!("0.2.0"), &json!(true)));
    let item =
        own["entities"].as_array().unwrap().iter().find(|own| own["entity"] == "inventory.item").unwrap();
    assert_eq!(item["fields"]["unit_of_measure"]["column"], "unit");
    let kept: Vec<_> = own["archived"].as_array().unwrap().iter().map(|kept| &kept["kept_as"]).collect();
    assert_eq!(kept, ["discontinued__old1", "unit_price__old1"]);

    // Back to the version before, and what was put aside is there again.
    let back = place.schema(&[
        "apply",
        &plugin("inventory"),
        "--consent",
        "inventory.item.lead_days",
        "--consent",
        "inventory.item.unit_price",
    ]);
    assert_eq!(
        (back.code, back.stdout.as_str()),
        (Some(0), "inventory 0.1.0 runs in the place of 0.2.0\n"),
        "{back:?}"
    );
    let first: Value =
        serde_json::from_str(place.items(&["query", "--sort", "sku"]).stdout.lines().next().unwrap())
            .unwrap();
    assert_eq!(
        (&first["unit"], &first["unit_price"], &first["discontinued"]),
        (&json!("box"), &json!("18.50"), &json!(true))
    );

    let unsure = place.schema(&["purge", "inventory"]);
    assert_eq!(
        (unsure.code, unsure.error()),
        (Some(1), "what is purged is gone for good; give --confirm inventory if that is meant")
    );
    let purged = place.schema(&["purge", "inventory", "--confirm", "inventory"]);
    assert_eq!((purged.code, purged.stdout.lines().count()), (Some(0), 3), "{purged:?}");
    assert_eq!(
        place.schema(&["purge", "inventory", "--confirm", "inventory"]).stdout,
        "inventory has left nothing behind\n"
    );
}

fn records_in_the_way_are_listed_and_nothing_is_done(place: &Place) {
    place.with_inventory();
    let file = place.path("strict.component.wasm");
    let bytes = std::fs::read(plugin("inventory")).unwrap();
    let manifest = erp_plugin::validate::manifest_section(&bytes).unwrap().unwrap();
    let mut manifest: Value = serde_json::from_slice(manifest).unwrap();
    manifest["plugin"]["version"] = json!("0.3.0");
    manifest["entities"]["item"]["fields"]["unit"]["required"] = json!(true);
    manifest["entities"]["item"]["fields"]["name"]["max-length"] = json!(4);
    let manifest = erp_plugin::Manifest::from_json(manifest.to_string().as_bytes()).unwrap();
    std::fs::write(&file, erp_plugin_package::manifest::embed(&bytes, &manifest).unwrap()).unwrap();

    let planned = place.schema(&["plan", &file]);
    assert_eq!(planned.code, Some(1), "{planned:?}");
    for part in [
        "checked      inventory.item.name  max-length 200 → 4",
        "1 in acme do not fit:",
        "has 5 characters, 4 are allowed",
        "checked      inventory.item.unit  required",
        "is absent",
        "records are in the way: change them, and plan again",
    ] {
        assert!(planned.stdout.contains(part), "{part}: {}", planned.stdout);
    }
    let refused = place.schema(&["apply", &file, "--json"]);
    assert_eq!(
        (refused.code, &refused.json()["error"]["code"]),
        (Some(1), &json!("rejected")),
        "{refused:?}"
    );
    assert!(
        refused.error().contains("inventory.item.name: max-length 200 → 4 does not fit 1 records"),
        "{refused:?}"
    );
    let status = place.schema(&["status", "--json"]).json();
    assert_eq!(
        (&status["plugins"][0]["version"], &status["plugins"][0]["current"]),
        (&json!("0.1.0"), &json!(true))
    );
}

/// Killed after a while that grows, until once it is done before it is killed.
fn an_upgrade_that_is_killed_anywhere_is_finished_by_the_next(place: &Place) {
    place.with_inventory();
    let item = |number: u32| {
        format!(r#"{{"sku":"N{number:04}","name":"n","unit":"u{number}","unit_price":"{number}.25"}}"#)
    };
    let file = place.path("items.jsonl");
    std::fs::write(&file, (0..900).map(item).collect::<Vec<_>>().join("\n")).unwrap();
    assert_eq!(place.items(&["import", &file]).code, Some(0));
    let next = plugin("inventory-0.2");
    let consent = "inventory.item.discontinued";
    let mut killed = 0;
    for wait in (0..).map(|attempt| Duration::from_millis(20 + 15 * attempt)) {
        if !killed_after(wait, ["schema", "apply", &next, "--consent", consent, "--db", &place.database]) {
            break;
        }
        killed += 1;
        let status = place.schema(&["status", "--json"]);
        assert_eq!(status.code, Some(0), "{status:?}");
    }
    assert!(killed > 1, "{killed} times killed");
    let own = &place.schema(&["status", "--json"]).json()["plugins"][0];
    assert_eq!((&own["version"], &own["current"]), (&json!("0.2.0"), &json!(true)));
    let found =
        place.items(&["query", "--sort", "sku", "--limit", "1000", "--filter", r#"{"sku":{"$prefix":"N"}}"#]);
    let mut number = 0;
    for line in found.stdout.lines() {
        let item: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&item["unit_of_measure"], &item["unit_price"], &item["lead_days"]),
            (&json!(format!("u{number}")), &json!(format!("{number}.2500")), &json!(7))
        );
        number += 1;
    }
    assert_eq!(number, 900, "{}", found.stderr);
}

#[test]
fn looking_at_a_database_does_not_make_it() {
    let missing = Place::file();
    for arguments in
        [&["plan", &plugin("inventory")][..], &["status"], &["purge", "inventory", "--confirm", "inventory"]]
    {
        let done = missing.schema(arguments);
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.error().contains("there is no database"), "{done:?}");
        assert!(!missing.folder.path().join("erp.db").exists(), "{arguments:?} made it");
    }
    let done = erp_plugin(["schema", "apply", &plugin("inventory"), "--db", "sqlite::memory:"]);
    assert!(done.error().contains("a database in memory has no tables"), "{done:?}");
}
