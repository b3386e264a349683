//! The operator as a process: how it exits, and what it logs where nobody looks at a terminal.

use s3bundler_contract::ExitCode;
use s3bundler_testbed::cli::{Program, Signal};
use serde_json::{Value, json};

/// A cluster whose API server refuses connections.
const NOBODY: &str = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "nobody",
    "contexts": [{"name": "nobody", "context": {"cluster": "nobody", "user": "nobody"}}],
    "clusters": [{"name": "nobody", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "nobody", "user": {}}]}"#;

/// The operator, with all that it needs but a cluster.
fn operator() -> Program {
    Program::new(env!("CARGO_BIN_EXE_s3bundler-operator"))
        .args(["--worker-image=worker", "--listen=127.0.0.1:0"])
        .env("AWS_REGION", "eu-west-1")
}

/// The same, waiting for the Lease of a cluster that does not answer.
fn waiting(folder: &tempfile::TempDir) -> Program {
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, NOBODY).unwrap();
    operator()
        .env("KUBECONFIG", kubeconfig)
        .arg("--lease-namespace=s3bundler-system")
}

#[tokio::test]
async fn wrong_usage_exits_with_6() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.json");
    std::fs::write(&policy, r#"{"rules": [{"surprise": 1}]}"#).unwrap();
    let policy = format!("--policy={}", policy.display());
    for (argument, named) in [
        ("--surprise", "--surprise"),
        ("--max-workers=many", "--max-workers"),
        (&policy, "surprise"),
        ("--log=s3bundler=loud", "s3bundler=loud"),
        ("--worker-resources={", "--worker-resources"),
    ] {
        let ended = waiting(&folder).arg(argument).run().await.unwrap();
        assert_eq!(ended.code, Some(ExitCode::Usage.code().into()), "{ended}");
        assert!(ended.stderr.contains(named), "{ended}");
    }
    let bare = Program::new(env!("CARGO_BIN_EXE_s3bundler-operator"));
    let bare = bare.run().await.unwrap();
    assert_eq!(bare.code, Some(ExitCode::Usage.code().into()), "{bare}");
    let help = operator().arg("--help").run().await.unwrap();
    assert_eq!(help.code, Some(0), "{help}");
}

#[tokio::test]
async fn what_is_not_a_matter_of_usage_exits_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = operator().env("KUBECONFIG", folder.path().join("missing"));
    let ended = nowhere.run().await.unwrap();
    let unexpected = ExitCode::Unexpected.code();
    assert_eq!(ended.code, Some(unexpected.into()), "{ended}");
    assert!(
        ended
            .stderr
            .starts_with("s3bundler-operator: cannot reach a cluster: "),
        "{ended}"
    );
}

/// What it logs until it is asked to end, in this form.
async fn logged(format: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let running = waiting(&folder).args(["--log=debug", &format!("--log-format={format}")]);
    let running = running.spawn().unwrap();
    running.wait_for_output("trying again").await.unwrap();
    running.signal(Signal::Terminate).unwrap();
    let ended = running.wait().await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended}");
    ended.stderr
}

#[tokio::test]
async fn a_log_in_json_is_flat_and_of_others_has_only_warnings() {
    let log = logged("json").await;
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let waits = lines
        .iter()
        .find(|line| line["message"] == "lease cannot be had, trying again")
        .unwrap();
    assert_eq!(waits["level"], "WARN");
    assert_eq!(waits["lease"], json!("s3bundler-operator"));
    for line in &lines {
        let (target, level) = (line["target"].as_str(), line["level"].as_str());
        let is_own = target.unwrap().starts_with("s3bundler");
        assert!(
            is_own || ["WARN", "ERROR"].contains(&level.unwrap()),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_log_in_a_pipe_has_no_colours() {
    let log = logged("text").await;
    assert!(
        log.contains("lease cannot be had") && !log.contains('\u{1b}'),
        "{log}"
    );
}
