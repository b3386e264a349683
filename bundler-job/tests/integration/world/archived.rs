//! What a run left in its destination, read without any code of the program's: keys, index rows,
//! bytes.

use std::collections::BTreeMap;

use aws_sdk_s3::Client;
use bytes::Bytes;
use s3bundler_testbed::client;

/// A bucket and a prefix in it.
#[derive(Debug, Clone)]
pub struct Archived {
    /// To read with.
    pub s3: Client,
    /// The destination's bucket.
    pub bucket: String,
    /// The destination's prefix, with a slash at its end.
    pub prefix: String,
}

/// A row of an index, by its column's names.
pub type IndexRow = BTreeMap<String, String>;

impl Archived {
    /// The keys of one kind (`catalog`, `receipts`, …), without the prefix and the kind.
    pub async fn keys(&self, kind: &str) -> Vec<String> {
        let prefix = format!("{}{kind}/", self.prefix);
        let keys = client::list_keys(&self.s3, &self.bucket, &prefix)
            .await
            .unwrap();
        keys.into_iter()
            .map(|key| key[prefix.len()..].to_owned())
            .collect()
    }

    /// The rows of every index.
    pub async fn index(&self) -> Vec<IndexRow> {
        let mut rows = Vec::new();
        for key in self
            .keys("archives")
            .await
            .iter()
            .filter(|key| key.ends_with(".index"))
        {
            let bytes = self.get(&format!("archives/{key}")).await;
            let mut reader = csv::Reader::from_reader(&bytes[..]);
            rows.extend(reader.deserialize::<IndexRow>().map(|row| row.unwrap()));
        }
        rows
    }

    /// The bytes of a row's object, by one ranged GET as anybody would make it who has only the
    /// index.
    pub async fn bytes_of(&self, row: &IndexRow) -> Bytes {
        let number = |column: &str| row[column].parse::<u64>().unwrap();
        let (offset, length) = (number("offset"), number("length"));
        if length == 0 {
            // No range of bytes is empty.
            return Bytes::new();
        }
        let request = self
            .s3
            .get_object()
            .bucket(&self.bucket)
            .key(&row["archive"]);
        let range = format!("bytes={offset}-{}", offset + length - 1);
        let answer = request.range(range).send().await.unwrap();
        answer.body.collect().await.unwrap().into_bytes()
    }

    /// The bytes of an object under the prefix.
    pub async fn get(&self, key: &str) -> Bytes {
        client::get_bytes(&self.s3, &self.bucket, &format!("{}{key}", self.prefix))
            .await
            .unwrap()
    }
}
