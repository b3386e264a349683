//! A price list: data, one figure a row, each with its sources. The one of us-east-1 is part of the
//! program.
//!
//! ```text
//! class,figure,value,unit,sources,disputed
//! ,region,us-east-1,,,                              of the list
//! ,source,A,what it is,,                            a source that rows name
//! STANDARD,storage,0.023,USD/GB-month,A B,          of a storage class
//! GLACIER,thaw-request,0.05,USD/1000,E,A has 0.03   disputed, and why
//! ,sqs,0.40,USD/1000000,A,                          of another service
//! ```
//!
//! A figure that is not known, a unit that is not its own, a row without a source and a class
//! without a price that is needed are errors: a plan is never made of less than the file says.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use s3bundler_contract::{ExitCode, HasExitCode};
use serde::Serialize;

use super::money::Price;

/// The list that is part of the program.
const BUILT_IN: &str = include_str!("../../prices/us-east-1.csv");
/// No price list is larger.
const MAX_BYTES: u64 = 4 << 20;

/// A price list that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PriceList {
    /// The file, or that it is built in.
    pub(crate) name: String,
    pub(crate) region: String,
    /// The day for which it holds, as the file writes it.
    pub(crate) date: String,
    /// Storage classes, and tiers of one as `CLASS/TIER`.
    classes: BTreeMap<String, ClassPrices>,
    pub(crate) services: Services,
    /// What the letters of the rows stand for.
    pub(crate) sources: BTreeMap<String, String>,
    pub(crate) disputed: Vec<Disputed>,
}

/// A figure whose sources disagree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Disputed {
    pub(crate) class: String,
    pub(crate) figure: String,
    pub(crate) value: String,
    pub(crate) sources: String,
    pub(crate) note: String,
}

/// Prices of a storage class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ClassPrices {
    /// Of a GB for a month.
    pub(crate) storage: Price,
    /// Of 1,000 PUT, COPY and CompleteMultipartUpload.
    pub(crate) put: Price,
    /// Of 1,000 CreateMultipartUpload and UploadPart.
    pub(crate) part: Price,
    /// Of 1,000 GET, HEAD and others.
    pub(crate) get: Price,
    /// Of 1,000 objects that a lifecycle rule moves there.
    pub(crate) transition: Price,
    /// Of a GB that is read.
    pub(crate) retrieval: Price,
    /// Of 1,000 objects that are watched for a month.
    pub(crate) monitoring: Price,
    /// What a restore costs before objects can be read.
    pub(crate) thaw: Option<Thaw>,
    /// The same if it may take up to two days.
    pub(crate) bulk_thaw: Option<Thaw>,
    /// Smaller objects are billed as this many bytes.
    pub(crate) min_size: u64,
    /// Bytes that are billed with each object, in this class.
    pub(crate) overhead: u64,
    /// The same in STANDARD.
    pub(crate) overhead_standard: u64,
    /// Days that are billed at least.
    pub(crate) min_days: u64,
}

/// Prices of a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thaw {
    /// Of a GB.
    pub(crate) data: Price,
    /// Of 1,000 objects.
    pub(crate) request: Price,
}

/// Prices of other services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Services {
    /// Of a million requests to SQS.
    pub(crate) sqs: Price,
    /// Of 10,000 requests to KMS.
    pub(crate) kms: Price,
    /// Of a GB through a NAT gateway.
    pub(crate) nat_data: Price,
    /// Of an hour of a NAT gateway.
    pub(crate) nat_hour: Price,
    /// Of 100,000 data events in CloudTrail.
    pub(crate) cloudtrail: Price,
}

