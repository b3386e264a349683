//! The rows of chosen groups, read from their manifests one after the other, less the rows that a
//! retry pass took: those stand in the dead letters of the group, in the order of its manifest, so
//! that both are read side by side. Both are spooled to scratch, and read to their end before their
//! first row is used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::sync::{Arc, Mutex, PoisonError};

use s3bundler_contract::figures::sum;
use s3bundler_contract::group_manifest::{
    Column, Columns, KeyEncoding, RowError, RowProblem, RowReader,
};
use s3bundler_contract::layout::DEAD_LETTERS_SUFFIX;
use s3bundler_contract::{GroupName, Reason, Replaced, Row, RowDigest, S3Address};
use tokio::task::{JoinSet, spawn_blocking};

use super::batch::{BATCH_BYTES, Batch};
use super::dead_letters::{self, DeadLettersCount, DeadLettersProblem};
use super::existing_manifests::ManifestProblem;
use super::spool::{self, Objects, Spooled, Spooler};
use super::{GroupError, Pass};
use crate::budget::Permit;
use crate::bundle::Unproven;
use crate::inventory::Scratch;
use crate::s3::{ErrorKind, S3, SpoolError};

/// A group to archive again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) group: GroupName,
    /// The reasons for which retry passes took its rows.
    pub(super) reasons: BTreeSet<Reason>,
    /// How many rows failed for these by its receipt; `None` if no receipt tells.
    pub(super) expected: Option<BTreeMap<Reason, u64>>,
}

impl Chosen {
    /// Whether its dead letters may hold rows that a retry pass took.
    fn needs_dead_letters(&self) -> bool {
        self.expected
            .as_ref()
            .map_or(!self.reasons.is_empty(), |expected| !expected.is_empty())
    }

    fn wrong(&self, address: &S3Address, problem: DeadLettersProblem) -> GroupError {
        GroupError::DeadLetters {
            address: address.clone(),
            group: self.group.clone(),
            problem,
        }
    }
}

/// An object and its bytes by a listing.
#[derive(Debug)]
struct Sized {
    address: S3Address,
    bytes: u64,
}

/// What is read of a group.
#[derive(Debug)]
pub(super) struct Wanted {
    chosen: Chosen,
    manifest: Sized,
    dead_letters: Option<Sized>,
}

impl Wanted {
    fn bytes(&self) -> u64 {
        self.manifest
            .bytes
            .saturating_add(self.dead_letters.as_ref().map_or(0, |it| it.bytes))
    }
}

/// Looks for what is read of these groups: before anything is written.
pub(super) async fn wanted(
    s3: &S3,
    pass: Pass<'_>,
    chosen: Vec<Chosen>,
) -> Result<Vec<Wanted>, GroupError> {
    let manifests: Vec<_> = chosen
        .iter()
        .map(|chosen| pass.manifest(&chosen.group))
        .collect();
    let letters: Vec<_> = manifests
        .iter()
        .map(|manifest| {
            S3Address::new(
                &manifest.bucket,
                format!("{}{DEAD_LETTERS_SUFFIX}", manifest.key),
            )
        })
        .collect();
    let all: Vec<_> = manifests.iter().chain(&letters).cloned().collect();
    let mut sizes = spool::sizes(s3, pass, &all).await?;
    let letters_sizes = sizes.split_off(manifests.len());
    let mut wanted = Vec::new();
    let found = manifests
        .into_iter()
        .zip(sizes)
        .zip(letters.into_iter().zip(letters_sizes));
    for (chosen, ((manifest, size), (letters, letters_size))) in chosen.into_iter().zip(found) {
        let Some(bytes) = size else {
            return Err(GroupError::NoGroupManifest {
                group: chosen.group,
                manifest,
            });
        };
        let dead_letters = match letters_size {
            _ if !chosen.needs_dead_letters() => None,
            Some(bytes) => Some(Sized {
                address: letters,
                bytes,
            }),
            // A group without failed rows has none.
            None if chosen.expected.is_none() => None,
            None => return Err(chosen.wrong(&letters, DeadLettersProblem::Missing)),
        };
        wanted.push(Wanted {
            chosen,
            manifest: Sized {
                address: manifest,
                bytes,
            },
            dead_letters,
        });
    }
    Ok(wanted)
}

/// What was read of the groups so far: all but their receipts.
pub(super) type Read = Arc<Mutex<Vec<Replaced>>>;

