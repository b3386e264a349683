//! How many workers a run wants: a decision over plain numbers ([`plan`]), and where the numbers of the queue come from
//! ([`depth`]).

pub mod depth;
pub mod plan;
