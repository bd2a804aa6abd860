//! `erp-plugin roles`: what the users of a tenant may do, as its stored roles say.
//!
//! Whoever has the database is the operator, so no right is asked: a platform that lets a tenant's administrator change
//! roles decides that by itself, with the methods of the host that this command calls.

use anyhow::{Result, bail};
use erp_plugin::{
    HostError, PermissionPattern, PluginHost, Role, RoleAssignment, RoleName, TenantId, UserId,
};
use serde_json::{Value as Json, json};

use crate::database;
use crate::database::Database;
use crate::exit::Exit;
use crate::host;
use crate::output::{self, FAINT, HEADING, styled};
use crate::settings::Settings;

/// Say what the users of a tenant may do
///
/// A role is a name for permissions: inventory.item.update, all that begin with some words (inventory.*), or everything
/// (*). Users have the roles that are assigned to them here, and those that the platform says they have, as --role does.
/// A change is in force at once, in a host that is running within a second.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin roles set clerk --permission inventory.item.read --permission inventory.item.update --db erp.db --tenant acme
  erp-plugin roles assign clerk --to ada --db erp.db --tenant acme
  erp-plugin roles list --db erp.db --tenant acme
  erp-plugin records query inventory.item --user ada --db erp.db --tenant acme")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    List(List),
    Show(Named),
    Set(Set),
    Remove(Removed),
    Assign(Assign),
    Unassign(Unassign),
}

/// The arguments that every verb has.
#[derive(clap::Args)]
struct Target {
    #[command(flatten)]
    _database: database::Flags,
    /// The tenant whose roles they are
    #[arg(long, value_name = "T")]
    tenant: TenantId,
    /// Print one JSON object, and nothing else on standard output
    #[arg(long)]
    json: bool,
}

/// List the roles of a tenant
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin roles list --db erp.db --tenant acme")]
struct List {
    #[command(flatten)]
    target: Target,
}

/// Show what a role gives, and who has it
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin roles show clerk --db erp.db --tenant acme")]
struct Named {
    /// The role
    #[arg(value_name = "ROLE")]
    role: RoleName,
    #[command(flatten)]
    target: Target,
}

/// Make a role, or replace what it gives
///
/// Who has the role, has it still. Without --permission it gives nothing.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin roles set clerk --permission inventory.item.read --permission 'crm.*' --db erp.db --tenant acme")]
struct Set {
    /// The role
    #[arg(value_name = "ROLE")]
    role: RoleName,
    /// What it gives, such as inventory.item.update, inventory.* or *; may be given several times
    #[arg(long = "permission", value_name = "P")]
    permissions: Vec<PermissionPattern>,
    #[command(flatten)]
    target: Target,
}

/// Remove a role, and take it from everybody who has it
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin roles remove clerk --db erp.db --tenant acme")]
struct Removed {
    /// The role
    #[arg(value_name = "ROLE")]
    role: RoleName,
    #[command(flatten)]
    target: Target,
}

/// Give a role to a user
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin roles assign clerk --to ada --db erp.db --tenant acme")]
struct Assign {
    /// The role
    #[arg(value_name = "ROLE")]
    role: RoleName,
    /// Who gets it: the platform's id for a user or a service
    #[arg(long, value_name = "USER")]
    to: UserId,
    #[command(flatten)]
    target: Target,
}

/// Take a role from a user
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin roles unassign clerk --from ada --db erp.db --tenant acme")]
struct Unassign {
    /// The role
    #[arg(value_name = "ROLE")]
    role: RoleName,
    /// Who loses it
    #[arg(long, value_name = "USER")]
    from: UserId,
    #[command(flatten)]
    target: Target,
}

impl Arguments {
    fn target(&self) -> &Target {
        match &self.verb {
            Verb::List(arguments) => &arguments.target,
            Verb::Show(arguments) => &arguments.target,
            Verb::Set(arguments) => &arguments.target,
            Verb::Remove(arguments) => &arguments.target,
            Verb::Assign(arguments) => &arguments.target,
            Verb::Unassign(arguments) => &arguments.target,
        }
    }

    pub(crate) fn json(&self) -> bool {
        self.target().json
    }
}