/// A manifest on scratch, and the dead letters beside it if they matter. They agree with each other
/// and with the receipt.
struct Checked {
    chosen: Chosen,
    manifest: (Spooled, Columns),
    dead_letters: Option<(Spooled, Columns)>,
}

/// The rows of some groups, in order. Dropping it stops what is being downloaded.
pub(super) struct Redone {
    checked: Objects<Checked>,
    _downloads: JoinSet<()>,
    reading: Option<Reading>,
    read: Read,
}

impl Redone {
    /// Starts to spool what is wanted of groups. What is read of them is added to `read`. Must be
    /// called inside a tokio runtime.
    pub(super) fn start(s3: &S3, scratch: &Scratch, wanted: Vec<Wanted>, read: Read) -> Self {
        let wanted = wanted.into_iter().map(|wanted| {
            let bytes = wanted.bytes();
            (wanted, bytes)
        });
        let spooler = Spooler {
            s3: s3.clone(),
            directory: scratch.directory().to_owned(),
        };
        let (downloads, checked) = Objects::start(
            wanted.collect(),
            scratch.size().bytes(),
            move |wanted, room| {
                let spooler = spooler.clone();
                async move { check(&spooler, wanted, room).await }
            },
        );
        Self {
            checked,
            _downloads: downloads,
            reading: None,
            read,
        }
    }

    /// The next rows; `None` once all manifests were read. Blocks: not for the executor.
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
            let (batch, ended) = reading.next_batch()?;
            if ended
                && let Some(Reading {
                    checked,
                    digest,
                    count,
                    taken,
                    ..
                }) = self.reading.take()
            {
                let (group, receipt) = (checked.chosen.group, String::new());
                let replaced = Replaced {
                    group,
                    receipt,
                    rows: count,
                    digest,
                    taken,
                };
                self.read
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(replaced);
            }
            if batch.rows > 0 {
                return Ok(Some(batch));
            }
        }
    }
}

/// Spools a manifest and its dead letters and reads them to their end, which compares them.
async fn check(spooler: &Spooler, wanted: Wanted, room: Permit) -> Result<Checked, GroupError> {
    let Wanted {
        chosen,
        manifest,
        dead_letters,
    } = wanted;
    let room = Arc::new(room);
    let Sized { address, bytes } = manifest;
    let manifest = match spooler
        .spool(address.clone(), None, bytes, Arc::clone(&room))
        .await
    {
        Ok(manifest) => manifest,
        Err(Unproven::Spool(SpoolError::S3(error))) if error.kind == ErrorKind::NotFound => {
            return Err(GroupError::NoGroupManifest {
                group: chosen.group,
                manifest: address,
            });
        }
        Err(Unproven::Spool(error)) => return Err(spooler.failed(error)),
        Err(Unproven::Content(problem)) => {
            return Err(unusable(&address, ManifestProblem::Content(problem)));
        }
    };
    let columns = manifest.columns_or(Columns::full());
    let columns =
        columns.map_err(|cause| unusable(&manifest.address, ManifestProblem::Columns(cause)))?;
    let manifest = (manifest, columns);
    let dead_letters = match dead_letters {
        None => None,
        Some(Sized { address, bytes }) => Some(
            dead_letters::spool(spooler, &chosen.group, address, bytes, Arc::clone(&room)).await?,
        ),
    };
    let checking = spawn_blocking(move || {
        Reading::new(Checked {
            chosen,
            manifest,
            dead_letters,
        })?
        .check()
    });
    checking.await.map_err(|_| GroupError::Stopped)?
}

fn unusable(manifest: &S3Address, problem: ManifestProblem) -> GroupError {
    GroupError::Manifest {
        manifest: manifest.clone(),
        problem,
    }
}

type Rows = RowReader<BufReader<File>>;

/// The dead letters of the group at hand.
struct Letters {
    address: S3Address,
    rows: Rows,
    /// Position of the reason.
    reason: usize,
    /// The next row that a retry pass took.
    next: Option<(Row, Reason)>,
}

/// The group at hand.
struct Reading {
    checked: Checked,
    rows: Rows,
    letters: Option<Letters>,
    /// Rows of the manifest so far.
    count: u64,
    digest: RowDigest,
    taken: BTreeMap<Reason, u64>,
}

