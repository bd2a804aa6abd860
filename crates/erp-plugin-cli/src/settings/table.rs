//! The table of settings: the keys of the file, the names of variables and flags, what is shown and the documentation all
//! come from here, and the defaults from the types that the host itself has.
//!
//! To add a setting: 1. its place in [`Options`]; 2. a row here; 3. where it is used, from [`Settings`](super::Settings);
//! 4. the table of docs/operating.md, which the test below prints.

use erp_plugin::limits::TABLE;

use super::Options;
use super::field::{Field, Number, at_least};

/// A setting.
#[derive(Clone)]
pub(crate) struct Setting {
    /// The table of the file that it stands in; empty for none.
    pub(super) section: &'static str,
    /// Its name there.
    pub(super) name: &'static str,
    /// The flag of the commands that take it, without its dashes.
    pub(super) flag: Option<&'static str>,
    pub(super) field: Field,
    /// What it is.
    pub(super) about: &'static str,
}

impl Setting {
    /// Its full key: `worker.streams`.
    pub(crate) fn key(&self) -> String {
        match self.section {
            "" => self.name.to_owned(),
            section => format!("{section}.{}", self.name),
        }
    }

    /// Its variable in the environment: `ERP_PLUGIN_WORKER_STREAMS`.
    pub(crate) fn variable(&self) -> String {
        match self.field {
            // As it was called before there was a file.
            Field::Database(_) => "ERP_PLUGIN_DB".to_owned(),
            _ => format!("ERP_PLUGIN_{}", self.key().replace(['.', '-'], "_").to_uppercase()),
        }
    }

    /// Its flag as it is written.
    pub(crate) fn flag(&self) -> Option<String> {
        self.flag.map(|flag| format!("--{flag}"))
    }

    /// Its value when nobody says otherwise.
    pub(super) fn default_text(&self) -> Option<String> {
        self.field.text(&Options::default())
    }
}

