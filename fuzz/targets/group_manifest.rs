//! Rows of a group manifest, as this project and as awslabs/s3bundler write them. What reads back
//! must write back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use s3bundler_contract::group_manifest::{Columns, KeyEncoding, RowReader, RowWriter};

fuzz_target!(|bytes: &[u8]| {
    for row in RowReader::new(bytes, Columns::seed(), KeyEncoding::FormUrl) {
        if row.is_err() {
            break;
        }
    }
    let mut writer = RowWriter::new(Vec::new());
    let mut rows = Vec::new();
    for row in RowReader::new(bytes, Columns::full(), KeyEncoding::Literal) {
        let Ok(row) = row else { break };
        writer.write(&row, &[]).expect("memory takes everything");
        rows.push(row);
    }
    let written = writer.finish().expect("memory takes everything");
    let read: Result<Vec<_>, _> =
        RowReader::new(written.as_slice(), Columns::full(), KeyEncoding::Literal).collect();
    assert_eq!(read.expect("what was written reads back"), rows);
});
