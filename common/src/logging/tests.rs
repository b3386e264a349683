use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::*;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("whole").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether one event each of ours, of the SDK and of the client of Kubernetes is logged.
fn logged(directives: &str) -> (bool, bool, bool) {
    let captured = Captured::default();
    let writer = captured.clone();
    let filter = filter(directives).expect("good directives");
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(log, || {
        tracing::debug!(target: "s3bundler::queue", "ours");
        tracing::debug!(target: "aws_smithy_runtime::client", "of the SDK");
        tracing::debug!(target: "kube_client::client::builder", "of Kubernetes");
    });
    let text = String::from_utf8(captured.0.lock().expect("whole").clone()).expect("text");
    let is_logged = |event| text.contains(event);
    (
        is_logged("ours"),
        is_logged("of the SDK"),
        is_logged("of Kubernetes"),
    )
}

#[test]
fn clients_are_quiet_unless_named() {
    assert_eq!(logged("info"), (false, false, false));
    assert_eq!(logged("debug"), (true, false, false));
    assert_eq!(logged("warn,s3bundler=debug"), (true, false, false));
    assert_eq!(
        logged("info,aws_smithy_runtime=debug"),
        (false, true, false)
    );
    assert_eq!(logged("info,kube_client=debug"), (false, false, true));
}

#[test]
fn directives_that_are_none_are_named() {
    let error = filter("s3bundler=loud").expect_err("no level");
    assert!(
        matches!(error, LogError::Directives { .. })
            && error.to_string().contains("s3bundler=loud"),
        "{error}"
    );
    assert_eq!(error.exit_code(), ExitCode::Usage);
}
