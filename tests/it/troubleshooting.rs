//! Every entry of `docs/troubleshooting.md` is a text that really comes, and every text here has an entry.

use std::collections::BTreeSet;

use erp_plugin::{HostFailure, InstallOptions, Limits, Manifest};
use erp_plugin_tests::{Platform, guests};
use serde_json::json;

/// What the Rust compiler says, of which `v1_bindings_of_the_contract_fit_a_host_state_of_ones_own` shows the way out.
const BY_THE_COMPILER: &str = "cannot infer type of the type parameter D";

/// Asserts that installing the component ends in an error that has the text.
async fn refuses(platform: &Platform, component: Vec<u8>, text: &'static str) -> &'static str {
    let error = platform.try_install("hostile", component).await.unwrap_err().to_string();
    assert!(error.contains(text), "{error}\nhas no {text:?}");
    text
}

/// Asserts that an event ends in an error that has the text.
async fn fails(
    platform: &Platform,
    event: &str,
    payload: serde_json::Value,
    text: &'static str,
) -> &'static str {
    let report = platform.call("test-sample", event, &payload).await;
    let error = report.outcome.unwrap_err().to_string();
    assert!(error.contains(text), "{error}\nhas no {text:?}");
    text
}

async fn texts_of_loading() -> Vec<&'static str> {
    let platform = Platform::new().await;
    let sample = guests::plugin("test-sample");
    let mut texts = Vec::new();
    for (component, text) in [
        (guests::hostile("load-core-module"), "this is a core module, and the host takes components"),
        (b"(module)".to_vec(), "this is not WebAssembly: it does not begin with \\0asm"),
        (sample.iter().copied().take(5_000).collect(), "this component is cut off after"),
        (guests::hostile("07-core-instances"), "are allowed; simplify it"),
        (guests::hostile("08-memory64"), "which is off; build without"),
        (guests::hostile("06-memory-128-mib"), "of memory, 64 MiB are allowed"),
        (guests::hostile("load-wasi"), "there is no WASI; build for wasm32-unknown-unknown"),
        (guests::hostile("load-unknown-interface"), "which this host does not offer; it offers"),
        (
            guests::hostile("load-unknown-function"),
            "build the plugin against the contract that this host serves",
        ),
        (guests::hostile("load-no-exports"), "this component does not export erp:plugin/plugin-api"),
        (guests::hostile("load-missing-function"), "implement every function of the interface"),
        (guests::hostile("load-wrong-export-type"), "this component does not fit contract 0"),
    ] {
        texts.push(refuses(&platform, component, text).await);
    }

    // A custom section of three MiB: valid, and too large.
    let mut large = guests::hostile("11-unreachable");
    large.extend([0, 0x80, 0x80, 0xc0, 0x01]);
    large.extend(std::iter::repeat_n(0, 3 << 20));
    texts.push(refuses(&platform, large, "are allowed; build it in release mode for size").await);

    let nameless =
        platform.host.install(guests::brief(), InstallOptions::default()).await.unwrap_err().to_string();
    let text = "this component has no manifest and no name was given";
    assert!(nameless.contains(text), "{nameless}");
    texts.push(text);

    let strict = Platform::with(|builder| builder.bare_components(false)).await;
    texts.push(refuses(&strict, guests::brief(), "this host takes none without; add a plugin.toml").await);

    platform.try_install("test-sample", sample.clone()).await.unwrap();
    let manifest = erp_plugin_package::manifest::read(&sample).unwrap().unwrap();
    let mut other = erp_plugin_package::manifest::strip(&sample).unwrap();
    other.extend([0, 2, 1, b'x']);
    let other = erp_plugin_package::manifest::embed(&other, &manifest).unwrap();
    texts.push(refuses(&platform, other, "a version never changes; raise the version").await);
    texts
}

fn texts_of_manifests() -> Vec<&'static str> {
    let head = "manifest = 1\n[plugin]\nname = \"crm\"\nversion = \"1.0.0\"\ncontract = \"0\"\n";
    let texts =
        [("licence = \"MIT\"", "is not a known key; did you mean"), ("[[jobs]]", "needs erp-plugin ≥")];
    for (line, text) in texts {
        let error = Manifest::from_toml(&format!("{head}{line}\n")).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
    texts.map(|(_, text)| text).to_vec()
}

async fn texts_of_running() -> Result<Vec<&'static str>, HostFailure> {
    let sample = guests::plugin("test-sample");
    let platform = Platform::new().await;
    platform.enable("test-sample", sample.clone()).await;
    let mut texts = vec![
        fails(&platform, "sample.loop", json!({}), "fuel (instructions, and the host's work for the guest")
            .await,
        fails(&platform, "sample.trap", json!({}), "the plugin gave up (panic or").await,
    ];
    let hurried = Platform::with(|builder| {
        builder.limits(Limits { fuel: u64::MAX >> 2, deadline_ms: 500, ..Limits::default() })
    })
    .await;
    hurried.enable("test-sample", sample).await;
    let much = json!({ "mebibytes": 200 });
    texts.push(fails(&hurried, "sample.allocate", much, "memory (all linear memories together)").await);
    texts.push(
        fails(&hurried, "sample.loop", json!({}), "deadline (wall-clock time, the host's work included)")
            .await,
    );
    Ok(texts)
}

#[tokio::test]
async fn every_entry_is_a_text_that_comes_and_every_text_has_an_entry() -> Result<(), HostFailure> {
    let document = include_str!("../../docs/troubleshooting.md");
    let entries: BTreeSet<&str> =
        document.lines().filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`')).collect();
    let mut produced = BTreeSet::from([BY_THE_COMPILER]);
    produced.extend(texts_of_loading().await);
    produced.extend(texts_of_manifests());
    produced.extend(texts_of_running().await?);
    assert_eq!(entries, produced);
    Ok(())
}
