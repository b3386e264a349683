//! The log: on standard error, as text or JSON, past the progress bar and not through it.

use std::io::{self, IsTerminal, Write};

use s3bundler_contract::ExitCode;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::args::{GlobalArgs, OutputFormat};
use crate::failure::Failure;
use crate::progress::SCREEN;

/// What speaks below its warnings of every request: silent unless the user names it.
const QUIET: &str = "aws_config=warn,aws_credential_types=warn,aws_runtime=warn,aws_sdk_s3=warn,aws_sdk_sqs=warn,\
                     aws_sdk_sso=warn,aws_sdk_ssooidc=warn,aws_sdk_sts=warn,aws_sigv4=warn,aws_smithy_http_client=warn,\
                     aws_smithy_runtime=warn,aws_smithy_runtime_api=warn,h2=warn,hyper=warn,hyper_util=warn,rustls=warn";

/// Starts the log. To be called once, before anything is said.
pub fn init(global: &GlobalArgs) -> Result<(), Failure> {
    let filter = filter(&global.log)?;
    let is_coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
    // A line that cannot be written is lost: the subscriber would report it on standard error, and panic there.
    let log = tracing_subscriber::fmt().log_internal_errors(false);
    let log = log.with_env_filter(filter).with_writer(Stderr).with_ansi(is_coloured);
    match global.log_format {
        OutputFormat::Text => log.try_init(),
        OutputFormat::Json => log.json().flatten_event(true).with_ansi(false).try_init(),
    }
    .map_err(|error| Failure::new(ExitCode::Unexpected, format!("cannot start the log: {error}")))
}

/// The user's directives; where they do not name a crate of the SDK's, it only warns.
fn filter(directives: &str) -> Result<EnvFilter, Failure> {
    EnvFilter::try_new(format!("{QUIET},{directives}"))
        .map_err(|error| Failure::new(ExitCode::Usage, format!("--log {directives:?} cannot be used: {error}")))
}

/// Standard error beside the progress bar, which is taken away for as long as a line is written.
#[derive(Debug, Clone, Copy)]
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        SCREEN.suspend(|| io::stderr().write(line))
    }

    /// The subscriber writes a line at once: this keeps it whole.
    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        SCREEN.suspend(|| io::stderr().write_all(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

#[cfg(test)]
mod tests {
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

    /// What is logged of one event each from us and from the SDK.
    fn logged(directives: &str) -> (bool, bool) {
        let captured = Captured::default();
        let writer = captured.clone();
        let filter = filter(directives).expect("good directives");
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(log, || {
            tracing::debug!(target: "s3bundler::queue", "ours");
            tracing::debug!(target: "aws_smithy_runtime::client", "theirs");
        });
        let text = String::from_utf8(captured.0.lock().expect("whole").clone()).expect("text");
        (text.contains("ours"), text.contains("theirs"))
    }

    #[test]
    fn the_sdk_is_quiet_unless_named() {
        assert_eq!(logged("info"), (false, false));
        assert_eq!(logged("debug"), (true, false));
        assert_eq!(logged("warn,s3bundler=debug"), (true, false));
        assert_eq!(logged("info,aws_smithy_runtime=debug"), (false, true));
    }

    #[test]
    fn directives_that_are_none_are_a_matter_of_usage() {
        let failure = filter("s3bundler=loud").expect_err("no level");
        assert_eq!(failure.exit, ExitCode::Usage);
        assert!(failure.message.contains("s3bundler=loud"), "{failure}");
    }
}
