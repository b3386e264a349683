//! The rows to retry, read from the dead letters of one group after the other. They are spooled to
//! scratch, the next few while one is read, and compared with the receipt before their first row is
//! used.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;

use s3bundler_contract::figures::sum;
use s3bundler_contract::group_manifest::{
    Column, Columns, ColumnsError, KeyEncoding, RowError, RowProblem, RowReader,
};
use s3bundler_contract::layout::DEAD_LETTERS_SUFFIX;
use s3bundler_contract::{GroupName, Reason, S3Address};
use tokio::task::{JoinSet, spawn_blocking};

use super::batch::{BATCH_BYTES, Batch};
use super::pass_complete::Source;
use super::spool::{Objects, Spooled, Spooler};
use super::{GroupError, Pass};
use crate::budget::Permit;
use crate::bundle::{ContentProblem, Unproven};
use crate::inventory::Scratch;
use crate::s3::{ErrorKind, S3, SpoolError};

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
    /// They are not what their writer recorded.
    #[error("cannot be used: the object {0}")]
    Content(ContentProblem),
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
    /// With a reason of the retry pass.
    pub to_retry: u64,
}

impl fmt::Display for DeadLettersCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rows, {} of them to retry",
            self.failed, self.to_retry
        )
    }
}

/// Where the dead letters of a group of a pass are.
pub(super) fn address(pass: Pass<'_>, source: &Source) -> S3Address {
    let S3Address { bucket, key } = pass.manifest(&source.group);
    S3Address::new(bucket, format!("{key}{DEAD_LETTERS_SUFFIX}"))
}

/// Dead letters on scratch, which are those of their group's receipt.
struct Checked {
    source: Source,
    columns: Columns,
    spooled: Spooled,
}

/// The rows to retry of some groups, in order. Dropping it stops what is being downloaded.
pub(super) struct DeadLetters {
    checked: Objects<Checked>,
    _downloads: JoinSet<()>,
    reading: Option<Reading>,
}

impl DeadLetters {
    /// Starts to spool the dead letters of these groups of `pass`, each with its bytes. Must be
    /// called inside a tokio runtime.
    pub(super) fn start(
        s3: &S3,
        pass: Pass<'_>,
        scratch: &Scratch,
        sources: impl IntoIterator<Item = (Source, u64)>,
    ) -> Self {
        let wanted = sources
            .into_iter()
            .map(|(source, size)| ((address(pass, &source), source, size), size));
        let spooler = Spooler {
            s3: s3.clone(),
            directory: scratch.directory().to_owned(),
        };
        let (downloads, checked) = Objects::start(
            wanted.collect(),
            scratch.size().bytes(),
            move |(address, source, size), room| {
                let spooler = spooler.clone();
                async move { check(&spooler, address, source, size, room).await }
            },
        );
        Self {
            checked,
            _downloads: downloads,
            reading: None,
        }
    }

