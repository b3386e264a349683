//! A program with its arguments and environment, before it runs.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{CliError, Outcome, Running};
use crate::patience::PATIENCE;
use crate::servers::{Access, Watchdog};

/// Variables of our own environment that the program keeps: to find programs and libraries, to
/// write where we may, and to report coverage and panics.
const KEPT: [&str; 6] = [
    "PATH",
    "LD_LIBRARY_PATH",
    "TMPDIR",
    "LLVM_PROFILE_FILE",
    "RUST_BACKTRACE",
    "SSL_CERT_FILE",
];

/// A program to run, with its arguments and environment.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    folder: Option<PathBuf>,
    input: Option<Bytes>,
    patience: Duration,
}

impl Program {
    /// Usually `Program::new(env!("CARGO_BIN_EXE_s3bundler"))`.
    pub fn new(path: impl AsRef<Path>) -> Self {
        let mut environment: BTreeMap<OsString, OsString> = KEPT
            .iter()
            .filter_map(|name| Some(((*name).into(), std::env::var_os(name)?)))
            .collect();
        for (name, value) in [
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ] {
            environment.insert(name.into(), value.into());
        }
        Self {
            path: path.as_ref().to_owned(),
            arguments: Vec::new(),
            environment,
            folder: None,
            input: None,
            patience: PATIENCE,
        }
    }

    /// The server (or proxy) for S3, and for SQS unless [`Program::sqs`] names another.
    #[must_use]
    pub fn access(mut self, access: &Access) -> Self {
        self.environment.extend(
            access
                .environment()
                .into_iter()
                .map(|(name, value)| (name.into(), value.into())),
        );
        self
    }

    /// Another endpoint for SQS. The keys stay those of [`Program::access`].
    #[must_use]
    pub fn sqs(self, access: &Access) -> Self {
        self.env("AWS_ENDPOINT_URL_SQS", &access.endpoint)
    }

    /// One more environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// One variable fewer, such as `AWS_ACCESS_KEY_ID`.
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.environment.remove(name.as_ref());
        self
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(
            arguments
                .into_iter()
                .map(|argument| argument.as_ref().to_owned()),
        );
        self
    }

    /// The working directory.
    #[must_use]
    pub fn folder(mut self, folder: impl AsRef<Path>) -> Self {
        self.folder = Some(folder.as_ref().to_owned());
        self
    }

    /// What it reads from its standard input, which is empty otherwise.
    #[must_use]
    pub fn input(mut self, input: impl Into<Bytes>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// How long it may take before it is killed and the run is an error; [`PATIENCE`] unless given.
    #[must_use]
    pub fn timeout(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Runs it to its end.
    pub async fn run(self) -> Result<Outcome, CliError> {
        self.spawn()?.wait().await
    }

    /// Starts it in the background. Must be called inside a tokio runtime.
    pub fn spawn(self) -> Result<Running, CliError> {
        let failed = |source| CliError::Start {
            program: self.path.clone(),
            source,
        };
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .stdin(if self.input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let begun = Instant::now();
        let mut child = command.spawn().map_err(failed)?;
        let pid = child.id().unwrap_or_default();
        let watchdog = Watchdog::over(pid, None).map_err(failed)?;
        if let (Some(input), Some(mut pipe)) = (self.input, child.stdin.take()) {
            // A program that does not read all of its input is free to.
            tokio::spawn(async move { pipe.write_all(&input).await });
        }
        Ok(Running::watch(child, pid, begun, self.patience, watchdog))
    }
}
