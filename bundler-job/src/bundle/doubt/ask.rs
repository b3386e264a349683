//! Asks about a bucket: one byte of objects that were readable before, else of rows of this and of
//! other groups. No request needs a permission that a run has not got.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use s3bundler_contract::group_manifest::Columns;
use s3bundler_contract::message::ManifestRef;
use s3bundler_contract::{Group, Reason, Row, S3Address};
use tokio::time::Instant;

use super::super::BundleError;
use super::super::limiter::{self, Limiters};
use super::super::manifest::{Manifest, ManifestError};
use super::super::source::{FetchError, Verdict, reason};
use super::Answer;
use crate::catalog::{Committed, Outcome};
use crate::destination::Destination;
use crate::s3::{ErrorKind, S3, S3Error};

/// Objects that were readable before and are asked for.
const KNOWN: usize = 3;
/// Other manifests of the same bucket whose rows are asked for …
const MANIFESTS: usize = 10;
/// … and rows of each.
const SAMPLE: usize = 3;
/// Manifests that are read at most, those of other buckets included.
const READ_MANIFESTS: usize = 30;
/// Tries at one object, and how long apart.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);
/// Objects without an answer after which the bucket counts as down.
const DOWN: usize = 2;
/// Denied rows that are asked for at a time.
const RECHECKED: usize = 16;

/// An object to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Object {
    key: String,
    /// The version, if the manifest names it.
    version_id: Option<String>,
}

/// What one object says of its bucket.
enum Word {
    Readable,
    Denied(S3Error),
    Down(S3Error),
    /// The object may be gone.
    Nothing,
}

/// Where there are other rows of the group's run.
#[derive(Debug, Clone)]
pub struct Scope {
    pub group: Group,
    /// Some of its own rows.
    pub sample: Vec<Row>,
    /// Where the run's groups and catalogs are.
    pub destination: Destination,
    /// Columns of manifests, instead of what their metadata says.
    pub fieldnames: Option<Columns>,
    /// Where manifests and catalogs are kept while they are read.
    pub scratch: PathBuf,
}

/// Asks about buckets. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Asker {
    s3: S3,
    limiters: Arc<Limiters>,
    /// The last objects of each bucket that were read.
    known: Arc<Mutex<HashMap<String, VecDeque<Object>>>>,
    /// The last answer of each bucket, and when it was asked for. Held while a bucket is asked.
    answers: Arc<tokio::sync::Mutex<HashMap<String, (Instant, Answer)>>>,
}

/// What the objects said so far.
#[derive(Default)]
struct Heard {
    denied: Option<S3Error>,
    down: Vec<S3Error>,
}

impl Heard {
    /// The answer, if nothing more has to be asked.
    fn hear(&mut self, word: Word) -> Option<Answer> {
        match word {
            Word::Readable => return Some(Answer::Readable),
            Word::Denied(error) => self.denied = Some(error),
            Word::Down(error) => self.down.push(error),
            Word::Nothing => {}
        }
        if self.down.len() >= DOWN {
            self.down.pop().map(Answer::Down)
        } else {
            None
        }
    }

    fn end(mut self) -> Answer {
        match (self.denied, self.down.pop()) {
            (Some(error), _) => Answer::Denied(error),
            (None, Some(error)) => Answer::Down(error),
            (None, None) => Answer::Nothing,
        }
    }
}

impl Asker {
    /// Knows no object yet.
    pub fn new(s3: S3, limiters: Arc<Limiters>) -> Self {
        Self {
            s3,
            limiters,
            known: Arc::default(),
            answers: Arc::default(),
        }
    }

    /// Remembers an object that was read.
    pub fn read(&self, row: &Row, listed_version: bool) {
        let mut known = self.known();
        if !known.contains_key(&row.bucket) {
            known.insert(row.bucket.clone(), VecDeque::with_capacity(KNOWN));
        }
        let Some(objects) = known.get_mut(&row.bucket) else {
            return;
        };
        if objects.len() == KNOWN {
            objects.pop_front();
        }
        let version_id = row.version_id.clone().filter(|_| listed_version);
        objects.push_back(Object {
            key: row.key.clone(),
            version_id,
        });
    }

