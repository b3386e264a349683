//! Cuts a CSV stream into blocks at row ends, so that blocks can be parsed apart from each other.

use std::io::{self, Read};

/// Bytes of a block, some 3,000 rows: large enough that handing it to a thread costs nothing beside
/// parsing it, small enough that a dozen of them are no memory. No row is longer (a key of 1,024
/// bytes, each of them escaped, is 3 KiB).
pub(super) const BLOCK_BYTES: usize = 512 * 1024;

/// Whole rows of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    /// The line of the file on which it begins, counted from 1.
    pub(super) first_line: u64,
}

/// Why there is no next block.
#[derive(Debug)]
pub(super) enum BlockError {
    /// The source failed.
    Io(io::Error),
    /// No row ends within a block's length; the line on which it begins.
    RowTooLong(u64),
}

/// The blocks of a stream. Where they end depends on the bytes alone, not on how they arrive.
pub(super) struct Blocks<R> {
    source: R,
    limit: usize,
    /// The beginning of a row whose end has not come.
    rest: Vec<u8>,
    line: u64,
    ended: bool,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            source,
            limit: BLOCK_BYTES,
            rest: Vec::new(),
            line: 1,
            ended: false,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Block>, BlockError> {
        if self.ended {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(self.limit);
        bytes.append(&mut self.rest);
        let wanted = self.limit.saturating_sub(bytes.len());
        // Reads until the block is full or the source ends.
        let read = (&mut self.source)
            .take(wanted as u64)
            .read_to_end(&mut bytes)
            .map_err(BlockError::Io)?;
        if read < wanted {
            self.ended = true;
        } else {
            let end = last_row_end(&bytes).ok_or(BlockError::RowTooLong(self.line))?;
            self.rest = bytes.split_off(end);
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        let first_line = self.line;
        self.line += count(&bytes, b'\n');
        Ok(Some(Block { bytes, first_line }))
    }
}

/// Where the last whole row ends: after the last line feed outside quotes. A doubled quote inside
/// quotes closes and opens them, so outside means after an even number of quotes.
fn last_row_end(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.len();
    let mut quotes = count(bytes, b'"');
    loop {
        let feed = bytes[..end].iter().rposition(|byte| *byte == b'\n')?;
        quotes -= count(&bytes[feed..end], b'"');
        if quotes.is_multiple_of(2) {
            return Some(feed + 1);
        }
        end = feed;
    }
}

/// How often a byte occurs. Counted in lanes that the compiler turns into vectors: every byte of an
/// inventory passes here.
fn count(bytes: &[u8], wanted: u8) -> u64 {
    let lanes = bytes.chunks(255).map(|chunk| {
        // At most 255 in a chunk.
        u64::from(
            chunk
                .iter()
                .map(|byte| u8::from(*byte == wanted))
                .fold(0_u8, u8::wrapping_add),
        )
    });
    lanes.sum()
}

#[cfg(test)]
mod tests;
