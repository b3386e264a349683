//! The binary starts servers by hand, and nothing it started outlives it.

use std::path::Path;

use s3bundler_testbed::cli::{Program, Running, Signal, kill_and_wait};
use s3bundler_testbed::client;
use s3bundler_testbed::install::{Recipe, installed};
use s3bundler_testbed::patience::until;
use s3bundler_testbed::servers::Access;

async fn servers_up() -> Running {
    let program = Program::new(env!("CARGO_BIN_EXE_s3bundler-testbed")).args([
        "servers",
        "--s3",
        "versitygw",
        "--sqs",
        "moto",
    ]);
    // Installed from here, because programs under test are run without what package managers read
    // from the environment.
    tokio::task::spawn_blocking(|| {
        [Recipe::VersityGw, Recipe::Moto].map(|recipe| installed(recipe).unwrap())
    })
    .await
    .unwrap();
    let program = ["HOME", "S3BUNDLER_CACHE"]
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)))
        .fold(program, |program, (name, value)| program.env(name, value));
    let running = program.spawn().unwrap();
    running
        .wait_for_output("export AWS_EC2_METADATA_DISABLED=true\n")
        .await
        .unwrap();
    running
}

fn exported(printed: &str, name: &str) -> String {
    let line = printed
        .lines()
        .find_map(|line| line.strip_prefix(&format!("export {name}=")))
        .unwrap();
    line.to_owned()
}

/// The servers that were printed, as (S3, SQS).
fn servers(running: &Running) -> (Access, Access) {
    let printed = running.stdout();
    let get = |name| exported(&printed, name);
    let s3 = Access::new(
        get("AWS_ENDPOINT_URL"),
        get("AWS_ACCESS_KEY_ID"),
        get("AWS_SECRET_ACCESS_KEY"),
    );
    let sqs = s3.at(get("AWS_ENDPOINT_URL_SQS"));
    (s3, sqs)
}

/// `exec` against a cache of its own, in which no cluster is up.
fn exec(cache: &Path, command: &[&str]) -> Program {
    let program =
        Program::new(env!("CARGO_BIN_EXE_s3bundler-testbed")).env("S3BUNDLER_CACHE", cache);
    program
        .env("HOME", cache)
        .args(["exec", "--"])
        .args(command)
}

#[tokio::test]
async fn commands_are_executed_with_somebodys_own_cluster_where_none_is_up() {
    let cache = tempfile::tempdir().unwrap();
    let helm = tokio::task::spawn_blocking(|| installed(Recipe::Helm).unwrap())
        .await
        .unwrap();
    std::os::unix::fs::symlink(&helm, cache.path().join(helm.file_name().unwrap())).unwrap();
    let own = cache.path().join("own.kubeconfig");
    std::fs::write(&own, "").unwrap();
    let command = [
        "sh",
        "-c",
        "echo $KUBECONFIG ${AWS_ENDPOINT_URL-none}; helm version --short; exit 3",
    ];
    let done = exec(cache.path(), &command)
        .env("KUBECONFIG", &own)
        .run()
        .await
        .unwrap();
    assert_eq!(done.code, Some(3), "{done}");
    assert!(
        done.stdout
            .starts_with(&format!("{} none\nv3.", own.display())),
        "{done}"
    );

    for kubeconfig in ["", "/gone/admin.kubeconfig"] {
        let done = exec(cache.path(), &command)
            .env("KUBECONFIG", kubeconfig)
            .run()
            .await
            .unwrap();
        assert_eq!(done.code, Some(1), "{done}");
        assert!(done.stderr.contains("no cluster runs"), "{done}");
    }
}

async fn nobody_listens(access: &Access) {
    let address = access.endpoint.strip_prefix("http://").unwrap();
    until(async || tokio::net::TcpStream::connect(address).await.is_err()).await;
}

#[tokio::test]
async fn servers_run_until_the_signal() {
    let running = servers_up().await;
    let (s3, sqs) = servers(&running);
    client::create_bucket(&client::s3(&s3), "bucket")
        .await
        .unwrap();
    client::create_queue(&client::sqs(&sqs), "queue")
        .await
        .unwrap();
    running.signal(Signal::Interrupt).unwrap();
    let done = running.wait().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    nobody_listens(&s3).await;
    nobody_listens(&sqs).await;
}

#[tokio::test]
async fn servers_end_with_a_process_that_is_killed() {
    let running = servers_up().await;
    let (s3, sqs) = servers(&running);
    kill_and_wait(running.pid()).unwrap();
    nobody_listens(&s3).await;
    nobody_listens(&sqs).await;
}

#[tokio::test]
async fn the_simulator_starts_as_its_options_say() {
    let folder = tempfile::tempdir().unwrap();
    let weather = folder.path().join("weather.json");
    std::fs::write(&weather, r#"{"latency": {"leastMs": 1}, "seed": 7}"#).unwrap();
    let running = Program::new(env!("CARGO_BIN_EXE_s3bundler-testbed"))
        .args([
            "servers",
            "--s3",
            "simulator",
            "--https",
            "--host",
            "s3.test",
        ])
        .args(["--threads", "2", "--thaw", "0", "--digests-from", "10"])
        .arg("--weather")
        .arg(&weather)
        .spawn()
        .unwrap();
    running
        .wait_for_output("export AWS_EC2_METADATA_DISABLED=true\n")
        .await
        .unwrap();
    let printed = running.stdout();
    assert!(printed.contains("# https://<bucket>.s3.test:"), "{printed}");
    let mut access = Access::new(
        exported(&printed, "AWS_ENDPOINT_URL"),
        exported(&printed, "AWS_ACCESS_KEY_ID"),
        exported(&printed, "AWS_SECRET_ACCESS_KEY"),
    );
    assert!(access.endpoint.starts_with("https://"), "{printed}");
    access.certificate_authority = Some(exported(&printed, "AWS_CA_BUNDLE").into());
    let s3 = client::s3(&access);
    client::create_bucket(&s3, "bucket").await.unwrap();
    client::put_object(&s3, "bucket", "small", "123456789")
        .await
        .unwrap();
    client::put_object(&s3, "bucket", "large", "1234567890")
        .await
        .unwrap();
    assert!(client::get_bytes(&s3, "bucket", "small").await.is_ok());
    let refused = client::get_bytes(&s3, "bucket", "large").await.unwrap_err();
    assert!(refused.cause.contains("NotImplemented"), "{refused}");
    running.signal(Signal::Interrupt).unwrap();
    let done = running.wait().await.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(!access.certificate_authority.unwrap().exists());
}

#[tokio::test]
async fn wrong_options_of_the_simulator_are_explained() {
    for (options, code, wanted) in [
        (
            ["--s3", "moto", "--threads", "2"],
            2,
            "options of the simulator need --s3 simulator",
        ),
        (
            ["--s3", "simulator", "--weather", "/gone/weather.json"],
            1,
            "cannot read the weather from /gone/weather.json",
        ),
        (
            ["--s3", "simulator", "--weather", "/dev/null"],
            1,
            "/dev/null is not a weather",
        ),
    ] {
        let program = Program::new(env!("CARGO_BIN_EXE_s3bundler-testbed"));
        let done = program.arg("servers").args(options).run().await.unwrap();
        assert_eq!(done.code, Some(code), "{done}");
        assert!(done.stderr.contains(wanted), "{done}");
    }
}
