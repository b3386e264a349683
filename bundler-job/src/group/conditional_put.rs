//! PUTs that never replace anything. Their answers are not believed: a 412 may be about the own PUT
//! whose answer was lost, and an error may come after the object is there. Whoever is not told that
//! it wrote reads what is there.

use std::time::Duration;

use bytes::Bytes;
use s3bundler_contract::S3Address;
use s3bundler_contract::record::RecordError;

use super::GroupError;
use crate::s3::{ErrorKind, Put, PutBody, S3, S3Error};

/// S3 asks to repeat a conditional PUT that met another one ("Conditional writes", S3 user guide:
/// 409). Waits between them: 0.1 + 0.2 + 0.4 + 0.8 + 1.6 s.
const CONFLICT_RETRIES: u32 = 5;
const FIRST_CONFLICT_WAIT: Duration = Duration::from_millis(100);
/// A claim has at most some 200 prefixes of 1,024 bytes each.
const MAX_RECORD_BYTES: u64 = 4 << 20;

/// What a PUT with `If-None-Match: *` came to.
pub(super) enum PutOnce {
    /// Written, with this ETag.
    Written(String),
    /// Something may be there: look.
    Unsure(S3Error),
}

/// PUTs where nothing has the key.
pub(super) async fn put_once(
    s3: &S3,
    address: &S3Address,
    bytes: &Bytes,
    put: &Put<'_>,
) -> Result<PutOnce, GroupError> {
    let mut conflicts = 0;
    loop {
        match s3.put(address, PutBody::Bytes(bytes.clone()), put).await {
            Ok(etag) => return Ok(PutOnce::Written(etag)),
            Err(error) if error.kind == ErrorKind::Conflict && conflicts < CONFLICT_RETRIES => {
                tokio::time::sleep(FIRST_CONFLICT_WAIT * 2_u32.pow(conflicts)).await;
                conflicts += 1;
            }
            Err(error) if error.kind == ErrorKind::Precondition || error.kind.is_transient() => {
                return Ok(PutOnce::Unsure(error));
            }
            Err(error) => return Err(GroupError::Destination(error)),
        }
    }
}

/// The record that is at a key after a PUT, as a GET read it.
pub(super) struct Recorded {
    /// Its bytes.
    pub(super) json: Bytes,
    /// Whether S3 answered the PUT with success. If not, the record may be that of another process.
    pub(super) written: bool,
}

/// PUTs a JSON record unless its key exists, and reads it back: a store that lost or replaced it is
/// found out before anything depends on it.
pub(super) async fn put_record(
    s3: &S3,
    address: &S3Address,
    json: Vec<u8>,
) -> Result<Recorded, GroupError> {
    let put = Put {
        if_none_match: true,
        content_type: Some("application/json"),
        ..Put::default()
    };
    let unsure = match put_once(s3, address, &json.into(), &put).await? {
        PutOnce::Written(_) => None,
        PutOnce::Unsure(error) => Some(error),
    };
    match find_record(s3, address).await? {
        Some(json) => Ok(Recorded {
            json,
            written: unsure.is_none(),
        }),
        None => Err(GroupError::Destination(
            unsure.unwrap_or_else(|| lost(address)),
        )),
    }
}

/// A PUT that was answered with success, and whose object does not exist.
pub(super) fn lost(address: &S3Address) -> S3Error {
    let lost = "the store answered that the object was written, but it does not exist";
    S3Error::local("PutObject", address.clone(), ErrorKind::Transient, lost)
}

/// The bytes of a record, where there is one.
pub(super) async fn find_record(s3: &S3, address: &S3Address) -> Result<Option<Bytes>, GroupError> {
    match s3.get_bytes(address, None, MAX_RECORD_BYTES).await {
        Ok((bytes, _)) => Ok(Some(bytes)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(GroupError::Destination(error)),
    }
}

/// A record that cannot be read.
pub(super) fn unreadable(address: &S3Address) -> impl Fn(RecordError) -> GroupError {
    move |cause| GroupError::Record {
        address: address.clone(),
        cause,
    }
}
