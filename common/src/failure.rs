//! How a program ends when it does not end well: one message for people, one code for scripts.

use std::fmt::Display;

use s3bundler_contract::{ExitCode, HasExitCode};

use crate::text::printable;

/// The end of a program. Every step's error knows its [`ExitCode`] and becomes one of these in the
/// command that ran it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What the process exits with.
    pub exit: ExitCode,
    /// What was being done, to what, the cause, and the next step where there is one.
    pub message: String,
}

impl Failure {
    /// A failure with this code and message. Errors quote what comes from outside; none of it
    /// reaches the terminal as anything but text.
    pub fn new(exit: ExitCode, message: impl Display) -> Self {
        let message = message.to_string();
        let lines: Vec<_> = message.split('\n').map(printable).collect();
        Self {
            exit,
            message: lines.join("\n"),
        }
    }
}

impl<E: HasExitCode + Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error.exit_code(), error)
    }
}
