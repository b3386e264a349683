//! What `s3bundler` itself reads in the arguments of groupers, workers and verifiers.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use clap::Parser as _;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use s3bundler::args::{BundleArgs, Cli, Command, GroupArgs, OriginArgs, VerifyArgs};
use s3bundler::s3::{Encryption, RequestOptions};
use s3bundler_contract::S3Address;
use serde_json::{Value, json};

use crate::controller::build::{grouper, verifier, workers};
use crate::controller::fixtures::{archive_run, defaults, merge};
use crate::controller::run::Run;
use crate::controller::validate::validate;
use crate::crd::Origin;
use crate::defaults::Defaults;

const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/111111111111/q";

/// A run that says everything that groupers and workers are told of.
fn everything(source: Value) -> Value {
    let mut spec = json!({
        "source": {
            "region": "us-west-2",
            "expectedBucketOwner": "111111111111",
            "maxRequestsPerSecond": 1000,
            "requestPayer": "Requester",
            "firstByteTimeoutSeconds": 60,
            "includePrefixes": ["2024/", "-x $(HOME)/", "a,b/"],
            "excludePrefixes": ["tmp/", "$$/"],
            "storageClasses": ["STANDARD", "GLACIER_IR"],
            "modifiedBefore": "2026-01-01T00:00:00Z",
            "minSize": "1",
            "maxSize": "1Gi",
            "versions": "All",
            "glacierObjects": "OnlyRestored",
        },
        "destination": {
            "bucket": "archive",
            "prefix": "a/b c",
            "region": "eu-central-1",
            "expectedBucketOwner": "222222222222",
            "storageClass": "DEEP_ARCHIVE",
            "encryption": {"type": "SSEKMS", "kmsKeyID": "alias/a"},
            "tags": {"team": "a=b c"},
            "keyLayout": "Plain",
        },
        "outageBudgetSeconds": 3600,
        "group": {"maxObjects": 1000, "maxSize": "1500M"},
        "archive": {"format": "TarZstd", "maxObjectSize": "100Mi", "sha256": true},
        "grouper": {"scratch": {"sizeLimit": "10Gi"}},
        "workers": {
            "scaling": {"targetGroupsPerWorker": 3},
            "drainSeconds": 45,
            "recycleAfterGroups": 200,
            "scratch": {"sizeLimit": "20Gi"},
        },
    });
    merge(&mut spec["source"], source);
    spec
}

/// What the program reads; `$$` is the `$` that a kubelet makes of it.
fn read(template: PodTemplateSpec) -> Cli {
    let container = template.spec.unwrap().containers.remove(0);
    let args = container
        .args
        .unwrap()
        .into_iter()
        .map(|arg| arg.replace("$$", "$"));
    Cli::try_parse_from(std::iter::once("s3bundler".to_owned()).chain(args)).unwrap()
}

fn read_group(run: &Run, pass: u32, inventory: Option<&str>) -> (GroupArgs, RequestOptions) {
    let job = grouper(run, &defaults(), pass, inventory, Some(QUEUE));
    let cli = read(job.spec.unwrap().template);
    let Command::Group(args) = cli.command else {
        panic!("{:?}", cli.command)
    };
    let options = cli
        .global
        .s3_options(Some(&args.destination.destination))
        .unwrap();
    assert_eq!(options.region.as_deref(), Some("us-west-2"));
    (args, options.requests)
}

fn read_bundle(run: &Run) -> (BundleArgs, RequestOptions) {
    let cli = read(workers(run, &defaults(), QUEUE).spec.unwrap().template);
    let Command::Bundle(args) = cli.command else {
        panic!("{:?}", cli.command)
    };
    let options = cli
        .global
        .s3_options(Some(&args.destination.destination))
        .unwrap();
    assert_eq!(options.region.as_deref(), Some("eu-central-1"));
    (args, options.requests)
}

fn read_verify(run: &Run) -> (VerifyArgs, RequestOptions) {
    let cli = read(verifier(run, &defaults()).spec.unwrap().template);
    let Command::Verify(args) = cli.command else {
        panic!("{:?}", cli.command)
    };
    let options = cli
        .global
        .s3_options(Some(&args.destination.destination))
        .unwrap();
    assert_eq!(options.region.as_deref(), Some("eu-central-1"));
    (args, options.requests)
}

/// Runs of every kind of source, with the rows that they name.
fn runs() -> Vec<(Run, OriginArgs)> {
    const MANIFEST: &str = "s3://inv/src/daily/2026-11-22T01-00Z/manifest.json";
    let none = || OriginArgs {
        inventory: None,
        inventory_latest: None,
        max_inventory_age: None,
        manifests: None,
    };
    let inventory = || OriginArgs {
        inventory: Some(MANIFEST.parse().unwrap()),
        ..none()
    };
    let given = json!({"inventory": null, "manifests": {"prefix": "s3://dst/groups/seed/"}});
    let latest = json!({"inventory": {"manifest": null, "latest": {"prefix": "s3://inv/src/daily/", "maxAgeHours": 48}}});
    let any_age =
        json!({"inventory": {"manifest": null, "latest": {"prefix": "s3://inv/src/daily"}}});
    let run = |spec: Value| {
        let defaults = Defaults {
            region: "us-west-2".to_owned(),
            ..defaults()
        };
        validate(&archive_run(spec.clone()), &defaults)
            .unwrap_or_else(|refusal| panic!("{refusal}: {spec}"))
    };
    vec![
        (run(json!({})), inventory()),
        (run(everything(json!({}))), inventory()),
        (
            run(everything(given)),
            OriginArgs {
                manifests: Some("s3://dst/groups/seed/".parse().unwrap()),
                ..none()
            },
        ),
        (
            run(everything(latest)),
            OriginArgs {
                inventory_latest: Some("s3://inv/src/daily/".parse().unwrap()),
                max_inventory_age: Some(48),
                ..none()
            },
        ),
        (
            run(everything(any_age)),
            OriginArgs {
                inventory_latest: Some("s3://inv/src/daily".parse().unwrap()),
                ..none()
            },
        ),
    ]
}

