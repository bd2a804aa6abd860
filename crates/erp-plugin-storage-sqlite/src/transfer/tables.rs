//! The statements of a copy: where each table's rows are, and what of a row is stored.

use std::fmt::Write;

use erp_plugin_model::EntitySchema;
use erp_plugin_model::schema::SystemField;
use erp_plugin_storage::layout::folded_column;
use erp_plugin_storage::transfer::TenantTable;

use crate::statements::quote;

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
        let sql = "INSERT INTO streams (tenant_id, plugin, key, last_number, token, head_event)
             SELECT ?1, ?2, ?3, ?4, ?5, (
                 SELECT event FROM deliveries
                 WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3 AND status = 'pending' ORDER BY number LIMIT 1
             )";
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
        TenantTable::Jobs => "jobs",
        TenantTable::JobRuns => "job_runs",
        TenantTable::Invocations => "invocations",
        TenantTable::LogLines => "log_lines",
        TenantTable::Audit => "audit",
        TenantTable::History => "record_history",
        TenantTable::Records(schema) => return quote(&schema.name.table()),
        TenantTable::Archived(archived) => return quote(&archived.kept_as),
    };
    name.to_owned()
}

/// The columns of a row in its order, as this database has them; of an unnumbered event those behind its place.
fn columns(table: TenantTable<'_>) -> Vec<String> {
    let column = |name: String| match (table, name.as_str()) {
        (TenantTable::NumberedEvents, "number") => "seq".to_owned(),
        (TenantTable::Deliveries, "event") => EVENT_OF_DELIVERY.to_owned(),
        (TenantTable::Deliveries, "event_number") => "event".to_owned(),
        _ => quote(&name),
    };
    let skipped = usize::from(matches!(table, TenantTable::UnnumberedEvents));
    table.columns().into_iter().skip(skipped).map(|own| column(own.name)).collect()
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
