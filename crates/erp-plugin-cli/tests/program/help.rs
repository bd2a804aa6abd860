//! Help that teaches: the parts that people rely on.

use crate::program::erp_plugin;

#[test]
fn every_command_is_listed_but_the_hidden_one() {
    let done = erp_plugin(["--help"]);
    assert_eq!(done.code, Some(0));
    let commands: Vec<&str> = done
        .stdout
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .lines()
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert_eq!(
        commands,
        [
            "run",
            "inspect",
            "copy",
            "records",
            "roles",
            "plugins",
            "events",
            "jobs",
            "host",
            "tenants",
            "audit",
            "db",
            "schema",
            "config",
            "doctor",
            "backup",
            "restore",
            "demo",
            "demo-data",
            "limits",
            "help"
        ]
    );
}

#[test]
fn every_command_shows_how_it_is_called() {
    for command in [
        "run",
        "inspect",
        "copy",
        "records",
        "roles",
        "plugins",
        "events",
        "jobs",
        "host",
        "tenants",
        "audit",
        "config",
        "doctor",
        "backup",
        "restore",
        "demo",
        "demo-data",
        "limits",
    ] {
        let help = erp_plugin([command, "--help"]).stdout;
        let examples =
            help.lines().filter(|line| line.starts_with(&format!("  erp-plugin {command}"))).count();
        assert!(examples >= 1, "{command}: {help}");
    }
}

#[test]
fn every_verb_of_records_shows_how_it_is_called() {
    let help = erp_plugin(["records", "--help"]).stdout;
    for verb in [
        "insert",
        "get",
        "query",
        "update",
        "delete",
        "restore",
        "purge",
        "history",
        "prune-history",
        "count",
        "aggregate",
        "export",
        "import",
    ] {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb}: {help}");
        let help = erp_plugin(["records", verb, "--help"]).stdout;
        assert!(help.contains(&format!("erp-plugin records {verb} inventory.item ")), "{verb}: {help}");
    }
}

#[test]
fn every_verb_of_roles_shows_how_it_is_called() {
    let help = erp_plugin(["roles", "--help"]).stdout;
    for verb in ["list", "show", "set", "remove", "assign", "unassign"] {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb}: {help}");
        let help = erp_plugin(["roles", verb, "--help"]).stdout;
        assert!(help.contains(&format!("  erp-plugin roles {verb} ")), "{verb}: {help}");
    }
}

#[test]
fn the_help_of_run_has_usage_limits_and_exit_codes() {
    let help = erp_plugin(["run", "--help"]).stdout;
    for part in [
        "Usage: erp-plugin run [OPTIONS] --event <TYPE> --payload <JSON|@FILE> --tenant <T> <COMPONENT>\n",
        "Limit on all linear memories together [default: 64MiB]\n",
        "Limit on wall-clock time, the host's work included [default: 2s]\n",
        "Exit codes:\n  0  the handler said ok\n",
        "  3  the component cannot be installed",
        "  4  the handler answered with an error\n  5  the plugin was stopped: trap, fuel, deadline, memory\n",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
}

#[test]
fn the_limits_are_those_of_the_host() {
    let text = erp_plugin(["limits"]).stdout;
    for line in [
        "fuel                10000000  instructions, and the host's work for the guest converted into them",
        "memory                64 MiB  all linear memories together",
        "writer-hold           250 ms  time the embedded database's writer is held",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
    }
    let json = erp_plugin(["limits", "--json"]).json();
    assert_eq!((json["fuel"].as_u64(), json["memory"].as_u64()), (Some(10_000_000), Some(64 << 20)));
}

#[test]
fn without_a_command_the_help_is_shown() {
    let done = erp_plugin([""; 0]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""));
    assert!(done.stderr.contains("Usage: erp-plugin [OPTIONS] <COMMAND>"), "{done:?}");
}
