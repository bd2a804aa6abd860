//! Components that are none, and manifests that are wrong.

use erp_plugin::{ErrorCode, InstallOptions};
use erp_plugin_tests::guests;
use serde_json::{Value as Json, json};

use super::Standing;

const NOT_WASM: &str = "this is not WebAssembly: it does not begin with \\0asm; name a .component.wasm file";
const CORE_MODULE: &str = "this is a core module, and the host takes components; build it with `cargo xtask \
                           build-plugins`, or turn it into one with `wasm-tools component new MODULE.wasm -o \
                           PLUGIN.component.wasm`";

/// Asserts that each is refused with just this text, and nothing came of it.
async fn refused(cases: impl IntoIterator<Item = (Vec<u8>, String)>) {
    let standing = Standing::new().await;
    for (component, text) in cases {
        let failure = standing.platform.host.install(component, InstallOptions::default()).await.unwrap_err();
        assert_eq!((failure.to_string(), failure.code()), (text.clone(), ErrorCode::InvalidInput));
        standing.assert_unchanged(&text).await;
    }
    standing.serves_on().await;
}

/// A component that could be installed, with another manifest: this JSON, merged over a good one.
fn with(changes: &Json) -> Vec<u8> {
    let mut manifest =
        json!({ "manifest": 1, "plugin": { "name": "crm", "version": "1.0.0", "contract": "0" } });
    for (key, value) in changes.as_object().unwrap() {
        match (manifest.get_mut(key).and_then(Json::as_object_mut), value) {
            (Some(table), Json::Object(more)) => table.extend(more.clone()),
            _ => manifest[key] = value.clone(),
        }
    }
    guests::with_section(guests::hostile("12-compute"), manifest.to_string().as_bytes())
}

#[tokio::test]
async fn bytes_that_are_no_component() {
    let sample = guests::plugin("test-sample");
    let mut cases = vec![
        (Vec::new(), NOT_WASM.to_owned()),
        (b"PK\x03\x04".to_vec(), NOT_WASM.to_owned()),
        (b"(component)".to_vec(), NOT_WASM.to_owned()),
        (b"\0asm\x01\0\0\0".to_vec(), CORE_MODULE.to_owned()),
        (guests::hostile("load-core-module"), CORE_MODULE.to_owned()),
    ];
    for length in [1, 3, 4, 7, 9, 100, 5_000, sample.len() - 1] {
        let text = format!("this component is cut off after {length} bytes; copy or build it again");
        cases.push((sample[..length].to_vec(), text));
    }
    refused(cases).await;
}

#[tokio::test]
async fn components_that_are_too_large() {
    let small = with(&json!({ "plugin": { "max-size": 600 } }));
    let huge = [b"\0asm\x0d\0\x01\0".to_vec(), vec![0; 64 << 20]].concat();
    let cases = [(small, 600), (huge, 64 << 20)].map(|(component, allowed)| {
        let text = format!(
            "this component has {} bytes, {allowed} are allowed; build it in release mode for size, or ask for more with \
             `max-size` under [plugin] in plugin.toml",
            component.len()
        );
        (component, text)
    });
    refused(cases).await;
}

#[tokio::test]
async fn components_that_do_not_fit_the_host() {
    let named = |fixture: &str| {
        let manifest =
            json!({ "manifest": 1, "plugin": { "name": "crm", "version": "1.0.0", "contract": "0" } });
        guests::with_section(guests::hostile(fixture), manifest.to_string().as_bytes())
    };
    refused([
        (
            named("load-unknown-interface"),
            "this component imports acme:crm/customers, which this host does not offer; it offers erp:plugin/host-api"
                .to_owned(),
        ),
        (
            named("load-wasi"),
            "this component imports wasi:cli/environment@0.2.0, which this host does not offer; there is no WASI; build \
             for wasm32-unknown-unknown, not wasm32-wasip1 or -wasip2"
                .to_owned(),
        ),
        (
            named("load-no-exports"),
            "this component does not export erp:plugin/plugin-api, which contract 0 asks for; it exports nothing; \
             implement the world plugin-world"
                .to_owned(),
        ),
        (
            named("load-missing-function"),
            "this component does not export erp:plugin/plugin-api.handle-event, which contract 0 asks for; implement \
             every function of the interface"
                .to_owned(),
        ),
        (
            named("load-future-contract"),
            "this component imports erp:plugin/records@99.0.0, so it was built for contract 99.0.0, and this host serves \
             0; build it for that one, or update the host"
                .to_owned(),
        ),
        (
            named("load-mixed-contracts"),
            "this component mixes the contracts 0 and 1.0.0; build all of it for one".to_owned(),
        ),
    ])
    .await;
}

