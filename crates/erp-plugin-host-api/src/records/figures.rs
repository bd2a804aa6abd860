//! How many records there are, and figures over them.

use erp_plugin_storage::Aggregate;

use crate::error::CallResult;
use crate::invocation::Invocation;
use crate::json::{aggregate, filter};

impl Invocation {
    /// How many records fulfil the filter.
    pub async fn count(&mut self, entity: &str, filter: &[u8]) -> CallResult<u64> {
        self.enter(entity.len() + filter.len())?;
        let readable = self.readable(entity).await?;
        let filter = filter::read(readable.seen(), filter)?.filter;
        self.budget.statement();
        let counted = self.transaction().await?.count(&readable.entity, &filter).await?;
        self.budget.rows_scanned(counted.rows_scanned);
        Ok(counted.count)
    }

    /// Computes figures over the records that fulfil the filter, as
    /// `{"group_by":["status"],"figures":{"total":{"sum":"amount"},"n":{"count":true}},"limit":100}` says, and answers
    /// `{"groups":[{"status":"open","n":3,"total":"12.50"}],"has_more":false}`: the groups in the order of their keys with
    /// absent ones last, each group a record read.
    ///
    /// `sum`, `min` and `max` are exact and written as the field is; a sum of integers beyond ±2^53 is a string. `avg` is
    /// a string with six digits more than the field's scale, rounded half to even. Of no values `sum` is 0 and the
    /// others are null. Of a dynamic entity's records only the host's own fields can be named.
    pub async fn aggregate(&mut self, entity: &str, filter: &[u8], spec: &[u8]) -> CallResult<Vec<u8>> {
        self.enter(entity.len() + filter.len() + spec.len())?;
        let readable = self.readable(entity).await?;
        let filter = filter::read(readable.seen(), filter)?.filter;
        let spec = aggregate::read(readable.seen(), spec)?;
        let rows_left = self.budget.rows_left();
        if rows_left == 0 {
            return Err(self.budget.too_many_rows());
        }
        let limit = u32::try_from(rows_left).unwrap_or(u32::MAX).min(spec.limit);
        let wanted = Aggregate { group_by: spec.columns(), figures: spec.figures(), limit };
        self.budget.statement();
        let outcome = self.transaction().await?.aggregate(&readable.entity, &filter, &wanted).await?;
        self.budget.rows_scanned(outcome.rows_scanned);
        self.budget.rows_read(outcome.groups.len() as u64);
        if outcome.has_more && limit < spec.limit {
            return Err(self.budget.too_many_rows());
        }
        let out = aggregate::write(&spec, &outcome);
        self.budget.transfer(out.len())?;
        Ok(out)
    }
}
