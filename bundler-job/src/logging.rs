//! Where the log goes: to standard error, past the progress bar and not through it.

use std::io::{self, Write};

use s3bundler_common::failure::Failure;
use s3bundler_common::logging::{self, LogFormat};
use tracing_subscriber::fmt::MakeWriter;

use crate::args::{GlobalArgs, LogFormatArg};
use crate::progress::SCREEN;

/// Starts the log. To be called once, before anything is logged.
pub fn init(global: &GlobalArgs) -> Result<(), Failure> {
    let format = match global.log_format {
        LogFormatArg::Text => LogFormat::Text,
        LogFormatArg::Json => LogFormat::Json,
    };
    Ok(logging::init(&global.log, format, Stderr)?)
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
