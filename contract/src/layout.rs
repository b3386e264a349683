//! Where everything of a run lies under the destination prefix. The kind comes first, so that
//! lifecycle rules, event filters and queries can name it.
//!
//! ```text
//! <prefix>/runs/<run>.json                                        claim of the run's name
//! <prefix>/groups/<run>/<run>.<number>.index                      group manifest     + .dlq dead letters
//! <prefix>/runs/<run>.done.json                                   summary of the grouping
//! <prefix>/runs/<run>.retry<pass>.done.json                       summary of a retry pass
//! <prefix>/runs/<run>.redo<n>.done.json                           summary of a redo
//! <prefix>/runs/<run>.ack.<uid>.json                              acknowledgement of a Kubernetes resource
//! <prefix>/archives/<hash6>/<bucket>/<group>-<attempt>.tar        archive, .index beside it
//! <prefix>/archives/<hash6>/<bucket>/run=<run>/<group>-…           the same of a group of an existing manifest
//! <prefix>/objects/<hash6>/<bucket>/<key>~<hash8>                 copy of a large object, .metadata after it
//! <prefix>/catalog/run=<run>/<group>.parquet                      the record of a group: its PUT is the commit
//! <prefix>/compact/run=<run>/manifest.json                        what the compacted catalogs are made of
//! <prefix>/compact/run=<run>/<hash>-<number>.parquet              compacted catalogs
//! <prefix>/receipts/<run>/<group>~a…~c…~f…~b…                     the proof that all of the above is whole
//! ```
//!
//! A number has six digits up to 999999. A larger one has a letter for its length before its
//! digits, `a1000000` (7), `b10000000` (8), so that names sort like their numbers
//! ([`number_text`]).
//!
//! Groups are made in passes. Pass 0 is the run's own groups, made of the inventory:
//! `<run>.<number>`. Pass n is made of the rows that earlier passes dead-lettered for its reasons:
//! `<run>.retry<n>.<number>`. Each has a summary of its own; claim, claimed options and all
//! prefixes are those of the run. A redo archives chosen groups again: `<run>.redo<n>.<number>`.

use std::fmt;
use std::str::FromStr;

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use crate::acknowledgement::ResourceUid;
use crate::address::S3Address;
use crate::options::KeyLayout;
use crate::row::MAX_KEY_BYTES;

/// What the names of a retry pass have after the run's name and a dot.
const RETRY: &str = "retry";
/// What the names of a redo have after the run's name and a dot.
const REDO: &str = "redo";
/// Longest name of a run: it also names Kubernetes objects and SQS queues.
const MAX_RUN_NAME: usize = 48;
/// Longest name of a group: leaves room in 1,024 bytes for a prefix, a receipt's figures and every
/// kind of key.
const MAX_GROUP_NAME: usize = 200;
/// Hex digits that tell foreign manifests of one name apart.
const FOREIGN_HASH: usize = 8;
/// Digits of a number that has no letter before it.
const NUMBER_DIGITS: usize = 6;

/// Why a name or key is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Not a run's name.
    #[error("{0:?} cannot name a run: lower-case letters, digits and inner hyphens, 48 at most")]
    RunName(String),
    /// Not a group's name.
    #[error(
        "{0:?} cannot name a group: letters, digits, dots, hyphens and underscores, 200 at most"
    )]
    GroupName(String),
    /// Not an attempt.
    #[error("{0:?} is not an attempt: 8 characters of a-z and 2-7")]
    Attempt(String),
    /// Not a destination prefix.
    #[error(
        "the destination prefix {0:?} begins or ends with a slash, holds an empty part, or is \
         longer than 512 bytes"
    )]
    Prefix(String),
}

/// A run's name: `[a-z0-9]([-a-z0-9]*[a-z0-9])?`, up to 48. No dots, so that `x` and `x.retry1`
/// never meet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunName(String);

impl RunName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunName {
    type Err = LayoutError;

