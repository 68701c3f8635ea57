//! One key of a shared table, as a gate.

use super::{Keyed, KeyedPermit};
use crate::{Clock, GateKind, Lock, Outcome, Rejected, Shared, SharedGate};

/// The gate of one key in a shared table: what a pipeline or a [`Guard`](crate::Guard) takes. Costs nothing to make and
/// gives the key no place before it is asked.
///
/// ```
/// use core::{cell::RefCell, time::Duration};
/// use fusebox::{BreakerConfig, Consecutive, Instant, Keyed, Outcome, Shared, SharedGate, checked};
///
/// let config = checked!(BreakerConfig::builder(checked!(Consecutive::new(1))).build());
/// let sensors: Shared<RefCell<Keyed<u8, _, 8>>> = Shared::new(RefCell::new(Keyed::new(config)));
/// let (sick, well) = (sensors.gate(&0x40), sensors.gate(&0x41));
/// let permit = sick.try_acquire(Instant::EPOCH).unwrap();
/// sick.release(permit, Outcome::Failure, Instant::EPOCH);
/// assert!(sick.try_acquire(Instant::EPOCH).is_err());
/// assert!(well.try_acquire(Instant::EPOCH).is_ok());
/// ```
#[derive(Debug)]
pub struct KeyedGate<'a, L, K> {
    table: &'a Shared<L>,
    key: &'a K,
}

impl<L, K> Clone for KeyedGate<'_, L, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L, K> Copy for KeyedGate<'_, L, K> {}

impl<K, C: GateKind, const N: usize, L: Lock<Value = Keyed<K, C, N>>> Shared<L> {
    /// The gate of `key`.
    pub const fn gate<'a>(&'a self, key: &'a K) -> KeyedGate<'a, L, K> {
        KeyedGate { table: self, key }
    }
}

impl<K: Eq + Clone, C: GateKind, const N: usize, L: Lock<Value = Keyed<K, C, N>>> SharedGate for KeyedGate<'_, L, K> {
    type Permit = KeyedPermit<C::Permit>;

    #[inline]
    fn try_acquire(&self, now: impl Clock) -> Result<Self::Permit, Rejected> {
        let now = now.now();
        self.table.with(|table| table.try_acquire(self.key, now))
    }
    #[inline]
    fn release(&self, permit: Self::Permit, outcome: Outcome, now: impl Clock) {
        let now = now.now();
        self.table.with(|table| table.release(permit, outcome, now));
    }
    #[inline]
    fn cancel(&self, permit: Self::Permit, now: impl Clock) {
        let now = now.now();
        self.table.with(|table| table.cancel(permit, now));
    }
}
