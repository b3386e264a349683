//! What `s3bundler` itself reads in the arguments of groupers and workers.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use clap::Parser as _;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use s3bundler::args::{BundleArgs, Cli, Command, GroupArgs};
use s3bundler::s3::{Encryption, RequestOptions};
use s3bundler_contract::{InventoryRef, RunClaim, S3Address};
use serde_json::{Value, json};

use crate::controller::build::{grouper, workers};
use crate::controller::fixtures::{archive_run, defaults, merge};
use crate::controller::run::Run;
use crate::controller::validate::validate;
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

fn read_group(run: &Run, pass: u32, inventory: &str) -> (GroupArgs, RequestOptions) {
    let job = grouper(run, &defaults(), pass, Some(inventory), Some(QUEUE));
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

#[test]
fn a_grouper_claims_what_the_operator_claims() {
    let inventory = |manifest: &str| InventoryRef {
        manifest: manifest.parse().unwrap(),
        etag: "e".to_owned(),
        creation_timestamp: None,
    };
    let given = json!({"inventory": null, "manifests": {"prefix": "s3://dst/groups/seed/"}});
    for (spec, manifest) in [
        (
            json!({}),
            "s3://inv/src/daily/2026-11-22T01-00Z/manifest.json",
        ),
        (
            everything(json!({})),
            "s3://inv/src/daily/2026-11-22T01-00Z/manifest.json",
        ),
        (everything(given), "s3://dst/groups/seed/"),
    ] {
        let run = validate(
            &archive_run(spec.clone()),
            &Defaults {
                region: "us-west-2".to_owned(),
                ..defaults()
            },
        );
        let run = run.unwrap_or_else(|refusal| panic!("{refusal}: {spec}"));
        let (args, _) = read_group(&run, 0, manifest);
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
        let named = args.origin.inventory.or(args.origin.manifests).unwrap();
        assert_eq!(named, manifest.parse::<S3Address>().unwrap());
        let (select, group) = (args.grouping.select(), args.grouping.group());
        let claim = RunClaim::new(
            args.name,
            inventory(manifest),
            select,
            group,
            archive,
            String::new(),
        );
        let operators = run.claim(&inventory(manifest), &defaults().cluster);
        assert_eq!(
            (claim.difference(&operators), &claim.run),
            (None, &operators.run),
            "{claim:?} {operators:?}"
        );
        assert_eq!(claim.options_digest, operators.options_digest);
    }
}

#[test]
fn groupers_and_workers_of_every_pass_ask_s3_alike() {
    let run = validate(&archive_run(everything(json!({}))), &defaults()).unwrap();
    let manifest = "s3://inv/src/daily/2026-11-22T01-00Z/manifest.json";
    let (retry, of_retry) = read_group(&run, 1, manifest);
    assert_eq!(
        (
            retry.retry_pass,
            retry.name.as_str(),
            retry.queue.as_deref()
        ),
        (Some(1), "logs", Some(QUEUE))
    );
    let (group, of_group) = read_group(&run, 0, manifest);
    for args in [&group, &retry] {
        assert_eq!(
            args.scratch.as_deref(),
            Some(std::path::Path::new("/scratch"))
        );
        assert_eq!(args.scratch_size.unwrap().bytes(), (10 << 30) / 10 * 9);
    }
    let (bundle, of_bundle) = read_bundle(&run);
    for requests in [of_group, of_retry, of_bundle] {
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
}
