//! What the status is made from.

use k8s_openapi::jiff::Timestamp;

use crate::controller::apply::Applied;
use crate::controller::decide::Decision;
use crate::controller::observed::Observed;
use crate::controller::run::Run;

/// What a look at a run came to.
pub struct Outcome<'a> {
    /// The run; absent where it was refused before it could be read.
    pub run: Option<&'a Run>,
    /// What there was.
    pub seen: Option<&'a Observed>,
    /// What was decided.
    pub decision: &'a Decision,
    /// What was done.
    pub applied: &'a Applied,
    /// The generation that was looked at.
    pub generation: i64,
    /// The time.
    pub now: Timestamp,
}