    /// The next rows to retry; `None` once all dead letters were read and each had the rows of its
    /// group's receipt. Blocks: not for the executor.
    pub(super) fn next_batch(&mut self) -> Result<Option<Batch>, GroupError> {
        loop {
            let reading = match &mut self.reading {
                Some(reading) => reading,
                none => {
                    let Some(checked) = self.checked.next()? else {
                        return Ok(None);
                    };
                    none.insert(Reading::new(checked)?)
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

/// The dead letters of a group on scratch, with their columns.
pub(super) async fn spool(
    spooler: &Spooler,
    group: &GroupName,
    address: S3Address,
    size: u64,
    room: impl Into<Arc<Permit>>,
) -> Result<(Spooled, Columns), GroupError> {
    let wrong = |problem| GroupError::DeadLetters {
        address: address.clone(),
        group: group.clone(),
        problem,
    };
    let spooled = match spooler.spool(address.clone(), None, size, room).await {
        Ok(spooled) => spooled,
        Err(Unproven::Spool(SpoolError::S3(error))) if error.kind == ErrorKind::NotFound => {
            return Err(wrong(DeadLettersProblem::Missing));
        }
        Err(Unproven::Spool(error)) => return Err(spooler.failed(error)),
        Err(Unproven::Content(problem)) => return Err(wrong(DeadLettersProblem::Content(problem))),
    };
    // A copy that lost its metadata still has these columns.
    let columns = spooled
        .columns_or(Columns::dead_letters())
        .map_err(|cause| wrong(DeadLettersProblem::Columns(cause)))?;
    Ok((spooled, columns))
}

/// Spools dead letters and reads them to their end, which compares them with the receipt.
async fn check(
    spooler: &Spooler,
    address: S3Address,
    source: Source,
    size: u64,
    room: Permit,
) -> Result<Checked, GroupError> {
    let (spooled, columns) = spool(spooler, &source.group, address, size, room).await?;
    let checking = spawn_blocking(move || {
        let mut reading = Reading::new(Checked {
            source,
            columns,
            spooled,
        })?;
        while !reading.ended {
            reading.next_batch()?;
        }
        Ok(reading.checked)
    });
    checking.await.map_err(|_| GroupError::Stopped)?
}

/// The dead letters at hand.
struct Reading {
    checked: Checked,
    rows: RowReader<BufReader<File>>,
    /// Where the reason stands.
    reason: usize,
    found: DeadLettersCount,
    /// Rows to retry so far, by reason.
    taken: BTreeMap<Reason, u64>,
    ended: bool,
}

impl Reading {
    fn new(checked: Checked) -> Result<Self, GroupError> {
        let Checked {
            source,
            columns,
            spooled,
        } = &checked;
        let wrong = |problem| GroupError::DeadLetters {
            address: spooled.address.clone(),
            group: source.group.clone(),
            problem,
        };
        let Some(reason) = columns.position(&Column::Reason) else {
            return Err(wrong(DeadLettersProblem::NoReasons));
        };
        let bytes = spooled.bytes();
        let bytes = bytes.map_err(|error| {
            wrong(DeadLettersProblem::Row(RowError {
                line: 1,
                problem: RowProblem::Io(error),
            }))
        })?;
        let rows = RowReader::new(bytes, columns.clone(), KeyEncoding::Literal);
        let (found, taken) = (DeadLettersCount::default(), BTreeMap::new());
        Ok(Self {
            checked,
            rows,
            reason,
            found,
            taken,
            ended: false,
        })
    }

    /// The rows to retry among the next ones, which may be none.
    fn next_batch(&mut self) -> Result<Batch, GroupError> {
        let mut batch = Batch::default();
        while batch.text.len() < BATCH_BYTES {
            let line = self.rows.line();
            let taken = match self.rows.next_ref() {
                Ok(Some((row, fields))) => {
                    self.found.failed += 1;
                    // A reason of a later release is not one of ours.
                    let reason = fields
                        .get(self.reason)
                        .and_then(|reason| reason.parse::<Reason>().ok());
                    let Some(reason) =
                        reason.filter(|reason| self.checked.source.to_retry.contains_key(reason))
                    else {
                        continue;
                    };
                    *self.taken.entry(reason).or_default() += 1;
                    batch
                        .take(&row)
                        .map_err(|problem| RowError { line, problem })
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
        let Self {
            found,
            taken,
            checked: Checked { source, .. },
            ..
        } = self;
        let expected = DeadLettersCount {
            failed: source.failed,
            to_retry: sum(source.to_retry.values()),
        };
        if *found == expected && *taken == source.to_retry {
            Ok(())
        } else {
            Err(self.wrong(DeadLettersProblem::Count {
                found: *found,
                expected,
            }))
        }
    }

    fn wrong(&self, problem: DeadLettersProblem) -> GroupError {
        let Checked {
            source, spooled, ..
        } = &self.checked;
        GroupError::DeadLetters {
            address: spooled.address.clone(),
            group: source.group.clone(),
            problem,
        }
    }

    fn failed(&self, error: RowError) -> GroupError {
        self.wrong(DeadLettersProblem::Row(error))
    }
}
