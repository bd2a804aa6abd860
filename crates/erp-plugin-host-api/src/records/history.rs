//! Who changed what: reading the history of an entity's records, and pruning it.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use erp_plugin_model::limits::LimitKind;
use erp_plugin_model::page::{DEFAULT_LIMIT, MAX_LIMIT};
use erp_plugin_model::schema::{FieldType, KeptHistory};
use erp_plugin_model::value::ValueRef;
use erp_plugin_model::{EntitySchema, HostError, RecordId, Version, parse};
use erp_plugin_storage::{
    ChangeFilter, ChangePlace, ErrorKind, HistoryQuery, HistorySink, NotedChange, SinkFlow, StorageError,
    StorageResult, Verb,
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::RECORD;
use crate::error::CallResult;
use crate::invocation::Invocation;
use crate::json::{changes, syntax_error, write};

impl Invocation {
    /// Answers with a page of the changes to an entity's records, or to one of them, the newest first:
    /// `{"items":[{"id":"…","version":2,"verb":"update","at":"…","by":"…","caused_by":…,"plugin":…,"plugin_version":…,
    /// "invocation":"…","changes":{"on_hand":{"from":5,"to":3}}}],"next_cursor":"…"|null}`. Takes a page
    /// `{"limit":50,"cursor":"…","since":"2026-01-31T00:00:00Z","until":"…","by":"ada","verb":"delete"}`: from the one moment
    /// on and before the other, by one user or plugin, of one kind. Takes the right to read the entity. Also of a record that was purged; of one that never
    /// was, or is another tenant's, the page is empty.
    pub async fn history(&mut self, entity: &str, id: Option<&str>, page: &[u8]) -> CallResult<Vec<u8>> {
        self.enter(entity.len() + id.map_or(0, str::len) + page.len())?;
        let readable = self.readable(entity).await?;
        let (schema, seen) = (readable.entity.schema(), readable.seen());
        let page = Page::read(schema, id, page)?;
        // A text that is no id is no record's.
        let record = match id.map(RecordId::parse) {
            Some(None) => return Ok(b"{\"items\":[],\"next_cursor\":null}".to_vec()),
            record => record.flatten(),
        };
        // What was noted of a field that is there no longer, or was called otherwise, may have taken a permission then:
        // whoever needs one for the entity needs one for it.
        let permissions = Arc::clone(&self.permissions);
        let shows = |key: &str| match schema.position(key) {
            Some(position) => seen.shows(position),
            None => permissions.allows(&format!("{}.read.field:{key}", schema.name)),
        };
        let is_guarded = readable.by_permission && !schema.is_dynamic();
        let mut sink = PageSink {
            binding: &page.binding,
            shows: is_guarded.then_some(&shows as changes::Shows<'_>),
            limit: page.limit,
            rows_left: self.budget.rows_left(),
            max_bytes: self.budget.limits().call_bytes,
            rows: 0,
            cursor: None,
            overflow: None,
            out: Vec::with_capacity(RECORD),
        };
        sink.out.extend_from_slice(b"{\"items\":[");
        self.budget.statement();
        let query = HistoryQuery { record, filter: page.filter(), after: page.after, limit: page.limit };
        let more = self.transaction().await?.history(&schema.name, query, &mut sink).await?;
        let PageSink { rows, cursor, overflow, mut out, .. } = sink;
        self.budget.rows_read(u64::from(rows));
        match overflow {
            Some(LimitKind::RowsRead) => return Err(self.budget.too_many_rows()),
            Some(kind) => return Err(self.budget.exceeded(kind, out.len() as u64)),
            None => {}
        }
        out.extend_from_slice(b"],\"next_cursor\":");
        match cursor.filter(|_| more) {
            Some(cursor) => write::string(&cursor, &mut out),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
        self.budget.transfer(out.len())?;
        Ok(out)
    }

    /// Removes for good what the entity's manifest does not keep any longer, the oldest changes first, as many as the
    /// invocation may still write; returns how many. A caller that gets as many as it could have had asks again in
    /// another invocation.
    pub async fn prune_history(&mut self, entity: &str) -> CallResult<u64> {
        self.enter(entity.len())?;
        let entity = self.writable(entity, "purge")?.entity;
        let schema = entity.schema();
        let before = oldest_kept(schema, self.now)?;
        let left = self.budget.writes_left();
        if left == 0 {
            let wanted = self.budget.used().rows_written.saturating_add(1);
            return Err(self.budget.exceeded(LimitKind::RowsWritten, wanted));
        }
        self.budget.statement();
        let limit = u32::try_from(left).unwrap_or(u32::MAX);
        let pruned = self.transaction().await?.prune_history(&schema.name, before, limit).await?;
        self.budget.rows_written(pruned)?;
        Ok(pruned)
    }
}

/// Since when an entity's history is kept.
fn oldest_kept(schema: &EntitySchema, now: DateTime<Utc>) -> Result<DateTime<Utc>, HostError> {
    let name = &schema.name;
    match schema.history {
        KeptHistory::Days(days) => now.checked_sub_signed(Duration::days(i64::from(days))).ok_or_else(|| {
            HostError::invalid(format!("{name} keeps its history for longer than there is time"))
        }),
        KeptHistory::Forever => Err(HostError::invalid(format!(
            "{name} keeps its history for ever; limit it with history = {{ keep-days = … }} in plugin.toml"
        ))),
        KeptHistory::None => Err(HostError::invalid(format!("{name} keeps no history (history = false)"))),
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPage {
    limit: Option<u64>,
    cursor: Option<String>,
    since: Option<String>,
    until: Option<String>,
    by: Option<String>,
    verb: Option<String>,
}

/// Which page is asked for.
struct Page {
    limit: u32,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    by: Option<String>,
    verb: Option<Verb>,
    after: Option<ChangePlace>,
    /// What its cursor is bound to.
    binding: String,
}

impl Page {
    fn read(schema: &EntitySchema, id: Option<&str>, bytes: &[u8]) -> Result<Self, HostError> {
        let raw: RawPage = if bytes.is_empty() {
            RawPage::default()
        } else {
            serde_json::from_slice(bytes).map_err(|error| syntax_error("page", &error))?
        };
        let limit = raw.limit.unwrap_or(u64::from(DEFAULT_LIMIT));
        let limit =
            u32::try_from(limit).ok().filter(|limit| (1..=MAX_LIMIT).contains(limit)).ok_or_else(|| {
                HostError::invalid(format!(
                    "page: limit must be 1 to {MAX_LIMIT}, not {limit}; use the cursor for more"
                ))
            })?;
        let id = id.and_then(RecordId::parse).map(|id| id.to_string()).unwrap_or_default();
        let since = raw.since.as_deref().map(|text| moment("since", text)).transpose()?;
        let until = raw.until.as_deref().map(|text| moment("until", text)).transpose()?;
        let verb = raw.verb.as_deref().map(verb).transpose()?;
        let mut digest = format!("history\n{}\n{id}", schema.name);
        if since.is_some() || until.is_some() || raw.by.is_some() || verb.is_some() {
            let _ = write!(digest, "\n{since:?}\n{until:?}\n{verb:?}\n{:?}", raw.by);
        }
        let digest = Sha256::digest(digest);
        let binding = URL_SAFE_NO_PAD.encode(digest.get(..8).unwrap_or_default());
        let after = raw.cursor.map(|text| read_cursor(&binding, &text)).transpose()?;
        Ok(Self { limit, since, until, by: raw.by, verb, after, binding })
    }

    fn filter(&self) -> ChangeFilter<'_> {
        ChangeFilter { since: self.since, until: self.until, by: self.by.as_deref(), verb: self.verb }
    }
}

fn moment(key: &str, text: &str) -> Result<DateTime<Utc>, HostError> {
    parse::datetime(text).map_err(|reason| HostError::invalid(format!("page: {key} {reason}")))
}

fn verb(text: &str) -> Result<Verb, HostError> {
    Verb::BY_RANK.into_iter().find(|verb| verb.as_str() == text).ok_or_else(|| {
        let known = Verb::BY_RANK.map(Verb::as_str).join(", ");
        HostError::invalid(format!("page: verb must be one of {known}, not {}", parse::quote(text)))
    })
}

/// A cursor, before it is wrapped: what it is bound to, then the place of the last change.
type Cursor = (String, i64, String, i64, i64);

fn write_cursor(binding: &str, place: ChangePlace) -> String {
    let ChangePlace { at, record, version, verb } = place;
    let cursor: Cursor =
        (binding.to_owned(), at.timestamp_micros(), record.to_string(), version.get(), verb.rank());
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).unwrap_or_default())
}

fn read_cursor(binding: &str, text: &str) -> Result<ChangePlace, HostError> {
    let broken = || HostError::invalid("page: cursor is not one that a history gave; begin without one");
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| broken())?;
    let (bound, at, record, version, rank): Cursor = serde_json::from_slice(&json).map_err(|_| broken())?;
    if bound != binding {
        return Err(HostError::invalid(
            "page: cursor belongs to another history; keep entity, record and filter the same from page to page",
        ));
    }
    Ok(ChangePlace {
        at: DateTime::from_timestamp_micros(at).ok_or_else(broken)?,
        record: RecordId::parse(&record).ok_or_else(broken)?,
        version: Version::new(version).ok_or_else(broken)?,
        verb: Verb::of_rank(rank).ok_or_else(broken)?,
    })
}

/// Writes the changes of a page as they are read, and stops when there are too many or too large.
struct PageSink<'a> {
    binding: &'a str,
    /// The fields that are shown, where that is not all.
    shows: Option<changes::Shows<'a>>,
    limit: u32,
    rows_left: u64,
    max_bytes: u64,
    rows: u32,
    cursor: Option<String>,
    /// The limit that there was more than.
    overflow: Option<LimitKind>,
    out: Vec<u8>,
}

