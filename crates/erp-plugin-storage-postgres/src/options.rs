//! Where the database is and how it is used.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::tls::{Tls, Verification};

/// The connections that one host keeps at most, unless the URL says `pool_size`.
const POOL_SIZE: usize = 16;
/// The most that it may say: beyond that a pooler in front of Postgres serves better.
const MAX_POOL_SIZE: usize = 1000;
/// How long connecting may take, unless the URL says `connect_timeout`.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A URL that cannot be used, and why. Never shows the URL itself, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Postgres URL {0}")]
pub struct InvalidUrl(String);

/// A server, a database, and who asks.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) config: Config,
    pub(crate) tls: Tls,
}

impl fmt::Display for Target {
    /// `user@host:port/database`, of several hosts all, and never a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.config;
        if let Some(user) = config.get_user() {
            write!(f, "{user}@")?;
        }
        let named = config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(folder) => folder.display().to_string(),
        });
        let hosts: Vec<String> = if config.get_hosts().is_empty() {
            config.get_hostaddrs().iter().map(ToString::to_string).collect()
        } else {
            named.collect()
        };
        f.write_str(&hosts.join(","))?;
        if let Some(port) = config.get_ports().first() {
            write!(f, ":{port}")?;
        }
        match config.get_dbname() {
            Some(database) => write!(f, "/{database}"),
            None => Ok(()),
        }
    }
}

/// Where the database is and how it is used.
#[derive(Clone)]
pub struct PostgresOptions {
    pub(crate) target: Target,
    /// Who may act as the owner; the same as everybody else without it.
    pub(crate) migration: Option<Target>,
    pub(crate) pool_size: usize,
}

impl PostgresOptions {
    /// Reads `postgres://user:password@host:port/database?option=value`, with the options that every client knows
    /// (`sslmode`, `sslrootcert`, `connect_timeout`, `application_name`, `options`, `target_session_attrs`,
    /// `keepalives`, …) and `pool_size`, the most connections that are kept, 16 unless said otherwise. `%2Fsome%2Fdir`
    /// as host is a folder with a Unix socket; `host=` and `port=` may stand among the options too.
    pub fn from_url(url: &str) -> Result<Self, InvalidUrl> {
        let (target, pool_size) = parse(url)?;
        Ok(Self { target, migration: None, pool_size: pool_size.unwrap_or(POOL_SIZE) })
    }

    /// Connects with this URL for what the owner of the tables does: installations, and the first insert into a dynamic
    /// entity. Without one the main URL is tried, and will do where its user is a member of the owner's role.
    pub fn migration_url(mut self, url: &str) -> Result<Self, InvalidUrl> {
        self.migration = Some(parse(url)?.0);
        Ok(self)
    }

    /// Who connects, if the URL says so.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.target.config.get_user()
    }

    /// How many connections are kept at most.
    #[must_use]
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections.clamp(1, MAX_POOL_SIZE);
        self
    }
}

impl fmt::Debug for PostgresOptions {
    // Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("database", &self.target.config.get_dbname())
            .field("user", &self.target.config.get_user())
            .field("pool_size", &self.pool_size)
            .finish_non_exhaustive()
    }
}

/// Takes the options that are ours out of a URL and hands the rest to the driver.
pub(crate) fn parse(url: &str) -> Result<(Target, Option<usize>), InvalidUrl> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(InvalidUrl("must begin with postgres://".to_owned()));
    }
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut tls, mut pool_size, mut rest) = (Tls::default(), None, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match (key, decode(value)?.as_str()) {
            ("sslmode", "verify-ca") => {
                tls.verification = Verification::Authority;
                rest.push("sslmode=require".to_owned());
            }
            ("sslmode", "verify-full") => {
                tls.verification = Verification::Full;
                rest.push("sslmode=require".to_owned());
            }
            ("sslmode", "allow") => rest.push("sslmode=prefer".to_owned()),
            ("sslrootcert", path) => tls.root_certificates = Some(path.into()),
            ("pool_size", number) => pool_size = Some(pool_size_of(number)?),
            _ => rest.push(pair.to_owned()),
        }
    }
    let mut plain = base.to_owned();
    if !rest.is_empty() {
        plain.push('?');
        plain.push_str(&rest.join("&"));
    }
    let mut config: Config = plain.parse().map_err(|error| invalid(&error))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(InvalidUrl("names no host; write postgres://HOST/DATABASE".to_owned()));
    }
    // A certificate to verify with is a wish to verify.
    if tls.root_certificates.is_some() && tls.verification == Verification::None {
        tls.verification = Verification::Authority;
        config.ssl_mode(SslMode::Require);
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_application_name().is_none() {
        config.application_name("erp-plugin");
    }
    Ok((Target { config, tls }, pool_size))
}

