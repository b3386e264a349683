//! A few thousand bodies that all objects by rule share, so that an ETag costs no MD5 for each GET.

use std::ops::Range;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::HeaderValue;
use md5::{Digest as _, Md5};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::checksum::{Algorithm, Checksum};

/// Number of bodies of a population.
const COUNT: usize = 4_096;
/// Limit of all sizes together: a population of large objects has fewer bodies.
const BYTES: u64 = 256 << 20;

/// The bytes of an object, with its ETag and checksum.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    /// With quotes.
    pub(super) etag: HeaderValue,
    pub(super) checksum: Checksum,
}

impl Body {
    /// Bytes written by one request.
    pub(super) fn of(bytes: Bytes, algorithm: Algorithm) -> Self {
        let md5 = HEXLOWER.encode(&Md5::digest(&bytes));
        let checksum = algorithm.of(&bytes);
        Self::with(bytes, &md5, checksum)
    }

    /// Bytes with this ETag, without quotes, and checksum.
    pub(super) fn with(bytes: Bytes, etag: &str, checksum: Checksum) -> Self {
        Self {
            bytes,
            etag: HeaderValue::try_from(format!("\"{etag}\"")).expect("hex digits"),
            checksum,
        }
    }

    /// Whether the ETag is that of a multipart upload.
    pub(super) fn is_of_parts(&self) -> bool {
        self.etag.as_bytes().contains(&b'-')
    }
}

/// Bodies of sizes in a range.
#[derive(Debug)]
pub(super) struct Bodies(Vec<Body>);

impl Bodies {
    /// Random bodies, repeatable by seed. All are slices of one block, so they need only as much
    /// memory as the largest.
    pub(super) fn of(sizes: &Range<u64>, seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let largest = sizes.end.max(1);
        let count = usize::try_from(BYTES / largest).map_or(COUNT, |count| count.clamp(16, COUNT));
        let room = usize::try_from(largest).unwrap_or(usize::MAX / 2) + count;
        let block: Bytes = (0..room.div_ceil(8))
            .flat_map(|_| random.random::<u64>().to_le_bytes())
            .collect();
        let bodies = (0..count).map(|n| {
            let size = if sizes.is_empty() {
                sizes.start
            } else {
                random.random_range(sizes.clone())
            };
            let size = usize::try_from(size).unwrap_or(room).min(room - n);
            Body::of(block.slice(n..n + size), Algorithm::Crc64Nvme)
        });
        Self(bodies.collect())
    }

    /// The body of an object with this hash.
    pub(super) fn nth(&self, hash: u64) -> &Body {
        let count = self.0.len() as u64;
        &self.0[usize::try_from(hash % count).unwrap_or_default()]
    }
}
