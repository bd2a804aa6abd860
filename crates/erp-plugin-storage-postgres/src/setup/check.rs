//! Looking whether a host can work with a database.

use chrono::{DateTime, Utc};
use tokio_postgres::Client as Driver;

use super::{SetupError, check_server, connect, differs, failed, read_schema};
use crate::connection::{Roles, quote};
use crate::found::Found;
use crate::migrations::known;
use crate::options::PostgresOptions;

/// Something that a check has looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is so, for people.
    pub what: String,
    /// What to do about it; `None` when all is well.
    pub fix: Option<String>,
}

/// Looks whether a host can work with a database: the server, the schema, the roles, the wall between tenants.
pub async fn check(options: &PostgresOptions) -> Result<Vec<Finding>, SetupError> {
    let client = connect(&options.target).await?;
    let mut findings = vec![Finding { what: check_server(&client).await?, fix: None }];
    let Some(found) = read_schema(&client).await? else {
        findings.push(Finding {
            what: "the database was never set up".to_owned(),
            fix: Some("run erp-plugin db init".to_owned()),
        });
        return Ok(findings);
    };
    findings.push(check_version(&found));
    findings.extend(check_roles(&client, options, &found).await?);
    findings.push(check_tables(&client, &found.roles).await?);
    findings.push(check_walls(&client, &found.roles).await?);
    Ok(findings)
}

/// What the server's clock says.
pub async fn clock(options: &PostgresOptions) -> Result<DateTime<Utc>, SetupError> {
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let microseconds: i64 = connect(&options.target)
        .await?
        .query_one(sql, &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|error| failed("ask for the time", &error))?;
    Ok(DateTime::from_timestamp_micros(microseconds).unwrap_or_default())
}

fn check_version(found: &Found) -> Finding {
    let what = format!("system tables, version {} of {}", found.version, known());
    let fix = if found.oldest_host > known() {
        Some("they are a newer release's; update this host".to_owned())
    } else if found.version < known() {
        Some("run erp-plugin db migrate".to_owned())
    } else {
        None
    };
    let what = match found.partitions {
        0 => what,
        partitions => format!("{what}, entities in {partitions} partitions"),
    };
    Finding { what, fix }
}

async fn check_roles(
    client: &Driver,
    options: &PostgresOptions,
    found: &Found,
) -> Result<Vec<Finding>, SetupError> {
    let Found { roles, may_work, may_migrate, .. } = found;
    let Roles { owner, app, worker } = roles;
    let mut findings = Vec::new();
    findings.push(Finding {
        what: if *may_work {
            format!("this user may work as {app} and {worker}")
        } else {
            format!("this user may not work as {app} and {worker}")
        },
        fix: (!may_work)
            .then(|| format!("GRANT {app}, {worker} TO this user, or run erp-plugin db init with it")),
    });
    let above: bool = client
        .query_one(
            "SELECT bool_or(rolsuper OR rolbypassrls) FROM pg_roles WHERE rolname IN ($1, $2)",
            &[owner, app],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|error| failed("look at the roles", &error))?;
    findings.push(Finding {
        what: format!("{owner} and {app} are {} row-level security", if above { "above" } else { "under" }),
        fix: above.then(|| format!("ALTER ROLE {app} NOSUPERUSER NOBYPASSRLS, and {owner}")),
    });
    let migrates = match &options.migration {
        None => *may_migrate,
        Some(target) => {
            let owner = connect(target).await?;
            if let Some(wrong) = differs(&owner, client).await? {
                let fix = Some("give the migration URL of this database".to_owned());
                findings.push(Finding { what: wrong, fix });
                return Ok(findings);
            }
            read_schema(&owner).await?.is_some_and(|found| found.may_migrate)
        }
    };
    findings.push(Finding {
        what: format!(
            "plugins {} be installed from here: {}",
            if migrates { "can" } else { "cannot" },
            match (&options.migration, migrates) {
                (Some(_), true) => format!("the migration URL's user may act as {owner}"),
                (Some(_), false) => format!("the migration URL's user may not act as {owner}"),
                (None, true) => format!("this user may act as {owner}"),
                (None, false) => "there is no migration URL".to_owned(),
            }
        ),
        // Without one it is as somebody wanted it who keeps the owner's rights from a host.
        fix: (!migrates && options.migration.is_some())
            .then(|| format!("give a migration URL whose user may act as {owner}: GRANT {owner} TO …")),
    });
    Ok(findings)
}

