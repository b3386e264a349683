//! The receipt of a group: an empty object whose name carries the figures, so that LIST alone gives exact totals of a
//! run, 1,000 groups a request.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::layout::{GroupName, Layout, RunName};
use crate::reason::Reason;

/// The figures of one committed group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The group.
    pub group: GroupName,
    /// Objects in the archive.
    pub archived: u64,
    /// Objects copied by the server.
    pub copied: u64,
    /// Bytes of the archived objects.
    pub archived_bytes: u64,
    /// Bytes of the copied objects.
    pub copied_bytes: u64,
    /// Bytes that the inventory gave the failed objects.
    pub failed_bytes: u64,
    /// Failed objects by reason; no zeros.
    pub failed: BTreeMap<Reason, u64>,
}

/// Why a name is not a receipt's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a receipt: {problem}")]
pub struct ReceiptError {
    name: String,
    problem: &'static str,
}

impl Receipt {
    /// The receipt of a group in which nothing is counted yet.
    pub fn empty(group: GroupName) -> Self {
        Self {
            group,
            archived: 0,
            copied: 0,
            archived_bytes: 0,
            copied_bytes: 0,
            failed_bytes: 0,
            failed: BTreeMap::new(),
        }
    }

    /// Failed objects, for any reason.
    pub fn failed_objects(&self) -> u64 {
        self.failed.values().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Every row of the group: archived + copied + failed.
    pub fn rows(&self) -> u64 {
        self.archived.saturating_add(self.copied).saturating_add(self.failed_objects())
    }

    /// The last part of its key: `<group>~a…~c…~f…~b…[~bc…][~bf…][~<Reason>…]`.
    pub fn name(&self) -> String {
        let mut name = format!(
            "{}~a{}~c{}~f{}~b{}",
            self.group,
            self.archived,
            self.copied,
            self.failed_objects(),
            self.archived_bytes
        );
        for (field, bytes) in [("bc", self.copied_bytes), ("bf", self.failed_bytes)] {
            if bytes > 0 {
                let _ = write!(name, "~{field}{bytes}");
            }
        }
        for (reason, count) in &self.failed {
            let _ = write!(name, "~{reason}{count}");
        }
        name
    }

    /// Its key.
    pub fn key(&self, layout: &Layout, run: &RunName) -> String {
        format!("{}{}", layout.receipts(run), self.name())
    }

    /// What the keys of every receipt of `group` begin with. One receipt is right; two are a defect to report.
    pub fn stem(layout: &Layout, run: &RunName, group: &GroupName) -> String {
        format!("{}{group}~", layout.receipts(run))
    }

    /// Reads a receipt from the last part of its key. Fields of later releases are skipped.
    pub fn parse(name: &str) -> Result<Self, ReceiptError> {
        let error = |problem| ReceiptError { name: name.to_owned(), problem };
        let mut parts = name.split('~');
        let group = parts.next().unwrap_or_default();
        let mut receipt = Self::empty(group.parse().map_err(|_| error("it does not begin with a group's name"))?);
        let mut failed = None;
        let mut seen = (false, false, false);
        for part in parts {
            let digits = part.trim_end_matches(|c: char| c.is_ascii_digit()).len();
            let (field, number) = part.split_at(digits);
            let number: u64 = number.parse().map_err(|_| error("a field has no number"))?;
            match field {
                "a" => (receipt.archived, seen.0) = (number, true),
                "c" => (receipt.copied, seen.1) = (number, true),
                "b" => (receipt.archived_bytes, seen.2) = (number, true),
                "f" => failed = Some(number),
                "bc" => receipt.copied_bytes = number,
                "bf" => receipt.failed_bytes = number,
                other => {
                    if let Ok(reason) = other.parse::<Reason>() {
                        receipt.failed.insert(reason, number);
                    }
                }
            }
        }
        if seen != (true, true, true) || failed.is_none() {
            return Err(error("one of a, c, f and b is missing"));
        }
        if failed != Some(receipt.failed_objects()) {
            return Err(error("f is not the sum of the reasons"));
        }
        Ok(receipt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_receipt_says_everything_in_its_name() {
        let mut receipt = Receipt::empty("run.000001".parse().expect("a name"));
        receipt.archived = 64_990;
        receipt.copied = 2;
        receipt.archived_bytes = 665_497_600;
        receipt.copied_bytes = 7;
        receipt.failed = [(Reason::NoSuchKey, 7), (Reason::Retry, 1)].into();
        assert_eq!(receipt.name(), "run.000001~a64990~c2~f8~b665497600~bc7~Retry1~NoSuchKey7");
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
            (receipt.archived, receipt.copied, receipt.archived_bytes) = (a, c, b);
            receipt.failed = [(Reason::Glacier, n)].into();
            prop_assert_eq!(Receipt::parse(&receipt.name()), Ok(receipt));
        }
    }
}