pub(crate) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let target = arguments.target();
    let (host, tenant) = (target.host(settings).await?, target.tenant.as_str());
    match &arguments.verb {
        Verb::List(_) => {
            let roles = Roles::read(&host, tenant).await?;
            if target.json {
                let all: Vec<Json> = roles.all.iter().map(|role| roles.json(role)).collect();
                output::print_json(&json!({ "roles": all }))?;
            } else {
                output::print(&roles.table())?;
            }
        }
        Verb::Show(Named { role, .. }) => {
            let roles = Roles::read(&host, tenant).await?;
            let role = roles.named(&target.tenant, role)?;
            if target.json {
                output::print_json(&roles.json(role))?;
            } else {
                output::print(&roles.text(role))?;
            }
        }
        Verb::Set(Set { role, permissions, .. }) => {
            host.set_role(tenant, role.as_str(), permissions).await?;
            let roles = Roles::read(&host, tenant).await?;
            let set = roles.named(&target.tenant, role)?;
            let given = count(set.permissions.len(), "permission");
            target.done(&format!("{role} of {tenant} gives {given}"), roles.json(set))?;
        }
        Verb::Remove(Removed { role, .. }) => {
            let roles = Roles::read(&host, tenant).await?;
            let had = roles.users(role).len();
            if !host.remove_role(tenant, role.as_str()).await? {
                bail!(roles.unknown(&target.tenant, role));
            }
            let text = format!("{role} of {tenant} is removed; {} had it", count(had, "user"));
            target.done(&text, json!({ "removed": role.as_str(), "users": had }))?;
        }
        Verb::Assign(Assign { role, to, .. }) => {
            host.assign_role(tenant, to.as_str(), role.as_str()).await?;
            let answer = json!({ "assigned": role.as_str(), "user": to.as_str() });
            target.done(&format!("{to} has {role} in {tenant}"), answer)?;
        }
        Verb::Unassign(Unassign { role, from, .. }) => {
            if !host.unassign_role(tenant, from.as_str(), role.as_str()).await? {
                bail!(HostError::not_found(format!(
                    "{from} has no role {role} in {tenant}; `erp-plugin roles list` shows who has which"
                )));
            }
            let answer = json!({ "unassigned": role.as_str(), "user": from.as_str() });
            target.done(&format!("{from} no longer has {role} in {tenant}"), answer)?;
        }
    }
    Ok(Exit::Done)
}

impl Target {
    async fn host(&self, settings: &Settings) -> Result<PluginHost> {
        let database = Database::existing(settings, "tenants")?;
        Ok(host::without_calls(settings, &database).await?.stored_roles().build().await?)
    }

    fn done(&self, text: &str, answer: Json) -> Result<()> {
        if self.json { output::print_json(&answer) } else { output::print(&format!("{text}\n")) }
    }
}

fn count(number: usize, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

/// The roles of a tenant, and who has them.
struct Roles {
    all: Vec<Role>,
    assignments: Vec<RoleAssignment>,
}

impl Roles {
    async fn read(host: &PluginHost, tenant: &str) -> Result<Self> {
        Ok(Self { all: host.roles(tenant).await?, assignments: host.role_assignments(tenant).await? })
    }

    fn users(&self, role: &RoleName) -> Vec<&str> {
        let having = self.assignments.iter().filter(|own| own.role == *role);
        having.map(|own| own.user.as_str()).collect()
    }

    fn named(&self, tenant: &TenantId, name: &RoleName) -> Result<&Role, HostError> {
        self.all.iter().find(|role| role.name == *name).ok_or_else(|| self.unknown(tenant, name))
    }

    fn unknown(&self, tenant: &TenantId, name: &RoleName) -> HostError {
        let names: Vec<&str> = self.all.iter().map(|role| role.name.as_str()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        HostError::not_found(format!("{tenant} has no role {name}; its roles: {names}"))
    }

    fn json(&self, role: &Role) -> Json {
        let permissions: Vec<&str> = role.permissions.iter().map(PermissionPattern::as_str).collect();
        json!({ "name": role.name.as_str(), "permissions": permissions, "users": self.users(&role.name) })
    }

    fn table(&self) -> String {
        if self.all.is_empty() {
            return styled(FAINT, "no roles; `erp-plugin roles set` makes one") + "\n";
        }
        let width = self.all.iter().map(|role| role.name.as_str().len()).fold("role".len(), usize::max);
        let mut text = styled(HEADING, format!("{:width$}  permissions  users", "role")) + "\n";
        for Role { name, permissions } in &self.all {
            let users = self.users(name).len();
            text += &format!("{:width$}  {:>11}  {users:>5}\n", name.as_str(), permissions.len());
        }
        text
    }

    fn text(&self, role: &Role) -> String {
        let mut text = styled(HEADING, role.name.as_str()) + "\n";
        let permissions: Vec<&str> = role.permissions.iter().map(PermissionPattern::as_str).collect();
        for (heading, lines) in [("permissions", permissions), ("users", self.users(&role.name))] {
            text += &format!("{heading}:\n");
            if lines.is_empty() {
                text += &format!("  {}\n", styled(FAINT, "none"));
            }
            for line in lines {
                text += &format!("  {line}\n");
            }
        }
        text
    }
}
