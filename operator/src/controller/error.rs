//! Why a reconcile did not come to its end.

use super::intervals::BUDGET;
use crate::aws::AwsError;
use crate::records::RecordsError;

/// Why a reconcile did not come to its end. The class is the metric's label.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    /// Kubernetes could not be read.
    #[error("cannot read from Kubernetes: {0}")]
    Read(#[source] Box<kube::Error>),
    /// What is made for runs cannot be watched, so nothing is known of it.
    #[error("cannot watch objects of kind {kind} in Kubernetes: {cause}")]
    Unwatched {
        kind: String,
        cause: String,
        is_denied: bool,
    },
    /// Kubernetes did not take what was written.
    #[error("cannot write to Kubernetes: {0}")]
    Write(#[source] Box<kube::Error>),
    /// What was to be written belongs to another object of the same name: it was made again
    /// meanwhile.
    #[error("an object was made again, or by somebody else, while it was looked at")]
    Changed,
    /// It took too long, and other runs wait.
    #[error(
        "it took longer than {} s: Kubernetes, S3 or SQS answer too slowly",
        BUDGET.as_secs()
    )]
    TimedOut,
    /// The operator ends.
    #[error("the operator ends")]
    Ending,
    /// AWS did not do as asked.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl ReconcileError {
    /// The class of what AWS did not do.
    pub(crate) const AWS: &'static str = "aws";
    const RECORD: &'static str = "record";
    const TIMEOUT: &'static str = "timeout";

    /// The class of an error of S3, or of what is in it.
    pub(crate) const fn class_of_record(error: &RecordsError) -> &'static str {
        match error {
            RecordsError::Aws(_) => Self::AWS,
            RecordsError::Record { .. } | RecordsError::Flooded(_) => Self::RECORD,
            RecordsError::TimedOut => Self::TIMEOUT,
        }
    }

    pub(crate) const fn class(&self) -> &'static str {
        match self {
            Self::Read(_) | Self::Unwatched { .. } => "kubernetes_read",
            Self::Write(_) => "kubernetes_write",
            Self::Changed => "changed",
            Self::TimedOut => Self::TIMEOUT,
            Self::Ending => "ending",
            Self::Aws(_) => Self::AWS,
        }
    }
}

/// Whether a write named another object, or another state of it, than the one that is there: 409,
/// and of a uid 422 too, because it cannot be changed.
pub(crate) fn is_of_another(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else {
        return false;
    };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 409
        || (status.code == 422
            && causes
                .into_iter()
                .any(|cause| cause.field == "metadata.uid"))
}
