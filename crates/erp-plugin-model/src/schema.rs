//! What an entity's records look like. Made from a manifest, or empty for a dynamic entity.

use std::fmt;

use crate::ids::{FieldName, PermissionName, PluginName};
use crate::series::SeriesPattern;
use crate::{EntityRef, Labels, Value};

/// Fields that the host sets on every record. No entity may declare one of these names.
pub const SYSTEM_FIELDS: [&str; 8] =
    ["id", "tenant_id", "version", "created_at", "created_by", "updated_at", "updated_by", "deleted_at"];
/// Columns that the host has beside them and shows to nobody. No entity may declare one of these names either.
pub const HIDDEN_COLUMNS: [&str; 2] = ["data", "deleted_by"];

/// The most fields an entity may have.
pub const MAX_FIELDS: usize = 200;
/// The longest `string`, in characters: what an index entry of every backend can hold.
pub const MAX_STRING: u32 = 500;
/// The length of a `string` that names none.
pub const DEFAULT_STRING: u32 = 255;
/// The largest compiled `pattern`, in bytes: with [`MAX_STRING`] characters it takes less than a millisecond.
const MAX_PROGRAM: usize = 16 << 10;
/// The most texts of an `enum`.
pub const MAX_OPTIONS: usize = 200;
/// The most digits of a `decimal`: what a scaled 64-bit integer holds.
pub const MAX_PRECISION: u8 = 18;

/// The most keys that one insert or update of a dynamic entity's record may give.
pub const MAX_DOCUMENT_KEYS: usize = 500;
/// The longest document of a dynamic entity's record, in bytes as it is stored. An update rewrites all of it, and no
/// backend can stop half-way through that.
pub const MAX_DOCUMENT_BYTES: usize = 64 << 10;

/// A field that the host keeps, as filters and sorts may name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SystemField {
    /// The record's id.
    Id,
    /// The record's version.
    Version,
    /// When it was inserted.
    CreatedAt,
    /// By whom.
    CreatedBy,
    /// When it was last written.
    UpdatedAt,
    /// By whom.
    UpdatedBy,
}

impl SystemField {
    /// Every system field that filters and sorts may name.
    pub const ALL: [Self; 6] =
        [Self::Id, Self::Version, Self::CreatedAt, Self::CreatedBy, Self::UpdatedAt, Self::UpdatedBy];

    /// The name on the wire and in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Version => "version",
            Self::CreatedAt => "created_at",
            Self::CreatedBy => "created_by",
            Self::UpdatedAt => "updated_at",
            Self::UpdatedBy => "updated_by",
        }
    }

    /// Its type.
    #[must_use]
    pub fn field_type(self) -> FieldType {
        match self {
            Self::Id => FieldType::Uuid,
            Self::Version => FieldType::Integer,
            Self::CreatedAt | Self::UpdatedAt => FieldType::DateTime,
            Self::CreatedBy | Self::UpdatedBy => FieldType::Text,
        }
    }
}

/// What the deletion of a record means for those that refer to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDelete {
    /// It is refused as long as there are any.
    #[default]
    Restrict,
    /// Their reference becomes absent.
    SetNull,
    /// They are deleted too, softly.
    Cascade,
}

impl OnDelete {
    /// The rule as the manifest writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restrict => "restrict",
            Self::SetNull => "set-null",
            Self::Cascade => "cascade",
        }
    }
}

/// The type of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Short text, at most [`MAX_STRING`] characters; can be indexed and unique.
    String,
    /// Text of any length.
    Text,
    /// A signed 64-bit integer; beyond ±2^53 written as a JSON string.
    Integer,
    /// An exact decimal, a string on the wire with exactly `scale` digits.
    Decimal {
        /// Digits in all, 1 to [`MAX_PRECISION`].
        precision: u8,
        /// Digits after the point, at most `precision`.
        scale: u8,
    },
    /// True or false.
    Boolean,
    /// A calendar day.
    Date,
    /// A moment, UTC, to the microsecond.
    DateTime,
    /// A UUID.
    Uuid,
    /// One of a list of texts.
    Enum {
        /// The texts that are allowed.
        options: Vec<String>,
    },
    /// The id of a record of an entity, of the same tenant.
    Reference {
        /// The entity referred to.
        target: EntityRef,
        /// What becomes of the record when the one referred to is deleted.
        on_delete: OnDelete,
    },
    /// Any JSON value.
    Json,
    /// The id of a stored file.
    File,
    /// Text that the host gives a new record, and nobody changes: the next number of a series.
    NumberSeries {
        /// How the numbers are written.
        pattern: SeriesPattern,
    },
}

