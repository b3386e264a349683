//! How a process ends: one table for every command, so that scripts, Jobs and pod failure policies
//! can rely on it.

/// The exit code of `s3bundler`. Dead-lettered objects are an outcome (0), not a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ExitCode {
    /// The command did what it was asked.
    Done = 0,
    /// Something that nobody foresaw.
    Unexpected = 1,
    /// This machine: disk full, no memory, scratch not writable.
    Local = 2,
    /// An inventory or group manifest that cannot be read.
    Unreadable = 3,
    /// Writing to the destination failed.
    Upload = 4,
    /// Reading a source, an inventory or a queue failed, or what is to be read is not there yet: a
    /// retry pass before the pass before is whole.
    Download = 5,
    /// Wrong usage, or the run's name is taken.
    Usage = 6,
    /// S3, SQS or KMS denied it.
    Permission = 7,
    /// `verify` found something.
    Findings = 8,
    /// More objects failed than `--max-failed` allows, or all of them.
    TooManyFailed = 9,
    /// archived + copied + failed + left out are not the rows of the inventory.
    AccountingMismatch = 10,
    /// `find` found nothing.
    NothingFound = 11,
    /// Ended by SIGINT.
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

impl ExitCode {
    /// Every code, in the order of the table in the documentation.
    pub const ALL: [Self; 14] = [
        Self::Done,
        Self::Unexpected,
        Self::Local,
        Self::Unreadable,
        Self::Upload,
        Self::Download,
        Self::Usage,
        Self::Permission,
        Self::Findings,
        Self::TooManyFailed,
        Self::AccountingMismatch,
        Self::NothingFound,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number that the operating system sees.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// One line for the table in the documentation.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done; dead-lettered objects are an outcome, told in the summary",
            Self::Unexpected => "unexpected error",
            Self::Local => "local failure: disk, memory",
            Self::Unreadable => "unreadable inventory or manifest",
            Self::Upload => "upload failed",
            Self::Download => "download failed",
            Self::Usage => "usage, or the run's name is taken",
            Self::Permission => "permission denied",
            Self::Findings => "verify found something",
            Self::TooManyFailed => "too many objects failed (`run --max-failed`), or all of them",
            Self::AccountingMismatch => {
                "archived + copied + failed + left out are not the rows of the inventory"
            }
            Self::NothingFound => "find found nothing",
            Self::Interrupted => "ended by SIGINT",
            Self::Terminated => "ended by SIGTERM (bundle --queue drains and exits 0)",
        }
    }
}

/// An error that ends a process, if nothing handles it before.
pub trait HasExitCode {
    /// What the process exits with.
    fn exit_code(&self) -> ExitCode;
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        code.code().into()
    }
}

#[cfg(test)]
mod tests;
