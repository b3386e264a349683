//! A few thousand bodies that all objects by rule share, so that an ETag costs no MD5 for each GET.

use std::ops::Range;

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use http::HeaderValue;
use md5::{Digest as _, Md5};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// Enough for ETags to differ between neighbours.
const COUNT: usize = 4_096;
/// All bodies together: larger ones are fewer.
const BYTES: u64 = 256 << 20;

/// The bytes of objects, and what a GET of them says.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    /// With its quotes.
    pub(super) etag: HeaderValue,
    /// In base64, as S3 sends it.
    pub(super) crc64nvme: HeaderValue,
}

impl Body {
    /// These bytes.
    pub(super) fn of(bytes: Bytes) -> Self {
        let etag = format!("\"{}\"", HEXLOWER.encode(&Md5::digest(&bytes)));
        Self {
            etag: HeaderValue::try_from(etag).expect("hex digits"),
            crc64nvme: HeaderValue::try_from(crc64nvme(&bytes)).expect("base64"),
            bytes,
        }
    }
}

/// The checksum of the SDKs, in base64.
pub(super) fn crc64nvme(bytes: &[u8]) -> String {
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes);
    BASE64.encode(&sum.to_be_bytes())
}

/// Bodies of sizes in a range.
#[derive(Debug)]
pub(super) struct Bodies(Vec<Body>);

impl Bodies {
    /// The same for the same seed. All are slices of one block, so that they cost no more memory
    /// than the largest does.
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
            Body::of(block.slice(n..n + size))
        });
        Self(bodies.collect())
    }

    /// The body of an object with this hash.
    pub(super) fn nth(&self, hash: u64) -> &Body {
        let count = self.0.len() as u64;
        &self.0[usize::try_from(hash % count).unwrap_or_default()]
    }
}
