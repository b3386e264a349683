//! Whose denial the answer to a copy is: one request reads the source and writes the destination.

use s3bundler_contract::S3Address;

use super::Copier;
use crate::s3::{S3Error, Tags};

/// A side of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Destination,
}

/// The side whose bucket the message names by its ARN, as messages of IAM do ("Access denied error
/// message examples", IAM user guide); `None` if it names neither or both.
pub(super) fn named(message: &str, source: &str, destination: &str) -> Option<Side> {
    let names = |bucket: &str| {
        message.match_indices(":s3:::").any(|(at, found)| {
            message[at + found.len()..]
                .strip_prefix(bucket)
                .is_some_and(|rest| {
                    !rest.starts_with(|next: char| {
                        next.is_ascii_alphanumeric() || matches!(next, '-' | '.' | '_')
                    })
                })
        })
    };
    match (names(source), names(destination)) {
        (true, false) => Some(Side::Source),
        (false, true) => Some(Side::Destination),
        _ => None,
    }
}

impl Copier {
    /// The side that denied a copy. If the answer does not name it, the destination is asked to
    /// begin an upload of the same object, which reads no source.
    pub(super) async fn denied_by(
        &self,
        error: &S3Error,
        source: &S3Address,
        copy: &S3Address,
        tags: &Tags,
    ) -> Side {
        if let Some(side) = named(&error.detail, &source.bucket, &copy.bucket) {
            return side;
        }
        match error.action {
            // The upload was begun, so this process may write.
            "UploadPartCopy" => Side::Source,
            "CopyObject" => match self
                .create_upload(copy)
                .await
                .set_tagging(tags.header())
                .send()
                .await
            {
                Ok(upload) => {
                    let upload_id = upload.upload_id().unwrap_or_default();
                    if let Err(error) = self.s3.abort_upload(copy, upload_id).await {
                        tracing::warn!(%error, upload_id, "upload is left open");
                    }
                    Side::Source
                }
                Err(_) => Side::Destination,
            },
            _ => Side::Destination,
        }
    }
}

#[cfg(test)]
mod tests;
