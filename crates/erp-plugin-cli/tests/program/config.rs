//! `erp-plugin.toml`: which of several values is in force, what is refused, and what is never shown.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{Done, erp_plugin_in};

fn folder(settings: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("erp-plugin.toml"), settings).unwrap();
    folder
}

/// Value and source of a setting.
fn shown(folder: &Path, variables: &[(&str, &str)], flags: &[&str], key: &str) -> (Value, String) {
    let arguments = [&["config", "show", "--json"], flags].concat();
    let all = erp_plugin_in(folder, variables, &arguments).json();
    let found = all["settings"].as_array().unwrap().iter().find(|own| own["key"] == key).unwrap();
    (found["value"].clone(), found["source"].as_str().unwrap().to_owned())
}

#[test]
fn a_flag_comes_before_a_variable_before_the_file_before_the_default() {
    let folder = folder("[worker]\n\nstreams = 7\n");
    let here = folder.path();
    let variable: &[(&str, &str)] = &[("ERP_PLUGIN_WORKER_STREAMS", "8")];
    let value = |number: u64, source: &str| (json!(number), source.to_owned());
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(shown(empty.path(), &[], &[], "worker.streams"), value(32, "default"));
    assert_eq!(shown(here, &[], &[], "worker.streams"), value(7, "erp-plugin.toml:3"));
    assert_eq!(
        shown(here, variable, &[], "worker.streams"),
        value(8, "environment ERP_PLUGIN_WORKER_STREAMS")
    );
    assert_eq!(shown(here, variable, &["--streams", "9"], "worker.streams"), value(9, "flag --streams"));
    // One that is set to nothing is not set.
    let nothing: &[(&str, &str)] = &[("ERP_PLUGIN_WORKER_STREAMS", "")];
    assert_eq!(shown(here, nothing, &[], "worker.streams"), value(7, "erp-plugin.toml:3"));
}

#[test]
fn the_file_is_the_one_that_is_named_or_that_the_environment_names_or_the_one_here() {
    let here = folder("[worker]\nbatch = 1\n");
    let named = here.path().join("named.toml").display().to_string();
    let by_variable = here.path().join("variable.toml").display().to_string();
    fs::write(&named, "[worker]\nbatch = 2\n").unwrap();
    fs::write(&by_variable, "[worker]\nbatch = 3\n").unwrap();
    let batch = |variables: &[(&str, &str)], flags: &[&str]| {
        shown(here.path(), variables, flags, "worker.batch").0.as_u64().unwrap()
    };
    let variables: &[(&str, &str)] = &[("ERP_PLUGIN_SETTINGS", &by_variable)];
    assert_eq!(batch(&[], &[]), 1);
    assert_eq!(batch(variables, &[]), 3);
    assert_eq!(batch(variables, &["--settings", &named]), 2);
    // One that is named must be there.
    let done = erp_plugin_in(here.path(), &[], &["config", "show", "--settings", "nowhere.toml"]);
    assert_eq!(done.code, Some(1));
    assert!(done.error().starts_with("the settings file nowhere.toml cannot be read"), "{done:?}");
}

