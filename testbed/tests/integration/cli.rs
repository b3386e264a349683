//! Programs are run with a clean environment and always come to an end.

use std::time::Duration;

use s3bundler_testbed::cli::{CliError, Program, Signal, kill_and_wait};
use s3bundler_testbed::patience::until;
use s3bundler_testbed::servers::Access;

fn shell(script: &str) -> Program {
    Program::new("/bin/sh").args(["-c", script])
}

#[tokio::test]
async fn output_and_exit_code_are_captured() {
    let done = shell("cat; echo error >&2; exit 3")
        .input("from us")
        .run()
        .await
        .unwrap();
    assert_eq!((done.code, done.signal), (Some(3), None));
    assert_eq!(
        (done.stdout.as_str(), done.stderr.as_str()),
        ("from us", "error\n")
    );
}

#[tokio::test]
async fn the_environment_is_the_servers_and_nothing_else() {
    let access = Access::new("http://127.0.0.1:1", "key", "secret");
    let done = shell("env")
        .access(&access)
        .env("EXTRA", "1")
        .run()
        .await
        .unwrap();
    for line in [
        "AWS_ENDPOINT_URL=http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID=key",
        "AWS_EC2_METADATA_DISABLED=true",
        "EXTRA=1",
    ] {
        assert!(
            done.stdout.lines().any(|printed| printed == line),
            "{line} is missing in {done}"
        );
    }
    assert!(
        !done.stdout.contains("HOME=") && !done.stdout.contains("CARGO"),
        "{done}"
    );
}

#[tokio::test]
async fn signals_reach_a_program_in_the_background() {
    let running =
        shell("trap 'echo drained; exit 0' TERM; echo ready; while :; do sleep 0.05; done")
            .spawn()
            .unwrap();
    running.wait_for_output("ready").await.unwrap();
    running.signal(Signal::Terminate).unwrap();
    let done = running.wait().await.unwrap();
    assert_eq!(done.code, Some(0));
    assert!(done.stdout.ends_with("drained\n"));
    assert!(done.peak_memory > 0);
}

#[tokio::test]
async fn a_killed_program_ends_with_the_signal() {
    let running = shell("echo ready; exec sleep 3600").spawn().unwrap();
    running.wait_for_output("ready").await.unwrap();
    kill_and_wait(running.pid()).unwrap();
    assert_eq!(running.wait().await.unwrap().signal, Some(9));
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_and_its_output_told() {
    // Counted from the start, so there must be time to say something.
    let running = shell("echo stuck here; exec sleep 600")
        .timeout(Duration::from_secs(10))
        .spawn()
        .unwrap();
    running.wait_for_output("stuck here").await.unwrap();
    let error = running.wait().await.unwrap_err();
    assert!(
        matches!(&error, CliError::TimedOut { output, .. } if output.contains("stuck here")),
        "{error}"
    );
}

#[tokio::test]
async fn dropping_a_program_ends_it() {
    let running = shell("exec sleep 3600").spawn().unwrap();
    let pid = running.pid();
    drop(running);
    until(async || !std::path::Path::new(&format!("/proc/{pid}")).exists()).await;
}
