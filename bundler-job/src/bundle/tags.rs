//! The tags of objects whose bytes were read. What goes wrong with tags says nothing about the
//! object: they are tried again by themselves, and an object is archived or copied without those
//! that cannot be had. Its row says so.
//!
//! ```text
//! the GET shows a number of tags ──► GetObjectTagging ──► tags │ the row has MISSING_TAGS
//! it shows none ──► may this reader see it? (asked by directory) ──► yes: no tags │ no: the row has MISSING_TAGS
//! ```
//!
//! A row holds its slot during each of these requests, and no slot while it waits: for the next
//! try, or for what another row asks for all rows of the directory
//! (docs/decisions/tags-that-are-denied.md).

pub(crate) mod shown;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_s3::operation::get_object_tagging::GetObjectTaggingOutput;
use s3bundler_contract::{Row, S3Address};
use tokio::time::Instant;

use self::shown::{Directory, Meaning, Shown};
use super::limiter::{InFlight, Limiters};
use super::source::{Facts, Verdict, reason};
use super::tries::{is_busy, pause};
use crate::s3::{ErrorKind, S3, S3Error};

/// Header of an object that is archived without its tags; its value is the error code
/// (docs/formats.md).
pub const MISSING_TAGS: &str = "s3bundler-missing-tags";
/// Tries at the tags of one object, about a minute in all.
const MAX_TRIES: u32 = 9;
/// Tries at tags that are denied. S3 shows their number only to a reader that may read them, so one
/// denial may be a policy on its way through S3.
const DENIED_TRIES: u32 = 2;
/// Tries at tags that do not exist, of an object whose bytes were just read.
const ABSENT_TRIES: u32 = 2;
/// Tries at the question whether this reader may see tags, which all rows of the directory wait
/// for.
const QUESTION_TRIES: u32 = 4;
/// A question that failed is not asked again before this time.
const NO_ANSWER: Duration = Duration::from_mins(1);
/// Tries at tags if an answer without a code says that the store has none, which may be a proxy's
/// page, or if the request is refused for a reason that says nothing of tags.
const UNSAID_TRIES: u32 = 3;

/// Reads tags, and reports each trouble once for a bucket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tags {
    s3: S3,
    limiters: Arc<Limiters>,
    buckets: Arc<Mutex<HashMap<String, Arc<Bucket>>>>,
}

/// What is known of the tags in a bucket.
#[derive(Debug, Default)]
struct Bucket {
    /// Whether this reader is shown which objects have tags.
    shown: Shown,
    /// Whether a warning said that it is not.
    reported_hidden: AtomicBool,
    /// Whether a warning said that tags are missing.
    reported: AtomicBool,
}

/// An object whose bytes were read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tagged<'a> {
    /// Its row.
    pub row: &'a Row,
    /// The version that goes with requests, if the manifest lists one.
    pub asked: Option<&'a str>,
    /// The version of the bytes, if S3 returned one.
    pub read: Option<&'a str>,
    /// The number of tags that the GET showed.
    pub count: Option<i32>,
}

impl Tagged<'_> {
    /// Whether these tags are not as many as the GET showed, or one has no key, which no tag lacks.
    fn contradicts(&self, tags: &GetObjectTaggingOutput) -> bool {
        let shown = self.count.filter(|count| *count > 0).map(usize::try_from);
        shown.is_some_and(|shown| shown != Ok(tags.tag_set.len())) || Self::lacks_key(tags)
    }

    fn lacks_key(tags: &GetObjectTaggingOutput) -> bool {
        tags.tag_set.iter().any(|tag| tag.key.is_empty())
    }
}

/// What is known of an object's tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// All of them.
    All,
    /// There may be more: the store does not have them, or fails.
    Missing,
    /// There may be more, and this reader may not read them.
    Denied,
}

/// Tags that were not read, for a reason that is not theirs alone.
#[derive(Debug)]
pub(super) enum TagTrouble {
    /// The object was replaced after its bytes were read.
    Changed,
    /// As for a GET of the object.
    Judge(S3Error),
}

/// What an error of GetObjectTagging means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// After so many tries there are no tags to be had, and nothing is said about the object.
    Missing { tries: u32 },
    /// As for a GET of the object.
    Judge,
}

