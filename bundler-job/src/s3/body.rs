//! A GET whose body resumes: the SDK's retries end when headers arrive, a body that stops or is short is ours.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use s3bundler_contract::S3Address;

use super::error::{ErrorKind, S3Error};

/// A body that gives nothing for this long is broken.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(30);
/// Breaks in a row, with no byte between them, before a body is given up.
const MAX_BREAKS: u32 = 5;

/// The body of one object version, read in order, to its end or from an offset.
#[derive(Debug)]
pub struct Body {
    client: Client,
    address: S3Address,
    version_id: Option<String>,
    etag: Option<String>,
    stream: ByteStream,
    /// Bytes given so far, from the start of the object.
    at: u64,
    /// Where the body ends, exclusive, from the start of the object.
    end: u64,
    breaks: u32,
}

impl Body {
    /// Continues from the headers of a GET of a whole object.
    pub fn new(client: Client, address: S3Address, version_id: Option<String>, output: GetObjectOutput) -> Self {
        let end = output.content_length().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let etag = output.e_tag().map(str::to_owned);
        Self { client, address, version_id, etag, stream: output.body, at: 0, end, breaks: 0 }
    }

    /// Bytes that are still to come.
    pub fn remaining(&self) -> u64 {
        self.end - self.at
    }

    /// The next bytes; `None` once the whole body has come. A replaced object is [`ErrorKind::Precondition`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        while self.at < self.end {
            let broken = match tokio::time::timeout(CHUNK_TIMEOUT, self.stream.next()).await {
                Ok(Some(Ok(chunk))) if chunk.len() as u64 > self.end - self.at => {
                    return Err(self.error(ErrorKind::Rejected, "the body is longer than its Content-Length"));
                }
                Ok(Some(Ok(chunk))) => {
                    self.at += chunk.len() as u64;
                    self.breaks = 0;
                    return Ok(Some(chunk));
                }
                Ok(Some(Err(error))) => error.to_string(),
                Ok(None) => format!("the body ended {} bytes early", self.end - self.at),
                Err(_) => format!("the body gave nothing for {} s", CHUNK_TIMEOUT.as_secs()),
            };
            self.resume(broken).await?;
        }
        Ok(None)
    }

    async fn resume(&mut self, broken: String) -> Result<(), S3Error> {
        self.breaks += 1;
        if self.breaks > MAX_BREAKS || self.etag.is_none() {
            return Err(self.error(ErrorKind::Transient, broken));
        }
        tracing::debug!(bucket = self.address.bucket, key = ?self.address.key, at = self.at, cause = broken, "body broke, resuming");
        tokio::time::sleep(Duration::from_millis(100 << self.breaks)).await;
        let output = self
            .client
            .get_object()
            .bucket(&self.address.bucket)
            .key(&self.address.key)
            .set_version_id(self.version_id.clone())
            .set_if_match(self.etag.clone())
            .range(format!("bytes={}-{}", self.at, self.end - 1))
            .send()
            .await;
        match output {
            Ok(output) if output.content_length().and_then(|n| u64::try_from(n).ok()) == Some(self.remaining()) => {
                self.stream = output.body;
                Ok(())
            }
            Ok(_) => Err(self.error(ErrorKind::Rejected, "the server does not answer ranges as asked")),
            Err(error) => {
                let error = S3Error::new("GetObject", self.address.clone(), &error);
                if error.kind.is_transient() {
                    // Counted as one more break by the next read, which finds an empty stream.
                    self.stream = ByteStream::default();
                    Ok(())
                } else {
                    Err(error)
                }
            }
        }
    }

    fn error(&self, kind: ErrorKind, detail: impl Into<String>) -> S3Error {
        S3Error::local("GetObject", self.address.clone(), kind, detail)
    }
}
