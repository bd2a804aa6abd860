//! A backend whose columns cannot hold what the values are.

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use erp_plugin_model::filter::Filter;
use erp_plugin_model::page::Page;
use erp_plugin_model::{RecordId, Value, Version};
use erp_plugin_storage::{Change, Entity, QueryOutcome, RecordSink, Stamp, StorageResult, UpdateOutcome};

use super::rows::{Altered, Row};
use crate::intercept::{Interceptor, Opened};

/// What is read is what such a column would have kept.
pub(super) struct Kept(pub(super) fn(&mut Row));

/// Of each value that is there.
fn each(row: &mut Row, alter: impl Fn(&mut Value)) {
    row.values.iter_mut().for_each(alter);
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "the sabotage")]
pub(super) fn float_decimals(row: &mut Row) {
    each(row, |value| {
        if let Value::Decimal(units) = value {
            *units = (*units as f64 / 100.0 * 100.0).round() as i64;
        }
    });
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "the sabotage")]
pub(super) fn float_integers(row: &mut Row) {
    each(row, |value| {
        if let Value::Integer(number) = value {
            *number = *number as f64 as i64;
        }
    });
}

fn to_the_millisecond(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(3)
}

pub(super) fn millisecond_times(row: &mut Row) {
    each(row, |value| {
        if let Value::DateTime(time) = value {
            *time = to_the_millisecond(*time);
        }
    });
}

pub(super) fn millisecond_stamps(row: &mut Row) {
    row.created_at = to_the_millisecond(row.created_at);
    row.updated_at = to_the_millisecond(row.updated_at);
}

pub(super) fn empty_text_is_absent(row: &mut Row) {
    each(row, |value| {
        if matches!(value, Value::Text(text) if text.is_empty()) {
            *value = Value::Null;
        }
    });
}

pub(super) fn padded_text(row: &mut Row) {
    each(row, |value| {
        if let Value::Text(text) = value {
            text.truncate(text.trim_end_matches(' ').len());
        }
    });
}

/// As a column of MySQL's `utf8` would.
pub(super) fn no_text_beyond_three_bytes(row: &mut Row) {
    each(row, |value| {
        if let Value::Text(text) = value {
            *text = text.chars().map(|c| if c > '\u{FFFF}' { '?' } else { c }).collect();
        }
    });
}

pub(super) fn json_numbers_are_floats(row: &mut Row) {
    each(row, |value| {
        if let Value::Json(text) = value {
            let number = serde_json::from_str::<f64>(text).ok();
            if let Some(number) = number {
                *text = number.to_string();
            }
        }
    });
}

#[async_trait]
impl Interceptor for Kept {
    async fn get(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        id: RecordId,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<bool> {
        opened.inner().get(entity, id, &mut Altered { entity, sink, alter: self.0 }).await
    }

    async fn query(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<QueryOutcome> {
        opened.inner().query(entity, filter, page, &mut Altered { entity, sink, alter: self.0 }).await
    }

    async fn update(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        id: RecordId,
        expected: Version,
        change: Change<'_>,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<UpdateOutcome> {
        let mut sink = Altered { entity, sink, alter: self.0 };
        opened.inner().update(entity, id, expected, change, stamp, &mut sink).await
    }
}
