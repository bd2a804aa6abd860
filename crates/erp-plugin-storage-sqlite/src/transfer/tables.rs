//! The statements of a copy: where each table's rows are, and what of a row is stored.

use std::fmt::Write;

use erp_plugin_model::EntitySchema;
use erp_plugin_model::schema::SystemField;
use erp_plugin_storage::layout::folded_column;
use erp_plugin_storage::transfer::TenantTable;

use crate::statements::quote;

/// What an event has beside its number.
const EVENT: [&str; 10] = [
    "id",
    "event_type",
    "key",
    "payload",
    "publisher",
    "invocation",
    "ordinal",
    "caused_by",
    "depth",
    "published_at",
];
/// The event's id stands in its own row.
const EVENT_OF_DELIVERY: &str = "o.id";

/// How rows are written.
pub(super) struct Target {
    /// Tenant, then [`values`](Self::values), then [`folds`](Self::folds).
    pub(super) sql: String,
    /// The places in a row of what is stored.
    pub(super) values: Vec<usize>,
    /// The places in a row of the texts that are also stored folded.
    pub(super) folds: Vec<usize>,
}

/// How the rows of a table are read: tenant, how many, and after which key. An unnumbered event comes without its first
/// value, its place, and takes as key how many are passed over.
pub(super) fn select(table: TenantTable<'_>, after: bool) -> String {
    let columns: Vec<String> = columns(table).iter().map(|name| qualified(name)).collect();
    let filter = match table {
        TenantTable::NumberedEvents => " AND t.numbered = 1",
        TenantTable::UnnumberedEvents => " AND t.numbered = 0",
        _ => "",
    };
    let join = match table {
        TenantTable::Deliveries => " LEFT JOIN outbox AS o ON o.seq = t.event",
        _ => "",
    };
    let mut sql = format!(
        "SELECT {} FROM {} AS t{join} WHERE t.tenant_id = ?1{filter}",
        columns.join(", "),
        physical(table)
    );
    if matches!(table, TenantTable::UnnumberedEvents) {
        let _ = write!(sql, " ORDER BY t.seq LIMIT ?2{}", if after { " OFFSET ?3" } else { "" });
        return sql;
    }
    let key = columns.iter().take(table.key()).cloned().collect::<Vec<_>>().join(", ");
    if after {
        let parameters: Vec<String> = (3..3 + table.key()).map(|number| format!("?{number}")).collect();
        let _ = write!(sql, " AND ({key}) > ({})", parameters.join(", "));
    }
    let _ = write!(sql, " ORDER BY {key} LIMIT ?2");
    sql
}

/// How the rows of a table are written.
pub(super) fn insert(table: TenantTable<'_>) -> Target {
    if matches!(table, TenantTable::Streams) {
        // With a minimum SQLite gives the other columns of its row, and where there is none one row of NULL.
        let sql = "INSERT INTO streams (tenant_id, plugin, key, last_number, token, head, head_event)
             SELECT ?1, ?2, ?3, ?4, ?5, coalesce(min(number), ?4 + 1), event FROM deliveries
             WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3 AND status = 'pending'";
        return Target { sql: sql.to_owned(), values: (0..4).collect(), folds: Vec::new() };
    }
    let (mut names, mut parameters) = match table {
        TenantTable::NumberedEvents => ("numbered, tenant_id".to_owned(), "1, ?1".to_owned()),
        // Their numbers SQLite gives, each greater than all that there are.
        TenantTable::UnnumberedEvents => ("numbered, tenant_id".to_owned(), "0, ?1".to_owned()),
        _ => ("tenant_id".to_owned(), "?1".to_owned()),
    };
    let first = usize::from(matches!(table, TenantTable::UnnumberedEvents));
    let (stored, values): (Vec<String>, Vec<usize>) =
        columns(table).into_iter().zip(first..).filter(|(name, _)| name != EVENT_OF_DELIVERY).unzip();
    let (folded, folds): (Vec<String>, Vec<usize>) = match table {
        TenantTable::Records(schema) => folded(schema).unzip(),
        _ => Default::default(),
    };
    for (name, parameter) in stored.iter().chain(&folded).zip(2..) {
        let _ = write!(names, ", {name}");
        let _ = write!(parameters, ", ?{parameter}");
    }
    let sql = format!("INSERT INTO {} ({names}) VALUES ({parameters})", physical(table));
    Target { sql, values, folds }
}

