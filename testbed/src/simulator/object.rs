//! What was written: versions of a key, each with its bytes or, for large archives that nobody reads
//! back, their digests alone.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::bodies::Body;

/// Names and values.
pub(super) type Pairs = Vec<(String, String)>;

/// An object as it was written.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) body: Stored,
    /// Headers that a GET gives back: content type and the like, and user metadata.
    pub(super) headers: Pairs,
    pub(super) tags: Pairs,
    pub(super) storage_class: String,
    pub(super) modified: SystemTime,
    /// Since when it is being thawed.
    pub(super) thawing_since: Option<SystemTime>,
}

/// The bytes of an object.
#[derive(Debug, Clone)]
pub(super) enum Stored {
    /// All of them.
    Whole(Body),
    /// Their number and what is known of them: GETs are refused.
    Digests { size: u64, body: Body },
}

impl Stored {
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Whole(body) => body.bytes.len() as u64,
            Self::Digests { size, .. } => *size,
        }
    }

    /// ETag and checksum.
    pub(super) const fn sums(&self) -> &Body {
        match self {
            Self::Whole(body) | Self::Digests { body, .. } => body,
        }
    }
}

/// Where an object of an archive tier is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    /// It can be read.
    Open,
    /// Nobody asked for it.
    Frozen,
    /// It was asked for, and takes its time.
    Thawing,
    /// It was asked for, and can be read.
    Thawed,
}

impl Object {
    /// Whether it can be read now, if thawing takes so long.
    pub(super) fn tier(&self, thaw: Duration, now: SystemTime) -> Tier {
        if !matches!(self.storage_class.as_str(), "GLACIER" | "DEEP_ARCHIVE") {
            return Tier::Open;
        }
        match self.thawing_since {
            None => Tier::Frozen,
            Some(since) if now.duration_since(since).is_ok_and(|passed| passed >= thaw) => {
                Tier::Thawed
            }
            Some(_) => Tier::Thawing,
        }
    }
}

/// One version of a key.
#[derive(Debug, Clone)]
pub(super) struct Version {
    /// `null` where versions are not kept.
    pub(super) id: String,
    /// `None` is a delete marker.
    pub(super) object: Option<Object>,
}

/// The versions of a key, the newest last.
#[derive(Debug, Clone, Default)]
pub(super) struct Versions(pub(super) Vec<Version>);

impl Versions {
    pub(super) fn latest(&self) -> Option<&Object> {
        self.0.last()?.object.as_ref()
    }

    pub(super) fn latest_mut(&mut self) -> Option<&mut Object> {
        self.0.last_mut()?.object.as_mut()
    }

    pub(super) fn of_id(&self, id: &str) -> Option<&Version> {
        self.0.iter().find(|version| version.id == id)
    }

    /// Adds a version, in the place of the one of its id.
    pub(super) fn push(&mut self, version: Version) {
        self.0.retain(|it| it.id != version.id);
        self.0.push(version);
    }
}

/// An upload that is neither completed nor aborted.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) headers: Pairs,
    pub(super) tags: Pairs,
    pub(super) storage_class: String,
    pub(super) initiated: SystemTime,
    pub(super) parts: BTreeMap<u32, Part>,
}

/// A part of it.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) body: Body,
    pub(super) modified: SystemTime,
}
