//! Standard output, which may be a pipe whose reader has ended.

use std::io::{self, Write as _};

/// Prints a text. A reader that has read enough, such as `head`, is no error; any other failure is logged, because what
/// the text reports has been done.
pub fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => {
            tracing::warn!(%cause, "the report was not written to standard output");
        }
        _ => {}
    }
}