impl HistorySink for PageSink<'_> {
    fn change(&mut self, change: &NotedChange<'_>) -> StorageResult<SinkFlow> {
        if u64::from(self.rows) >= self.rows_left {
            self.overflow = Some(LimitKind::RowsRead);
            return Ok(SinkFlow::Stop);
        }
        if self.rows > 0 {
            self.out.push(b',');
        }
        item(change, self.shows, &mut self.out)?;
        self.rows += 1;
        if self.out.len() as u64 > self.max_bytes {
            self.overflow = Some(LimitKind::CallBytes);
            return Ok(SinkFlow::Stop);
        }
        if self.rows == self.limit {
            self.cursor = Some(write_cursor(self.binding, change.place));
        }
        Ok(SinkFlow::Continue)
    }
}

fn item(change: &NotedChange<'_>, shows: Option<changes::Shows<'_>>, out: &mut Vec<u8>) -> StorageResult<()> {
    let ChangePlace { at, record, version, verb } = change.place;
    out.extend_from_slice(b"{\"id\":");
    write::value(&FieldType::Text, ValueRef::Uuid(record.0), out);
    let text = |text: Option<_>| text.map_or(ValueRef::Null, ValueRef::Text);
    for (key, value) in [
        ("version", ValueRef::Integer(version.get())),
        ("verb", ValueRef::Text(verb.as_str())),
        ("at", ValueRef::DateTime(at)),
        ("by", ValueRef::Text(change.by)),
        ("caused_by", text(change.caused_by)),
        ("plugin", text(change.plugin)),
        ("plugin_version", text(change.plugin_version)),
        ("invocation", ValueRef::Uuid(change.invocation.0)),
    ] {
        write::key(key, out);
        write::value(&FieldType::Text, value, out);
    }
    write::key("changes", out);
    match change.changes {
        Some(noted) => changes::write(noted, shows, out)
            .map_err(|error| StorageError::with_source(ErrorKind::Corrupt, "history", error))?,
        None => out.extend_from_slice(b"{}"),
    }
    out.push(b'}');
    Ok(())
}
