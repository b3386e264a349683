//! A data file: quoted CSV lines in one gzip member, written row by row to anything that takes
//! bytes.

use std::borrow::Cow;
use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Column, Row};

/// Keys as S3 writes them into CSV: form-url-encoded, but for the slash, which stays.
pub fn encode_key(key: &str) -> Cow<'_, str> {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'*');
    if key.bytes().all(plain) {
        return Cow::Borrowed(key);
    }
    let segments = key
        .split('/')
        .map(|segment| form_urlencoded::byte_serialize(segment.as_bytes()).collect::<String>());
    Cow::Owned(segments.collect::<Vec<_>>().join("/"))
}

/// Any bytes as one gzip member.
pub fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// A whole data file in memory, for tests that put shards together themselves.
pub fn shard_of<'a>(
    bucket: &str,
    columns: &[Column],
    rows: impl IntoIterator<Item = &'a Row>,
) -> io::Result<Vec<u8>> {
    let mut shard = ShardWriter::new(Vec::new(), bucket, columns, Compression::default());
    for row in rows {
        shard.write(row)?;
    }
    shard.finish()
}

/// Writes rows into one data file.
pub(super) struct ShardWriter<'a, W: Write> {
    lines: csv::Writer<GzEncoder<W>>,
    bucket: &'a str,
    columns: &'a [Column],
}

impl<'a, W: Write> ShardWriter<'a, W> {
    pub(super) fn new(
        output: W,
        bucket: &'a str,
        columns: &'a [Column],
        compression: Compression,
    ) -> Self {
        let lines = csv::WriterBuilder::new()
            .has_headers(false)
            .quote_style(csv::QuoteStyle::Always)
            .terminator(csv::Terminator::Any(b'\n'))
            .from_writer(GzEncoder::new(output, compression));
        Self {
            lines,
            bucket,
            columns,
        }
    }

    pub(super) fn write(&mut self, row: &Row) -> io::Result<()> {
        for column in self.columns {
            self.lines
                .write_field(row.cell(*column, self.bucket).as_bytes())?;
        }
        self.lines.write_record(None::<&[u8]>)?;
        Ok(())
    }

    pub(super) fn finish(self) -> io::Result<W> {
        let encoder = self
            .lines
            .into_inner()
            .map_err(|error| io::Error::other(error.to_string()))?;
        encoder.finish()
    }
}

#[cfg(test)]
mod tests;
