//! How many workers a run wants: a decision over plain numbers ([`plan`]), where the numbers of the queue come from
//! ([`depth`]), and what other runs leave of those that the operator may give ([`worker_quota`]).

pub mod depth;
pub mod plan;
pub mod worker_quota;