/// Why a price list cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PricesError {
    /// It cannot be read.
    #[error("cannot read the price list {}: {cause}", path.display())]
    Io { path: PathBuf, cause: io::Error },
    /// It is not a list of prices.
    #[error("the price list {name}, line {line}: {problem}")]
    Row {
        name: String,
        line: u64,
        problem: String,
    },
    /// Something is missing.
    #[error("the price list {name} lacks {what}; add the row, or use the built-in list")]
    Missing { name: String, what: String },
    /// The class of the archives has no prices.
    #[error(
        "the price list {name} has no prices of the storage class {class:?} of \
         --archive-storage-class; it has {known}"
    )]
    Class {
        name: String,
        class: String,
        known: String,
    },
}

impl HasExitCode for PricesError {
    fn exit_code(&self) -> ExitCode {
        ExitCode::Usage
    }
}

/// The figures of a class, by the names of their rows: unit, and whether a class needs it.
const FIGURES: [(&str, &str, bool); 15] = [
    ("storage", "USD/GB-month", true),
    ("put", "USD/1000", true),
    ("part", "USD/1000", true),
    ("get", "USD/1000", true),
    ("transition", "USD/1000", false),
    ("retrieval", "USD/GB", false),
    ("monitoring", "USD/1000-month", false),
    ("thaw", "USD/GB", false),
    ("thaw-request", "USD/1000", false),
    ("bulk-thaw", "USD/GB", false),
    ("bulk-thaw-request", "USD/1000", false),
    ("min-size", "bytes", false),
    ("overhead", "bytes", false),
    ("overhead-standard", "bytes", false),
    ("min-days", "days", false),
];

/// The figures of other services, all of which are needed.
const SERVICES: [(&str, &str); 5] = [
    ("sqs", "USD/1000000"),
    ("kms", "USD/10000"),
    ("nat-data", "USD/GB"),
    ("nat-hour", "USD/hour"),
    ("cloudtrail", "USD/100000"),
];

/// What a row has.
type Fields<'a> = [&'a str; 6];

/// Figures of a class or of the services.
type Figures = BTreeMap<String, Value>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Price(Price),
    Number(u64),
}

impl PriceList {
    /// The list of us-east-1 that is part of the program.
    pub(crate) fn built_in() -> Result<Self, PricesError> {
        Self::parse("built in", BUILT_IN.as_bytes())
    }

    /// The list of a file.
    pub(crate) fn read(path: &Path) -> Result<Self, PricesError> {
        let failed = |cause| PricesError::Io {
            path: path.to_owned(),
            cause,
        };
        let size = std::fs::metadata(path).map_err(failed)?.len();
        let name = path.display().to_string();
        if size > MAX_BYTES {
            return Err(row_error(
                &name,
                1,
                format!("it has {size} bytes, which no price list has"),
            ));
        }
        Self::parse(&name, &std::fs::read(path).map_err(failed)?)
    }

    fn parse(name: &str, bytes: &[u8]) -> Result<Self, PricesError> {
        let mut parser = Parser::default();
        let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
        let header = reader.headers().map_err(|error| csv_error(name, &error))?;
        if header != vec!["class", "figure", "value", "unit", "sources", "disputed"] {
            let problem = "the columns are not class,figure,value,unit,sources,disputed";
            return Err(row_error(name, 1, problem.to_owned()));
        }
        for record in reader.records() {
            let record = record.map_err(|error| csv_error(name, &error))?;
            let line = record.position().map_or(0, csv::Position::line);
            let mut fields: Fields<'_> = [""; 6];
            for (field, text) in fields.iter_mut().zip(&record) {
                *field = text.trim();
            }
            parser
                .row(fields)
                .map_err(|problem| row_error(name, line, problem))?;
        }
        parser.finish(name)
    }

    /// The prices of a class, or of a tier as `CLASS/TIER`.
    pub(crate) fn class(&self, name: &str) -> Option<&ClassPrices> {
        self.classes.get(name)
    }

    /// The prices of STANDARD, which every list has.
    pub(crate) fn standard(&self) -> &ClassPrices {
        &self.classes["STANDARD"]
    }

