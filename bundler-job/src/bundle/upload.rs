//! The archive's bytes to S3: a multipart upload under a key that nobody else ever uses, with a
//! checksum for every part and for the whole, believed only once a HEAD has said the same.

use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, StorageClass,
};
use s3bundler_contract::S3Address;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::part::Part;
use crate::budget::PARTS_IN_FLIGHT;
use crate::s3::{ErrorKind, S3, S3Error, crc64nvme_from_base64, crc64nvme_to_base64};

/// The upload of one attempt's archive.
#[derive(Debug)]
pub struct Upload {
    s3: S3,
    archive: S3Address,
    storage_class: String,
    /// Its id while it is open. Locked for as long as it is being opened.
    open: Arc<Mutex<Option<String>>>,
}

impl Upload {
    /// An upload to `archive`; nothing is sent before the first part.
    pub fn new(s3: S3, archive: S3Address, storage_class: String) -> Self {
        Self {
            s3,
            archive,
            storage_class,
            open: Arc::default(),
        }
    }

    /// Where to.
    pub const fn archive(&self) -> &S3Address {
        &self.archive
    }

    /// Sends parts as they come; gives the completed parts, in order, once the packer is done.
    pub async fn send(
        &self,
        mut parts: mpsc::Receiver<Part>,
    ) -> Result<Vec<CompletedPart>, S3Error> {
        let client = self.s3.client(&self.archive.bucket).await;
        let mut completed = Vec::new();
        let mut in_flight = JoinSet::new();
        while let Some(part) = parts.recv().await {
            let upload_id = self.start(&client).await?;
            while in_flight.len() >= PARTS_IN_FLIGHT {
                completed.push(joined(in_flight.join_next().await)?);
            }
            in_flight.spawn(send_part(
                self.s3.clone(),
                self.archive.clone(),
                upload_id,
                part,
            ));
        }
        while !in_flight.is_empty() {
            completed.push(joined(in_flight.join_next().await)?);
        }
        completed.sort_by_key(CompletedPart::part_number);
        Ok(completed)
    }

    /// Completes the upload and proves with a HEAD that `size` bytes with that checksum are there.
    pub async fn complete(
        &self,
        parts: Vec<CompletedPart>,
        size: u64,
        crc64nvme: u64,
    ) -> Result<(), S3Error> {
        let client = self.s3.client(&self.archive.bucket).await;
        let upload_id = self.open.lock().await.clone().unwrap_or_default();
        let crc64nvme_base64 = crc64nvme_to_base64(crc64nvme);
        let mut request = client
            .complete_multipart_upload()
            .bucket(&self.archive.bucket)
            .key(&self.archive.key)
            .upload_id(upload_id)
            .multipart_upload(
                CompletedMultipartUpload::builder()
                    .set_parts(Some(parts))
                    .build(),
            );
        if self.s3.knows_crc64nvme() {
            request = request
                .checksum_type(ChecksumType::FullObject)
                .checksum_crc64_nvme(crc64nvme_base64);
        }
        // An answer, 200 included, is not believed: the HEAD decides, also after a lost or a failed
        // answer.
        let answer = request.send().await;
        let answer = answer
            .map_err(|error| S3Error::new("CompleteMultipartUpload", self.archive.clone(), &error));
        let head = match (self.s3.head(&self.archive).await?, answer) {
            (Some(head), _) => head,
            (None, Err(error)) => return Err(error),
            (None, Ok(_)) => {
                let gone = "S3 said it was complete, but it is not there";
                return Err(self.error("CompleteMultipartUpload", gone.to_owned()));
            }
        };
        let found = head
            .content_length()
            .and_then(|size| u64::try_from(size).ok());
        if found != Some(size) {
            return Err(self.error(
                "HeadObject",
                format!("{size} bytes were packed, S3 has {found:?}"),
            ));
        }
        // Stores that do not know CRC64NVME give none, or one that is none (moto: 4 bytes).
        let stored = head
            .checksum_crc64_nvme()
            .and_then(crc64nvme_from_base64)
            .filter(|_| self.s3.knows_crc64nvme());
        if let Some(stored) = stored.filter(|stored| *stored != crc64nvme) {
            return Err(self.error(
                "HeadObject",
                format!("its CRC64NVME is {stored:x}, that of the packed bytes {crc64nvme:x}"),
            ));
        }
        *self.open.lock().await = None;
        Ok(())
    }

    /// Aborts what was begun and not completed. A failure is only logged: the sweep finds it again.
    pub async fn abort(&self) {
        let Some(upload_id) = self.open.lock().await.clone() else {
            return;
        };
        if let Err(error) = self.s3.abort_upload(&self.archive, &upload_id).await {
            tracing::warn!(%error, upload_id, "upload is left open");
        }
    }

    async fn start(&self, client: &Client) -> Result<String, S3Error> {
        let mut open = Arc::clone(&self.open).lock_owned().await;
        if let Some(upload_id) = &*open {
            return Ok(upload_id.clone());
        }
        let mut request = client
            .create_multipart_upload()
            .bucket(&self.archive.bucket)
            .key(&self.archive.key)
            .storage_class(StorageClass::from(self.storage_class.as_str()))
            .set_tagging(self.s3.tags().header());
        if self.s3.knows_crc64nvme() {
            request = request
                .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
                .checksum_type(ChecksumType::FullObject);
        }
        // A task of its own: dropped in the middle, this would leave an upload open whose id nobody
        // learns.
        let (archive, checksums) = (self.archive.clone(), self.s3.knows_crc64nvme());
        let opening = tokio::spawn(async move {
            let output = request.send().await;
            let output = output.map_err(|error| {
                S3Error::new("CreateMultipartUpload", archive, &error).with_crc64nvme(checksums)
            })?;
            Ok(open
                .insert(output.upload_id().unwrap_or_default().to_owned())
                .clone())
        });
        joined(Some(opening.await))
    }

    fn error(&self, action: &'static str, detail: String) -> S3Error {
        S3Error::local(action, self.archive.clone(), ErrorKind::Transient, detail)
    }
}

async fn send_part(
    s3: S3,
    archive: S3Address,
    upload_id: String,
    part: Part,
) -> Result<CompletedPart, S3Error> {
    // S3 counts parts in i32, up to 10,000 of them.
    let number = i32::try_from(part.number).unwrap_or(i32::MAX);
    s3.put_part(
        &archive,
        &upload_id,
        number,
        part.body.clone(),
        part.crc64nvme,
    )
    .await
}

fn joined<T>(
    result: Option<Result<Result<T, S3Error>, tokio::task::JoinError>>,
) -> Result<T, S3Error> {
    match result.expect("something is in flight") {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
