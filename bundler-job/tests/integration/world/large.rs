//! An object of more than 5 GiB, which S3 copies in parts only. No server of the tests has to hold
//! it: the proxy answers for its size, its parts and its copy, and the server has an object of a
//! few bytes.

use std::collections::HashSet;
use std::sync::Mutex;

use s3bundler_testbed::proxy::{Fault, Operation, Seen};

/// Bytes that the object seems to have: one part more than ten.
pub const SIZE: u64 = (5 << 30) + 1;
/// Parts of its copy.
pub const PARTS: u64 = 11;

/// A source bucket whose objects all seem to have [`SIZE`] bytes.
#[derive(Debug)]
pub struct Large {
    source: String,
    /// Keys of the copies that were completed.
    completed: Mutex<HashSet<String>>,
}

fn respond(status: u16, headers: &[(&str, String)], body: String) -> Fault {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    Fault::Respond {
        status,
        headers,
        body: body.into(),
    }
}

impl Large {
    /// Objects of this bucket.
    pub fn of(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            completed: Mutex::default(),
        }
    }

    /// What the proxy does with a request.
    pub fn fault(&self, seen: &Seen) -> Fault {
        let is_source = seen.bucket() == self.source;
        let is_copy = seen.key().contains("/objects/") && !seen.key().ends_with(".metadata");
        match seen.operation {
            Operation::GetObject if is_source => Fault::SetHeader {
                name: "content-range",
                value: b"bytes 0-0/5368709121",
            },
            Operation::UploadPartCopy => {
                let body = "<CopyPartResult><ETag>\"0123456789abcdef0123456789abcdef\"</ETag></CopyPartResult>";
                respond(200, &[], body.to_owned())
            }
            Operation::CompleteMultipartUpload if is_copy => {
                self.completed.lock().unwrap().insert(seen.key());
                respond(200, &[], "<CompleteMultipartUploadResult/>".to_owned())
            }
            Operation::HeadObject
                if is_copy && self.completed.lock().unwrap().contains(&seen.key()) =>
            {
                let etag = format!("\"0123456789abcdef0123456789abcdef-{PARTS}\"");
                respond(
                    200,
                    &[("content-length", SIZE.to_string()), ("etag", etag)],
                    String::new(),
                )
            }
            _ => Fault::Forward,
        }
    }
}
