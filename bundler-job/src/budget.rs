//! One memory budget for object data. RSS does not grow with objects, group size or object size.
//!
//! Every group has an equal share, so that no group waits for the bytes of another. Of its share,
//! three parts are set aside for the upload (one fills while two are in flight), and the rest is
//! for members between GET and archive: a permit is taken before the GET and given back when the
//! member's bytes are in a part. Permits are taken in manifest order and members packed in that
//! order, so what the next member waits for is always on its way (docs/decisions/memory-shares.md).

use std::sync::{Arc, Mutex, PoisonError, Weak};

use s3bundler_contract::ByteSize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Without a container limit and without `--memory`.
const DEFAULT_BUDGET: ByteSize = ByteSize::mib(128);
/// Members up to this size stay in memory; larger ones go to scratch.
const MAX_IN_MEMORY: ByteSize = ByteSize::mib(8);
/// S3 takes no smaller part but the last ("Amazon S3 multipart upload limits").
const MIN_PART: ByteSize = ByteSize::mib(5);
/// Larger parts save no requests worth their memory.
const USUAL_PART: ByteSize = ByteSize::mib(16);
/// S3 takes 10,000 parts; objects may have grown since the inventory.
const PLANNED_PARTS: u64 = 9_000;
/// Members of a few hundred KiB and what is on its way to scratch fit in no less.
const MIN_MEMBERS: ByteSize = ByteSize::mib(1);
/// One semaphore permit is this many bytes: a semaphore counts in u32.
const UNIT: u64 = 1024;

/// Parts of one group in flight.
pub(crate) const PARTS_IN_FLIGHT: usize = 2;

/// The share of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Bytes of members between GET and archive.
    pub members: u64,
    /// Size of a part of the upload.
    pub part: u64,
    /// Members up to this size stay in memory.
    pub in_memory: u64,
}

/// A share too small for the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{share} of memory for a group are too few for its archive of about {archive} bytes: \
     it needs {needed}; raise --memory, or lower --groups or --max-size"
)]
pub struct TooSmall {
    share: ByteSize,
    archive: u64,
    needed: ByteSize,
}

impl Share {
    /// Divides `budget` among `groups`, for an archive of about `archive` bytes.
    pub fn plan(budget: ByteSize, groups: u64, archive: u64) -> Result<Self, TooSmall> {
        let share = budget.bytes() / groups.max(1);
        let needed_part = archive.div_ceil(PLANNED_PARTS).next_multiple_of(1 << 20);
        let part = (share / 4)
            .clamp(MIN_PART.bytes(), USUAL_PART.bytes())
            .max(needed_part);
        let parts = part * (PARTS_IN_FLIGHT as u64 + 1);
        let members = share.saturating_sub(parts);
        if members < MIN_MEMBERS.bytes() {
            let needed = ByteSize(parts + MIN_MEMBERS.bytes());
            return Err(TooSmall {
                share: ByteSize(share),
                archive,
                needed,
            });
        }
        // Half, so that others can be read ahead of the largest.
        Ok(Self {
            members,
            part,
            in_memory: (members / 2).min(MAX_IN_MEMORY.bytes()),
        })
    }
}

/// The budget that was asked for, or half of the container's memory limit, or 128 MiB.
pub(crate) fn budget(asked: Option<ByteSize>) -> ByteSize {
    asked
        .or_else(|| cgroup_limit().map(|limit| ByteSize(limit / 2)))
        .unwrap_or(DEFAULT_BUDGET)
}

/// The memory limit of this process's container (cgroup v2, then v1); hosts without one give none.
fn cgroup_limit() -> Option<u64> {
    /// Kernels say "no limit" in v1 with a number near the top of the address space.
    const NO_LIMIT: u64 = 1 << 60;
    [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ]
    .into_iter()
    .find_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok())
    .filter(|limit| *limit < NO_LIMIT)
}

/// A budget that is shown for as long as it is used.
#[derive(Debug)]
struct Shown {
    permits: Weak<Semaphore>,
    units: u32,
}

impl Shown {
    /// Bytes that are taken of it.
    fn used(&self) -> u64 {
        let free = self
            .permits
            .upgrade()
            .and_then(|permits| u64::try_from(permits.available_permits()).ok());
        free.map_or(0, |free| u64::from(self.units).saturating_sub(free) * UNIT)
    }
}

/// The budgets of the groups at work, to be shown. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Budgets(Arc<Mutex<Vec<Shown>>>);

impl Budgets {
    /// A [`Budget`] that is shown for as long as it is used.
    pub fn budget(&self, bytes: u64) -> Budget {
        let budget = Budget::new(bytes);
        let mut at_work = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        at_work.retain(|shown| shown.permits.strong_count() > 0);
        at_work.push(Shown {
            permits: Arc::downgrade(&budget.permits),
            units: budget.units,
        });
        budget
    }

    /// Bytes that members hold.
    pub fn used(&self) -> u64 {
        let at_work = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        at_work.iter().map(Shown::used).sum()
    }
}

/// Permits for the bytes of one group.
#[derive(Debug, Clone)]
pub struct Budget {
    permits: Arc<Semaphore>,
    units: u32,
}

impl Budget {
    /// A budget of this many bytes, and of one permit at least: a request for no permits would not
    /// wait.
    pub fn new(bytes: u64) -> Self {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).max(1);
        let permits = usize::try_from(units)
            .unwrap_or(usize::MAX)
            .min(Semaphore::MAX_PERMITS);
        Self {
            permits: Arc::new(Semaphore::new(permits)),
            units,
        }
    }

    /// Waits for permits for this many bytes; for all there are where that is more.
    pub async fn take(&self, bytes: u64) -> Permit {
        let permit = Arc::clone(&self.permits)
            .acquire_many_owned(units(bytes).min(self.units))
            .await;
        Permit(permit.expect("a budget is never closed"))
    }

    /// Permits for this many bytes if they are free.
    pub fn try_take(&self, bytes: u64) -> Option<Permit> {
        Arc::clone(&self.permits)
            .try_acquire_many_owned(units(bytes))
            .ok()
            .map(Permit)
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// Bytes taken from a budget; given back on drop.
#[derive(Debug)]
pub struct Permit(OwnedSemaphorePermit);

impl Permit {
    /// Adds the bytes of another.
    pub fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }
}

#[cfg(test)]
mod tests;
