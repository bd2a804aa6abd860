//! Guests that send text that is none, or text that pretends to be something else.

use erp_plugin::{ErrorCode, FailureKind};
use erp_plugin_tests::guests;
use serde_json::json;

use super::{Hostile, assert_ended};

/// Whether a terminal or a log viewer would do anything but show it.
fn is_harmless(text: &str) -> bool {
    text.chars().all(|c| {
        !c.is_control()
            && !matches!(c, '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    })
}

#[tokio::test]
async fn f15_log_injection() {
    let hostile = Hostile::new("15-log-injection").await;
    let report = hostile.succeeds("any.other", &json!({})).await;
    assert_eq!(report.log.len(), 1);
    let line = &report.log[0];
    assert!(is_harmless(&line.message), "{:?}", line.message);
    assert_eq!(line.level.as_str(), "info");
    assert!(line.message.starts_with('['), "the unknown level stands in the text: {:?}", line.message);
    let error = hostile.answers("any.fail", &json!({})).await;
    assert!(is_harmless(&error.message), "{:?}", error.message);
    assert!(hostile.platform.log().await.iter().all(|line| is_harmless(line)));
}

#[tokio::test]
async fn f15_name_injection() {
    let hostile = Hostile::new("15-name-injection").await;
    let report = hostile.fails("any.event", &json!({})).await;
    assert_ended!(report, FailureKind::Unreachable);
    let detail = report.detail.unwrap();
    assert!(is_harmless(&detail), "{detail:?}");
    assert!(detail.len() < 1_000, "{} bytes", detail.len());
    assert!(detail.contains("; in "), "{detail}");
}

#[tokio::test]
async fn f24_relay() {
    let hostile = Hostile::new("24-relay").await;
    let deep = "[".repeat(10_000).into_bytes();
    let bad: [&[u8]; 10] = [
        b"{\"a\":\"\xff\"}",
        b"{\"a\":NaN}",
        b"{\"a\":1e999}",
        b"{\"a\":9223372036854775808}",
        &deep,
        b"{\"a\":1,\"a\":2}",
        b"[]",
        b"\"text\"",
        b"null",
        b"{",
    ];
    hostile.succeeds("any.insert", &json!({ "a": 1 })).await;
    for bytes in bad {
        for call in ["insert", "query", "page", "update"] {
            let error = hostile.answers(&format!("hex.{call}"), &guests::hex(bytes)).await;
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
            assert_eq!(error.code, ErrorCode::InvalidInput, "{call} {shown}: {error}");
        }
    }
    // An event's payload may be any JSON, but it must be JSON.
    for bytes in &bad[..6] {
        assert_eq!(hostile.answers("hex.publish", &guests::hex(bytes)).await.code, ErrorCode::InvalidInput);
    }
    assert_eq!(hostile.answers("any.insert", &json!("")).await.code, ErrorCode::InvalidInput);

    for call in ["entity", "delete", "type", "config"] {
        assert_ended!(hostile.fails(&format!("hex.{call}"), &guests::hex(b"a\xff")).await, FailureKind::Trap);
    }
    for (call, code) in [
        ("entity", ErrorCode::InvalidInput),
        ("delete", ErrorCode::NotFound),
        ("type", ErrorCode::InvalidInput),
        ("config", ErrorCode::NotFound),
    ] {
        for name in ["x; DROP TABLE records", "a\" OR \"1\"=\"1", "../../etc/passwd", "名", "a\u{0}b", ""] {
            let error = hostile.answers(&format!("any.{call}"), &json!(name)).await;
            assert_eq!(error.code, code, "{call} {name:?}: {error}");
        }
    }
}

#[tokio::test]
async fn f24_bad_utf8() {
    let hostile = Hostile::new("24-bad-utf8").await;
    for verb in ["entity", "line", "truncated"] {
        assert_ended!(hostile.fails(&format!("any.{verb}"), &json!({})).await, FailureKind::Trap);
    }
    let error = hostile.answers("any.other", &json!({})).await;
    assert_eq!(error.code, ErrorCode::InvalidInput, "{error}");
}

#[tokio::test]
async fn f24_bad_utf16() {
    let hostile = Hostile::new("24-bad-utf16").await;
    let report = hostile.fails("any.event", &json!({})).await;
    assert_ended!(report, FailureKind::Trap);
    assert_eq!(report.log[0].message, "ok");
}
