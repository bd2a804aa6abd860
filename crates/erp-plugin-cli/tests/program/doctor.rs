//! `erp-plugin doctor`: a healthy database, and damaged ones.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::place::{Place, on_every_backend};
use crate::program::{Running, erp_plugin, erp_plugin_in, plugin};

on_every_backend! {
    a_healthy_database_has_no_problem
    a_damaged_component_is_found
    a_component_that_this_host_does_not_load_is_a_problem
    dead_letters_are_a_problem
    a_version_that_a_tenant_was_not_told_of_is_a_problem_and_a_suspended_tenant_a_warning
    a_worker_that_was_killed_is_a_problem
    a_code_cache_that_cannot_be_written_is_a_warning
    wrong_settings_are_a_problem
}

/// What the doctor found: exit code, and state, text and fix of what it looked at.
struct Doctored {
    code: i32,
    all: Vec<Value>,
}

impl Doctored {
    /// What is in a state, as `what -> fix`.
    fn lines(&self, state: &str) -> Vec<String> {
        let own = self.all.iter().filter(|finding| finding["state"] == state);
        own.map(|finding| format!("{} -> {}", finding["what"], finding["fix"]).replace('"', "")).collect()
    }

    fn problems(&self) -> Vec<String> {
        self.lines("problem")
    }
}

impl Place {
    fn doctor_with(&self, variables: &[(&str, &str)], flags: &[&str]) -> Doctored {
        let words = ["doctor", "--json", "--db", &self.database];
        let done = erp_plugin_in(self.folder.path(), variables, &[&words, flags].concat());
        let json = done.json();
        let all = json["findings"].as_array().unwrap().clone();
        let found = Doctored { code: done.code.unwrap(), all };
        assert_eq!(json["healthy"], found.problems().is_empty(), "{json}");
        assert_eq!(found.code, if found.problems().is_empty() { 0 } else { 4 }, "{json}");
        found
    }

    fn doctor(&self) -> Doctored {
        self.doctor_with(&[], &[])
    }

    fn does(&self, words: &[&str]) {
        let done = erp_plugin(words.iter().chain(&["--db", &self.database]));
        assert_eq!(done.code, Some(0), "{words:?}: {done:?}");
    }
}

