use super::*;
use crate::schema::FieldType;

const GOOD: &str = r#"
manifest = 1
[plugin]
name = "inventory"
version = "0.1.0"
title.en = "Inventory"
title.zh = "库存"
contract = "0"
[capabilities]
entities = ["purchasing.purchase_order:read"]
events-publish = ["inventory.*"]
[[subscriptions]]
event = "order.created"
[entities.item]
title.en = "Item"
display = "sku"
[entities.item.fields.sku]
type = "string"
required = true
unique = true
max-length = 20
[entities.item.fields.price]
type = "decimal"
precision = 12
scale = 2
default = "0.00"
min = "0"
[entities.move.fields.item]
type = "reference"
entity = "item"
[config.default_category]
type = "string"
default = "general"
[limits]
rows-written = 200
"#;

#[test]
fn a_manifest_reads_the_same_from_toml_and_from_canonical_json() {
    let manifest = Manifest::from_toml(GOOD).unwrap();
    assert_eq!(manifest.name.as_str(), "inventory");
    assert_eq!(manifest.entities.len(), 2);
    let price = manifest.entities[0].field("price").unwrap();
    assert_eq!(price.field_type, FieldType::Decimal { precision: 12, scale: 2 });
    assert_eq!(price.default, crate::Value::Decimal(0));
    assert_eq!(manifest.limits, [(LimitKind::RowsWritten, 200)]);
    assert_eq!(Manifest::from_json(&manifest.to_canonical_json()).unwrap(), manifest);
}

/// Changes one line of the good manifest and returns the error.
fn refused(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    Manifest::from_toml(&GOOD.replacen(from, to, 1)).unwrap_err().to_string()
}

#[test]
fn every_mistake_names_its_key_and_the_way_out() {
    for (from, to, expected) in [
        (
            "required = true",
            "requierd = true",
            "entities.item.fields.sku.requierd is not a known key; did you mean `required`?",
        ),
        ("manifest = 1", "", "manifest is missing; write `manifest = 1`"),
        ("manifest = 1", "manifest = 2", "manifest must be a whole number from 1 to 1, not 2"),
        ("contract = \"0\"", "contract = \"7\"", "plugin.contract \"7\" is not served"),
        ("contract = \"0\"", "", "plugin.contract is missing"),
        ("name = \"inventory\"", "name = \"Inventory\"", "plugin.name invalid plugin name \"Inventory\""),
        ("version = \"0.1.0\"", "version = \"1\"", "plugin.version must be a version such as 1.2.0"),
        (
            "type = \"string\"",
            "type = \"varchar\"",
            "entities.item.fields.sku.type is \"varchar\"; it must be string, text",
        ),
        ("scale = 2", "", "entities.item.fields.price.type is decimal, which needs `precision` and `scale`"),
        ("scale = 2", "scale = 13", "entities.item.fields.price.scale is 13, more than the precision 12"),
        ("max-length = 20", "max-length = 9000", "a string has at most 500, use text"),
        ("default = \"0.00\"", "default = \"x\"", "entities.item.fields.price.default must be a decimal"),
        ("fields.sku]", "fields.tenant_id]", "entities.item.fields.tenant_id is a name that the host keeps"),
        ("entity = \"item\"", "", "entities.move.fields.item.entity is missing"),
        ("display = \"sku\"", "display = \"skew\"", "entities.item.display names \"skew\""),
        ("event = \"order.created\"", "event = \"order\"", "subscriptions[0].event is \"order\""),
        (
            "event = \"order.created\"",
            "event = \"order.created\"\nretry = {}",
            "subscriptions[0].retry needs erp-plugin ≥ 0.2",
        ),
        (":read\"", "\"", "capabilities.entities has \"purchasing.purchase_order\": no access is named"),
        ("rows-written = 200", "rows = 200", "limits.rows is not a known key; did you mean `rows-"),
        ("default = \"general\"", "default = 7", "config.default_category.default must be a string, not 7"),
        ("[limits]", "[[jobs]]\nname = \"x\"\n[limits]", "jobs needs erp-plugin ≥ 0.2"),
        ("manifest = 1", "manifest = 1\nmanifest = 1", "is not TOML"),
    ] {
        let error = refused(from, to);
        assert!(error.contains(expected), "{to:?}\n  gave {error}\n  not  {expected}");
    }
}
