//! Somebody who looks at the destination at any moment of a run, as a query engine or the operator
//! would, and must never see a record of what is not there.

use std::io::Write;
use std::sync::{Arc, Mutex};

use s3bundler::catalog::Catalog;
use s3bundler_contract::Receipt;
use s3bundler_contract::attempt::index_of;
use s3bundler_contract::layout::DEAD_LETTERS_SUFFIX;
use s3bundler_testbed::client;

use super::{PREFIX, RUN, World};

/// Reads whatever is committed, and remembers what was not as it must be.
#[derive(Debug, Clone)]
pub struct Reader {
    s3: aws_sdk_s3::Client,
    bucket: String,
    complaints: Arc<Mutex<Vec<String>>>,
}

/// A catalog from its bytes.
pub fn catalog_of(bytes: &[u8]) -> Catalog {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Catalog::open(file).unwrap()
}

impl Reader {
    /// A reader of a bucket, straight at the server.
    pub fn of(world: &World, bucket: &str) -> Self {
        Self {
            s3: world.s3.clone(),
            bucket: bucket.to_owned(),
            complaints: Arc::default(),
        }
    }

    /// Looks once. For hooks: nothing of the request goes on meanwhile.
    pub fn look(&self, when: &str) {
        let looked =
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(self.read()));
        if let Err(complaint) = looked {
            self.complaints
                .lock()
                .unwrap()
                .push(format!("{when}: {complaint}"));
        }
    }

    /// What was wrong.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }

    /// CatalogImpliesArchive and ReceiptImpliesAll.
    async fn read(&self) -> Result<(), String> {
        // Receipts first: what they stand for is there before them.
        for receipt in self.list("receipts").await? {
            let name = receipt.rsplit('/').next().unwrap_or_default();
            let receipt = Receipt::parse(name).map_err(|error| error.to_string())?;
            let catalog = format!("{PREFIX}/catalog/run={RUN}/{}.parquet", receipt.group);
            let bytes = self
                .bytes(&catalog)
                .await
                .map_err(|error| format!("receipt {name}, but {error}"))?;
            let catalog = catalog_of(&bytes);
            if let Some(archive) = &catalog.record().archive {
                self.bytes(&index_of(&archive.key))
                    .await
                    .map_err(|error| format!("receipt {name}, but {error}"))?;
            }
            if receipt.figures.failed_objects() > 0 {
                let dead_letters =
                    format!("{}{DEAD_LETTERS_SUFFIX}", catalog.record().manifest_key);
                self.bytes(&dead_letters)
                    .await
                    .map_err(|error| format!("receipt {name}, but {error}"))?;
            }
        }
        for key in self.list("catalog").await? {
            let catalog = catalog_of(&self.bytes(&key).await?);
            let Some(archive) = &catalog.record().archive else {
                continue;
            };
            let head = self
                .s3
                .head_object()
                .bucket(&self.bucket)
                .key(&archive.key)
                .send()
                .await;
            let size = head.ok().and_then(|head| head.content_length());
            if size.and_then(|size| u64::try_from(size).ok()) != Some(archive.size) {
                return Err(format!(
                    "{key} names {} of {} bytes, S3 has {size:?}",
                    archive.key, archive.size
                ));
            }
        }
        Ok(())
    }

    async fn list(&self, kind: &str) -> Result<Vec<String>, String> {
        let keys = client::list_keys(&self.s3, &self.bucket, &format!("{PREFIX}/{kind}/")).await;
        keys.map_err(|error| error.to_string())
    }

    async fn bytes(&self, key: &str) -> Result<bytes::Bytes, String> {
        client::get_bytes(&self.s3, &self.bucket, key)
            .await
            .map_err(|error| error.to_string())
    }
}
