//! Names and ids. Each type can only be built valid, so nothing below ever checks a name again.
//!
//! Tenant and user ids are the platform's own opaque strings and are never made here; record, event and invocation
//! ids are UUIDv7 made by the [`IdGenerator`](crate::IdGenerator) that the composition root passes in.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

/// A name or id that does not have the form its kind requires.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {kind} {value:?}: {rule}")]
pub struct InvalidName {
    /// What the text was meant to be, as people call it: `tenant id`, `entity name`.
    pub kind: &'static str,
    /// The text, cut to 80 characters.
    pub value: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

impl InvalidName {
    fn new(kind: &'static str, value: &str, rule: &'static str) -> Self {
        Self { kind, value: value.chars().take(80).collect(), rule }
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` against the rule for this kind of name.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.into())) } else { Err(InvalidName::new($kind, text, $rule)) }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::parse(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// A customer of the platform; the wall between two of them is never crossed. The platform's own string.
    TenantId,
    "tenant id",
    "1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit",
    is_platform_id
);
name!(
    /// A user, service or system account of the platform. The platform's own string.
    UserId,
    "user id",
    "1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit",
    is_platform_id
);
name!(
    /// A plugin's name; the prefix of its tables, permissions and events.
    PluginName,
    "plugin name",
    "2 to 24 of a-z 0-9 -, beginning with a letter, without a double or trailing hyphen; sqlite, pg and what begins \
     with sqlite- or pg- belong to the databases",
    is_plugin_name
);
name!(
    /// A kind of record, as its own plugin calls it.
    EntityName,
    "entity name",
    "1 to 30 of a-z 0-9 _, beginning with a letter, without a double or trailing underscore",
    is_identifier
);
name!(
    /// A field of an entity.
    FieldName,
    "field name",
    "1 to 30 of a-z 0-9 _, beginning with a letter, without a double or trailing underscore",
    is_identifier
);
name!(
    /// The type of an event: `inventory.stock.low`.
    EventType,
    "event type",
    "2 to 8 segments of a-z 0-9 _ - joined by dots, at most 128 bytes",
    |text| {
        text.len() <= 128
            && (2..=8).contains(&text.split('.').count())
            && text.split('.').all(|segment| !segment.is_empty() && segment.bytes().all(is_segment_byte))
    }
);
name!(
    /// A job, as its own plugin calls it; the last segment of the event with which it is called.
    JobName,
    "job name",
    "1 to 60 of a-z 0-9 _ -",
    |text| (1..=60).contains(&text.len()) && text.bytes().all(is_segment_byte)
);

name!(
    /// A role of a tenant. The platform's own string, as a user's id is: `clerk`, `sales.manager`.
    RoleName,
    "role name",
    "1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit",
    is_platform_id
);
name!(
    /// The name of one permission, whose first segment is the plugin that it is about: `inventory.item.update`,
    /// `inventory.item.read.field:cost`.
    PermissionName,
    "permission",
    "2 to 8 segments of a-z 0-9 _ - joined by dots, the last of which may be field:NAME, at most 160 bytes; write \
     PLUGIN.ENTITY.VERB, such as inventory.item.update",
    is_permission
);
name!(
    /// The permissions that a role gives: one of them (`inventory.item.update`), all that begin with some segments
    /// (`inventory.*`), or all there are (`*`).
    PermissionPattern,
    "permission pattern",
    "a permission such as inventory.item.update, or whole segments of one and then .* such as inventory.*, or * alone \
     for everything; segments of a-z 0-9 _ - joined by dots, at most 8 of them and 160 bytes",
    |text| {
        let Some(prefix) = text.strip_suffix('*') else { return is_permission(text) };
        match prefix.strip_suffix('.') {
            None => prefix.is_empty(),
            Some(segments) => {
                text.len() <= LONGEST_PERMISSION
                    && segments.split('.').count() < MOST_SEGMENTS
                    && segments.split('.').all(is_segment)
            }
        }
    }
);

/// The longest permission and pattern of permissions, in bytes.
const LONGEST_PERMISSION: usize = 160;
/// The most segments of a permission.
const MOST_SEGMENTS: usize = 8;

fn is_permission(text: &str) -> bool {
    let Some((before, last)) = text.rsplit_once('.') else { return false };
    text.len() <= LONGEST_PERMISSION
        && before.split('.').count() < MOST_SEGMENTS
        && before.split('.').all(is_segment)
        && (is_segment(last) || last.strip_prefix("field:").is_some_and(is_identifier))
}

fn is_segment(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_segment_byte)
}

/// A plugin's tables are called `<plugin>__<entity>`, with `-` as `_`, and their indexes `<table>__<field>__…`. A double
/// or trailing hyphen could make one plugin's table another's index; and databases keep some prefixes for themselves.
fn is_plugin_name(text: &str) -> bool {
    (2..=24).contains(&text.len())
        && text.starts_with(is_lower)
        && text.bytes().all(is_plugin_byte)
        && !text.contains("--")
        && !text.ends_with('-')
        && !matches!(text.split('-').next(), Some("sqlite" | "pg"))
}

fn is_lower(c: char) -> bool {
    c.is_ascii_lowercase()
}

fn is_plugin_byte(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'
}

fn is_segment_byte(b: u8) -> bool {
    is_plugin_byte(b) || b == b'_'
}

fn is_platform_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn is_identifier(text: &str) -> bool {
    (1..=30).contains(&text.len())
        && text.starts_with(is_lower)
        && !text.ends_with('_')
        && !text.contains("__")
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Whether a name is the platform's own, which no plugin may have and no plugin may publish under: `core` and what begins
/// with `core-`, its subscribers; `job` and `plugin`, of which the host tells; `system`, who it is when it acts by itself.
fn is_reserved(name: &str) -> bool {
    name.split('-').next() == Some("core") || matches!(name, "job" | "plugin" | "system")
}

impl PluginName {
    /// Whether it is the platform's own.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        is_reserved(self.as_str())
    }

    /// The name as it stands in table names: `-` becomes `_`.
    #[must_use]
    pub fn physical(&self) -> String {
        self.as_str().replace('-', "_")
    }
}

impl PermissionName {
    /// The first segment, which names the plugin: `inventory` of `inventory.item.update`.
    #[must_use]
    pub fn plugin(&self) -> &str {
        self.as_str().split('.').next().unwrap_or_default()
    }
}

impl EventType {
    /// The first segment, which names the publisher: `inventory` of `inventory.stock.low`.
    #[must_use]
    pub fn publisher(&self) -> &str {
        self.as_str().split('.').next().unwrap_or_default()
    }

    /// Whether only the platform publishes it.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        is_reserved(self.publisher())
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

uuid_id!(
    /// The id of a record. Unique in its tenant and entity.
    RecordId
);
uuid_id!(
    /// The id of an event in the outbox.
    EventId
);
uuid_id!(
    /// The id of one call of one export.
    InvocationId
);
uuid_id!(
    /// Who works off deliveries or runs of jobs: a part of a process, for as long as it runs.
    WorkerId
);
uuid_id!(
    /// The id of a run of a job.
    RunId
);

impl RecordId {
    /// Reads the hyphenated form. `None` for anything else: such an id belongs to no record.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        hyphenated(text).map(Self)
    }
}

impl EventId {
    /// Reads the hyphenated form. `None` for anything else: such an id belongs to no event.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        hyphenated(text).map(Self)
    }
}

impl RunId {
    /// Reads the hyphenated form. `None` for anything else: such an id belongs to no run.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        hyphenated(text).map(Self)
    }
}

/// `Uuid::try_parse` also takes the braced, urn and simple forms; only one spelling is ours.
fn hyphenated(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

/// The version of a record: 1 when inserted, one more at each update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(i64);

impl Version {
    /// The version of a record that was just inserted.
    pub const FIRST: Self = Self(1);

    /// `None` below 1: no record ever has such a version.
    #[must_use]
    pub fn new(number: i64) -> Option<Self> {
        (number >= 1).then_some(Self(number))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_rules() {
        for good in ["a", "item", "stock_movement", "a1_b2", "abcdefghijklmnopqrstuvwxyz0123"] {
            assert!(EntityName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "Item",
            "1a",
            "a__b",
            "a_",
            "_a",
            "a-b",
            "a b",
            "a;drop",
            "名",
            "abcdefghijklmnopqrstuvwxyz01234",
        ] {
            assert!(EntityName::parse(bad).is_err(), "{bad}");
        }
        for good in ["ab", "inventory", "crm-2", "a-b-c", "pgp", "sqlite3", "my-sqlite"] {
            assert!(PluginName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "a",
            "A1",
            "2b",
            "a_b",
            "abcdefghijklmnopqrstuvwxy",
            "inventory--item--sku",
            "inventory-",
            "sqlite",
            "sqlite-tools",
            "pg",
            "pg-stats",
        ] {
            assert!(PluginName::parse(bad).is_err(), "{bad}");
        }
        for good in ["a.b", "order.created", "demo.order.approved", "a.b.c.d.e.f.g.h", "x-1.y_2"] {
            assert!(EventType::parse(good).is_ok(), "{good}");
        }
        for bad in ["a", "a.", ".a", "a..b", "A.b", "a.b.c.d.e.f.g.h.i", "a.*", "a.b c"] {
            assert!(EventType::parse(bad).is_err(), "{bad}");
        }
        for good in ["northwind", "T-1", "0.a_b-C", "sales.manager"] {
            assert!(TenantId::parse(good).is_ok(), "{good}");
            assert!(RoleName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a/b", "a b", "ü", &"x".repeat(65)] {
            assert!(TenantId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn permissions_and_their_patterns_are_whole_segments() {
        let long = format!("{}.b", "a".repeat(160));
        for good in ["a.b", "inventory.item.read.field:cost", "sub-plugin.item_2.x", "a.b.c.d.e.f.g.h"] {
            assert!(PermissionName::parse(good).is_ok(), "{good}");
            assert!(PermissionPattern::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["", "a", "a.", ".a", "a..b", "A.b", "a.b c", "a.field:", "field:x", "a.field:x.b", "a.cost:x"]
        {
            assert!(PermissionName::parse(bad).is_err(), "{bad}");
            assert!(PermissionPattern::parse(bad).is_err(), "{bad}");
        }
        for bad in ["a.b.c.d.e.f.g.h.i", long.as_str()] {
            assert!(PermissionName::parse(bad).is_err() && PermissionPattern::parse(bad).is_err(), "{bad}");
        }
        for good in ["*", "inventory.*", "inventory.item.*", "a.b.c.d.e.f.g.*"] {
            assert!(PermissionPattern::parse(good).is_ok(), "{good}");
            assert!(PermissionName::parse(good).is_err(), "{good}");
        }
        for bad in [
            "**",
            ".*",
            "a*",
            "a.b*",
            "*.a",
            "a.*.b",
            "a..*",
            "a.field:*",
            "a.field:x.*",
            "a.b.c.d.e.f.g.h.*",
        ] {
            assert!(PermissionPattern::parse(bad).is_err(), "{bad}");
        }
        let error = PermissionPattern::parse("inv*").unwrap_err().to_string();
        assert!(error.starts_with("invalid permission pattern \"inv*\": a permission such as"), "{error}");
    }

    #[test]
    fn an_error_names_the_kind_the_value_and_the_rule() {
        let error = EntityName::parse("Item").unwrap_err().to_string();
        assert!(error.starts_with("invalid entity name \"Item\": 1 to 30 of a-z"), "{error}");
    }

    #[test]
    fn only_the_hyphenated_form_is_a_record_id() {
        assert!(RecordId::parse("0198c0de-0000-7000-8000-000000000001").is_some());
        for other in ["", "x", "0198c0de000070008000000000000001", "{0198c0de-0000-7000-8000-000000000001}"] {
            assert!(RecordId::parse(other).is_none(), "{other}");
        }
    }
}
