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
mod tests {
    use std::io::{BufReader, Read as _};

    use proptest::prelude::*;

    use super::*;

    fn blocks(source: impl Read, limit: usize) -> Result<Vec<Block>, BlockError> {
        let mut blocks = Blocks {
            limit,
            ..Blocks::new(source)
        };
        let mut all = Vec::new();
        while let Some(block) = blocks.next()? {
            all.push(block);
        }
        Ok(all)
    }

    #[test]
    fn blocks_end_at_row_ends_and_know_their_lines() {
        let text = "\"a\"\n\"b\n\"\"b\"\n\"cccc\"\n\"d\"";
        let found = blocks(text.as_bytes(), 10).expect("no error");
        let lines: Vec<_> = found
            .iter()
            .map(|it| {
                (
                    String::from_utf8_lossy(&it.bytes).into_owned(),
                    it.first_line,
                )
            })
            .collect();
        assert_eq!(
            lines,
            [
                ("\"a\"\n".to_owned(), 1),
                ("\"b\n\"\"b\"\n".to_owned(), 2),
                ("\"cccc\"\n".to_owned(), 4),
                ("\"d\"".to_owned(), 5)
            ]
        );
    }

    #[test]
    fn an_empty_stream_has_no_blocks() {
        assert_eq!(blocks(io::empty(), 10).expect("no error"), []);
    }

    #[test]
    fn a_row_that_never_ends_does_not_fill_the_memory() {
        let endless = &b"\"a\"\n\"b\n"[..];
        let error = blocks(endless.chain(io::repeat(b'\n')), 64).expect_err("no end");
        assert!(matches!(error, BlockError::RowTooLong(2)), "{error:?}");
    }

    proptest! {
        #[test]
        fn blocks_are_the_stream_however_it_arrives(
            cells in proptest::collection::vec("[a\"\n,]{0,6}", 1..60),
            piece in 1..20_usize,
        ) {
            let quoted: Vec<_> = cells.iter().map(|cell| format!("\"{}\"\n", cell.replace('"', "\"\""))).collect();
            let text = quoted.concat();
            let whole = blocks(text.as_bytes(), 32).expect("short rows");
            let dripping = BufReader::with_capacity(piece, text.as_bytes());
            prop_assert_eq!(&blocks(dripping, 32).expect("short rows"), &whole);
            let joined: Vec<u8> = whole.iter().flat_map(|block| block.bytes.clone()).collect();
            prop_assert_eq!(String::from_utf8_lossy(&joined), text.as_str());
            for block in &whole {
                let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(block.bytes.as_slice());
                prop_assert!(reader.records().all(|row| row.is_ok_and(|row| row.len() == 1)));
            }
        }
    }
}
