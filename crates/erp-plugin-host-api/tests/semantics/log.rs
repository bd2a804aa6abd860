//! The log: levels, caps, escapes, and that it survives what the invocation does not.

use erp_plugin_model::Limits;
use erp_plugin_model::usage::{LogLevel, LogLine};
use erp_plugin_storage::{LogQuery, StoredLogLine};

use crate::fixture::{ALPHA, BETA, Fixture};

async fn kept(fixture: &Fixture, tenant: &str) -> Vec<StoredLogLine> {
    let query = LogQuery { plugin: None, min_level: LogLevel::Trace, limit: 1000 };
    fixture.transaction(tenant).await.log(&query).await.unwrap()
}

fn lines(log: &[LogLine]) -> Vec<(&'static str, &str)> {
    log.iter().map(|line| (line.level.as_str(), line.message.as_str())).collect()
}

#[tokio::test]
async fn five_levels_are_known_and_any_other_is_info_with_the_level_in_the_text() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    for level in ["trace", "debug", "info", "warn", "error", "warning", "ERROR", "", "a\nb"] {
        call.log(level, "said").unwrap();
    }
    assert_eq!(
        lines(&call.commit().await.log),
        [
            ("trace", "said"),
            ("debug", "said"),
            ("info", "said"),
            ("warn", "said"),
            ("error", "said"),
            ("info", "[warning] said"),
            ("info", "[ERROR] said"),
            ("info", "[] said"),
            ("info", "[a\\nb] said"),
        ]
    );
}

#[tokio::test]
async fn a_line_cannot_pretend_to_be_two_or_to_colour_a_terminal() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    for message in
        ["paid\nerror all is lost", "\r\x1b[2Kgone", "\u{202e}desrever", "nul\0", "tab\t", "\"库存\" \\n"]
    {
        call.log("info", message).unwrap();
    }
    let log = call.commit().await.log;
    let messages: Vec<&str> = log.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "paid\\nerror all is lost",
            "\\r\\u{1b}[2Kgone",
            "\\u{202e}desrever",
            "nul\\u{0}",
            "tab\\t",
            "\"库存\" \\n"
        ]
    );
}

#[tokio::test]
async fn a_long_line_is_cut_and_says_how_much_is_missing() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    let most = "x".repeat(8 << 10);
    call.log("info", &most).unwrap();
    call.log("info", &format!("{most}yz")).unwrap();
    let log = call.commit().await.log;
    assert_eq!(log[0].message, most);
    assert_eq!(log[1].message, format!("{most}… (2 bytes more)"));
    let mut call = fixture.limited(Limits { log_line_bytes: 12, ..Limits::default() });
    call.log("odd", "0123456789").unwrap();
    assert_eq!(call.commit().await.log[0].message, "[odd] 012345… (4 bytes more)");
}

#[tokio::test]
async fn lines_beyond_the_limit_are_counted_and_dropped_without_an_error() {
    let fixture = Fixture::new().await;
    let mut call = fixture.limited(Limits { log_lines: 2, ..Limits::default() });
    for number in 0..5 {
        assert_eq!(call.log("info", &format!("{number}")), Ok(()));
    }
    call.log_by_host(LogLevel::Error, "the host is always heard");
    assert_eq!(
        lines(&call.commit().await.log),
        [
            ("info", "0"),
            ("info", "1"),
            ("error", "the host is always heard"),
            ("warn", "3 more log lines were dropped; one invocation keeps 2 (log-lines)"),
        ]
    );
}

#[tokio::test]
async fn the_log_survives_a_rollback_with_plugin_invocation_and_time() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    let id = call.id();
    call.insert("item", r#"{"sku":"A","name":"n"}"#).await.unwrap();
    fixture.clock.advance(3);
    call.log("warn", "about to fail").unwrap();
    call.refuse().await;
    let kept = kept(&fixture, ALPHA).await;
    assert_eq!(kept.len(), 1);
    let line = &kept[0];
    assert_eq!((line.level, line.message.as_str()), (LogLevel::Warn, "about to fail"));
    assert_eq!((line.plugin.as_str(), line.invocation), ("inventory", id));
    assert_eq!(line.at.to_rfc3339(), "2026-01-01T09:00:03+00:00");
    assert!(fixture.found("item", "").await.is_empty());
}

#[tokio::test]
async fn a_tenants_log_is_its_own() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call_in(BETA);
    call.log("info", "theirs").unwrap();
    call.commit().await;
    assert!(kept(&fixture, ALPHA).await.is_empty());
    assert_eq!(kept(&fixture, BETA).await.len(), 1);
}

#[tokio::test]
async fn a_line_longer_than_any_call_may_be_is_cut_like_any_other() {
    let fixture = Fixture::new().await;
    let mut call = fixture.limited(Limits { call_bytes: 100, log_line_bytes: 5, ..Limits::default() });
    call.log("info", &"x".repeat(1000)).unwrap();
    // Nor is it the first excess of something: that is still to be told.
    assert!(
        call.insert("item", &" ".repeat(1000)).await.unwrap_err().starts_with("limit-exceeded: call-bytes")
    );
    assert_eq!(lines(&call.commit().await.log), [("info", "xxxxx… (995 bytes more)")]);
}
