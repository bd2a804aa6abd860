//! `erp-plugin demo`, on a handful of orders: a whole year is run by the project's own tests.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::place::Place;
use crate::program::{Done, erp_plugin, plugins};

const PRODUCTS: &str = r#"{"sku":"A","name":"a","category":"c","unit":"u","unit_price":"1.00","on_hand":10,"reorder_level":5,"discontinued":false,"supplier":"s"}
{"sku":"B","name":"b","category":"c","unit":"u","unit_price":"2.50","on_hand":0,"reorder_level":0,"discontinued":true}
"#;

const ORDERS: &str = r#"{"id":"SO-1","customer":"X","lines":[{"sku":"A","quantity":4}]}
{"id":"SO-2","customer":"Y","lines":[{"sku":"A","quantity":1},{"sku":"A","quantity":1}]}

{"id":"SO-10","customer":"X","lines":[{"sku":"B","quantity":3}]}
"#;

fn data(products: &str, orders: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("products.jsonl"), products).unwrap();
    fs::write(folder.path().join("orders.jsonl"), orders).unwrap();
    folder
}

fn demo(data: &Path, more: &[&str]) -> Done {
    let (plugins, data) = (plugins().display().to_string(), data.display().to_string());
    erp_plugin(["demo", "--plugins", &plugins, "--data", &data].iter().chain(more))
}

#[test]
fn the_figures_are_what_the_orders_say() {
    let data = data(PRODUCTS, ORDERS);
    let done = demo(data.path(), &["--json"]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    let mut json = done.json();
    assert!(json.as_object_mut().unwrap().remove("seconds").unwrap().as_f64().unwrap() > 0.0);
    assert_eq!(
        json,
        json!({
            "tenants": {
                "northwind": {
                    "orders_reserved": 2, "orders_short": 1, "stock_movements_sale": 2,
                    "stock_movements_receipt": 2, "backorders": 1, "purchase_orders_received": 2,
                    "on_hand_total": 208,
                },
                "southridge": {
                    "orders_reserved": 0, "orders_short": 1, "stock_movements_sale": 0,
                    "stock_movements_receipt": 1, "backorders": 1, "purchase_orders_received": 1,
                    "on_hand_total": 113,
                },
            },
            "events": 21,
        })
    );
}

#[test]
fn many_hosts_answer_each_order_once_while_the_plugin_is_upgraded() {
    let Some(place) = Place::on_an_empty_database() else { return };
    let order = |number| format!(r#"{{"id":"SO-{number}","lines":[{{"sku":"A","quantity":1}}]}}"#) + "\n";
    let data = data(PRODUCTS, &(1..=30).map(order).collect::<String>());
    let url = &place.database;
    let done = demo(data.path(), &["--hosts", "2", "--json", "--db", url, "--migration-url", url]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    let json = done.json();
    // Ten pieces are there in each of the eight tenants.
    assert_eq!([&json["orders"], &json["reserved"], &json["short"]], [&json!(240), &json!(80), &json!(160)]);
    let delivered = json["delivered"].as_array().unwrap().iter().map(|own| own.as_u64().unwrap());
    assert_eq!((delivered.clone().count(), delivered.sum::<u64>()), (2, 240));
}

#[test]
fn the_table_shows_figures_throughput_and_what_was_refused() {
    let data = data(PRODUCTS, ORDERS);
    let database = data.path().join("demo.db").display().to_string();
    let done = demo(data.path(), &["--db", &database]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    for part in [
        "on_hand_total                      208         113",
        "21 events, ",
        "orders a minute",
        "ok another tenant's record: not-found: ",
        "ok an update with a stale version: conflict: ",
        "ok an endless loop: limit-exceeded: fuel ",
        "ok a clerk without inventory.item.update: permission-denied: ",
    ] {
        assert!(done.stdout.contains(part), "{part}: {}", done.stdout);
    }
    // Closed properly: everything is in the one file.
    assert!(Path::new(&database).is_file() && !data.path().join("demo.db-wal").exists());

    let again = demo(data.path(), &["--db", &database]);
    assert_eq!(again.code, Some(1));
    assert!(again.error().contains("is there already, and the demo needs a new database"), "{again:?}");
}

#[test]
fn bad_data_are_named_by_file_and_line() {
    let fails = |products: &str, orders: &str, words: &str| {
        let data = data(products, orders);
        let done = demo(data.path(), &["--json"]);
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.error().contains(words), "{words}: {done:?}");
        assert_eq!(done.json()["error"]["message"].as_str(), Some(done.error()));
    };
    fails(PRODUCTS, &format!("{ORDERS}{{oops"), "orders.jsonl:5: key must be a string, column 2");
    fails(&PRODUCTS.replace("\"name\":\"b\",", ""), ORDERS, "products.jsonl:2: missing field `name`");
    fails(
        PRODUCTS,
        &ORDERS.replace("SO-2", "two"),
        "orders.jsonl:2: the id \"two\" does not end in a number",
    );
    fails(PRODUCTS, &ORDERS.replace(":3}", ":-3}"), "orders.jsonl:4: the quantity of B is -3");
    fails(PRODUCTS, "", "orders.jsonl is empty");
    fails(&PRODUCTS.replace("2.50", "2.505"), ORDERS, "products.jsonl:2: field \"unit_price\" has 3 digits");
    fails(&PRODUCTS.replace("\"B\"", "\"A\""), ORDERS, "products.jsonl:2: ");
}

#[test]
fn what_is_missing_is_named_with_the_way_to_it() {
    let done = demo(Path::new("no-such-folder"), &[]);
    assert_eq!(done.code, Some(1));
    let expected = "cannot read no-such-folder/products.jsonl; --data takes a folder with products.jsonl and orders.jsonl";
    assert!(done.error().starts_with(expected), "{done:?}");

    let done = erp_plugin(["demo", "--plugins", "no-such-folder"]);
    assert_eq!(done.code, Some(1));
    let expected =
        "cannot read no-such-folder/inventory.component.wasm; build it with `cargo xtask build-plugins`";
    assert!(done.error().starts_with(expected), "{done:?}");
}

#[test]
fn the_demos_own_data_can_be_written_and_are_the_same_for_a_seed() {
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str, seed: &str| {
        let path = folder.path().join(name).display().to_string();
        let done = erp_plugin(["demo-data", &path, "--seed", seed]);
        assert_eq!(done.code, Some(0), "{done:?}");
        fs::read_to_string(folder.path().join(name).join("orders.jsonl")).unwrap()
    };
    let orders = written("a", "7");
    assert_eq!(orders.lines().count(), 830);
    assert_eq!(orders, written("b", "7"));
    assert_ne!(orders, written("c", "8"));
}
