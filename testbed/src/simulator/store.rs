//! Buckets: objects by rule, written objects, and open multipart uploads.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use http::{HeaderValue, header};

use super::bodies::{Bodies, Body};
use super::object::{Object, Pairs, Stored, Upload, Version, Versions};
use super::population::Population;
use super::refusal::Refusal;

/// 2024-01-01: no object by rule is older.
const BEGINNING: Duration = Duration::from_hours(473_352);

/// All buckets.
#[derive(Debug, Default)]
pub(super) struct Store {
    buckets: RwLock<HashMap<String, Arc<Bucket>>>,
}

/// One bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) name: String,
    pub(super) made: SystemTime,
    population: Option<(Population, Bodies)>,
    written: Mutex<Written>,
}

/// The part of a bucket that is stored.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// All versions of the keys that were written or deleted. They replace the object by rule, which
    /// becomes a version itself.
    keys: BTreeMap<String, Versions>,
    /// By id.
    pub(super) uploads: BTreeMap<String, Upload>,
    pub(super) is_versioned: bool,
    /// Number of ids so far.
    numbered: u64,
}

impl Written {
    /// An unused id for a version or an upload.
    pub(super) fn next_id(&mut self) -> String {
        self.numbered += 1;
        format!("{:016x}", self.numbered)
    }
}

impl Store {
    fn buckets(&self) -> std::sync::RwLockReadGuard<'_, HashMap<String, Arc<Bucket>>> {
        self.buckets.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn bucket(&self, name: &str) -> Result<Arc<Bucket>, Refusal> {
        self.buckets()
            .get(name)
            .cloned()
            .ok_or(Refusal::NO_SUCH_BUCKET)
    }

    pub(super) fn names(&self) -> Vec<(String, SystemTime)> {
        let mut names: Vec<_> = self
            .buckets()
            .values()
            .map(|bucket| (bucket.name.clone(), bucket.made))
            .collect();
        names.sort();
        names
    }

    /// Creates a bucket, with the objects of a population if one is supplied.
    pub(super) fn create(
        &self,
        name: &str,
        population: Option<Population>,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        if buckets.contains_key(name) {
            return Err(Refusal::BUCKET_EXISTS);
        }
        let population = population.map(|population| {
            let bodies = Bodies::of(&population.sizes, population.seed);
            (population, bodies)
        });
        let bucket = Bucket {
            name: name.to_owned(),
            made: now,
            population,
            written: Mutex::default(),
        };
        buckets.insert(name.to_owned(), Arc::new(bucket));
        Ok(())
    }

    pub(super) fn delete(&self, name: &str) -> Result<(), Refusal> {
        let bucket = self.bucket(name)?;
        if bucket.population.is_some() || !bucket.written().keys.is_empty() {
            return Err(Refusal::BUCKET_NOT_EMPTY);
        }
        self.buckets
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
        Ok(())
    }
}

/// A key of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) key: String,
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) modified: SystemTime,
    pub(super) storage_class: String,
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Page {
    pub(super) objects: Vec<Listed>,
    pub(super) prefixes: BTreeSet<String>,
    /// Where the next page begins.
    pub(super) next: Option<String>,
}

impl Bucket {
    pub(super) fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current object of a key.
    pub(super) fn object(&self, key: &str) -> Result<Object, Refusal> {
        match self.written().keys.get(key) {
            Some(versions) => versions.latest().cloned(),
            None => self.by_rule(key),
        }
        .ok_or(Refusal::NO_SUCH_KEY)
    }

    /// A version of a key.
    pub(super) fn version(&self, key: &str, id: &str) -> Result<Object, Refusal> {
        match self.written().keys.get(key) {
            Some(versions) => {
                let version = versions.of_id(id).ok_or(Refusal::NO_SUCH_VERSION)?;
                version.object.clone().ok_or(Refusal::METHOD_NOT_ALLOWED)
            }
            None if id == "null" => self.by_rule(key).ok_or(Refusal::NO_SUCH_VERSION),
            None => Err(Refusal::NO_SUCH_VERSION),
        }
    }

    /// Writes an object if `check` accepts the one that it replaces; returns the id of the version
    /// if the bucket is versioned.
    pub(super) fn write(
        &self,
        key: &str,
        object: Object,
        check: impl FnOnce(Option<&Object>) -> Result<(), Refusal>,
    ) -> Result<Option<String>, Refusal> {
        let mut written = self.written();
        let mut versions = self.versions(&mut written, key);
        if let Err(refusal) = check(versions.latest()) {
            self.put_back(&mut written, key, versions);
            return Err(refusal);
        }
        let id = written.is_versioned.then(|| written.next_id());
        versions.push(Version {
            id: id.clone().unwrap_or_else(|| "null".to_owned()),
            object: Some(object),
        });
        self.put_back(&mut written, key, versions);
        Ok(id)
    }

    /// Changes the current object of a key.
    pub(super) fn change(
        &self,
        key: &str,
        change: impl FnOnce(&mut Object) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let mut written = self.written();
        let mut versions = self.versions(&mut written, key);
        let changed = versions.latest_mut().ok_or(Refusal::NO_SUCH_KEY);
        let changed = changed.and_then(change);
        self.put_back(&mut written, key, versions);
        changed
    }

