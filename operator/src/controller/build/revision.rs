//! What the pods of a run are made with. A run keeps what it was started with, together with its
//! image: a newer operator gives no pod an argument that its image does not know, and replaces no
//! worker (docs/decisions/pod-revisions.md).

/// Arguments, variables and volumes of groupers and workers. Whoever adds some, adds a revision; what
/// the pods of earlier ones have is recorded beside the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PodRevision {
    /// That of releases that recorded none.
    Original = 0,
    /// Workers read whether they are paused. Groupers find the newest inventory, claim the name for
    /// the run and acknowledge it.
    Pausable = 1,
}

impl PodRevision {
    /// That of runs which start now.
    pub(crate) const LATEST: Self = Self::Pausable;

    /// As the status records it.
    pub(crate) const fn number(self) -> i32 {
        self as i32
    }

    /// What a status records. A number of a later release means the latest that is known: an image
    /// knows the arguments of all releases before it.
    pub(crate) const fn of(number: i32) -> Self {
        match number {
            ..=0 => Self::Original,
            1.. => Self::Pausable,
        }
    }
}

#[cfg(test)]
mod tests;
