//! A group manifest: the rows of one group as RFC 4180 CSV without a header row, one LF-ended line
//! a row.
//!
//! Its columns are in the object's metadata under `columns`, and keys are literal. Without that
//! metadata it is a manifest of awslabs/s3bundler: `Bucket,Key,Size` with form-url-encoded keys.
//! Dead letters are a group manifest with the columns `Reason` and `Detail` more, so that they can
//! be fed back in.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use crate::row::{Row, RowRef};

mod recorded;
mod write;

pub use recorded::Recorded;
pub use write::{RowWriter, append_row};

/// Name of the metadata entry that holds the columns.
pub const COLUMNS_METADATA: &str = "columns";
/// Name of the metadata with the number of a manifest's rows.
pub const ROWS_METADATA: &str = "rows";
/// Name of the metadata with the MD5 of a manifest's stored bytes in hex.
pub const MD5_METADATA: &str = "md5";

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// The source bucket.
    Bucket,
    /// The key.
    Key,
    /// Bytes.
    Size,
    /// The version.
    VersionId,
    /// ISO 8601.
    LastModifiedDate,
    /// The ETag.
    ETag,
    /// As S3 spells it.
    StorageClass,
    /// Why the row was dead-lettered.
    Reason,
    /// The error code behind the reason; dead letters of earlier releases lack it.
    Detail,
    /// `true` or `false`; only in inventories of all versions.
    IsLatest,
    /// `true` or `false`; only in inventories of all versions.
    IsDeleteMarker,
    /// Where Intelligent-Tiering has the object; only in inventories.
    IntelligentTieringAccessTier,
    /// How the object is encrypted; only in inventories.
    EncryptionStatus,
    /// Whether an S3 Bucket Key encrypts the object; only in inventories.
    BucketKeyStatus,
    /// Something else, which is skipped.
    Other(String),
}

impl Column {
    fn name(&self) -> &str {
        match self {
            Self::Bucket => "Bucket",
            Self::Key => "Key",
            Self::Size => "Size",
            Self::VersionId => "VersionId",
            Self::LastModifiedDate => "LastModifiedDate",
            Self::ETag => "ETag",
            Self::StorageClass => "StorageClass",
            Self::Reason => "Reason",
            Self::Detail => "Detail",
            Self::IsLatest => "IsLatest",
            Self::IsDeleteMarker => "IsDeleteMarker",
            Self::IntelligentTieringAccessTier => "IntelligentTieringAccessTier",
            Self::EncryptionStatus => "EncryptionStatus",
            Self::BucketKeyStatus => "BucketKeyStatus",
            Self::Other(name) => name,
        }
    }
}

/// The columns of a manifest or of a CSV inventory, in order. Always with `Bucket` and `Key`, each
/// at most once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(Vec<Column>);

/// Why a text is not a list of [`Columns`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnsError {
    /// A needed column is missing.
    #[error("the columns {0:?} lack {1}")]
    Missing(String, &'static str),
    /// A column stands twice.
    #[error("the columns {0:?} name {1} twice")]
    Twice(String, String),
}

impl Columns {
    /// What the grouper writes.
    pub fn full() -> Self {
        use Column::{Bucket, ETag, Key, LastModifiedDate, Size, StorageClass, VersionId};
        Self(vec![
            Bucket,
            Key,
            Size,
            VersionId,
            LastModifiedDate,
            ETag,
            StorageClass,
        ])
    }

    /// What awslabs/s3bundler wrote.
    pub fn seed() -> Self {
        Self(vec![Column::Bucket, Column::Key, Column::Size])
    }

    /// What the bundler writes into dead letters.
    pub fn dead_letters() -> Self {
        let mut columns = Self::dead_letters_without_detail();
        columns.0.push(Column::Detail);
        columns
    }

    /// What releases before the column `Detail` wrote into dead letters.
    pub fn dead_letters_without_detail() -> Self {
        let mut columns = Self::full();
        columns.0.push(Column::Reason);
        columns
    }