impl FieldType {
    /// The type as the manifest writes it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Decimal { .. } => "decimal",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::DateTime => "datetime",
            Self::Uuid => "uuid",
            Self::Enum { .. } => "enum",
            Self::Reference { .. } => "reference",
            Self::Json => "json",
            Self::File => "file",
            Self::NumberSeries { .. } => "number-series",
        }
    }

    /// Whether values can be put in order, so that sorts, ranges, indexes and uniqueness make sense.
    #[must_use]
    pub fn is_ordered(&self) -> bool {
        !matches!(self, Self::Text | Self::Json | Self::File)
    }
}

/// A text's form: a regular expression that must match all of it. Trying one takes as long as text and expression
/// together are, and cannot be stopped: so a text that has a form has at most [`MAX_STRING`] characters.
#[derive(Clone)]
pub struct Pattern {
    source: String,
    regex: regex_lite::Regex,
}

impl Pattern {
    /// Compiles the expression; the error says what is wrong with it.
    pub fn parse(source: &str) -> Result<Self, String> {
        let regex = regex_lite::RegexBuilder::new(&format!("^(?:{source})$"))
            .size_limit(MAX_PROGRAM)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { source: source.to_owned(), regex })
    }

    /// The expression as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Whether all of `text` has the form.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

/// A field of an entity.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name, on the wire and in the table.
    pub name: FieldName,
    /// Its type.
    pub field_type: FieldType,
    /// Whether a record must have it.
    pub required: bool,
    /// Whether no two live records of a tenant may have the same value. Absent values never clash.
    pub unique: bool,
    /// Whether an index serves filters and sorts on it. A reference has one always: deletions look there.
    pub indexed: bool,
    /// Whether its text is also kept [folded](crate::fold::fold), with an index, for searches that ignore case.
    pub searchable: bool,
    /// What an inserted record gets that does not give it; [`Value::Null`] is none.
    pub default: Value,
    /// The smallest value allowed.
    pub min: Option<Value>,
    /// The largest value allowed.
    pub max: Option<Value>,
    /// The most characters of a text.
    pub max_length: Option<u32>,
    /// The form a text must have.
    pub pattern: Option<Pattern>,
    /// What a user must be permitted to see it; without one, whoever may read the record.
    pub read_permission: Option<PermissionName>,
    /// What a user must be permitted to give it a value; without one, whoever may write the record.
    pub write_permission: Option<PermissionName>,
    /// What people see.
    pub label: Labels,
    /// The name that it had in an earlier version of its plugin.
    pub renamed_from: Option<FieldName>,
    /// The column that holds it, where that is not called as the field is: after a change of its name or type.
    pub column: Option<Box<str>>,
}

impl Field {
    /// The column that holds it.
    #[must_use]
    pub fn column(&self) -> &str {
        self.column.as_deref().unwrap_or(self.name.as_str())
    }

    /// The pattern of the numbers that the host gives it; `None` where a caller says what it is.
    #[must_use]
    pub fn series(&self) -> Option<&SeriesPattern> {
        match &self.field_type {
            FieldType::NumberSeries { pattern } => Some(pattern),
            _ => None,
        }
    }

    /// Whether an index serves it: a reference has one always, because deletions look there.
    #[must_use]
    pub fn has_index(&self) -> bool {
        self.unique || self.indexed || matches!(self.field_type, FieldType::Reference { .. })
    }
}

/// How an entity came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntityKind {
    /// Declared in a manifest: typed columns.
    Declared,
    /// Made by the first insert: one JSON document a record.
    Dynamic,
}

/// What is kept of the changes to an entity's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeptHistory {
    /// Nothing is noted.
    None,
    /// Everything is noted, and kept until somebody prunes what is older than so many days.
    Days(u32),
    /// Everything is noted, and kept for ever.
    #[default]
    Forever,
}

impl KeptHistory {
    /// Whether changes are noted.
    #[must_use]
    pub fn is_kept(self) -> bool {
        self != Self::None
    }
}

