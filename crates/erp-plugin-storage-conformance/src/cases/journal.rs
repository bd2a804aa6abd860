//! What is kept of invocations, whatever becomes of what they wrote.

use std::sync::Arc;

use erp_plugin_model::usage::{InvocationRecord, LogLevel, LogLine, Usage};
use erp_plugin_model::{ErrorCode, UserId};
use erp_plugin_storage::{LogQuery, Storage, StoredLogLine, UsageTotal};

use crate::fixture::{ALPHA, BETA, invocation, plugin, read, time, write};

const ALL: LogQuery = LogQuery { plugin: None, min_level: LogLevel::Trace, limit: 1000 };

pub async fn a_record_is_kept_with_a_commit_and_with_a_rollback(storage: Arc<dyn Storage>) {
    let (kept, undone) = (invocation("sales", None), invocation("sales", Some(ErrorCode::Rejected)));
    write(&storage, ALPHA).await.commit(Some(&kept)).await.unwrap();
    write(&storage, ALPHA).await.rollback(Some(&undone)).await.unwrap();
    let mut transaction = read(&storage, ALPHA).await;
    let expected = [&kept, &undone].map(|record| StoredLogLine {
        plugin: plugin("sales"),
        invocation: record.id,
        level: LogLevel::Info,
        message: "sales was here".to_owned(),
        at: time(1),
    });
    assert_eq!(transaction.log(&ALL).await.unwrap(), expected);
    let usage = Usage { fuel: 2000, micros: 40, host_calls: 6, ..Usage::default() };
    let total = UsageTotal { plugin: plugin("sales"), invocations: 2, failed: 1, usage };
    assert_eq!(transaction.usage().await.unwrap(), [total]);
}

pub async fn a_read_transaction_keeps_its_record_too(storage: Arc<dyn Storage>) {
    read(&storage, ALPHA).await.commit(Some(&invocation("sales", None))).await.unwrap();
    let failed = invocation("sales", Some(ErrorCode::Internal));
    read(&storage, ALPHA).await.rollback(Some(&failed)).await.unwrap();
    let totals = read(&storage, ALPHA).await.usage().await.unwrap();
    assert_eq!(totals.iter().map(|total| (total.invocations, total.failed)).collect::<Vec<_>>(), [(2, 1)]);
}

pub async fn a_drop_keeps_no_record_and_nor_does_none(storage: Arc<dyn Storage>) {
    drop(write(&storage, ALPHA).await);
    write(&storage, ALPHA).await.commit(None).await.unwrap();
    write(&storage, ALPHA).await.rollback(None).await.unwrap();
    let mut transaction = read(&storage, ALPHA).await;
    assert_eq!(transaction.log(&ALL).await.unwrap(), []);
    assert_eq!(transaction.usage().await.unwrap(), []);
}

pub async fn usage_is_summed_by_plugin_and_peak_memory_is_the_largest(storage: Arc<dyn Storage>) {
    let used = |n: u64| Usage {
        fuel: n,
        micros: 2 * n,
        peak_memory: 1000 - n,
        host_calls: 3 * n,
        rows_read: 4 * n,
        rows_written: 5 * n,
        bytes: 6 * n,
        events: 7 * n,
    };
    for (name, n) in [("stock", 1), ("sales", 10), ("sales", 20), ("sales", 30)] {
        let record = InvocationRecord { usage: used(n), ..invocation(name, None) };
        write(&storage, ALPHA).await.commit(Some(&record)).await.unwrap();
    }
    write(&storage, BETA).await.commit(Some(&invocation("sales", None))).await.unwrap();
    let total =
        |name: &str, invocations, usage| UsageTotal { plugin: plugin(name), invocations, failed: 0, usage };
    let expected = [total("sales", 3, Usage { peak_memory: 990, ..used(60) }), total("stock", 1, used(1))];
    assert_eq!(read(&storage, ALPHA).await.usage().await.unwrap(), expected);
}

pub async fn large_figures_do_not_break_the_sums(storage: Arc<dyn Storage>) {
    let huge = Usage { fuel: u64::MAX, bytes: u64::MAX, ..Usage::default() };
    for _ in 0..3 {
        let record = InvocationRecord { usage: huge, ..invocation("sales", None) };
        write(&storage, ALPHA).await.commit(Some(&record)).await.unwrap();
    }
    let totals = read(&storage, ALPHA).await.usage().await.unwrap();
    assert!(totals[0].usage.fuel >= 3 * ((1 << 53) - 1));
}

async fn logged(storage: &Arc<dyn Storage>) {
    let levels = [LogLevel::Trace, LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];
    for (seconds, name) in (0..).zip(["sales", "stock", "sales"]) {
        let line = |level: LogLevel| LogLine {
            level,
            message: format!("{name} {seconds} {}", level.as_str()),
            at: time(seconds),
        };
        let record = InvocationRecord { log: levels.map(line).into(), ..invocation(name, None) };
        write(storage, ALPHA).await.commit(Some(&record)).await.unwrap();
    }
}

async fn messages(storage: &Arc<dyn Storage>, query: &LogQuery) -> Vec<String> {
    let lines = read(storage, ALPHA).await.log(query).await.unwrap();
    lines.into_iter().map(|line| line.message).collect()
}

pub async fn log_lines_are_chosen_by_plugin_and_severity(storage: Arc<dyn Storage>) {
    logged(&storage).await;
    assert_eq!(messages(&storage, &ALL).await.len(), 15);
    let warnings = LogQuery { plugin: Some(plugin("sales")), min_level: LogLevel::Warn, ..ALL };
    let expected = ["sales 0 warn", "sales 0 error", "sales 2 warn", "sales 2 error"];
    assert_eq!(messages(&storage, &warnings).await, expected);
    let nobody = LogQuery { plugin: Some(plugin("nobody")), ..ALL };
    assert!(messages(&storage, &nobody).await.is_empty());
}

pub async fn the_newest_log_lines_come_the_oldest_of_them_first(storage: Arc<dyn Storage>) {
    logged(&storage).await;
    let newest = LogQuery { limit: 3, ..ALL };
    assert_eq!(messages(&storage, &newest).await, ["sales 2 info", "sales 2 warn", "sales 2 error"]);
    let newest = LogQuery { limit: 3, min_level: LogLevel::Error, ..ALL };
    assert_eq!(messages(&storage, &newest).await, ["sales 0 error", "stock 1 error", "sales 2 error"]);
}

pub async fn a_log_line_keeps_its_text_and_moment(storage: Arc<dyn Storage>) {
    let text = "'; DROP TABLE log_lines; -- \\u{1b}[31m 名前 \u{1F600}";
    let at = "2026-01-31T09:30:00.123456Z".parse().unwrap();
    let line = LogLine { level: LogLevel::Error, message: text.to_owned(), at };
    let record = InvocationRecord {
        log: vec![line],
        caused_by: Some(UserId::parse("anna").unwrap()),
        ..invocation("sales", None)
    };
    write(&storage, ALPHA).await.commit(Some(&record)).await.unwrap();
    let lines = read(&storage, ALPHA).await.log(&ALL).await.unwrap();
    assert_eq!(lines.iter().map(|line| (line.message.as_str(), line.at)).collect::<Vec<_>>(), [(text, at)]);
}
