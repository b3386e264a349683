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
