//! Intervals that several steps of a reconcile share.

use std::time::Duration;

/// Between reconciles of a run that has begun and not ended.
pub(crate) const POLL_PERIOD: Duration = Duration::from_secs(15);
/// Between reconciles of a run whose receipts are being counted: each lists some of them.
pub(crate) const COUNTING_PERIOD: Duration = Duration::from_secs(1);
/// Between reconciles of a run that is refused: what refuses it is not watched.
pub(crate) const REFUSED_PERIOD: Duration = Duration::from_mins(1);
