//! Several failures in one command that went on after each: the worst decides the exit code, the
//! first are shown.

use s3bundler_common::failure::Failure;
use s3bundler_contract::ExitCode;

/// Failures that are shown; the log has them all.
const SHOWN: usize = 3;

/// What failed so far, in bounded memory.
#[derive(Debug, Default)]
pub(super) struct Failures {
    count: u64,
    worst: Option<ExitCode>,
    shown: Vec<String>,
}

impl Failures {
    /// One more.
    pub(super) fn add(&mut self, failure: &Failure) {
        self.count += 1;
        // The table is in order of weight: usage and permission are the user's to mend, and come
        // last.
        self.worst = self
            .worst
            .into_iter()
            .chain([failure.exit])
            .max_by_key(|exit| exit.code());
        // Groups often fail for one cause.
        if self.shown.len() < SHOWN && !self.shown.contains(&failure.message) {
            self.shown.push(failure.message.clone());
        }
    }

    /// How many.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// A failure that begins with `what`, if there was any.
    pub(super) fn into_result(self, what: &str) -> Result<(), Failure> {
        let Some(exit) = self.worst else {
            return Ok(());
        };
        Err(Failure::new(
            exit,
            format!("{what}\n  {}", self.shown.join("\n  ")),
        ))
    }
}

#[cfg(test)]
mod tests;
