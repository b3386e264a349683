//! What goes with requests beside what they are about: who has to own the bucket, who pays for
//! reads of sources ([`RequesterPays`]), how S3 is to encrypt what is written, and the tags of
//! archives, indexes and copies. An interceptor adds headers for all but the tags, and removes
//! conditions that a store does not know, so that no call can forget them. Tags belong to some
//! objects only: the code that writes those asks for them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use s3bundler_common::payer::{RequesterPays, copied_from};

/// Tags of an object, at most ("Categorizing your objects using tags", S3 user guide).
const MAX_TAGS: usize = 10;
/// Characters of a tag's key, at most (the same page).
const TAG_KEY_CHARS: usize = 128;
/// Characters of a tag's value, at most (the same page).
const TAG_VALUE_CHARS: usize = 256;
/// Digits of an account's id ("View AWS account identifiers", AWS account management guide).
const ACCOUNT_DIGITS: usize = 12;
/// Characters of a KMS key's id, ARN or alias, at most ("GenerateDataKey", `KeyId`, KMS API
/// reference).
const KMS_KEY_CHARS: usize = 2048;

/// What goes with requests. Not part of a run's claim: like credentials, it is given to every
/// process.
#[derive(Debug, Clone, Default)]
pub struct RequestOptions {
    /// The bucket that everything is written to. All others are sources.
    pub destination: Option<String>,
    /// How S3 encrypts what is written to the destination.
    pub encryption: Encryption,
    /// Tags of archives, indexes and copied objects.
    pub tags: Tags,
    /// Who has to own the destination.
    pub destination_owner: Option<AccountId>,
    /// Who has to own every other bucket.
    pub source_owner: Option<AccountId>,
    /// Whether the requester pays for reads of every other bucket.
    pub requester_pays: bool,
    /// What goes with everything that is written.
    pub checksum: Checksum,
    /// Whether no other process writes the run, so that no condition is sent with a write.
    pub single_writer: bool,
}

/// The checksum that goes with everything that is written, and that S3 compares before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksum {
    /// CRC64NVME, which S3 keeps with the object.
    #[default]
    Crc64Nvme,
    /// Content-MD5, which every store knows.
    ContentMd5,
}

/// How S3 encrypts what is written ("Protecting data with server-side encryption", S3 user guide).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Encryption {
    /// As the bucket says.
    #[default]
    BucketDefault,
    /// With keys of S3's own.
    SseS3,
    /// With this key of KMS, or the one that AWS manages.
    SseKms(Option<KmsKeyId>),
    /// Twice, with this key of KMS, or the one that AWS manages.
    DsseKms(Option<KmsKeyId>),
}

impl Encryption {
    /// The values of `x-amz-server-side-encryption` and `…-aws-kms-key-id`.
    fn headers(&self) -> (Option<&'static str>, Option<&KmsKeyId>) {
        match self {
            Self::BucketDefault => (None, None),
            Self::SseS3 => (Some("AES256"), None),
            Self::SseKms(key) => (Some("aws:kms"), key.as_ref()),
            Self::DsseKms(key) => (Some("aws:kms:dsse"), key.as_ref()),
        }
    }
}

/// Why an option of requests is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestOptionError {
    /// No account.
    #[error("an account is {ACCOUNT_DIGITS} digits")]
    Account,
    /// No key.
    #[error("a KMS key is an id, an ARN or an alias, of letters, digits and signs without spaces")]
    KmsKey,
    /// No tag.
    #[error(
        "a tag is KEY=VALUE, the key of 1 to {TAG_KEY_CHARS} characters, the value of at most \
         {TAG_VALUE_CHARS}: letters, digits, spaces and _.:/=+@-"
    )]
    Tag,
    /// AWS's own.
    #[error("keys of tags that begin with aws: are AWS's own")]
    ReservedTag,
    /// The same key with several values.
    #[error("tag {0:?} is given several times")]
    TagTwice(String),
    /// Too many.
    #[error("{0} tags are given, S3 takes {MAX_TAGS} for an object")]
    TooManyTags(usize),
}

/// The id of an AWS account: 12 digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountId(String);

impl FromStr for AccountId {
    type Err = RequestOptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_one = text.len() == ACCOUNT_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_one {
            Ok(Self(text.to_owned()))
        } else {
            Err(RequestOptionError::Account)
        }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// What names a key of KMS: an id, an ARN or an alias. Whether there is such a key, KMS says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsKeyId(String);

impl FromStr for KmsKeyId {
    type Err = RequestOptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_one = (1..=KMS_KEY_CHARS).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_one {
            Ok(Self(text.to_owned()))
        } else {
            Err(RequestOptionError::KmsKey)
        }
    }
}

/// A tag of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    key: String,
    value: String,
}

impl FromStr for Tag {
    type Err = RequestOptionError;

    /// The first `=` ends the key.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text.split_once('=').ok_or(RequestOptionError::Tag)?;
        if key.starts_with("aws:") {
            return Err(RequestOptionError::ReservedTag);
        }
        let fits = (1..=TAG_KEY_CHARS).contains(&key.chars().count())
            && value.chars().count() <= TAG_VALUE_CHARS
            && key.chars().chain(value.chars()).all(is_of_tags);
        let tag = Self {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        if fits {
            Ok(tag)
        } else {
            Err(RequestOptionError::Tag)
        }
    }
}

