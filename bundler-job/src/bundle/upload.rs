//! The archive's bytes to S3: a multipart upload under a key that nobody else ever uses, with a checksum for every part
//! and for the whole, believed only once a HEAD has said the same.

use std::sync::{Arc, Once};

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, StorageClass};
use s3bundler_common::listing::{UploadMarkers, problem_of_uploads};
use s3bundler_contract::S3Address;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::budget::PARTS_IN_FLIGHT;
use super::part::Part;
use crate::catalog::{crc64nvme_from_base64, crc64nvme_to_base64};
use crate::s3::{ErrorKind, S3, S3Error};

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
        Self { s3, archive, storage_class, open: Arc::default() }
    }

    /// Where to.
    pub const fn archive(&self) -> &S3Address {
        &self.archive
    }

    /// Sends parts as they come; gives the completed parts, in order, once the packer is done.
    pub async fn send(&self, mut parts: mpsc::Receiver<Part>) -> Result<Vec<CompletedPart>, S3Error> {
        let client = self.s3.client(&self.archive.bucket).await;
        let mut completed = Vec::new();
        let mut in_flight = JoinSet::new();
        while let Some(part) = parts.recv().await {
            let upload_id = self.start(&client).await?;
            while in_flight.len() >= PARTS_IN_FLIGHT {
                completed.push(joined(in_flight.join_next().await)?);
            }
            in_flight.spawn(send_part(self.s3.clone(), self.archive.clone(), upload_id, part));
        }
        while !in_flight.is_empty() {
            completed.push(joined(in_flight.join_next().await)?);
        }
        completed.sort_by_key(CompletedPart::part_number);
        Ok(completed)
    }

    /// Completes the upload and proves with a HEAD that `size` bytes with that checksum are there.
    pub async fn complete(&self, parts: Vec<CompletedPart>, size: u64, crc64nvme: u64) -> Result<(), S3Error> {
        let client = self.s3.client(&self.archive.bucket).await;
        let upload_id = self.open.lock().await.clone().unwrap_or_default();
        let crc64nvme_base64 = crc64nvme_to_base64(crc64nvme);
        let mut request = client
            .complete_multipart_upload()
            .bucket(&self.archive.bucket)
            .key(&self.archive.key)
            .upload_id(upload_id)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build());
        if self.s3.knows_crc64nvme() {
            request = request.checksum_type(ChecksumType::FullObject).checksum_crc64_nvme(crc64nvme_base64);
        }
        // An answer, 200 included, is not believed: the HEAD decides, also after a lost or a failed answer.
        let answer = request.send().await;
        let answer = answer.map_err(|error| S3Error::new("CompleteMultipartUpload", self.archive.clone(), &error));
        let head = match (self.s3.head(&self.archive).await?, answer) {
            (Some(head), _) => head,
            (None, Err(error)) => return Err(error),
            (None, Ok(_)) => {
                let gone = "S3 said it was complete, but it is not there";
                return Err(self.error("CompleteMultipartUpload", gone.to_owned()));
            }
        };
        let found = head.content_length().and_then(|size| u64::try_from(size).ok());
        if found != Some(size) {
            return Err(self.error("HeadObject", format!("{size} bytes were packed, S3 has {found:?}")));
        }
        // Stores that do not know CRC64NVME give none, or one that is none (moto: 4 bytes).
        let stored = head.checksum_crc64_nvme().and_then(crc64nvme_from_base64).filter(|_| self.s3.knows_crc64nvme());
        if let Some(stored) = stored.filter(|stored| *stored != crc64nvme) {
            return Err(self
                .error("HeadObject", format!("its CRC64NVME is {stored:x}, that of the packed bytes {crc64nvme:x}")));
        }
        *self.open.lock().await = None;
        Ok(())
    }

    /// Aborts what was begun and not completed. A failure is only logged: the sweep finds it again.
    pub async fn abort(&self) {
        let Some(upload_id) = self.open.lock().await.clone() else { return };
        if let Err(error) = abort(&self.s3, &self.archive, &upload_id).await {
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
            request = request.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme).checksum_type(ChecksumType::FullObject);
        }
        // A task of its own: dropped in the middle, this would leave an upload open whose id nobody learns.
        let (archive, checksums) = (self.archive.clone(), self.s3.knows_crc64nvme());
        let opening = tokio::spawn(async move {
            let output = request.send().await;
            let output = output
                .map_err(|error| S3Error::new("CreateMultipartUpload", archive, &error).with_crc64nvme(checksums))?;
            Ok(open.insert(output.upload_id().unwrap_or_default().to_owned()).clone())
        });
        joined(Some(opening.await))
    }

    fn error(&self, action: &'static str, detail: String) -> S3Error {
        S3Error::local(action, self.archive.clone(), ErrorKind::Transient, detail)
    }
}

