//! Intervals that several steps of a reconcile share.

use std::time::Duration;

/// Between reconciles of a run that has begun and not ended.
pub(crate) const POLL_PERIOD: Duration = Duration::from_secs(15);
/// Between reconciles of a run whose receipts are being counted: each lists some of them.
pub(crate) const COUNTING_PERIOD: Duration = Duration::from_secs(1);
/// Between two looks for the acknowledgement of a run whose grouper runs: workers wait for it.
pub(crate) const ACKNOWLEDGEMENT_PERIOD: Duration = Duration::from_secs(3);
/// How long a reconcile may take: it holds a slot that other runs wait for.
pub(crate) const BUDGET: Duration = Duration::from_secs(30);
/// How long it reads from S3 and SQS: what they did not answer by then is told in the status.
pub(crate) const READ_BUDGET: Duration = Duration::from_secs(20);
/// How long reconciles may go on writing once the operator is to end, and a reconcile that failed
/// may tell it.
pub(crate) const GRACE: Duration = Duration::from_secs(5);
/// Between reconciles of a run that is refused: what refuses it is not watched.
pub(crate) const REFUSED_PERIOD: Duration = Duration::from_mins(1);