    /// Deletes a key or one of its versions; returns the id of the delete marker if there is one.
    pub(super) fn delete(&self, key: &str, version: Option<&str>) -> Option<String> {
        let mut written = self.written();
        let mut versions = self.versions(&mut written, key);
        let marker = match version {
            Some(id) => {
                versions.0.retain(|it| it.id != id);
                None
            }
            None if written.is_versioned => {
                let id = written.next_id();
                versions.push(Version {
                    id: id.clone(),
                    object: None,
                });
                Some(id)
            }
            None => {
                versions.0.clear();
                None
            }
        };
        self.put_back(&mut written, key, versions);
        marker
    }

    /// Takes all versions of a key, the object by rule included, until [`Bucket::put_back`].
    fn versions(&self, written: &mut Written, key: &str) -> Versions {
        written.keys.remove(key).unwrap_or_else(|| {
            self.by_rule(key)
                .map_or_else(Versions::default, Versions::of)
        })
    }

    /// An object by rule that has no version any more is deleted, so it has to stay known.
    fn put_back(&self, written: &mut Written, key: &str, versions: Versions) {
        if !versions.0.is_empty() || self.is_by_rule(key) {
            written.keys.insert(key.to_owned(), versions);
        }
    }

    fn by_rule(&self, key: &str) -> Option<Object> {
        let (population, bodies) = self.population.as_ref()?;
        population.number(key)?;
        let traits = population.traits(key);
        let mut headers = traits.metadata(population);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        Some(Object {
            body: Stored::Whole(traits.body(bodies).clone()),
            headers,
            tags: traits.tags(population),
            storage_class: population.storage_class.clone(),
            modified: SystemTime::UNIX_EPOCH + BEGINNING + Duration::from_secs(traits.age()),
            thawing_since: None,
        })
    }

    fn is_by_rule(&self, key: &str) -> bool {
        let population = self.population.as_ref();
        population.is_some_and(|(population, _)| population.number(key).is_some())
    }

    /// The first key from `from` on, or after it, deleted keys included.
    fn next_key(&self, written: &Written, from: &str, is_after: bool) -> Option<String> {
        let bound = if is_after {
            Bound::Excluded(from)
        } else {
            Bound::Included(from)
        };
        let stored = written
            .keys
            .range::<str, _>((bound, Bound::Unbounded))
            .next()
            .map(|(key, _)| key.clone());
        let by_rule = self.population.as_ref().and_then(|(population, _)| {
            let mut number = population.first_from(from);
            if is_after && number < population.objects && population.key(number) == from {
                number += 1;
            }
            (number < population.objects).then(|| population.key(number))
        });
        stored.into_iter().chain(by_rule).min()
    }

    /// Lists at most `most` keys and common prefixes after `after`.
    pub(super) fn list(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        after: Option<&str>,
        most: usize,
    ) -> Page {
        let written = self.written();
        let mut page = Page::default();
        let (mut from, mut is_after) = match after {
            Some(after) if after >= prefix => (after.to_owned(), true),
            _ => (prefix.to_owned(), false),
        };
        // After a common prefix, all of its keys are skipped.
        if let (Some(after), Some(delimiter)) = (after, delimiter)
            && after.ends_with(delimiter)
            && after.len() > prefix.len()
        {
            (from, is_after) = (format!("{after}{}", char::MAX), true);
        }
        while let Some(key) = self.next_key(&written, &from, is_after) {
            if !key.starts_with(prefix) {
                break;
            }
            let is_full = page.objects.len() + page.prefixes.len() >= most;
            let common = delimiter.and_then(|delimiter| {
                let at = key[prefix.len()..].find(delimiter)?;
                Some(key[..prefix.len() + at + delimiter.len()].to_owned())
            });
            if let Some(common) = common {
                let is_there = written
                    .keys
                    .get(&key)
                    .is_none_or(|it| it.latest().is_some());
                if is_there && !page.prefixes.contains(&common) {
                    if is_full {
                        page.next = Some(last_of(&page));
                        break;
                    }
                    page.prefixes.insert(common.clone());
                }
                (from, is_after) = if is_there {
                    (format!("{common}{}", char::MAX), true)
                } else {
                    (key, true)
                };
                continue;
            }
            let object = match written.keys.get(&key) {
                Some(versions) => versions.latest().cloned(),
                None => self.by_rule(&key),
            };
            if let Some(object) = object {
                if is_full {
                    page.next = Some(last_of(&page));
                    break;
                }
                page.objects.push(Listed {
                    size: object.body.size(),
                    etag: etag(object.body.sums()),
                    modified: object.modified,
                    storage_class: object.storage_class,
                    key: key.clone(),
                });
            }
            (from, is_after) = (key, true);
        }
        page
    }
}

/// The last key or common prefix of a page.
fn last_of(page: &Page) -> String {
    let key = page.objects.last().map(|it| it.key.as_str());
    let prefix = page.prefixes.last().map(String::as_str);
    key.max(prefix).unwrap_or_default().to_owned()
}

/// The ETag, with quotes.
pub(super) fn etag(body: &Body) -> String {
    String::from_utf8_lossy(body.etag.as_bytes()).into_owned()
}

/// Decodes tags such as `a=1&b=2`.
pub(super) fn pairs_of(encoded: &str) -> Pairs {
    form_urlencoded::parse(encoded.as_bytes())
        .into_owned()
        .collect()
}

#[cfg(test)]
mod tests;
