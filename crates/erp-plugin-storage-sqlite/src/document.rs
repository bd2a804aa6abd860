//! Keys of a dynamic entity's document, in SQLite's JSON functions.
//!
//! A key is any text that a plugin chose, so it is never part of the SQL: it is bound, as a JSON path of one step. In
//! the path it stands as a JSON string, which is how SQLite reads a quoted label: no quote, dot, bracket or dollar
//! sign in it means anything.

use std::fmt::Write;

use erp_plugin_model::Value;

use crate::error::{Error, Result};
use crate::sql::{Parameter, Sql};

/// Key and value pairs in one call of a JSON function, whose arguments SQLite limits.
const PAIRS: usize = 40;

/// The path of a key.
pub(crate) fn path(key: &str) -> String {
    let mut path = String::with_capacity(key.len() + 4);
    path.push_str("$.\"");
    for c in key.chars() {
        match c {
            '"' | '\\' => path.extend(['\\', c]),
            c if u32::from(c) < 0x20 => {
                let _ = write!(path, "\\u{:04x}", u32::from(c));
            }
            c => path.push(c),
        }
    }
    path.push('"');
    path
}

/// Appends the document after these changes, one level deep: a value replaces what was there, null removes the key.
pub(crate) fn push_changed<'a>(sql: &mut Sql<'a>, changes: &'a [(String, Value)]) -> Result<()> {
    let set: Vec<_> = changes.iter().filter(|(_, value)| !value.is_null()).collect();
    let removed: Vec<_> = changes.iter().filter(|(_, value)| value.is_null()).collect();
    let (set, removed) = (set.chunks(PAIRS), removed.chunks(PAIRS));
    for _ in removed.clone() {
        sql.push("json_remove(");
    }
    for _ in set.clone() {
        sql.push("json_set(");
    }
    sql.push("data");
    for chunk in set {
        for (key, value) in chunk {
            let Value::Json(json) = value else {
                return Err(Error::Misuse("a document's value that is not JSON"));
            };
            sql.push(", ").push_parameter(Parameter::Owned(path(key)));
            sql.push(", json(").push_parameter(Parameter::Text(json)).push(")");
        }
        sql.push(")");
    }
    for chunk in removed {
        for (key, _) in chunk {
            sql.push(", ").push_parameter(Parameter::Owned(path(key)));
        }
        sql.push(")");
    }
    Ok(())
}