    fn from_str(text: &str) -> Result<Self, LayoutError> {
        let alphabet = text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let ends = !text.starts_with('-') && !text.ends_with('-');
        if text.is_empty() || text.len() > MAX_RUN_NAME || !alphabet || !ends {
            return Err(LayoutError::RunName(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Which grouping of a run made a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// 0 of the inventory or of existing manifests; n of the rows that the nth retry pass takes.
    Pass(u32),
    /// The nth time that chosen groups are archived again, from 1.
    Redo(u32),
}

impl Stage {
    /// The run's own groups.
    pub const OWN: Self = Self::Pass(0);

    /// The retry pass or, with 0, the run's own groups; nothing of a redo.
    pub const fn pass(self) -> Option<u32> {
        match self {
            Self::Pass(pass) => Some(pass),
            Self::Redo(_) => None,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass(0) => f.write_str("pass 0"),
            Self::Pass(pass) => write!(f, "retry pass {pass}"),
            Self::Redo(redo) => write!(f, "redo {redo}"),
        }
    }
}

/// A group's name, unique within its run: `<run>.<number>`, in a retry pass
/// `<run>.retry<pass>.<number>`, in a redo `<run>.redo<n>.<number>`, or for a foreign manifest its
/// stem and a hash of its address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupName(String);

impl GroupName {
    /// Group `number` of `run`, counted from 0.
    pub fn numbered(run: &RunName, number: u64) -> Self {
        Self(format!("{run}.{}", number_text(number)))
    }

    /// Group `number` of a pass over `run`, both counted from 0: pass 0 is [`GroupName::numbered`].
    pub fn retry(run: &RunName, pass: u32, number: u64) -> Self {
        Self::of_stage(run, Stage::Pass(pass), number)
    }

    /// Group `number`, counted from 0, of a stage of `run`.
    pub fn of_stage(run: &RunName, stage: Stage, number: u64) -> Self {
        Self(format!(
            "{}.{}",
            stage_name(run, stage),
            number_text(number)
        ))
    }

    /// Which group of `run` it is, where it is one that [`GroupName::numbered`] makes: not a
    /// retry's, nor a foreign one.
    pub fn number_in(&self, run: &RunName) -> Option<u64> {
        self.pass_in(run)
            .filter(|(pass, _)| *pass == 0)
            .map(|(_, number)| number)
    }

    /// The pass and number of a group of `run`, where it is one that [`GroupName::retry`] makes:
    /// not a redo's, nor a foreign one, nor one with its numbers written in another way.
    pub fn pass_in(&self, run: &RunName) -> Option<(u32, u64)> {
        let (stage, number) = self.stage_in(run)?;
        Some((stage.pass()?, number))
    }

    /// Whether it is a group of a redo of `run`, which takes the place of other groups.
    pub fn is_redo_in(&self, run: &RunName) -> bool {
        matches!(self.stage_in(run), Some((Stage::Redo(_), _)))
    }

    /// The stage and number of a group of `run`, where it is one that [`GroupName::of_stage`]
    /// makes.
    pub fn stage_in(&self, run: &RunName) -> Option<(Stage, u64)> {
        let rest = self.0.strip_prefix(run.as_str())?.strip_prefix('.')?;
        let (stage, number) = if let Some(retry) = rest.strip_prefix(RETRY) {
            let (pass, number) = retry.split_once('.')?;
            (Stage::Pass(pass.parse().ok()?), number)
        } else if let Some(redo) = rest.strip_prefix(REDO) {
            let (redo, number) = redo.split_once('.')?;
            (Stage::Redo(redo.parse().ok()?), number)
        } else {
            (Stage::OWN, rest)
        };
        let number = parse_number(number)?;
        // `retry0`, `retry01` and `redo0` are other names.
        let is_one = stage != Stage::Redo(0) && Self::of_stage(run, stage, number) == *self;
        is_one.then_some((stage, number))
    }

    /// Whether [`GroupName::foreign`] may have made this name: its last part is 8 hex digits. Of
    /// the numbers only those of seven digits look so; such a group is the run's own if and only if
    /// the run's summary counts its number.
    pub fn may_be_foreign(&self) -> bool {
        let hash = self.0.rsplit_once('.').map(|(_, hash)| hash);
        hash.is_some_and(|it| {
            it.len() == FOREIGN_HASH && it.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
    }

    /// The group of a manifest that no grouper of this project wrote under the run's own prefix.
    /// The hash tells `a/x.index` from `b/x.index`.
    pub fn foreign(manifest: &S3Address) -> Self {
        let stem = manifest.file_name().trim_end_matches(MANIFEST_SUFFIX);
        let safe: String = stem
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
                    c
                } else {
                    '_'
                }
            })
            .take(100)
            .collect();
        Self(format!(
            "{safe}.{}",
            &hex(&Md5::digest(manifest.to_string()))[..FOREIGN_HASH]
        ))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GroupName {
    type Err = LayoutError;

    fn from_str(text: &str) -> Result<Self, LayoutError> {
        let alphabet = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if text.is_empty() || text.len() > MAX_GROUP_NAME || !alphabet {
            return Err(LayoutError::GroupName(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

macro_rules! display_as_text {
    ($($type:ty),+) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }
        impl TryFrom<String> for $type {
            type Error = LayoutError;
            fn try_from(text: String) -> Result<Self, LayoutError> {
                text.parse()
            }
        }
    )+};
}
display_as_text!(RunName, GroupName);

/// The keys under one destination prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    prefix: String,
    keys: KeyLayout,
}

impl Layout {
    /// The layout under `prefix`, which may be empty and has no slash at either end.
    pub fn new(prefix: &str, keys: KeyLayout) -> Result<Self, LayoutError> {
        let broken =
            prefix.len() > 512 || (!prefix.is_empty() && prefix.split('/').any(str::is_empty));
        if broken {
            return Err(LayoutError::Prefix(prefix.to_owned()));
        }
        let prefix = if prefix.is_empty() {
            String::new()
        } else {
            format!("{prefix}/")
        };
        Ok(Self { prefix, keys })
    }

    /// The same prefix with another layout of keys.
    #[must_use]
    pub fn with_keys(&self, keys: KeyLayout) -> Self {
        Self {
            prefix: self.prefix.clone(),
            keys,
        }
    }

    /// What every key begins with: empty, or the prefix and a slash.
    pub fn root(&self) -> &str {
        &self.prefix
    }

    /// Whether a key is one of those that this project's commands write, other than group manifests
    /// and their dead letters.
    pub fn is_output(&self, key: &str) -> bool {
        const FOLDERS: [&str; 6] = [
            "archives/",
            "catalog/",
            "compact/",
            "receipts/",
            "runs/",
            "objects/",
        ];
        key.strip_prefix(self.root())
            .is_some_and(|rest| FOLDERS.iter().any(|folder| rest.starts_with(folder)))
    }

    /// The claim of the run's name.
    pub fn claim(&self, run: &RunName) -> String {
        format!("{}runs/{run}.json", self.prefix)
    }

    /// The acknowledgement of the run by the resource with this UID.
    pub fn acknowledgement(&self, run: &RunName, uid: &ResourceUid) -> String {
        format!("{}runs/{run}.ack.{uid}.json", self.prefix)
    }

    /// The grouper's summary of the run.
    pub fn summary(&self, run: &RunName) -> String {
        format!("{}runs/{run}.done.json", self.prefix)
    }

    /// The summary of a pass over the run; of pass 0 it is [`Layout::summary`].
    pub fn pass_summary(&self, run: &RunName, pass: u32) -> String {
        self.stage_summary(run, Stage::Pass(pass))
    }

    /// The summary of a stage of the run.
    pub fn stage_summary(&self, run: &RunName, stage: Stage) -> String {
        format!("{}runs/{}.done.json", self.prefix, stage_name(run, stage))
    }

    /// What the keys of the summaries of the run's retry passes and redos begin with.
    pub fn stage_summaries(&self, run: &RunName) -> String {
        format!("{}runs/{run}.re", self.prefix)
    }

    /// The retry pass or redo of `run` that a key is the summary of.
    pub fn parse_stage_summary(&self, key: &str, run: &RunName) -> Option<Stage> {
        let rest = key
            .strip_prefix(&format!("{}runs/{run}.", self.prefix))?
            .strip_suffix(".done.json")?;
        let stage = match rest.strip_prefix(RETRY) {
            Some(pass) => Stage::Pass(pass.parse().ok()?),
            None => Stage::Redo(rest.strip_prefix(REDO)?.parse().ok()?),
        };
        let is_one =
            !matches!(stage, Stage::OWN | Stage::Redo(0)) && self.stage_summary(run, stage) == key;
        is_one.then_some(stage)
    }

    /// What the keys of the run's group manifests begin with.
    pub fn groups(&self, run: &RunName) -> String {
        format!("{}groups/{run}/", self.prefix)
    }

    /// What the keys of the group manifests of a stage begin with. The run's own share it with all
    /// other stages.
    pub fn stage_groups(&self, run: &RunName, stage: Stage) -> String {
        format!("{}{}.", self.groups(run), stage_name(run, stage))
    }

    /// The group manifest of a group that the grouper made.
    pub fn group_manifest(&self, run: &RunName, group: &GroupName) -> String {
        format!("{}{group}{MANIFEST_SUFFIX}", self.groups(run))
    }

    /// The run and group of a group manifest's key, where the key is one this layout makes.
    pub fn parse_group_manifest(&self, key: &str) -> Option<(RunName, GroupName)> {
        let (run, file) = key
            .strip_prefix(&self.prefix)?
            .strip_prefix("groups/")?
            .split_once('/')?;
        let run: RunName = run.parse().ok()?;
        let group: GroupName = file.strip_suffix(MANIFEST_SUFFIX)?.parse().ok()?;
        group
            .as_str()
            .strip_prefix(run.as_str())?
            .starts_with('.')
            .then_some((run, group))
    }

    /// Where the dead letters of a group are: beside its manifest if the run's grouper wrote that,
    /// and at the same key, which then has no manifest before the suffix, if it is a manifest from
    /// elsewhere.
    pub fn dead_letters(&self, run: &RunName, group: &GroupName) -> String {
        format!("{}{DEAD_LETTERS_SUFFIX}", self.group_manifest(run, group))
    }

    /// The group of `run` that a key is the dead letters of.
    pub fn parse_dead_letters(&self, key: &str, run: &RunName) -> Option<GroupName> {
        let file = key.strip_prefix(&self.groups(run))?;
        file.strip_suffix(DEAD_LETTERS_SUFFIX)?
            .strip_suffix(MANIFEST_SUFFIX)?
            .parse()
            .ok()
    }

    /// What the keys of the run's catalogs begin with.
    pub fn catalogs(&self, run: &RunName) -> String {
        format!("{}catalog/run={run}/", self.prefix)
    }

    /// The catalog of a group.
    pub fn catalog(&self, run: &RunName, group: &GroupName) -> String {
        format!("{}{group}.parquet", self.catalogs(run))
    }

    /// What the keys of the catalogs of all runs begin with.
    pub fn all_catalogs(&self) -> String {
        format!("{}catalog/run=", self.prefix)
    }

    /// The run and group that a key is the catalog of.
    pub fn parse_catalog(&self, key: &str) -> Option<(RunName, GroupName)> {
        let (run, file) = key.strip_prefix(&self.all_catalogs())?.split_once('/')?;
        let group = file.strip_suffix(".parquet")?;
        Some((run.parse().ok()?, group.parse().ok()?))
    }

    /// What the keys of the run's compacted catalogs begin with.
    pub fn compacted(&self, run: &RunName) -> String {
        format!("{}compact/run={run}/", self.prefix)
    }

    /// The manifest of the run's compacted catalogs.
    pub fn compacted_manifest(&self, run: &RunName) -> String {
        format!("{}manifest.json", self.compacted(run))
    }

    /// What the keys of the records of all runs begin with: claims, summaries and acknowledgements.
    pub fn records(&self) -> String {
        format!("{}runs/", self.prefix)
    }

    /// The run that a key is the claim of.
    pub fn parse_claim(&self, key: &str) -> Option<RunName> {
        // No run has a dot in its name, and every other record has one.
        let run = key.strip_prefix(&self.records())?.strip_suffix(".json")?;
        run.parse().ok()
    }

    /// What the keys of the receipts of all runs begin with.
    pub fn all_receipts(&self) -> String {
        format!("{}receipts/", self.prefix)
    }

    /// What the keys of the run's receipts begin with.
    pub fn receipts(&self, run: &RunName) -> String {
        format!("{}receipts/{run}/", self.prefix)
    }

    /// A scratch key for the probe of conditional writes; unique per `nonce`.
    pub fn probe(&self, nonce: &str) -> String {
        format!("{}runs/probe-{nonce}", self.prefix)
    }

    /// The copy of an object too large for an archive. Another version, or another object under the
    /// same key, gets another name; the same one is found again.
    pub fn copied_object(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
        etag: &str,
    ) -> String {
        self.copy(bucket, key, &[version_id.unwrap_or_default(), etag])
    }

    /// Where a large object without an ETag, or with a weak one, is copied to: `last_modified` as
    /// S3 sends it in RFC 3339, and the size in bytes, tell it from others under its key.
    pub fn copied_object_without_etag(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
        weak_etag: &str,
        last_modified: &str,
        size: u64,
    ) -> String {
        let size = size.to_string();
        self.copy(
            bucket,
            key,
            &[
                version_id.unwrap_or_default(),
                weak_etag,
                last_modified,
                &size,
            ],
        )
    }

    /// Where a copy of the object with this identity is, `/objects/{hash6}/{bucket}/{key}~{hash8}`.
    fn copy(&self, bucket: &str, key: &str, identity: &[&str]) -> String {
        let identity = Md5::digest(identity.join("\0"));
        let hash = &hex(&identity)[..8];
        let root = format!(
            "{}objects/{}{bucket}/",
            self.prefix,
            self.hash6(bucket, key)
        );
        let whole = format!("{root}{key}~{hash}");
        // `.metadata` has to fit after it.
        if whole.len() + METADATA_SUFFIX.len() <= MAX_KEY_BYTES {
            return whole;
        }
        let key_hash = hex(&Md5::digest(key));
        let room =
            MAX_KEY_BYTES - METADATA_SUFFIX.len() - root.len() - key_hash.len() - hash.len() - 2;
        let mut end = room.min(key.len());
        while !key.is_char_boundary(end) {
            end -= 1;
        }
        format!("{root}{}~{key_hash}~{hash}", &key[..end])
    }

    /// First 6 hex digits of md5(bucket/name), as awslabs/s3bundler, with a slash; nothing in a
    /// plain layout.
    pub(crate) fn hash6(&self, bucket: &str, name: &str) -> String {
        match self.keys {
            KeyLayout::Hashed => {
                format!("{}/", &hex(&Md5::digest(format!("{bucket}/{name}")))[..6])
            }
            KeyLayout::Plain => String::new(),
        }
    }
}

/// What follows the key of a copied object in the key of its metadata.
pub const METADATA_SUFFIX: &str = ".metadata";
/// What the key of a group manifest ends in: S3 events filter on it.
pub const MANIFEST_SUFFIX: &str = ".index";
/// What follows the key of a group manifest in the key of its dead letters.
pub const DEAD_LETTERS_SUFFIX: &str = ".dlq";

/// What the names of a stage begin with, without a dot at the end.
fn stage_name(run: &RunName, stage: Stage) -> String {
    match stage {
        Stage::Pass(0) => run.to_string(),
        Stage::Pass(pass) => format!("{run}.{RETRY}{pass}"),
        Stage::Redo(redo) => format!("{run}.{REDO}{redo}"),
    }
}

/// A group's number in its name: six digits, or the letter of its length and all of its digits.
/// Texts sort like numbers.
pub fn number_text(number: u64) -> String {
    let digits = format!("{number:0NUMBER_DIGITS$}");
    // `a` for seven digits; 20 at most, so the letters end at `n`.
    let letter = (digits.len() - NUMBER_DIGITS)
        .checked_sub(1)
        .and_then(|n| ('a'..='z').nth(n));
    letter.map_or_else(|| digits.clone(), |letter| format!("{letter}{digits}"))
}

/// The number of such a text; none if the number is written in another way.
pub fn parse_number(text: &str) -> Option<u64> {
    let number = text
        .trim_start_matches(|c: char| c.is_ascii_lowercase())
        .parse()
        .ok()?;
    // Signs, missing zeros and missing or wrong letters.
    (number_text(number) == text).then_some(number)
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[cfg(test)]
mod tests;