/// An upload that is neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenUpload {
    /// Its key.
    pub key: String,
    /// Its id.
    pub upload_id: String,
    /// When it was begun.
    pub initiated: Option<std::time::SystemTime>,
}

/// What a store says of the uploads that are open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenUploads {
    /// All of them.
    Listed(Vec<OpenUpload>),
    /// The store has no ListMultipartUploads.
    Unsupported,
}

impl OpenUploads {
    /// Key and id of the uploads that are known to be open: none if the store cannot list them.
    pub fn known(self) -> Vec<(String, String)> {
        match self {
            Self::Listed(uploads) => uploads.into_iter().map(|it| (it.key, it.upload_id)).collect(),
            Self::Unsupported => Vec::new(),
        }
    }
}

/// Lists the uploads that are open under keys that begin with this address's. The first store without this request is
/// reported in the log, once for each process.
pub async fn open_uploads(s3: &S3, under: &S3Address) -> Result<OpenUploads, S3Error> {
    match list_uploads(s3, under).await {
        Ok(uploads) => Ok(OpenUploads::Listed(uploads)),
        // Stores answer so without a body, too.
        Err(error) if error.is_unimplemented() || error.code == "HTTP 405" => {
            static WARNED: Once = Once::new();
            WARNED.call_once(|| {
                tracing::warn!(
                    %error,
                    "the store has no ListMultipartUploads: uploads of workers that died stay open; a lifecycle rule of \
                     the bucket can abort them"
                );
            });
            Ok(OpenUploads::Unsupported)
        }
        Err(error) => Err(error),
    }
}

async fn list_uploads(s3: &S3, under: &S3Address) -> Result<Vec<OpenUpload>, S3Error> {
    const ACTION: &str = "ListMultipartUploads";
    let unusable = |problem: &str| S3Error::local(ACTION, under.clone(), ErrorKind::Transient, problem);
    let client = s3.client(&under.bucket).await;
    let (mut found, mut sent) = (Vec::new(), UploadMarkers::default());
    loop {
        let page = client
            .list_multipart_uploads()
            .bucket(&under.bucket)
            .prefix(&under.key)
            .set_key_marker(sent.key.clone())
            .set_upload_id_marker(sent.upload_id.clone())
            .send()
            .await
            .map_err(|error| S3Error::new(ACTION, under.clone(), &error))?;
        let next = UploadMarkers { key: page.next_key_marker, upload_id: page.next_upload_id_marker };
        let uploads = page.uploads.unwrap_or_default();
        let keys = uploads.iter().filter_map(|upload| upload.key());
        if let Some(problem) = problem_of_uploads(&under.key, keys, page.is_truncated, &sent, &next) {
            return Err(unusable(problem));
        }
        for upload in uploads {
            let initiated = upload.initiated().and_then(|at| (*at).try_into().ok());
            let (Some(key), Some(upload_id)) = (upload.key, upload.upload_id) else {
                return Err(unusable("the listing has an upload without a key or without an id"));
            };
            found.push(OpenUpload { key, upload_id, initiated });
        }
        if page.is_truncated != Some(true) {
            return Ok(found);
        }
        sent = next;
    }
}

/// Aborts an upload; one that is not there is aborted already.
pub async fn abort(s3: &S3, archive: &S3Address, upload_id: &str) -> Result<(), S3Error> {
    let client = s3.client(&archive.bucket).await;
    let request = client.abort_multipart_upload().bucket(&archive.bucket).key(&archive.key).upload_id(upload_id);
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) => match S3Error::new("AbortMultipartUpload", archive.clone(), &error) {
            error if error.kind == ErrorKind::NotFound => Ok(()),
            error => Err(error),
        },
    }
}

async fn send_part(s3: S3, archive: S3Address, upload_id: String, part: Part) -> Result<CompletedPart, S3Error> {
    // S3 counts parts in i32, up to 10,000 of them.
    let number = i32::try_from(part.number).unwrap_or(i32::MAX);
    s3.put_part(&archive, &upload_id, number, part.body.clone(), part.crc64nvme).await
}

fn joined<T>(result: Option<Result<Result<T, S3Error>, tokio::task::JoinError>>) -> Result<T, S3Error> {
    match result.expect("something is in flight") {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