fn pool_size_of(text: &str) -> Result<usize, InvalidUrl> {
    text.parse()
        .ok()
        .filter(|size| (1..=MAX_POOL_SIZE).contains(size))
        .ok_or_else(|| InvalidUrl(format!("has pool_size={text}; it must be 1 to {MAX_POOL_SIZE}")))
}

fn decode(value: &str) -> Result<String, InvalidUrl> {
    percent_decode_str(value)
        .decode_utf8()
        .map(Cow::into_owned)
        .map_err(|_| InvalidUrl("has an option that is not UTF-8".to_owned()))
}

/// The driver's own words, without its preamble.
fn invalid(error: &tokio_postgres::Error) -> InvalidUrl {
    let source = std::error::Error::source(error).map(ToString::to_string);
    InvalidUrl(format!("cannot be read: {}", source.unwrap_or_else(|| error.to_string())))
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::Host;

    use super::*;

    fn read(url: &str) -> PostgresOptions {
        PostgresOptions::from_url(url).unwrap()
    }

    fn refused(url: &str) -> String {
        PostgresOptions::from_url(url).unwrap_err().to_string()
    }

    #[test]
    fn a_url_says_where_and_how() {
        let options = read(
            "postgres://erp:secret@db.example:6432/erp?sslmode=verify-full&pool_size=4&application_name=x",
        );
        let Target { config, tls } = &options.target;
        assert_eq!(config.get_hosts(), [Host::Tcp("db.example".to_owned())]);
        assert_eq!((config.get_ports(), config.get_dbname()), (&[6432][..], Some("erp")));
        assert_eq!((config.get_ssl_mode(), tls.verification), (SslMode::Require, Verification::Full));
        assert_eq!((options.pool_size, config.get_application_name()), (4, Some("x")));
        let shown = format!("{options:?}");
        assert!(shown.contains("erp") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn the_modes_of_tls_are_those_of_every_client() {
        for (mode, ssl_mode, verification) in [
            ("disable", SslMode::Disable, Verification::None),
            ("allow", SslMode::Prefer, Verification::None),
            ("prefer", SslMode::Prefer, Verification::None),
            ("require", SslMode::Require, Verification::None),
            ("verify-ca", SslMode::Require, Verification::Authority),
            ("verify-full", SslMode::Require, Verification::Full),
        ] {
            let Target { config, tls } = read(&format!("postgresql://h/d?sslmode={mode}")).target;
            assert_eq!((config.get_ssl_mode(), tls.verification), (ssl_mode, verification), "{mode}");
        }
        let Target { config, tls } = read("postgres://h/d?sslrootcert=%2Fetc%2Fca.pem").target;
        assert_eq!((config.get_ssl_mode(), tls.verification), (SslMode::Require, Verification::Authority));
        assert_eq!(tls.root_certificates.as_deref(), Some(std::path::Path::new("/etc/ca.pem")));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_with_a_socket_is_a_host() {
        for url in ["postgres://erp@%2Ftmp%2Fpg:5433/erp", "postgres://erp@/erp?host=/tmp/pg&port=5433"] {
            let Target { config, .. } = read(url).target;
            assert_eq!(config.get_hosts(), [Host::Unix("/tmp/pg".into())], "{url}");
            assert_eq!(config.get_ports(), [5433]);
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_the_password_is_not() {
        for (url, reason) in [
            ("mysql://h/d", "the Postgres URL must begin with postgres://"),
            ("postgres:///d", "the Postgres URL names no host; write postgres://HOST/DATABASE"),
            (
                "postgres://u:secret@h/d?colour=red",
                "the Postgres URL cannot be read: unknown option `colour`",
            ),
            (
                "postgres://u:secret@h/d?sslmode=maybe",
                "the Postgres URL cannot be read: invalid value for option `sslmode`",
            ),
            ("postgres://h/d?pool_size=0", "the Postgres URL has pool_size=0; it must be 1 to 1000"),
            ("postgres://h/d?pool_size=x", "the Postgres URL has pool_size=x; it must be 1 to 1000"),
            ("postgres://u:secret@h:x/d", "the Postgres URL cannot be read: invalid value for option `port`"),
        ] {
            assert_eq!(refused(url), reason);
        }
    }
}
