//! `erp-plugin events` and `erp-plugin host`: what was published, what became of it, who works it off.

use std::time::Duration;

use serde_json::json;

use crate::place::{Place, on_every_backend};
use crate::program::{Done, Running, erp_plugin};

on_every_backend! {
    events_are_published_worked_off_and_shown
    dead_letters_are_sent_again_and_dropped_by_what_is_known_of_them
    a_host_runs_until_it_is_told_to_stop
    a_host_that_is_stopped_in_the_middle_loses_nothing
    what_is_wrong_is_said
}

impl Place {
    fn events(&self, words: &[&str]) -> Done {
        erp_plugin(["events"].iter().chain(words).chain(&["--db", &self.database]))
    }

    /// A verb that does what it is asked to do, and what it printed.
    fn events_done(&self, words: &[&str]) -> String {
        let done = self.events(words);
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
        done.stdout
    }

    fn worked_off(&self) -> serde_json::Value {
        erp_plugin(["host", "run", "--until-done", "--json", "--db", &self.database]).json()
    }

    fn publish(&self, event: &str, payload: &str) {
        let told = self.events_done(&["publish", event, payload, "--tenant", "acme"]);
        assert_eq!(told, format!("{event} is published in acme\n"));
    }
}

fn events_are_published_worked_off_and_shown(place: &Place) {
    place.install("acme");
    place.publish("sample.insert", r#"{"data":{"title":"a"}}"#);
    let published = place.events(&[
        "publish",
        "sample.log",
        r#"{"message":"m"}"#,
        "--tenant",
        "acme",
        "--key",
        "k",
        "--json",
    ]);
    assert_eq!(published.json(), json!({ "published": "sample.log", "tenant": "acme" }));
    let text = place.events_done(&["backlog"]);
    assert!(
        text.starts_with("2 events without a number, 0 deliveries that wait, 0 dead letters; the oldest"),
        "{text}"
    );
    let report = place.worked_off();
    assert_eq!((&report["events"], &report["delivered"], &report["dead"]), (&json!(2), &json!(2), &json!(0)));
    let backlog = json!({ "unnumbered": 0, "pending": 0, "dead": 0, "oldest": null });
    assert_eq!(place.events(&["backlog", "--tenant", "acme", "--json"]).json(), backlog);

    let listed = place.events(&["list", "--type", "sample.*", "--json"]).json();
    let events = listed["events"].as_array().unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!((&events[0]["type"], &events[1]["key"]), (&json!("sample.insert"), &json!("k")));
    assert_eq!(events[0]["payload"], json!({ "data": { "title": "a" } }));
    let newest = place.events(&["list", "--limit", "1", "--json"]).json();
    assert_eq!(newest["events"], json!([events[1]]));
    let text = place.events_done(&["list"]);
    assert_eq!(text.lines().count(), 2);
    assert!(text.contains("acme  sample.insert"), "{text}");

    let id = events[0]["id"].as_str().unwrap();
    let shown = place.events(&["show", id, "--tenant", "acme", "--json"]).json();
    let delivery = &shown["deliveries"][0];
    assert_eq!((&delivery["plugin"], &delivery["state"]), (&json!("test-sample"), &json!("done")));
    let text = place.events_done(&["show", id, "--tenant", "acme"]);
    assert!(text.contains("\n  done       test-sample, 1 attempt"), "{text}");

    let tailed = place.events_done(&["tail", "--after", "0", "--limit", "2", "--json"]);
    assert_eq!(tailed.lines().count(), 2);
}

fn dead_letters_are_sent_again_and_dropped_by_what_is_known_of_them(place: &Place) {
    place.install("acme");
    for message in ["one", "two"] {
        place.publish("sample.fail", &format!(r#"{{"message":"rejected: {message}"}}"#));
    }
    assert_eq!(place.worked_off()["dead"], json!(2));
    let dead = place.events(&["dead", "--json"]).json();
    let letters = dead["dead"].as_array().unwrap();
    assert_eq!((&letters[0]["error"], &letters[0]["attempts"]), (&json!("rejected: one"), &json!(4)));
    assert!(place.events_done(&["dead", "--plugin", "test-sample"]).contains("rejected: two"));
    assert_eq!(place.events_done(&["dead", "--until", "1h"]), "no dead letters\n");
    // Nothing is meant by saying nothing.
    for verb in ["retry", "drop"] {
        let done = place.events(&[verb]);
        assert_eq!(done.code, Some(1));
        assert!(done.error().starts_with("say which dead letters to "), "{done:?}");
    }
    let first = letters[0]["event"].as_str().unwrap();
    assert_eq!(place.events_done(&["drop", "--event", first]), "1 dead letters are dropped\n");
    let shown = place.events_done(&["show", first, "--tenant", "acme"]);
    assert!(shown.contains("\n  dropped    test-sample, 4 attempts: rejected: one"), "{shown}");
    assert_eq!(place.events(&["retry", "--all", "--json"]).json(), json!({ "retried": 1 }));
    let report = place.worked_off();
    assert_eq!((&report["failed"], &report["dead"]), (&json!(4), &json!(1)));
}

fn a_host_runs_until_it_is_told_to_stop(place: &Place) {
    place.install("acme");
    let host = Running::start(["host", "run", "--json", "--db", &place.database]);
    host.said("working off deliveries");
    for number in 0..3 {
        place.publish("sample.insert", &format!(r#"{{"data":{{"title":"{number}"}}}}"#));
    }
    let all_done = || place.events(&["backlog", "--json"]).json()["oldest"].is_null();
    let begun = std::time::Instant::now();
    while !all_done() {
        assert!(begun.elapsed() < Duration::from_secs(30), "they are not worked off");
    }
    let done = host.terminated();
    assert_eq!(done.code, Some(0), "{done:?}");
    let report = done.json();
    assert_eq!((&report["delivered"], &report["failed"]), (&json!(3), &json!(0)));
    assert!(done.stderr.contains("stopping: what has begun ends"), "{done:?}");
}

fn a_host_that_is_stopped_in_the_middle_loses_nothing(place: &Place) {
    const MANY: usize = 25;
    place.install("acme");
    // Long enough that the signal comes in the middle of one.
    let steps = r#"[{"event":"sample.spin","payload":{"rounds":300000}},{"event":"sample.insert","payload":{"data":{"title":"t"}}}]"#;
    for _ in 0..MANY {
        place.publish("sample.script", &format!(r#"{{"steps":{steps}}}"#));
    }
    let host = Running::start(["host", "run", "--json", "--db", &place.database]);
    let begun = std::time::Instant::now();
    let pending = || place.events(&["backlog", "--json"]).json()["pending"].as_u64().unwrap();
    while !(1..MANY as u64 - 1).contains(&pending()) {
        assert!(begun.elapsed() < Duration::from_secs(30), "they are not worked off");
    }
    let done = host.terminated();
    assert_eq!(done.code, Some(0), "{done:?}");
    let (first, rest) = (done.json(), place.worked_off());
    assert_eq!((&first["failed"], &rest["failed"]), (&json!(0), &json!(0)));
    let delivered = |report: &serde_json::Value| report["delivered"].as_u64().unwrap();
    assert_eq!(delivered(&first) + delivered(&rest), MANY as u64);
    let count =
        ["records", "count", "test-sample.note", "--tenant", "acme", "--json", "--db", &place.database];
    assert_eq!(erp_plugin(count).json()["count"], json!(MANY));
}

fn what_is_wrong_is_said(place: &Place) {
    place.install("acme");
    for (words, told) in [
        (&["show", "7", "--tenant", "acme"][..], "\"7\" is no id of an event; `events list` shows them"),
        (
            &["show", "00000000-0000-7000-8000-000000000000", "--tenant", "acme"],
            "acme has no event 00000000-0000-7000-8000-000000000000; it may have been pruned",
        ),
        (&["publish", "sample.log", "{}", "--tenant", "nobody"], "no tenant nobody; create it first"),
    ] {
        let done = place.events(words);
        assert_eq!((done.code, done.error()), (Some(1), told));
    }
    for words in [&["list", "--type", "order"][..], &["publish", "order", "{}", "--tenant", "acme"]] {
        assert_eq!(place.events(words).code, Some(2), "{words:?}");
    }
}