    /// Asks about a bucket. Who asks while another does gets the next answer, together with all
    /// others who wait.
    pub async fn about(&self, bucket: &str, scope: &Scope) -> Answer {
        let since = Instant::now();
        let mut answers = self.answers.lock().await;
        if let Some((asked, answer)) = answers.get(bucket).filter(|(asked, _)| *asked >= since) {
            tracing::debug!(bucket, ?asked, "bucket was asked about meanwhile");
            return answer.clone();
        }
        let asked = Instant::now();
        let answer = self.ask(bucket, scope).await;
        tracing::info!(bucket, ?answer, "asked about a bucket whose objects failed");
        if !matches!(answer, Answer::Nothing) {
            answers.insert(bucket.to_owned(), (asked, answer.clone()));
        }
        answer
    }

    async fn ask(&self, bucket: &str, scope: &Scope) -> Answer {
        let mut heard = Heard::default();
        let mut known: Vec<Object> = self
            .known()
            .get(bucket)
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        if known.len() < KNOWN {
            known.extend(self.archived(bucket, scope, KNOWN - known.len()).await);
        }
        let own = scope
            .sample
            .iter()
            .filter(|row| row.bucket == bucket)
            .map(Object::of);
        for object in known.into_iter().chain(own) {
            if let Some(answer) = heard.hear(self.probe(bucket, &object).await) {
                return answer;
            }
        }
        let (mut read, mut of_bucket) = (0, 0);
        let manifests = scope.destination.layout.groups(&scope.group.run);
        for key in self.spread(&scope.destination, &manifests, ".index").await {
            if scope
                .destination
                .layout
                .group_manifest(&scope.group.run, &scope.group.name)
                == key
            {
                continue;
            }
            if read == READ_MANIFESTS || of_bucket == MANIFESTS {
                break;
            }
            read += 1;
            let objects = self.rows(bucket, &key, scope).await;
            of_bucket += usize::from(!objects.is_empty());
            for object in objects {
                if let Some(answer) = heard.hear(self.probe(bucket, &object).await) {
                    return answer;
                }
            }
        }
        heard.end()
    }

    /// Objects that catalogs of the run name as archived.
    async fn archived(&self, bucket: &str, scope: &Scope, wanted: usize) -> Vec<Object> {
        let layout = &scope.destination.layout;
        let mut found = Vec::new();
        let catalogs = self
            .spread(
                &scope.destination,
                &layout.catalogs(&scope.group.run),
                ".parquet",
            )
            .await;
        for key in catalogs.into_iter().take(READ_MANIFESTS) {
            if found.len() == wanted {
                break;
            }
            let name = key
                .rsplit('/')
                .next()
                .and_then(|file| file.strip_suffix(".parquet"))
                .map(str::parse);
            let Some(Ok(name)) = name else { continue };
            let read = Committed::read(
                &self.s3,
                &scope.destination,
                &scope.group.run,
                &name,
                &scope.scratch,
            )
            .await;
            let Ok(Some(committed)) = read else { continue };
            let bucket = bucket.to_owned();
            let object = tokio::task::spawn_blocking(move || {
                let mut entries = committed.catalog().entries().ok()?;
                entries.find_map(|entry| {
                    let entry = entry.ok()?;
                    let is_archived =
                        entry.row.bucket == bucket && matches!(entry.outcome, Outcome::Archived(_));
                    is_archived.then(|| Object {
                        version_id: entry.listed_version_id().map(str::to_owned),
                        key: entry.row.key,
                    })
                })
            });
            found.extend(object.await.ok().flatten());
        }
        found
    }

    /// Some rows of another group that are in this bucket.
    async fn rows(&self, bucket: &str, manifest: &str, scope: &Scope) -> Vec<Object> {
        let manifest = ManifestRef::new(scope.destination.address(manifest), None);
        let Ok(manifest) = Manifest::fetch(
            &self.s3,
            &manifest,
            scope.fieldnames.as_ref(),
            &scope.scratch,
        )
        .await
        else {
            return Vec::new();
        };
        let Ok(rows) = manifest.rows() else {
            return Vec::new();
        };
        let bucket = bucket.to_owned();
        let sampled = tokio::task::spawn_blocking(move || {
            let mut sample = Sample::default();
            for row in rows
                .map_while(Result::ok)
                .filter(|row| row.bucket == bucket)
            {
                sample.add(row);
            }
            sample.rows.iter().map(Object::of).collect()
        });
        sampled.await.unwrap_or_default()
    }

