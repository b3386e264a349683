//! Buckets, endpoints, disks and command lines that are not as they should be.

use std::net::{IpAddr, Ipv4Addr};

use s3bundler_contract::ExitCode;
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Column, Inventory, Row, inventory_of_bucket};
use s3bundler_testbed::servers::{Access, Port};

use super::{
    INVENTORIES, OBJECTS, VAULT, World, expect_consistent, expect_error, expect_nothing, run,
};
use crate::world;
use crate::world::archived::Archived;
use crate::world::namespace;

#[tokio::test]
async fn a_bucket_that_is_not_there_is_named() {
    let world = World::start().await;
    let inventory = world.inventory("no-vault").await;
    let outcome = world
        .run_to("s3://nowhere/x", "no-vault", &inventory.manifest)
        .run()
        .await
        .unwrap();
    let words = [
        "the destination cannot be written",
        "s3://nowhere/x/",
        "NoSuchBucket",
    ];
    expect_error("no such destination", &outcome, ExitCode::Upload, &words);

    let case = "no-source";
    let rows = OBJECTS.map(|(key, body)| Row::new(key, body.len() as u64));
    let inventory = Inventory::new("gone-since", INVENTORIES).columns(Column::SEED);
    let inventory = inventory.publish(&world.s3, rows).await.unwrap();
    let outcome = world.run(case, &inventory.manifest).run().await.unwrap();
    expect_error(
        case,
        &outcome,
        ExitCode::Download,
        &["s3://gone-since/", "NoSuchBucket"],
    );
    expect_nothing(&world.archived(case)).await;

    client::create_bucket(&world.s3, "gone-since")
        .await
        .unwrap();
    client::put_objects(&world.s3, "gone-since", OBJECTS)
        .await
        .unwrap();
    let outcome = world.run(case, &inventory.manifest).run().await.unwrap();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    world.expect_whole(case).await;
}

#[tokio::test]
async fn a_destination_inside_the_source_leaves_its_own_output_out() {
    let world = World::start().await;
    // Everything in one bucket: objects, inventories and archives.
    let manifests = ["first", "second"].map(async |id| {
        let inventory = Inventory::new("photos", "photos").configuration(id);
        inventory_of_bucket(&world.s3, &inventory)
            .await
            .unwrap()
            .manifest
    });
    let inside = |case: &str, manifest: &str| {
        world
            .run_to("s3://photos/archive/x", case, manifest)
            .args(["--output", "json"])
    };
    let archived = Archived {
        s3: world.s3.clone(),
        bucket: "photos".to_owned(),
        prefix: "archive/x/".to_owned(),
    };
    // The second inventory lists what the first run wrote, and the inventory before it: its three
    // files are nobody's own.
    for ((case, manifest), others) in ["first", "second"].into_iter().zip(manifests).zip([0, 3]) {
        let manifest = manifest.await;
        let own = client::list_keys(&world.s3, "photos", &archived.prefix)
            .await
            .unwrap()
            .len();
        let outcome = inside(case, &manifest).run().await.unwrap();
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let report: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(report["archived"], OBJECTS.len() + others, "{outcome}");
        assert_eq!(
            report["leftOut"]["OwnOutput"].as_u64().unwrap_or(0),
            own as u64,
            "{outcome}"
        );
        assert_eq!(own > 0, case == "second");
        expect_consistent(&archived).await;
    }

    let inventory = world.inventory("whole-bucket").await;
    let outcome = world
        .run_to("s3://photos", "whole-bucket", &inventory.manifest)
        .run()
        .await;
    let words = [
        "the destination s3://photos/",
        "give the destination a prefix, or another bucket",
    ];
    expect_error(
        "the whole source bucket",
        &outcome.unwrap(),
        ExitCode::Usage,
        &words,
    );
}

