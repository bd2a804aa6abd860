//! What the demo shows.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde::Serialize;

use super::{Figures, Refusal, Tenant, Worked};
use crate::output::{BAD, GOOD, HEADING, foreign, styled};
use crate::values::grouped;

/// Everything that came of it.
#[derive(Debug)]
pub struct Report {
    /// The figures of each tenant.
    pub tenants: Vec<(Tenant, Figures)>,
    /// Events in the outboxes of both tenants.
    pub events: u64,
    /// Fuel that all invocations of both tenants took.
    pub fuel: u64,
    /// How much was worked off, and how long that took.
    pub worked: Worked,
    /// What was tried and must not work.
    pub refusals: [Refusal; 4],
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The figures by tenant.
    pub tenants: BTreeMap<&'static str, Figures>,
    /// Events in the outboxes of both tenants.
    pub events: u64,
    /// How long the orders took.
    pub seconds: f64,
}

/// A figure's name, and how it is read.
type Row = (&'static str, fn(&Figures) -> i64);

/// The figures in the order in which they are shown.
const ROWS: [Row; 7] = [
    ("orders_reserved", |figures| figures.orders_reserved.cast_signed()),
    ("orders_short", |figures| figures.orders_short.cast_signed()),
    ("stock_movements_sale", |figures| figures.stock_movements_sale.cast_signed()),
    ("stock_movements_receipt", |figures| figures.stock_movements_receipt.cast_signed()),
    ("backorders", |figures| figures.backorders.cast_signed()),
    ("purchase_orders_received", |figures| figures.purchase_orders_received.cast_signed()),
    ("on_hand_total", |figures| figures.on_hand_total),
];

impl Report {
    /// Fails when something worked that must not.
    pub fn verdict(&self) -> Result<()> {
        match self.refusals.iter().find(|refusal| !refusal.holds) {
            None => Ok(()),
            Some(Refusal { what, answer: Ok(()), .. }) => {
                bail!("{what} was not refused: this host is not safe")
            }
            Some(Refusal { what, answer: Err(error), .. }) => {
                bail!("{what} ended in another way than it must: {error}")
            }
        }
    }

    /// The object for programs.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            tenants: self.tenants.iter().map(|(tenant, figures)| (tenant.as_str(), *figures)).collect(),
            events: self.events,
            seconds: (self.worked.time.as_secs_f64() * 1000.0).round() / 1000.0,
        }
    }

    /// The report for people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut head = format!("{:26}", "");
        for (tenant, _) in &self.tenants {
            head += &format!("{:>12}", tenant.as_str());
        }
        let mut text = styled(HEADING, head) + "\n";
        for (name, figure) in ROWS {
            text += &format!("{name:26}");
            for (_, figures) in &self.tenants {
                text += &format!("{:>12}", figure(figures));
            }
            text.push('\n');
        }
        let Worked { orders, time } = self.worked;
        let seconds = time.as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "there are not that many orders")]
        let per_minute = orders as f64 / seconds.max(f64::EPSILON) * 60.0;
        text += &format!(
            "\n{} events, {} of fuel; {orders} orders in {seconds:.2} s, {per_minute:.0} orders a minute\n",
            grouped(self.events),
            grouped(self.fuel),
        );
        text += &format!("\n{}\n", styled(HEADING, "refused, as it must be"));
        for Refusal { what, answer, holds } in &self.refusals {
            let (style, mark) = if *holds { (GOOD, "ok") } else { (BAD, "NO") };
            let said = answer.as_ref().map_or_else(ToString::to_string, |()| "it was let through".to_owned());
            text += &format!("{} {what}: {}\n", styled(style, mark), foreign(&said));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use erp_plugin::HostError;

    use super::*;

    #[test]
    fn something_that_was_let_through_fails_the_demo() {
        let refused = |holds| Refusal { what: "a theft", answer: Err(HostError::denied("no")), holds };
        let report = |last: Refusal| Report {
            tenants: vec![(Tenant::Northwind, Figures::default())],
            events: 0,
            fuel: 0,
            worked: Worked { orders: 1, time: Duration::from_secs(1) },
            refusals: [refused(true), refused(true), refused(true), last],
        };
        assert!(report(refused(true)).verdict().is_ok());
        assert!(report(refused(false)).verdict().unwrap_err().to_string().contains("another way"));
        let let_through = report(Refusal { what: "a theft", answer: Ok(()), holds: false });
        assert!(let_through.verdict().unwrap_err().to_string().starts_with("a theft was not refused"));
        assert!(let_through.to_text().contains("a theft: it was let through"));
    }
}
