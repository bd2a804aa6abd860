//! One action per event: a host call, and a log line with what it answered.

use serde_json::{Value, json};

use crate::erp::plugin::host_api;
use crate::misbehaviour;

/// Does what the event says. An event that this plugin does not know is ignored.
pub(crate) fn perform(event: &str, payload: &Value) -> Result<(), String> {
    let entity = text(payload, "entity").unwrap_or("note");
    let answer = match event {
        "sample.insert" => host_api::db_insert(entity, &bytes(payload, "data"))?,
        "sample.query" => query(entity, payload)?,
        "sample.update" => {
            let version = payload.get("version").and_then(Value::as_i64).unwrap_or_default();
            host_api::db_update(entity, needed(payload, "id")?, &bytes(payload, "data"), version)?
        }
        "sample.delete" => {
            host_api::db_delete(entity, needed(payload, "id")?)?;
            b"null".to_vec()
        }
        "sample.insert-if-none" => insert_if_none(entity, payload)?,
        "sample.publish" => {
            let event_type = text(payload, "type").unwrap_or("test-sample.published");
            host_api::event_publish(event_type, &bytes(payload, "payload"))?;
            b"null".to_vec()
        }
        "sample.config" => host_api::config_get(needed(payload, "key")?)?,
        "sample.whoami" => host_api::current_user()?,
        "sample.permission" => {
            host_api::check_permission(needed(payload, "permission")?)?.to_string().into_bytes()
        }
        "sample.log" => return log(payload),
        "sample.script" => return script(payload),
        "job.note" => {
            let note = json!({ "title": payload.get("scheduled_for"), "quantity": payload.get("attempt") });
            host_api::db_insert("note", note.to_string().as_bytes())?
        }
        "job.do" => {
            let asked = payload.get("payload").unwrap_or(&Value::Null);
            return perform(needed(asked, "event")?, asked.get("payload").unwrap_or(&Value::Null));
        }
        "job.crash" if number(payload, "attempt", 0) == 1 => misbehaviour::spin_for_ever(&Value::Null)?,
        "job.crash" => return perform("job.note", payload),
        "sample.fail" => return misbehaviour::fail(payload),
        "sample.trap" => misbehaviour::trap(payload)?,
        "sample.loop" => misbehaviour::spin_for_ever(payload)?,
        "sample.spin" => misbehaviour::spin(number(payload, "rounds", 0)),
        "sample.json" => misbehaviour::json_work(number(payload, "rounds", 0), &bytes(payload, "data")),
        "sample.allocate" => misbehaviour::allocate(number(payload, "mebibytes", 0)),
        "sample.recurse" => misbehaviour::recurse(number(payload, "depth", 0)),
        "sample.counter" => misbehaviour::count(),
        _ => {
            host_api::log_write("debug", &format!("ignored {event}"));
            return Ok(());
        }
    };
    host_api::log_write("info", &format!("{event} {}", String::from_utf8_lossy(&answer)));
    Ok(())
}

fn query(entity: &str, payload: &Value) -> Result<Vec<u8>, String> {
    let answer = host_api::db_query(entity, &bytes(payload, "filter"), &bytes(payload, "page"))?;
    if payload.get("count") != Some(&Value::Bool(true)) {
        return Ok(answer);
    }
    let page: Value = serde_json::from_slice(&answer).map_err(|error| format!("internal: page: {error}"))?;
    let summary = json!({ "count": count_of(&page), "next_cursor": page.get("next_cursor"), "total": page.get("total") });
    Ok(summary.to_string().into_bytes())
}

fn insert_if_none(entity: &str, payload: &Value) -> Result<Vec<u8>, String> {
    let answer = host_api::db_query(entity, &bytes(payload, "filter"), b"{}")?;
    let page: Value = serde_json::from_slice(&answer).map_err(|error| format!("internal: page: {error}"))?;
    let none = count_of(&page) == 0;
    if none {
        host_api::db_insert(entity, &bytes(payload, "data"))?;
    }
    Ok(json!({ "inserted": none }).to_string().into_bytes())
}

fn log(payload: &Value) -> Result<(), String> {
    let level = text(payload, "level").unwrap_or("info");
    let message = needed(payload, "message")?;
    for _ in 0..number(payload, "times", 1) {
        host_api::log_write(level, message);
    }
    Ok(())
}

fn script(payload: &Value) -> Result<(), String> {
    let steps =
        payload.get("steps").and_then(Value::as_array).ok_or("invalid-input: `steps` must be a list")?;
    for (index, step) in steps.iter().enumerate() {
        let event = needed(step, "event")?;
        let tolerate = step.get("tolerate") == Some(&Value::Bool(true));
        for _ in 0..number(step, "times", 1) {
            match perform(event, step.get("payload").unwrap_or(&Value::Null)) {
                Err(error) if tolerate => {
                    let line = json!({ "step": index, "error": error });
                    host_api::log_write("info", &format!("sample.script {line}"));
                }
                result => result?,
            }
        }
    }
    Ok(())
}

/// What is passed to the host for `key`: that JSON, else the text under `<key>_raw`, else nothing.
pub(crate) fn bytes(payload: &Value, key: &str) -> Vec<u8> {
    match (payload.get(key), text(payload, &format!("{key}_raw"))) {
        (Some(json), _) => json.to_string().into_bytes(),
        (None, Some(raw)) => raw.as_bytes().to_vec(),
        (None, None) => Vec::new(),
    }
}

pub(crate) fn text<'a>(payload: &'a Value, key: &str) -> Option<&'a str> {
    payload.get(key).and_then(Value::as_str)
}

fn needed<'a>(payload: &'a Value, key: &str) -> Result<&'a str, String> {
    text(payload, key).ok_or_else(|| format!("invalid-input: the payload needs a text `{key}`"))
}

fn number(payload: &Value, key: &str, default: u64) -> u64 {
    payload.get(key).and_then(Value::as_u64).unwrap_or(default)
}

fn count_of(page: &Value) -> usize {
    page.get("items").and_then(Value::as_array).map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_goes_to_the_host_as_it_is_and_raw_text_too() {
        assert_eq!(bytes(&json!({"data": [1]}), "data"), b"[1]");
        assert_eq!(bytes(&json!({"data": "text"}), "data"), b"\"text\"");
        assert_eq!(bytes(&json!({"data_raw": "{oops"}), "data"), b"{oops");
        assert_eq!(bytes(&json!({}), "data"), b"");
    }
}