#[tokio::test]
async fn a_name_that_another_run_took_is_refused_and_that_run_can_go_on() {
    let world = World::start().await;
    let (one, other) = (
        world.inventory("taken").await,
        world.inventory("taken-too").await,
    );
    assert_eq!(
        world.run("taken", &one.manifest).run().await.unwrap().code,
        Some(0)
    );
    for (name, program) in [
        ("another inventory", world.run("taken", &other.manifest)),
        (
            "other options",
            world
                .run("taken", &one.manifest)
                .args(["--max-objects", "1"]),
        ),
    ] {
        let outcome = program.run().await.unwrap();
        let words = [
            "the name taken is taken",
            "s3://vault/taken/runs/taken.json",
            "Choose another --name",
        ];
        expect_error(name, &outcome, ExitCode::Usage, &words);
    }
    assert_eq!(
        world.run("taken", &one.manifest).run().await.unwrap().code,
        Some(0)
    );
    world.expect_whole("taken").await;
}

#[tokio::test]
async fn a_full_disk_ends_the_run_and_room_or_a_limit_lets_it_finish() {
    let world = World::start().await;
    let case = "full-disk";
    client::create_bucket(&world.s3, "films").await.unwrap();
    // Over 8 MiB, so that they go through scratch.
    let bodies: Vec<_> = (0..3_u8)
        .map(|n| vec![n; (9 << 20) + usize::from(n)])
        .collect();
    let mut rows = Vec::new();
    for (n, body) in bodies.iter().enumerate() {
        client::put_object(&world.s3, "films", &n.to_string(), body.clone())
            .await
            .unwrap();
        rows.push(Row::new(n.to_string(), body.len() as u64));
    }
    let inventory = Inventory::new("films", INVENTORIES)
        .columns(Column::SEED)
        .publish(&world.s3, rows)
        .await
        .unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let destination = format!("s3://{VAULT}/{case}");
    let arguments = [
        "run",
        "--inventory",
        &inventory.manifest,
        "--destination",
        &destination,
        "--name",
        case,
        "--scratch",
    ];

    let on_disk_of = |mebibytes: u32| {
        let mount = format!(r#"mount -t tmpfs -o size={mebibytes}m tmpfs "$1"; shift"#);
        namespace::program(&["--mount"], &mount)
            .arg(scratch.path())
            .arg(env!("CARGO_BIN_EXE_s3bundler"))
            .args(arguments)
            .arg(scratch.path())
            .access(world.moto.access())
    };
    let outcome = on_disk_of(8).run().await.unwrap();
    namespace::expect_ready(&outcome);
    let path = scratch.path().display().to_string();
    expect_error(
        case,
        &outcome,
        ExitCode::Local,
        &[&path, "No space left on device", "--scratch"],
    );
    let archived = world.archived(case);
    expect_nothing(&archived).await;

    // Room for one of the three and the catalog, and knowing it.
    let outcome = on_disk_of(12)
        .args(["--scratch-size", "10MiB", "--groups", "1"])
        .run()
        .await
        .unwrap();
    namespace::expect_ready(&outcome);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    for row in archived.index().await {
        let body = &bodies[row["key"].parse::<usize>().unwrap()];
        assert!(archived.bytes_of(&row).await == *body, "{row:?}");
    }
    expect_consistent(&archived).await;
    assert_eq!(
        std::fs::read_dir(scratch.path()).unwrap().count(),
        0,
        "left on scratch"
    );
}

#[tokio::test]
async fn a_scratch_directory_that_cannot_be_made_is_a_local_failure() {
    let nobody = Access::new("http://127.0.0.1:9", "testing", "testing");
    let outcome = run(&nobody, "x", "s3://i/manifest.json")
        .args(["--scratch", "/dev/null/x"])
        .run()
        .await
        .unwrap();
    let words = [
        "scratch directory at /dev/null/x",
        "Not a directory",
        "choose another with --scratch",
    ];
    expect_error("no scratch", &outcome, ExitCode::Local, &words);
}

#[tokio::test]
async fn an_endpoint_that_is_down_ends_the_run_once_the_outage_budget_is_spent() {
    let port = Port::free(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
    let nobody = Access::new(
        format!("http://127.0.0.1:{}", port.number()),
        "testing",
        "testing",
    );
    let outcome = run(&nobody, "down", "s3://i/manifest.json")
        .args(["--outage-budget", "2"])
        .run()
        .await
        .unwrap();
    let words = ["s3://vault/down/", "Connection refused"];
    expect_error("nobody answers", &outcome, ExitCode::Upload, &words);
}

#[tokio::test]
async fn a_command_line_that_is_wrong_says_how_it_should_be() {
    let nobody = Access::new("http://127.0.0.1:9", "testing", "testing");
    // The good options, but for those that the case gives itself.
    let run = |arguments: &[&str]| {
        let good = [
            ("--inventory", "s3://i/manifest.json"),
            ("--destination", "s3://d/x"),
            ("--name", "n"),
        ];
        let good = good
            .into_iter()
            .filter(|(option, _)| !arguments.contains(option));
        let program = world::s3bundler()
            .access(&nobody)
            .arg("run")
            .args(arguments);
        good.fold(program, |program, (option, value)| {
            program.args([option, value])
        })
    };
    let cases: &[(&[&str], &[&str])] = &[
        (
            &["--name", "My Run"],
            &[
                "\"My Run\" cannot name a run",
                "lower-case letters, digits and inner hyphens",
            ],
        ),
        (&["--name", ""], &["--name"]),
        (
            &["--inventory", "i/manifest.json"],
            &["--inventory", "it should look like s3://bucket/key"],
        ),
        (
            &["--destination", "s3:///x"],
            &["--destination", "names no bucket"],
        ),
        (
            &["--destination", "s3://d/x//y"],
            &["the destination prefix", "empty part"],
        ),
        (&["--max-objects", "0"], &["--max-objects", "1..="]),
        (&["--max-size", "much"], &["--max-size", "much"]),
        (&["--format", "zip"], &["--format", "tar.zst"]),
        (&["--no-such-option"], &["--no-such-option"]),
    ];
    for (arguments, words) in cases {
        let outcome = run(arguments).run().await.unwrap();
        assert_eq!(
            outcome.code,
            Some(i32::from(ExitCode::Usage.code())),
            "{arguments:?}: {outcome}"
        );
        for word in *words {
            assert!(outcome.stderr.contains(word), "{arguments:?}: {outcome}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    for (content, cause) in [
        (None, "No such file"),
        (Some(""), "there is none in it"),
        (
            Some("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"),
            "base64",
        ),
        (
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "invalid",
        ),
    ] {
        let file = folder.path().join("ca.pem");
        content
            .map_or(Ok(()), |content| std::fs::write(&file, content))
            .unwrap();
        let outcome = run(&[]).env("AWS_CA_BUNDLE", &file).run().await.unwrap();
        let words = ["AWS_CA_BUNDLE", &file.display().to_string(), cause];
        expect_error("certificates", &outcome, ExitCode::Usage, &words);
    }
}

#[tokio::test]
async fn options_that_need_a_column_the_inventory_lacks_are_refused() {
    let world = World::start().await;
    let inventory = world.inventory("columns").await;
    for (arguments, words) in [
        (
            ["--storage-class", "STANDARD_IA"],
            [
                "--storage-class needs the column StorageClass",
                "optional fields",
            ],
        ),
        (
            ["--modified-before", "2026-01-01T00:00:00Z"],
            ["LastModifiedDate", "optional fields"],
        ),
    ] {
        let outcome = world
            .run("columns", &inventory.manifest)
            .args(arguments)
            .run()
            .await
            .unwrap();
        expect_error(arguments[0], &outcome, ExitCode::Usage, &words);
    }
    let outcome = world
        .run("columns", "s3://inventories/manifest.csv")
        .run()
        .await
        .unwrap();
    let words = [
        "s3://inventories/manifest.csv is not an inventory manifest",
        "give the address of a manifest.json",
    ];
    expect_error("another file", &outcome, ExitCode::Usage, &words);
    expect_nothing(&world.archived("columns")).await;
}
