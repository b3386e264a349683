//! What `plan` prints, for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use indicatif::{BinaryBytes, HumanCount};
use s3bundler_contract::LeftOut;
use s3bundler_contract::figures::sum;
use serde::Serialize;

use super::costs::{ClassNow, Stored, Target, Written};
use super::forgotten::Forgotten;
use super::histogram::Bar;
use super::money::Usd;
use super::prices::{Disputed, PriceList};
use super::requests::{Basis, Line, Operation, Place};
use super::sample::Sample;
use super::{Plan, PlanRequest};
use crate::table::Table;

/// A plan as it is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report<'a> {
    /// Where the rows come from.
    origin: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    prices: Prices<'a>,
    rows: u64,
    left_out: &'a BTreeMap<LeftOut, u64>,
    groups: u64,
    /// Rows in groups.
    objects: u64,
    /// Their bytes, by the rows.
    bytes: u64,
    archives: Archives<'a>,
    copies: Stored,
    requests: Vec<RequestLine>,
    now: NowReport<'a>,
    /// The class of archives that is planned.
    storage_class: &'a str,
    classes: &'a [Target],
    written: Written,
    duration: DurationReport,
    sizes: &'a [Bar],
    ages: &'a [Bar],
    forgotten: &'a [Forgotten],
    assumptions: &'a [String],
    warnings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<&'a Sample>,
    #[serde(skip)]
    size_plot: &'a str,
    #[serde(skip)]
    age_plot: &'a str,
}

#[derive(Debug, Serialize)]
struct Prices<'a> {
    list: &'a str,
    region: &'a str,
    date: &'a str,
    currency: &'static str,
    sources: &'a BTreeMap<String, String>,
    disputed: &'a [Disputed],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Archives<'a> {
    format: &'a str,
    count: u64,
    /// As plain tars.
    tar_bytes: u128,
    /// Compressed bytes for each byte of a plain tar.
    ratio: f64,
}

#[derive(Debug, Serialize)]
struct RequestLine {
    place: Place,
    operation: Operation,
    count: u64,
    basis: Basis,
    usd: Usd,
    purposes: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NowReport<'a> {
    monthly: Usd,
    early_deletion: Usd,
    classes: &'a [ClassNow],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DurationReport {
    objects_per_second: u32,
    seconds: u64,
}

/// Lines of one place, operation and basis as one, in their order.
fn joined(lines: &[Line], costs: &[Usd]) -> Vec<RequestLine> {
    let mut joined: BTreeMap<(Place, Operation, Basis), RequestLine> = BTreeMap::new();
    for (line, usd) in lines.iter().zip(costs) {
        let Line {
            place,
            operation,
            basis,
            ..
        } = *line;
        let of = joined
            .entry((place, operation, basis))
            .or_insert_with(|| RequestLine {
                place,
                operation,
                count: 0,
                basis,
                usd: Usd::ZERO,
                purposes: Vec::new(),
            });
        of.count += line.count;
        of.usd += *usd;
        if !of.purposes.contains(&line.purpose) {
            of.purposes.push(line.purpose);
        }
    }
    joined.into_values().collect()
}

