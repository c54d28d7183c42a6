//! How many changes may be on their way to the store: in one room, and in bytes in all rooms together. What is beyond
//! waits, which slows down those who write faster than the store. An eighth of the bytes is for short changes, so that
//! they do not wait for long ones.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::server::rooms::room::Closed;

/// The bytes are counted in units of this many.
const UNIT: usize = 1 << 10;

/// A change of so many bytes is short.
const SHORT: usize = 16 << 10;

/// The bytes of the changes of all rooms of a server.
#[derive(Clone)]
pub(crate) struct InFlightBytes {
    short: Units,
    long: Units,
}

impl InFlightBytes {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { short: Units::new(bytes / 8), long: Units::new(bytes - bytes / 8) }
    }

    /// The units from which a change takes, and how many it takes. One that is longer than all of them takes all.
    fn units_of(&self, bytes: usize) -> (Arc<Semaphore>, u32) {
        let Units { left, all } = if bytes <= SHORT { &self.short } else { &self.long };
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        (left.clone(), units.clamp(1, *all))
    }
}

/// Units that are taken and given back.
#[derive(Clone)]
struct Units {
    left: Arc<Semaphore>,
    all: u32,
}

impl Units {
    fn new(bytes: usize) -> Self {
        let all = (bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS);
        let all = u32::try_from(all).unwrap_or(u32::MAX);
        Self { left: Arc::new(Semaphore::new(all as usize)), all }
    }
}

/// A permit for one change. Held until the change is durable.
pub(crate) struct Permit {
    _change: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

/// The changes of one room.
pub(crate) struct InFlight {
    changes: Arc<Semaphore>,
    limit: u32,
    bytes: InFlightBytes,
}

impl InFlight {
    /// At most `limit` changes at once, and at least one.
    pub(crate) fn new(limit: usize, bytes: InFlightBytes) -> Self {
        let limit = u32::try_from(limit.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        Self { changes: Arc::new(Semaphore::new(limit as usize)), limit, bytes }
    }

    /// The greatest number of changes.
    pub(crate) const fn limit(&self) -> usize {
        self.limit as usize
    }

    /// A permit for a change of `bytes`, if there is one now.
    pub(crate) fn permit_now(&self, bytes: usize) -> Option<Permit> {
        let change = self.changes.clone().try_acquire_owned().ok()?;
        let (left, units) = self.bytes.units_of(bytes);
        let bytes = left.try_acquire_many_owned(units).ok()?;
        Some(Permit { _change: change, _bytes: bytes })
    }

    /// Waits for a permit for a change of `bytes`. Those who wait are served in the order in which they came.
    pub(crate) fn permit(
        &self,
        bytes: usize,
    ) -> impl Future<Output = Result<Permit, Closed>> + Send + 'static {
        let change = self.changes.clone().acquire_owned();
        let (left, units) = self.bytes.units_of(bytes);
        let bytes = left.acquire_many_owned(units);
        async move {
            let change = change.await.map_err(|_| Closed)?;
            Ok(Permit { _change: change, _bytes: bytes.await.map_err(|_| Closed)? })
        }
    }

    /// Waits until no change is on its way, and lets no further one be made while what it returns is held. `None`: the
    /// room has ended.
    pub(crate) async fn all(&self) -> Option<OwnedSemaphorePermit> {
        self.changes.clone().acquire_many_owned(self.limit).await.ok()
    }

    /// The room has ended: nobody waits any more.
    pub(crate) fn close(&self) {
        self.changes.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g9_short_changes_do_not_wait_for_long_ones() {
        let bytes = InFlightBytes::new(16 * SHORT);
        let (room, other) = (InFlight::new(100, bytes.clone()), InFlight::new(100, bytes));
        let long: Vec<_> = (0..).map_while(|_| room.permit_now(2 * SHORT)).collect();
        assert_eq!(long.len(), 7);
        let short: Vec<_> = (0..).map_while(|_| other.permit_now(SHORT)).collect();
        assert_eq!(short.len(), 2);
        drop(long);
        // One that is longer than all goes alone.
        let alone = room.permit_now(100 * SHORT).unwrap();
        assert!(other.permit_now(SHORT + 1).is_none());
        drop((alone, short));
        assert!(other.permit_now(SHORT).is_some() && other.permit_now(SHORT + 1).is_some());
    }
}
