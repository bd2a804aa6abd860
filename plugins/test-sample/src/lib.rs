//! A plugin that does what an event tells it to: the fixture of the host's own tests, so that a test can drive
//! each host call, and each way in which a guest misbehaves, by itself.
//!
//! It is written on the bare bindings, as one would without the SDK. Each event is one action of [`actions`] or
//! [`misbehaviour`]; what a host call answered is written to the log at level `info` as `<event> <JSON>`, and an
//! error that it answered is answered to the host word for word.
//!
//! | event | payload (optional parts with their default) | what happens | logged |
//! | --- | --- | --- | --- |
//! | `sample.insert` | `entity` = "note", `data` | `db-insert` | the record |
//! | `sample.query` | `entity` = "note", `filter`, `page`, `count` = false | `db-query` | the page; with `count` only `{"count","next_cursor","total"}` |
//! | `sample.update` | `entity` = "note", `id`, `version`, `data` | `db-update` | the record |
//! | `sample.delete` | `entity` = "note", `id` | `db-delete` | `null` |
//! | `sample.insert-if-none` | `entity` = "note", `filter`, `data` | `db-query`, then `db-insert` if it found nothing | `{"inserted":bool}` |
//! | `sample.publish` | `type` = "test-sample.published", `payload` | `event-publish` | `null` |
//! | `sample.config` | `key` | `config-get` | the value |
//! | `sample.log` | `level` = "info", `message`, `times` = 1 | `log-write` | the message alone |
//! | `sample.whoami` | | `current-user` | the user |
//! | `sample.permission` | `permission` | `check-permission` | `true` or `false` |
//! | `sample.script` | `steps`: list of `{event, payload, times = 1, tolerate = false}` | those events' actions in this one call; with `tolerate` an error is logged and the script goes on | per tolerated error `{"step":n,"error":"…"}` |
//! | `sample.fail` | `message` = "rejected: asked to fail", `data` | inserts a note, publishes, answers `Err(message)` | |
//! | `sample.trap` | `message` = "asked to panic", `data` | inserts a note, publishes, panics | |
//! | `sample.loop` | `data` | inserts a note if there is `data`, then loops for ever | |
//! | `sample.spin` | `rounds` | computes for that many rounds | `{"result":n}` |
//! | `sample.json` | `rounds`, `data` | reads and writes `data` as JSON for that many rounds | `{"bytes":n}` |
//! | `sample.allocate` | `mebibytes` | allocates and touches that much memory | `{"bytes":n}` |
//! | `sample.recurse` | `depth` | calls itself that deep | `{"result":n}` |
//! | `job.note` | what a job is given | inserts a note with the title `scheduled_for` and the quantity `attempt` | the record |
//! | `job.do` | `payload`: `{event, payload}` | that event's action | |
//! | `job.crash` | what a job is given | loops for ever at the first attempt, then as `job.note` | |
//! | `sample.counter` | | raises a `static` | `{"was":n}`, which is 0 in a fresh sandbox |
//!
//! `init` inserts a note with the title that the configuration `note_init` has, and fails with the text that `fail_init`
//! has; `plugin.upgraded` fails with that of `fail_upgraded`.
//!
//! Wherever JSON goes to the host (`data`, `filter`, `page`, `payload`), the key with `_raw` appended takes a
//! string that is passed as it is, for what is no JSON; without either, no bytes are passed.

mod actions;
mod misbehaviour;

wit_bindgen::generate!({
    path: "../../wit/v0/plugin.wit",
    world: "plugin-world",
});

use crate::erp::plugin::host_api;
use crate::exports::erp::plugin::plugin_api::Guest;

struct TestSample;

impl Guest for TestSample {
    fn init() -> Result<(), String> {
        host_api::log_write("info", "init");
        if let Some(title) = configured("note_init") {
            let note = serde_json::json!({ "title": title }).to_string();
            host_api::db_insert("note", note.as_bytes())?;
        }
        configured("fail_init").map_or(Ok(()), Err)
    }

    fn on_tenant_created(tenant_id: String) -> Result<(), String> {
        host_api::log_write("info", &format!("on-tenant-created {tenant_id}"));
        let greeting = serde_json::json!({ "tenant": tenant_id }).to_string();
        host_api::db_insert("greeting", greeting.as_bytes())?;
        Ok(())
    }

    fn handle_event(event_type: String, payload: Vec<u8>) -> Result<(), String> {
        let payload = serde_json::from_slice(&payload)
            .map_err(|error| format!("invalid-input: payload of event {event_type}: {error}"))?;
        if event_type == "plugin.upgraded"
            && let Some(error) = configured("fail_upgraded")
        {
            return Err(error);
        }
        actions::perform(&event_type, &payload)
    }
}

/// What a test has set in the one tenant where it is to happen.
fn configured(key: &str) -> Option<String> {
    host_api::config_get(key).ok().and_then(|value| serde_json::from_slice(&value).ok())
}

export!(TestSample);
