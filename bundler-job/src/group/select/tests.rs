use s3bundler_contract::layout::Layout;
use s3bundler_contract::row::RowRef;
use s3bundler_contract::{KeyLayout, S3Address};

use super::*;

fn own(destination: &str) -> OwnOutput {
    let S3Address { bucket, key } = destination.parse().expect("an address");
    let layout = Layout::new(&key, KeyLayout::Hashed).expect("a prefix");
    let inventory = OwnFiles {
        bucket: "src".to_owned(),
        root: Some("inventory/src/daily/".to_owned()),
        keys: vec!["by-hand/manifest.json".to_owned()],
    };
    OwnOutput::new(Some(&Destination { bucket, layout }), inventory)
}

fn columns() -> Columns {
    "Bucket,Key,VersionId,IsLatest,IsDeleteMarker,Size,LastModifiedDate,StorageClass"
        .parse()
        .expect("columns")
}

fn decide(options: &SelectOptions, row: &InventoryRow<'_>) -> Option<LeftOut> {
    let selection =
        Selection::new(options, &columns(), own("s3://src/archive/logs")).expect("good options");
    selection.decide(row).expect("a good row")
}

fn row<'a>() -> InventoryRow<'a> {
    let row = RowRef {
        bucket: "src",
        key: "a/b.txt",
        size: Some(100),
        version_id: None,
        last_modified: Some("2026-01-02T03:04:05.000Z"),
        etag: Some("e"),
        storage_class: Some("STANDARD"),
    };
    InventoryRow {
        row,
        is_latest: true,
        is_delete_marker: false,
        access_tier: None,
        encryption: None,
        bucket_key: None,
    }
}

fn with<'a>(edit: impl FnOnce(&mut InventoryRow<'a>)) -> InventoryRow<'a> {
    let mut row = row();
    edit(&mut row);
    row
}

#[test]
fn a_row_is_taken_or_left_out_for_its_first_reason() {
    let plain = SelectOptions::default;
    let prefixes = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let class = |class| with(|it| it.row.storage_class = Some(class));
    let key = |key| with(|it| it.row.key = key);
    let tier = |tier| {
        with(|it| {
            (it.row.storage_class, it.access_tier) = (Some("INTELLIGENT_TIERING"), Some(tier));
        })
    };
    let only_restored = || SelectOptions {
        only_restored: true,
        ..plain()
    };
    let before = |at: &str| SelectOptions {
        modified_before: Some(at.to_owned()),
        ..plain()
    };
    let cases = [
        (plain(), row(), None),
        (
            plain(),
            with(|it| it.is_delete_marker = true),
            Some(LeftOut::DeleteMarker),
        ),
        (
            plain(),
            with(|it| (it.is_delete_marker, it.is_latest) = (true, false)),
            Some(LeftOut::DeleteMarker),
        ),
        (
            plain(),
            with(|it| it.is_latest = false),
            Some(LeftOut::NotLatest),
        ),
        (
            SelectOptions {
                all_versions: true,
                ..plain()
            },
            with(|it| it.is_latest = false),
            None,
        ),
        // What we and S3 Inventory write.
        (
            plain(),
            key("archive/logs/groups/r/r.000000.index"),
            Some(LeftOut::OwnOutput),
        ),
        (plain(), key("archive/logs-of-others/x"), None),
        (
            plain(),
            key("inventory/src/daily/data/1.csv.gz"),
            Some(LeftOut::OwnOutput),
        ),
        (plain(), key("inventory/src/weekly/data/1.csv.gz"), None),
        (
            plain(),
            key("by-hand/manifest.json"),
            Some(LeftOut::OwnOutput),
        ),
        (
            plain(),
            with(|it| (it.row.bucket, it.row.key) = ("other", "archive/logs/x")),
            None,
        ),
        // Prefixes.
        (
            SelectOptions {
                include: prefixes(&["x", "a/"]),
                ..plain()
            },
            row(),
            None,
        ),
        (
            SelectOptions {
                include: prefixes(&["x"]),
                ..plain()
            },
            row(),
            Some(LeftOut::NotIncluded),
        ),
        (
            SelectOptions {
                exclude: prefixes(&["a/b"]),
                ..plain()
            },
            row(),
            Some(LeftOut::Excluded),
        ),
        (
            SelectOptions {
                include: prefixes(&["a/"]),
                exclude: prefixes(&["a/b"]),
                ..plain()
            },
            row(),
            Some(LeftOut::Excluded),
        ),
        // Storage classes.
        (
            SelectOptions {
                storage_classes: prefixes(&["STANDARD"]),
                ..plain()
            },
            row(),
            None,
        ),
        (
            SelectOptions {
                storage_classes: prefixes(&["STANDARD_IA"]),
                ..plain()
            },
            row(),
            Some(LeftOut::StorageClass),
        ),
        (plain(), class("GLACIER_IR"), None),
        (plain(), class("GLACIER"), Some(LeftOut::Glacier)),
        (plain(), class("DEEP_ARCHIVE"), Some(LeftOut::Glacier)),
        (plain(), tier("FREQUENT"), None),
        (plain(), tier("ARCHIVE_INSTANT_ACCESS"), None),
        (plain(), tier("ARCHIVE"), Some(LeftOut::Glacier)),
        (plain(), tier("ARCHIVE_ACCESS"), Some(LeftOut::Glacier)),
        (plain(), tier("DEEP_ARCHIVE_ACCESS"), Some(LeftOut::Glacier)),
        (only_restored(), row(), Some(LeftOut::NotGlacier)),
        (only_restored(), class("GLACIER"), None),
        (
            only_restored(),
            class("GLACIER_IR"),
            Some(LeftOut::NotGlacier),
        ),
        (only_restored(), tier("DEEP_ARCHIVE_ACCESS"), None),
        // Dates and sizes, on both sides of the limit.
        (before("2026-01-02T03:04:05.001Z"), row(), None),
        (
            before("2026-01-02T03:04:05Z"),
            row(),
            Some(LeftOut::ModifiedSince),
        ),
        (
            before("2026-01-02T04:04:05+01:00"),
            row(),
            Some(LeftOut::ModifiedSince),
        ),
        (
            SelectOptions {
                min_size: Some(ByteSize(100)),
                ..plain()
            },
            row(),
            None,
        ),
        (
            SelectOptions {
                min_size: Some(ByteSize(101)),
                ..plain()
            },
            row(),
            Some(LeftOut::TooSmall),
        ),
        (
            SelectOptions {
                max_size: Some(ByteSize(100)),
                ..plain()
            },
            row(),
            None,
        ),
        (
            SelectOptions {
                max_size: Some(ByteSize(99)),
                ..plain()
            },
            row(),
            Some(LeftOut::TooLarge),
        ),
        (plain(), with(|it| it.row.size = None), None),
    ];
    for (options, row, expected) in cases {
        assert_eq!(decide(&options, &row), expected, "{row:?} with {options:?}");
    }
}

