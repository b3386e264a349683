//! Room in the scratch directory, if that is limited: members take theirs in manifest order.
//!
//! How much room a member needs is known for sure when its headers arrive: the manifest may not have its size, and it may
//! have grown. Until then no later member takes room. So what is waited for is always held by earlier members, which the
//! packer takes first, and members that wait for each other's room cannot be.

use std::collections::BTreeSet;

use tokio::sync::watch;

use super::budget::{Budget, Permit};

/// The room for the members of one group. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Scratch {
    budget: Budget,
    order: watch::Sender<Order>,
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
    room: Option<Permit>,
    settled: bool,
}

/// There is no room for an object that needs more than it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom;

impl Scratch {
    /// Room of this many bytes.
    pub fn new(bytes: u64) -> Self {
        Self { budget: Budget::new(bytes), order: watch::Sender::new(Order::default()) }
    }

    /// The place of the next member of the manifest.
    pub fn place(&self) -> Place {
        let mut number = 0;
        self.order.send_modify(|order| {
            number = order.issued;
            order.issued += 1;
        });
        Place { scratch: self.clone(), number, room: None, settled: false }
    }
}

impl Place {
    /// Takes room for so many bytes in all, or all the room if that is more, once no earlier member may need any.
    pub async fn take(&mut self, bytes: u64) {
        // Never closed: this place has a sender.
        let _ = self.scratch.order.subscribe().wait_for(|order| order.next == self.number).await;
        let more = self.scratch.budget.take_more(self.room.as_ref(), bytes).await;
        self.add(more);
    }

    /// As [`Place::take`], if that needs no waiting.
    pub fn try_take(&mut self, bytes: u64) -> Result<(), NoRoom> {
        let first = self.settled || self.scratch.order.borrow().next == self.number;
        let more = self.scratch.budget.try_take_more(self.room.as_ref(), bytes).filter(|_| first).ok_or(NoRoom)?;
        self.add(more);
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
            self.scratch.order.send_modify(|order| order.settle(self.number));
        }
    }

    /// It needs no room at all.
    pub fn leave(&mut self) {
        self.room = None;
        self.settle();
    }

    fn add(&mut self, more: Permit) {
        match &mut self.room {
            Some(room) => room.merge(more),
            none => *none = Some(more),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const KIB: u64 = 1024;

    /// Whether this would wait for good, on a clock that runs as soon as everybody waits.
    async fn waits(taking: impl Future<Output = ()>) -> bool {
        tokio::time::timeout(Duration::from_mins(1), taking).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_takes_room_before_earlier_members_have_theirs() {
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
        assert!(!waits(grown.take(100 * KIB)).await, "what is larger than all the room has it alone");
        grown.settle();
        assert!(waits(later.take(KIB)).await);
        grown.leave();
        assert!(!waits(later.take(6 * KIB)).await);
        assert_eq!(later.try_take(10 * KIB), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn members_that_need_no_room_hold_nobody_up_in_whatever_order_they_settle() {
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
