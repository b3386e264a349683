//! What no inventory says, from some of the objects: how many have tags, and how well they compress.

use std::io;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use s3bundler_contract::{ArchiveFormat, ArchiveOptions, Row, S3Address};
use serde::Serialize;

use crate::bundle::pack::{compressed, member, member_bytes};
use crate::s3::{S3, S3Error};

/// GETs in flight.
const IN_FLIGHT: usize = 16;
/// Bytes of an object that are compressed, at most: the rest counts like these.
const MOST_BYTES: usize = 8 << 20;

/// The time of all members, in seconds since 1970: times compress as well as any other.
const MTIME: u64 = 1_700_000_000;

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sample {
    /// Objects that were read.
    pub(crate) objects: u64,
    /// Objects that could not be read.
    pub(crate) failed: u64,
    /// Why the first of them could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
    /// Objects that show tags.
    pub(crate) tagged: u64,
    /// Bytes of an archive of the sample as a plain tar, and compressed; 0 without compression.
    pub(crate) tar: u64,
    pub(crate) compressed: u64,
}

impl Sample {
    /// The share of objects with tags; `None` if no object was read.
    #[expect(clippy::cast_precision_loss, reason = "a share of a sample")]
    pub(crate) fn tagged_share(&self) -> Option<f64> {
        (self.objects > 0).then(|| self.tagged as f64 / self.objects as f64)
    }

    /// The share of a plain tar to which objects compress; `None` if nothing was compressed.
    #[expect(clippy::cast_precision_loss, reason = "a ratio of a sample")]
    pub(crate) fn ratio(&self) -> Option<f64> {
        (self.tar > 0).then(|| self.compressed as f64 / self.tar as f64)
    }
}

/// An object of the sample.
struct Read {
    row: Row,
    answer: Result<(Bytes, Option<i32>), S3Error>,
}

/// Reads these objects: all of their bytes that are to be compressed, otherwise one byte.
pub(crate) async fn read(s3: &S3, rows: Vec<Row>, options: &ArchiveOptions) -> io::Result<Sample> {
    let is_compressed = options.format != ArchiveFormat::Tar;
    let reading = stream::iter(rows).map(|row| async move {
        let is_packed = !options.copies(row.size.unwrap_or(0));
        let most = if is_compressed && is_packed {
            MOST_BYTES
        } else {
            1
        };
        let address = S3Address::new(&row.bucket, &row.key);
        let answer = s3.peek(&address, row.version_id.as_deref(), most).await;
        Read { row, answer }
    });
    let mut reading = reading.buffered(IN_FLIGHT);
    let mut sample = Sample {
        objects: 0,
        failed: 0,
        failure: None,
        tagged: 0,
        tar: 0,
        compressed: 0,
    };
    // Small members share frames.
    let mut small = Vec::new();
    while let Some(Read { row, answer }) = reading.next().await {
        let (bytes, tags) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                sample.failed += 1;
                sample.failure.get_or_insert_with(|| error.to_string());
                continue;
            }
        };
        sample.objects += 1;
        sample.tagged += u64::from(tags.is_some_and(|tags| tags > 0));
        let size = row.size.unwrap_or(bytes.len() as u64);
        if !is_compressed || options.copies(size) {
            continue;
        }
        let tar = member_bytes(&row.bucket, &row.key, size);
        sample.tar = sample.tar.saturating_add(tar);
        if bytes.len() < MOST_BYTES {
            small.push(member(&row.bucket, &row.key, &bytes, MTIME));
            continue;
        }
        let found = compressed(options.format, [&bytes])?;
        let scaled = u128::from(found) * u128::from(tar) / MOST_BYTES as u128;
        let scaled = u64::try_from(scaled).unwrap_or(u64::MAX);
        sample.compressed = sample.compressed.saturating_add(scaled);
    }
    let found = compressed(options.format, &small)?;
    sample.compressed = sample.compressed.saturating_add(found);
    Ok(sample)
}
