//! From a catalog to everything that follows from it, in one pass: the index, the dead letters and
//! the totals. A row is held at a time; both files go to scratch.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::Arc;

use s3bundler_contract::group_manifest::{Columns, RowWriter};

use super::{Catalog, CatalogError, Entry, IndexWriter, Outcome, Totals};
use crate::s3::Crc64Writer;

/// What follows from a catalog.
#[derive(Debug)]
pub struct Derived {
    /// The index; absent where there is no archive to lie beside.
    pub index: Option<DerivedFile>,
    /// The failed rows as a group manifest; absent where none failed.
    pub dead_letters: Option<DerivedFile>,
    /// The columns of the dead letters.
    pub dead_letter_columns: Columns,
    /// What the rows add up to.
    pub totals: Totals,
}

/// A nameless file in scratch, gone when dropped.
#[derive(Debug)]
pub struct DerivedFile {
    /// Its bytes.
    pub file: Arc<File>,
    /// Its size in bytes.
    pub size: u64,
    /// CRC64NVME of its bytes.
    pub crc64nvme: u64,
}

/// Reads all of `catalog`, passing every row to `each` on the way, and writes what follows from it
/// into `scratch`. Blocking.
pub fn derive(
    catalog: &Catalog,
    scratch: &Path,
    mut each: impl FnMut(&Entry),
) -> Result<Derived, CatalogError> {
    let mut index = match &catalog.record().archive {
        Some(archive) => {
            let output = sink(scratch)?;
            Some(IndexWriter::new(output, &archive.key, |column| {
                catalog.has(column)
            })?)
        }
        None => None,
    };
    let has_detail = catalog.has("detail");
    let mut dead_letters: Option<RowWriter<Sink>> = None;
    for entry in catalog.entries()? {
        let entry = entry?;
        each(&entry);
        if let Some(index) = &mut index {
            index.push(&entry)?;
        }
        if let Outcome::Failed(reason) = entry.outcome {
            let writer = match &mut dead_letters {
                Some(open) => open,
                none => none.insert(RowWriter::new(sink(scratch)?)),
            };
            let detail = entry.detail.clone().unwrap_or_default();
            let fields = [reason.as_str(), &detail];
            writer.write(
                &as_listed(entry),
                if has_detail { &fields } else { &fields[..1] },
            )?;
        }
    }
    let index = index.map(|writer| finished(writer.finish()?)).transpose()?;
    let dead_letters = dead_letters
        .map(|writer| finished(writer.finish()?))
        .transpose()?;
    // Reading to the end proved that these are what the rows add up to.
    let dead_letter_columns = if has_detail {
        Columns::dead_letters()
    } else {
        Columns::dead_letters_without_detail()
    };
    Ok(Derived {
        index,
        dead_letters,
        dead_letter_columns,
        totals: catalog.totals().clone(),
    })
}

/// The row of a dead letter: what a manifest without versions did not name must not stand in a
/// manifest made of it.
fn as_listed(entry: Entry) -> s3bundler_contract::Row {
    let version_id = entry.listed_version_id().map(str::to_owned);
    s3bundler_contract::Row {
        version_id,
        ..entry.row
    }
}

type Sink = Crc64Writer<BufWriter<File>>;

fn sink(scratch: &Path) -> io::Result<Sink> {
    Ok(Crc64Writer::new(BufWriter::new(tempfile::tempfile_in(
        scratch,
    )?)))
}

fn finished(sink: Sink) -> Result<DerivedFile, CatalogError> {
    let (buffer, size, crc64nvme) = sink.finish();
    let file = Arc::new(
        buffer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?,
    );
    Ok(DerivedFile {
        file,
        size,
        crc64nvme,
    })
}
