//! Names and ids out of the system's own tables. They were valid when written; one that is not is damage.

use chrono::{DateTime, Utc};
use erp_plugin_model::event::{EventPattern, Publisher};
use erp_plugin_model::{EventType, JobName, PluginName, TenantId, UserId};
use rusqlite::Row;
use rusqlite::types::ValueRef;
use uuid::Uuid;

use crate::columns;
use crate::error::{Error, Result};

/// A text column.
pub(crate) fn read_text<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r str> {
    match row.get_ref(column)? {
        ValueRef::Text(bytes) => columns::text(bytes),
        _ => Err(Error::Unreadable("text")),
    }
}

/// A tenant's id.
pub(crate) fn read_tenant(row: &Row<'_>, column: usize) -> Result<TenantId> {
    TenantId::parse(read_text(row, column)?).map_err(|_| Error::Unreadable("tenant id"))
}

/// A plugin's name.
pub(crate) fn read_plugin(row: &Row<'_>, column: usize) -> Result<PluginName> {
    PluginName::parse(read_text(row, column)?).map_err(|_| Error::Unreadable("plugin name"))
}

/// A job's name.
pub(crate) fn read_job(row: &Row<'_>, column: usize) -> Result<JobName> {
    JobName::parse(read_text(row, column)?).map_err(|_| Error::Unreadable("job name"))
}

/// An event's type.
pub(crate) fn read_event_type(row: &Row<'_>, column: usize) -> Result<EventType> {
    EventType::parse(read_text(row, column)?).map_err(|_| Error::Unreadable("event type"))
}

/// Which events are subscribed to.
pub(crate) fn read_pattern(row: &Row<'_>, column: usize) -> Result<EventPattern> {
    EventPattern::parse(read_text(row, column)?).map_err(|_| Error::Unreadable("event pattern"))
}

/// Who published an event.
pub(crate) fn read_publisher(row: &Row<'_>, column: usize) -> Result<Publisher> {
    Publisher::parse(read_text(row, column)?).map_err(|_| Error::Unreadable("publisher"))
}

/// A version of a plugin.
pub(crate) fn read_semver(row: &Row<'_>, column: usize) -> Result<semver::Version> {
    semver::Version::parse(read_text(row, column)?).map_err(|_| Error::Unreadable("plugin version"))
}

/// A user's id, or nobody's.
pub(crate) fn read_user(row: &Row<'_>, column: usize) -> Result<Option<UserId>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => UserId::parse(read_text(row, column)?).map(Some).map_err(|_| Error::Unreadable("user id")),
    }
}

/// An id.
pub(crate) fn read_uuid(row: &Row<'_>, column: usize) -> Result<Uuid> {
    match row.get_ref(column)? {
        ValueRef::Blob(bytes) => columns::uuid(bytes),
        _ => Err(Error::Unreadable("id")),
    }
}

/// A time that may be absent.
pub(crate) fn read_some_time(row: &Row<'_>, column: usize) -> Result<Option<DateTime<Utc>>> {
    row.get::<_, Option<i64>>(column)?.map(columns::datetime).transpose()
}

/// A time.
pub(crate) fn read_time(row: &Row<'_>, column: usize) -> Result<DateTime<Utc>> {
    columns::datetime(row.get(column)?)
}
