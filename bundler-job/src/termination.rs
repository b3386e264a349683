//! The termination message of the container that the program runs in, if it runs in one.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

/// Writes the line to the file that Kubernetes made for it. If there is no such file, nothing
/// reads it. A failure is only logged: the exit code and the error are reported anyway.
pub(crate) fn write(path: &Path, line: &str) {
    let opened = OpenOptions::new().write(true).truncate(true).open(path);
    let written = opened.and_then(|mut file| file.write_all(line.as_bytes()));
    match written {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %cause, "the termination message was not written");
        }
        _ => {}
    }
}
