//! What the status is made from.

use k8s_openapi::jiff::Timestamp;

use crate::controller::apply::Applied;
use crate::controller::decide::Decision;
use crate::controller::observed::Observed;
use crate::controller::run::Run;

/// What a look at a run came to.
pub(crate) struct Outcome<'a> {
    /// The run; absent where it was refused before it could be read.
    pub(crate) run: Option<&'a Run>,
    pub(crate) seen: Option<&'a Observed>,
    pub(crate) decision: &'a Decision,
    pub(crate) applied: &'a Applied,
    pub(crate) generation: i64,
    pub(crate) now: Timestamp,
}
