//! What a host is given that is wrong: each is an error that names it and says what to do, and nothing is lost.

mod components;
mod databases;
mod names;
mod records;

use erp_plugin_tests::{Platform, TENANT, guests, sample};
use serde_json::{Value as Json, json};

const NOTE: &str = "test-sample.note";

/// A platform where something was before, which must be there after.
struct Standing {
    platform: Platform,
    /// The record that was.
    note: Json,
    before: State,
}

/// Everything that bad input could have changed.
#[derive(Debug, PartialEq)]
struct State {
    plugins: Vec<String>,
    tenants: Vec<String>,
    records: Vec<Json>,
    log: usize,
    events: u64,
}

async fn state(platform: &Platform) -> State {
    State {
        plugins: platform.host.plugins().iter().map(|plugin| plugin.name.to_string()).collect(),
        tenants: platform.host.tenants().await.unwrap().iter().map(ToString::to_string).collect(),
        records: platform.records(NOTE).await,
        log: platform.log().await.len(),
        events: platform.event_count().await,
    }
}

impl Standing {
    async fn new() -> Self {
        let platform = sample::platform().await;
        let data = json!({ "title": "was there", "code": "AB-1" });
        let note = sample::answer(&platform, "sample.insert", json!({ "data": data })).await;
        let before = state(&platform).await;
        Self { platform, note, before }
    }

    /// Asserts that everything is as it was.
    async fn assert_unchanged(&self, after: &str) {
        assert_eq!(state(&self.platform).await, self.before, "after {after}");
    }

    /// As [`assert_unchanged`](Self::assert_unchanged), and that the host takes the next plugin and the next record.
    async fn serves_on(self) {
        self.assert_unchanged("everything").await;
        self.platform.enable("next", guests::hostile("24-relay")).await;
        let report = self.platform.call("next", "please.insert", &json!({ "note": "new" })).await;
        assert_eq!(report.outcome, Ok(()), "{:?}", report.detail);
        assert_eq!(self.platform.records_of(TENANT, "next.thing").await.len(), 1);
        assert_eq!(self.platform.records(NOTE).await, [self.note]);
    }
}
