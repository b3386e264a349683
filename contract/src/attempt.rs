//! The attempts at a group and the keys of what they write. No two attempts share a key, and no two
//! runs do: the group names of a run's own grouper begin with the run's name, and the keys of a
//! group of an existing manifest have a folder `run=<run>`. A deletion can therefore be proved by
//! one catalog, that of the run and group in the key.

use std::fmt;
use std::str::FromStr;

use crate::address::S3Address;
use crate::layout::{GroupName, Layout, LayoutError, MANIFEST_SUFFIX, RunName};
use crate::options::{ArchiveFormat, KeyLayout};

/// Characters of an attempt: 8 × 5 bits, so two of the few attempts of one group never meet.
const ATTEMPT_LENGTH: usize = 8;
const ATTEMPT_ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// What the folder of a run's groups of existing manifests begins with.
const RUN_FOLDER: &str = "run=";

/// One try at archiving a group. No other process writes under its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attempt(String);

impl Attempt {
    /// An attempt from 40 random bits (the rest is ignored).
    pub fn from_bits(bits: u64) -> Self {
        let letter = |n: usize| {
            char::from(ATTEMPT_ALPHABET[usize::try_from((bits >> (5 * n)) & 31).unwrap_or(0)])
        };
        Self((0..ATTEMPT_LENGTH).map(letter).collect())
    }

    /// The attempt as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Attempt {
    type Err = LayoutError;

    fn from_str(text: &str) -> Result<Self, LayoutError> {
        if text.len() != ATTEMPT_LENGTH || !text.bytes().all(|b| ATTEMPT_ALPHABET.contains(&b)) {
            return Err(LayoutError::Attempt(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A group of a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group {
    /// The run.
    pub run: RunName,
    /// The group.
    pub name: GroupName,
    /// Whether the run's own grouper wrote the manifest, so that the run has a claim.
    pub own: bool,
}

impl Group {
    /// The group of a manifest, for a destination of this bucket and layout: a manifest under its
    /// `groups/` is its run's; any other is recorded under `fallback`.
    pub fn of(manifest: &S3Address, bucket: &str, layout: &Layout, fallback: &RunName) -> Self {
        let own = (manifest.bucket == bucket)
            .then(|| layout.parse_group_manifest(&manifest.key))
            .flatten();
        match own {
            Some((run, name)) => Self {
                run,
                name,
                own: true,
            },
            None => Self {
                run: fallback.clone(),
                name: GroupName::foreign(manifest),
                own: false,
            },
        }
    }

    /// Whether it takes the place of other groups of its run.
    pub fn is_redo(&self) -> bool {
        self.own && self.name.is_redo_in(&self.run)
    }

    /// What the key of its archives has between the source bucket and its name.
    fn folder(&self) -> String {
        if self.own {
            String::new()
        } else {
            format!("{RUN_FOLDER}{}/", self.run)
        }
    }
}

impl GroupName {
    /// Whether it is a name that a grouper of `run` gives: numbered, of a retry pass or of a redo.
    pub fn is_numbered_in(&self, run: &RunName) -> bool {
        self.stage_in(run).is_some()
    }
}

impl Layout {
    /// What the keys of all archives and indexes begin with.
    pub fn archives(&self) -> String {
        format!("{}archives/", self.root())
    }

    /// What the keys of all attempts' archives and indexes of a group begin with.
    pub fn archive_stem(&self, source_bucket: &str, group: &Group) -> String {
        let (hash, folder, name) = (
            self.hash6(source_bucket, group.name.as_str()),
            group.folder(),
            &group.name,
        );
        format!("{}{hash}{source_bucket}/{folder}{name}-", self.archives())
    }

    /// The archive of one attempt.
    pub fn archive(
        &self,
        source_bucket: &str,
        group: &Group,
        attempt: &Attempt,
        format: ArchiveFormat,
    ) -> String {
        format!(
            "{}{attempt}.{format}",
            self.archive_stem(source_bucket, group)
        )
    }

    /// The attempt that wrote `key`, if `key` is an archive or an index of exactly this group.
    pub fn parse_attempt(&self, key: &str, source_bucket: &str, group: &Group) -> Option<Attempt> {
        let (name, attempt) =
            file_of_attempt(key.strip_prefix(&self.archive_stem(source_bucket, group))?)?;
        name.is_empty().then_some(attempt)
    }

    /// The group of `run` and the attempt that wrote `key`, if `key` is an archive or an index of
    /// such a group, in either layout of keys. Keys of groups of existing manifests as earlier
    /// releases made them, without a run, are of no run.
    pub fn parse_archive(&self, key: &str, run: &RunName) -> Option<(Group, Attempt)> {
        let (folders, file) = key.strip_prefix(&self.archives())?.rsplit_once('/')?;
        let (folders, own) = match folders.rsplit_once('/') {
            Some((folders, last)) if last.strip_prefix(RUN_FOLDER) == Some(run.as_str()) => {
                (folders, false)
            }
            _ => (folders, true),
        };
        let source_bucket = folders.rsplit('/').next()?;
        let (name, attempt) = file_of_attempt(file)?;
        let group = Group {
            run: run.clone(),
            name: name.strip_suffix('-')?.parse().ok()?,
            own,
        };
        if own && !group.name.is_numbered_in(run) {
            return None;
        }
        let is_stem =
            |keys| key.starts_with(&self.with_keys(keys).archive_stem(source_bucket, &group));
        [KeyLayout::Hashed, KeyLayout::Plain]
            .into_iter()
            .any(is_stem)
            .then_some((group, attempt))
    }
}

/// What is before the attempt in the name of an archive or an index, and the attempt.
fn file_of_attempt(file: &str) -> Option<(&str, Attempt)> {
    let extensions = ArchiveFormat::ALL.iter().map(|format| format!(".{format}"));
    let stem = extensions
        .chain([MANIFEST_SUFFIX.to_owned()])
        .find_map(|extension| file.strip_suffix(&extension))?;
    let (name, attempt) = stem.split_at_checked(stem.len().checked_sub(ATTEMPT_LENGTH)?)?;
    Some((name, attempt.parse().ok()?))
}

/// The key of the index beside an archive.
pub fn index_of(archive: &str) -> String {
    let stem = ArchiveFormat::ALL.iter().rev().find_map(|format| {
        archive
            .strip_suffix(format.extension())
            .and_then(|stem| stem.strip_suffix('.'))
    });
    format!("{}{MANIFEST_SUFFIX}", stem.unwrap_or(archive))
}

/// The run that the key of an archive has as a folder; `None` for a group that the run's own
/// grouper made, and for keys of earlier releases.
pub fn run_folder(archive: &str) -> Option<&str> {
    archive.rsplit('/').nth(1)?.strip_prefix(RUN_FOLDER)
}

#[cfg(test)]
mod tests;
