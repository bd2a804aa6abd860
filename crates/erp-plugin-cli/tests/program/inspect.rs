//! `erp-plugin inspect`.

use std::path::Path;

use crate::program::{bare, erp_plugin, file, hostile, plugin, with_manifest};

#[test]
fn everything_that_a_plugin_says_of_itself_is_shown() {
    let done = erp_plugin(["inspect", &plugin("inventory")]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    for part in [
        "inventory 0.1.0, Inventory",
        "contract  0",
        "this host takes it",
        "erp:plugin/host-api  db-insert, db-query, db-update, event-publish, log-write",
        "erp:plugin/plugin-api  handle-event, init, on-tenant-created",
        "gets events\n  order.created\n  purchasing.order.received\n",
        "publish inventory.*",
        "entity inventory.item\n",
        "sku            string(40), required, unique",
        "unit_price     decimal(12,2)",
        "reason    enum(sale, receipt), required",
        "item      reference to inventory.item, required, indexed",
    ] {
        assert!(done.stdout.contains(part), "{part}: {}", done.stdout);
    }
}

#[test]
fn the_same_as_json() {
    let path = plugin("test-sample");
    let done = erp_plugin(["inspect", &path, "--json"]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    let json = done.json();
    assert_eq!(json["accepted"], true);
    assert_eq!(json["contract"], "0");
    assert_eq!(json["size"].as_u64(), Some(Path::new(&path).metadata().unwrap().len()));
    assert_eq!(json["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(json["imports"][0]["name"], "erp:plugin/host-api");
    assert_eq!(json["exports"][0]["functions"][0], "handle-event");
    assert_eq!(json["manifest"]["plugin"]["name"], "test-sample");
    assert_eq!(json["manifest"]["entities"]["note"]["fields"]["price"]["scale"], 2);
}

#[test]
fn a_component_that_would_be_refused_is_shown_with_the_reason() {
    let manifest = r#"{"manifest":1,"plugin":{"contract":"0","name":"shop","version":"1.0.0"}}"#;
    let component = with_manifest(&hostile("load-unknown-interface"), manifest);
    let (_folder, path) = file("shop.component.wasm", component);
    let done = erp_plugin(["inspect", &path, "--json"]);
    assert_eq!(done.code, Some(3));
    let json = done.json();
    assert_eq!(json["accepted"], false);
    assert_eq!(json["contract"], "0");
    assert_eq!(json["imports"][0]["name"], "acme:crm/customers");
    assert_eq!(json["manifest"]["plugin"]["name"], "shop");
    let message = json["error"]["message"].as_str().unwrap();
    assert!(message.contains("imports acme:crm/customers, which this host does not offer"), "{message}");

    let done = erp_plugin(["inspect", &path]);
    assert_eq!(done.code, Some(3));
    assert!(
        done.stdout.contains("this host refuses it: this component imports acme:crm/customers"),
        "{done:?}"
    );
    assert!(done.stdout.contains("acme:crm/customers  all"), "{done:?}");
}

#[test]
fn a_wrong_manifest_is_the_reason_and_the_rest_is_shown() {
    let (_folder, path) = file("shop.component.wasm", with_manifest(&bare(), r#"{"manifest":1}"#));
    let done = erp_plugin(["inspect", &path]);
    assert_eq!(done.code, Some(3));
    assert!(done.stdout.contains("refuses it: plugin.toml: plugin is missing"), "{done:?}");
    assert!(done.stdout.contains("erp:plugin/plugin-api  handle-event, init, on-tenant-created"), "{done:?}");
}

#[test]
fn a_bare_component_has_no_manifest() {
    let (_folder, path) = file("shop.component.wasm", bare());
    let done = erp_plugin(["inspect", &path]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.contains("no manifest\n  gets every event"), "{done:?}");
}

#[test]
fn what_is_no_component_gets_the_hosts_own_words() {
    let endless = hostile("07-type-compare");
    for (bytes, words) in [
        (b"\0asm\x01\0\0\0".as_slice(), "this is a core module"),
        (b"", "this is not WebAssembly"),
        (b"\0asm", "this component is cut off after 4 bytes"),
        (&endless, "are allowed; simplify it"),
    ] {
        let (_folder, path) = file("some.wasm", bytes);
        let done = erp_plugin(["inspect", &path, "--json"]);
        assert_eq!(done.code, Some(3), "{done:?}");
        assert!(done.error().starts_with(&path) && done.error().contains(words), "{done:?}");
        assert_eq!(done.json()["error"]["message"].as_str(), Some(done.error()));
    }
    let done = erp_plugin(["inspect", "no-such.wasm"]);
    assert_eq!(done.code, Some(1));
    assert!(done.error().starts_with("cannot read no-such.wasm"), "{done:?}");
}