impl<'a> Report<'a> {
    /// The report of a plan, with where its rows come from.
    pub(crate) fn of(plan: &'a Plan, request: &'a PlanRequest, origin: &'a str) -> Self {
        let PriceList {
            name,
            region,
            date,
            sources,
            disputed,
            ..
        } = &request.prices;
        let destination = request.rows.destination.as_ref();
        Self {
            origin,
            destination: destination.map(|it| format!("s3://{}/{}", it.bucket, it.layout.root())),
            prices: Prices {
                list: name,
                region,
                date,
                currency: "USD",
                sources,
                disputed,
            },
            rows: plan.rows,
            left_out: &plan.left_out,
            groups: plan.groups,
            objects: plan.objects,
            bytes: plan.bytes,
            archives: Archives {
                format: request.archive.format.extension(),
                count: plan.written.archives.objects,
                tar_bytes: plan.tar,
                ratio: plan.ratio,
            },
            copies: plan.copied,
            requests: joined(&plan.lines, &plan.line_costs),
            now: NowReport {
                monthly: plan.now.monthly,
                early_deletion: plan.now.early_deletion,
                classes: &plan.now.classes,
            },
            storage_class: &request.archive.storage_class,
            classes: &plan.targets,
            written: plan.written,
            duration: DurationReport {
                objects_per_second: request.rate,
                seconds: plan.duration.as_secs(),
            },
            sizes: &plan.sizes,
            ages: &plan.ages,
            forgotten: &plan.forgotten,
            assumptions: &plan.assumptions,
            warnings: &plan.warnings,
            sample: plan.sample.as_ref(),
            size_plot: &plan.size_plot,
            age_plot: &plan.age_plot,
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        self.write_head(&mut text);
        for (title, body) in [
            ("Cost by storage class of the archives", self.class_table()),
            ("Cost of the objects now, a month", self.now_table()),
            ("Requests of the run", self.request_table()),
            ("Sizes: objects, bytes", self.size_plot.to_owned()),
            ("Ages: objects, bytes", self.age_plot.to_owned()),
            ("Easily forgotten", self.forgotten_table()),
            ("Assumptions", list(self.assumptions)),
            ("Disputed prices", self.disputed_list()),
        ] {
            if !body.is_empty() {
                let _ = write!(text, "\n{title}\n{body}");
            }
        }
        text
    }

    fn write_head(&self, text: &mut String) {
        let Prices {
            list, region, date, ..
        } = &self.prices;
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<12} {value}");
        };
        let left_out = sum(self.left_out.values());
        line(
            "rows",
            format!("{} of {}", HumanCount(self.rows), self.origin),
        );
        line(
            "left out",
            format!("{} rows{}", HumanCount(left_out), by_reason(self.left_out)),
        );
        line(
            "in groups",
            format!(
                "{} objects, {}, in {} groups",
                HumanCount(self.objects),
                BinaryBytes(self.bytes),
                HumanCount(self.groups)
            ),
        );
        let Archives {
            format,
            count,
            tar_bytes,
            ..
        } = self.archives;
        line(
            "archives",
            format!(
                "{} {format} in {}, {}{}",
                HumanCount(count),
                self.storage_class,
                human(self.written.archives.bytes),
                if self.written.archives.bytes == tar_bytes {
                    String::new()
                } else {
                    format!(" ({} as plain tar)", human(tar_bytes))
                }
            ),
        );
        line(
            "copies",
            format!(
                "{} objects, {}",
                HumanCount(self.copies.objects),
                human(self.copies.bytes)
            ),
        );
        line(
            "takes",
            format!(
                "{} at {} objects/s (--rate)",
                span(Duration::from_secs(self.duration.seconds)),
                HumanCount(self.duration.objects_per_second.into())
            ),
        );
        if let Some(target) = self
            .classes
            .iter()
            .find(|it| it.class == self.storage_class)
        {
            line(
                "costs",
                format!(
                    "{} once; {} a month now, {} after; pays for itself {}",
                    target.once,
                    self.now.monthly,
                    target.monthly,
                    months(target.break_even_months)
                ),
            );
        }
        line("prices", format!("of {region}, {date}, in USD ({list})"));
        for warning in self.warnings {
            line("WARNING", warning.clone());
        }
    }

    /// `*` marks classes with a disputed price, `>` the class that is planned.
    fn class_table(&self) -> String {
        let mut table = Table::new(
            [
                "",
                "class",
                "once",
                "a month after",
                "saved a month",
                "break-even",
                "lifecycle: once",
                "a month after",
            ],
            2,
        );
        for target in self.classes {
            let mark = if target.disputed { "*" } else { "" };
            let planned = if target.class == self.storage_class {
                ">"
            } else {
                ""
            };
            table.row([
                planned.to_owned(),
                format!("{}{mark}", target.class),
                target.once.to_string(),
                target.monthly.to_string(),
                (self.now.monthly - target.monthly).to_string(),
                months(target.break_even_months),
                target.lifecycle.once.to_string(),
                target.lifecycle.monthly.to_string(),
            ]);
        }
        let disputed = self.classes.iter().any(|target| target.disputed);
        let mut text = table.text();
        text.push_str(
            "  lifecycle: the same objects moved one by one, whatever their size, without a run\n",
        );
        if disputed {
            text.push_str("  * the sources of a price disagree: see the end\n");
        }
        text
    }

    fn now_table(&self) -> String {
        let mut table = Table::new(
            [
                "class",
                "objects",
                "bytes",
                "billed bytes",
                "a month",
                "if deleted today",
            ],
            1,
        );
        for class in self.now.classes {
            let class_name = class.class.escape_default().to_string();
            table.row([
                class_name,
                HumanCount(class.stored.objects).to_string(),
                human(class.stored.bytes).to_string(),
                human(class.billed_bytes).to_string(),
                class
                    .monthly
                    .map_or_else(|| "no price".to_owned(), |it| it.to_string()),
                class.early_deletion.to_string(),
            ]);
        }
        let all = |of: fn(&ClassNow) -> u128| self.now.classes.iter().map(of).sum::<u128>();
        let objects = self.now.classes.iter().map(|it| it.stored.objects).sum();
        table.row([
            "all".to_owned(),
            HumanCount(objects).to_string(),
            human(all(|it| it.stored.bytes)).to_string(),
            human(all(|it| it.billed_bytes)).to_string(),
            self.now.monthly.to_string(),
            self.now.early_deletion.to_string(),
        ]);
        table.text()
    }

    fn request_table(&self) -> String {
        let mut table = Table::new(["to", "request", "by", "count", "cost"], 3);
        for line in &self.requests {
            table.row([
                line.place.to_string(),
                line.operation.to_string(),
                match line.basis {
                    Basis::Inventory => "rows",
                    Basis::Assumed => "assumed",
                }
                .to_owned(),
                HumanCount(line.count).to_string(),
                line.usd.to_string(),
            ]);
        }
        let count = self.requests.iter().map(|line| line.count).sum();
        let usd: Usd = self.requests.iter().map(|line| line.usd).sum();
        table.row([
            "all".to_owned(),
            String::new(),
            String::new(),
            HumanCount(count).to_string(),
            usd.to_string(),
        ]);
        let mut text = table.text();
        if let Some(target) = self
            .classes
            .iter()
            .find(|it| it.class == self.storage_class)
            && target.retrieval > Usd::ZERO
        {
            let _ = writeln!(
                text,
                "  and {} for reading from their classes",
                target.retrieval
            );
        }
        text
    }

    fn forgotten_table(&self) -> String {
        let mut text = String::new();
        for Forgotten {
            what,
            usd,
            text: why,
        } in self.forgotten
        {
            let usd = usd.map_or_else(String::new, |usd| usd.to_string());
            let _ = writeln!(text, "  {what:<28} {usd:>14}  {why}");
        }
        text
    }

    fn disputed_list(&self) -> String {
        let disputed = self.prices.disputed.iter();
        let mut lines: Vec<_> = disputed
            .map(|it| {
                let class = if it.class.is_empty() { "" } else { " of " };
                format!(
                    "{}{class}{}: {} (source {}): {}",
                    it.figure, it.class, it.value, it.sources, it.note
                )
            })
            .collect();
        if !lines.is_empty() {
            let sources = self.prices.sources.iter();
            lines.extend(sources.map(|(name, what)| format!("source {name}: {what}")));
        }
        list(&lines)
    }
}

fn list(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "  - {line}");
        text
    })
}

fn human(bytes: u128) -> BinaryBytes {
    BinaryBytes(u64::try_from(bytes).unwrap_or(u64::MAX))
}

fn by_reason(left_out: &BTreeMap<LeftOut, u64>) -> String {
    let reasons: Vec<_> = left_out
        .iter()
        .map(|(reason, count)| format!("{reason} {}", HumanCount(*count)))
        .collect();
    if reasons.is_empty() {
        String::new()
    } else {
        format!(" ({})", reasons.join(", "))
    }
}

/// A time in the two largest units that it has.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => format!("{minutes} min {rest} s"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Months until a run has paid for itself.
fn months(months: Option<f64>) -> String {
    match months {
        None => "never".to_owned(),
        Some(months) if months * 30.0 < 1.0 => "in a day".to_owned(),
        Some(months) if months < 2.0 => format!("in {:.0} days", (months * 30.0).ceil()),
        Some(months) if months < 24.0 => format!("in {months:.1} months"),
        Some(months) => format!("in {:.1} years", months / 12.0),
    }
}

#[cfg(test)]
mod tests;
