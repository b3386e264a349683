//! A catalog as it was read from S3: what everything that deletes or derives has to show.
//!
//! ```text
//! Committed::read ──► Committed ──► whole ──► Whole ──► rules_out(key) ──► Unreferenced ──► S3::delete
//!   GET of the catalog   its archive's HEAD      another attempt of this run and group
//! ```
//!
//! Nothing under `archives/` is deleted without an [`Unreferenced`], and only a [`Whole`] makes
//! one: the catalog of that very run and group was read, it names another attempt, and the archive
//! that it names is there.

use std::path::{Path, PathBuf};

use s3bundler_contract::attempt::index_of;
use s3bundler_contract::{Attempt, Group, GroupName, RunName, S3Address};

use super::{ArchiveRecord, Catalog, CatalogError, GroupRecord};
use crate::destination::Destination;
use crate::s3::{ErrorKind, Length, S3, S3Error, SpoolError, content_length};

/// Why a catalog could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// S3 did not return it.
    #[error(transparent)]
    S3(#[from] S3Error),
    /// It cannot be kept in the scratch directory.
    #[error("cannot use the scratch directory at {path}: {cause}")]
    Scratch {
        path: PathBuf,
        cause: std::io::Error,
    },
    /// It is not a catalog.
    #[error("{address}: {cause}")]
    Catalog {
        address: S3Address,
        cause: CatalogError,
    },
    /// It is the catalog of another group, or names an archive that is not this group's.
    #[error("{address} is not the catalog of this group: {problem}")]
    Foreign {
        address: S3Address,
        /// What differs.
        problem: String,
    },
}

/// A catalog that was read from S3, with the run and group that it is of.
#[derive(Debug)]
pub struct Committed {
    destination: Destination,
    group: Group,
    catalog: Catalog,
}

impl Committed {
    /// The catalog of a group, on scratch; `None` if the group has none.
    pub async fn read(
        s3: &S3,
        destination: &Destination,
        run: &RunName,
        name: &GroupName,
        scratch: &Path,
    ) -> Result<Option<Self>, ReadError> {
        let address = destination.address(destination.layout.catalog(run, name));
        let Some(file) = fetch(s3, &address, scratch).await? else {
            return Ok(None);
        };
        let catalog = match open(file).await {
            // It may be damage of the way.
            Err(cause) if !matches!(cause, CatalogError::Io(_) | CatalogError::Format(_)) => {
                let Some(file) = fetch(s3, &address, scratch).await? else {
                    return Ok(None);
                };
                open(file).await
            }
            opened => opened,
        };
        let catalog = match catalog {
            Ok(catalog) => catalog,
            Err(cause) => return Err(ReadError::Catalog { address, cause }),
        };
        let record = catalog.record();
        if let Some(problem) = record.difference(destination, run, name) {
            return Err(ReadError::Foreign { address, problem });
        }
        let group = Group::of(
            &record.manifest(),
            &destination.bucket,
            &destination.layout,
            run,
        );
        Ok(Some(Self {
            destination: destination.clone(),
            group,
            catalog,
        }))
    }

    /// The run and the group.
    pub const fn group(&self) -> &Group {
        &self.group
    }

    /// Where it is of.
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Where the catalog is.
    pub fn address(&self) -> S3Address {
        self.destination.address(
            self.destination
                .layout
                .catalog(&self.group.run, &self.group.name),
        )
    }

    /// The attempt that won.
    pub fn attempt(&self) -> &str {
        &self.record().attempt
    }

    /// What it says of the group as a whole.
    pub fn record(&self) -> &GroupRecord {
        self.catalog.record()
    }

    /// Whether a key is that of an archive or an index of another attempt at exactly this group of
    /// this run.
    pub fn is_another(&self, key: &str) -> bool {
        let named = self
            .record()
            .archive
            .as_ref()
            .is_some_and(|it| it.key == key || index_of(&it.key) == key);
        !named
            && self
                .attempt_at(key)
                .is_some_and(|attempt| attempt.as_str() != self.attempt())
    }

    fn attempt_at(&self, key: &str) -> Option<Attempt> {
        let (of, attempt) = self
            .destination
            .layout
            .parse_archive(key, &self.group.run)?;
        (of == self.group).then_some(attempt)
    }

    /// Its rows.
    pub const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Asks S3 whether the archive that it names is there, with the size that it names.
    pub async fn whole(&self, s3: &S3) -> Result<Result<Whole<'_>, ArchiveRecord>, S3Error> {
        if let Some(archive) = &self.record().archive {
            let address = self.destination.address(&archive.key);
            let head = s3.head(&address).await?;
            let size = head.map(|head| content_length(head.content_length()));
            match presence(archive.size, size) {
                Presence::There => {}
                Presence::Missing => return Ok(Err(archive.clone())),
                Presence::Unknown => {
                    let detail = "the answer has no Content-Length, so that it proves nothing";
                    return Err(S3Error::local(
                        "HeadObject",
                        address,
                        ErrorKind::Transient,
                        detail,
                    ));
                }
            }
        }
        Ok(Ok(Whole(self)))
    }
}

/// Whether an object is what a catalog names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    There,
    /// It does not exist, or has another size.
    Missing,
    /// The answer does not say.
    Unknown,
}

/// Compares the size that a catalog names with a HEAD: `None` if the object does not exist. Pure.
fn presence(named: u64, head: Option<Length>) -> Presence {
    match head {
        Some(Length::Known(size)) if size == named => Presence::There,
        Some(Length::Unknown) => Presence::Unknown,
        _ => Presence::Missing,
    }
}

/// The proof that a group has a catalog, and that the archive it names exists.
#[derive(Debug, Clone, Copy)]
pub struct Whole<'a>(&'a Committed);

impl Whole<'_> {
    /// The proof that nothing refers to `key`: it is an archive or an index that another attempt at
    /// exactly this group of this run wrote. `None` for every other key.
    pub fn rules_out(&self, key: &str) -> Option<Unreferenced> {
        self.0
            .is_another(key)
            .then(|| Unreferenced(self.0.destination.address(key)))
    }

    /// The proof that nothing needs an upload to `key`: it is of an attempt at exactly this group
    /// of this run. That of the winner is one, too: a second upload to its key is that of a
    /// repeated request, which is never completed.
    pub fn rules_out_upload(&self, key: &str) -> Option<Unreferenced> {
        self.0
            .attempt_at(key)
            .map(|_| Unreferenced(self.0.destination.address(key)))
    }
}

/// The key of an archive, an index or an upload that a catalog rules out. It may be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreferenced(S3Address);

impl Unreferenced {
    /// Where it is.
    pub const fn address(&self) -> &S3Address {
        &self.0
    }
}

/// Opens a catalog, all of which is read for that.
async fn open(file: std::fs::File) -> Result<Catalog, CatalogError> {
    let opening = tokio::task::spawn_blocking(move || Catalog::open(file));
    opening
        .await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// An object as an unnamed file in scratch; `None` if it does not exist.
async fn fetch(
    s3: &S3,
    address: &S3Address,
    scratch: &Path,
) -> Result<Option<std::fs::File>, ReadError> {
    match s3.spool(address, None, scratch).await {
        Ok(spooled) => Ok(Some(spooled.file)),
        Err(SpoolError::S3(error)) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(SpoolError::S3(error)) => Err(error.into()),
        Err(SpoolError::Scratch(cause)) => Err(ReadError::Scratch {
            path: scratch.to_owned(),
            cause,
        }),
    }
}

#[cfg(test)]
mod tests;
