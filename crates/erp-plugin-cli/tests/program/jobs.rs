//! `erp-plugin jobs`: when jobs run, what became of them, and what is done about it by hand.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::place::{Place, on_every_backend};
use crate::program::{Done, Running, bare, erp_plugin, with_manifest};

on_every_backend! {
    jobs_are_listed_run_and_looked_back_at
    a_host_runs_jobs_and_counts_them
    what_is_wrong_with_a_job_is_said
}

impl Place {
    fn jobs(&self, words: &[&str]) -> Done {
        erp_plugin(["jobs"].iter().chain(words).chain(&["--tenant", "acme", "--db", &self.database]))
    }

    /// A verb that does what it is asked to do, and what it printed.
    fn jobs_done(&self, words: &[&str]) -> String {
        let done = self.jobs(words);
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
        done.stdout
    }

    fn runs(&self) -> Vec<Json> {
        self.jobs(&["history", "--json"]).json()["runs"].as_array().unwrap().clone()
    }

    /// Enables a plugin that has jobs and says ok to everything.
    fn with_jobs(&self) {
        let manifest = json!({
            "manifest": 1,
            "plugin": { "name": "hello", "version": "0.1.0", "contract": "0" },
            "jobs": [
                { "name": "by-hand" },
                { "name": "nightly", "schedule": "0 3 1 1 *", "time-zone": "Asia/Shanghai" },
                { "name": "starved", "limits": { "fuel": 1 } },
            ],
        });
        let path = self.path("hello.component.wasm");
        std::fs::write(&path, with_manifest(&bare(), &manifest.to_string())).unwrap();
        let event = ["--event", "order.created", "--payload", "{}", "--tenant", "acme"];
        let done = erp_plugin(["run", &path].iter().chain(&event).chain(&["--db", &self.database]));
        assert_eq!(done.code, Some(0), "{done:?}");
    }
}

fn jobs_are_listed_run_and_looked_back_at(place: &Place) {
    place.with_jobs();
    let listed = place.jobs(&["list", "--json"]).json();
    let nightly = &listed["jobs"][1];
    assert_eq!((&nightly["job"], &nightly["schedule"]), (&json!("nightly"), &json!("0 3 1 1 *")));
    assert_eq!((&nightly["time_zone"], &nightly["enabled"]), (&json!("Asia/Shanghai"), &json!(true)));
    assert!(nightly["next"].as_str().unwrap().ends_with("-12-31T19:00:00Z"), "{nightly}");
    assert_eq!((&listed["jobs"][0]["next"], &nightly["last"]), (&json!(null), &json!(null)));

    let ran = place.jobs_done(&["run", "hello", "nightly"]);
    assert!(ran.starts_with("hello's job nightly in acme: ok, run "), "{ran}");
    let failed = place.jobs(&["run", "hello", "starved", "--json"]);
    assert_eq!(failed.code, Some(5), "{failed:?}");
    let failed = failed.json();
    assert_eq!((&failed["ok"], &failed["error"]["code"]), (&json!(false), &json!("limit-exceeded")));

    let runs = place.runs();
    assert_eq!(runs.len(), 2);
    assert_eq!(
        (&runs[0]["job"], &runs[0]["state"], &runs[0]["kind"]),
        (&json!("nightly"), &json!("done"), &json!("one-off"))
    );
    assert_eq!((&runs[1]["run"], &runs[1]["state"]), (&failed["run"], &json!("failed")));
    let id = failed["run"].as_str().unwrap();
    let text = place.jobs_done(&["history", "--state", "failed", "--plugin", "hello", "--job", "starved"]);
    assert!(text.starts_with(&format!("{id}  hello starved one-off ")), "{text}");
    assert!(text.contains(" failed, 1 attempt: limit-exceeded: fuel"), "{text}");
    assert_eq!(place.jobs_done(&["history", "--job", "by-hand"]), "no runs\n");
    let text = place.jobs_done(&["list"]);
    assert!(text.contains("hello by-hand\n  runs when somebody asks for it\n"), "{text}");
    assert!(text.contains("hello nightly\n  0 3 1 1 * in Asia/Shanghai, next at "), "{text}");
    assert!(text.contains("\n  last nightly one-off "), "{text}");

    assert_eq!(place.jobs_done(&["retry", id]), format!("run {id} is tried again\n"));
    assert_eq!(place.jobs(&["cancel", id, "--json"]).json(), json!({ "cancelled": id }));
    assert_eq!(
        (&place.runs()[1]["state"], &place.runs()[1]["note"]),
        (&json!("skipped"), &json!("cancelled by hand"))
    );
}

fn a_host_runs_jobs_and_counts_them(place: &Place) {
    place.with_jobs();
    let scheduled = place.jobs(&["schedule", "hello", "by-hand", "0s", r#"{"n":1.50}"#, "--json"]).json();
    place.jobs_done(&["schedule", "hello", "by-hand", "2h"]);
    let host = Running::start(["host", "run", "--db", &place.database]);
    host.said("working off deliveries and jobs");
    let begun = Instant::now();
    while place.runs()[0]["state"] != "done" {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", place.runs());
    }
    let done = host.terminated();
    assert_eq!(done.code, Some(0), "{done:?}");
    let counted = "0 events numbered, 0 deliveries handled, 0 attempts failed, 0 dead letters, 1 jobs run, 0 jobs failed\n";
    assert_eq!(done.stdout, counted);
    let runs = place.runs();
    assert_eq!((&runs[0]["run"], &runs[0]["payload"]), (&scheduled["run"], &json!({ "n": 1.5 })));
    assert_eq!((&runs[1]["state"], &runs[1]["attempts"]), (&json!("waiting"), &json!(0)));
}

fn what_is_wrong_with_a_job_is_said(place: &Place) {
    place.with_jobs();
    for (words, told) in [
        (&["retry", "7"][..], "\"7\" is no id of a run; `jobs history` shows them"),
        (
            &["cancel", "00000000-0000-7000-8000-000000000000"],
            "acme has no run 00000000-0000-7000-8000-000000000000; it may have been pruned",
        ),
        (&["run", "hello", "nap"], "hello declares no job nap; its jobs: by-hand, nightly, starved"),
        (&["schedule", "nobody", "nap", "2h"], "no plugin nobody is installed; install it first"),
    ] {
        let done = place.jobs(words);
        assert_eq!((done.code, done.error()), (Some(1), told));
    }
    for words in [&["schedule", "hello", "by-hand", "tomorrow"][..], &["history", "--state", "good"]] {
        assert_eq!(place.jobs(words).code, Some(2), "{words:?}");
    }
    let nobody = erp_plugin(["jobs", "list", "--tenant", "nobody", "--db", &place.database]);
    assert_eq!((nobody.code, nobody.error()), (Some(1), "no tenant nobody; create it first"));
}
