//! Whether the compacted catalogs of a run may be used in place of its catalogs.

use std::collections::BTreeMap;

use s3bundler_contract::{CompactedManifest, CompactedRange, RunName};

use super::listing::ListedCatalog;
use crate::destination::Destination;
use crate::s3::{ErrorKind, S3, S3Error};

/// No manifest is larger: 100,000 files and as many catalogs, with keys of 300 bytes.
const MANIFEST_BYTES: u64 = 128 << 20;

/// The manifest of a run's compacted catalogs, or `None` if there is none that can be used: then the
/// catalogs are read.
pub(crate) async fn manifest(
    s3: &S3,
    destination: &Destination,
    run: &RunName,
) -> Result<Option<CompactedManifest>, S3Error> {
    let address = destination.address(destination.layout.compacted_manifest(run));
    let bytes = match s3.get_bytes(&address, None, MANIFEST_BYTES).await {
        Ok((bytes, _)) => bytes,
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match CompactedManifest::parse_of(&bytes, run) {
        Ok(manifest) => Ok(Some(manifest)),
        Err(error) => {
            tracing::warn!(manifest = %address, %error, "the compacted catalogs are not used");
            Ok(None)
        }
    }
}

/// What is to be read of a run: files of compacted catalogs, and catalogs that are not in them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ToRead {
    pub(super) files: Vec<CompactedRange>,
    pub(super) catalogs: Vec<ListedCatalog>,
}

/// What is to be read, with the manifest of the compacted catalogs if there is one: all catalogs if
/// one that it names was removed or is another one now. Pure.
pub(super) fn to_read(catalogs: Vec<ListedCatalog>, manifest: Option<CompactedManifest>) -> ToRead {
    let Some(manifest) = manifest else {
        return ToRead {
            files: Vec::new(),
            catalogs,
        };
    };
    let etags: BTreeMap<_, _> = catalogs.iter().map(|it| (&it.group, &it.etag)).collect();
    let is_current = manifest
        .catalogs
        .iter()
        .all(|(group, etag)| etags.get(group) == Some(&etag));
    if !is_current {
        tracing::warn!(
            run = %manifest.run,
            "the compacted catalogs are of other catalogs than there are; compact the run again"
        );
        return ToRead {
            files: Vec::new(),
            catalogs,
        };
    }
    let newer = catalogs
        .into_iter()
        .filter(|it| !manifest.catalogs.contains_key(&it.group));
    ToRead {
        catalogs: newer.collect(),
        files: manifest.files,
    }
}

#[cfg(test)]
mod tests {
    use s3bundler_contract::GroupName;

    use super::*;

    fn run() -> RunName {
        "r".parse().expect("a run's name")
    }

    fn catalog(number: u64, etag: &str) -> ListedCatalog {
        ListedCatalog {
            group: GroupName::numbered(&run(), number),
            size: 1,
            etag: etag.to_owned(),
        }
    }

    fn manifest(of: &[ListedCatalog]) -> CompactedManifest {
        let of = of.iter().cloned();
        CompactedManifest {
            format: 1,
            run: run(),
            program: String::new(),
            rows: 1,
            catalogs: of.map(|it| (it.group, it.etag)).collect(),
            files: vec![CompactedRange {
                name: "x.parquet".to_owned(),
                size: 1,
                etag: "e".to_owned(),
                rows: 1,
                first: "a".to_owned(),
                last: "b".to_owned(),
            }],
        }
    }

    #[test]
    fn without_a_manifest_all_catalogs_are_read() {
        let catalogs = vec![catalog(0, "a")];
        let expected = ToRead {
            files: Vec::new(),
            catalogs: catalogs.clone(),
        };
        assert_eq!(to_read(catalogs, None), expected);
    }

    #[test]
    fn only_catalogs_that_are_newer_are_read_beside_the_compacted_ones() {
        let compacted = [catalog(0, "a"), catalog(1, "b")];
        let manifest = manifest(&compacted);
        let all = vec![catalog(0, "a"), catalog(1, "b"), catalog(2, "c")];
        let expected = ToRead {
            files: manifest.files.clone(),
            catalogs: vec![catalog(2, "c")],
        };
        assert_eq!(to_read(all, Some(manifest)), expected);
    }

    #[test]
    fn compacted_catalogs_of_a_catalog_that_was_removed_or_replaced_are_not_used() {
        let manifest = manifest(&[catalog(0, "a"), catalog(1, "b")]);
        for catalogs in [
            vec![catalog(0, "a")],
            vec![catalog(0, "a"), catalog(1, "other")],
        ] {
            let expected = ToRead {
                files: Vec::new(),
                catalogs: catalogs.clone(),
            };
            assert_eq!(to_read(catalogs, Some(manifest.clone())), expected);
        }
    }
}
