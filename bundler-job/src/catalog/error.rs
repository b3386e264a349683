//! Why a catalog cannot be written or read.

use std::io;

use parquet::errors::ParquetError;
use s3bundler_contract::{ExitCode, HasExitCode};

/// A catalog that cannot be written or read, and why.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The scratch file.
    #[error("the scratch file of the catalog failed: {0}")]
    Io(#[from] io::Error),
    /// Not Parquet, or damaged Parquet.
    #[error("the catalog is not readable Parquet: {0}")]
    Parquet(String),
    /// Parquet without the columns of a catalog.
    #[error("the catalog is not one that this release reads: column {column} {problem}")]
    Column {
        /// The column.
        column: String,
        problem: String,
    },
    /// Of a format that a later release writes.
    #[error("the catalog's format is {0}; this release reads formats 1 and 2")]
    Format(String),
    /// An entry of the file's metadata that is missing or is not what it should be.
    #[error("the catalog's file metadata {key} {problem}")]
    Metadata { key: String, problem: String },
    /// Its bytes are not those that were written.
    #[error(
        "the catalog is damaged: its bytes have the CRC64NVME {found}, its file metadata says \
         {recorded}"
    )]
    Sum {
        /// By the file's metadata.
        recorded: String,
        /// Of the bytes.
        found: String,
    },
    /// A row that contradicts itself or the file's metadata.
    #[error("row {row} of the catalog: {problem}")]
    Row {
        /// The row, counted from 0.
        row: u64,
        problem: String,
    },
    /// A row that contradicts itself or the file's metadata, among rows that were chosen.
    #[error("a row of the catalog: {problem}")]
    PartialRow { problem: String },
    /// The rows do not add up to the figures in the file's metadata.
    #[error(
        "the catalog's rows do not add up: its file metadata says {recorded}, its rows {counted}"
    )]
    Totals {
        /// By the file's metadata.
        recorded: String,
        /// By the rows.
        counted: String,
    },
}

impl HasExitCode for CatalogError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Io(_) => ExitCode::Local,
            _ => ExitCode::Unreadable,
        }
    }
}

impl From<ParquetError> for CatalogError {
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::External(cause) => match cause.downcast::<io::Error>() {
                // The end of the bytes is the file's fault, everything else the disk's.
                Ok(error) if error.kind() != io::ErrorKind::UnexpectedEof => Self::Io(*error),
                Ok(error) => Self::Parquet(error.to_string()),
                Err(cause) => Self::Parquet(cause.to_string()),
            },
            error => Self::Parquet(error.to_string()),
        }
    }
}
