//! The row that a statement stands on, as the traits show it.

use erp_plugin_model::filter::Column;
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::value::ValueRef;
use erp_plugin_model::{RecordId, Version};
use erp_plugin_storage::{ReplacedView, RowView, StorageResult, SystemValues};
use rusqlite::Row;
use rusqlite::types::ValueRef as Stored;

use crate::columns::{self, ColumnType};
use crate::error::{Error, Result};
use crate::statements::FIRST_COLUMN;

/// A row of an entity's select.
pub(crate) struct StoredRow<'r> {
    pub(crate) row: &'r Row<'r>,
    /// The types of the fields' columns.
    pub(crate) types: &'r [ColumnType],
}

impl<'r> StoredRow<'r> {
    fn get(&self, column: usize) -> Result<Stored<'r>> {
        Ok(self.row.get_ref(column)?)
    }

    fn typed(&self, column: usize, column_type: ColumnType) -> Result<ValueRef<'r>> {
        column_type.read(self.get(column)?)
    }

    fn text(&self, column: usize) -> Result<&'r str> {
        match self.get(column)? {
            Stored::Text(bytes) => columns::text(bytes),
            _ => Err(Error::Unreadable("text")),
        }
    }

    fn integer(&self, column: usize) -> Result<i64> {
        match self.get(column)? {
            Stored::Integer(number) => Ok(number),
            _ => Err(Error::Unreadable("number")),
        }
    }

    fn system_values(&self) -> Result<SystemValues<'r>> {
        let id = match self.get(0)? {
            Stored::Blob(bytes) => columns::uuid(bytes)?,
            _ => return Err(Error::Unreadable("id")),
        };
        Ok(SystemValues {
            id: RecordId(id),
            version: Version::new(self.integer(1)?).ok_or_else(|| Error::Unreadable("version"))?,
            created_at: columns::datetime(self.integer(2)?)?,
            created_by: self.text(3)?,
            updated_at: columns::datetime(self.integer(4)?)?,
            updated_by: self.text(5)?,
        })
    }

    fn field_value(&self, position: usize) -> Result<ValueRef<'r>> {
        let column_type =
            self.types.get(position).ok_or_else(|| Error::Misuse("a field that the schema does not have"))?;
        self.typed(FIRST_COLUMN + position, *column_type)
    }

    fn column_value(&self, column: &Column) -> Result<ValueRef<'r>> {
        match column {
            Column::System(field) => self.typed(system_column(*field), ColumnType::of(&field.field_type())),
            Column::Field(position) => self.field_value(*position),
            Column::Document(_) => Err(Error::Misuse("a document's key as a column that a sort names")),
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

impl ReplacedView for StoredRow<'_> {
    fn replaced_field(&self, position: usize) -> StorageResult<ValueRef<'_>> {
        self.field(position)
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