/// Whether a tag may have it ("Categorizing your objects using tags", S3 user guide). A store that
/// refuses one would do so with the index of every group, after it was committed.
fn is_of_tags(c: char) -> bool {
    c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+@-".contains(c)
}

/// Tags of an object, 10 at most.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// These tags. Fails where there are too many, or two of one key.
    pub fn new(tags: impl IntoIterator<Item = Tag>) -> Result<Self, RequestOptionError> {
        let mut all = BTreeMap::new();
        for Tag { key, value } in tags {
            if all.contains_key(&key) {
                return Err(RequestOptionError::TagTwice(key));
            }
            all.insert(key, value);
        }
        if all.len() > MAX_TAGS {
            Err(RequestOptionError::TooManyTags(all.len()))
        } else {
            Ok(Self(all))
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These and, where they have no such key, as many of a source object's as fit, in the order of
    /// their keys. Also the number of those that do not fit.
    pub fn and_of_source(&self, source: &BTreeMap<String, String>) -> (Self, usize) {
        let others = || source.iter().filter(|(key, _)| !self.0.contains_key(*key));
        let room = MAX_TAGS.saturating_sub(self.0.len());
        let mut all = self.0.clone();
        all.extend(
            others()
                .take(room)
                .map(|(key, value)| (key.clone(), value.clone())),
        );
        (Self(all), others().count().saturating_sub(room))
    }

    /// The value of `x-amz-tagging`; `None` where there is no tag.
    pub fn header(&self) -> Option<String> {
        let encoded = || {
            form_urlencoded::Serializer::new(String::new())
                .extend_pairs(&self.0)
                .finish()
        };
        (!self.is_empty()).then(encoded)
    }
}

impl RequestOptions {
    /// Whether this is the bucket that is written to.
    pub(super) fn writes_to(&self, bucket: &str) -> bool {
        self.destination.as_deref() == Some(bucket)
    }

    /// Adds the payer to the requests of a client, if the requester pays.
    pub(super) fn payer(&self, to_destination: bool) -> Option<RequesterPays> {
        let own = self.destination.clone().filter(|_| to_destination);
        self.requester_pays
            .then(|| own.map_or_else(RequesterPays::for_sources, RequesterPays::for_destination))
    }

    /// Who has to own a bucket.
    fn owner(&self, destination: bool) -> Option<&AccountId> {
        if destination {
            self.destination_owner.as_ref()
        } else {
            self.source_owner.as_ref()
        }
    }

    /// The headers of a request: of which operation, whether to the destination, and from which
    /// bucket, where it copies.
    fn headers(
        &self,
        operation: &str,
        destination: bool,
        copied_from: Option<&str>,
    ) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if let Some(owner) = self.owner(destination) {
            headers.push(("x-amz-expected-bucket-owner", owner.to_string()));
        }
        if let Some(owner) = copied_from.and_then(|bucket| self.owner(self.writes_to(bucket))) {
            headers.push(("x-amz-source-expected-bucket-owner", owner.to_string()));
        }
        // Parts are encrypted as their upload was created ("UploadPart", S3 API reference).
        if destination
            && matches!(
                operation,
                "PutObject" | "CreateMultipartUpload" | "CopyObject"
            )
        {
            let (algorithm, key) = self.encryption.headers();
            headers
                .extend(algorithm.map(|value| ("x-amz-server-side-encryption", value.to_owned())));
            headers.extend(
                key.map(|key| ("x-amz-server-side-encryption-aws-kms-key-id", key.0.clone())),
            );
        }
        headers
    }
}

/// Adds the headers to the requests of one client, before they are signed.
#[derive(Debug, Clone)]
pub(super) struct RequestHeaders {
    pub(super) options: Arc<RequestOptions>,
    /// Whether the client is for the destination.
    pub(super) destination: bool,
}

#[dyn_dispatch_hint]
impl Intercept for RequestHeaders {
    fn name(&self) -> &'static str {
        "owners, encryption and conditions"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = config.load::<Metadata>().map_or("", Metadata::name);
        let headers = context.request_mut().headers_mut();
        let added = self
            .options
            .headers(operation, self.destination, copied_from(headers));
        if self.options.single_writer {
            headers.remove("if-none-match");
        }
        for (name, value) in added {
            headers.try_insert(name, value)?;
        }
        Ok(())
    }
}

/// Asks for objects as they are. Not signed, because proxies rewrite it.
#[derive(Debug, Clone, Copy)]
pub(super) struct AcceptIdentity;

#[dyn_dispatch_hint]
impl Intercept for AcceptIdentity {
    fn name(&self) -> &'static str {
        "accept identity"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if matches!(
            config.load::<Metadata>().map(Metadata::name),
            Some("GetObject" | "HeadObject")
        ) {
            context
                .request_mut()
                .headers_mut()
                .try_insert("accept-encoding", "identity")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