/// Every setting, in the order in which they are shown.
pub(crate) fn table() -> Vec<Setting> {
    let mut rows = vec![
        row(
            "",
            "database",
            Some("db"),
            Field::Database(|options| &mut options.database),
            "The database: a file, which is made if it is not there, or a URL such as postgres://erp@db.example/erp",
        ),
        row(
            "",
            "migration-url",
            Some("migration-url"),
            Field::Url(|options| &mut options.migration_url),
            "For Postgres: the URL of a user who may act as the owner of the tables",
        ),
        row(
            "",
            "code-cache",
            Some("no-cache"),
            Field::Switch(|options| &mut options.code_cache),
            "Whether compiled code is kept between starts",
        ),
        row(
            "worker",
            "streams",
            Some("streams"),
            Field::Number(|options| Number::U32(&mut options.worker.streams), 1..=1000),
            "The most streams of events worked off at once",
        ),
        row(
            "worker",
            "streams-per-tenant",
            None,
            Field::Number(|options| Number::U32(&mut options.worker.streams_per_tenant), 1..=1000),
            "The most of them that are one tenant's",
        ),
        row(
            "worker",
            "batch",
            None,
            Field::Number(|options| Number::U32(&mut options.worker.batch), 1..=1000),
            "The most deliveries of one stream that are claimed in one go",
        ),
        row(
            "worker",
            "lease",
            Some("lease"),
            Field::Duration(|options| &mut options.worker.lease),
            "After how long without a sign of life others take what a host has in hand",
        ),
        row(
            "worker",
            "poll",
            None,
            Field::Duration(|options| &mut options.worker.poll),
            "How often it is looked for what other processes have published",
        ),
        row(
            "worker",
            "keep-events",
            Some("keep-events"),
            Field::Kept(|options| &mut options.worker.retention.events),
            "How long events are kept that were delivered: 7d, 12h; `never` removes none",
        ),
        row(
            "worker",
            "keep-log",
            Some("keep-log"),
            Field::Kept(|options| &mut options.worker.retention.log),
            "How long log lines are kept",
        ),
        row(
            "worker",
            "runs",
            Some("runs"),
            Field::Number(|options| Number::U32(&mut options.worker.runs), 1..=1000),
            "The most runs of jobs at once",
        ),
        row(
            "worker",
            "runs-per-tenant",
            None,
            Field::Number(|options| Number::U32(&mut options.worker.runs_per_tenant), 1..=1000),
            "The most of them that are one tenant's",
        ),
        row(
            "worker",
            "keep-runs",
            Some("keep-runs"),
            Field::Kept(|options| &mut options.worker.retention.runs),
            "How long runs of jobs are kept that have ended",
        ),
        row(
            "retry",
            "retries",
            Some("max-retries"),
            Field::Number(|options| Number::U32(&mut options.retry.retries), 0..=1000),
            "The most retries that a subscription may ask for",
        ),
        row(
            "retry",
            "max-delay",
            Some("max-retry-delay"),
            Field::Duration(|options| &mut options.retry.max_delay),
            "The longest delay between two that it may ask for",
        ),
        row(
            "tenant-limits",
            "concurrent",
            Some("tenant-concurrent"),
            Field::Number(|options| Number::Usize(&mut options.tenant.concurrent), 1..=100_000),
            "The most invocations of one tenant at once",
        ),
        row(
            "tenant-limits",
            "queued",
            Some("tenant-queued"),
            Field::Number(|options| Number::Usize(&mut options.tenant.queued), 0..=1_000_000),
            "The most of its calls that wait for that",
        ),
        row(
            "tenant-limits",
            "fuel-per-minute",
            Some("tenant-fuel"),
            Field::Number(|options| Number::U64(&mut options.tenant.fuel_per_minute), at_least(1)),
            "The most fuel of one tenant in a minute, in this process",
        ),
        row(
            "quarantine",
            "failures",
            None,
            Field::Number(|options| Number::U32(&mut options.quarantine.failures), 0..=1_000_000),
            "After so many failures in a row a plugin is out of use in a tenant; 0 for never",
        ),
        row(
            "quarantine",
            "pause",
            None,
            Field::Duration(|options| &mut options.quarantine.pause),
            "For so long the first time, and twice as long each time that a trial fails",
        ),
        row(
            "quarantine",
            "max-pause",
            None,
            Field::Duration(|options| &mut options.quarantine.max_pause),
            "At most so long",
        ),
    ];
    rows.extend(TABLE.iter().map(|limit| {
        // Those that one tries things with.
        let flag = ["fuel", "memory", "deadline"].into_iter().find(|flag| *flag == limit.name);
        row("limits", limit.name, flag, Field::Limit(limit.kind), limit.about)
    }));
    rows.extend(TABLE.iter().map(|limit| row("caps", limit.name, None, Field::Cap(limit.kind), limit.about)));
    rows
}

fn row(
    section: &'static str,
    name: &'static str,
    flag: Option<&'static str>,
    field: Field,
    about: &'static str,
) -> Setting {
    Setting { section, name, flag, field, about }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The table of docs/operating.md.
    fn documentation() -> String {
        let mut text = "| key | default | flag | what it is |\n| --- | --- | --- | --- |\n".to_owned();
        for setting in table().iter().filter(|own| own.section != "caps") {
            let default = setting.default_text().map_or("none".to_owned(), |text| format!("`{text}`"));
            let flag = setting.flag().map_or_else(String::new, |flag| format!("`{flag}`"));
            let _ = writeln!(text, "| `{}` | {default} | {flag} | {} |", setting.key(), setting.about);
        }
        text
    }

    #[test]
    fn the_documentation_has_the_table() {
        let documented = include_str!("../../../../docs/operating.md");
        let table = documentation();
        assert!(documented.contains(&table), "docs/operating.md must have this table:\n{table}");
    }

    #[test]
    fn no_two_settings_share_a_key_a_variable_or_a_flag() {
        let table = table();
        for names in [
            table.iter().map(Setting::key).collect::<Vec<_>>(),
            table.iter().map(Setting::variable).collect(),
            table.iter().filter_map(Setting::flag).collect(),
        ] {
            let mut once = names.clone();
            once.sort();
            once.dedup();
            assert_eq!(once.len(), names.len(), "{names:?}");
        }
    }
}
