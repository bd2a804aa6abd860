//! The statements of a copy: where each table's rows are, and what of a row is stored.

use std::fmt::Write;

use erp_plugin_model::EntitySchema;
use erp_plugin_model::schema::SystemField;
use erp_plugin_storage::layout::folded_column;
use erp_plugin_storage::transfer::TenantTable;
use tokio_postgres::types::Type;

use crate::columns::ColumnType;
use crate::connection::quote;
use crate::statements::{Text, table as named};

/// How the rows of a table are read: tenant, how many, and after which key. An unnumbered event comes without its first
/// value, its place, and takes as key how many are passed over.
pub(super) fn select(table: TenantTable<'_>, after: bool) -> Text {
    let unnumbered = matches!(table, TenantTable::UnnumberedEvents);
    let columns = columns(table);
    let listed = columns.iter().skip(usize::from(unnumbered)).cloned().collect::<Vec<_>>().join(", ");
    let filter = match table {
        TenantTable::NumberedEvents => " AND seq IS NOT NULL",
        TenantTable::UnnumberedEvents => " AND seq IS NULL",
        _ => "",
    };
    let mut sql = format!("SELECT {listed} FROM {} WHERE tenant_id = $1{filter}", physical(table));
    let mut types = vec![Type::TEXT, Type::INT8];
    if after {
        let key = table.columns();
        types.extend(key.iter().take(table.key()).map(|own| ColumnType::of(&own.field_type).parameter()));
    }
    if unnumbered {
        let offset = if after { " OFFSET $3" } else { "" };
        let _ = write!(sql, " ORDER BY xact, invocation, ordinal LIMIT $2{offset}");
        return Text { sql, types };
    }
    let key = columns.iter().take(table.key()).cloned().collect::<Vec<_>>().join(", ");
    if after {
        let parameters: Vec<String> = (3..3 + table.key()).map(|number| format!("${number}")).collect();
        let _ = write!(sql, " AND ({key}) > ({})", parameters.join(", "));
    }
    let _ = write!(sql, " ORDER BY {key} LIMIT $2");
    Text { sql, types }
}

/// How the rows of a table are written: tenant, then an array for each column, then one for each fold.
pub(super) fn insert(table: TenantTable<'_>) -> Text {
    let mut stored = columns(table);
    let mut types: Vec<ColumnType> =
        table.columns().iter().map(|own| ColumnType::of(&own.field_type)).collect();
    if let TenantTable::Records(schema) = table {
        for (name, _) in folded(schema) {
            stored.push(name);
            types.push(ColumnType::Text);
        }
    }
    let arrays: Vec<String> = (2..2 + types.len()).map(|number| format!("${number}")).collect();
    let (names, arrays) = (stored.join(", "), arrays.join(", "));
    let physical = physical(table);
    let sql = if matches!(table, TenantTable::Streams) {
        format!(
            "INSERT INTO {physical} (tenant_id, {names}, waiting) SELECT $1, r.*, (
                 SELECT seq FROM erp_plugin.deliveries AS d
                 WHERE d.tenant_id = $1 AND d.plugin = r.plugin AND d.key = r.key AND d.status = 'pending'
                 ORDER BY d.number LIMIT 1
             ) FROM unnest({arrays}) AS r({names})"
        )
    } else {
        format!("INSERT INTO {physical} (tenant_id, {names}) SELECT $1, r.* FROM unnest({arrays}) AS r")
    };
    let mut all = vec![Type::TEXT];
    all.extend(types.into_iter().map(ColumnType::array));
    Text { sql, types: all }
}

fn physical(table: TenantTable<'_>) -> String {
    named(match table {
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
        TenantTable::Records(schema) => return named(&schema.name.table()),
        TenantTable::Archived(archived) => return named(&archived.kept_as),
    })
}

/// The columns of a row in its order, as this database has them.
fn columns(table: TenantTable<'_>) -> Vec<String> {
    let column = |name: String| match (table, name.as_str()) {
        (TenantTable::NumberedEvents, "number") | (TenantTable::Deliveries, "event_number") => {
            "seq".to_owned()
        }
        (TenantTable::UnnumberedEvents, "place") => "xact".to_owned(),
        _ => quote(&name),
    };
    table.columns().into_iter().map(|own| column(own.name)).collect()
}

/// The columns of folds, and the places in a row of what they fold.
pub(super) fn folded(schema: &EntitySchema) -> impl Iterator<Item = (String, usize)> {
    let first = SystemField::ALL.len() + 2;
    let searchable = schema.fields().iter().zip(first..).filter(|(field, _)| field.searchable);
    searchable.map(|(field, position)| (quote(&folded_column(field)), position))
}
