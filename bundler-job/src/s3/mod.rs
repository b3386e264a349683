//! S3, as the rest of this crate sees it: a client per region, errors sorted by what one can do
//! about them, bodies that resume, and the few plain operations on whole objects. Everything hot
//! (GETs of small objects, multipart uploads) asks for the client and calls the SDK itself.
//!
//! ```text
//! connect ──► S3 ──► client(bucket) ──► SDK ──► [`credentials`], which are renewed if they expire early
//!              ├──► objects: get_bytes, spool, head, list, delete
//!              ├──► put: objects and parts, each with a checksum
//!              ├──► multipart: uploads that are open, listed and aborted
//!              ├──► transmit: the way of every request; a bucket that does not answer is waited for ([`outage`]), an answer
//!              │              not without end ([`patience`], [`sending`])
//!              │              └──► [`traffic`]: what comes of it, for the metrics
//!              ├──► body: a GET that resumes where it broke, and whose bytes are proven ([`length`], [`digest`], [`min_rate`])
//!              └──► request: owners, encryption and tags that go with requests
//! ```

mod body;
mod connect;
mod crc64nvme;
mod credentials;
mod digest;
mod error;
mod file_body;
mod length;
mod min_rate;
mod multipart;
mod objects;
mod outage;
mod patience;
mod put;
mod rate;
mod request;
mod sending;
mod traffic;
mod transmit;

pub use body::{Body, Expected, Whole};
pub use connect::{PathStyle, S3, S3Options, load_config};
pub use crc64nvme::{Crc64Writer, crc64nvme_from_base64, crc64nvme_to_base64};
pub(crate) use digest::md5_of_etag;
pub use error::{ErrorKind, S3Error};
pub use length::{Length, content_length};
pub use multipart::{OpenUpload, OpenUploads};
pub(crate) use objects::LISTED_AT_A_TIME;
pub use objects::{Listed, Opened, SpoolError, Spooled};
pub use put::{Put, PutBody};
pub use rate::Rates;
pub use request::{
    AccountId, Checksum, Encryption, KmsKeyId, RequestOptionError, RequestOptions, Tag, Tags,
};
pub(crate) use traffic::side;