    /// Those of a group manifest, and how its keys stand, by the object's metadata under
    /// [`COLUMNS_METADATA`].
    pub fn of_manifest(metadata: Option<&str>) -> Result<(Self, KeyEncoding), ColumnsError> {
        match metadata {
            // Keys are literal exactly where this project wrote the manifest and said so.
            Some(columns) => Ok((columns.parse()?, KeyEncoding::Literal)),
            None => Ok((Self::seed(), KeyEncoding::FormUrl)),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Where a column is.
    pub fn position(&self, column: &Column) -> Option<usize> {
        self.0.iter().position(|it| it == column)
    }
}

impl FromStr for Columns {
    type Err = ColumnsError;

    fn from_str(text: &str) -> Result<Self, ColumnsError> {
        use Column::{
            Bucket, Detail, ETag, Key, LastModifiedDate, Other, Reason, Size, StorageClass,
            VersionId,
        };
        use Column::{
            BucketKeyStatus, EncryptionStatus, IntelligentTieringAccessTier, IsDeleteMarker,
            IsLatest,
        };
        let known = [
            Bucket,
            Key,
            Size,
            VersionId,
            LastModifiedDate,
            ETag,
            StorageClass,
            Reason,
            Detail,
            IsLatest,
            IsDeleteMarker,
            IntelligentTieringAccessTier,
            EncryptionStatus,
            BucketKeyStatus,
        ];
        let mut columns = Vec::new();
        for name in text.split(',').map(str::trim) {
            let column = known.iter().find(|it| it.name().eq_ignore_ascii_case(name));
            let column = column.cloned().unwrap_or_else(|| Other(name.to_owned()));
            if !matches!(column, Other(_)) && columns.contains(&column) {
                return Err(ColumnsError::Twice(text.to_owned(), name.to_owned()));
            }
            columns.push(column);
        }
        for (column, name) in [(Bucket, "Bucket"), (Key, "Key")] {
            if !columns.contains(&column) {
                return Err(ColumnsError::Missing(text.to_owned(), name));
            }
        }
        Ok(Self(columns))
    }
}

impl fmt::Display for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(Column::name).collect();
        f.write_str(&names.join(","))
    }
}

/// How keys stand in a CSV file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyEncoding {
    /// As they are: this project's manifests.
    Literal,
    /// `application/x-www-form-urlencoded`: CSV inventories and the seed's manifests.
    FormUrl,
}

/// A row that cannot be read, and where.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct RowError {
    /// The line, counted from 1, on which the row begins.
    pub line: u64,
    /// What is wrong.
    pub problem: RowProblem,
}

/// What is wrong with a row.
#[derive(Debug, thiserror::Error)]
pub enum RowProblem {
    /// The bytes could not be read or decompressed.
    #[error("{0}")]
    Io(#[source] io::Error),
    /// Too few or too many columns.
    #[error("{found} columns where {expected} are expected")]
    ColumnCount {
        /// Columns of the row.
        found: u64,
        /// Columns of the manifest.
        expected: u64,
    },
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    Utf8,
    /// A `%` that no two hex digits follow, or an escape that gives no UTF-8.
    #[error("the key {0:?} has a bad URL escape")]
    Escape(String),
    /// Not a whole number of bytes.
    #[error("the size {0:?} is not a whole number of bytes")]
    Size(String),
    /// Well-formed, but not what an object can be.
    #[error("{0}")]
    Impossible(&'static str),
    /// A row larger than any row can be.
    #[error("it is longer than any row can be")]
    TooLong,
}

/// Decodes a form-url-encoded key once; a bad escape is an error, never guessed at.
pub fn decode_key(text: &str) -> Result<String, RowProblem> {
    let mut decoded = String::new();
    Ok(match decode_into(text, &mut decoded)? {
        Decoded::AsItStands => text.to_owned(),
        Decoded::Written => decoded,
    })
}

/// What became of an encoded key.
enum Decoded {
    /// It has no escapes: the text is the key.
    AsItStands,
    /// The key is in the scratch.
    Written,
}

/// [`decode_key`] into a string that is used again and again.
fn decode_into(text: &str, scratch: &mut String) -> Result<Decoded, RowProblem> {
    if !text.bytes().any(|b| matches!(b, b'%' | b'+')) {
        return Ok(Decoded::AsItStands);
    }
    let escape = || RowProblem::Escape(text.to_owned());
    let hex = |digit: Option<u8>| {
        digit
            .and_then(|it| char::from(it).to_digit(16))
            .and_then(|it| u8::try_from(it).ok())
    };
    let mut bytes = std::mem::take(scratch).into_bytes();
    bytes.clear();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => match (hex(rest.next()), hex(rest.next())) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(escape()),
            },
            byte => byte,
        });
    }
    *scratch = String::from_utf8(bytes).map_err(|_| escape())?;
    Ok(Decoded::Written)
}

