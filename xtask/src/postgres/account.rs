//! Postgres refuses to run as root, as which a container's commands often run: there another user runs it.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

/// Users that may run it, the best first. Packages of Postgres make the first one, every system has the second.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// A user that is not root.
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// Who must run the server, if we must not.
    pub(super) fn other() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let found = CANDIDATES.into_iter().find_map(Self::named);
        let found = found.context(
            "Postgres does not run as root, and there is neither a user postgres nor a user nobody; \
             run this as somebody else",
        )?;
        Ok(Some(found))
    }

    fn named(name: &str) -> Option<Self> {
        let id = |which| {
            let answer = Command::new("id").args([which, name]).output().ok()?;
            String::from_utf8(answer.stdout).ok()?.trim().parse::<u32>().ok()
        };
        Some(Self { uid: id("-u")?, gid: id("-g")? }).filter(|account| account.uid != 0)
    }

    /// Makes a command run as this user, in none of our groups.
    pub(super) fn run(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_no_account_for_a_server() {
        assert!(Account::named("root").is_none());
        assert!(Account::named("there-is-nobody-of-this-name").is_none());
    }
}
