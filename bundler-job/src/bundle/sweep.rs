//! Step 7 of the commit protocol: what the attempts that lost have left.

use s3bundler_contract::{Attempt, GroupName};

use super::upload::{abort, open_uploads};
use crate::args::Destination;
use crate::s3::{S3, S3Error};

/// Deletes archives and indexes of other attempts than the winner at exactly this group, and aborts their uploads. They
/// can never be referenced: the catalog that names the winner was read, and never changes.
pub async fn sweep(
    s3: &S3,
    destination: &Destination,
    group: &GroupName,
    source_bucket: &str,
    winner: &str,
) -> Result<(), S3Error> {
    let layout = &destination.layout;
    let stem = layout.archive_stem(source_bucket, group);
    let attempt = |key: &str| layout.parse_attempt(key, source_bucket, group);
    for listed in s3.list_all(&destination.bucket, &stem).await? {
        if attempt(&listed.key).is_some_and(|it: Attempt| it.as_str() != winner) {
            s3.delete(&destination.address(listed.key)).await?;
        }
    }
    for (key, upload_id) in open_uploads(s3, &destination.address(&stem)).await?.known() {
        if attempt(&key).is_some() {
            // The winner's too: a second upload under its key is a retried request's, and never completed.
            abort(s3, &destination.address(key), &upload_id).await?;
        }
    }
    Ok(())
}
