//! Before anything else, once per destination: does the store answer a second PUT with `If-None-Match: *` with 412? The
//! commit protocol rests on it. The probe cannot prove that the store decides races atomically.

use s3bundler_contract::ExitCode;

use crate::args::Destination;
use crate::s3::{ErrorKind, Put, PutBody, S3, S3Error};

/// Why a destination cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It cannot be written at all.
    #[error("the destination cannot be written: {0}")]
    Write(S3Error),
    /// It ignores If-None-Match.
    #[error(
        "the store behind s3://{0} overwrites objects in spite of If-None-Match, so two workers could both commit a \
         group; use a store with conditional writes, or --single-writer while no other process writes this run"
    )]
    NoConditions(String),
}

impl ProbeError {
    /// What the process exits with.
    pub const fn exit(&self) -> ExitCode {
        match self {
            Self::Write(error) => error.writing(),
            Self::NoConditions(_) => ExitCode::Usage,
        }
    }
}

/// Puts a scratch key twice and deletes it.
pub async fn conditional_writes(s3: &S3, destination: &Destination, single_writer: bool) -> Result<(), ProbeError> {
    let scratch = destination.address(destination.layout.probe(&format!("{:016x}", rand::random::<u64>())));
    let put = Put { if_none_match: true, ..Put::default() };
    let body = || PutBody::Bytes("does this store honour If-None-Match?\n".into());
    s3.put(&scratch, body(), &put).await.map_err(ProbeError::Write)?;
    let second = s3.put(&scratch, body(), &put).await;
    if let Err(error) = s3.delete(&scratch).await {
        tracing::warn!(%error, "scratch key of the probe is left behind");
    }
    match second {
        Err(error) if error.kind == ErrorKind::Precondition => Ok(()),
        Ok(_) if single_writer => {
            tracing::warn!(
                bucket = destination.bucket,
                "store ignores conditional writes; going on as its single writer"
            );
            Ok(())
        }
        Ok(_) => Err(ProbeError::NoConditions(destination.bucket.clone())),
        Err(error) => Err(ProbeError::Write(error)),
    }
}
