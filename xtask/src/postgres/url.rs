//! URLs of Postgres servers, as text: `postgres://ROLE:PASSWORD@HOST:PORT/DATABASE?PARAMETERS`.
//!
//! Both libpq and tokio-postgres take a socket's folder as the host, its slashes percent-encoded.

use std::borrow::Cow;
use std::path::Path;

/// The role that `initdb` makes, and the database that every server has.
pub(super) const SUPERUSER: &str = "postgres";

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// Whether a text is such a URL, and not, say, the name of a file.
pub(crate) fn is_url(text: &str) -> bool {
    SCHEMES.iter().any(|scheme| text.starts_with(scheme))
}

/// The URL of a server that listens on a socket in a folder.
pub(super) fn of_socket(folder: &Path, port: u16) -> String {
    let mut host = String::new();
    for byte in folder.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => host.push(char::from(*byte)),
            other => host.push_str(&format!("%{other:02X}")),
        }
    }
    format!("postgres://{SUPERUSER}@{host}:{port}/{SUPERUSER}")
}

/// The same server and role, another database. Its name must need no encoding.
pub(super) fn with_database(url: &str, database: &str) -> String {
    let (base, parameters) = match url.split_once('?') {
        Some((base, parameters)) => (base, format!("?{parameters}")),
        None => (url, String::new()),
    };
    let authority = base.find("://").map_or(0, |scheme| scheme + "://".len());
    let (scheme, rest) = base.split_at(authority);
    let server = rest.split('/').next().unwrap_or(rest);
    format!("{scheme}{server}/{database}{parameters}")
}

/// The URL as it may be shown.
pub(crate) fn without_password(text: &str) -> Cow<'_, str> {
    let Some((before, rest)) = text.split_once("://").filter(|_| text.contains("postgres")) else {
        return text.into();
    };
    let Some((credentials, server)) = rest.split_once('@') else { return text.into() };
    let Some((role, _)) = credentials.split_once(':') else { return text.into() };
    format!("{before}://{role}:…@{server}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_folder_is_a_host_without_slashes() {
        assert_eq!(
            of_socket(Path::new("/tmp/erp-pg-é 1"), 5432),
            "postgres://postgres@%2Ftmp%2Ferp-pg-%C3%A9%201:5432/postgres"
        );
    }

    #[test]
    fn another_database_leaves_everything_else() {
        let cases = [
            ("postgres://a:b@h:1/old?sslmode=require", "postgres://a:b@h:1/new?sslmode=require"),
            ("postgres://postgres@%2Ftmp%2Fx:5432/postgres", "postgres://postgres@%2Ftmp%2Fx:5432/new"),
            ("postgresql://h", "postgresql://h/new"),
            ("postgres://h?user=a", "postgres://h/new?user=a"),
        ];
        for (old, new) in cases {
            assert_eq!(with_database(old, "new"), new);
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(without_password("postgres://a:secret@h/d"), "postgres://a:…@h/d");
        assert_eq!(without_password("--db=postgresql://a:secret@h/d"), "--db=postgresql://a:…@h/d");
        for shown in ["postgres://a@h:5432/d", "postgres://h/d", "sqlite:a:b@c", "--json"] {
            assert_eq!(without_password(shown), shown);
        }
    }
}
