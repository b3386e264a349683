//! One row of a group manifest to the bytes and facts of its object: one GET for an untagged
//! object, whatever its size.
//!
//! Per-object trouble stays with the object and becomes a [`Reason`]; trouble that every object
//! would have is a [`FetchError`] and fails the group. Retries are owned here, from the request to
//! the last byte: the client tries once, so that every throttling is seen and slows the bucket down
//! (docs/decisions/retries-of-source-gets.md).

mod receive;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use s3bundler_contract::{Reason, Row};

use super::copy::{Copied, Copier};
use super::doubt::{self, Asker, Scope};
use super::limiter::{InFlight, Limiters};
use super::source::{Content, Facts, FetchError, Fetched, Held, ObjectFailure, Verdict, reason};
use super::tags::Tags;
use super::tries::{self, Next, Tries};
use crate::budget::Budget;
use crate::s3::{ErrorKind, S3, S3Error};
use receive::{Done, Room};

/// Held for a member beside its data: up to 2 KiB of user metadata, 10 tags, headers, the row, the
/// task.
const OVERHEAD: u64 = 6 * 1024;
/// Held for a member that goes to scratch: what is between socket and file.
const SPILLING: u64 = 256 * 1024;

/// How one try at an object ended, when not well.
enum Trouble {
    /// For good.
    Object(ObjectFailure),
    /// Perhaps not the next time.
    Again(S3Error),
    /// Its bytes changed while they were read.
    Changed,
    /// Its bytes were not those of its checksum.
    Mismatch,
    /// Not this object's trouble.
    Group(FetchError),
}

impl Trouble {
    /// The error code, or a word of ours if there is none.
    fn detail(&self) -> String {
        match self {
            Self::Object(failure) => failure.detail.clone(),
            Self::Again(error) if error.code.is_empty() => format!("{:?}", error.kind),
            Self::Again(error) => error.code.clone(),
            Self::Changed => "PreconditionFailed".to_owned(),
            Self::Mismatch => "ChecksumMismatch".to_owned(),
            Self::Group(_) => String::new(),
        }
    }
}

/// Fetches the objects of groups.
#[derive(Debug, Clone)]
pub struct Fetcher {
    /// Where from.
    pub s3: S3,
    /// How many at a time.
    pub limiters: Arc<Limiters>,
    /// Where large members wait.
    pub scratch: PathBuf,
    /// Who copies objects that are too large.
    pub copier: Copier,
    /// Whether to compute the SHA-256 of each object.
    pub sha256: bool,
    /// Who reads tags.
    pub tags: Tags,
    /// Who asks about buckets whose objects fail.
    pub asker: Asker,
    /// Where there are other rows of the run.
    pub scope: Arc<Scope>,
    /// Whether an earlier attempt saw denials that did not last, so that one is not enough.
    pub wary: bool,
}

impl Fetcher {
    /// Memory to take before fetching `row`, where members up to `in_memory` bytes stay in memory.
    pub fn reserve(row: &Row, in_memory: u64) -> u64 {
        match row.size {
            Some(size) if size <= in_memory => size + OVERHEAD,
            // Unknown sizes are small or go to scratch.
            _ => SPILLING + OVERHEAD,
        }
    }

    /// Bytes that `row` takes of the scratch directory, as far as the manifest tells: objects that
    /// are larger by now, and those whose size it does not have, are not foreseen.
    pub fn spills(&self, row: &Row, in_memory: u64) -> Option<u64> {
        row.size
            .filter(|size| *size > in_memory && !self.copier.takes(*size))
    }

    /// Fetches one object. `budget` is asked, without waiting, for more memory than is held where
    /// the object has grown.
    pub async fn fetch(
        &self,
        row: Row,
        held: Held,
        reserved: u64,
        budget: Budget,
        in_memory: u64,
    ) -> Result<Fetched, FetchError> {
        let listed_version = row.version_id.is_some();
        // Also of what is only copied.
        self.limiters.of(&row.bucket);
        let mut fetched = Fetched {
            row,
            listed_version,
            facts: Facts::default(),
            mtime: 0,
            content: Content::Failed(ObjectFailure::new(Reason::Invalid, "BadRow")),
            held,
        };
        let copies = fetched.row.size.is_some_and(|size| self.copier.takes(size));
        if fetched.row.impossible().is_none() && !(copies && self.copy(&mut fetched).await?) {
            fetched = self
                .try_to_the_end(fetched, reserved, budget, in_memory)
                .await?;
        }
        if let Some(place) = fetched
            .held
            .scratch
            .as_mut()
            .filter(|_| !matches!(fetched.content, Content::Scratch(_)))
        {
            place.leave();
        }
        Ok(fetched)
    }

