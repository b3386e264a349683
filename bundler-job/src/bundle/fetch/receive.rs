//! One try at an object: a GET, its bytes to memory or scratch, its tags.

use std::io::Seek as _;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use data_encoding::HEXLOWER;
use s3bundler_contract::{Row, S3Address};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use super::{Fetcher, OVERHEAD, Trouble, trouble};
use crate::budget::Budget;
use crate::bundle::limiter::InFlight;
use crate::bundle::source::{Content, FetchError, Fetched, facts};
use crate::bundle::tags::{TagTrouble, Tagged};
use crate::s3::{Body, ErrorKind, Expected, Length, S3Error, content_length};

/// How a try went well.
pub(super) enum Done {
    /// The object is here.
    Read,
    /// It is to be copied instead.
    TooLarge,
}

/// Where the bytes may go.
#[derive(Clone, Copy)]
pub(super) struct Room<'a> {
    /// Bytes of memory that are held.
    pub(super) reserved: u64,
    /// Members up to this size stay in memory.
    pub(super) in_memory: u64,
    /// Where more memory comes from.
    pub(super) budget: &'a Budget,
}

/// The SHA-256 of an object, if it is asked for.
struct Sha256Of(Option<Sha256>);

impl Sha256Of {
    fn update(&mut self, bytes: &[u8]) {
        if let Some(hash) = &mut self.0 {
            hash.update(bytes);
        }
    }

    fn finish(self) -> Option<String> {
        self.0.map(|hash| HEXLOWER.encode(&hash.finalize()))
    }
}

impl Fetcher {
    /// Tries once. `fetched` is changed only where that went well, but for the size of an object
    /// that is to be copied.
    pub(super) async fn receive(
        &self,
        fetched: &mut Fetched,
        room: Room<'_>,
        mut slot: InFlight<'_>,
    ) -> Result<Done, Trouble> {
        let row = &fetched.row;
        let address = S3Address::new(&row.bucket, &row.key);
        let client = self.s3.client_once(&row.bucket).await;
        // A run over current versions sends no version id, here or later, and needs no permission
        // for versions.
        let asked = row.version_id.clone().filter(|_| fetched.listed_version);
        let mut output = self.ask(row, asked.clone()).await?;

        if let Length::Known(size) = content_length(output.content_length())
            && self.copier.takes(size)
        {
            fetched.row.size = Some(size);
            return Ok(Done::TooLarge);
        }
        let mut facts = facts(&mut output);
        let tag_count = output.tag_count();
        let version = output.version_id().map(str::to_owned);
        let modified = output.last_modified().copied();
        let storage_class = output
            .storage_class()
            .map(|class| class.as_str().to_owned());
        let listed = Expected {
            etag: row.etag.clone(),
            size: row.size,
        };
        let body = Body::new(client.clone(), address, asked.clone(), Some(listed), output);
        let mut body = body.await.map_err(trouble)?;
        if let Length::Known(size) = body.length()
            && self.copier.takes(size)
        {
            fetched.row.size = Some(size);
            return Ok(Done::TooLarge);
        }

        let mut hash = Sha256Of(self.sha256.then(Sha256::new));
        let content = match body.length() {
            Length::Known(size) if fits(fetched, size, room) => {
                if let Some(place) = &mut fetched.held.scratch {
                    place.settle();
                }
                let mut data = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
                while let Some(chunk) = body.next().await.map_err(trouble)? {
                    hash.update(&chunk);
                    data.extend_from_slice(&chunk);
                }
                Content::Memory(data)
            }
            length => {
                make_room(fetched, length, &mut slot).await?;
                Content::Scratch(self.spill(&mut body, &mut hash).await?)
            }
        };
        let whole = body.into_whole().map_err(trouble)?;
        facts.md5 = Some(whole.md5);
        facts.sha256 = hash.finish();
        let tagged = Tagged {
            row: &fetched.row,
            asked: asked.as_deref(),
            read: version.as_deref(),
            count: tag_count,
        };
        self.tags
            .read(tagged, &mut facts, &mut slot)
            .await
            .map_err(|error| match error {
                TagTrouble::Changed => Trouble::Changed,
                TagTrouble::Judge(error) => trouble(error),
            })?;

        fetched.content = content;
        fetched.facts = facts;
        let row = &mut fetched.row;
        row.size = Some(whole.size);
        row.etag = Some(whole.etag).filter(|etag| !etag.is_empty());
        row.storage_class = storage_class.or_else(|| row.storage_class.take());
        if !fetched.listed_version {
            row.version_id = version;
        }
        if let Some(modified) = modified {
            fetched.mtime = u64::try_from(modified.secs()).unwrap_or(0);
            row.last_modified = modified
                .fmt(aws_smithy_types::date_time::Format::DateTime)
                .ok();
        }
        Ok(Done::Read)
    }

    async fn ask(&self, row: &Row, version: Option<String>) -> Result<GetObjectOutput, Trouble> {
        let client = self.s3.client_once(&row.bucket).await;
        let request = client
            .get_object()
            .bucket(&row.bucket)
            .key(&row.key)
            .set_version_id(version);
        let output = self.s3.send_get(request).await;
        let address = S3Address::new(&row.bucket, &row.key);
        let output = output.map_err(|error| S3Error::new("GetObject", address, &error));
        self.limiters.see(&row.bucket, output.as_ref().err());
        output.map_err(trouble)
    }

    async fn spill(&self, body: &mut Body, hash: &mut Sha256Of) -> Result<std::fs::File, Trouble> {
        let failed = |cause| {
            Trouble::Group(FetchError::Scratch {
                path: self.scratch.clone(),
                cause,
            })
        };
        let file = tempfile::tempfile_in(&self.scratch).map_err(failed)?;
        let mut file = tokio::fs::File::from_std(file);
        while let Some(chunk) = body.next().await.map_err(trouble)? {
            hash.update(&chunk);
            file.write_all(&chunk).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        let mut file = file.into_std().await;
        file.rewind().map_err(failed)?;
        Ok(file)
    }
}

/// Whether an object of this size stays in memory; takes what that needs beside what is held.
fn fits(fetched: &mut Fetched, size: u64, room: Room<'_>) -> bool {
    let more = (size + OVERHEAD).saturating_sub(room.reserved);
    size <= room.in_memory
        && match (more, room.budget.try_take(more)) {
            (0, _) => true,
            (_, Some(extra)) => {
                fetched.held.memory.merge(extra);
                true
            }
            (_, None) => false,
        }
}

/// Takes room in the scratch directory, if that is limited. It releases the slot while it waits:
/// the member that has the room may need one.
async fn make_room(
    fetched: &mut Fetched,
    length: Length,
    in_flight: &mut InFlight<'_>,
) -> Result<(), Trouble> {
    let Some(place) = &mut fetched.held.scratch else {
        return Ok(());
    };
    let bytes = match length {
        Length::Known(size) => size,
        Length::Unknown => u64::MAX,
    };
    if place.try_take(bytes).is_err() {
        if place.is_settled() {
            // It has grown between two tries. Later members have taken their room, and wait for
            // this one.
            let address = S3Address::new(&fetched.row.bucket, &fetched.row.key);
            let detail = "it has grown, and there is no room for it in the scratch directory";
            return Err(trouble(S3Error::local(
                "GetObject",
                address,
                ErrorKind::Transient,
                detail,
            )));
        }
        in_flight.release();
        place.take(bytes).await;
        place.settle();
        in_flight.acquire().await;
    }
    place.settle();
    Ok(())
}
