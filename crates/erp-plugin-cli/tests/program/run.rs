//! `erp-plugin run`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use crate::program::{Done, bare, erp_plugin, file, hostile, plugin, with_manifest};

/// Runs a component on an event, with further arguments.
fn run(component: &str, event: &str, payload: &str, more: &[&str]) -> Done {
    let arguments = ["run", component, "--event", event, "--payload", payload, "--tenant", "acme"];
    erp_plugin(arguments.iter().chain(more))
}

fn sample(event: &str, payload: &str, more: &[&str]) -> Done {
    run(&plugin("test-sample"), event, payload, more)
}

#[test]
fn what_a_handler_did_is_shown() {
    let done = sample("sample.insert", r#"{"data":{"title":"hello"}}"#, &[]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    for part in [
        "test-sample 0.1.0, sample.insert in acme: ok",
        "insert test-sample.note 0",
        "\"title\":\"hello\"",
        "fuel ",
    ] {
        assert!(done.stdout.contains(part), "{part}: {done:?}");
    }
}

#[test]
fn with_json_standard_output_holds_one_object_and_nothing_else() {
    let payload = r#"{"steps":[
        {"event":"sample.insert","payload":{"data":{"title":"kept"}}},
        {"event":"sample.publish","payload":{"payload":{"a":1}}}]}"#;
    let done = sample("sample.script", payload, &["--json"]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    let json = done.json();
    assert_eq!(json["ok"], true);
    assert_eq!(json["error"], serde_json::Value::Null);
    assert_eq!(json["records"][0]["verb"], "insert");
    assert_eq!(json["records"][0]["entity"], "test-sample.note");
    assert_eq!(json["records"][0]["record"]["title"], "kept");
    assert_eq!(json["records"][0]["record"]["tenant_id"], "acme");
    assert_eq!(json["events"][0]["type"], "test-sample.published");
    assert_eq!(json["events"][0]["payload"]["a"], 1);
    assert_eq!(json["log"].as_array().unwrap().len(), 2);
    for used in ["fuel", "micros", "peak_memory", "host_calls"] {
        assert!(json["usage"][used].as_u64().unwrap() > 0, "{used}");
    }
}