/// That the system's tables are there, that all tables are the owner's, and that each role may do in them what it does:
/// a dump that was restored without owners or rights would show it first in the middle of an invocation.
async fn check_tables(client: &Driver, roles: &Roles) -> Result<Finding, SetupError> {
    let sql = "WITH wanted (role, verbs, names) AS (VALUES
             ($1, 'SELECT', 'entities streams'),
             ($1, 'SELECT INSERT', 'outbox invocations log_lines audit'),
             ($1, 'SELECT INSERT DELETE', 'record_history'),
             ($1, 'SELECT UPDATE', 'deliveries'),
             ($1, 'SELECT INSERT UPDATE', 'activations number_series'),
             ($1, 'SELECT INSERT UPDATE DELETE', 'subscriptions plugin_config roles role_assignments'),
             ($2, 'SELECT', 'entities'),
             ($2, 'SELECT INSERT UPDATE DELETE', 'tenants components plugin_versions system_config outbox dispatcher \
                 streams deliveries claim_turn workers platform_subscriptions activations subscriptions plugin_config \
                 roles role_assignments invocations log_lines registry audit')
         ), tables AS (
             SELECT c.oid, c.relname::text AS name, pg_get_userbyid(c.relowner)::text AS owner
             FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
             WHERE n.nspname = 'erp_plugin' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
         ), needed AS (
             SELECT role, verb, name FROM wanted, regexp_split_to_table(verbs, ' +') AS v(verb),
                 regexp_split_to_table(names, ' +') AS n(name)
             UNION ALL SELECT $1, verb, name FROM tables, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS v(verb)
             WHERE strpos(name, '__') > 0
         ), wrong AS (
             SELECT name || ' is missing' AS what FROM needed AS w
             WHERE NOT EXISTS (SELECT FROM tables AS t WHERE t.name = w.name)
             UNION SELECT name || ' belongs to ' || owner FROM tables WHERE owner <> $3
             UNION SELECT format('%s may not %s in %s', w.role, lower(w.verb), w.name)
             FROM needed AS w JOIN tables AS t ON t.name = w.name
             WHERE NOT has_table_privilege(w.role, t.oid, w.verb)
         )
         SELECT coalesce(string_agg(what, ', ' ORDER BY what), '') FROM wrong";
    let wrong: String = client
        .query_one(sql, &[&roles.app, &roles.worker, &roles.owner])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|error| failed("look at the tables", &error))?;
    Ok(if wrong.is_empty() {
        Finding { what: "every table is the owner's, and each role has its rights".to_owned(), fix: None }
    } else {
        Finding {
            what: format!("tables are not as they were made: {wrong}"),
            fix: Some(format!(
                "ALTER TABLE … OWNER TO {}, GRANT … ON … TO …, or restore a dump with its owners and rights",
                roles.owner
            )),
        }
    })
}

/// That every table with a tenant in it has its wall: forced, as it was made, and with no way around it. Policies add up,
/// so one that lets through what the tenant's does not is a hole; that of the workers is for them alone.
async fn check_walls(client: &Driver, roles: &Roles) -> Result<Finding, SetupError> {
    let sql = "SELECT coalesce(string_agg(c.relname, ', ' ORDER BY c.relname), ''), count(*)::bigint
         FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE n.nspname = 'erp_plugin' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
             AND EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')
             AND NOT (c.relrowsecurity AND c.relforcerowsecurity
                 AND EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid AND p.polname = 'tenant')
                 AND NOT EXISTS (
                     SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid AND p.polpermissive AND NOT (
                         pg_get_expr(p.polqual, c.oid) LIKE '(tenant_id = ( SELECT %current_tenant() AS %))'
                             AND p.polwithcheck IS NULL AND p.polcmd = '*'
                         OR p.polname = 'worker' AND p.polroles = ARRAY[to_regrole($1)::oid]
                         OR p.polname = 'owner' AND p.polroles = ARRAY[to_regrole($2)::oid]
                             AND c.relname = 'schema_notes'
                     )
                 ))";
    let open: String = client
        .query_one(sql, &[&quote(&roles.worker), &quote(&roles.owner)])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|error| failed("look at the tables", &error))?;
    Ok(if open.is_empty() {
        Finding { what: "every table with a tenant in it keeps tenants apart".to_owned(), fix: None }
    } else {
        Finding {
            what: format!("these tables do not keep tenants apart: {open}"),
            fix: Some("ALTER TABLE … ENABLE and FORCE ROW LEVEL SECURITY, and restore the policy".to_owned()),
        }
    })
}
