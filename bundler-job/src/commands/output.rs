//! Reports on standard output, which may be a pipe whose reader has ended.

use std::io::{self, Write as _};

use serde::Serialize;

use crate::args::OutputFormat;

/// Prints a report: as JSON for machines, as this text for people. A reader that has read enough,
/// such as `head`, is no error.
pub(super) fn write(
    report: &impl Serialize,
    text: impl FnOnce() -> String,
    format: OutputFormat,
) -> io::Result<()> {
    let text = match format {
        // The last two are refused before ([`crate::args::Cli::check`]).
        OutputFormat::Text | OutputFormat::Csv | OutputFormat::Paths => text(),
        OutputFormat::Json => {
            serde_json::to_string_pretty(report).expect("plain fields are JSON") + "\n"
        }
    };
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => Err(cause),
        _ => Ok(()),
    }
}

/// Prints a report of what has been done. A failure is only logged.
pub(super) fn print(report: &impl Serialize, text: impl FnOnce() -> String, format: OutputFormat) {
    if let Err(cause) = write(report, text, format) {
        tracing::warn!(%cause, "the report was not written to standard output");
    }
}
