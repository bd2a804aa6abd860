//! Every entry of `docs/troubleshooting.md` is a text that really comes, and every text here has an entry.

use std::collections::BTreeSet;

use erp_plugin::{
    HostFailure, InstallOptions, Limits, Manifest, OpenError, StorageError, TenantId, portable,
};
use erp_plugin_storage::ErrorKind;
use erp_plugin_tests::{Database, Platform, TENANT, guests};
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
    texts.push(refuses(&platform, other, "is installed with other bytes, and a version never changes").await);
    let newer = guests::with_manifest(&guests::hostile("12-compute"), "test-sample", "");
    texts.push(refuses(&platform, newer, "cannot become those of").await);

    for (component, text) in [
        (guests::hostile("load-future-contract"), "so it was built for contract"),
        (guests::hostile("load-mixed-contracts"), "this component mixes the contracts"),
        (guests::with_manifest(&guests::brief(), "core", ""), "is the platform's own; choose another"),
        (guests::hostile("01-endless-init"), "init failed:"),
    ] {
        texts.push(refuses(&platform, component, text).await);
    }
    texts
}

async fn texts_of_opening() -> Vec<&'static str> {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let url = |name: &str| format!("sqlite:{}", file(name).display());

    std::fs::write(file("foreign.db"), "a letter").unwrap();
    drop(erp_plugin::storage(&url("newer.db")).await.unwrap());
    let newer = rusqlite::Connection::open(file("newer.db")).unwrap();
    newer.execute("UPDATE system_schema SET version = 1000, oldest_host = 1000", ()).unwrap();
    drop(newer);
    drop(erp_plugin::storage(&url("damaged.db")).await.unwrap());
    let whole = std::fs::read(file("damaged.db")).unwrap();
    std::fs::write(file("damaged.db"), &whole[..whole.len() / 2]).unwrap();

    let mut texts = Vec::new();
    for (url, text) in [
        (url("foreign.db"), "this is no database of erp-plugin; name another file, or a new one"),
        (url("newer.db"), "the database was made by a newer erp-plugin; update the host"),
        (url("damaged.db"), "the database is damaged; restore it from a backup"),
        (url("missing/erp.db"), "reading or writing the database failed"),
        (
            "oracle:erp".to_owned(),
            "is no storage URL; write sqlite:FILE, sqlite::memory: or postgres://HOST/DATABASE",
        ),
    ] {
        let error = erp_plugin::storage(&url).await.err().unwrap().to_string();
        assert!(error.contains(text), "{error}\nhas no {text:?}");
        texts.push(text);
    }
    // These take a server, or a build with one backend alone; the tests of those see them come.
    let left_out = OpenError::LeftOut { backend: "Postgres", feature: "postgres" }.to_string();
    let of = |kind| StorageError::new(kind, "open").to_string();
    for (error, text) in [
        (
            of(ErrorKind::NeedsMigration),
            "the database lacks tables of this release; run erp-plugin db init, or db migrate if it has older ones",
        ),
        (
            of(ErrorKind::OwnerMissing),
            "making tables takes the database's owner, and no migration URL was given; give one",
        ),
        (left_out, "this program was built without Postgres; build it again with --features postgres"),
    ] {
        assert!(error.contains(text), "{error}\nhas no {text:?}");
        texts.push(text);
    }
    texts
}

fn texts_of_manifests() -> Vec<&'static str> {
    let head = "manifest = 1\n[plugin]\nname = \"crm\"\nversion = \"1.0.0\"\ncontract = \"0\"\n";
    let texts =
        [("licence = \"MIT\"", "is not a known key; did you mean"), ("[[hooks]]", "needs erp-plugin ≥")];
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

async fn texts_of_leaving() -> Vec<&'static str> {
    let (folder, database) = (tempfile::tempdir().unwrap(), Database::lasting().await);
    let platform = Platform::on(database.url(), |builder| builder).await;
    platform.enable("", guests::plugin("inventory")).await;
    let needs = guests::changed("purchasing", "0.1.1", |manifest| {
        manifest["capabilities"]["entities"] = json!(["inventory.item:read"]);
    });
    platform.host.install(needs, InstallOptions::default()).await.unwrap();
    let error = platform.host.archive("inventory").await.unwrap_err().to_string();
    assert!(error.contains("others need"), "{error}");

    let (tenant, export) = (TenantId::parse(TENANT).unwrap(), folder.path().join("export"));
    let own = erp_plugin::transfer(database.url()).await.unwrap();
    let at = chrono::DateTime::UNIX_EPOCH;
    portable::export_tenant(&*own, &tenant, at, &export, &mut |_, _| {}).await.unwrap();
    let other = erp_plugin::transfer("sqlite::memory:").await.unwrap();
    let import = async || {
        let imported = portable::import_tenant(&*other, &export, None, &mut |_, _| {}).await;
        imported.unwrap_err().to_string()
    };
    let error = import().await;
    assert!(error.contains("the export was made with"), "{error}");
    std::fs::write(export.join("activations.jsonl"), "{}\n").unwrap();
    let error = import().await;
    assert!(error.contains("is not as it was exported"), "{error}");
    vec!["others need", "the export was made with", "is not as it was exported"]
}

#[tokio::test]
async fn every_entry_is_a_text_that_comes_and_every_text_has_an_entry() -> Result<(), HostFailure> {
    let document = include_str!("../../docs/troubleshooting.md");
    let entries: BTreeSet<&str> =
        document.lines().filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`')).collect();
    let mut produced = BTreeSet::from([BY_THE_COMPILER]);
    produced.extend(texts_of_loading().await);
    produced.extend(texts_of_manifests());
    produced.extend(texts_of_opening().await);
    produced.extend(texts_of_running().await?);
    produced.extend(texts_of_leaving().await);
    assert_eq!(entries, produced);
    Ok(())
}

/// The brief's questions, by the words in which they are asked.
#[test]
fn the_briefs_five_questions_can_be_found() {
    let document = include_str!("../../docs/troubleshooting.md");
    for question in [
        "attempted to parse a wasm module with a component parser",
        "cannot infer type of the type parameter D",
        "wasm trap: interrupt",
        "如何调试",
        "如何限制插件内存",
    ] {
        assert!(document.contains(question), "{question}");
    }
}
