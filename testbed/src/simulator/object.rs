//! Written objects: versions of a key, each with its bytes or, for large archives that are never
//! read back, with its digests only.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::bodies::Body;

/// Tags.
pub(super) type Pairs = Vec<(String, String)>;

/// An object as it was written.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) body: Stored,
    /// Headers that GET returns: content type and similar, and user metadata.
    pub(super) headers: HeaderMap,
    pub(super) tags: Pairs,
    pub(super) storage_class: String,
    pub(super) modified: SystemTime,
    /// When the restore was requested.
    pub(super) thawing_since: Option<SystemTime>,
}

/// The bytes of an object.
#[derive(Debug, Clone)]
pub(super) enum Stored {
    /// All of them.
    Whole(Body),
    /// Only their number, ETag and checksum: GET is refused.
    Digests { size: u64, body: Body },
}

impl Stored {
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Whole(body) => body.bytes.len() as u64,
            Self::Digests { size, .. } => *size,
        }
    }

    /// The bytes of a copy made in one request: its ETag is the MD5, even if the source was uploaded
    /// in parts. The MD5 of bytes that are not kept is unknown, so such a copy keeps the ETag.
    pub(super) fn copied(self) -> Self {
        match self {
            Self::Whole(body) if body.is_of_parts() => Self::Whole(Body::of(body.bytes)),
            other => other,
        }
    }

    /// ETag and checksum.
    pub(super) const fn sums(&self) -> &Body {
        match self {
            Self::Whole(body) | Self::Digests { body, .. } => body,
        }
    }
}

/// Whether an object can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    /// It is not in an archive tier.
    Open,
    /// Archived, and no restore was requested.
    Frozen,
    /// The restore is in progress.
    Thawing,
    /// Restored.
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

/// The versions of a key, newest last. Without any, the key does not exist.
#[derive(Debug, Clone, Default)]
pub(super) struct Versions(pub(super) Vec<Version>);

impl Versions {
    /// An object that exists without having been written.
    pub(super) fn of(object: Object) -> Self {
        Self(vec![Version {
            id: "null".to_owned(),
            object: Some(object),
        }])
    }

    pub(super) fn latest(&self) -> Option<&Object> {
        self.0.last()?.object.as_ref()
    }

    pub(super) fn latest_mut(&mut self) -> Option<&mut Object> {
        self.0.last_mut()?.object.as_mut()
    }

    pub(super) fn of_id(&self, id: &str) -> Option<&Version> {
        self.0.iter().find(|version| version.id == id)
    }

    /// Adds a version; it replaces the one with the same id.
    pub(super) fn push(&mut self, version: Version) {
        self.0.retain(|it| it.id != version.id);
        self.0.push(version);
    }
}

/// An upload that is neither completed nor aborted.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) headers: HeaderMap,
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
