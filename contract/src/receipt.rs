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
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_receipt_says_everything_in_its_name() {
        let mut receipt = Receipt::empty("run.000001".parse().expect("a name"));
        receipt.figures.archived = 64_990;
        receipt.figures.copied = 2;
        receipt.figures.archived_bytes = 665_497_600;
        receipt.figures.copied_bytes = 7;
        receipt.figures.failed = [(Reason::NoSuchKey, 7), (Reason::Retry, 1)].into();
        assert_eq!(
            receipt.name(),
            "run.000001~a64990~c2~f8~b665497600~bc7~Retry1~NoSuchKey7"
        );
        assert_eq!(Receipt::parse(&receipt.name()), Ok(receipt));
    }

    #[test]
    fn broken_names_are_refused_with_the_cause() {
        for name in [
            "",
            "run.000001",
            "run.000001~a1~c1~f0",
            "run.000001~a1~c1~f1~b1",
            "run.000001~a~c1~f0~b1",
            "run.000001~a-1~c1~f0~b1",
            "r/x~a1~c1~f0~b1",
            "run.000001~a99999999999999999999~c1~f0~b1",
        ] {
            assert!(Receipt::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_receipt_of_a_redo_group_is_told_apart_by_its_name() {
        let run = "run".parse().expect("a name");
        let figures = Figures {
            archived: 3,
            archived_bytes: 9,
            ..Figures::default()
        };
        let receipt = Receipt::new(
            &run,
            "run.redo1.000000".parse().expect("a name"),
            figures.clone(),
        );
        assert_eq!(receipt.name(), "run.redo1.000000~redo~a3~c0~f0~b9");
        assert_eq!(Receipt::parse(&receipt.name()), Ok(receipt.clone()));
        assert!(receipt.is_consistent(&run));
        let own = Receipt::new(&run, "run.000000".parse().expect("a name"), figures);
        assert_eq!(own.name(), "run.000000~a3~c0~f0~b9");
        for (name, consistent) in [
            ("run.000000~a3~c0~f0~b9", true),
            ("run.000000~redo~a3~c0~f0~b9", false),
            ("run.redo1.000000~a3~c0~f0~b9", false),
            ("run.retry1.000000~a3~c0~f0~b9", true),
        ] {
            assert_eq!(
                Receipt::parse(name).expect(name).is_consistent(&run),
                consistent,
                "{name}"
            );
        }
    }

    #[test]
    fn fields_of_later_releases_are_skipped() {
        assert!(Receipt::parse("g.1~a1~c0~f0~b10~zz5").is_ok());
    }

    proptest! {
        #[test]
        fn any_text_parses_or_fails_without_panic(name in ".{0,80}") {
            let _ = Receipt::parse(&name);
        }

        #[test]
        fn every_receipt_reads_back(a in any::<u64>(), c in any::<u64>(), b in any::<u64>(), n in 1..1000_u64) {
            let mut receipt = Receipt::empty("run.000001".parse().expect("a name"));
            (receipt.figures.archived, receipt.figures.copied, receipt.figures.archived_bytes) = (a, c, b);
            receipt.figures.failed = [(Reason::Glacier, n)].into();
            prop_assert_eq!(Receipt::parse(&receipt.name()), Ok(receipt));
        }
    }
}