    /// Tries until the object was read, or its failure is believed. A slot is held during a request
    /// and its body, not between tries.
    async fn try_to_the_end(
        &self,
        mut fetched: Fetched,
        reserved: u64,
        budget: Budget,
        in_memory: u64,
    ) -> Result<Fetched, FetchError> {
        let limiter = self.limiters.of(&fetched.row.bucket);
        let (turn, begun) = (limiter.turn(), Instant::now());
        let mut tries = Tries::new(self.wary);
        loop {
            let room = Room {
                reserved,
                in_memory,
                budget: &budget,
            };
            let slot = InFlight {
                limiter: &limiter,
                turn,
                slot: Some(limiter.slot(turn).await),
            };
            let sent = tokio::time::Instant::now();
            let tried = self.receive(&mut fetched, room, slot).await;
            let trouble = match tried {
                Ok(Done::Read) => {
                    self.asker.read(&fetched.row, fetched.listed_version);
                    return Ok(fetched);
                }
                Ok(Done::TooLarge) if self.copy(&mut fetched).await? => return Ok(fetched),
                Ok(Done::TooLarge) => Trouble::Changed,
                Err(trouble) => trouble,
            };
            let trouble = match trouble {
                Trouble::Again(_) if self.s3.outages().ended_since(&fetched.row.bucket, sent) => {
                    continue;
                }
                Trouble::Again(error) if self.s3.outages().is_spent(&fetched.row.bucket) => {
                    return Err(FetchError::Source(error));
                }
                trouble => trouble,
            };
            let trouble_of_try = match &trouble {
                Trouble::Group(_) => None,
                Trouble::Object(failure) => Some(tries::Trouble::Object(failure.reason)),
                Trouble::Again(error) if error.kind == ErrorKind::Throttled => {
                    Some(tries::Trouble::Throttled {
                        silent_for: limiter.silent_for(),
                    })
                }
                Trouble::Again(error) if error.is_slow() => Some(tries::Trouble::Slow),
                Trouble::Again(_) => Some(tries::Trouble::Again),
                Trouble::Changed => Some(tries::Trouble::Changed),
                Trouble::Mismatch => Some(tries::Trouble::Mismatch),
            };
            let detail = trouble.detail();
            let next = trouble_of_try.map(|trouble| tries.after(trouble, begun.elapsed()));
            let reason = match (next, trouble) {
                (_, Trouble::Group(error)) => return Err(error),
                (Some(Next::Pause(pause)), _) => {
                    tokio::time::sleep(pause).await;
                    continue;
                }
                (Some(Next::WhenAccepted) | None, _) => continue,
                (Some(Next::Doubt(reason)), Trouble::Again(error)) => {
                    match Box::pin(self.asker.about(&fetched.row.bucket, &self.scope)).await {
                        doubt::Answer::Readable => {
                            tries.once_more();
                            continue;
                        }
                        doubt::Answer::Down(error) => return Err(FetchError::Source(error)),
                        doubt::Answer::Nothing if error.kind == ErrorKind::Unreachable => {
                            return Err(FetchError::Source(error));
                        }
                        // The bucket is asked about once more before the commit.
                        doubt::Answer::Nothing | doubt::Answer::Denied(_) => reason,
                    }
                }
                (Some(Next::Doubt(reason) | Next::Failed(reason)), _) => reason,
            };
            tracing::debug!(bucket = fetched.row.bucket, key = ?fetched.row.key, %reason, detail, "object \
                failed");
            fetched.content = Content::Failed(ObjectFailure::new(reason, detail));
            return Ok(fetched);
        }
    }

    /// Copies a large object; whether that was its end. If not, it is small by now, and what is
    /// there wins.
    async fn copy(&self, fetched: &mut Fetched) -> Result<bool, FetchError> {
        if let Some(place) = &mut fetched.held.scratch {
            place.leave();
        }
        fetched.content = match self
            .copier
            .copy(&mut fetched.row, &mut fetched.facts)
            .await?
        {
            Copied::To(key) => {
                self.asker.read(&fetched.row, fetched.listed_version);
                Content::Copied(key)
            }
            Copied::Failed(failure) => Content::Failed(failure),
            Copied::Small => return Ok(false),
        };
        Ok(true)
    }
}

/// Whose trouble an answer of the source is.
fn trouble(error: S3Error) -> Trouble {
    if error.is_mismatch() {
        return Trouble::Mismatch;
    }
    match reason(&error) {
        Verdict::Object(reason) => Trouble::Object(ObjectFailure::new(reason, error.code)),
        Verdict::Again => Trouble::Again(error),
        Verdict::Changed => Trouble::Changed,
        Verdict::Group => Trouble::Group(FetchError::Source(error)),
    }
}