fn physical(table: TenantTable<'_>) -> String {
    let name = match table {
        TenantTable::Activations => "activations",
        TenantTable::Subscriptions => "subscriptions",
        TenantTable::Config => "plugin_config",
        TenantTable::Roles => "roles",
        TenantTable::RoleAssignments => "role_assignments",
        TenantTable::NumberSeries => "number_series",
        TenantTable::NumberedEvents | TenantTable::UnnumberedEvents => "outbox",
        TenantTable::Deliveries => "deliveries",
        TenantTable::Streams => "streams",
        TenantTable::Invocations => "invocations",
        TenantTable::LogLines => "log_lines",
        TenantTable::History => "record_history",
        TenantTable::Records(schema) => return quote(&schema.name.table()),
    };
    name.to_owned()
}

/// The columns of a row in its order; of an unnumbered event those behind its place.
fn columns(table: TenantTable<'_>) -> Vec<String> {
    let system: &[&str] = match table {
        TenantTable::Activations => &["plugin", "version", "enabled", "tenant_told"],
        TenantTable::Subscriptions => &["plugin", "ordinal", "pattern", "own_events"],
        TenantTable::Config => &["plugin", "key", "value"],
        TenantTable::Roles => &["role", "permissions"],
        TenantTable::RoleAssignments => &["user_id", "role"],
        TenantTable::NumberSeries => &["entity", "field", "series", "last_number"],
        TenantTable::NumberedEvents => {
            return ["seq"].into_iter().chain(EVENT).map(str::to_owned).collect();
        }
        TenantTable::UnnumberedEvents => &EVENT,
        TenantTable::Deliveries => &[
            "plugin",
            "key",
            "number",
            "event",
            EVENT_OF_DELIVERY,
            "status",
            "token",
            "attempts",
            "last_error",
            "failed_at",
        ],
        TenantTable::Streams => &["plugin", "key", "last_number", "token"],
        TenantTable::Invocations => &[
            "id",
            "plugin",
            "plugin_version",
            "trigger",
            "caused_by",
            "started_at",
            "error",
            "fuel",
            "micros",
            "peak_memory",
            "host_calls",
            "rows_read",
            "rows_written",
            "bytes",
            "events",
        ],
        TenantTable::LogLines => &["at", "invocation", "ordinal", "plugin", "level", "message"],
        TenantTable::History => &[
            "entity",
            "record",
            "version",
            "verb",
            "at",
            "changed_by",
            "caused_by",
            "plugin",
            "plugin_version",
            "invocation",
            "changes",
        ],
        TenantTable::Records(schema) => return record(schema),
    };
    system.iter().map(|name| (*name).to_owned()).collect()
}

fn record(schema: &EntitySchema) -> Vec<String> {
    let system = SystemField::ALL.into_iter().map(|field| field.as_str().to_owned());
    let deleted = ["deleted_at", "deleted_by"].map(str::to_owned);
    let document = schema.is_dynamic().then(|| quote("data"));
    let fields = schema.fields().iter().map(|field| quote(field.column()));
    system.chain(deleted).chain(document).chain(fields).collect()
}

/// The columns of folds, and the places in a row of what they fold.
fn folded(schema: &EntitySchema) -> impl Iterator<Item = (String, usize)> {
    let first = SystemField::ALL.len() + 2;
    let searchable = schema.fields().iter().zip(first..).filter(|(field, _)| field.searchable);
    searchable.map(|(field, position)| (quote(&folded_column(field)), position))
}

/// A column of the table itself, unless it says whose it is. No quoted name has a dot.
fn qualified(name: &str) -> String {
    if name.contains('.') { name.to_owned() } else { format!("t.{name}") }
}