#[test]
fn a_handlers_error_is_told_and_nothing_is_kept() {
    let done = sample("sample.fail", r#"{"message":"conflict: not now"}"#, &["--json"]);
    assert_eq!(done.code, Some(4));
    assert_eq!(done.error(), "not now");
    let json = done.json();
    assert_eq!(json["ok"], false);
    assert_eq!(json["error"]["code"], "conflict");
    assert_eq!(json["error"]["message"], "not now");
    assert_eq!((json["records"].as_array().unwrap().len(), json["events"].as_array().unwrap().len()), (0, 0));
}

#[test]
fn a_trap_is_told_apart_from_an_error_and_names_the_guests_functions() {
    let done = sample("sample.trap", "{}", &["--json"]);
    assert_eq!(done.code, Some(5), "{done:?}");
    assert!(done.error().contains("the plugin gave up"), "{done:?}");
    let json = done.json();
    assert_eq!(json["error"]["code"], "internal");
    let detail = json["error"]["detail"].as_str().unwrap();
    assert!(detail.contains("erp_plugin_test_sample::actions::perform < "), "{detail}");
}

#[test]
fn limits_are_taken_from_the_command_line() {
    let stopped = |event: &str, payload: &str, more: &[&str], limit: &str| {
        let done = sample(event, payload, &[more, &["--json"]].concat());
        assert_eq!(done.code, Some(5), "{done:?}");
        assert_eq!(done.json()["error"]["code"], "limit-exceeded", "{done:?}");
        assert!(done.error().starts_with(limit), "{done:?}");
    };
    stopped("sample.loop", "{}", &["--fuel", "100000"], "fuel (");
    stopped("sample.loop", "{}", &["--fuel", "100000000000", "--deadline", "200ms"], "deadline (");
    let allocate = r#"{"mebibytes":24}"#;
    let much = ["--fuel", "1000000000"];
    stopped("sample.allocate", allocate, &[much[0], much[1], "--memory", "16MiB"], "memory (");
    let more = sample("sample.allocate", r#"{"mebibytes":80}"#, &[much[0], much[1], "--memory", "128MiB"]);
    assert_eq!(more.code, Some(0), "{more:?}");
}

#[test]
fn a_plugin_gets_the_limits_that_it_asks_for_up_to_the_hosts() {
    let fuel = |asked: u64| {
        let limits = format!("}},\"limits\":{{\"fuel\":{asked}}}}}");
        let (_folder, path) = file("shop.wasm", with_manifest(&bare(), &MANIFEST.replace("}}", &limits)));
        run(&path, "a.b", "{}", &["--fuel", "2000000"])
    };
    let less = fuel(1_000_000);
    assert!(less.stdout.contains(" of 1,000,000, ") && less.stderr.is_empty(), "{less:?}");
    let more = fuel(3_000_000);
    assert!(more.stdout.contains(" of 2,000,000, "), "{more:?}");
    assert_eq!(more.stderr, "note: asks for fuel 3000000, gets 2000000\n");
}

#[test]
fn a_user_acts_with_the_roles_and_permissions_given() {
    let user = ["--user", "ada", "--role", "sales", "--permission", "crm.*", "--json"];
    let whoami = sample("sample.whoami", "{}", &user).json();
    let message = whoami["log"][0]["message"].as_str().unwrap();
    assert!(message.contains(r#""id":"ada""#) && message.contains(r#""roles":["sales"]"#), "{message}");
    for (permission, allowed) in [("crm.lead.read", "true"), ("stock.item.read", "false")] {
        let payload = format!(r#"{{"permission":"{permission}"}}"#);
        let json = sample("sample.permission", &payload, &user).json();
        assert_eq!(json["log"][0]["message"], format!("sample.permission {allowed}"));
    }
}

#[test]
fn configuration_is_read_from_json_and_toml() {
    for text in ["greeting = \"moin\"", r#"{"greeting":"moin"}"#] {
        let (_folder, config) = file("config", text);
        let done = sample("sample.config", r#"{"key":"greeting"}"#, &["--config", &config, "--json"]);
        assert_eq!(done.json()["log"][0]["message"], r#"sample.config "moin""#);
    }
    let (_folder, config) = file("config", "greting = \"moin\"");
    let done = sample("sample.log", r#"{"message":"x"}"#, &["--config", &config]);
    assert_eq!(done.code, Some(1));
    let known = "it has: fail_init, fail_upgraded, greeting, note_init";
    assert_eq!(done.error(), format!(r#"test-sample has no configuration "greting"; {known}"#));
    let (_folder, config) = file("config", "greeting = ");
    let done = sample("sample.log", r#"{"message":"x"}"#, &["--config", &config]);
    assert!(done.error().contains("config is not TOML, nor a JSON object: line 1"), "{done:?}");
}

#[test]
fn a_database_lasts_from_one_run_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("erp.db").display().to_string();
    let insert = || sample("sample.insert", r#"{"data":{"title":"a"}}"#, &["--db", &database]);
    assert_eq!((insert().code, insert().code), (Some(0), Some(0)));
    let count = sample("sample.query", r#"{"count":true}"#, &["--db", &database, "--json"]).json();
    let message = count["log"][0]["message"].as_str().unwrap();
    assert!(message.contains(r#""count":2"#), "{message}");
}

#[test]
fn text_that_a_guest_chose_cannot_move_a_terminals_cursor() {
    let done = sample("sample.insert", "{\"data\":{\"title\":\"\u{9b}31m\u{202e}\"}}", &[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(!done.stdout.contains(['\u{9b}', '\u{202e}', '\u{1b}']), "{done:?}");
}

#[test]
fn a_payload_must_be_json() {
    let (_folder, path) = file("order.json", "{\"a\": }");
    for (payload, place) in [("{oops", "--payload"), (format!("@{path}").as_str(), path.as_str())] {
        let done = sample("sample.log", payload, &["--json"]);
        assert_eq!(done.code, Some(1));
        assert!(done.error().starts_with(&format!("{place} is not JSON: ")), "{done:?}");
        assert!(done.error().ends_with("give --payload JSON or --payload @FILE"), "{done:?}");
        assert_eq!(done.json()["error"]["code"], "invalid-input");
    }
    let done = sample("sample.log", "@no-such-file", &[]);
    assert!(done.error().starts_with("cannot read no-such-file"), "{done:?}");
}

#[test]
fn what_is_no_component_is_refused_with_the_way_out() {
    let component = fs::read(plugin("test-sample")).unwrap();
    let refused = |bytes: &[u8], words: &str| {
        let (_folder, path) = file("some.component.wasm", bytes);
        let done = run(&path, "a.b", "{}", &["--json"]);
        assert_eq!(done.code, Some(3), "{done:?}");
        assert!(done.error().starts_with(&path) && done.error().contains(words), "{done:?}");
        assert_eq!(done.json()["error"]["code"], "invalid-input");
    };
    refused(b"\0asm\x01\0\0\0", "this is a core module, and the host takes components; build it with");
    refused(b"PK\x03\x04", "this is not WebAssembly");
    refused(&component[..5000], "this component is cut off after 5000 bytes");
    refused(&hostile("load-unknown-interface"), "imports acme:crm/customers, which this host does not offer");
    refused(
        &with_manifest(&wat::parse_str("(component)").unwrap(), MANIFEST),
        "does not export erp:plugin/plugin-api",
    );
    refused(&with_manifest(&bare(), "{oops"), "is not JSON in the component");
    let unknown_key = MANIFEST.replace("}}", "},\"entitis\":{}}");
    refused(&with_manifest(&bare(), &unknown_key), "did you mean `entities`?");
    let reserved = MANIFEST.replace("}}", "},\"hooks\":[]}");
    refused(&with_manifest(&bare(), &reserved), "needs erp-plugin");
    let misnamed = MANIFEST.replace("shop", "Shop");
    refused(&with_manifest(&bare(), &misnamed), "plugin.name invalid plugin name \"Shop\"");
}

const MANIFEST: &str = r#"{"manifest":1,"plugin":{"contract":"0","name":"shop","version":"1.0.0"}}"#;

#[test]
fn a_missing_component_is_named() {
    let done = run("no-such.component.wasm", "a.b", "{}", &["--json"]);
    assert_eq!(done.code, Some(1));
    assert!(done.error().starts_with("cannot read no-such.component.wasm"), "{done:?}");
    assert_eq!(done.json()["error"]["code"], "not-found");
}

#[test]
fn a_bare_component_is_called_after_its_file_and_what_that_means_is_said() {
    let (_folder, path) = file("erp_plugin_shop.component.wasm", bare());
    let done = run(&path, "order.created", "{}", &[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.starts_with("shop 0.0.0, order.created in acme: ok"), "{done:?}");
    assert!(done.stderr.starts_with("note: shop has no manifest: it receives every event"), "{done:?}");
    let notes = run(&path, "order.created", "{}", &["--json"]).json()["notes"].clone();
    assert_eq!(notes.as_array().unwrap().len(), 1);

    let (_folder, path) = file("01-shop.wasm", bare());
    let done = run(&path, "order.created", "{}", &["--json"]);
    assert_eq!(done.code, Some(3));
    assert!(done.error().contains("give one with --name"), "{done:?}");
    assert_eq!(run(&path, "order.created", "{}", &["--name", "shop"]).code, Some(0));
}

#[test]
fn a_name_that_the_manifest_contradicts_is_refused() {
    let done = sample("sample.log", r#"{"message":"x"}"#, &["--name", "crm"]);
    assert_eq!(done.code, Some(1));
    assert!(
        done.error().ends_with("the manifest says that this is test-sample, not crm; leave the name out")
    );
}

#[test]
fn a_database_that_cannot_be_used_is_left_as_it_was() {
    let (foreign, newer) = ("no database at all".as_bytes(), include_bytes!("newer.sqlite").as_slice());
    for (bytes, words) in [
        (foreign, "this is no database of erp-plugin; name another file, or a new one"),
        (newer, "the database was made by a newer erp-plugin; update the host"),
    ] {
        let (_folder, path) = file("erp.db", bytes);
        let done = sample("sample.log", r#"{"message":"x"}"#, &["--db", &path, "--json"]);
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.error().contains(words), "{done:?}");
        assert_eq!(done.json()["error"]["code"], "internal");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("erp.db");
    let database = path.display().to_string();
    let log = || sample("sample.log", r#"{"message":"x"}"#, &["--db", &database]);
    assert_eq!(log().code, Some(0));
    let before = fs::read(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    let done = log();
    assert_eq!(done.code, Some(1));
    assert!(done.error().contains("the database is read-only; check its permissions"), "{done:?}");
    assert_eq!(fs::read(&path).unwrap(), before);

    let done = sample("sample.log", r#"{"message":"x"}"#, &["--db", "no-such-folder/erp.db"]);
    assert!(done.error().contains("no-such-folder: is no folder; make it first"), "{done:?}");
}

#[test]
fn a_wrong_command_line_says_what_it_must_be() {
    for (arguments, words) in [
        (["--event", "order", "--tenant", "acme"], "2 to 8 segments"),
        (["--event", "a.b", "--tenant", "a/b"], "invalid tenant id"),
        (["--event", "a.b", "--role", "x"], "--user <U>"),
        (["--event", "a.b", "--memory", "64MB"], "it must be a size such as 64MiB"),
        (["--event", "a.b", "--memory", "5GiB"], "a guest has at most 4GiB"),
        (["--event", "a.b", "--deadline", "2"], "it must be a length of time from 1ms to 1d"),
        (["--event", "a.b", "--fuel", "0"], "it must be a whole number, at least 1"),
    ] {
        let done = erp_plugin(["run", "x.wasm", "--payload", "{}"].iter().chain(&arguments));
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{done:?}");
        assert!(done.stderr.contains(words), "{words}: {done:?}");
    }
}

#[test]
fn a_code_cache_that_cannot_be_had_is_a_warning() {
    let (_folder, not_a_folder) = file("cache", "");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_erp-plugin"))
        .args(["run", &plugin("test-sample"), "--event", "sample.log", "--payload", r#"{"message":"x"}"#])
        .args(["--tenant", "acme"])
        .env("XDG_CACHE_HOME", &not_a_folder)
        .env("XDG_STATE_HOME", &not_a_folder)
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.starts_with("warning: compiled code is not kept: "), "{stderr}");
}
