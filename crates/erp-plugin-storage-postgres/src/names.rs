//! Names and ids out of the system's own tables. They were valid when written; one that is not is damage.

use chrono::{DateTime, Utc};
use erp_plugin_model::event::{EventPattern, Publisher};
use erp_plugin_model::{EventType, JobName, PluginName, TenantId, UserId};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::columns::Raw;
use crate::error::{Error, Result};
use crate::row::{present, raw};

/// A text column.
pub(crate) fn read_text(row: &Row, column: usize) -> Result<&str> {
    present(row, column)?.text()
}

/// A text column, or nothing.
pub(crate) fn read_some_text(row: &Row, column: usize) -> Result<Option<String>> {
    raw(row, column)?.map(|text| Ok(text.text()?.to_owned())).transpose()
}

/// A tenant's id.
pub(crate) fn read_tenant(row: &Row, column: usize) -> Result<TenantId> {
    TenantId::parse(read_text(row, column)?).map_err(|_| Error::Unreadable("tenant id"))
}

/// A plugin's name.
pub(crate) fn read_plugin(row: &Row, column: usize) -> Result<PluginName> {
    PluginName::parse(read_text(row, column)?).map_err(|_| Error::Unreadable("plugin name"))
}

/// A job's name.
pub(crate) fn read_job(row: &Row, column: usize) -> Result<JobName> {
    JobName::parse(read_text(row, column)?).map_err(|_| Error::Unreadable("job name"))
}

/// An event's type.
pub(crate) fn read_event_type(row: &Row, column: usize) -> Result<EventType> {
    EventType::parse(read_text(row, column)?).map_err(|_| Error::Unreadable("event type"))
}

/// Which events are subscribed to.
pub(crate) fn read_pattern(row: &Row, column: usize) -> Result<EventPattern> {
    EventPattern::parse(read_text(row, column)?).map_err(|_| Error::Unreadable("event pattern"))
}

/// Who published an event.
pub(crate) fn read_publisher(row: &Row, column: usize) -> Result<Publisher> {
    Publisher::parse(read_text(row, column)?).map_err(|_| Error::Unreadable("publisher"))
}

/// A version of a plugin.
pub(crate) fn read_semver(row: &Row, column: usize) -> Result<semver::Version> {
    semver::Version::parse(read_text(row, column)?).map_err(|_| Error::Unreadable("plugin version"))
}

/// A user's id, or nobody's.
pub(crate) fn read_user(row: &Row, column: usize) -> Result<Option<UserId>> {
    match raw(row, column)? {
        None => Ok(None),
        Some(text) => UserId::parse(text.text()?).map(Some).map_err(|_| Error::Unreadable("user id")),
    }
}

/// An id.
pub(crate) fn read_uuid(row: &Row, column: usize) -> Result<Uuid> {
    present(row, column)?.uuid()
}

/// An id, or none.
pub(crate) fn read_some_uuid(row: &Row, column: usize) -> Result<Option<Uuid>> {
    raw(row, column)?.map(Raw::uuid).transpose()
}

/// A time, or none.
pub(crate) fn read_some_time(row: &Row, column: usize) -> Result<Option<DateTime<Utc>>> {
    if raw(row, column)?.is_none() { Ok(None) } else { read_time(row, column).map(Some) }
}

/// A time.
pub(crate) fn read_time(row: &Row, column: usize) -> Result<DateTime<Utc>> {
    present(row, column)?.time()
}

/// A number.
pub(crate) fn read_integer(row: &Row, column: usize) -> Result<i64> {
    present(row, column)?.integer()
}

/// A number that counts something.
pub(crate) fn read_count<N: TryFrom<i64>>(row: &Row, column: usize) -> Result<N> {
    N::try_from(read_integer(row, column)?).map_err(|_| Error::Unreadable("count"))
}

/// True or false.
pub(crate) fn read_boolean(row: &Row, column: usize) -> Result<bool> {
    present(row, column)?.boolean()
}

/// Bytes.
pub(crate) fn read_bytes(row: &Row, column: usize) -> Result<&[u8]> {
    Ok(present(row, column)?.bytes())
}