#[test]
fn glacier_of_one_row_does_not_leak_into_the_next() {
    let selection = Selection::new(&SelectOptions::default(), &columns(), own("s3://dst/x"))
        .expect("good options");
    let glacier = with(|it| it.row.storage_class = Some("GLACIER"));
    let decisions: Vec<_> = [row(), glacier, row()]
        .iter()
        .map(|row| selection.decide(row).expect("a good row"))
        .collect();
    assert_eq!(decisions, [None, Some(LeftOut::Glacier), None]);
}

#[test]
fn a_filter_on_a_column_that_is_not_there_is_refused() {
    let bare: Columns = "Bucket,Key".parse().expect("columns");
    let plain = SelectOptions::default;
    for (options, column) in [
        (
            SelectOptions {
                storage_classes: vec!["STANDARD".to_owned()],
                ..plain()
            },
            "StorageClass",
        ),
        (
            SelectOptions {
                only_restored: true,
                ..plain()
            },
            "StorageClass",
        ),
        (
            SelectOptions {
                modified_before: Some("2026-01-01T00:00:00Z".to_owned()),
                ..plain()
            },
            "LastModifiedDate",
        ),
        (
            SelectOptions {
                min_size: Some(ByteSize(1)),
                ..plain()
            },
            "Size",
        ),
        (
            SelectOptions {
                max_size: Some(ByteSize(1)),
                ..plain()
            },
            "Size",
        ),
    ] {
        let error = Selection::new(&options, &bare, own("s3://dst/x"))
            .expect_err(column)
            .to_string();
        assert!(error.contains(column), "{error}");
    }
    assert!(Selection::new(&plain(), &bare, own("s3://dst/x")).is_ok());
}

#[test]
fn dates_that_are_none_are_errors() {
    let options = |text: &str| SelectOptions {
        modified_before: Some(text.to_owned()),
        ..SelectOptions::default()
    };
    for bad in ["", "yesterday", "2026-01-01", "2026-13-01T00:00:00Z"] {
        assert!(
            Selection::new(&options(bad), &columns(), own("s3://dst/x")).is_err(),
            "{bad}"
        );
    }
    let selection = Selection::new(
        &options("2026-01-01T00:00:00Z"),
        &columns(),
        own("s3://dst/x"),
    )
    .expect("a date");
    for bad in [None, Some("soon")] {
        assert!(
            selection
                .decide(&with(|it| it.row.last_modified = bad))
                .is_err(),
            "{bad:?}"
        );
    }
}

#[test]
fn a_destination_that_is_the_whole_source_is_recognised() {
    assert!(own("s3://src/").is_everything_in("src"));
    assert!(!own("s3://src/p").is_everything_in("src"));
    assert!(!own("s3://dst/").is_everything_in("src"));
}
