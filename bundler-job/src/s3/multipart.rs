//! Multipart uploads that are open: listed and aborted, whoever began them.

use std::sync::Once;
use std::time::SystemTime;

use s3bundler_common::listing::{UploadMarkers, problem_of_uploads};
use s3bundler_contract::S3Address;

use super::{ErrorKind, S3, S3Error};

/// An upload that is neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenUpload {
    pub key: String,
    /// Its id.
    pub upload_id: String,
    /// When it was begun.
    pub initiated: Option<SystemTime>,
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
            Self::Listed(uploads) => uploads
                .into_iter()
                .map(|it| (it.key, it.upload_id))
                .collect(),
            Self::Unsupported => Vec::new(),
        }
    }
}

impl S3 {
    /// Lists the uploads that are open under keys that begin with this address's. The first store
    /// without this request is reported in the log, once for each process.
    pub async fn open_uploads(&self, under: &S3Address) -> Result<OpenUploads, S3Error> {
        match self.list_uploads(under).await {
            Ok(uploads) => Ok(OpenUploads::Listed(uploads)),
            // Stores answer so without a body, too.
            Err(error) if error.is_unimplemented() || error.code == "HTTP 405" => {
                static WARNED: Once = Once::new();
                WARNED.call_once(|| {
                    tracing::warn!(
                        %error,
                        "the store has no ListMultipartUploads: uploads of workers that died stay \
                         open; a lifecycle rule of the bucket can abort them"
                    );
                });
                Ok(OpenUploads::Unsupported)
            }
            Err(error) => Err(error),
        }
    }

    async fn list_uploads(&self, under: &S3Address) -> Result<Vec<OpenUpload>, S3Error> {
        const ACTION: &str = "ListMultipartUploads";
        let unusable =
            |problem: &str| S3Error::local(ACTION, under.clone(), ErrorKind::Transient, problem);
        let client = self.client(&under.bucket).await;
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
            let next = UploadMarkers {
                key: page.next_key_marker,
                upload_id: page.next_upload_id_marker,
            };
            let uploads = page.uploads.unwrap_or_default();
            let keys = uploads.iter().filter_map(|upload| upload.key());
            if let Some(problem) =
                problem_of_uploads(&under.key, keys, page.is_truncated, &sent, &next)
            {
                return Err(unusable(problem));
            }
            for upload in uploads {
                let initiated = upload.initiated().and_then(|at| (*at).try_into().ok());
                let (Some(key), Some(upload_id)) = (upload.key, upload.upload_id) else {
                    return Err(unusable(
                        "the listing has an upload without a key or without an id",
                    ));
                };
                found.push(OpenUpload {
                    key,
                    upload_id,
                    initiated,
                });
            }
            if page.is_truncated != Some(true) {
                return Ok(found);
            }
            sent = next;
        }
    }

    /// Aborts an upload; one that is not there is aborted already.
    pub async fn abort_upload(&self, object: &S3Address, upload_id: &str) -> Result<(), S3Error> {
        let client = self.client(&object.bucket).await;
        let request = client
            .abort_multipart_upload()
            .bucket(&object.bucket)
            .key(&object.key)
            .upload_id(upload_id);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => match S3Error::new("AbortMultipartUpload", object.clone(), &error) {
                error if error.kind == ErrorKind::NotFound => Ok(()),
                error => Err(error),
            },
        }
    }
}