    /// The classes that archives can have, dearest storage first.
    pub(crate) fn targets(&self) -> Vec<(&str, &ClassPrices)> {
        let mut targets: Vec<_> = self
            .classes
            .iter()
            .filter(|(name, _)| !name.contains('/'))
            .map(|(name, prices)| (name.as_str(), prices))
            .collect();
        targets.sort_by_key(|(name, prices)| (std::cmp::Reverse(prices.storage), *name));
        // Before Intelligent-Tiering, which costs the same.
        targets.sort_by_key(|(name, _)| *name != "STANDARD");
        targets
    }

    /// All classes and tiers.
    pub(crate) fn classes(&self) -> impl Iterator<Item = (&str, &ClassPrices)> {
        self.classes
            .iter()
            .map(|(name, prices)| (name.as_str(), prices))
    }

    /// Whether a figure of a class is disputed.
    pub(crate) fn is_disputed(&self, class: &str) -> bool {
        self.disputed.iter().any(|it| it.class == class)
    }

    /// Refuses a class of archives that has no prices.
    pub(crate) fn check_target(&self, class: &str) -> Result<(), PricesError> {
        if !class.contains('/') && self.classes.contains_key(class) {
            return Ok(());
        }
        let known: Vec<_> = self.targets().into_iter().map(|(name, _)| name).collect();
        Err(PricesError::Class {
            name: self.name.clone(),
            class: class.to_owned(),
            known: known.join(", "),
        })
    }
}

fn row_error(name: &str, line: u64, problem: String) -> PricesError {
    PricesError::Row {
        name: name.to_owned(),
        line,
        problem,
    }
}

fn csv_error(name: &str, error: &csv::Error) -> PricesError {
    let line = error.position().map_or(0, csv::Position::line);
    row_error(name, line, error.to_string())
}

/// What the rows so far say.
#[derive(Debug, Default)]
struct Parser {
    about: BTreeMap<String, String>,
    sources: BTreeMap<String, String>,
    classes: BTreeMap<String, Figures>,
    services: Figures,
    disputed: Vec<Disputed>,
    /// Sources that rows name.
    named: BTreeSet<String>,
}