#[tokio::test]
async fn manifests_that_are_wrong() {
    let again = |component: Vec<u8>| guests::with_section(component, b"{}");
    let cases = [
        (
            guests::with_section(guests::hostile("12-compute"), b"{}"),
            "manifest is missing; write `manifest = 1` in the first line",
        ),
        (with(&json!({ "plugin": 7 })), "plugin must be a table, not 7"),
        (
            with(&json!({ "plugin": { "licence": "MIT" } })),
            "plugin.licence is not a known key; did you mean `license`?",
        ),
        (with(&json!({ "limit": {} })), "limit is not a known key; did you mean `limits`?"),
        (
            with(&json!({ "zzz": {} })),
            "zzz is not a known key; known here: capabilities, config, entities, hooks, jobs, limits, manifest, permissions, plugin, routes, subscriptions",
        ),
        (
            with(&json!({ "plugin": { "name": "CRM" } })),
            "plugin.name invalid plugin name \"CRM\": 2 to 24 of a-z 0-9 -, beginning with a letter, without a double or \
             trailing hyphen; sqlite, pg and what begins with sqlite- or pg- belong to the databases",
        ),
        (
            with(&json!({ "plugin": { "contract": "1.0" } })),
            concat!(
                "plugin.contract \"1.0\" is not served by erp-plugin ",
                env!("CARGO_PKG_VERSION"),
                "; it serves \"0\""
            ),
        ),
        (
            with(&json!({ "entities": { "order__line": { "fields": { "sku": { "type": "string" } } } } })),
            "entities.order__line invalid entity name \"order__line\": 1 to 30 of a-z 0-9 _, beginning with a letter, \
             without a double or trailing underscore",
        ),
        (
            with(&json!({ "entities": { "line": { "fields": { "Sku": { "type": "string" } } } } })),
            "entities.line.fields.Sku invalid field name \"Sku\": 1 to 30 of a-z 0-9 _, beginning with a letter, without a \
             double or trailing underscore",
        ),
        (
            with(&json!({ "entities": { "line": { "fields": { "version": { "type": "integer" } } } } })),
            "entities.line.fields.version is a name that the host keeps for itself; choose another",
        ),
    ];
    let mut cases: Vec<_> =
        cases.into_iter().map(|(component, text)| (component, format!("plugin.toml: {text}"))).collect();
    cases.push((
        again(with(&json!({}))),
        "this component is not valid here: it carries two manifests; build it again".to_owned(),
    ));
    refused(cases).await;
}

/// What this release cannot honour is never ignored.
#[tokio::test]
async fn manifests_that_ask_for_what_is_reserved() {
    let cases = [
        ("permissions", json!({ "permissions": {} })),
        ("hooks", json!({ "hooks": [] })),
        ("routes", json!({ "routes": [] })),
        ("capabilities.http", json!({ "capabilities": { "http": ["api.example.com"] } })),
        ("capabilities.files", json!({ "capabilities": { "files": true } })),
    ];
    refused(cases.map(|(key, changes)| {
        let text = format!(
            "plugin.toml: {key} needs erp-plugin ≥ 0.2; this is {}. Take it out, or update the host",
            env!("CARGO_PKG_VERSION")
        );
        (with(&changes), text)
    }))
    .await;
}

#[tokio::test]
async fn plugins_that_cannot_be_here() {
    let order = json!({ "type": "reference", "entity": "sales.order" });
    let mut cases = vec![(
        with(&json!({ "entities": { "line": { "fields": { "order": order } } } })),
        "invalid-input: field \"order\" of crm.line refers to sales.order, which is not installed; install sales first"
            .to_owned(),
    )];
    for name in ["core", "system", "plugin"] {
        cases.push((
            with(&json!({ "plugin": { "name": name } })),
            format!("invalid-input: the name {name} is the platform's own; choose another"),
        ));
    }
    cases.push((
        guests::hostile("12-compute"),
        "invalid-input: this component has no manifest and no name was given; name it, or add a plugin.toml and build it \
         again"
            .to_owned(),
    ));
    refused(cases).await;
}