fn a_healthy_database_has_no_problem(place: &Place) {
    place.install("acme");
    if place.server.is_none() {
        let everybody = place.doctor();
        assert!(
            everybody
                .lines("warning")
                .iter()
                .any(|line| line.contains("every user of this machine may open"))
        );
        fs::set_permissions(&place.database, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let found = place.doctor();
    assert_eq!(found.problems(), [""; 0]);
    let fine = found.lines("ok").join("\n");
    for part in [
        "there is no erp-plugin.toml, and none is needed",
        "system tables, version ",
        "compiled code is kept",
        "1 tenant, none suspended",
        "test-sample 0.1.0 loads, enabled in 1 tenant",
        "nothing waits",
        "no dead letters",
        "all that have anything in hand give signs of life",
    ] {
        assert!(fine.contains(part), "{part}: {fine}");
    }
    let own = if place.server.is_some() {
        ["every table with a tenant in it keeps tenants apart", "the database's clock and this one agree"]
    } else {
        ["every page is sound", "are free on the disk"]
    };
    assert!(own.iter().all(|part| fine.contains(part)), "{fine}");

    let text = erp_plugin(["doctor", "--db", &place.database]);
    assert_eq!(text.code, Some(0));
    assert!(text.stdout.contains("ok plugins: test-sample 0.1.0 loads, enabled in 1 tenant\n"), "{text:?}");
    let nothing = erp_plugin(["doctor", "--db", &place.path("nowhere.db")]);
    assert_eq!(nothing.code, Some(4));
    assert!(nothing.stdout.contains("problem database: there is no database "), "{nothing:?}");
}

fn a_damaged_component_is_found(place: &Place) {
    place.install("acme");
    if place.server.is_some() {
        place.on_the_server(
            "UPDATE erp_plugin.components SET bytes = overlay(bytes PLACING '\\x00'::bytea FROM 1000)",
        );
    } else {
        let component = fs::read(plugin("test-sample")).unwrap();
        let mut file = fs::read(&place.database).unwrap();
        let middle = &component[component.len() / 2..][..64];
        let at = file.windows(64).position(|bytes| bytes == middle).unwrap();
        file[at] ^= 1;
        fs::write(&place.database, file).unwrap();
    }
    assert_eq!(
        place.doctor().problems(),
        [
            "the component of test-sample 0.1.0 is damaged: its bytes have another hash -> install another version, \
          erp-plugin plugins upgrade FILE, or restore a backup"
        ]
    );
}

fn a_component_that_this_host_does_not_load_is_a_problem(place: &Place) {
    place.install("acme");
    let problems = place.doctor_with(&[("ERP_PLUGIN_LIMITS_MEMORY", "64KiB")], &[]).problems();
    assert!(
        problems.len() == 1
            && problems[0].starts_with("test-sample 0.1.0 does not load in this host: ")
            && problems[0].contains("of memory, 0 MiB are allowed")
            && problems[0].ends_with("or erp-plugin plugins rollback test-sample"),
        "{problems:?}"
    );
}

fn dead_letters_are_a_problem(place: &Place) {
    place.install("acme");
    place.does(&["events", "publish", "sample.fail", "{}", "--tenant", "acme"]);
    assert!(place.doctor().lines("ok").join("\n").contains("1 events without a number"));
    place.does(&["host", "run", "--until-done", "--max-retries", "0"]);
    assert_eq!(
        place.doctor().problems(),
        [
            "1 dead letters -> erp-plugin events dead shows why; erp-plugin events retry, or drop, deals with them"
        ]
    );
    place.does(&["events", "drop", "--all"]);
    assert_eq!(place.doctor().problems(), [""; 0]);
}

fn a_version_that_a_tenant_was_not_told_of_is_a_problem_and_a_suspended_tenant_a_warning(place: &Place) {
    for tenant in ["acme", "globex"] {
        place.does(&["tenants", "create", tenant]);
    }
    place.does(&["plugins", "install", &plugin("inventory"), "--tenant", "acme", "--tenant", "globex"]);
    place.does(&["tenants", "suspend", "acme"]);
    let consent = ["--consent", "inventory.item.discontinued"];
    place
        .does(&[&["plugins", "upgrade", &plugin("inventory-0.2"), "--accept-rights"], &consent[..]].concat());
    let found = place.doctor();
    assert_eq!(found.problems(), [""; 0]);
    let warnings = found.lines("warning").join("\n");
    let told = "inventory runs as 0.2.0, and in acme only init of 0.1.0 is done";
    assert!(
        warnings.contains("2 tenants, suspended: acme -> if that is over: erp-plugin tenants resume"),
        "{warnings}"
    );
    assert!(warnings.contains(told), "{warnings}");
    place.does(&["tenants", "resume", "acme"]);
    assert_eq!(
        place.doctor().problems(),
        [format!("{told} -> erp-plugin plugins enable inventory --tenant acme")]
    );
    place.does(&["plugins", "enable", "inventory", "--tenant", "acme"]);
    assert_eq!(place.doctor().problems(), [""; 0]);
}

fn a_worker_that_was_killed_is_a_problem(place: &Place) {
    place.install("acme");
    let settings = place.path("slow.toml");
    fs::write(&settings, "[limits]\nfuel = 1_000_000_000_000\ndeadline = \"1h\"\n").unwrap();
    place.does(&["events", "publish", "sample.loop", "{}", "--tenant", "acme"]);
    let host = Running::start(["host", "run", "--settings", &settings, "--db", &place.database]);
    let backlog = || erp_plugin(["events", "backlog", "--json", "--db", &place.database]).json();
    while backlog()["pending"] != 1 {}
    // It gives signs of life an eighth of ten seconds apart.
    assert_eq!(place.doctor().problems(), [""; 0]);
    host.killed();
    let found = place.doctor_with(&[("ERP_PLUGIN_WORKER_LEASE", "3s")], &[]);
    let problems = found.problems();
    assert!(
        problems.len() == 1
            && problems[0].starts_with("1 worker with deliveries in hand gave no sign of life for 3s: ")
            && problems[0].ends_with(" -> erp-plugin host run takes over what they have in hand"),
        "{problems:?}"
    );
}

fn a_code_cache_that_cannot_be_written_is_a_warning(place: &Place) {
    place.install("acme");
    let file = place.path("no-folder");
    fs::write(&file, "").unwrap();
    let found = place.doctor_with(&[("XDG_CACHE_HOME", &file)], &[]);
    assert_eq!(found.problems(), [""; 0]);
    assert!(
        found
            .lines("warning")
            .iter()
            .any(|line| line.starts_with("compiled code is not kept, so every start compiles")),
        "{:?}",
        found.all
    );
    let off = place.doctor_with(&[("ERP_PLUGIN_CODE_CACHE", "false")], &[]);
    assert!(
        off.lines("ok").iter().any(|line| line.starts_with("off, as `code-cache` says")),
        "{:?}",
        off.all
    );
}

fn wrong_settings_are_a_problem(place: &Place) {
    place.install("acme");
    fs::write(place.path("erp-plugin.toml"), "[limits]\nfuel = 0\ndeadlin = \"1s\"\n").unwrap();
    let fix = "correct it, then: erp-plugin config check erp-plugin.toml";
    assert_eq!(
        place.doctor().problems(),
        [
            format!("erp-plugin.toml:2: limits.fuel is 0: it must be a whole number, at least 1 -> {fix}"),
            format!(
                "erp-plugin.toml:3: limits.deadlin is not a known key; did you mean `deadline`? -> {fix}"
            ),
        ]
    );
    fs::remove_file(place.path("erp-plugin.toml")).unwrap();
    let wrong = place.doctor_with(&[("ERP_PLUGIN_LIMITS_FUEL", "x")], &[]);
    assert_eq!(
        wrong.problems(),
        [
            "the variable ERP_PLUGIN_LIMITS_FUEL is \\x\\: it must be a whole number, at least 1 -> set it to what is \
          allowed, or do not set it"
        ]
    );
}

#[test]
fn a_damaged_file_is_found() {
    let place = Place::file();
    place.install("acme");
    let mut bytes = fs::read(&place.database).unwrap();
    // Not the first page, so that it is known whose it is.
    let length = bytes.len();
    bytes[4096..length.min(12 * 4096)].fill(0xff);
    fs::write(&place.database, bytes).unwrap();
    let problems = place.doctor().problems();
    assert!(problems.len() == 1 && problems[0].contains(" is damaged: "), "{problems:?}");
    assert!(problems[0].contains("erp-plugin restore --db "), "{problems:?}");
}

#[test]
fn a_role_that_lacks_a_right_and_an_open_wall_are_problems() {
    let Some(place) = Place::on_server() else { return };
    place.install("acme");
    place.on_the_server("REVOKE INSERT ON erp_plugin.outbox FROM erp_plugin_app");
    place.on_the_server("DROP POLICY tenant ON erp_plugin.test_sample__note");
    let problems = place.doctor().problems().join("\n");
    assert!(
        problems.contains("tables are not as they were made: erp_plugin_app may not insert in outbox -> "),
        "{problems}"
    );
    assert!(
        problems.contains("these tables do not keep tenants apart: test_sample__note -> ALTER TABLE"),
        "{problems}"
    );
}

#[test]
fn a_component_that_is_missing_and_tables_of_another_version_are_problems() {
    let Some(place) = Place::on_server() else { return };
    place.install("acme");
    place.on_the_server("UPDATE erp_plugin.components SET hash = '\\x00'");
    place.on_the_server(
        "UPDATE erp_plugin.plugin_versions SET manifest =
             convert_to(replace(convert_from(manifest, 'UTF8'), '\"quantity\"', '\"quantum\"'), 'UTF8')",
    );
    let problems = place.doctor().problems();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("the component of test-sample 0.1.0 is missing -> "), "{problems:?}");
    assert!(
        problems[1].starts_with("the tables of test-sample are not as 0.1.0 declares them"),
        "{problems:?}"
    );
}

#[test]
fn a_server_that_is_not_there_is_a_problem_and_its_password_is_not_shown() {
    if Place::on_server().is_none() {
        return;
    }
    let done = erp_plugin(["doctor", "--db", "postgres://erp:hidden@127.0.0.1:1/erp?connect_timeout=2"]);
    assert_eq!(done.code, Some(4), "{done:?}");
    assert!(done.stdout.contains(": erp@127.0.0.1:1/erp: "), "{done:?}");
    assert!(!done.stdout.contains("hidden") && !done.stderr.contains("hidden"), "{done:?}");
}
