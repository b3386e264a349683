//! How many workers a run wants: a decision over plain numbers ([`plan`]), within what other runs
//! leave of those that the operator may give ([`worker_quota`]).

pub(crate) mod plan;
pub(crate) mod worker_quota;
