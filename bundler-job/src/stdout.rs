//! Standard output, which may be a pipe whose reader has ended.

use std::io::{self, Write as _};

/// Prints a text. A reader that has read enough, such as `head`, is no error.
pub fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => Err(cause),
        _ => Ok(()),
    }
}

/// Prints a text that reports what has been done. A failure is only logged.
pub fn print(text: &str) {
    if let Err(cause) = write(text) {
        tracing::warn!(%cause, "the report was not written to standard output");
    }
}
