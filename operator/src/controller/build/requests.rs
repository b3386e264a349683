//! What goes with the requests of groupers, workers and verifiers: no part of the run's claim, so all
//! are told.

use crate::controller::run::Run;
use crate::crd::EncryptionType;

/// The arguments of owners, payer, encryption and tags; none where the run says nothing.
pub(super) fn request_args(run: &Run) -> Vec<String> {
    let mut args = Vec::new();
    let mut arg = |name: &str, value: &str| args.push(format!("--{name}={value}"));
    if let Some(encryption) = encryption(run.encryption.kind) {
        arg("encryption", encryption);
    }
    if let Some(key) = &run.encryption.kms_key_id {
        arg("kms-key-id", key);
    }
    for (key, value) in &run.tags {
        arg("tag", &format!("{key}={value}"));
    }
    if let Some(owner) = &run.source_owner {
        arg("source-owner", owner);
    }
    if let Some(owner) = &run.destination_owner {
        arg("destination-owner", owner);
    }
    if run.requester_pays {
        arg("request-payer", "requester");
    }
    args
}

/// What `--encryption` calls it; the bucket's default needs no argument.
fn encryption(kind: EncryptionType) -> Option<&'static str> {
    match kind {
        EncryptionType::BucketDefault => None,
        EncryptionType::SseS3 => Some("sse-s3"),
        EncryptionType::SseKms => Some("sse-kms"),
        EncryptionType::DsseKms => Some("dsse-kms"),
    }
}

#[cfg(test)]
mod tests;