/// Records that an object may have tags that were not read.
fn miss(facts: &mut Facts, code: String, known: Known) -> Known {
    facts.headers.insert(MISSING_TAGS.to_owned(), code);
    known
}

fn answer(error: &S3Error) -> Answer {
    match error.kind {
        kind if kind.is_transient() => Answer::Missing { tries: MAX_TRIES },
        ErrorKind::Denied => Answer::Missing {
            tries: DENIED_TRIES,
        },
        ErrorKind::NotFound => Answer::Missing {
            tries: ABSENT_TRIES,
        },
        ErrorKind::Unsupported if error.code.starts_with("HTTP ") => Answer::Missing {
            tries: UNSAID_TRIES,
        },
        _ if reason(error) == Verdict::Group => Answer::Judge,
        _ if error.is_unimplemented() => Answer::Missing { tries: 1 },
        _ => Answer::Missing {
            tries: UNSAID_TRIES,
        },
    }
}

impl Tags {
    /// Knows no bucket yet.
    pub fn new(s3: S3, limiters: Arc<Limiters>) -> Self {
        Self {
            s3,
            limiters,
            buckets: Arc::default(),
        }
    }

    /// The tags of an object into its facts.
    pub(super) async fn read(
        &self,
        object: Tagged<'_>,
        facts: &mut Facts,
        in_flight: &mut InFlight<'_>,
    ) -> Result<Known, TagTrouble> {
        let bucket = self.bucket(&object.row.bucket);
        let directory = bucket.shown.directory(&object.row.key);
        let is_counted = object.count.is_some_and(|count| count > 0);
        if is_counted {
            bucket.shown.counted(&directory);
        } else {
            match self.meaning(&bucket, &directory, object, in_flight).await {
                Ok(Meaning::Untagged) => return Ok(Known::All),
                Ok(Meaning::Denied(code)) => return Ok(miss(facts, code, Known::Denied)),
                Ok(Meaning::Nothing) => {}
                Err(error) if self.is_judged(&error) => return Err(TagTrouble::Judge(error)),
                // It may have tags that this reader is not shown.
                Err(error) => return Ok(miss(facts, error.code, Known::Missing)),
            }
        }
        // A denial contradicts a number that was shown.
        let denied_tries = if is_counted { DENIED_TRIES } else { 1 };
        let error = match self.ask(object, in_flight, (MAX_TRIES, denied_tries)).await {
            Ok(output) => {
                // Without a version id the tags are those of the current version, which may be
                // another by now.
                if let (Some(tagged), Some(read)) = (output.version_id(), object.read)
                    && tagged != read
                {
                    return Err(TagTrouble::Changed);
                }
                facts.tags = output
                    .tag_set
                    .into_iter()
                    .map(|tag| (tag.key, tag.value))
                    .collect();
                return Ok(Known::All);
            }
            Err(error) => error,
        };
        if self.is_judged(&error) {
            return Err(TagTrouble::Judge(error));
        }
        if !bucket.reported.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %error,
                "tags cannot be read; objects of this bucket are archived without, and their rows \
                 say so"
            );
        }
        let known = if error.kind == ErrorKind::Denied {
            Known::Denied
        } else {
            Known::Missing
        };
        Ok(miss(facts, error.code, known))
    }

    /// As [`Tags::read`], of an object that has no slot.
    pub(super) async fn read_alone(
        &self,
        object: Tagged<'_>,
        facts: &mut Facts,
    ) -> Result<Known, TagTrouble> {
        let limiter = self.limiters.of(&object.row.bucket);
        let mut in_flight = InFlight {
            limiter: &limiter,
            turn: limiter.turn(),
            slot: None,
        };
        self.read(object, facts, &mut in_flight).await
    }

    /// What it means that the GET showed no number of tags. Asks once for a directory, and reports
    /// the first denial. An error says nothing about permissions.
    async fn meaning(
        &self,
        bucket: &Bucket,
        directory: &Arc<Directory>,
        object: Tagged<'_>,
        in_flight: &mut InFlight<'_>,
    ) -> Result<Meaning, S3Error> {
        if let Some(meaning) = bucket.shown.meaning(directory) {
            return Ok(meaning);
        }
        // The row that asks needs a slot.
        in_flight.release();
        let mut failed = directory.asking.lock().await;
        if let Some(meaning) = bucket.shown.meaning(directory) {
            return Ok(meaning);
        }
        if let Some((_, error)) = failed.as_ref().filter(|(at, _)| at.elapsed() < NO_ANSWER) {
            return Err(error.clone());
        }
        let denied = match self.ask(object, in_flight, (QUESTION_TRIES, 1)).await {
            Err(error) if error.kind == ErrorKind::Denied => {
                if !bucket.reported_hidden.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        %error,
                        "tags here may not be read, and S3 does not show which objects have any: \
                         such objects are archived without tags, and their rows say so; allow \
                         s3:GetObjectTagging to keep them"
                    );
                }
                Some(error.code)
            }
            Ok(output) => {
                if !output.tag_set.is_empty() {
                    bucket.shown.never();
                }
                None
            }
            // A store without tags.
            Err(error) if error.is_unimplemented() => None,
            Err(error) => {
                // Others may be of this object alone. A refusal of an unknown kind is most likely of
                // every object, and each would wait for its own tries.
                let is_of_all = error.kind.is_transient() || error.kind == ErrorKind::Rejected;
                *failed = is_of_all.then(|| (Instant::now(), error.clone()));
                return Err(error);
            }
        };
        bucket.shown.answered(directory, denied);
        Ok(bucket.shown.meaning(directory).unwrap_or(Meaning::Nothing))
    }

    /// Whether an error is not of the tags alone: also if the bucket is down for longer than is
    /// waited for.
    fn is_judged(&self, error: &S3Error) -> bool {
        answer(error) == Answer::Judge || self.s3.outages().is_spent(&error.address.bucket)
    }

    /// Asks until there is an answer, at most so many times if the request fails, or is denied.
    /// Refusals do not count while other requests to the bucket are accepted.
    async fn ask(
        &self,
        object: Tagged<'_>,
        in_flight: &mut InFlight<'_>,
        (most, most_denied): (u32, u32),
    ) -> Result<GetObjectTaggingOutput, S3Error> {
        let (begun, mut tried, mut contradicted) = (Instant::now(), 1, false);
        loop {
            in_flight.acquire().await;
            let error = match self.ask_once(object).await {
                // A bit that flipped in a name leaves out a tag. Tags that were replaced after the
                // GET are the same ones again.
                Ok(output) if !contradicted && object.contradicts(&output) => {
                    contradicted = true;
                    continue;
                }
                Ok(output) if Tagged::lacks_key(&output) => {
                    let address = S3Address::new(&object.row.bucket, &object.row.key);
                    S3Error::local(
                        "GetObjectTagging",
                        address,
                        ErrorKind::Foreign,
                        "a tag has no key",
                    )
                }
                Ok(output) => return Ok(output),
                Err(error) => error,
            };
            let Answer::Missing { tries } = answer(&error) else {
                return Err(error);
            };
            let most = tries.min(if error.kind == ErrorKind::Denied {
                most_denied
            } else {
                most
            });
            in_flight.release();
            if error.kind == ErrorKind::Throttled
                && is_busy(in_flight.limiter.silent_for(), begun.elapsed())
            {
                continue;
            }
            if tried >= most {
                return Err(error);
            }
            tokio::time::sleep(pause(tried)).await;
            tried += 1;
        }
    }

    async fn ask_once(&self, object: Tagged<'_>) -> Result<GetObjectTaggingOutput, S3Error> {
        let Row { bucket, key, .. } = object.row;
        let client = self.s3.client_once(bucket).await;
        let request = client.get_object_tagging().bucket(bucket).key(key);
        self.limiters.of(bucket).pass().await;
        let answered = request
            .set_version_id(object.asked.map(str::to_owned))
            .send()
            .await;
        let answered = answered
            .map_err(|error| S3Error::new("GetObjectTagging", S3Address::new(bucket, key), &error));
        self.limiters.see(bucket, answered.as_ref().err());
        answered
    }

    fn bucket(&self, name: &str) -> Arc<Bucket> {
        // Nothing panics while it holds the lock.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get(name) {
            return Arc::clone(bucket);
        }
        Arc::clone(buckets.entry(name.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests;
