//! How many workers a run wants: a decision over plain numbers ([`plan`]), within its fair share
//! ([`fair_shares`]) of those that the operator may give ([`worker_quota`]).

pub(crate) mod fair_shares;
pub(crate) mod plan;
pub(crate) mod worker_quota;
