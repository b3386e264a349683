//! The log of a program on standard error, as text or JSON.

use std::io::IsTerminal as _;

use s3bundler_contract::{ExitCode, HasExitCode};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Crates that log every request below their warnings: silent unless the user names them. A name
/// stands for all targets that start with it.
const QUIET: &str = "aws_config=warn,aws_credential_types=warn,aws_runtime=warn,aws_sdk_s3=warn,aws_sdk_sqs=warn,aws_sdk_sso=warn,aws_sdk_ssooidc=warn,aws_sdk_sts=warn,aws_sigv4=warn,aws_smithy_http_client=warn,aws_smithy_runtime=warn,aws_smithy_runtime_api=warn,h2=warn,hyper=warn,kube_client=warn,kube_runtime=warn,rustls=warn,tower=warn";

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; in colours on a terminal, unless `NO_COLOR` is set.
    Text,
    /// An object each.
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Directives that are none.
    #[error("--log {directives:?} cannot be used: {cause}")]
    Directives {
        /// What the user wrote.
        directives: String,
        /// What is wrong with it.
        cause: tracing_subscriber::filter::ParseError,
    },
    /// There is one already.
    #[error("cannot start the log: {0}")]
    Started(Box<dyn std::error::Error + Send + Sync>),
}

impl HasExitCode for LogError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Directives { .. } => ExitCode::Usage,
            Self::Started(_) => ExitCode::Unexpected,
        }
    }
}

/// Starts the log. To be called once, before anything is logged. `writer` writes to standard error.
pub fn init<W>(directives: &str, format: LogFormat, writer: W) -> Result<(), LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = filter(directives)?;
    // A line that cannot be written is lost: the subscriber would report it on standard error, and
    // panic there.
    let log = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer(writer);
    match format {
        LogFormat::Text => log.with_ansi(shows_colours()).try_init(),
        LogFormat::Json => log.json().flatten_event(true).with_ansi(false).try_init(),
    }
    .map_err(LogError::Started)
}

fn shows_colours() -> bool {
    let is_unset = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    std::io::stderr().is_terminal() && is_unset
}

/// The user's directives; a crate of [`QUIET`] that they do not name only warns.
fn filter(directives: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::try_new(format!("{QUIET},{directives}")).map_err(|cause| LogError::Directives {
        directives: directives.to_owned(),
        cause,
    })
}

#[cfg(test)]
mod tests;
