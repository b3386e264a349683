//! The receipt of a group: an empty object whose name carries the figures, so that LIST alone gives
//! exact totals of a run, 1,000 groups a request (docs/decisions/receipt-bytes.md).

use std::fmt::Write as _;

use crate::figures::Figures;
use crate::layout::{GroupName, Layout, RunName};
use crate::reason::Reason;

/// The field of a redo group. It has no number, so that a reader of format 1 reports the receipt
/// instead of adding it.
const REDO: &str = "redo";

/// The figures of one committed group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The group.
    pub group: GroupName,
    /// Whether its group takes the place of others: then its name has a field `redo`, which readers
    /// of format 1 refuse.
    pub redo: bool,
    /// What became of its rows.
    pub figures: Figures,
}

/// Why a name is not a receipt's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a receipt: {problem}")]
pub struct ReceiptError {
    name: String,
    problem: &'static str,
}

impl Receipt {
    /// The receipt of a group of `run` with these figures.
    pub fn new(run: &RunName, group: GroupName, figures: Figures) -> Self {
        let redo = group.is_redo_in(run);
        Self {
            group,
            redo,
            figures,
        }
    }

    /// The receipt of a group in which nothing is counted yet, and which takes no other's place.
    pub fn empty(group: GroupName) -> Self {
        Self {
            group,
            redo: false,
            figures: Figures::default(),
        }
    }

    /// Whether its name tells of a redo group if and only if its group is one of `run`.
    pub fn is_consistent(&self, run: &RunName) -> bool {
        self.redo == self.group.is_redo_in(run)
    }

    /// The last part of its key: `<group>[~redo]~a…~c…~f…~b…[~bc…][~bf…][~<Reason>…]`.
    pub fn name(&self) -> String {
        let Self {
            group,
            redo,
            figures,
        } = self;
        let redo = if *redo {
            format!("~{REDO}")
        } else {
            String::new()
        };
        let mut name = format!(
            "{group}{redo}~a{}~c{}~f{}~b{}",
            figures.archived,
            figures.copied,
            figures.failed_objects(),
            figures.archived_bytes
        );
        for (field, bytes) in [("bc", figures.copied_bytes), ("bf", figures.failed_bytes)] {
            if bytes > 0 {
                let _ = write!(name, "~{field}{bytes}");
            }
        }
        for (reason, count) in &figures.failed {
            let _ = write!(name, "~{reason}{count}");
        }
        name
    }

    /// Its key.
    pub fn key(&self, layout: &Layout, run: &RunName) -> String {
        format!("{}{}", layout.receipts(run), self.name())
    }

    /// What the keys of every receipt of `group` begin with. One receipt is right; two are a defect
    /// to report.
    pub fn stem(layout: &Layout, run: &RunName, group: &GroupName) -> String {
        format!("{}{group}~", layout.receipts(run))
    }

    /// Reads a receipt from the last part of its key. Fields of later releases are skipped.
    pub fn parse(name: &str) -> Result<Self, ReceiptError> {
        let error = |problem| ReceiptError {
            name: name.to_owned(),
            problem,
        };
        let mut parts = name.split('~');
        let group = parts.next().unwrap_or_default();
        let group = group
            .parse()
            .map_err(|_| error("it does not begin with a group's name"))?;
        let (mut redo, mut figures) = (false, Figures::default());
        let mut failed = None;
        let mut seen = (false, false, false);
        for part in parts {
            if part == REDO {
                redo = true;
                continue;
            }
            let digits = part.trim_end_matches(|c: char| c.is_ascii_digit()).len();
            let (field, number) = part.split_at(digits);
            let number: u64 = number.parse().map_err(|_| error("a field has no number"))?;
            match field {
                "a" => (figures.archived, seen.0) = (number, true),
                "c" => (figures.copied, seen.1) = (number, true),
                "b" => (figures.archived_bytes, seen.2) = (number, true),
                "f" => failed = Some(number),
                "bc" => figures.copied_bytes = number,
                "bf" => figures.failed_bytes = number,
                other => {
                    if let Ok(reason) = other.parse::<Reason>() {
                        figures.failed.insert(reason, number);
                    }
                }
            }
        }
        if seen != (true, true, true) || failed.is_none() {
            return Err(error("one of a, c, f and b is missing"));
        }
        if failed != Some(figures.failed_objects()) {
            return Err(error("f is not the sum of the reasons"));
        }
        Ok(Self {
            group,
            redo,
            figures,
        })
    }
}

#[cfg(test)]
mod tests;
