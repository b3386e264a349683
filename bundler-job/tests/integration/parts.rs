//! Archives that are larger than their group manifests say, on a real server: their parts grow, and
//! if those are still too many, the group fails and leaves nothing behind. The limits of parts are
//! small here, so that archives can be.

use crate::world::{Limited, PREFIX, World, assert_whole, key};
use bytes::Bytes;
use s3bundler::bundle::parts::PartLimits;
use s3bundler::bundle::{BundleError, GroupReport};
use s3bundler::queue::Disposition;
use s3bundler_contract::{ExitCode, HasExitCode};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::Column;
use s3bundler_testbed::proxy::{Operation, Proxy};
use tokio_util::sync::CancellationToken;

const MIB: u64 = 1 << 20;
/// Of one group: parts of 5.25 MiB are planned, and objects over 2.6 MiB go to scratch.
const MEMORY: u64 = 21 * MIB;
const PLANNED: u64 = MEMORY / 4;
/// Sources of 66 MiB.
const OBJECTS: usize = 11;
const OBJECT: usize = 6 << 20;

/// A world of one group whose inventory does not tell how large the objects are.
async fn world_without_sizes() -> World {
    let body = |n: usize| -> Bytes {
        (0..OBJECT)
            .map(|at| u8::try_from((at * 7 + n * 31 + at / 251) % 256).unwrap())
            .collect()
    };
    let mut world = World::of_objects((0..OBJECTS).map(|n| (key(n), body(n)))).await;
    world.group_rows = OBJECTS;
    world
        .listed_as(&[Column::Bucket, Column::Key], |row| row)
        .await
}

/// A destination whose group manifest is written, and a proxy before it.
struct Bench<'a> {
    world: &'a World,
    bucket: String,
    proxy: Proxy,
}

impl<'a> Bench<'a> {
    async fn new(world: &'a World, bucket: &str) -> Self {
        let bucket = world.destination(bucket).await;
        let proxy = Proxy::start(world.access()).unwrap();
        world.group(&bucket).await;
        Self {
            world,
            bucket,
            proxy,
        }
    }

    /// Archives the group with these limits of parts.
    async fn bundle(
        &self,
        parts: PartLimits,
        scratch_size: Option<u64>,
    ) -> Result<GroupReport, BundleError> {
        let limited = Limited {
            memory: MEMORY,
            parts,
            scratch_size,
        };
        self.world
            .bundle_here(self.proxy.access(), &self.bucket, limited)
            .await
    }

    /// The sizes of the parts that were sent, in order. Each has a checksum.
    fn parts(&self) -> Vec<u64> {
        let log = self.proxy.log();
        let parts = log
            .iter()
            .map(|it| &it.request)
            .filter(|seen| seen.operation == Operation::UploadPart);
        let mut parts: Vec<(u32, u64)> = parts
            .map(|seen| {
                assert!(
                    seen.headers.contains_key("x-amz-checksum-crc64nvme"),
                    "{seen:?}"
                );
                let number = seen
                    .query
                    .split('&')
                    .find_map(|it| it.strip_prefix("partNumber="))
                    .unwrap();
                (
                    number.parse().unwrap(),
                    seen.headers["content-length"]
                        .to_str()
                        .unwrap()
                        .parse()
                        .unwrap(),
                )
            })
            .collect();
        parts.sort_unstable();
        parts.into_iter().map(|(_, size)| size).collect()
    }