#[test]
fn a_command_works_by_the_file() {
    let folder = folder("database = \"from-file.db\"\n[limits]\nfuel = 1000\n[caps]\nfuel = 1000\n");
    let run = |arguments: &[&str]| erp_plugin_in(folder.path(), &[], arguments);
    assert_eq!(run(&["tenants", "create", "acme"]).stdout, "acme is made\n");
    assert!(folder.path().join("from-file.db").is_file());
    // The database is seen from the file, wherever the program runs.
    let file = folder.path().join("erp-plugin.toml").display().to_string();
    let elsewhere = tempfile::tempdir().unwrap();
    let listed = erp_plugin_in(elsewhere.path(), &[], &["tenants", "list", "--settings", &file]);
    assert_eq!(listed.stdout, "tenant  state\nacme    active\n");
    let call = |flags: &[&str]| {
        let plugin = crate::program::plugin("test-sample");
        let words =
            ["run", &plugin, "--event", "sample.log", "--payload", r#"{"message":"m"}"#, "--tenant", "acme"];
        run(&[&words, flags].concat())
    };
    let starved = call(&[]);
    assert_ne!(starved.code, Some(0));
    assert!(starved.stderr.contains("fuel"), "{starved:?}");
    // A flag is a limit and a cap for this command.
    assert_eq!(call(&["--fuel", "10000000"]).code, Some(0));
}

#[test]
fn limits_of_tenants_and_retries_reach_the_host() {
    let folder = folder("database = \"erp.db\"\n[tenant-limits]\nfuel-per-minute = 1\n");
    let plugin = crate::program::plugin("test-sample");
    let run = |arguments: &[&str]| erp_plugin_in(folder.path(), &[], arguments);
    let without = ["--settings", "none.toml"];
    fs::write(folder.path().join("none.toml"), "database = \"erp.db\"\n").unwrap();
    let installed = run(&[&["plugins", "install", &plugin], &without[..]].concat());
    assert_eq!(installed.code, Some(0), "{installed:?}");
    for tenant in ["acme", "globex"] {
        assert_eq!(run(&["tenants", "create", tenant]).code, Some(0));
    }
    // The first call uses up the minute, so that the second one is told to come back.
    let done = run(&["plugins", "enable", "test-sample", "--tenant", "acme"]);
    assert!(done.code == Some(1) && done.error().contains("1 are allowed in a minute"), "{done:?}");
    assert_eq!(
        run(&[&["plugins", "enable", "test-sample", "--tenant", "globex"], &without[..]].concat()).code,
        Some(0)
    );

    let publish = ["events", "publish", "sample.fail", "{}", "--tenant", "globex"];
    let worked_off = |flags: &[&str]| {
        assert_eq!(run(&publish).code, Some(0));
        run(&[&["host", "run", "--until-done", "--json"], &without[..], flags].concat()).json()
    };
    assert_eq!(worked_off(&[])["failed"], json!(4));
    assert_eq!(worked_off(&["--max-retries", "1"])["failed"], json!(2));
    assert_eq!(worked_off(&["--max-retries", "0"])["failed"], json!(1));
}

#[test]
fn everything_that_is_wrong_with_a_file_is_said_at_once() {
    let folder = folder("databse = \"erp.db\"\n[worker]\nlease = \"soon\"\nstreams = 0\n[retrys]\n");
    let run = |arguments: &[&str]| erp_plugin_in(folder.path(), &[], arguments);
    let done = run(&["config", "check"]);
    let told = "\
erp-plugin.toml:1: databse is not a known key; did you mean `database`?
erp-plugin.toml:3: worker.lease is \"soon\": it must be a length of time from 1ms to 1d, such as 500ms or 1m 30s
erp-plugin.toml:4: worker.streams is 0: it must be a whole number from 1 to 1000
erp-plugin.toml:5: retrys is not a known key; did you mean `retry`?
";
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (Some(1), told, ""));
    let json = run(&["config", "check", "erp-plugin.toml", "--json"]).json();
    assert_eq!(
        (json["file"].as_str(), json["problems"].as_array().unwrap().len()),
        (Some("erp-plugin.toml"), 4)
    );
    // No command works by half a file.
    let done = run(&["tenants", "list", "--db", "erp.db"]);
    assert_eq!(done.code, Some(1));
    assert_eq!(
        done.error(),
        "erp-plugin.toml:1: databse is not a known key; did you mean `database`? (and 3 more: erp-plugin config check \
         erp-plugin.toml)"
    );
    fs::write(folder.path().join("erp-plugin.toml"), "[worker]\nlease = \"5s\"\n").unwrap();
    let done = run(&["config", "check"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "erp-plugin.toml is as it must be\n"));
    let empty = tempfile::tempdir().unwrap();
    let done = erp_plugin_in(empty.path(), &[], &["config", "check"]);
    assert!(done.code == Some(1) && done.error().contains("name a file"), "{done:?}");
}

