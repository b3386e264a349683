//! Lists of keys and of versions, with the objects by rule among those that were written.

use std::ops::Bound;
use std::time::SystemTime;

use super::{Bucket, Written, etag};
use crate::simulator::checksum::{Algorithm, Kind};
use crate::simulator::object::{Object, Versions};

/// Which keys to list.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::simulator) struct Listing<'a> {
    pub(in crate::simulator) prefix: &'a str,
    pub(in crate::simulator) delimiter: Option<&'a str>,
    /// Only keys and common prefixes after this one.
    pub(in crate::simulator) after: Option<&'a str>,
    /// Only versions of the key `after` that are older than this one, and later keys.
    pub(in crate::simulator) after_version: Option<&'a str>,
    /// Maximum number of entries.
    pub(in crate::simulator) most: usize,
}

/// An object of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::simulator) struct Listed {
    pub(in crate::simulator) key: String,
    pub(in crate::simulator) size: u64,
    pub(in crate::simulator) etag: String,
    pub(in crate::simulator) modified: SystemTime,
    pub(in crate::simulator) storage_class: String,
    pub(in crate::simulator) checksum: (Algorithm, Kind),
}

/// A version of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::simulator) struct ListedVersion {
    pub(in crate::simulator) key: String,
    pub(in crate::simulator) id: String,
    pub(in crate::simulator) is_latest: bool,
    pub(in crate::simulator) modified: SystemTime,
    /// `None` is a delete marker.
    pub(in crate::simulator) object: Option<Listed>,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::simulator) struct Page<T> {
    pub(in crate::simulator) entries: Vec<T>,
    pub(in crate::simulator) prefixes: Vec<String>,
    /// The last key or common prefix, if the list is longer than the page.
    pub(in crate::simulator) next: Option<String>,
}

/// Keys that begin and go on like these, as one entry or as one each.
enum Step {
    Prefix(String),
    Key(String),
}

impl Listed {
    fn of(key: String, object: &Object) -> Self {
        let sums = object.body.sums();
        Self {
            key,
            size: object.body.size(),
            etag: etag(sums),
            modified: object.modified,
            storage_class: object.storage_class.clone(),
            checksum: (sums.checksum.algorithm, sums.checksum.kind),
        }
    }
}

impl<T> Page<T> {
    fn new() -> Self {
        Self {
            entries: Vec::new(),
            prefixes: Vec::new(),
            next: None,
        }
    }

    /// Adds an entry. Returns false if the page is full, which is then truncated.
    fn add(
        &mut self,
        most: usize,
        last: &mut String,
        name: &str,
        add: impl FnOnce(&mut Self),
    ) -> bool {
        if self.entries.len() + self.prefixes.len() >= most {
            self.next = Some(std::mem::take(last)).filter(|_| most > 0);
            return false;
        }
        add(self);
        name.clone_into(last);
        true
    }
}

impl Bucket {
    /// Lists the current objects.
    pub(in crate::simulator) fn list(&self, asked: Listing<'_>) -> Page<Listed> {
        let written = self.written();
        let (mut page, mut last) = (Page::new(), String::new());
        let is_there = |versions: &Versions| versions.latest().is_some();
        self.walk(&written, asked, is_there, |step| match step {
            Step::Prefix(prefix) => page.add(asked.most, &mut last, &prefix, |page| {
                page.prefixes.push(prefix.clone());
            }),
            Step::Key(key) => {
                let object = match written.keys.get(&key) {
                    Some(versions) => versions.latest().cloned(),
                    None => self.by_rule(&key),
                };
                object.is_none_or(|object| {
                    page.add(asked.most, &mut last, &key, |page| {
                        page.entries.push(Listed::of(key.clone(), &object));
                    })
                })
            }
        });
        page
    }

    /// Lists all versions, the newest of each key first.
    pub(in crate::simulator) fn list_versions(&self, asked: Listing<'_>) -> Page<ListedVersion> {
        let written = self.written();
        let (mut page, mut last) = (Page::new(), String::new());
        let is_there = |versions: &Versions| !versions.0.is_empty();
        self.walk(&written, asked, is_there, |step| match step {
            Step::Prefix(prefix) => page.add(asked.most, &mut last, &prefix, |page| {
                page.prefixes.push(prefix.clone());
            }),
            Step::Key(key) => {
                let by_rule;
                let versions = if let Some(versions) = written.keys.get(&key) {
                    versions
                } else {
                    let object = self.by_rule(&key);
                    by_rule = object.map_or_else(Versions::default, Versions::of);
                    &by_rule
                };
                let marker = asked.after_version.filter(|_| asked.after == Some(&key));
                let older = versions.older_than(marker);
                let latest = versions.0.len();
                (0..older).rev().all(|n| {
                    let version = &versions.0[n];
                    page.add(asked.most, &mut last, &key, |page| {
                        page.entries.push(ListedVersion {
                            key: key.clone(),
                            id: version.id.clone(),
                            is_latest: n + 1 == latest,
                            modified: version.modified,
                            object: version
                                .object
                                .as_ref()
                                .map(|it| Listed::of(key.clone(), it)),
                        });
                    })
                })
            }
        });
        page
    }

    /// Visits keys and common prefixes in order, until `visit` returns false.
    fn walk(
        &self,
        written: &Written,
        asked: Listing<'_>,
        is_there: impl Fn(&Versions) -> bool,
        mut visit: impl FnMut(Step) -> bool,
    ) {
        let Listing {
            prefix,
            delimiter,
            after,
            ..
        } = asked;
        let (mut from, mut is_after) = match after {
            Some(after) if after >= prefix => (after.to_owned(), asked.after_version.is_none()),
            _ => (prefix.to_owned(), false),
        };
        while let Some(key) = self.next_key(written, &from, is_after) {
            if !key.starts_with(prefix) {
                return;
            }
            if !written.keys.get(&key).is_none_or(&is_there) {
                (from, is_after) = (key, true);
                continue;
            }
            let common = delimiter.and_then(|delimiter| {
                let at = key[prefix.len()..].find(delimiter)?;
                Some(key[..prefix.len() + at + delimiter.len()].to_owned())
            });
            let step = if let Some(common) = common {
                (from, is_after) = (format!("{common}{}", char::MAX), true);
                // "CommonPrefixes is filtered out from results if it is not lexicographically greater
                // than the key-marker" (ListObjectVersions, S3 API reference).
                if after.is_some_and(|after| common.as_str() <= after) {
                    continue;
                }
                Step::Prefix(common)
            } else {
                (from, is_after) = (key.clone(), true);
                Step::Key(key)
            };
            if !visit(step) {
                return;
            }
        }
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
}
