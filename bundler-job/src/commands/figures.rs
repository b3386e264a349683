//! The lines that the summaries of `run` and `bundle` have in common.

use std::collections::BTreeMap;
use std::fmt::Display;

use indicatif::BinaryBytes;
use s3bundler_contract::Figures;

/// Bytes of the rows in groups. Groups are cut by these.
pub(super) struct Listed {
    /// How many.
    pub bytes: u64,
    /// Who lists them, and the verb: "the inventory lists".
    pub by: &'static str,
}

/// A line of a summary.
pub(super) fn line(name: &str, value: &str) -> String {
    format!("  {name:<12} {value}")
}

/// What became of the objects, after what there is to report of their sizes.
pub(super) fn figures_lines(figures: &Figures, listed: &Listed) -> Vec<String> {
    let human = |bytes| BinaryBytes(bytes).to_string();
    let found = figures.archived_bytes.saturating_add(figures.copied_bytes);
    let sizes = listed.exceeded_by(found).map(|sizes| line("sizes", &sizes));
    let lines = [
        line(
            "archived",
            &format!(
                "{} objects, {}",
                figures.archived,
                human(figures.archived_bytes)
            ),
        ),
        line(
            "copied",
            &format!(
                "{} objects, {}",
                figures.copied,
                human(figures.copied_bytes)
            ),
        ),
        line(
            "failed",
            &format!(
                "{} objects{}",
                figures.failed_objects(),
                by_reason(&figures.failed)
            ),
        ),
    ];
    sizes.into_iter().chain(lines).collect()
}

/// How many of each, in parentheses; empty if there are none.
pub(super) fn by_reason<R: Display>(counts: &BTreeMap<R, u64>) -> String {
    let counts: Vec<_> = counts
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    if counts.is_empty() {
        String::new()
    } else {
        format!(" ({})", counts.join(", "))
    }
}

impl Listed {
    /// What there is to report if more bytes were found than listed.
    fn exceeded_by(&self, found: u64) -> Option<String> {
        let by = self.by;
        match found.checked_sub(self.bytes) {
            None | Some(0) => None,
            Some(_) if self.bytes == 0 => {
                Some(format!("{by} none, so --max-size could not be kept"))
            }
            Some(more) => Some(format!(
                "{} more than {by}, so --max-size may not be kept",
                BinaryBytes(more)
            )),
        }
    }
}

#[cfg(test)]
mod tests;
