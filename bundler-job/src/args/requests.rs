//! What goes with requests: encryption, tags, checksums, conditions, who owns the buckets and who
//! pays.

use clap::{Args, ValueEnum};
use s3bundler_common::failure::Failure;

use crate::s3::{AccountId, Checksum, Encryption, KmsKeyId, RequestOptions, Tag, Tags};

/// What goes with requests. No part of the run's claim: as credentials, every process gets it anew.
#[derive(Debug, Args)]
pub struct RequestArgs {
    /// How S3 encrypts everything that is written to the destination. bucket-default: as the bucket
    /// says.
    #[arg(
        long,
        global = true,
        env = "S3BUNDLER_ENCRYPTION",
        default_value = "bucket-default",
        value_name = "TYPE",
        help_heading = "Requests"
    )]
    pub encryption: EncryptionType,
    /// Id, ARN or alias of the KMS key, with --encryption sse-kms or dsse-kms. Default: the key
    /// that AWS manages.
    #[arg(
        long,
        global = true,
        env = "S3BUNDLER_KMS_KEY_ID",
        value_name = "ID",
        help_heading = "Requests"
    )]
    pub kms_key_id: Option<KmsKeyId>,
    /// Tag of archives, indexes and copied objects; may be repeated, 10 at most. Copies keep as
    /// many of their source's tags as fit.
    #[arg(
        long,
        global = true,
        env = "S3BUNDLER_TAG",
        value_name = "KEY=VALUE",
        help_heading = "Requests"
    )]
    pub tag: Vec<Tag>,
    /// The account that has to own the buckets of sources and inventory: all but the destination.
    #[arg(
        long,
        global = true,
        env = "S3BUNDLER_SOURCE_OWNER",
        value_name = "ACCOUNT",
        help_heading = "Requests"
    )]
    pub source_owner: Option<AccountId>,
    /// The account that has to own the destination's bucket.
    #[arg(
        long,
        global = true,
        env = "S3BUNDLER_DESTINATION_OWNER",
        value_name = "ACCOUNT",
        help_heading = "Requests"
    )]
    pub destination_owner: Option<AccountId>,
    /// Who pays for reads of sources and inventory, copies included. Without a value: requester.
    ///
    /// Requester Pays buckets refuse every request that does not say so. Default: the owner of the
    /// bucket pays.
    #[arg(
        long,
        global = true,
        env = "S3BUNDLER_REQUEST_PAYER",
        value_name = "PAYER",
        num_args = 0..=1,
        default_missing_value = "requester",
        help_heading = "Requests"
    )]
    pub request_payer: Option<RequestPayer>,
    /// Write without If-None-Match, for stores that ignore or refuse it.
    ///
    /// It is only safe while no other process writes the same run. Every process of the run needs
    /// it: group, bundle, run and verify --repair.
    #[arg(
        long,
        global = true,
        env = "S3BUNDLER_SINGLE_WRITER",
        help_heading = "Requests"
    )]
    pub single_writer: bool,
    /// Send Content-MD5 with every write instead of CRC64NVME, and neither ask for CRC64NVME nor
    /// compare it.
    ///
    /// It is for S3-compatible stores that do not know CRC64NVME.
    #[arg(
        long,
        global = true,
        env = "S3BUNDLER_NO_CRC64NVME",
        help_heading = "Requests"
    )]
    pub no_crc64nvme: bool,
}

/// Who pays for requests to a source bucket and for the data that they transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RequestPayer {
    /// The account that sends the requests.
    Requester,
}

/// [`Encryption`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EncryptionType {
    /// As the bucket says.
    BucketDefault,
    /// With keys of S3's own.
    SseS3,
    /// With a key of KMS.
    SseKms,
    /// Twice, with a key of KMS.
    DsseKms,
}

impl RequestArgs {
    /// The options they stand for, with this bucket as the destination.
    pub fn options(&self, destination: Option<String>) -> Result<RequestOptions, Failure> {
        let usage = |problem: &dyn std::fmt::Display| {
            Failure::new(s3bundler_contract::ExitCode::Usage, problem)
        };
        let encryption = match (self.encryption, self.kms_key_id.clone()) {
            (EncryptionType::BucketDefault, None) => Encryption::BucketDefault,
            (EncryptionType::SseS3, None) => Encryption::SseS3,
            (EncryptionType::SseKms, key) => Encryption::SseKms(key),
            (EncryptionType::DsseKms, key) => Encryption::DsseKms(key),
            (EncryptionType::BucketDefault | EncryptionType::SseS3, Some(_)) => {
                return Err(usage(
                    &"--kms-key-id needs --encryption sse-kms or dsse-kms",
                ));
            }
        };
        let tags = Tags::new(self.tag.iter().cloned())
            .map_err(|error| usage(&format_args!("--tag: {error}")))?;
        let (source_owner, destination_owner) =
            (self.source_owner.clone(), self.destination_owner.clone());
        Ok(RequestOptions {
            destination,
            encryption,
            tags,
            destination_owner,
            source_owner,
            requester_pays: self.request_payer == Some(RequestPayer::Requester),
            checksum: if self.no_crc64nvme {
                Checksum::ContentMd5
            } else {
                Checksum::Crc64Nvme
            },
            single_writer: self.single_writer,
        })
    }
}

#[cfg(test)]
mod tests;
