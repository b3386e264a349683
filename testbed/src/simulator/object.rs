//! Written objects: versions of a key, each with its bytes or, for large archives that are never
//! read back, with its digests only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::bodies::Body;
use super::checksum::{Algorithm, Checksum, Kind};
use super::refusal::Refusal;

/// Id of a version that was written while the bucket was not versioned.
pub(super) const NULL: &str = "null";

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
    /// The parts of a multipart upload.
    pub(super) parts: Option<Arc<Vec<ObjectPart>>>,
}

/// A part of an object.
#[derive(Debug, Clone)]
pub(super) struct ObjectPart {
    pub(super) number: u32,
    pub(super) size: u64,
    /// If the checksum of the object follows from those of its parts.
    pub(super) checksum: Option<Checksum>,
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
    /// in parts, and its checksum is of all bytes. The MD5 of bytes that are not kept is unknown, so
    /// such a copy keeps both.
    pub(super) fn copied(self, algorithm: Option<Algorithm>) -> Self {
        match self {
            Self::Whole(body)
                if body.is_of_parts()
                    || algorithm.is_some_and(|it| it != body.checksum.algorithm) =>
            {
                let algorithm = algorithm.unwrap_or(body.checksum.algorithm);
                Self::Whole(Body::of(body.bytes, algorithm))
            }
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
    /// `null` if it was written while the bucket was not versioned.
    pub(super) id: String,
    pub(super) modified: SystemTime,
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
            id: NULL.to_owned(),
            modified: object.modified,
            object: Some(object),
        }])
    }

    pub(super) fn latest(&self) -> Option<&Object> {
        self.0.last()?.object.as_ref()
    }

    /// The version of an id, or the latest.
    pub(super) fn find(&self, id: Option<&str>) -> Result<&Version, Refusal> {
        match id {
            Some(id) => self.0.iter().find(|version| version.id == id),
            None => self.0.last(),
        }
        .ok_or_else(|| missing(id))
    }

    /// The same, to be changed.
    pub(super) fn find_mut(&mut self, id: Option<&str>) -> Result<&mut Version, Refusal> {
        match id {
            Some(id) => self.0.iter_mut().find(|version| version.id == id),
            None => self.0.last_mut(),
        }
        .ok_or_else(|| missing(id))
    }

    /// The number of versions, oldest first, that are older than a version, or all. The version may
    /// have been deleted since it was listed: ids of versions grow.
    pub(super) fn older_than(&self, id: Option<&str>) -> usize {
        let Some(id) = id else {
            return self.0.len();
        };
        let place = self.0.iter().position(|version| version.id == id);
        place.unwrap_or_else(|| {
            let is_older = |version: &Version| version.id != NULL && version.id.as_str() < id;
            self.0.iter().rposition(is_older).map_or(0, |last| last + 1)
        })
    }

    /// Adds a version; it replaces the one with the same id.
    pub(super) fn push(&mut self, version: Version) {
        self.0.retain(|it| it.id != version.id);
        self.0.push(version);
    }
}

/// Whether it is an id of a version, of one that exists or not.
pub(super) fn is_version_id(id: &str) -> bool {
    id == NULL || id.len() == 16 && id.bytes().all(|it| it.is_ascii_hexdigit())
}

/// Why a version was not found.
pub(super) fn missing(id: Option<&str>) -> Refusal {
    match id {
        Some(_) => Refusal::NO_SUCH_VERSION,
        None => Refusal::NO_SUCH_KEY,
    }
}

/// Why a request for a delete marker fails: without an id the key does not exist.
pub(super) fn marker(asked: Option<&str>, marker: &str) -> Refusal {
    let refusal = match asked {
        Some(_) => Refusal::METHOD_NOT_ALLOWED,
        None => Refusal::NO_SUCH_KEY,
    };
    refusal
        .with("x-amz-delete-marker", "true")
        .with("x-amz-version-id", marker)
}

/// An upload that is neither completed nor aborted.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) headers: HeaderMap,
    pub(super) tags: Pairs,
    pub(super) storage_class: String,
    pub(super) initiated: SystemTime,
    /// The checksum that it names.
    pub(super) checksum: Option<(Algorithm, Kind)>,
    pub(super) parts: BTreeMap<u32, Part>,
}

/// A part of it.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) body: Body,
    /// Whether the checksum was in the request, or the upload names its algorithm.
    pub(super) has_checksum: bool,
    pub(super) modified: SystemTime,
}