impl Parser {
    fn row(&mut self, fields: Fields<'_>) -> Result<(), String> {
        let [class, figure, value, unit, sources, note] = fields;
        match (class, figure) {
            ("", "region" | "date" | "currency") => {
                if figure == "currency" && value != "USD" {
                    return Err(format!("the currency is {value:?}, and only USD is known"));
                }
                if value.is_empty() || value.chars().any(char::is_control) {
                    return Err(format!("{figure} {value:?} is not a name"));
                }
                let earlier = self.about.insert(figure.to_owned(), value.to_owned());
                once(earlier.is_some(), figure)
            }
            ("", "source") => {
                let earlier = self.sources.insert(value.to_owned(), unit.to_owned());
                once(earlier.is_some(), value)
            }
            _ => {
                let known = if class.is_empty() {
                    SERVICES.iter().find(|(name, _)| *name == figure).copied()
                } else {
                    let mut figures = FIGURES.iter().map(|(name, unit, _)| (*name, *unit));
                    figures.find(|(name, _)| *name == figure)
                };
                let Some((_, own)) = known else {
                    return Err(format!("{figure:?} is not a figure of {}", of(class)));
                };
                if unit != own {
                    return Err(format!("the unit of {figure} is {own}, not {unit:?}"));
                }
                if sources.is_empty() {
                    return Err(format!("{figure} of {} has no source", of(class)));
                }
                let is_name = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '/');
                if !class.chars().all(is_name) {
                    return Err(format!("{class:?} is not a storage class"));
                }
                let parsed = if own.starts_with("USD") {
                    Value::Price(value.parse()?)
                } else {
                    let number = value.parse();
                    Value::Number(number.map_err(|_| format!("{value:?} is not a whole number"))?)
                };
                self.named
                    .extend(sources.split_whitespace().map(str::to_owned));
                if !note.is_empty() {
                    self.disputed.push(Disputed {
                        class: class.to_owned(),
                        figure: figure.to_owned(),
                        value: format!("{value} {unit}"),
                        sources: sources.to_owned(),
                        note: note.to_owned(),
                    });
                }
                let figures = if class.is_empty() {
                    &mut self.services
                } else {
                    self.classes.entry(class.to_owned()).or_default()
                };
                once(figures.insert(figure.to_owned(), parsed).is_some(), figure)
            }
        }
    }

    fn finish(mut self, name: &str) -> Result<PriceList, PricesError> {
        let missing = |what: String| PricesError::Missing {
            name: name.to_owned(),
            what,
        };
        let mut about = |what: &str| {
            let found = self.about.remove(what);
            found.ok_or_else(|| missing(format!("the row of its {what}")))
        };
        let (region, date) = (about("region")?, about("date")?);
        about("currency")?;
        if let Some(source) = self.named.iter().find(|it| !self.sources.contains_key(*it)) {
            return Err(missing(format!(
                "the row of the source {source:?}, which others name"
            )));
        }
        if !self.classes.contains_key("STANDARD") {
            return Err(missing("the class STANDARD".to_owned()));
        }
        for (class, figures) in &self.classes {
            // A tier is only stored in: its requests are those of its class.
            let is_tier = class.contains('/');
            let needed = FIGURES
                .iter()
                .filter(|(name, _, needed)| *needed && (!is_tier || *name == "storage"));
            for (figure, ..) in needed {
                if !figures.contains_key(*figure) {
                    return Err(missing(format!("{figure} of {class}")));
                }
            }
            for (data, request) in [("thaw", "thaw-request"), ("bulk-thaw", "bulk-thaw-request")] {
                if figures.contains_key(data) != figures.contains_key(request) {
                    return Err(missing(format!("one of {data} and {request} of {class}")));
                }
            }
        }
        for (figure, _) in SERVICES {
            if !self.services.contains_key(figure) {
                return Err(missing(figure.to_owned()));
            }
        }
        let classes = self.classes.iter();
        let classes = classes.map(|(class, figures)| (class.clone(), class_prices(figures)));
        Ok(PriceList {
            name: name.to_owned(),
            region,
            date,
            classes: classes.collect(),
            services: Services {
                sqs: price(&self.services, "sqs"),
                kms: price(&self.services, "kms"),
                nat_data: price(&self.services, "nat-data"),
                nat_hour: price(&self.services, "nat-hour"),
                cloudtrail: price(&self.services, "cloudtrail"),
            },
            sources: self.sources,
            disputed: self.disputed,
        })
    }
}

fn of(class: &str) -> &str {
    if class.is_empty() { "the list" } else { class }
}

fn once(is_there: bool, what: &str) -> Result<(), String> {
    if is_there {
        Err(format!("{what} is there twice"))
    } else {
        Ok(())
    }
}

/// A price, or nothing if there is none.
fn price(figures: &Figures, figure: &str) -> Price {
    match figures.get(figure) {
        Some(Value::Price(price)) => *price,
        _ => Price::default(),
    }
}

fn class_prices(figures: &Figures) -> ClassPrices {
    let number = |figure: &str| match figures.get(figure) {
        Some(Value::Number(number)) => *number,
        _ => 0,
    };
    let thaw = |data: &str, request: &str| {
        figures.contains_key(data).then(|| Thaw {
            data: price(figures, data),
            request: price(figures, request),
        })
    };
    ClassPrices {
        storage: price(figures, "storage"),
        put: price(figures, "put"),
        part: price(figures, "part"),
        get: price(figures, "get"),
        transition: price(figures, "transition"),
        retrieval: price(figures, "retrieval"),
        monitoring: price(figures, "monitoring"),
        thaw: thaw("thaw", "thaw-request"),
        bulk_thaw: thaw("bulk-thaw", "bulk-thaw-request"),
        min_size: number("min-size"),
        overhead: number("overhead"),
        overhead_standard: number("overhead-standard"),
        min_days: number("min-days"),
    }
}

#[cfg(test)]
mod tests;