#[test]
fn a_cap_below_its_limit_is_refused() {
    let folder = folder("[caps]\nmemory = \"32MiB\"\n");
    let done = erp_plugin_in(folder.path(), &[], &["config", "check"]);
    let told = "caps.memory (erp-plugin.toml:2) is 32 MiB, and limits.memory is 64 MiB: raise the cap, or lower the limit\n";
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), told));
    fs::write(folder.path().join("erp-plugin.toml"), "[limits]\nmemory = \"8MiB\"\n").unwrap();
    // A cap that nobody sets is the limit.
    assert_eq!(shown(folder.path(), &[], &[], "caps.memory"), (json!("8MiB"), "default".to_owned()));
}

#[test]
fn a_wrong_variable_and_a_wrong_flag_are_refused() {
    let empty = tempfile::tempdir().unwrap();
    let variables: &[(&str, &str)] = &[("ERP_PLUGIN_RETRY_MAX_DELAY", "2 weeks")];
    let done = erp_plugin_in(empty.path(), variables, &["config", "show"]);
    assert_eq!(done.code, Some(1));
    assert_eq!(
        done.error(),
        "the variable ERP_PLUGIN_RETRY_MAX_DELAY is \"2 weeks\": it must be a length of time from 1ms to 1d, such as \
         500ms or 1m 30s"
    );
    let done = erp_plugin_in(empty.path(), &[], &["config", "show", "--streams", "many"]);
    assert_eq!(done.code, Some(2));
    assert!(done.stderr.contains("it must be a whole number from 1 to 1000"), "{done:?}");
}

#[test]
fn a_password_is_never_shown() {
    let folder = folder("database = \"postgres://erp:hidden1@db.example/erp?sslmode=require\"\n");
    let variables: &[(&str, &str)] =
        &[("ERP_PLUGIN_MIGRATION_URL", "postgres://admin@db.example/erp?password=hidden2")];
    for arguments in [&["config", "show"][..], &["config", "show", "--json"], &["config", "check"]] {
        let Done { code, stdout, stderr } = erp_plugin_in(folder.path(), variables, arguments);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(!stdout.contains("hidden") && !stderr.contains("hidden"), "{stdout}{stderr}");
    }
    let (value, _) = shown(folder.path(), variables, &[], "database");
    assert_eq!(value, "postgres://erp:***@db.example/erp?sslmode=require");
    let (value, _) = shown(folder.path(), variables, &[], "migration-url");
    assert_eq!(value, "postgres://admin@db.example/erp?***");
    let wrong = tempfile::tempdir().unwrap();
    fs::write(wrong.path().join("erp-plugin.toml"), "database = \"mysql://erp:hidden@h/d\"\n").unwrap();
    for command in ["check", "show"] {
        let done = erp_plugin_in(wrong.path(), &[], &["config", command]);
        assert_eq!(done.code, Some(1));
        assert!(!done.stdout.contains("hidden") && !done.stderr.contains("hidden"), "{done:?}");
    }
}

#[test]
fn every_setting_is_shown_with_where_it_came_from() {
    let folder = folder("code-cache = false\n");
    let done = erp_plugin_in(folder.path(), &[], &["config", "show"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let row = |key: &str| -> Vec<String> {
        let line = done.stdout.lines().find(|line| line.starts_with(&format!("{key} "))).unwrap();
        line.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(row("setting"), ["setting", "value", "from"]);
    assert_eq!(row("database"), ["database", "-", "default"]);
    assert_eq!(row("code-cache"), ["code-cache", "false", "erp-plugin.toml:1"]);
    assert_eq!(row("worker.keep-log"), ["worker.keep-log", "30d", "default"]);
    assert_eq!(row("caps.call-bytes"), ["caps.call-bytes", "1MiB", "default"]);
}
