//! Catalogs of which some bytes are read.

use super::*;

/// The whole file in parts.
fn whole(bytes: &[u8]) -> Parts {
    let mut parts = Parts::none(bytes.len() as u64);
    parts.add(0, bytes.to_vec().into());
    parts
}

/// What a reader has after its first request.
fn end_of(bytes: &[u8]) -> Parts {
    let size = bytes.len() as u64;
    let first = first_read(size, true);
    let from = usize::try_from(first.start).expect("it is in memory");
    let mut parts = Parts::none(size);
    parts.add(first.start, bytes[from..].to_vec().into());
    parts
}

fn rows(
    outline: &Outline,
    parts: &Parts,
    wants: impl Fn(&str) -> bool + Clone + Send + 'static,
) -> Result<Vec<Entry>, CatalogError> {
    let mut all = Vec::new();
    for row_group in outline.row_groups() {
        let rows = outline.rows(row_group, parts.clone(), |_| true, wants.clone())?;
        for row in rows {
            all.push(row?.entry);
        }
    }
    Ok(all)
}

/// Three row groups with wide rows.
fn three_row_groups() -> (Vec<Entry>, Vec<u8>) {
    let mut state = 7;
    let entries: Vec<_> = (0..4_000)
        .map(|n| {
            let mut entry = typical(n, &mut state);
            let long = hex(&mut state, 256);
            entry.metadata.insert("long".to_owned(), long);
            entry
        })
        .collect();
    let bytes = bytes(write(&entries));
    (entries, bytes)
}

#[test]
fn the_end_of_a_catalog_rules_out_keys_and_bounds_what_it_has() {
    let (entries, bytes) = three_row_groups();
    let parts = end_of(&bytes);
    assert!(!parts.has(&(0..1)), "it is larger than what is read of it");
    assert_eq!(Outline::missing(&parts).expect("it has a footer"), None);
    let outline = Outline::open(&parts).expect("opens");
    assert_eq!(outline.row_groups(), 0..3);
    let keys: Vec<_> = entries.iter().map(|it| it.row.key.as_str()).collect();
    let (mut maybe, mut none) = (0, 0);
    for row_group in outline.row_groups() {
        let filter = outline.bloom_filter(row_group, &parts);
        let filter = filter.expect("it is beside the footer");
        let bounds = outline.bounds(row_group, "key").expect("it has statistics");
        let of_group = keys
            .iter()
            .filter(|key| filter.may_have(key))
            .filter(|key| bounds.min <= key.as_bytes() && key.as_bytes() <= bounds.max);
        maybe += of_group.count();
        none += (0..1_000)
            .filter(|n| filter.may_have(&format!("absent/{n}")))
            .count();
    }
    assert!(maybe >= entries.len(), "no key is ruled out: {maybe}");
    assert!(none < 100, "{none} of 3,000");
    assert_eq!(outline.bounds(0, "absent"), None);
}

#[test]
fn the_rows_of_a_row_group_are_those_of_the_catalog() {
    let (entries, bytes) = three_row_groups();
    let outline = Outline::open(&end_of(&bytes)).expect("opens");
    let mut found = Vec::new();
    for row_group in outline.row_groups() {
        let range = outline.range(row_group);
        let (from, to) = (range.start, range.end);
        let of_group = usize::try_from(from).expect("small")..usize::try_from(to).expect("small");
        let mut parts = Parts::none(bytes.len() as u64);
        parts.add(from, bytes[of_group].to_vec().into());
        let rows = outline.rows(row_group, parts, |_| true, |_| true);
        found.extend(
            rows.expect("its bytes are there")
                .map(|row| row.expect("a row").entry),
        );
    }
    assert!(found == entries);
    let one = entries[2_345].row.key.clone();
    let wanted = one.clone();
    let found = rows(&outline, &whole(&bytes), move |key| key == wanted);
    assert_eq!(found.expect("reads"), entries[2_345..=2_345]);
    // Without its bytes it is an error, and not nothing.
    assert!(rows(&outline, &end_of(&bytes), |_| true).is_err());
}

#[test]
fn pages_that_cannot_have_a_key_are_skipped() {
    let entries: Vec<_> = (0..20_000)
        .map(|n| entry(&format!("logs/{n:08}"), archived(n)))
        .collect();
    let file = tempfile::tempfile().expect("scratch");
    let mut writer = CompactedWriter::create(file).expect("opens");
    for entry in &entries {
        let row = GroupRow {
            group: Some(GroupOf {
                group: "run.000001".parse().expect("a name"),
                attempt: "aaaaaaaa".to_owned(),
            }),
            entry: entry.clone(),
            archive: Some(ARCHIVE.to_owned()),
        };
        writer.push(&row).expect("a good row");
    }
    let run = "run".parse().expect("a name");
    let compacted = writer.finish(&run).expect("closes");
    let keys = ("logs/00000000".to_owned(), "logs/00019999".to_owned());
    assert_eq!((compacted.rows, compacted.keys), (20_000, Some(keys)));
    let parts = whole(&bytes(compacted.file));
    let outline = Outline::open(&parts).expect("opens");
    assert!(matches!(outline.kind(), FileKind::Compacted(of) if *of == run));
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&asked);
    let wanted = b"logs/00012345".as_slice();
    let found = outline.rows(
        0,
        parts,
        |bounds| bounds.min <= wanted && wanted <= bounds.max,
        move |key| {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            key.as_bytes() == wanted
        },
    );
    let found: Result<Vec<_>, _> = found.expect("opens").collect();
    let found = found.expect("reads");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].entry, entries[12_345]);
    assert_eq!(found[0].archive.as_deref(), Some(ARCHIVE));
    let asked = asked.load(std::sync::atomic::Ordering::Relaxed);
    assert!(asked <= 4096, "{asked} keys were read");
}

#[test]
fn a_footer_that_is_not_among_the_bytes_is_named() {
    let bytes = bytes(write(&[entry("k", archived(0))]));
    let size = bytes.len() as u64;
    let mut parts = Parts::none(size);
    parts.add(size - 100, bytes[bytes.len() - 100..].to_vec().into());
    let missing = Outline::missing(&parts).expect("it has an end");
    let missing = missing.expect("it is longer");
    assert_eq!(missing.end, size);
    let from = usize::try_from(missing.start).expect("small");
    parts.add(missing.start, bytes[from..].to_vec().into());
    assert_eq!(Outline::missing(&parts).expect("it has an end"), None);
    assert!(Outline::open(&parts).is_ok());
}

#[test]
fn a_small_catalog_is_compared_with_its_sum() {
    let mut bytes = bytes(write(&[entry("k", archived(0))]));
    bytes[40] ^= 1;
    let opened = Outline::open(&whole(&bytes));
    assert!(
        matches!(opened, Err(CatalogError::Sum { .. })),
        "{opened:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_damaged_catalog_is_read_in_parts_or_fails_without_panic(
        entries in proptest::collection::vec(any_entry(), 1..6),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = unsealed(bytes(write(&entries)));
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let parts = whole(&bytes);
        let _ = Outline::missing(&parts);
        if let Ok(outline) = Outline::open(&parts) {
            for row_group in outline.row_groups() {
                let _ = outline.range(row_group);
                let _ = outline.bounds(row_group, "key");
                let filter = outline.bloom_filter(row_group, &parts);
                let _ = filter.map(|filter| filter.may_have("a"));
            }
            let _ = rows(&outline, &parts, |_| true);
        }
    }
}
