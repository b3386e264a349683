//! The tags of objects whose bytes were read. What goes wrong with tags says nothing about the object: they are tried again
//! by themselves, and an object is archived without those that cannot be had.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::Client;
use s3bundler_contract::{Row, S3Address};

use super::facts::Facts;
use super::fetch::{Trouble, trouble};
use super::limiter::Limiters;
use super::tries::pause;
use super::verdict::{Verdict, reason};
use crate::s3::{ErrorKind, S3Error};

/// Header of an object that is archived without its tags; its value is the error code (docs/formats.md).
pub const MISSING_TAGS: &str = "s3bundler-missing-tags";
/// Tries at the tags of one object, about a minute in all.
const MAX_TRIES: u32 = 9;

/// Reads tags, and reports each trouble once for a bucket. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Tags {
    reported: Arc<Mutex<Reported>>,
}

#[derive(Debug, Default)]
struct Reported {
    /// Buckets with tags that could not be read.
    missing: HashSet<String>,
    /// Buckets of which it is known whether the number of tags is shown.
    seen: HashSet<String>,
}

/// What an error of GetObjectTagging means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Try again.
    Again,
    /// As for a GET of the object.
    Judge,
    /// There are no tags to be had, and nothing is said about the object.
    Missing,
}

fn answer(error: &S3Error) -> Answer {
    match error.kind {
        kind if kind.is_transient() => Answer::Again,
        ErrorKind::Denied => Answer::Judge,
        _ if reason(error) == Verdict::Group => Answer::Judge,
        _ => Answer::Missing,
    }
}

impl Tags {
    /// The tags of an object into its facts. `asked` is the version of the manifest, if it has one; `read` that of the bytes.
    pub(super) async fn read(
        &self,
        (client, limiters): (&Client, &Limiters),
        row: &Row,
        (asked, read): (Option<&str>, Option<&str>),
        facts: &mut Facts,
    ) -> Result<(), Trouble> {
        self.first_of(&row.bucket);
        let mut tries = 1;
        loop {
            let request = client.get_object_tagging().bucket(&row.bucket).key(&row.key);
            limiters.of(&row.bucket).pass().await;
            let answered = request.set_version_id(asked.map(str::to_owned)).send().await;
            let address = S3Address::new(&row.bucket, &row.key);
            let answered = answered.map_err(|error| S3Error::new("GetObjectTagging", address, &error));
            limiters.see(&row.bucket, answered.as_ref().err());
            let error = match answered {
                Ok(output) => {
                    // Without a version id the tags are those of the current version, which may be another by now.
                    if let (Some(tagged), Some(read)) = (output.version_id(), read)
                        && tagged != read
                    {
                        return Err(Trouble::Changed);
                    }
                    facts.tags = output.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect();
                    return Ok(());
                }
                Err(error) => error,
            };
            match answer(&error) {
                Answer::Judge => return Err(trouble(error)),
                Answer::Again if tries < MAX_TRIES => {
                    tokio::time::sleep(pause(tries)).await;
                    tries += 1;
                }
                Answer::Again | Answer::Missing => {
                    if self.lock().missing.insert(row.bucket.clone()) {
                        tracing::warn!(
                            %error,
                            "tags cannot be read; objects of this bucket are archived without, and their rows say so"
                        );
                    }
                    facts.headers.insert(MISSING_TAGS.to_owned(), error.code);
                    return Ok(());
                }
            }
        }
    }

    /// S3 shows the number of tags only to a reader that may read them ("GetObject", S3 API reference): without it, an
    /// object has no tags, or nobody says so. Asks once for a bucket, and reports a denial.
    pub(super) async fn none_shown(&self, client: &Client, row: &Row) {
        if !self.first_of(&row.bucket) {
            return;
        }
        let request = client.get_object_tagging().bucket(&row.bucket).key(&row.key);
        let Err(error) = request.set_version_id(row.version_id.clone()).send().await else { return };
        let error = S3Error::new("GetObjectTagging", S3Address::new(&row.bucket, &row.key), &error);
        if error.kind == ErrorKind::Denied {
            let bucket = &row.bucket;
            tracing::warn!(
                bucket,
                %error,
                "tags of this bucket may not be read, and S3 does not show which objects have any: they are archived \
                 without tags; allow s3:GetObjectTagging to keep them"
            );
        }
    }

    fn first_of(&self, bucket: &str) -> bool {
        let mut reported = self.lock();
        !reported.seen.contains(bucket) && reported.seen.insert(bucket.to_owned())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Reported> {
        // Nothing panics while it holds it.
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_denial_of_tags_is_one_of_the_object() {
        for (kind, code, expected) in [
            (ErrorKind::NotFound, "NoSuchKey", Answer::Missing),
            (ErrorKind::NotFound, "HTTP 404", Answer::Missing),
            (ErrorKind::Rejected, "MethodNotAllowed", Answer::Missing),
            (ErrorKind::Unsupported, "NotImplemented", Answer::Missing),
            (ErrorKind::Rejected, "InvalidRequest", Answer::Missing),
            (ErrorKind::Denied, "AccessDenied", Answer::Judge),
            (ErrorKind::Credentials, "ExpiredToken", Answer::Judge),
            (ErrorKind::NoBucket, "NoSuchBucket", Answer::Judge),
            (ErrorKind::Foreign, "HTTP 404", Answer::Again),
            (ErrorKind::Throttled, "SlowDown", Answer::Again),
            (ErrorKind::Transient, "InternalError", Answer::Again),
        ] {
            let address = S3Address::new("b", "k");
            let error = S3Error { code: code.to_owned(), ..S3Error::local("GetObjectTagging", address, kind, "") };
            assert_eq!(answer(&error), expected, "{code}");
        }
    }

    #[test]
    fn a_bucket_is_asked_about_once() {
        let tags = Tags::default();
        assert_eq!([tags.first_of("a"), tags.first_of("b"), tags.first_of("a")], [true, true, false]);
        assert!(!tags.clone().first_of("b"), "clones share what they know");
    }
}
