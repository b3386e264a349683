//! Room in the scratch directory, if that is limited: members take theirs in manifest order.
//!
//! How much room a member needs is known for sure when its headers arrive: the manifest may not
//! have its size, and it may have grown. Until then no later member takes room. So what is waited
//! for is always held by earlier members, which the packer takes first, and members that wait for
//! each other's room cannot be.
//!
//! Parts of the archive that grow need room too. The packer never waits for it, because members
//! that hold room wait for the packer. It asks for some to be set aside: from then on members take
//! no more than the rest, and as soon as they hold no more than that, parts may grow.

use std::collections::BTreeSet;

use tokio::sync::watch;

/// Of all the room, parts are set aside one in so many at most: an object is up to
/// `--max-object-size`.
const PARTS_SHARE: u64 = 4;

/// The room for the members of one group. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Scratch {
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes in all.
    bytes: u64,
    /// Bytes for parts.
    aside: u64,
    /// Bytes that members have.
    taken: u64,
    order: Order,
}

#[derive(Debug, Default)]
struct Order {
    /// Places that were given out.
    issued: u64,
    /// The first place that may still need more room.
    next: u64,
    /// Later ones that need no more.
    settled: BTreeSet<u64>,
}

impl State {
    /// Bytes for members.
    const fn room(&self) -> u64 {
        self.bytes.saturating_sub(self.aside)
    }

    /// Takes what is missing to so many bytes in all, or to all the room if that is less; `None` if
    /// it is not free.
    fn take(&mut self, held: u64, bytes: u64) -> Option<u64> {
        let missing = bytes.min(self.room()).saturating_sub(held);
        if missing > 0 && self.taken.saturating_add(missing) > self.room() {
            return None;
        }
        self.taken += missing;
        Some(missing)
    }
}

impl Order {
    fn settle(&mut self, number: u64) {
        self.settled.insert(number);
        while self.settled.remove(&self.next) {
            self.next += 1;
        }
    }
}

/// The place of a member among all of its group. Dropping it returns its room.
#[derive(Debug)]
pub struct Place {
    scratch: Scratch,
    number: u64,
    held: u64,
    settled: bool,
}

/// There is no room for an object that needs more than it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom;

impl Scratch {
    /// Room of this many bytes.
    pub fn new(bytes: u64) -> Self {
        Self {
            state: watch::Sender::new(State {
                bytes,
                ..State::default()
            }),
        }
    }

    /// The place of the next member of the manifest.
    pub fn place(&self) -> Place {
        let mut number = 0;
        self.state.send_modify(|state| {
            number = state.order.issued;
            state.order.issued += 1;
        });
        Place {
            scratch: self.clone(),
            number,
            held: 0,
            settled: false,
        }
    }

    /// The room of the archive's parts: none yet.
    pub fn aside(&self) -> Aside {
        Aside(self.clone())
    }

    /// The most that can be set aside for parts.
    pub fn most_aside(bytes: u64) -> u64 {
        bytes / PARTS_SHARE
    }
}

/// Room that is set aside for parts.
#[derive(Debug)]
pub struct Aside(Scratch);

impl Aside {
    /// Sets so many bytes in all aside. Whether members have left them; if not, they will, and take
    /// no more. More than [`Scratch::most_aside`] is not to be had.
    pub fn has(&mut self, bytes: u64) -> bool {
        let mut has = false;
        self.0.state.send_modify(|state| {
            if bytes <= Scratch::most_aside(state.bytes) {
                state.aside = state.aside.max(bytes);
                has = state.taken <= state.room();
            }
        });
        has
    }
}

impl Place {
    /// Takes room for so many bytes in all, or all the room if that is more, once no earlier member
    /// may need any.
    pub async fn take(&mut self, bytes: u64) {
        let mut changes = self.scratch.state.subscribe();
        while self.try_take(bytes).is_err() {
            // Never closed: this place has a sender.
            let _ = changes.changed().await;
        }
    }

    /// As [`Place::take`], if that needs no waiting.
    pub fn try_take(&mut self, bytes: u64) -> Result<(), NoRoom> {
        let mut taken = None;
        self.scratch.state.send_if_modified(|state| {
            if self.settled || state.order.next == self.number {
                taken = state.take(self.held, bytes);
            }
            taken.is_some()
        });
        self.held += taken.ok_or(NoRoom)?;
        Ok(())
    }

    /// Whether it will need no more room, so that waiting for some could be for good.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// It needs no more room than it has: later members may take theirs.
    pub fn settle(&mut self) {
        if !self.settled {
            self.settled = true;
            self.scratch
                .state
                .send_modify(|state| state.order.settle(self.number));
        }
    }

    /// It needs no room at all.
    pub fn leave(&mut self) {
        let held = std::mem::take(&mut self.held);
        if held > 0 {
            self.scratch.state.send_modify(|state| state.taken -= held);
        }
        self.settle();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests;
