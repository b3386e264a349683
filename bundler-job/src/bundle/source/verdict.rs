//! Whose trouble a failed read of a source object is: the object's, the group's, or not known yet.

use s3bundler_contract::Reason;

use crate::s3::{ErrorKind, S3Error};

/// Whose trouble an answer of the source is, as plain data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The object's, for this reason.
    Object(Reason),
    /// Not known yet: try again.
    Again,
    /// The object was replaced.
    Changed,
    /// The group's: every object of it would meet it.
    Group,
}

/// Judges a failed read of a source object. Only an answer that S3 gave about this very object
/// decides at once; what is not understood is tried again, and is worth another pass in the end.
pub fn reason(error: &S3Error) -> Verdict {
    match error.kind {
        // Of an upload, and never of a source object.
        ErrorKind::NotFound if error.code == "NoSuchUpload" => Verdict::Again,
        ErrorKind::NotFound => Verdict::Object(Reason::NoSuchKey),
        ErrorKind::Archived => Verdict::Object(Reason::Glacier),
        ErrorKind::CustomerKey => Verdict::Object(Reason::SseC),
        // A policy, an access control list or a KMS key denies this object.
        ErrorKind::Denied => Verdict::Object(Reason::AccessDenied),
        // The row's, which names what cannot be an object.
        ErrorKind::Unsent => Verdict::Object(Reason::Invalid),
        ErrorKind::Credentials | ErrorKind::NoBucket | ErrorKind::WrongRegion => Verdict::Group,
        ErrorKind::Precondition => Verdict::Changed,
        ErrorKind::Throttled
        | ErrorKind::Transient
        | ErrorKind::Foreign
        | ErrorKind::Conflict
        | ErrorKind::Unreachable
        | ErrorKind::Unsupported
        | ErrorKind::Rejected
        // Of queues, never of S3.
        | ErrorKind::NoQueue
        | ErrorKind::NameInUse
        | ErrorKind::MessageGone => Verdict::Again,
    }
}

#[cfg(test)]
mod tests;
