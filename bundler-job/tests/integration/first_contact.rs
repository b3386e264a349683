//! The first requests of a process: an endpoint that does not answer yet, or never does.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::world::servers::{self, moto};
use crate::world::{self, namespace};
use s3bundler_testbed::cli::{Outcome, Program, Signal};
use s3bundler_testbed::client;
use s3bundler_testbed::inventory::{Inventory, inventory_of_bucket};
use s3bundler_testbed::proxy::{Fault, Operation, Proxy};
use s3bundler_testbed::servers::{Access, Port};

/// The three commands that need no queue, each with a run of its own in buckets of this name.
async fn commands(name: &str) -> [(&'static str, Vec<String>); 3] {
    let s3 = client::s3(moto().await);
    let (objects, archives) = (
        format!("first-{name}-objects"),
        format!("first-{name}-archives"),
    );
    for bucket in [&objects, &archives] {
        servers::create_bucket(moto().await, bucket).await;
    }
    client::put_objects(&s3, &objects, [("1", "0123456789")])
        .await
        .unwrap();
    client::put_object(
        &s3,
        &archives,
        "manifests/1.index",
        format!("{objects},1,10\n"),
    )
    .await
    .unwrap();
    let inventory = inventory_of_bucket(&s3, &Inventory::new(&objects, &archives))
        .await
        .unwrap()
        .manifest;
    [
        (
            "run",
            format!("run --inventory {inventory} --destination s3://{archives}/run --name r"),
        ),
        (
            "bundle",
            format!(
                "bundle --manifest s3://{archives}/manifests/1.index --destination \
            s3://{archives}/bundle"
            ),
        ),
        (
            "group",
            format!(
                "group --inventory {inventory} --destination s3://{archives}/group \
            --name g"
            ),
        ),
    ]
    .map(|(command, line)| {
        (
            command,
            line.split_whitespace().map(str::to_owned).collect(),
        )
    })
}

fn s3bundler(arguments: &[String], endpoint: &str, access: &Access) -> Program {
    world::s3bundler()
        .access(&access.at(endpoint))
        .args(arguments)
}

/// An address that refuses connections.
fn refusing() -> (Port, SocketAddr, String) {
    let port = Port::free(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
    (port, address, format!("http://{address}"))
}

#[tokio::test]
async fn an_outage_is_waited_out_from_the_start_of_a_process_and_reported_at_once_with_its_endpoint()
 {
    for (command, arguments) in commands("begun").await {
        let (_port, address, endpoint) = refusing();
        let running = s3bundler(&arguments, &endpoint, moto().await)
            .spawn()
            .unwrap();
        running.wait_for_output("waiting for it").await.unwrap();
        let log = running.stderr().to_lowercase();
        for word in [&endpoint, "connection refused", "budget_seconds=900"] {
            assert!(log.contains(word), "{command}: {log}");
        }
        let _proxy = Proxy::start_at(moto().await, address).unwrap();
        let done = running.wait().await.unwrap();
        assert_eq!(done.code, Some(0), "{command}: {done}");
        assert_eq!(
            done.stderr.matches("answers again").count(),
            1,
            "{command}: {done}"
        );
    }
}

async fn gives_up(command: &str, arguments: &[String], endpoint: &str) -> Outcome {
    let program = s3bundler(arguments, endpoint, moto().await).args(["--outage-budget", "2"]);
    let done = program.run().await.unwrap();
    assert_eq!(done.code, Some(4), "{command}: {done}");
    assert!(done.stderr.contains("waiting for it"), "{command}: {done}");
    done
}

/// The seconds in `… has not answered for 2 s: …`.
fn silent_for(stderr: &str) -> Option<u64> {
    let (_, rest) = stderr.split_once("has not answered for ")?;
    rest.split_once(" s: ")?.0.parse().ok()
}

#[tokio::test]
async fn a_process_whose_endpoint_never_answers_ends_soon_after_the_budget() {
    let (_port, _, refusing) = refusing();
    let ended = commands("never").await.map(|(command, arguments)| {
        let refusing = refusing.clone();
        async move {
            let done = gives_up(command, &arguments, &refusing).await;
            let silent = silent_for(&done.stderr).unwrap();
            assert!((2..10).contains(&silent), "{command}: {done}");

            // A refusal is an outage only after ten seconds.
            let down = Proxy::start(moto().await).unwrap();
            down.rule(|_| Fault::FailBefore {
                status: 503,
                code: "ServiceUnavailable",
            });
            let done = gives_up(command, &arguments, &down.endpoint()).await;
            // At the start of the outage, after one second and after two.
            assert!(
                (1..=3).contains(&down.count(Operation::HeadBucket)),
                "{command}: {done}"
            );
            let log = down.log();
            let outage = log
                .iter()
                .skip_while(|it| it.request.operation != Operation::HeadBucket);
            let others: Vec<_> = outage
                .map(|it| it.request.operation)
                .filter(|it| *it != Operation::HeadBucket)
                .collect();
            // One may be on its way while the first question is asked.
            assert!(others.len() <= 1, "{command}: {others:?} {done}");
        }
    });
    futures_util::future::join_all(ended).await;
}

#[tokio::test]
async fn a_signal_ends_a_process_that_waits_for_its_first_answer_at_once() {
    for (command, arguments) in commands("told").await {
        let (_port, _, endpoint) = refusing();
        let running = s3bundler(&arguments, &endpoint, moto().await)
            .spawn()
            .unwrap();
        running.wait_for_output("waiting for it").await.unwrap();
        running.signal(Signal::Interrupt).unwrap();
        // After its budget of a quarter of an hour it would exit 4.
        let done = running.wait().await.unwrap();
        assert_eq!(done.code, Some(130), "{command}: {done}");
    }
}

/// Resolves names from /etc/hosts alone.
const NO_NAME_SERVICE: &str = r#"mount --bind "$1" /etc/nsswitch.conf; shift"#;

#[tokio::test]
async fn an_endpoint_whose_host_does_not_exist_ends_a_process_at_once_and_one_that_cannot_be_looked_up_does_not()
 {
    let folder = tempfile::tempdir().unwrap();
    let files_only = folder.path().join("nsswitch.conf");
    std::fs::write(&files_only, "hosts: files\n").unwrap();
    let access = moto().await.at("http://s3.misspelt.example:9000");
    let command = [
        "bundle",
        "--queue",
        "http://127.0.0.1:9/1/q",
        "--destination",
        "s3://archives/p",
    ];
    let queue = command.map(str::to_owned).to_vec();
    let own = commands("unknown").await;
    for arguments in own.iter().map(|(_, arguments)| arguments).chain([&queue]) {
        let program = namespace::program(&["--mount"], NO_NAME_SERVICE).arg(&files_only);
        let done = program
            .arg(env!("CARGO_BIN_EXE_s3bundler"))
            .access(&access)
            .args(arguments)
            .args(["--log", "info,aws_smithy_runtime=debug"])
            .run()
            .await
            .unwrap();
        namespace::expect_ready(&done);
        assert_eq!(done.code, Some(4), "{done}");
        assert!(
            done.stderr.contains("check the host of the endpoint URL"),
            "{done}"
        );
        assert!(!done.stderr.contains("waiting for it"), "{done}");
        assert!(
            done.stderr.contains("beginning attempt #1")
                && !done.stderr.contains("beginning attempt #2"),
            "asking again does not help: {done}"
        );
    }
    // No name server can be reached: that may pass.
    let program = namespace::program(&["--net"], ":").arg(env!("CARGO_BIN_EXE_s3bundler"));
    let (_, arguments) = &own[0];
    let done = program
        .access(&access)
        .args(arguments)
        .args(["--outage-budget", "2"])
        .run()
        .await
        .unwrap();
    namespace::expect_ready(&done);
    assert_eq!(done.code, Some(4), "{done}");
    assert!(done.stderr.contains("waiting for it"), "{done}");
}
