//! The simulated S3 beside real servers: the same requests, and what each answers. Where they differ
//! is in docs/simulator-differences.md, which `make generate` writes; another difference fails here.

mod addresses;
mod attributes;
mod checksums;
mod lists;
mod objects;
mod upload_checksums;
mod upload_lists;
mod uploads;
mod version_lists;
mod versions;

use std::fmt::Write as _;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use s3bundler_testbed::client;
use s3bundler_testbed::generated::assert_generated;
use s3bundler_testbed::servers::{Moto, VersityGw, VersityGwOptions};
use s3bundler_testbed::simulator::{Population, Simulator, SimulatorOptions};

const BUCKET: &str = "conformance";
/// The smallest part but the last.
const PART: usize = 5 << 20;

/// What was asked, and what was answered.
type Transcript = Vec<(String, String)>;

struct Asking {
    s3: Client,
    transcript: Transcript,
}

impl Asking {
    /// Notes an answer: what `tell` says of it, or its status and code.
    fn note<T, E: ProvideErrorMetadata + std::error::Error>(
        &mut self,
        what: impl Into<String>,
        answer: Result<T, SdkError<E, HttpResponse>>,
        tell: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let (told, output) = match answer {
            Ok(output) => (tell(&output), Some(output)),
            Err(error) => {
                let status = error
                    .raw_response()
                    .map_or_else(|| "none".to_owned(), |it| it.status().as_u16().to_string());
                let code = error.code().unwrap_or_default();
                (format!("{status} {code}").trim_end().to_owned(), None)
            }
        };
        self.transcript.push((what.into(), told));
        output
    }
}

fn done<T>(_: &T) -> String {
    "done".to_owned()
}

fn text(bytes: &'static str) -> ByteStream {
    ByteStream::from_static(bytes.as_bytes())
}

/// All requests, in one order.
async fn transcript(s3: Client) -> Transcript {
    let mut asking = Asking {
        s3,
        transcript: Vec::new(),
    };
    objects::buckets(&mut asking).await;
    objects::reads(&mut asking).await;
    objects::conditional_writes(&mut asking).await;
    checksums::checksums(&mut asking).await;
    objects::metadata_and_tags(&mut asking).await;
    lists::listings(&mut asking).await;
    lists::listings_of_version_1(&mut asking).await;
    lists::limits_of_listings(&mut asking).await;
    uploads::uploads(&mut asking).await;
    upload_lists::lists_of_uploads(&mut asking).await;
    upload_lists::lists_of_parts(&mut asking).await;
    upload_checksums::named_algorithms(&mut asking).await;
    upload_checksums::checksums_of_parts(&mut asking).await;
    upload_checksums::checksums_of_completed_uploads(&mut asking).await;
    upload_checksums::full_object_without_checksums_of_parts(&mut asking).await;
    objects::copies(&mut asking).await;
    versions::versions(&mut asking).await;
    objects::tiers(&mut asking).await;
    attributes::attributes(&mut asking).await;
    attributes::attributes_of_versions(&mut asking).await;
    version_lists::lists_of_versions(&mut asking).await;
    versions::tags_of_versions(&mut asking).await;
    versions::suspended_versions(&mut asking).await;
    versions::restores_of_versions(&mut asking).await;
    asking.transcript
}

/// No restore ends during the test.
fn frozen_for_an_hour() -> SimulatorOptions {
    SimulatorOptions {
        thaw: Duration::from_hours(1),
        ..SimulatorOptions::default()
    }
}

#[tokio::test]
async fn the_simulator_answers_as_real_servers_do_but_for_what_is_listed() {
    let options = VersityGwOptions {
        versioning: true,
        ..VersityGwOptions::default()
    };
    let simulator = Simulator::start(frozen_for_an_hour()).unwrap();
    let (versitygw, moto) = tokio::join!(VersityGw::start_with(options), Moto::start());
    let (versitygw, moto) = (versitygw.unwrap(), moto.unwrap());
    let (ours, theirs, others) = tokio::join!(
        transcript(client::s3(simulator.access())),
        transcript(client::s3(versitygw.access())),
        transcript(client::s3(moto.access())),
    );
    let answer = |transcript: &Transcript, what: &str| {
        let found = transcript.iter().find(|(it, _)| it == what);
        found.map_or_else(|| "not asked".to_owned(), |(_, answer)| answer.clone())
    };
    let mut page = "# Where servers of the testbed differ\n\nMade by `make generate` from the requests of `testbed/tests/integration/simulator.rs`. \
        All other answers are the same. `200` alone is an answer that the AWS SDK cannot read.\n\n| Request | simulator | versitygw | moto |\n|---|---|---|---|\n"
        .to_owned();
    for (what, ours) in &ours {
        let (theirs, others) = (answer(&theirs, what), answer(&others, what));
        if (&theirs, &others) != (ours, ours) {
            writeln!(page, "| {what} | `{ours}` | `{theirs}` | `{others}` |").unwrap();
        }
    }
    assert_generated("docs/simulator-differences.md", &page);
}

#[tokio::test]
async fn a_bucket_of_a_billion_objects_is_read_and_listed() {
    let simulator = Simulator::start(SimulatorOptions::default()).unwrap();
    let population = Population {
        prefix: "logs/".to_owned(),
        suffix: ".json".to_owned(),
        objects: 1_000_000_000,
        is_flat: false,
        sizes: 10_240..10_241,
        seed: 1,
        with_metadata: 2,
        with_tags: 3,
        storage_class: "STANDARD".to_owned(),
    };
    assert!(simulator.populate("billion", population.clone()));
    let s3 = client::s3(simulator.access());
    let key = population.key(765_432_100);
    let listed = s3
        .list_objects_v2()
        .bucket("billion")
        .start_after(&key)
        .max_keys(3);
    let listed = listed.send().await.unwrap();
    let keys: Vec<_> = listed.contents().iter().filter_map(|it| it.key()).collect();
    let wanted: Vec<_> = (1..=3).map(|n| population.key(765_432_100 + n)).collect();
    assert_eq!(keys, wanted);
    let first = s3.list_objects().bucket("billion").marker(&key).max_keys(3);
    let first = first.send().await.unwrap();
    assert_eq!(
        first.contents().first().unwrap().key(),
        listed.contents()[0].key()
    );
    let versions = s3.list_object_versions().bucket("billion");
    let versions = versions.key_marker(&key).max_keys(3).send().await.unwrap();
    let found: Vec<_> = versions.versions().iter().collect();
    let keys_of_versions: Vec<_> = found.iter().filter_map(|it| it.key()).collect();
    assert_eq!(keys_of_versions, wanted);
    assert_eq!(
        (found[0].version_id(), found[0].is_latest()),
        (Some("null"), Some(true))
    );
    let got = s3
        .get_object()
        .bucket("billion")
        .key(keys[0])
        .send()
        .await
        .unwrap();
    assert_eq!(got.e_tag(), listed.contents()[0].e_tag());
    assert_eq!(got.body.collect().await.unwrap().into_bytes().len(), 10_240);
    let meter = simulator.meter();
    assert_eq!(
        (
            meter.requests["Requests-Tier1"],
            meter.requests["Requests-Tier2"]
        ),
        (3, 1)
    );
    let operations = [
        ("GetObject", 1),
        ("ListObjectVersions", 1),
        ("ListObjects", 1),
        ("ListObjectsV2", 1),
    ];
    assert_eq!(meter.operations["billion"], operations.into());
    assert!(meter.bytes_out > 10_240, "{meter:?}");
}
