//! Before anything else, once per destination: does the store answer a second PUT with
//! `If-None-Match: *` with 412? The commit protocol rests on it. The probe cannot prove that the
//! store decides races atomically.
//!
//! A single writer needs no conditions and sends none: for it the probe is one PUT.

use bytes::Bytes;
use s3bundler_contract::{ExitCode, HasExitCode, S3Address};

use crate::destination::Destination;
use crate::s3::{ErrorKind, Put, PutBody, S3, S3Error};

/// Why a destination cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It cannot be written at all.
    #[error("the destination cannot be written: {0}")]
    Write(S3Error),
    /// It ignores If-None-Match.
    #[error(
        "the store behind s3://{0} overwrites objects in spite of If-None-Match, so two workers \
         could both commit a group; use a store with conditional writes, or --single-writer while \
         no other process writes this run"
    )]
    NoConditions(String),
    /// It refuses requests with If-None-Match.
    #[error(
        "the store behind s3://{} refuses If-None-Match ({}), so two workers could both commit a \
         group; use a store with conditional writes, or --single-writer while no other process \
         writes this run",
        .0.address.bucket,
        .0.detail
    )]
    RefusesConditions(S3Error),
}

impl HasExitCode for ProbeError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Write(error) => error.writing(),
            Self::NoConditions(_) | Self::RefusesConditions(_) => ExitCode::Usage,
        }
    }
}

/// PUTs a new key twice, or once as a single writer, and deletes it.
pub async fn conditional_writes(s3: &S3, destination: &Destination) -> Result<(), ProbeError> {
    let nonce = format!("{:016x}", rand::random::<u64>());
    let probe = Probe {
        s3,
        key: destination.address(destination.layout.probe(&nonce)),
        // Only this process has these bytes.
        bytes: format!("does this store honour If-None-Match? {nonce}\n").into(),
    };
    if s3.single_writer() {
        probe.put(false).await.map_err(ProbeError::Write)?;
        probe.delete().await;
        return Ok(());
    }
    let honoured = probe.is_honoured().await;
    if !matches!(honoured, Err(ProbeError::Write(_))) {
        probe.delete().await;
    }
    honoured
}

struct Probe<'a> {
    s3: &'a S3,
    key: S3Address,
    bytes: Bytes,
}

impl Probe<'_> {
    async fn is_honoured(&self) -> Result<(), ProbeError> {
        match self.put(true).await {
            Ok(_) => {}
            // The SDK repeats a PUT whose answer was lost, and the repeated one meets its own
            // object.
            Err(error) if error.kind == ErrorKind::Precondition => {
                return match self.is_ours().await? {
                    Some(true) => Ok(()),
                    Some(false) => Err(ProbeError::Write(error)),
                    // The key does not exist: the store answers so to every request with the
                    // condition.
                    None => Err(self.refused(error).await),
                };
            }
            // A gateway may refuse the header with a page of its own.
            Err(error)
                if matches!(
                    error.kind,
                    ErrorKind::Rejected | ErrorKind::Unsupported | ErrorKind::Foreign
                ) =>
            {
                return Err(self.refused(error).await);
            }
            Err(error) => return Err(ProbeError::Write(error)),
        }
        match self.put(true).await {
            Err(error) if error.kind == ErrorKind::Precondition => Ok(()),
            Err(error) => {
                self.delete().await;
                Err(ProbeError::Write(error))
            }
            Ok(_) => Err(ProbeError::NoConditions(self.key.bucket.clone())),
        }
    }

    /// Whether it is the condition that was refused: then the same PUT is accepted without it.
    async fn refused(&self, conditional: S3Error) -> ProbeError {
        match self.put(false).await {
            Ok(_) => ProbeError::RefusesConditions(conditional),
            Err(error) => ProbeError::Write(error),
        }
    }

    async fn put(&self, if_none_match: bool) -> Result<String, S3Error> {
        let put = Put {
            if_none_match,
            ..Put::default()
        };
        self.s3
            .put(&self.key, PutBody::Bytes(self.bytes.clone()), &put)
            .await
    }

    /// Whether the key has the bytes of this probe; `None` if it does not exist.
    async fn is_ours(&self) -> Result<Option<bool>, ProbeError> {
        match self
            .s3
            .get_bytes(&self.key, None, self.bytes.len() as u64)
            .await
        {
            Ok((bytes, _)) => Ok(Some(bytes == self.bytes)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ProbeError::Write(error)),
        }
    }

    async fn delete(&self) {
        if let Err(error) = self.s3.delete(&self.key).await {
            tracing::warn!(%error, "the key of the probe is left behind");
        }
    }
}
