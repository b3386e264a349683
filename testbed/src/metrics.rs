//! What a program shows to Prometheus, and what docs/metrics.md says that it shows.

use std::collections::{BTreeMap, BTreeSet};

const PAGE: &str = include_str!("../../docs/metrics.md");

/// Type and labels of a metric.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metric {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// Names of labels; without that of a histogram's buckets.
    pub labels: BTreeSet<String>,
}

/// Metrics by their names in queries; histograms without `_bucket`, `_sum` and `_count`.
pub type Metrics = BTreeMap<String, Metric>;

/// The metrics of a page in the OpenMetrics text format that have a time series.
///
/// # Panics
///
/// If a line is not of that format, or a time series has no type.
pub fn exposed(page: &str) -> Metrics {
    let mut kinds = BTreeMap::new();
    let mut metrics = Metrics::new();
    for line in page.lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').expect("a name and a type");
            kinds.insert(name.to_owned(), kind.to_owned());
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let (series, _) = line.rsplit_once(' ').expect("a time series and a value");
        let (sample, labels) = series.split_once('{').unwrap_or((series, ""));
        let suffixes = ["", "_total", "_bucket", "_sum", "_count"];
        let (family, kind) = suffixes
            .iter()
            .find_map(|suffix| kinds.get_key_value(sample.strip_suffix(suffix)?))
            .unwrap_or_else(|| panic!("no type for {line}"));
        let name = match kind.as_str() {
            "counter" => format!("{family}_total"),
            _ => family.clone(),
        };
        let metric = metrics.entry(name).or_default();
        metric.kind.clone_from(kind);
        let labels = names(labels).into_iter();
        metric.labels.extend(labels.filter(|label| label != "le"));
    }
    metrics
}

/// The names in `a="b",c="d"}`. No value of a label has `="` in it.
fn names(labels: &str) -> Vec<String> {
    labels
        .split("=\"")
        .filter_map(|part| part.rsplit(['"', ',', '{']).next())
        .filter(|name| !name.is_empty() && *name != "}")
        .map(str::to_owned)
        .collect()
}

/// The metrics of the table in docs/metrics.md that a program shows: `operator` or `worker`.
///
/// # Panics
///
/// If a row of the table has not all cells.
pub fn documented(program: &str) -> Metrics {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `"));
    let metrics = rows.filter_map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, programs, _meaning] = cells[..] else {
            panic!("not five cells: {row}");
        };
        let quoted = |cell: &str| -> Vec<String> {
            let parts = cell.split('`').skip(1).step_by(2);
            parts.map(str::to_owned).collect()
        };
        let metric = Metric {
            kind: kind.to_owned(),
            labels: quoted(labels).into_iter().collect(),
        };
        let is_shown = programs.split(", ").any(|it| it == program);
        is_shown.then(|| (quoted(name).concat(), metric))
    });
    metrics.collect()
}

#[cfg(test)]
mod tests;