impl Reading {
    fn new(checked: Checked) -> Result<Self, GroupError> {
        let Checked {
            chosen,
            manifest: (manifest, columns),
            dead_letters,
        } = &checked;
        let unread = |error| RowError {
            line: 1,
            problem: RowProblem::Io(error),
        };
        let letters = match dead_letters {
            None => None,
            Some((spooled, columns)) => {
                let wrong = |problem| chosen.wrong(&spooled.address, problem);
                let Some(reason) = columns.position(&Column::Reason) else {
                    return Err(wrong(DeadLettersProblem::NoReasons));
                };
                let bytes = spooled
                    .bytes()
                    .map_err(|error| wrong(DeadLettersProblem::Row(unread(error))))?;
                let rows = RowReader::new(bytes, columns.clone(), KeyEncoding::Literal);
                let mut letters = Letters {
                    address: spooled.address.clone(),
                    rows,
                    reason,
                    next: None,
                };
                letters.advance(chosen)?;
                Some(letters)
            }
        };
        let bytes = manifest
            .bytes()
            .map_err(|error| unusable(&manifest.address, ManifestProblem::Row(unread(error))))?;
        let rows = RowReader::new(bytes, columns.clone(), KeyEncoding::Literal);
        Ok(Self {
            checked,
            rows,
            letters,
            count: 0,
            digest: RowDigest::default(),
            taken: BTreeMap::new(),
        })
    }

    /// Reads it to its end.
    fn check(mut self) -> Result<Checked, GroupError> {
        while !self.next_batch()?.1 {}
        Ok(self.checked)
    }

    /// The next rows, which may be none, and whether they are the last of the group.
    fn next_batch(&mut self) -> Result<(Batch, bool), GroupError> {
        let mut batch = Batch::default();
        let chosen = &self.checked.chosen;
        let failed = |error| {
            unusable(
                &self.checked.manifest.0.address,
                ManifestProblem::Row(error),
            )
        };
        while batch.text.len() < BATCH_BYTES {
            let line = self.rows.line();
            let Some((row, _)) = self.rows.next_ref().map_err(failed)? else {
                self.compare()?;
                return Ok((batch, true));
            };
            self.count += 1;
            self.digest.add(row.bucket, row.key, row.version_id);
            if let Some(letters) = &mut self.letters
                && let Some((taken, reason)) = &letters.next
                && (row.bucket, row.key, row.version_id)
                    == (&*taken.bucket, &*taken.key, taken.version_id.as_deref())
            {
                *self.taken.entry(*reason).or_default() += 1;
                letters.advance(chosen)?;
                continue;
            }
            let taken: Result<(), RowProblem> = batch.take(&row);
            taken.map_err(|problem| failed(RowError { line, problem }))?;
            batch.rows += 1;
        }
        Ok((batch, false))
    }

    /// Whether the manifest has what its writer recorded, and every row that a retry pass took, as
    /// many as the receipt tells of.
    fn compare(&self) -> Result<(), GroupError> {
        let Checked {
            chosen,
            manifest: (manifest, _),
            ..
        } = &self.checked;
        let compared = manifest.compare(self.count);
        compared
            .map_err(|problem| unusable(&manifest.address, ManifestProblem::Content(problem)))?;
        let Some(letters) = &self.letters else {
            return Ok(());
        };
        let found = sum(self.taken.values());
        let expected = chosen
            .expected
            .as_ref()
            .map_or(found, |expected| sum(expected.values()));
        let unmatched = u64::from(letters.next.is_some());
        if found == expected && unmatched == 0 {
            return Ok(());
        }
        let count = |to_retry| DeadLettersCount {
            failed: to_retry,
            to_retry,
        };
        let problem = DeadLettersProblem::Count {
            found: count(found),
            expected: count(expected.saturating_add(unmatched)),
        };
        Err(chosen.wrong(&letters.address, problem))
    }
}

impl Letters {
    /// Goes to the next row that a retry pass took.
    fn advance(&mut self, chosen: &Chosen) -> Result<(), GroupError> {
        loop {
            let next = self.rows.next_ref();
            let next =
                next.map_err(|error| chosen.wrong(&self.address, DeadLettersProblem::Row(error)))?;
            let Some((row, fields)) = next else {
                self.next = None;
                return Ok(());
            };
            let reason = fields
                .get(self.reason)
                .and_then(|reason| reason.parse::<Reason>().ok());
            if let Some(reason) = reason.filter(|reason| chosen.reasons.contains(reason)) {
                self.next = Some((row.to_row(), reason));
                return Ok(());
            }
        }
    }
}
