//! Whether a failure is the object's or the bucket's: what came of a group's rows is doubted before
//! it is committed.
//!
//! ```text
//! packer ──► Tally ──► doubted buckets ──► one byte of a known object ──► Answer ──► Decision
//!               └────► denied rows ──────► one byte of each of them ──► denied again │ readable: another attempt
//! ```
//!
//! A missing bucket policy is not 65,000 dead letters, and a denied object is not a denied bucket.
//! Counting rows does not tell them apart, so the bucket is asked ([`Asker`]). The decisions here
//! are pure.

mod ask;

use std::collections::{BTreeMap, BTreeSet};

use s3bundler_contract::Reason;

use crate::s3::S3Error;

pub use ask::{Asker, Sample, Scope};

/// Attempts at a group whose objects are denied at one time and readable at another.
pub const MAX_ATTEMPTS: u32 = 3;

/// What came of a group's rows, bucket by bucket, in manifest order.
#[derive(Debug, Default)]
pub struct Tally {
    rows: u64,
    buckets: BTreeMap<String, Course>,
    /// Numbers of the rows that were denied, from 0.
    denied: BTreeSet<u64>,
}

#[derive(Debug, Default)]
struct Course {
    any_read: bool,
    reasons: BTreeSet<Reason>,
    /// The reasons of the unbroken streak of failures at the end.
    streak: BTreeSet<Reason>,
}

/// A bucket whose failures may be its own trouble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    pub bucket: String,
    /// Whether denials are among the failures.
    pub denied: bool,
    /// Whether objects of the bucket were read before.
    pub lost: bool,
    /// The reason, if every row of the bucket failed for this one.
    pub uniform: Option<Reason>,
}

/// What the bucket answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// An object of it was read.
    Readable,
    /// Every object that was asked for is denied.
    Denied(S3Error),
    /// No answer came, or one that every object of the bucket would get.
    Down(S3Error),
    /// There is nothing to ask.
    Nothing,
}

/// What to do with a group whose bucket was doubted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The failures are those of objects.
    Believe,
    /// Fetch the rows once more, in another attempt.
    Again,
    /// The bucket is denied.
    Denied,
    /// The bucket cannot be read, for the cause in the answer.
    Failed,
}

/// A reason that is not the bucket's in any case: S3 said that the object is not there, or no
/// request was sent.
const fn is_certain(reason: Reason) -> bool {
    matches!(reason, Reason::NoSuchKey | Reason::Invalid)
}

impl Tally {
    /// Adds the next row.
    pub fn add(&mut self, bucket: &str, failed: Option<Reason>) {
        if failed == Some(Reason::AccessDenied) {
            self.denied.insert(self.rows);
        }
        self.rows += 1;
        if !self.buckets.contains_key(bucket) {
            self.buckets.insert(bucket.to_owned(), Course::default());
        }
        let Some(course) = self.buckets.get_mut(bucket) else {
            return;
        };
        match failed {
            None => {
                course.any_read = true;
                course.streak.clear();
            }
            Some(reason) => {
                course.reasons.insert(reason);
                course.streak.insert(reason);
            }
        }
    }

    /// The row that was added last was denied to a copy, after a GET of it was answered: to ask for
    /// it once more proves nothing.
    pub fn can_be_read(&mut self) {
        self.denied.remove(&self.rows.saturating_sub(1));
    }

    /// The buckets that are to be asked about: all their rows failed for one reason, or those at
    /// the end did. One denial is enough, wherever it is: rows are not fetched in their order, so
    /// access may have been lost after it.
    pub fn doubted(&self) -> Vec<Doubt> {
        let doubted = self.buckets.iter().filter(|(_, course)| {
            course.reasons.contains(&Reason::AccessDenied)
                || course.streak.iter().any(|it| !is_certain(*it))
        });
        doubted
            .map(|(bucket, course)| Doubt {
                bucket: bucket.clone(),
                denied: course.reasons.contains(&Reason::AccessDenied),
                lost: course.any_read,
                uniform: course
                    .reasons
                    .first()
                    .copied()
                    .filter(|_| !course.any_read && course.reasons.len() == 1),
            })
            .collect()
    }

    /// The rows that were denied, which are asked for once more whatever their bucket answers.
    pub const fn denied(&self) -> &BTreeSet<u64> {
        &self.denied
    }
}

/// What to do after the bucket's answer in the `attempt`th attempt, from 1.
pub const fn decide(doubt: &Doubt, answer: &Answer, attempt: u32) -> Decision {
    match (answer, doubt.uniform) {
        // Denied rows are asked for one by one, and rows that were tried to the end had one more
        // try by then.
        (Answer::Readable, None | Some(Reason::AccessDenied | Reason::Retry)) => Decision::Believe,
        (Answer::Readable, Some(_)) => {
            if attempt == 1 {
                Decision::Again
            } else {
                Decision::Believe
            }
        }
        (Answer::Denied(_), _) => Decision::Denied,
        (Answer::Nothing, _) if doubt.denied => Decision::Denied,
        (Answer::Down(_), _) => Decision::Failed,
        (Answer::Nothing, _) => Decision::Believe,
    }
}

#[cfg(test)]
mod tests;