    /// Everything is archived, and `verify --full` finds nothing.
    async fn assert_archived(&self) {
        assert_whole(self.world, &self.bucket).await;
        let verified = self
            .world
            .command(&self.bucket, &["verify", "--full"])
            .run()
            .await
            .unwrap();
        assert_eq!(verified.code, Some(0), "{verified}");
        assert!(verified.stdout.ends_with("nothing found\n"), "{verified}");
        assert_eq!(self.world.scratch_files(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_an_archive_that_outgrows_its_manifest_grow() {
    let world = world_without_sizes().await;
    let limits = PartLimits {
        most: 8,
        step: 1,
        largest: 20 * MIB,
    };
    for (bucket, scratch_size, larger) in [
        ("unlimited", None, &[2 * PLANNED, 20 * MIB, 20 * MIB][..]),
        // A quarter of it is for three parts.
        (
            "limited",
            Some(160 * MIB),
            &[2 * PLANNED, 160 * MIB / 12, 160 * MIB / 12],
        ),
    ] {
        let bench = Bench::new(&world, bucket).await;
        let report = bench.bundle(limits, scratch_size).await.unwrap();
        assert_eq!(report.receipt.figures.archived, OBJECTS as u64);
        let parts = bench.parts();
        assert_eq!(parts[..2], [PLANNED; 2], "{bucket}: {parts:?}");
        // With limited room they wait for members to leave it.
        let grown: Vec<_> = parts[2..]
            .iter()
            .copied()
            .filter(|size| *size != PLANNED)
            .collect();
        assert!(grown.starts_with(larger), "{bucket}: {parts:?}");
        bench.assert_archived().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_ends_whatever_room_its_objects_and_its_parts_have() {
    let world = world_without_sizes().await;
    let limits = PartLimits {
        most: 20,
        step: 1,
        largest: 20 * MIB,
    };
    for mib in [1, 7, 40, 64, 100, 130] {
        let bench = Bench::new(&world, &format!("room-of-{mib}")).await;
        let report = bench.bundle(limits, Some(mib * MIB)).await.unwrap();
        assert_eq!(report.receipt.figures.archived, OBJECTS as u64, "{mib} MiB");
        // Three larger parts fit into a quarter of the room, or all have the planned size.
        let largest = (mib * MIB / 12).clamp(PLANNED, 20 * MIB);
        assert!(
            bench.parts().iter().all(|size| *size <= largest),
            "{mib} MiB: {:?}",
            bench.parts()
        );
        assert_whole(&world, &bench.bucket).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_says_that_max_size_could_not_be_kept() {
    let world = World::of_groups(1).await;
    let bucket = world.destination("listed").await;
    let done = world.run(&bucket).await;
    assert!(!format!("{done}").contains("--max-size"), "{done}");

    let world = world
        .listed_as(&[Column::Bucket, Column::Key], |row| row)
        .await;
    let bucket = world.destination("unlisted").await;
    let done = world.program(&bucket).run().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(
        done.stdout
            .contains("the inventory lists none, so --max-size could not be kept"),
        "{done}"
    );
    assert!(
        done.stderr
            .contains("the inventory has no column Size, so --max-size cannot be kept"),
        "{done}"
    );
    let done = world
        .program(&bucket)
        .args(["--output", "json"])
        .run()
        .await
        .unwrap();
    let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(
        (&report["listedBytes"], &report["archivedBytes"]),
        (&0.into(), &101_212.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_says_that_max_size_could_not_be_kept() {
    let listed = World::of_groups(1).await;
    let bundled = async |world: &World, name: &str, output: &str| {
        let bucket = world.destination(&format!("{name}-{output}")).await;
        world.group(&bucket).await;
        let manifest = world.only_group(&bucket).await.address().to_string();
        let arguments = ["bundle", "--output", output, "--manifest", &manifest];
        let done = world.command(&bucket, &arguments).run().await.unwrap();
        assert_eq!(done.code, Some(0), "{done}");
        done.stdout
    };
    let figures = |json: &str| {
        let report: serde_json::Value = serde_json::from_str(json).unwrap();
        (
            report["listedBytes"].as_u64(),
            report["archivedBytes"].as_u64(),
        )
    };
    // One of the listed objects is gone.
    assert!(
        !bundled(&listed, "listed", "text")
            .await
            .contains("--max-size")
    );
    assert_eq!(
        figures(&bundled(&listed, "listed", "json").await),
        (Some(101_723), Some(101_212))
    );

    let listed_as_one = listed.listed_as(&[Column::Bucket, Column::Key, Column::Size], |row| {
        row.with(Column::Size, "1")
    });
    let small = listed_as_one.await;
    let text = bundled(&small, "small", "text").await;
    assert!(
        text.contains(
            "98.84 KiB more than the group manifests list, so --max-size may not be kept"
        ),
        "{text}"
    );

    let unlisted = small
        .listed_as(&[Column::Bucket, Column::Key], |row| row)
        .await;
    let text = bundled(&unlisted, "unlisted", "text").await;
    assert!(
        text.contains("the group manifests list none, so --max-size could not be kept"),
        "{text}"
    );
    assert_eq!(
        figures(&bundled(&unlisted, "unlisted", "json").await),
        (Some(0), Some(101_212))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_grow_if_the_sizes_of_the_inventory_are_far_too_small() {
    let world = world_without_sizes().await;
    let columns = [Column::Bucket, Column::Key, Column::Size];
    let world = world
        .listed_as(&columns, |row| row.with(Column::Size, "1"))
        .await;
    let bench = Bench::new(&world, "archive").await;
    bench
        .bundle(
            PartLimits {
                most: 8,
                step: 1,
                largest: 20 * MIB,
            },
            None,
        )
        .await
        .unwrap();
    assert_eq!(
        bench.parts()[..4],
        [PLANNED, PLANNED, 2 * PLANNED, 20 * MIB]
    );
    bench.assert_archived().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_the_listed_size_has_equal_parts() {
    let world = world_without_sizes().await;
    let world = world.listed_as(&Column::CURRENT, |row| row).await;
    let bench = Bench::new(&world, "archive").await;
    bench
        .bundle(
            PartLimits {
                most: 20,
                step: 1,
                largest: 20 * MIB,
            },
            None,
        )
        .await
        .unwrap();
    let parts = bench.parts();
    assert_eq!(parts[..12], [PLANNED; 12]);
    bench.assert_archived().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_too_many_parts_fails_with_the_option_to_change_and_leaves_nothing() {
    let world = world_without_sizes().await;
    for (bucket, limits, scratch_size, option) in [
        (
            "small",
            PartLimits {
                most: 4,
                step: 1,
                largest: 6 * MIB,
            },
            None,
            "--max-objects",
        ),
        // Parts that all have to have one size.
        (
            "equal",
            PartLimits {
                most: 8,
                step: 1,
                largest: 0,
            },
            None,
            "this store demands parts of one size",
        ),
        // Two members fit, and no parts.
        (
            "limited",
            PartLimits {
                most: 8,
                step: 1,
                largest: 20 * MIB,
            },
            Some(16 * MIB),
            "--scratch-size",
        ),
    ] {
        let bench = Bench::new(&world, bucket).await;
        let error = bench.bundle(limits, scratch_size).await.unwrap_err();
        assert!(
            matches!(error, BundleError::TooManyParts(_)),
            "{bucket}: {error}"
        );
        assert!(error.to_string().contains(option), "{error}");
        assert_eq!(
            (error.exit_code(), error.disposition()),
            (ExitCode::Usage, Disposition::LeaveForRedrive)
        );
        assert_eq!(bench.parts().len(), limits.most as usize, "{bucket}");
        assert_eq!(world.open_uploads(bucket).await, [], "{bucket}");
        let left = client::list_keys(&world.s3, bucket, &format!("{PREFIX}/archives/"))
            .await
            .unwrap();
        assert_eq!(
            (left, world.keys_of(bucket, "catalog").await),
            (vec![], vec![]),
            "{bucket}"
        );
        assert_eq!(world.scratch_files(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_too_many_parts_is_uploaded_once_by_a_process_however_often_it_is_delivered() {
    let world = world_without_sizes().await;
    let bench = Bench::new(&world, "again").await;
    let parts = PartLimits {
        most: 4,
        step: 1,
        largest: 6 * MIB,
    };
    let limited = Limited {
        memory: MEMORY,
        parts,
        scratch_size: None,
    };
    let bundler = world
        .bundler_here(bench.proxy.access(), &bench.bucket, limited)
        .await;
    let manifest = world.only_group(&bench.bucket).await;
    for delivery in 1..=3 {
        let error = Box::pin(bundler.bundle(&manifest, &CancellationToken::new()))
            .await
            .unwrap_err();
        assert_eq!(
            error.disposition(),
            Disposition::LeaveForRedrive,
            "{delivery}: {error}"
        );
        assert!(
            error.to_string().contains("--max-objects"),
            "{delivery}: {error}"
        );
        assert_eq!(bench.parts().len(), 4, "{delivery}");
    }
}
