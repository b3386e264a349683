//! The exact figures of a run, counted from its receipts: LIST alone tells them, 1,000 groups a
//! request. The summaries of the run say which receipts count, and which rows another group has by
//! now.

use std::collections::{BTreeMap, BTreeSet};

use s3bundler_contract::accounts::{Accounts, Counted, Mismatch};
use s3bundler_contract::{Figures, GroupName, Receipt, RunName, Stage};
use serde::Serialize;

use crate::destination::Destination;
use crate::group::{GroupError, accounts};
use crate::s3::S3;

/// What the receipts of a run add up to, those of its retry passes and redos included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunTotals {
    /// What became of the rows: each counts once, and the failed ones are those that no pass could
    /// archive.
    #[serde(flatten)]
    pub figures: Figures,
    /// Receipts that cannot be read, and second receipts of a group: defects, never summed.
    pub defects: Vec<String>,
    /// Groups without a receipt of the run's own, and of redos.
    #[serde(skip)]
    pub missing: u64,
    /// Groups without a receipt of retry passes.
    #[serde(skip)]
    pub missing_of_passes: u64,
    /// How the figures contradict the inventory's rows.
    #[serde(skip)]
    pub mismatch: Option<Mismatch>,
}

/// Receipts that are being counted.
struct Count<'a> {
    run: &'a RunName,
    accounts: &'a Accounts,
    seen: BTreeSet<GroupName>,
    counted: BTreeMap<Stage, Counted>,
    defects: Vec<String>,
}

impl<'a> Count<'a> {
    fn new(run: &'a RunName, accounts: &'a Accounts) -> Self {
        Self {
            run,
            accounts,
            seen: BTreeSet::new(),
            counted: BTreeMap::new(),
            defects: Vec::new(),
        }
    }

    fn add(&mut self, name: &str) {
        let receipt = match Receipt::parse(name) {
            Ok(receipt) => receipt,
            Err(error) => return self.defects.push(error.to_string()),
        };
        if self.accounts.is_replaced(&receipt.group) {
            return;
        }
        // Rows of manifests from elsewhere are no rows of the inventory.
        let Some((stage, number)) = receipt.group.stage_in(self.run) else {
            return;
        };
        let is_counted = self
            .accounts
            .get(stage)
            .map(|summary| number < summary.groups);
        if receipt.group.may_be_foreign() && is_counted != Some(true) {
            return;
        }
        if !receipt.is_consistent(self.run) {
            return self
                .defects
                .push(format!("{name} is not the receipt of such a group"));
        }
        // No summary counts it: what its grouper has not finished is not a defect.
        if is_counted == Some(false) {
            return self.defects.push(format!(
                "group {} has a receipt, and no summary counts it",
                receipt.group
            ));
        }
        if self.seen.insert(receipt.group.clone()) {
            self.counted
                .entry(stage)
                .or_default()
                .add(number, &receipt.figures);
        } else {
            self.defects.push(format!(
                "group {} has a second receipt {name}",
                receipt.group
            ));
        }
    }

    fn totals(self) -> RunTotals {
        let Self {
            accounts,
            counted,
            defects,
            ..
        } = self;
        let missing_of = |of_pass: bool| {
            let stages = accounts
                .summaries()
                .map(s3bundler_contract::RunSummary::stage);
            stages
                .filter(|stage| matches!(*stage, Stage::Pass(1..)) == of_pass)
                .filter_map(|stage| accounts.missing(stage, &counted))
                .fold(0, u64::saturating_add)
        };
        let (missing, missing_of_passes) = (missing_of(false), missing_of(true));
        let (figures, mismatch) = (accounts.outcome(&counted), accounts.mismatch(&counted));
        RunTotals {
            figures,
            defects,
            missing,
            missing_of_passes,
            mismatch,
        }
    }
}

impl RunTotals {
    /// Whether every group has one receipt, and these agree with the inventory.
    pub(crate) fn add_up(&self) -> bool {
        self.missing == 0 && self.defects.is_empty() && self.mismatch.is_none()
    }

    /// What these receipts of a run add up to, each the last part of its key.
    pub(crate) fn of<'a>(
        run: &RunName,
        accounts: &Accounts,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut count = Count::new(run, accounts);
        for name in names {
            count.add(name);
        }
        count.totals()
    }

    /// Counts the receipts of a run; also returns the summaries by which they were counted.
    pub(crate) async fn count(
        s3: &S3,
        destination: &Destination,
        run: &RunName,
    ) -> Result<(Self, Accounts), GroupError> {
        let accounts = accounts(s3, destination, run).await?;
        let prefix = destination.layout.receipts(run);
        let mut count = Count::new(run, &accounts);
        let listing = s3.list(&destination.bucket, &prefix, |page| {
            for listed in page {
                count.add(listed.key.strip_prefix(&prefix).unwrap_or(&listed.key));
            }
            true
        });
        listing.await.map_err(GroupError::Read)?;
        let totals = count.totals();
        Ok((totals, accounts))
    }
}

#[cfg(test)]
mod tests;
