//! What fetching and copying have in common: what is kept of a source object, and whose trouble it
//! is if it cannot be read.

mod facts;
mod verdict;

use std::fs::File;
use std::io;
use std::path::PathBuf;

use s3bundler_contract::{ExitCode, HasExitCode, Reason, Row};

use super::scratch::Place;
use crate::budget::Permit;
use crate::s3::S3Error;

pub use facts::{Facts, facts};
pub use verdict::{Verdict, reason};

/// An object on its way into the archive, or what became of it instead.
#[derive(Debug)]
pub struct Fetched {
    /// The row, with what the GET said where there was one.
    pub row: Row,
    /// Whether the version came from the manifest.
    pub listed_version: bool,
    /// What the catalog keeps of the object.
    pub facts: Facts,
    /// Seconds since 1970.
    pub mtime: u64,
    /// Its bytes.
    pub content: Content,
    /// The memory and scratch that they take.
    pub held: Held,
}

/// What an object holds from before its GET until its bytes are in a part.
#[derive(Debug)]
pub struct Held {
    /// Its part of the memory.
    pub memory: Permit,
    /// Its place in the scratch directory, if room there is limited.
    pub scratch: Option<Place>,
}

/// Where an object's bytes are.
#[derive(Debug)]
pub enum Content {
    /// In memory.
    Memory(Vec<u8>),
    /// In a nameless file of the scratch directory, read from its start.
    Scratch(File),
    /// Copied by the server to this key of the destination.
    Copied(String),
    /// Nowhere.
    Failed(ObjectFailure),
}

/// Why an object is not archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectFailure {
    /// What the dead letter says.
    pub reason: Reason,
    /// S3's error code, or a word of ours if there was none.
    pub detail: String,
    /// Whether a GET of the object was answered, and only its copy is denied.
    pub only_copy: bool,
}

impl ObjectFailure {
    /// A failure for this reason, with S3's error code or a word of ours.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            only_copy: false,
        }
    }
}

/// Trouble that every object of the group would have.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The scratch directory cannot be written.
    #[error(
        "cannot write to the scratch directory {path}: {cause}; free space there or choose \
         another with --scratch"
    )]
    Scratch {
        /// The directory.
        path: PathBuf,
        cause: io::Error,
    },
    /// Nobody answers, the bucket is not there, or the credentials are not good.
    #[error("cannot read source objects: {0}")]
    Source(S3Error),
    /// A large object could not be copied to the destination, or its copy not be described or
    /// compared there.
    #[error("cannot copy to the destination: {0}")]
    Destination(S3Error),
}

impl HasExitCode for FetchError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Scratch { .. } => ExitCode::Local,
            Self::Source(error) => error.reading(),
            Self::Destination(error) => error.writing(),
        }
    }
}