/// Reads rows of a group manifest or a CSV inventory, without ever holding more than one.
pub struct RowReader<R> {
    csv: csv::Reader<Bounded<R>>,
    record: csv::StringRecord,
    /// The key of the last row, where it had to be decoded.
    key: String,
    columns: Columns,
    at: Positions,
    encoding: KeyEncoding,
}

struct Positions {
    bucket: usize,
    key: usize,
    size: Option<usize>,
    version_id: Option<usize>,
    last_modified: Option<usize>,
    etag: Option<usize>,
    storage_class: Option<usize>,
}

/// No row is larger: a key of 1,024 bytes, each escaped, and a hundred columns beside it.
const MAX_ROW_BYTES: u64 = 256 * 1024;

impl<R: Read> RowReader<R> {
    /// Reads rows with these columns.
    pub fn new(source: R, columns: Columns, encoding: KeyEncoding) -> Self {
        let at = |column| columns.position(&column);
        let positions = Positions {
            // `Columns` always has both.
            bucket: at(Column::Bucket).unwrap_or(0),
            key: at(Column::Key).unwrap_or(1),
            size: at(Column::Size),
            version_id: at(Column::VersionId),
            last_modified: at(Column::LastModifiedDate),
            etag: at(Column::ETag),
            storage_class: at(Column::StorageClass),
        };
        let csv = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(64 * 1024)
            .from_reader(Bounded {
                source,
                since_row: 0,
            });
        Self {
            csv,
            record: csv::StringRecord::new(),
            key: String::new(),
            columns,
            at: positions,
            encoding,
        }
    }

    /// The next row, borrowed from the reader, with the raw fields for whoever needs other columns;
    /// `None` at the end.
    pub fn next_ref(&mut self) -> Result<Option<(RowRef<'_>, &csv::StringRecord)>, RowError> {
        self.csv.get_mut().since_row = 0;
        let line = self.csv.position().line();
        let fail = |problem| RowError { line, problem };
        match self.csv.read_record(&mut self.record) {
            Ok(false) => return Ok(None),
            Ok(true) => {}
            Err(error) => return Err(fail(problem(error))),
        }
        let expected = self.columns.count();
        if self.record.len() != expected {
            let (found, expected) = (self.record.len() as u64, expected as u64);
            return Err(fail(RowProblem::ColumnCount { found, expected }));
        }
        let record = &self.record;
        let field = |at: usize| record.get(at).unwrap_or_default();
        let text = |at: Option<usize>| at.map(field).filter(|it| !it.is_empty());
        let key = match self.encoding {
            KeyEncoding::Literal => field(self.at.key),
            KeyEncoding::FormUrl => {
                match decode_into(field(self.at.key), &mut self.key).map_err(fail)? {
                    Decoded::AsItStands => field(self.at.key),
                    Decoded::Written => &self.key,
                }
            }
        };
        let size = match text(self.at.size) {
            Some(size) => Some(
                size.parse()
                    .map_err(|_| fail(RowProblem::Size(size.to_owned())))?,
            ),
            None => None,
        };
        let row = RowRef {
            bucket: field(self.at.bucket),
            key,
            size,
            version_id: text(self.at.version_id),
            last_modified: text(self.at.last_modified),
            etag: text(self.at.etag),
            storage_class: text(self.at.storage_class),
        };
        Ok(Some((row, record)))
    }

    /// The next row; `None` at the end.
    pub fn next_row(&mut self) -> Result<Option<Row>, RowError> {
        Ok(self.next_ref()?.map(|(row, _)| row.to_row()))
    }

    /// The line, counted from 1, on which the next row begins.
    pub fn line(&self) -> u64 {
        self.csv.position().line()
    }
}

impl<R: Read> Iterator for RowReader<R> {
    type Item = Result<Row, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_row().transpose()
    }
}

fn problem(error: csv::Error) -> RowProblem {
    match error.into_kind() {
        csv::ErrorKind::Io(error)
            if error
                .get_ref()
                .is_some_and(<dyn std::error::Error + Send + Sync>::is::<TooLong>) =>
        {
            RowProblem::TooLong
        }
        csv::ErrorKind::Io(error) => RowProblem::Io(error),
        _ => RowProblem::Utf8,
    }
}

/// Ends a row that never ends (an unclosed quote in a file of many GB) before it fills the memory.
struct Bounded<R> {
    source: R,
    since_row: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("row too long")]
struct TooLong;

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_row > MAX_ROW_BYTES {
            return Err(io::Error::other(TooLong));
        }
        let n = self.source.read(buffer)?;
        self.since_row += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests;
