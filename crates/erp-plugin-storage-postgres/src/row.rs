//! The row that a statement gave, as the traits show it.

use erp_plugin_model::filter::Column;
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::value::ValueRef;
use erp_plugin_model::{RecordId, Value, Version};
use erp_plugin_storage::{ReplacedView, RowView, StorageResult, SystemValues};
use tokio_postgres::Row;

use crate::columns::{ColumnType, Raw};
use crate::error::{Error, Result};
use crate::statements::FIRST_COLUMN;

/// A row of an entity's select.
pub(crate) struct StoredRow<'r> {
    pub(crate) row: &'r Row,
    /// The types of the fields' columns.
    pub(crate) types: &'r [ColumnType],
}

/// The bytes in a column; `None` where it is NULL.
pub(crate) fn raw(row: &Row, column: usize) -> Result<Option<Raw<'_>>> {
    Ok(row.try_get(column)?)
}

/// The bytes in a column that is never NULL.
pub(crate) fn present(row: &Row, column: usize) -> Result<Raw<'_>> {
    raw(row, column)?.ok_or_else(|| Error::Unreadable("value"))
}

impl<'r> StoredRow<'r> {
    /// A field's value, owned.
    pub(crate) fn value(&self, position: usize) -> Result<Value> {
        Ok(self.field_value(position)?.to_owned())
    }

    fn system_values(&self) -> Result<SystemValues<'r>> {
        let get = |column| present(self.row, column);
        Ok(SystemValues {
            id: RecordId(get(0)?.uuid()?),
            version: Version::new(get(1)?.integer()?).ok_or_else(|| Error::Unreadable("version"))?,
            created_at: get(2)?.time()?,
            created_by: get(3)?.text()?,
            updated_at: get(4)?.time()?,
            updated_by: get(5)?.text()?,
        })
    }

    fn field_value(&self, position: usize) -> Result<ValueRef<'r>> {
        let column_type =
            self.types.get(position).ok_or_else(|| Error::Misuse("a field that the schema does not have"))?;
        column_type.read(raw(self.row, FIRST_COLUMN + position)?)
    }

    fn column_value(&self, column: &Column) -> Result<ValueRef<'r>> {
        match column {
            Column::System(field) => {
                ColumnType::of_system(*field).read(raw(self.row, system_column(*field))?)
            }
            Column::Field(position) => self.field_value(*position),
            Column::Document(_) => Err(Error::Misuse("a document's key, which nothing sorts by")),
        }
    }
}

impl RowView for StoredRow<'_> {
    fn system(&self) -> StorageResult<SystemValues<'_>> {
        self.system_values().map_err(|error| error.at("read"))
    }

    fn field(&self, position: usize) -> StorageResult<ValueRef<'_>> {
        self.field_value(position).map_err(|error| error.at("read"))
    }

    fn column(&self, column: &Column) -> StorageResult<ValueRef<'_>> {
        self.column_value(column).map_err(|error| error.at("read"))
    }
}

/// What an update of some fields has replaced, behind the new record in its row.
pub(crate) struct ReplacedFields<'r> {
    pub(crate) row: &'r Row,
    /// The types of all fields' columns.
    pub(crate) types: &'r [ColumnType],
    /// The fields that were updated, in the order of their columns.
    pub(crate) positions: &'r [usize],
}

impl ReplacedFields<'_> {
    fn value(&self, position: usize) -> Result<ValueRef<'_>> {
        let missing = || Error::Misuse("what was replaced in a field that the update does not name");
        let place = self.positions.iter().position(|own| *own == position).ok_or_else(missing)?;
        let column_type = self.types.get(position).ok_or_else(missing)?;
        column_type.read(raw(self.row, FIRST_COLUMN + self.types.len() + place)?)
    }
}

impl ReplacedView for ReplacedFields<'_> {
    fn replaced_field(&self, position: usize) -> StorageResult<ValueRef<'_>> {
        self.value(position).map_err(|error| error.at("read"))
    }
}

/// The document that an update has replaced, alone in its row.
pub(crate) struct ReplacedDocument<'r>(pub(crate) &'r Row);

impl ReplacedView for ReplacedDocument<'_> {
    fn replaced_field(&self, position: usize) -> StorageResult<ValueRef<'_>> {
        match position {
            0 => raw(self.0, 0).and_then(|document| ColumnType::Json.read(document)),
            _ => Err(Error::Misuse("a field of a document")),
        }
        .map_err(|error| error.at("read"))
    }
}

fn system_column(field: SystemField) -> usize {
    match field {
        SystemField::Id => 0,
        SystemField::Version => 1,
        SystemField::CreatedAt => 2,
        SystemField::CreatedBy => 3,
        SystemField::UpdatedAt => 4,
        SystemField::UpdatedBy => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selects_list_the_system_columns_in_this_order() {
        for (index, field) in SystemField::ALL.into_iter().enumerate() {
            assert_eq!(system_column(field), index);
        }
        assert_eq!(FIRST_COLUMN, SystemField::ALL.len());
    }
}
