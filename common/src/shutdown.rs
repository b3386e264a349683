//! SIGINT and SIGTERM: the first asks every part to end cleanly, the second ends the process at
//! once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use s3bundler_contract::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Whether and by which signal the process was asked to end.
#[derive(Debug, Clone)]
pub struct Shutdown {
    token: CancellationToken,
    by: Arc<AtomicU8>,
}

impl Shutdown {
    /// Listens from now on. Must be called inside a runtime.
    pub fn listen() -> std::io::Result<Self> {
        let (mut int, mut term) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        let shutdown = Self {
            token: CancellationToken::new(),
            by: Arc::default(),
        };
        let listening = shutdown.clone();
        tokio::spawn(async move {
            loop {
                let code = tokio::select! {
                    _ = int.recv() => ExitCode::Interrupted,
                    _ = term.recv() => ExitCode::Terminated,
                };
                if listening.token.is_cancelled() {
                    std::process::exit(code.code().into());
                }
                listening.by.store(code.code(), Ordering::Relaxed);
                listening.token.cancel();
                // Last: a standard error that takes nothing must not delay the end.
                tracing::info!(exit = code.code(), "ending; once more to end at once");
            }
        });
        Ok(shutdown)
    }

    /// Cancelled once a signal came.
    pub const fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// The exit code of the signal that came.
    pub fn by(&self) -> Option<ExitCode> {
        match self.by.load(Ordering::Relaxed) {
            0 => None,
            130 => Some(ExitCode::Interrupted),
            _ => Some(ExitCode::Terminated),
        }
    }
}
