//! The description beside a copy, as the copier writes it.
//!
//! ```text
//! PUT if absent ──► written │ there: read ──► describes the source │ does not: PUT over it ──► read ──► describes the source
//! ```
//!
//! A description that names its source stays as it is, since other runs refer to it: tags and
//! storage class of the source may have been others when it was copied. Only proof that it is
//! damaged has it written again: it does not exist any more, or has bytes that do not describe the
//! source. See docs/decisions/archived-descriptions.md.

use std::sync::Once;

use s3bundler_contract::layout::METADATA_SUFFIX;
use s3bundler_contract::record::FORMAT;
use s3bundler_contract::{Row, S3Address};

use super::source::Source;
use super::{Copier, Trouble};
use crate::bundle::source::Facts;
use crate::description::{self, Description, Found, Identity};
use crate::s3::{ErrorKind, Put, PutBody, S3Error};

const CONTENT_TYPE: &str = "application/json";

impl Description {
    fn of(identity: Identity<'_>, row: &Row, facts: &Facts) -> Self {
        Self {
            format: FORMAT,
            bucket: identity.source.bucket.clone(),
            key: identity.source.key.clone(),
            version_id: identity.version_id.map(str::to_owned),
            size: identity.size,
            etag: identity.etag.to_owned(),
            // A manifest may hold any text.
            last_modified: row
                .last_modified
                .clone()
                .filter(|text| description::instant(text).is_some()),
            storage_class: row.storage_class.clone(),
            headers: facts.headers.clone(),
            metadata: facts.metadata.clone(),
            tags: facts.tags.clone(),
        }
    }
}

impl Copier {
    /// Describes a copy beside it. What is there and does not describe the source is written again.
    pub(super) async fn describe(
        &self,
        source: &Source,
        row: &Row,
        facts: &Facts,
        key: &str,
    ) -> Result<(), Trouble> {
        let address = self.destination.address(format!("{key}{METADATA_SUFFIX}"));
        let version_id = row.version_id.as_deref();
        let identity = Identity {
            source: &source.address,
            version_id,
            size: source.size,
            etag: &source.etag,
        };
        let json = Description::of(identity, row, facts).to_json();
        let put = Put {
            if_none_match: true,
            content_type: Some(CONTENT_TYPE),
            confirm: true,
            ..Put::default()
        };
        match self
            .s3
            .put(&address, PutBody::Bytes(json.clone().into()), &put)
            .await
        {
            Ok(_) => return Ok(()),
            Err(error) if error.kind == ErrorKind::Precondition => {}
            Err(error) if error.kind == ErrorKind::Conflict => return Err(Trouble::Again(error)),
            Err(error) => return Err(Trouble::destination(error)),
        }
        let Some(problem) = self.misdescribed(identity, &address).await? else {
            return Ok(());
        };
        tracing::warn!(description = %address, problem, "the description of a copy is damaged, \
            writing it again");
        let put = Put {
            content_type: Some(CONTENT_TYPE),
            ..Put::default()
        };
        self.s3
            .put(&address, PutBody::Bytes(json.into()), &put)
            .await
            .map_err(Trouble::destination)?;
        match self.misdescribed(identity, &address).await? {
            None => Ok(()),
            Some(problem) => {
                let detail = format!(
                    "it was written again, and still does not describe the copy: {problem}"
                );
                Err(Trouble::Again(S3Error::local(
                    "GetObject",
                    address,
                    ErrorKind::Transient,
                    detail,
                )))
            }
        }
    }

    /// How the description at this address is damaged; `None` if it describes the source.
    async fn misdescribed(
        &self,
        identity: Identity<'_>,
        address: &S3Address,
    ) -> Result<Option<String>, Trouble> {
        match description::read(&self.s3, address, identity).await {
            Ok(Found::Same(_)) => Ok(None),
            Ok(Found::Absent) => Ok(Some("it does not exist any more".to_owned())),
            Ok(Found::Wrong(problem)) => Ok(Some(problem)),
            Ok(Found::Archived) => {
                static WARNED: Once = Once::new();
                WARNED.call_once(|| {
                    tracing::warn!(
                        description = %address,
                        "the description of a copy is in an archive tier and cannot be read; it \
                         has a plausible size and is kept, and so are others without another \
                         warning"
                    );
                });
                Ok(None)
            }
            Ok(Found::Later(format)) => {
                let detail = format!(
                    "the description of the copy has format {format}, and this release knows \
                     format {FORMAT}: use a later release, or delete the description, and the \
                     next try writes it again"
                );
                Err(Trouble::destination(S3Error::local(
                    "GetObject",
                    address.clone(),
                    ErrorKind::Rejected,
                    detail,
                )))
            }
            Err(error) if error.kind.is_transient() => Err(Trouble::destination(error)),
            Err(mut error) => {
                error.detail.push_str(
                    "; the description of the copy cannot be compared with its source: allow it \
                     to be read, or delete it, and the next try writes it again",
                );
                Err(Trouble::destination(error))
            }
        }
    }
}
