//! What the commands about tenants print.

use std::fmt::Write as _;

use erp_plugin::portable::{Contents, Imported};
use erp_plugin::{DeletionReceipt, TenantId, TenantState};
use serde_json::{Value as Json, json};

use crate::output::{HEADING, styled};
use crate::values::grouped;

pub(super) fn state_json(tenant: &TenantId, state: TenantState) -> Json {
    json!({ "tenant": tenant.as_str(), "state": state.as_str() })
}

pub(super) fn table(tenants: &[(TenantId, TenantState)]) -> String {
    if tenants.is_empty() {
        return "no tenants; `erp-plugin tenants create` makes one\n".to_owned();
    }
    let width =
        tenants.iter().map(|(tenant, _)| tenant.as_str().len()).max().unwrap_or(0).max("tenant".len());
    let mut text = styled(HEADING, format!("{:width$}  state", "tenant"));
    text.push('\n');
    for (tenant, state) in tenants {
        let _ = writeln!(text, "{:width$}  {}", tenant.as_str(), state.as_str());
    }
    text
}

pub(super) fn receipt_text(receipt: &DeletionReceipt) -> String {
    let DeletionReceipt { tenant, at, erased } = receipt;
    let mut text = format!("{tenant} is deleted: {} rows, {}", erased.total(), at.to_rfc3339());
    for (table, rows) in &erased.rows {
        let _ = write!(text, "\n  {table:40} {rows:>10}");
    }
    text
}

pub(super) fn receipt_json(receipt: &DeletionReceipt) -> Json {
    let DeletionReceipt { tenant, at, erased } = receipt;
    json!({
        "deleted": tenant.as_str(),
        "at": at.to_rfc3339(),
        "rows": erased.total(),
        "tables": erased.rows,
    })
}

pub(super) fn exported_text(tenant: &TenantId, contents: &Contents, folder: &str) -> String {
    let mut text = format!("{tenant} is exported: {} rows in {folder}", grouped(contents.rows()));
    for file in &contents.files {
        let _ = write!(text, "\n  {:40} {:>10}", file.file, file.rows);
    }
    text
}

pub(super) fn imported_text(imported: &Imported) -> String {
    let state = if imported.suspended { ", and is suspended as it was" } else { "" };
    format!("{} is imported: {} rows{state}", imported.tenant, grouped(imported.rows))
}

pub(super) fn imported_json(imported: &Imported) -> Json {
    json!({
        "imported": imported.tenant.as_str(),
        "rows": imported.rows,
        "suspended": imported.suspended,
    })
}
