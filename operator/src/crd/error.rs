//! Why a spec that the API server let pass is refused after all.

use s3bundler_contract::S3Address;
use s3bundler_contract::address::AddressError;
use s3bundler_contract::layout::LayoutError;

/// A field that cannot be what it says. The text is fit for a condition's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// None or both of two fields that exclude each other.
    #[error("{field}: exactly one of {of} is needed")]
    NotOne {
        /// Path of the object with the fields.
        field: &'static str,
        of: &'static str,
    },
    /// Not an S3 address.
    #[error("{field}: {cause}")]
    Address {
        field: &'static str,
        cause: AddressError,
    },
    /// An address of a prefix where one of an object is needed.
    #[error("{field}: {address} names no object")]
    NoObject {
        field: &'static str,
        address: S3Address,
    },
    /// Not a number of bytes.
    #[error("{field}: {cause}")]
    Size {
        field: &'static str,
        cause: QuantityError,
    },
    /// Not a share of the objects.
    #[error("spec.failurePolicy.maxFailedObjects: {0:?} is not a percentage such as 5% or 0.01%")]
    Percent(String),
    /// Not a prefix, or not a run's name.
    #[error("{field}: {cause}")]
    Layout {
        field: &'static str,
        cause: LayoutError,
    },
}

/// Why a quantity is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a quantity at all.
    #[error("{0:?} is not a quantity such as 512Mi, 4Gi or 2G")]
    Malformed(String),
    /// Less than nothing.
    #[error("{0:?} is negative")]
    Negative(String),
    /// More bytes than Kubernetes counts.
    #[error("{0:?} is more than 2^63 - 1 bytes")]
    TooLarge(String),
}