    /// Keys of the first page under a prefix, the best spread first; none if they cannot be listed.
    async fn spread(&self, destination: &Destination, prefix: &str, suffix: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let listed = self
            .s3
            .list(&destination.bucket, prefix, |page| {
                keys.extend(
                    page.into_iter()
                        .map(|listed| listed.key)
                        .filter(|key| key.ends_with(suffix)),
                );
                false
            })
            .await;
        if let Err(error) = listed {
            tracing::debug!(%error, "other groups of the run cannot be listed");
        }
        let step = keys.len().div_ceil(MANIFESTS).max(1);
        (0..step)
            .flat_map(|first| keys.iter().skip(first).step_by(step))
            .cloned()
            .collect()
    }

    /// Whether each of these rows, by their numbers in the manifest, is denied still. One that gets
    /// no answer is not.
    pub async fn are_denied(
        &self,
        manifest: &Manifest,
        numbers: &BTreeSet<u64>,
    ) -> Result<bool, BundleError> {
        if numbers.is_empty() {
            return Ok(true);
        }
        let rows = manifest.rows().map_err(ManifestError::Scratch)?;
        let rows = (0..)
            .zip(rows)
            .filter(|(number, _)| numbers.contains(number));
        // The manifest was read to its end before: a row that cannot be read is not there.
        let denied = rows.filter_map(|(_, row)| row.ok());
        let mut words = stream::iter(denied)
            .map(|row| async move { self.probe(&row.bucket, &Object::of(&row)).await })
            .buffer_unordered(RECHECKED);
        while let Some(word) = words.next().await {
            match word {
                Word::Denied(_) => {}
                Word::Down(error) if reason(&error) == Verdict::Group => {
                    return Err(BundleError::Fetch(FetchError::Source(error)));
                }
                Word::Readable | Word::Nothing | Word::Down(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// GETs one byte of an object.
    async fn probe(&self, bucket: &str, object: &Object) -> Word {
        let limiter = self.limiters.of(bucket);
        let turn = limiter.turn();
        let address = S3Address::new(bucket, &object.key);
        let mut tries = 0;
        loop {
            let slot = limiter.slot(turn).await;
            let client = self.s3.client_once(bucket).await;
            let request = client
                .get_object()
                .bucket(bucket)
                .key(&object.key)
                .range("bytes=0-0");
            let answer = request
                .set_version_id(object.version_id.clone())
                .send()
                .await;
            drop(slot);
            let error = match answer {
                Ok(_) => None,
                // Of an object without bytes.
                Err(error)
                    if error
                        .raw_response()
                        .is_some_and(|it| it.status().as_u16() == 416) =>
                {
                    None
                }
                Err(error) => Some(S3Error::new("GetObject", address.clone(), &error)),
            };
            let throttled = error
                .as_ref()
                .is_some_and(|error| error.kind == ErrorKind::Throttled);
            limiter.answered(if throttled {
                limiter::Answer::Refused
            } else {
                limiter::Answer::Accepted
            });
            let Some(error) = error else {
                return Word::Readable;
            };
            match reason(&error) {
                Verdict::Object(Reason::AccessDenied) => return Word::Denied(error),
                Verdict::Object(_) | Verdict::Changed => return Word::Nothing,
                Verdict::Group => return Word::Down(error),
                Verdict::Again
                    if throttled && limiter.silent_for() < super::super::tries::SILENCE => {}
                Verdict::Again => {
                    tries += 1;
                    if tries == TRIES {
                        return Word::Down(error);
                    }
                    tokio::time::sleep(PAUSE * tries).await;
                }
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, VecDeque<Object>>> {
        // Nothing panics while it holds the lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Object {
    /// The object of a manifest's row.
    fn of(row: &Row) -> Self {
        Self {
            key: row.key.clone(),
            version_id: row.version_id.clone(),
        }
    }
}

/// The first of some rows, the last, and one in the middle or later.
#[derive(Debug, Default)]
pub struct Sample {
    seen: u64,
    rows: Vec<Row>,
}

impl Sample {
    /// Adds the next row.
    pub fn add(&mut self, row: Row) {
        self.seen += 1;
        if self.rows.len() < SAMPLE {
            self.rows.push(row);
        } else if self.seen.is_power_of_two() {
            self.rows[1] = row;
        } else {
            self.rows[SAMPLE - 1] = row;
        }
    }

    /// The sample.
    pub fn into_rows(self) -> Vec<Row> {
        self.rows
    }
}
