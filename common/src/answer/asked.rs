//! What the request of an answer was: the SDK takes it away before it judges the answer.

use aws_smithy_types::config_bag::{Storable, StoreReplace};

use super::expired::ExpiredToken;

/// What an answer's request was, as far as it matters.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) is_head: bool,
    /// The region that it was signed for.
    pub(super) region: Option<String>,
    /// The token of the credentials that it was signed with.
    pub(super) token: Option<ExpiredToken>,
    /// Whether the answer is one of success that tells of no object ([`lacks_object`](super::origin::lacks_object)).
    pub(super) lacks_object: bool,
}

impl Storable for Asked {
    type Storer = StoreReplace<Self>;
}
