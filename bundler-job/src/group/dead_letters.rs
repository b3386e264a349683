//! The rows to retry, read from the dead letters of one group after the other: the next few are being opened while one is
//! read, and none is ever held whole.

use std::fmt;

use s3bundler_contract::group_manifest::{
    COLUMNS_METADATA, Column, Columns, ColumnsError, KeyEncoding, RowError, RowReader,
};
use s3bundler_contract::layout::DEAD_LETTERS_SUFFIX;
use s3bundler_contract::{Reason, S3Address};
use tokio::runtime::Handle;

use super::ahead::{Ahead, BlockingBody};
use super::barrier::Source;
use super::batch::{BATCH_BYTES, Batch};
use super::{GroupError, Pass};
use crate::s3::{Body, ErrorKind, Opened, S3};

/// What is wrong with dead letters.
#[derive(Debug, thiserror::Error)]
pub enum DeadLettersProblem {
    /// They are not there.
    #[error("are missing")]
    Missing,
    /// Their `columns` are no columns.
    #[error("say which columns they have, but {0}")]
    Columns(ColumnsError),
    /// They have no reasons.
    #[error("do not tell reasons: their columns lack Reason")]
    NoReasons,
    /// A row cannot be read.
    #[error("cannot be read, {0}")]
    Row(RowError),
    /// There are not the rows of the receipt.
    #[error("have {found}, where the group's receipt has {expected}")]
    Count {
        /// Rows of the object.
        found: DeadLettersCount,
        /// Rows by the receipt.
        expected: DeadLettersCount,
    },
}

/// Failed rows, and those of them that are worth another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeadLettersCount {
    /// All.
    pub failed: u64,
    /// With [`Reason::Retry`].
    pub to_retry: u64,
}

impl fmt::Display for DeadLettersCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows, {} of them to retry", self.failed, self.to_retry)
    }
}

/// Where the dead letters of a group of a pass are.
pub(super) fn address(pass: Pass<'_>, source: &Source) -> S3Address {
    let S3Address { bucket, key } = pass.manifest(&source.group);
    S3Address::new(bucket, format!("{key}{DEAD_LETTERS_SUFFIX}"))
}

/// Dead letters whose first byte has come.
struct Waiting {
    source: Source,
    address: S3Address,
    columns: Columns,
    body: Body,
}

/// The rows to retry of some groups, in order. Dropping it stops what is being opened.
pub(super) struct DeadLetters {
    opened: Ahead<Waiting>,
    reading: Option<Reading>,
    runtime: Handle,
}

impl DeadLetters {
    /// Starts to open the dead letters of these groups of `pass`. Must be called inside a tokio runtime.
    pub(super) fn start(s3: &S3, pass: Pass<'_>, sources: Vec<Source>) -> Self {
        let wanted: Vec<_> = sources.into_iter().map(|source| (address(pass, &source), source)).collect();
        let s3 = s3.clone();
        let open = move |(address, source)| {
            let s3 = s3.clone();
            async move { open(&s3, address, source).await }
        };
        Self { opened: Ahead::start(wanted, open), reading: None, runtime: Handle::current() }
    }

    /// The next rows to retry; `None` once all dead letters were read and each had the rows of its group's receipt.
    /// Blocks: not for the executor.
    pub(super) fn next_batch(&mut self) -> Result<Option<Batch>, GroupError> {
        loop {
            let reading = match &mut self.reading {
                Some(reading) => reading,
                none => {
                    let Some(opened) = self.opened.next()? else { return Ok(None) };
                    none.insert(Reading::new(opened, &self.runtime)?)
                }
            };
            let batch = reading.next_batch()?;
            if reading.ended {
                self.reading = None;
            }
            if batch.rows > 0 {
                return Ok(Some(batch));
            }
        }
    }
}

async fn open(s3: &S3, address: S3Address, source: Source) -> Result<Waiting, GroupError> {
    let group = source.group.clone();
    let Opened { body, metadata, .. } = match s3.open(&address, None).await {
        Ok(opened) => opened,
        Err(error) if error.kind == ErrorKind::NotFound => {
            return Err(GroupError::DeadLetters { address, group, problem: DeadLettersProblem::Missing });
        }
        Err(error) => return Err(GroupError::Read(error)),
    };
    // Whoever lost the metadata wrote them again with other means; the columns are still those.
    let columns = match metadata.get(COLUMNS_METADATA).map(|it| it.parse()) {
        None => Columns::dead_letters(),
        Some(Ok(columns)) => columns,
        Some(Err(error)) => {
            return Err(GroupError::DeadLetters { address, group, problem: DeadLettersProblem::Columns(error) });
        }
    };
    Ok(Waiting { source, address, columns, body })
}

/// The dead letters at hand.
struct Reading {
    source: Source,
    address: S3Address,
    rows: RowReader<BlockingBody>,
    /// Where the reason stands.
    reason: usize,
    found: DeadLettersCount,
    ended: bool,
}

impl Reading {
    fn new(opened: Waiting, runtime: &Handle) -> Result<Self, GroupError> {
        let Waiting { source, address, columns, body } = opened;
        let Some(reason) = columns.position(&Column::Reason) else {
            return Err(GroupError::DeadLetters {
                address,
                group: source.group,
                problem: DeadLettersProblem::NoReasons,
            });
        };
        let body = BlockingBody::new(body, runtime.clone());
        let rows = RowReader::new(body, columns, KeyEncoding::Literal);
        Ok(Self { source, address, rows, reason, found: DeadLettersCount::default(), ended: false })
    }

    /// The rows to retry among the next ones, which may be none.
    fn next_batch(&mut self) -> Result<Batch, GroupError> {
        let mut batch = Batch::default();
        while batch.text.len() < BATCH_BYTES {
            let line = self.rows.line();
            let taken = match self.rows.next_ref() {
                Ok(Some((row, fields))) => {
                    self.found.failed += 1;
                    // A reason of a later release is none of ours.
                    if fields.get(self.reason) != Some(Reason::Retry.as_str()) {
                        continue;
                    }
                    batch.take(&row).map_err(|problem| RowError { line, problem })
                }
                Ok(None) => {
                    self.ended = true;
                    return self.compare().map(|()| batch);
                }
                Err(error) => Err(error),
            };
            taken.map_err(|error| self.failed(error))?;
            self.found.to_retry += 1;
            batch.rows += 1;
        }
        Ok(batch)
    }

    /// Whether what was found is what the receipt says.
    fn compare(&self) -> Result<(), GroupError> {
        let Self { found, source, .. } = self;
        let expected = DeadLettersCount { failed: source.failed, to_retry: source.to_retry };
        if *found == expected { Ok(()) } else { Err(self.wrong(DeadLettersProblem::Count { found: *found, expected })) }
    }

    fn wrong(&self, problem: DeadLettersProblem) -> GroupError {
        GroupError::DeadLetters { address: self.address.clone(), group: self.source.group.clone(), problem }
    }

    fn failed(&self, error: RowError) -> GroupError {
        GroupError::of_row(error, |error| self.wrong(DeadLettersProblem::Row(error)))
    }
}
