//! What a host must survive: guests that fail, panic, never end, and take memory and stack.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::actions::{bytes, text};
use crate::erp::plugin::host_api;

/// Raised by `sample.counter`. Every call starts in a fresh sandbox, so it is 0 at the start of each.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Writes a record and an event, then answers with an error: the host must undo both.
pub(crate) fn fail(payload: &Value) -> Result<(), String> {
    leave_traces(payload)?;
    Err(text(payload, "message").unwrap_or("rejected: asked to fail").to_owned())
}

/// Writes a record and an event, then panics: the host must undo both.
#[allow(clippy::panic, reason = "what it is for")]
pub(crate) fn trap(payload: &Value) -> Result<Vec<u8>, String> {
    leave_traces(payload)?;
    panic!("{}", text(payload, "message").unwrap_or("asked to panic"));
}

/// Writes a record if there is `data` for one, and never returns.
pub(crate) fn spin_for_ever(payload: &Value) -> Result<Vec<u8>, String> {
    if payload.get("data").is_some() {
        host_api::db_insert("note", &bytes(payload, "data"))?;
    }
    loop {
        std::hint::spin_loop();
    }
}

/// Computes for a while, and ends.
pub(crate) fn spin(rounds: u64) -> Vec<u8> {
    let result = (0..rounds).fold(1_u64, |sum, round| black_box(sum.wrapping_mul(31).wrapping_add(round)));
    json!({ "result": result }).to_string().into_bytes()
}

/// Reads and writes JSON for a while, as business plugins do, and ends.
pub(crate) fn json_work(rounds: u64, data: &[u8]) -> Vec<u8> {
    let bytes: usize = (0..rounds)
        .map(|_| serde_json::from_slice::<Value>(black_box(data)).map_or(0, |value| value.to_string().len()))
        .sum();
    json!({ "bytes": bytes }).to_string().into_bytes()
}

/// Takes memory and touches every page of it.
pub(crate) fn allocate(mebibytes: u64) -> Vec<u8> {
    let memory: Vec<Vec<u8>> = (0..mebibytes).map(|_| vec![1_u8; 1024 * 1024]).collect();
    let bytes: usize = black_box(memory).iter().map(Vec::len).sum();
    json!({ "bytes": bytes }).to_string().into_bytes()
}

/// Uses up the stack.
pub(crate) fn recurse(depth: u64) -> Vec<u8> {
    /// The mixing after the call keeps the compiler from making a loop of it.
    #[inline(never)]
    fn descend(depth: u64) -> u64 {
        if depth == 0 { 1 } else { descend(depth - 1).rotate_left(5) ^ depth }
    }
    json!({ "result": descend(depth) }).to_string().into_bytes()
}

/// Raises the counter and tells what it was.
pub(crate) fn count() -> Vec<u8> {
    json!({ "was": COUNTER.fetch_add(1, Ordering::Relaxed) }).to_string().into_bytes()
}

fn leave_traces(payload: &Value) -> Result<(), String> {
    let data = payload.get("data").cloned().unwrap_or_else(|| json!({ "title": "must not stay" }));
    host_api::db_insert("note", data.to_string().as_bytes())?;
    host_api::event_publish("test-sample.must-not-stay", b"{}")
}
