//! Buckets: objects by rule, written objects, and open multipart uploads.

mod listing;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use http::{HeaderValue, header};

use super::bodies::{Bodies, Body};
use super::object::{NULL, Object, Pairs, Stored, Upload, Version, Versions, marker, missing};
use super::population::Population;
use super::refusal::Refusal;

pub(super) use listing::{Listed, ListedVersion, Listing};

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

/// Whether writes create versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Versioning {
    /// It was never enabled.
    #[default]
    Never,
    /// Each write creates a version.
    Enabled,
    /// Each write replaces the version `null`; other versions remain.
    Suspended,
}

/// What a deletion did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Deleted {
    /// The version that was deleted, or the delete marker that was created.
    pub(super) version: Option<String>,
    /// Whether that is a delete marker.
    pub(super) is_marker: bool,
}

/// A version that was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) object: Object,
    /// Its id, unless the bucket was never versioned.
    pub(super) id: Option<String>,
}

/// The part of a bucket that is stored.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// All versions of the keys that were written or deleted. They replace the object by rule, which
    /// becomes a version itself.
    keys: BTreeMap<String, Versions>,
    /// By id.
    pub(super) uploads: BTreeMap<String, Upload>,
    pub(super) versioning: Versioning,
    /// Number of ids so far.
    numbered: u64,
}

impl Written {
    /// An unused id for a version or an upload.
    pub(super) fn next_id(&mut self) -> String {
        self.numbered += 1;
        format!("{:016x}", self.numbered)
    }

    /// The id of a version for answers: none if the bucket was never versioned.
    fn version_id(&self, id: &str) -> Option<String> {
        (self.versioning != Versioning::Never).then(|| id.to_owned())
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

impl Bucket {
    pub(super) fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A version of a key, or its latest.
    pub(super) fn object(&self, key: &str, id: Option<&str>) -> Result<Found, Refusal> {
        let written = self.written();
        let Some(versions) = written.keys.get(key) else {
            let version_id = written.version_id(NULL);
            drop(written);
            let object = match id {
                None | Some(NULL) => self.by_rule(key),
                Some(_) => None,
            };
            let object = object.ok_or_else(|| missing(id))?;
            return Ok(Found {
                object,
                id: version_id,
            });
        };
        let version = versions.find(id)?;
        match &version.object {
            Some(object) => Ok(Found {
                object: object.clone(),
                id: written.version_id(&version.id),
            }),
            None => Err(marker(id, &version.id)),
        }
    }

    /// Writes an object if `check` accepts the one that it replaces; returns the id of the version
    /// if one was created.
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
        let id = match written.versioning {
            Versioning::Enabled => Some(written.next_id()),
            Versioning::Never | Versioning::Suspended => None,
        };
        versions.push(Version {
            id: id.clone().unwrap_or_else(|| NULL.to_owned()),
            modified: object.modified,
            object: Some(object),
        });
        self.put_back(&mut written, key, versions);
        Ok(id)
    }

    /// Changes a version of a key, or its latest; returns its id if the bucket is versioned.
    pub(super) fn change(
        &self,
        key: &str,
        id: Option<&str>,
        change: impl FnOnce(&mut Object) -> Result<(), Refusal>,
    ) -> Result<Option<String>, Refusal> {
        let mut written = self.written();
        let mut versions = self.versions(&mut written, key);
        let changed = versions.find_mut(id).and_then(|version| {
            let object = version.object.as_mut();
            change(object.ok_or_else(|| marker(id, &version.id))?)?;
            Ok(written.version_id(&version.id))
        });
        self.put_back(&mut written, key, versions);
        changed
    }

    /// Deletes a key, or one of its versions.
    pub(super) fn delete(&self, key: &str, id: Option<&str>, now: SystemTime) -> Deleted {
        let mut written = self.written();
        let mut versions = self.versions(&mut written, key);
        let deleted = match (id, written.versioning) {
            (Some(id), _) => {
                let is_marker = versions.find(Some(id)).is_ok_and(|it| it.object.is_none());
                versions.0.retain(|it| it.id != id);
                Deleted {
                    version: Some(id.to_owned()),
                    is_marker,
                }
            }
            (None, Versioning::Never) => {
                versions.0.clear();
                Deleted::default()
            }
            (None, versioning) => {
                let id = match versioning {
                    Versioning::Enabled => written.next_id(),
                    Versioning::Never | Versioning::Suspended => NULL.to_owned(),
                };
                versions.push(Version {
                    id: id.clone(),
                    modified: now,
                    object: None,
                });
                Deleted {
                    version: Some(id),
                    is_marker: true,
                }
            }
        };
        self.put_back(&mut written, key, versions);
        deleted
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
            parts: None,
        })
    }

    fn is_by_rule(&self, key: &str) -> bool {
        let population = self.population.as_ref();
        population.is_some_and(|(population, _)| population.number(key).is_some())
    }
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
