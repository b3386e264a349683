//! Whether a GET of an object without a number of tags proves that it has none. S3 shows the number
//! only to a reader that may read the tags ("GetObject", S3 API reference), and a policy may allow
//! that for some prefixes only (docs/decisions/tags-that-are-denied.md).
//!
//! ```text
//! a new directory ──► GetObjectTagging of its first object without a number ──► allowed │ denied, for the directory
//! 1,000 directories that agree ──► then only the first object of a new top folder, and of no more than 1 % of all objects
//! a denied directory where a GET shows a number ──► each of its objects
//! tags, and the GET showed no number ──► each object of the bucket
//! ```

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::time::Instant;

use crate::s3::S3Error;

/// Directories with one answer after which a new directory has the answer of its top folder.
const ENOUGH: u64 = 1_000;
/// Then new top folders are asked about at most once for so many objects: a bucket may have as many
/// folders as objects.
const OBJECTS: u64 = 100;
/// Directories that are remembered, about 20 MiB. All are forgotten when there are more, and asked
/// about again.
const MOST: usize = 100_000;

/// What is known of the tags in a bucket.
#[derive(Debug, Default)]
pub(super) struct Shown {
    known: Mutex<Directories>,
    /// Whether an object had tags although the GET showed no number: the store never shows it.
    never: AtomicBool,
}

#[derive(Debug, Default)]
struct Directories {
    by_name: HashMap<String, Arc<Directory>>,
    /// The first directory that was asked about in each top folder.
    top: HashMap<String, Arc<Directory>>,
    /// One that was asked about.
    answered: Option<Arc<Directory>>,
    /// Objects that were looked up.
    objects: u64,
    answers: Answers,
}

/// How far the directories agree.
#[derive(Debug, Default)]
struct Answers {
    first: Option<bool>,
    count: u64,
    differ: bool,
}

/// Objects whose keys are equal up to the last slash.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// The error code, if tags are denied.
    denied: OnceLock<Option<String>>,
    /// Whether a GET showed a number of tags here.
    counted: AtomicBool,
    /// When it could not be found out, and why. Held by the row that asks.
    pub(super) asking: tokio::sync::Mutex<Option<(Instant, S3Error)>>,
}

/// What it means that a GET shows no number of tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The object has no tags.
    Untagged,
    /// This reader may not read them; the error code.
    Denied(String),
    /// Nothing: each object has to be asked about.
    Nothing,
}

impl Shown {
    /// Where what is known about the object with this key is kept.
    pub(super) fn directory(&self, key: &str) -> Arc<Directory> {
        self.directory_of(key, 1)
    }

    /// The same for several objects that are equal up to the last slash of this key.
    fn directory_of(&self, key: &str, objects: u64) -> Arc<Directory> {
        let (name, top) = names(key);
        let mut known = self.lock();
        known.objects += objects;
        if let Some(directory) = known.by_name.get(name).or_else(|| known.agreed(top)) {
            return Arc::clone(directory);
        }
        if known.by_name.len() >= MOST {
            known.by_name.clear();
            known.top.clear();
        }
        let directory = Arc::<Directory>::default();
        known
            .top
            .entry(top.to_owned())
            .or_insert_with(|| Arc::clone(&directory));
        known
            .by_name
            .insert(name.to_owned(), Arc::clone(&directory));
        directory
    }

    /// What a missing number means in this directory; `None` before anybody asked.
    pub(super) fn meaning(&self, directory: &Directory) -> Option<Meaning> {
        if self.never.load(Ordering::Relaxed) {
            return Some(Meaning::Nothing);
        }
        Some(match directory.denied.get()? {
            None => Meaning::Untagged,
            Some(_) if directory.counted.load(Ordering::Relaxed) => Meaning::Nothing,
            Some(code) => Meaning::Denied(code.clone()),
        })
    }

    /// A GET showed a number of tags here.
    pub(super) fn counted(&self, directory: &Directory) {
        if !directory.counted.swap(true, Ordering::Relaxed)
            && matches!(directory.denied.get(), Some(Some(_)))
        {
            self.lock().answers.differ = true;
        }
    }

    /// The tags of an object without a number were read here, or denied with this error code.
    pub(super) fn answered(&self, directory: &Arc<Directory>, denied: Option<String>) {
        let is_denied = denied.is_some();
        if directory.denied.set(denied).is_ok() {
            let contradicted = is_denied && directory.counted.load(Ordering::Relaxed);
            let mut known = self.lock();
            known.answers.add(is_denied);
            known.answers.differ |= contradicted;
            known.answered.get_or_insert_with(|| Arc::clone(directory));
        }
    }

    /// An object without a number has tags.
    pub(super) fn never(&self) {
        self.never.store(true, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Directories> {
        // Nothing panics while it holds the lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Directories {
    /// The directory whose answer is taken for a new one in this top folder, if enough others
    /// agree.
    fn agreed(&self, top: &str) -> Option<&Arc<Directory>> {
        let Answers { count, differ, .. } = self.answers;
        if differ || count < ENOUGH {
            return None;
        }
        let has_asked_much = count.saturating_sub(ENOUGH).saturating_mul(OBJECTS) >= self.objects;
        self.top
            .get(top)
            .or_else(|| self.answered.as_ref().filter(|_| has_asked_much))
    }
}

impl Answers {
    fn add(&mut self, denied: bool) {
        self.differ |= *self.first.get_or_insert(denied) != denied;
        self.count += 1;
    }
}

/// How often a run asks whether a missing number of tags means that an object has none, counted
/// without asking. The answer is always that tags may be read.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    shown: Shown,
    /// The share of untagged first objects that has not become a question yet.
    rest: f64,
    asked: u64,
}

impl Questions {
    /// Adds objects of one directory, which ends with its slash, in the order in which they are
    /// read. `tagged` is the share of objects whose GET shows a number.
    pub(crate) fn add(&mut self, directory: &str, objects: u64, tagged: f64) {
        let found = self.shown.directory_of(directory, objects);
        if self.shown.meaning(&found).is_some() {
            return;
        }
        // The first object without a number asks.
        let all_tagged = tagged.powi(i32::try_from(objects).unwrap_or(i32::MAX));
        self.rest += 1.0 - all_tagged;
        if self.rest >= 1.0 {
            self.rest -= 1.0;
            self.asked += 1;
            self.shown.answered(&found, None);
        }
    }

    /// Number of GetObjectTagging.
    pub(crate) const fn asked(&self) -> u64 {
        self.asked
    }
}

/// The directory of a key: all up to its last slash.
pub(crate) fn directory(key: &str) -> &str {
    names(key).0
}

/// The directory of a key and its top folder, both with their last slash; empty for a key without
/// one.
fn names(key: &str) -> (&str, &str) {
    let up_to = |slash: Option<usize>| slash.map_or("", |at| &key[..=at]);
    (up_to(key.rfind('/')), up_to(key.find('/')))
}

#[cfg(test)]
mod tests;
