//! Tenants are kept apart by types: a transaction begins with a scope, the scope is made by the host, and no
//! contract lets a guest name a tenant.

use anyhow::Result;

use super::checkout::{Checkout, File};

/// Where what a guest says is turned into calls: nothing there may make a scope.
const GUEST_FACING: [&str; 3] = ["erp-plugin-host-api", "erp-plugin-runtime", "erp-plugin-wit"];

/// The one place where a contract speaks of a tenant: what the host tells a plugin.
const HOST_TELLS: &str = "on-tenant-created: func(tenant-id: string)";

pub(super) fn check(checkout: &Checkout) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for file in checkout.rust("crates/") {
        match file.crate_name() {
            Some("erp-plugin-storage") => problems.extend(unscoped(file)),
            Some(name) if GUEST_FACING.contains(&name) => problems.extend(made_scopes(file)),
            _ => {}
        }
    }
    for file in checkout.files.iter().filter(|file| file.path.ends_with(".wit")) {
        problems.extend(named_tenants(file));
    }
    Ok(problems)
}

/// Functions that begin a transaction without a scope as their first argument.
fn unscoped(file: &File) -> Vec<String> {
    let code: String = file.code().map(|(_, line)| line.trim()).collect::<Vec<_>>().join(" ");
    code.split("fn begin")
        .skip(1)
        .filter_map(|function| {
            let (name, arguments) = function.split_once('(')?;
            let first = arguments.split(',').find(|argument| !argument.trim().ends_with("self"))?;
            let is_scoped = first.contains("TenantScope") || first.contains("PlatformScope");
            (!is_scoped).then(|| format!("{}: begin{name} does not take a scope first", file.path))
        })
        .collect()
}

fn made_scopes(file: &File) -> impl Iterator<Item = String> {
    file.code()
        .filter(|(_, code)| code.contains("Scope::granted_by_host"))
        .map(|(line, _)| format!("{}:{line}: makes a scope where guests are served", file.path))
}

fn named_tenants(file: &File) -> impl Iterator<Item = String> {
    file.text
        .lines()
        .enumerate()
        .filter(|(_, line)| {
            let code = line.split("//").next().unwrap_or_default();
            code.contains("tenant") && !code.contains(HOST_TELLS)
        })
        .map(|(index, _)| format!("{}:{}: a contract names no tenant", file.path, index + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_begin_with_a_scope() {
        let good = "async fn begin(\n    &self,\n    scope: &TenantScope,\n    mode: Mode,\n) -> R;";
        let bad = "async fn begin_any(&self, tenant: &TenantId) -> R;";
        let checkout = Checkout::of(&[
            ("crates/erp-plugin-storage/src/good.rs", good),
            ("crates/erp-plugin-storage/src/bad.rs", bad),
        ]);
        assert_eq!(
            check(&checkout).unwrap(),
            ["crates/erp-plugin-storage/src/bad.rs: begin_any does not take a scope first"]
        );
    }

    #[test]
    fn adapters_make_no_scopes_and_contracts_name_no_tenants() {
        let checkout = Checkout::of(&[
            ("crates/erp-plugin-runtime/src/v0.rs", "let scope = TenantScope::granted_by_host(tenant);"),
            ("crates/erp-plugin-host/src/lib.rs", "let scope = TenantScope::granted_by_host(tenant);"),
            (
                "wit/v0/plugin.wit",
                "// any tenant\non-tenant-created: func(tenant-id: string) -> result<_, string>;",
            ),
            ("wit/v9/plugin.wit", "get: func(tenant: string, id: string);"),
        ]);
        let problems = check(&checkout).unwrap();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with("crates/erp-plugin-runtime/src/v0.rs:1"));
        assert!(problems[1].starts_with("wit/v9/plugin.wit:1"));
    }
}
