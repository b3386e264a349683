//! Rows as an inventory has them: of one of its blocks, or of another file with such columns.

use std::io::Read;

use s3bundler_contract::group_manifest::{
    Column, Columns, KeyEncoding, RowError, RowProblem, RowReader,
};
use s3bundler_contract::row::RowRef;

use super::block::Block;

/// A row of an inventory: an object, a version or a delete marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InventoryRow<'a> {
    /// What goes into manifests and catalogs.
    pub row: RowRef<'a>,
    /// Whether it is the current version of its key; always in inventories of current versions.
    pub is_latest: bool,
    /// Whether it is a delete marker, which has no data.
    pub is_delete_marker: bool,
    /// Where Intelligent-Tiering has it.
    pub access_tier: Option<&'a str>,
}

/// The rows of a part of a file, one at a time, borrowed.
pub struct Rows<R> {
    reader: RowReader<R>,
    first_line: u64,
    /// The line of the row that was given last.
    line: u64,
    is_latest: Option<usize>,
    is_delete_marker: Option<usize>,
    access_tier: Option<usize>,
    has_versions: bool,
}

impl<'a> Rows<&'a [u8]> {
    /// The rows of a block of a CSV inventory, whose keys are form-url-encoded; those of other
    /// formats are not ("Amazon S3 Inventory", S3 user guide).
    pub(super) fn of_block(block: &'a Block, columns: &Columns) -> Self {
        Self::new(
            block.bytes.as_slice(),
            columns,
            KeyEncoding::FormUrl,
            block.first_line,
        )
    }
}

impl<R: Read> Rows<R> {
    /// The rows of the part that begins at a line, counted from 1.
    pub(crate) fn new(part: R, columns: &Columns, keys: KeyEncoding, first_line: u64) -> Self {
        Self {
            reader: RowReader::new(part, columns.clone(), keys),
            first_line,
            line: first_line,
            is_latest: columns.position(&Column::IsLatest),
            is_delete_marker: columns.position(&Column::IsDeleteMarker),
            access_tier: columns.position(&Column::IntelligentTieringAccessTier),
            has_versions: columns.position(&Column::VersionId).is_some(),
        }
    }

    /// The next row; `None` at the end. Errors carry the line of the file.
    pub fn next_row(&mut self) -> Result<Option<InventoryRow<'_>>, RowError> {
        self.line = self.first_line + self.reader.line() - 1;
        let (line, has_versions) = (self.line, self.has_versions);
        let read = self
            .reader
            .next_ref()
            .map_err(|error| RowError { line, ..error })?;
        let Some((mut row, fields)) = read else {
            return Ok(None);
        };
        let field =
            |at: Option<usize>| at.and_then(|at| fields.get(at)).filter(|it| !it.is_empty());
        let is_latest = !field(self.is_latest).is_some_and(|it| it.eq_ignore_ascii_case("false"));
        if has_versions && !is_latest && row.version_id.is_none() {
            // The null version's id is empty. Once it is not the current one, only its name can
            // read it (docs/decisions/null-versions.md).
            row.version_id = Some("null");
        }
        Ok(Some(InventoryRow {
            row,
            is_latest,
            is_delete_marker: field(self.is_delete_marker)
                .is_some_and(|it| it.eq_ignore_ascii_case("true")),
            access_tier: field(self.access_tier),
        }))
    }

    /// An error about the row that was given last.
    pub fn error(&self, problem: RowProblem) -> RowError {
        RowError {
            line: self.line,
            problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (String, Option<String>, bool, bool, Option<String>);

    fn read(columns: &str, text: &str) -> Result<Vec<Read>, RowError> {
        let block = Block {
            bytes: text.as_bytes().to_vec(),
            first_line: 100,
        };
        let columns: Columns = columns.parse().expect("columns");
        let mut rows = Rows::of_block(&block, &columns);
        let mut all = Vec::new();
        while let Some(it) = rows.next_row()? {
            let owned = |field: Option<&str>| field.map(str::to_owned);
            let version = owned(it.row.version_id);
            all.push((
                it.row.key.to_owned(),
                version,
                it.is_latest,
                it.is_delete_marker,
                owned(it.access_tier),
            ));
        }
        Ok(all)
    }

    #[test]
    fn rows_of_all_versions_as_s3_writes_them() {
        let text = r#""src","a+b%2F1","","true","false","0","2024-05-06T22:37:48.000Z","d41d8","STANDARD",""
"src","key1","","false","false","0","2024-05-06T22:38:00.000Z","d41d8","STANDARD",""
"src","key1","tpinzcb","true","false","5","2024-05-06T22:44:22.000Z","d8e8f","INTELLIGENT_TIERING","ARCHIVE_ACCESS"
"src","key2","gdN1exf","true","true","","2024-05-06T22:46:14.000Z","","",""
"#;
        let columns = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass, \
                       IntelligentTieringAccessTier";
        let version = |id: &str| Some(id.to_owned());
        assert_eq!(
            read(columns, text).expect("good rows"),
            [
                ("a b/1".to_owned(), None, true, false, None),
                ("key1".to_owned(), version("null"), false, false, None),
                (
                    "key1".to_owned(),
                    version("tpinzcb"),
                    true,
                    false,
                    version("ARCHIVE_ACCESS")
                ),
                ("key2".to_owned(), version("gdN1exf"), true, true, None),
            ]
        );
    }

    #[test]
    fn current_versions_have_no_version_and_are_latest() {
        let rows = read("Bucket, Key, Size", "\"src\",\"k\",\"1\"\n").expect("good rows");
        assert_eq!(rows, [("k".to_owned(), None, true, false, None)]);
    }

    proptest::proptest! {
        #[test]
        fn any_block_parses_or_fails_without_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
            let block = Block { bytes, first_line: 1 };
            let columns: Columns = "Bucket, Key, VersionId, IsLatest, Size".parse().expect("columns");
            let mut rows = Rows::of_block(&block, &columns);
            while let Ok(Some(_)) = rows.next_row() {}
        }
    }

    #[test]
    fn a_bad_row_names_its_line_in_the_file() {
        for (text, message) in [
            (
                "\"b\",\"k\",\"1\"\n\"b\",\"k\"\n",
                "line 101: 2 columns where 3 are expected",
            ),
            (
                "\"b\",\"k\n\",\"1\"\n\"b\",\"%z\",\"1\"\n",
                "line 102: the key \"%z\" has a bad URL escape",
            ),
            (
                "\"b\",\"k\",\"-1\"\n",
                "line 100: the size \"-1\" is not a whole number of bytes",
            ),
        ] {
            assert_eq!(
                read("Bucket, Key, Size", text).expect_err(text).to_string(),
                message
            );
        }
    }
}