#[test]
fn a_grouper_claims_and_acknowledges_what_the_run_says() {
    for (run, rows) in runs() {
        let (args, _) = read_group(&run, 0, None);
        let archive = args.archive.options();
        let destination = args.destination.resolve(archive.key_layout).unwrap();
        assert_eq!(
            (&destination.bucket, &destination.layout),
            (&run.bucket, &run.layout)
        );
        assert_eq!(
            (args.queue.as_deref(), args.retry_pass),
            (Some(QUEUE), None)
        );
        assert_eq!(args.origin, rows);
        assert_eq!(args.name, run.name);
        assert_eq!(
            (args.grouping.select(), args.grouping.group(), archive),
            (run.select.clone(), run.group.clone(), run.archive.clone())
        );
        assert_eq!(args.owner, "ArchiveRun team-a/logs in cluster test");
        assert_eq!(args.acknowledge.as_ref(), Some(&run.uid));
        let deliveries = args.origin.deliveries();
        let max_age = match &run.origin {
            Origin::Latest { max_age, .. } => *max_age,
            Origin::Inventory(_) | Origin::Manifests(_) => None,
        };
        assert_eq!(
            deliveries.and_then(|deliveries| deliveries.max_age),
            max_age
        );
    }
}

#[test]
fn a_grouper_of_a_run_that_has_its_claim_gets_no_argument_of_this_release() {
    let manifest = "s3://inv/src/daily/2026-11-23T01-00Z/manifest.json";
    let new = ["--owner", "--acknowledge", "--inventory-latest"];
    for (run, rows) in runs() {
        for (pass, inventory) in [(0, Some(manifest)), (1, Some(manifest)), (1, None)] {
            let job = grouper(&run, &defaults(), pass, inventory, Some(QUEUE));
            let args = json!(job.spec.unwrap().template.spec.unwrap().containers[0].args);
            let args = args.to_string();
            assert!(new.iter().all(|name| !args.contains(name)), "{args}");
        }
        let (args, _) = read_group(&run, 0, Some(manifest));
        let named = if rows.manifests.is_some() {
            args.origin.manifests
        } else {
            args.origin.inventory
        };
        assert_eq!(named, Some(manifest.parse().unwrap()));
    }
}

#[test]
fn pods_of_every_kind_and_pass_ask_s3_alike() {
    let run = validate(&archive_run(everything(json!({}))), &defaults()).unwrap();
    let (retry, of_retry) = read_group(&run, 1, None);
    assert_eq!(
        (
            retry.retry_pass,
            retry.name.as_str(),
            retry.queue.as_deref()
        ),
        (Some(1), "logs", Some(QUEUE))
    );
    let (group, of_group) = read_group(&run, 0, None);
    for args in [&group, &retry] {
        assert_eq!(
            args.scratch.as_deref(),
            Some(std::path::Path::new("/scratch"))
        );
        assert_eq!(args.scratch_size.unwrap().bytes(), (10 << 30) / 10 * 9);
    }
    let (bundle, of_bundle) = read_bundle(&run);
    let (verify, of_verify) = read_verify(&run);
    for requests in [of_group, of_retry, of_bundle, of_verify] {
        assert_eq!(requests.destination.as_deref(), Some("archive"));
        assert_eq!(
            requests.encryption,
            Encryption::SseKms(Some("alias/a".parse().unwrap()))
        );
        assert_eq!(requests.tags.header().as_deref(), Some("team=a%3Db+c"));
        let owners = [requests.source_owner, requests.destination_owner]
            .map(|owner| owner.unwrap().to_string());
        assert_eq!(owners, ["111111111111", "222222222222"]);
        assert!(requests.requester_pays);
    }
    assert_eq!(
        (bundle.queue.as_deref(), bundle.name.as_str()),
        (Some(QUEUE), "logs")
    );
    assert_eq!(
        (bundle.work.groups, bundle.drain, bundle.recycle_after),
        (3, 45, 200)
    );
    assert_eq!(
        bundle.destination.destination,
        S3Address::new("archive", "a/b c")
    );
    assert_eq!(
        [
            group.outage.outage_budget,
            retry.outage.outage_budget,
            bundle.work.outage.outage_budget
        ],
        [3600; 3]
    );
    assert_eq!(
        (bundle.work.first_byte_timeout, bundle.work.sha256),
        (60, true)
    );
    assert_eq!(
        bundle.work.max_requests_per_second,
        Some(50),
        "1,000 over 20 workers"
    );
    assert_eq!(
        bundle.work.scratch_size.unwrap().bytes(),
        (20 << 30) / 10 * 9
    );
    assert_eq!(
        verify.destination.destination,
        S3Address::new("archive", "a/b c")
    );
    assert_eq!(
        (verify.name.as_str(), verify.scratch.as_deref()),
        ("logs", Some(std::path::Path::new("/scratch")))
    );
    assert!(!verify.repair, "it writes nothing");
}

#[test]
fn a_verifier_reads_archives_only_if_it_is_asked_to() {
    for (mode, full) in [("Checksums", false), ("Full", true)] {
        let mut spec = everything(json!({}));
        spec["verify"] = json!(mode);
        let run = validate(&archive_run(spec), &defaults()).unwrap();
        assert_eq!(read_verify(&run).0.full, full, "{mode}");
    }
}
