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
mod tests {
    use std::time::Duration;

    use super::*;

    const KIB: u64 = 1024;

    /// Whether this would wait for good, on a clock that runs as soon as everybody waits.
    async fn waits(taking: impl Future<Output = ()>) -> bool {
        tokio::time::timeout(Duration::from_mins(1), taking)
            .await
            .is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn no_member_takes_room_before_earlier_members_have_theirs() {
        let scratch = Scratch::new(10 * KIB);
        let (mut unknown, mut known) = (scratch.place(), scratch.place());
        assert!(waits(known.take(4 * KIB)).await);
        assert_eq!(known.try_take(4 * KIB), Err(NoRoom));
        unknown.take(8 * KIB).await;
        unknown.settle();
        assert!(waits(known.take(4 * KIB)).await, "2 KiB are left");
        drop(unknown);
        assert!(!waits(known.take(4 * KIB)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_has_grown_takes_more_before_later_ones_take_any() {
        let scratch = Scratch::new(10 * KIB);
        let (mut grown, mut later) = (scratch.place(), scratch.place());
        grown.take(4 * KIB).await;
        assert!(waits(later.take(6 * KIB)).await);
        assert!(
            !waits(grown.take(100 * KIB)).await,
            "what is larger than all the room has it alone"
        );
        grown.settle();
        assert!(waits(later.take(KIB)).await);
        grown.leave();
        assert!(!waits(later.take(6 * KIB)).await);
        assert_eq!(later.try_take(10 * KIB), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn parts_have_their_room_once_members_have_left_it_and_no_member_waits_for_what_parts_have()
     {
        let scratch = Scratch::new(16 * KIB);
        let mut aside = scratch.aside();
        let mut places: Vec<_> = (0..3).map(|_| scratch.place()).collect();
        for place in &mut places {
            place.take(5 * KIB).await;
            place.settle();
        }
        // It waits for more room than there will be.
        let mut large = scratch.place();
        let waiting = tokio::spawn(async move {
            large.take(16 * KIB).await;
            large
        });
        tokio::task::yield_now().await;
        assert!(!aside.has(8 * KIB), "more than a quarter");
        assert!(
            !aside.has(3 * KIB),
            "members have 15 KiB, and 13 are theirs"
        );
        drop(places.pop());
        assert!(aside.has(3 * KIB) && aside.has(2 * KIB) && !aside.has(5 * KIB));
        assert!(!waiting.is_finished());
        places.clear();
        let large = waiting
            .await
            .expect("13 KiB are all the room that there is");
        assert_eq!(large.held, 13 * KIB);
        assert!(
            aside.has(3 * KIB) && !aside.has(4 * KIB),
            "the member leaves 3 KiB"
        );
        drop(large);
        assert!(aside.has(4 * KIB));
    }

    #[tokio::test(start_paused = true)]
    async fn members_that_need_no_room_block_no_other_in_any_order() {
        let scratch = Scratch::new(KIB);
        let mut places: Vec<_> = (0..5).map(|_| scratch.place()).collect();
        let mut last = places.pop().expect("five");
        for place in [3, 1, 0] {
            places[place].settle();
        }
        assert!(waits(last.take(KIB)).await);
        places.clear();
        assert!(!waits(last.take(KIB)).await);
    }
}
