//! Rows into lines: of group manifests, and of dead letters with a reason and its detail more.

use std::io::{self, Write};

use crate::row::{Row, RowRef};

/// Appends a row as one line of a group manifest with [`Columns::full`](super::Columns::full).
pub fn append_row(text: &mut Vec<u8>, row: &RowRef<'_>) {
    append_fields(text, row);
    text.push(b'\n');
}

fn append_fields(text: &mut Vec<u8>, row: &RowRef<'_>) {
    let mut digits = [0_u8; 20];
    append_field(text, row.bucket.as_bytes());
    for field in [
        row.key.as_bytes(),
        row.size.map_or(&[][..], |size| decimal(size, &mut digits)),
        optional(row.version_id),
        optional(row.last_modified),
        optional(row.etag),
        optional(row.storage_class),
    ] {
        text.push(b',');
        append_field(text, field);
    }
}

/// RFC 4180: quoted where it has to be, with inner quotes doubled.
fn append_field(text: &mut Vec<u8>, field: &[u8]) {
    // No early end: so the compiler compares many bytes at a time, and almost every field is looked
    // at to its end anyway.
    let quoted = field.iter().fold(false, |found, byte| {
        found | matches!(byte, b'"' | b',' | b'\n' | b'\r')
    });
    if !quoted {
        text.extend_from_slice(field);
        return;
    }
    text.push(b'"');
    for byte in field {
        if *byte == b'"' {
            text.push(b'"');
        }
        text.push(*byte);
    }
    text.push(b'"');
}

/// Writes rows of a group manifest with [`Columns::full`](super::Columns::full), or of dead letters
/// with [`Columns::dead_letters`](super::Columns::dead_letters).
pub struct RowWriter<W: Write> {
    sink: W,
    lines: Vec<u8>,
}

/// Lines are handed to the sink once they are this many bytes.
const WRITE_BYTES: usize = 16 * 1024;

impl<W: Write> RowWriter<W> {
    /// Writes to `sink`.
    pub fn new(sink: W) -> Self {
        Self {
            sink,
            lines: Vec::with_capacity(WRITE_BYTES),
        }
    }

    /// Writes a row and the fields that follow it: none in a manifest, reason and detail in dead
    /// letters.
    pub fn write(&mut self, row: &Row, more: &[&str]) -> io::Result<()> {
        append_fields(&mut self.lines, &row.borrowed());
        for field in more {
            self.lines.push(b',');
            append_field(&mut self.lines, field.as_bytes());
        }
        self.lines.push(b'\n');
        if self.lines.len() >= WRITE_BYTES {
            self.hand_over()
        } else {
            Ok(())
        }
    }

    fn hand_over(&mut self) -> io::Result<()> {
        self.sink.write_all(&self.lines)?;
        self.lines.clear();
        Ok(())
    }

    /// Flushes and gives the sink back.
    pub fn finish(mut self) -> io::Result<W> {
        self.hand_over()?;
        self.sink.flush()?;
        Ok(self.sink)
    }
}

fn optional(field: Option<&str>) -> &[u8] {
    field.map_or(&[], str::as_bytes)
}

fn decimal(mut n: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(n % 10).unwrap_or(0);
        n /= 10;
        if n == 0 {
            return &digits[at..];
        }
    }
}