/// A kind of record.
#[derive(Clone, Debug, PartialEq)]
pub struct EntitySchema {
    /// Its full name.
    pub name: EntityRef,
    /// Declared or dynamic.
    pub kind: EntityKind,
    /// What people see.
    pub title: Labels,
    /// The field that stands for a record where there is room for only one.
    pub display: Option<FieldName>,
    /// What is kept of the changes to its records. No table depends on it.
    pub history: KeptHistory,
    fields: Vec<Field>,
    by_name: Vec<(FieldName, usize)>,
    guarded: bool,
    numbered: bool,
}

impl EntitySchema {
    /// A declared entity. The fields' names are distinct: the manifest is a table keyed by them.
    #[must_use]
    pub fn declared(name: EntityRef, title: Labels, display: Option<FieldName>, fields: Vec<Field>) -> Self {
        let mut by_name: Vec<_> =
            fields.iter().enumerate().map(|(index, field)| (field.name.clone(), index)).collect();
        by_name.sort();
        let guarded =
            fields.iter().any(|field| field.read_permission.is_some() || field.write_permission.is_some());
        let numbered = fields.iter().any(|field| field.series().is_some());
        let history = KeptHistory::default();
        Self { name, kind: EntityKind::Declared, title, display, history, fields, by_name, guarded, numbered }
    }

    /// A dynamic entity: its record is the host's fields and a JSON document.
    #[must_use]
    pub fn dynamic(name: EntityRef) -> Self {
        Self {
            name,
            kind: EntityKind::Dynamic,
            title: Labels::default(),
            display: None,
            history: KeptHistory::default(),
            fields: Vec::new(),
            by_name: Vec::new(),
            guarded: false,
            numbered: false,
        }
    }

    /// The declared fields, in the order of the table's columns. Empty for a dynamic entity.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The position of a field among [`fields`](Self::fields).
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        let found = self.by_name.binary_search_by(|(own, _)| own.as_str().cmp(name)).ok()?;
        self.by_name.get(found).map(|(_, index)| *index)
    }

    /// A field by its name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.get(self.position(name)?)
    }

    /// The same entity with other fields.
    #[must_use]
    pub fn with_fields(&self, fields: Vec<Field>) -> Self {
        let fields = Self::declared(self.name.clone(), self.title.clone(), self.display.clone(), fields);
        Self { history: self.history, ..fields }
    }

    /// The same entity as one of the plugin `to`, its references to entities of `own` as well.
    #[must_use]
    pub fn moved_to(&self, own: &PluginName, to: &PluginName) -> Self {
        let moved = |name: &EntityRef| match name.plugin == *own {
            true => EntityRef { plugin: to.clone(), entity: name.entity.clone() },
            false => name.clone(),
        };
        let fields = self.fields.iter().map(|field| match &field.field_type {
            FieldType::Reference { target, on_delete } => {
                let field_type = FieldType::Reference { target: moved(target), on_delete: *on_delete };
                Field { field_type, ..field.clone() }
            }
            _ => field.clone(),
        });
        Self { name: moved(&self.name), fields: fields.collect(), ..self.clone() }
    }

    /// The same entity, whose fields are in the columns in which those of `found` with the same names are.
    #[must_use]
    pub fn in_columns_of(&self, found: &Self) -> Self {
        let fields = self.fields.iter().map(|field| {
            let column = found.field(field.name.as_str()).and_then(|own| own.column.clone());
            Field { column, ..field.clone() }
        });
        Self { fields: fields.collect(), ..self.clone() }
    }

    /// Whether any field takes a permission of its own.
    #[must_use]
    pub fn has_guarded_fields(&self) -> bool {
        self.guarded
    }

    /// Whether the host gives its records numbers.
    #[must_use]
    pub fn is_numbered(&self) -> bool {
        self.numbered
    }

    /// Whether records hold one JSON document in place of typed columns.
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        self.kind == EntityKind::Dynamic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_text() {
        let pattern = Pattern::parse("[A-Z]{2}|x").unwrap();
        assert!(pattern.matches("AB") && pattern.matches("x"));
        assert!(!pattern.matches("ABC") && !pattern.matches("xAB"));
        assert!(Pattern::parse("(").is_err());
        assert!(Pattern::parse("(a{1000}){1000}").is_err(), "too large a program is refused");
    }
}
