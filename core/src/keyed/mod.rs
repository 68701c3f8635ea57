//! Keyed gates: one per endpoint, shard or device, not one over all.
//!
//! # Why
//! One breaker over many endpoints cuts off the healthy ones when one is sick. A gate per key does not, but keys come
//! from outside and have no end, and memory has. This table is bounded: it forgets keys whose gate is no different from
//! a new one, and says so when it cannot.
//!
//! # State picture
//! ```text
//!            asked                   its gate rests, or idle          another key needs the place
//!   no place -----> in the table ------------------------> at rest -------------------------------> forgotten
//!      |                 ^                                    |
//!      |                 +------------------------------------+
//!      |                            asked, told
//!      +--> refused `KeysFull`, while no key in the table is at rest
//! ```
//!
//! # Contract
//! - A key is forgotten only at rest: when its gate is no different from a new one, or when nobody asked or told it
//!   anything for the idle time. That is never shorter than the longest time for which the gate can refuse, so no key
//!   that refuses is ever reset by other keys. What is held by hand (forced open, say) stays until it is let go.
//! - Nothing is forgotten before a new key needs the place. Then the search goes round from where the last one ended;
//!   keys with permits out go last.
//! - `KeysFull` comes with the instant at which a place will be free if the table is left alone, `None` when all keys
//!   are held by hand.
//! - Outcomes of a key that was forgotten since are dropped, also when it has come back.
//! - A clock that steps back keeps no key longer than the idle time.
//! - A key is cloned when it gets a place, and never else.
//!
//! # Defaults
//! Idle after 10 minutes: a service that is called less often than that gains little from what was known of it.
//!
//! # Example
//! ```
//! use core::time::Duration;
//! use fusebox::{BreakerConfig, Consecutive, Instant, Keyed, Outcome, Reason, checked};
//!
//! // Up to 8 sensors on a bus, by address.
//! let mut sensors: Keyed<u8, BreakerConfig<Consecutive>, 8> = const {
//!     Keyed::new(checked!(
//!         BreakerConfig::builder(checked!(Consecutive::new(1))).open_for(Duration::from_secs(5)).build()
//!     ))
//! };
//! let at = Instant::from_secs;
//! let permit = sensors.try_acquire(&0x40, at(0)).unwrap();
//! sensors.release(permit, Outcome::Failure, at(0));
//! let refused = sensors.try_acquire(&0x40, at(1)).unwrap_err();
//! assert_eq!((refused.reason, refused.retry_at), (Reason::Open, Some(at(5))));
//!
//! let permit = sensors.try_acquire(&0x41, at(1)).unwrap(); // the other one is well
//! sensors.release(permit, Outcome::Success, at(1));
//! ```
//!
//! # When not
//! Lookup is linear: for up to about a hundred keys. Servers use `ShardedKeyed` of `fusebox-tokio`, which has the same
//! rule. With a fixed set of keys that are known when compiling, an array of gates is simpler.

mod eviction;
#[cfg(test)]
mod tests;
mod view;

use core::time::Duration;

pub use eviction::{Eviction, KeyedPermit, Slot};
use heapless::Vec;
pub use view::KeyedGate;

use crate::gate::earlier;
use crate::{GateKind, Instant, Outcome, Reason, Rejected};

/// How long a key is kept that nobody uses, unless set.
pub const IDLE: Duration = Duration::from_secs(600);

/// What a table of keys can tell about itself. Totals count from its making and stop at their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct KeyedSnapshot {
    /// Keys in the table.
    pub len: usize,
    /// Keys it has places for.
    pub capacity: usize,
    /// Keys forgotten.
    pub evicted: u32,
    /// New keys refused because no key was at rest.
    pub full: u32,
}

/// A table from keys to gates of one kind, with places for `N`: see the [module](self).
#[derive(Clone, Debug)]
pub struct Keyed<K, C: GateKind, const N: usize> {
    kind: C,
    eviction: Eviction,
    slots: Vec<Slot<K, C::State>, N>,
}

impl<K, C: GateKind, const N: usize> Keyed<K, C, N> {
    /// An empty table of gates with the configuration `kind`.
    #[must_use]
    pub const fn new(kind: C) -> Self {
        const { assert!(N > 0 && N <= 1 << 16, "from 1 to 65536 places") };
        Self { kind, eviction: Eviction::new(IDLE), slots: Vec::new() }
    }

    /// How long a key is kept that nobody uses. Shorter than its gate can refuse means: that long. Default [`IDLE`].
    #[must_use]
    pub const fn with_idle(mut self, idle: Duration) -> Self {
        self.eviction = Eviction::new(idle);
        self
    }

    /// The configuration.
    #[must_use]
    pub const fn kind(&self) -> &C {
        &self.kind
    }

    /// The number of keys in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no key in the table.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// What it can tell about itself.
    #[must_use]
    pub fn snapshot(&self) -> KeyedSnapshot {
        KeyedSnapshot { len: self.len(), capacity: N, evicted: self.eviction.evicted(), full: self.eviction.full() }
    }

    /// All keys and what their gates remember, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &C::State)> {
        self.slots.iter().map(|slot| (slot.key(), slot.state()))
    }

    /// Goes over all keys, to take events and the like. That is no use of a key: what is made to refuse here may be
    /// forgotten too early, so trip through [`with`](Self::with).
    pub fn for_each(&mut self, mut f: impl FnMut(&K, &C, &mut C::State)) {
        for slot in &mut self.slots {
            let (key, state) = slot.parts_mut();
            f(key, &self.kind, state);
        }
    }

    /// See [`Gate::release`](crate::Gate::release). The permit must be of this table.
    pub fn release(&mut self, permit: KeyedPermit<C::Permit>, outcome: Outcome, now: Instant) {
        if let Some(slot) = self.slots.get_mut(permit.place() as usize) {
            slot.release(&self.kind, permit, outcome, now);
        }
    }

    /// See [`Gate::cancel`](crate::Gate::cancel). The permit must be of this table.
    pub fn cancel(&mut self, permit: KeyedPermit<C::Permit>, now: Instant) {
        if let Some(slot) = self.slots.get_mut(permit.place() as usize) {
            slot.cancel(&self.kind, permit, now);
        }
    }

    /// See [`Gate::poll_timeout`](crate::Gate::poll_timeout): the earliest of all keys.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.iter().fold(None, |soonest, (_, state)| earlier(soonest, self.kind.poll_timeout(state)))
    }

    /// See [`Gate::handle_timeout`](crate::Gate::handle_timeout), for all keys.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.for_each(|_, kind, state| kind.handle_timeout(state, now));
    }
}

impl<K: Eq + Clone, C: GateKind, const N: usize> Keyed<K, C, N> {
    /// Asks the gate of `key`.
    ///
    /// # Errors
    /// What that gate says, or [`Reason::KeysFull`].
    pub fn try_acquire(&mut self, key: &K, now: Instant) -> Result<KeyedPermit<C::Permit>, Rejected> {
        let at = self.place(key, now)?;
        let slot = self.slots.get_mut(at).ok_or(NO_PLACE)?;
        #[expect(clippy::cast_possible_truncation, reason = "at most 65536 places")]
        slot.try_acquire(&self.kind, at as u32, now)
    }

    /// Runs `f` on the state of `key`, to force it or take its event. Gives the key a place if it has none, and counts
    /// as a use.
    ///
    /// # Errors
    /// [`Reason::KeysFull`].
    pub fn with<R>(&mut self, key: &K, now: Instant, f: impl FnOnce(&C, &mut C::State) -> R) -> Result<R, Rejected> {
        let at = self.place(key, now)?;
        let slot = self.slots.get_mut(at).ok_or(NO_PLACE)?;
        Ok(f(&self.kind, slot.use_at(now)))
    }

    /// What the gate of `key` remembers; `None` when the key is not in the table. That is no use of it.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&C::State> {
        self.slots.iter().find(|slot| slot.key() == key).map(Slot::state)
    }

    /// The place of `key`, which is made for it if need be.
    fn place(&mut self, key: &K, now: Instant) -> Result<usize, Rejected> {
        if let Some(at) = self.slots.iter().position(|slot| slot.key() == key) {
            return Ok(at);
        }
        if self.slots.is_full() {
            let at = self.eviction.victim(&self.kind, &mut self.slots, N, now)?;
            self.slots.get_mut(at).ok_or(NO_PLACE)?.renew(key.clone(), C::FRESH, now);
            return Ok(at);
        }
        let at = self.slots.len();
        self.slots.push(Slot::new(key.clone(), C::FRESH, now)).map_err(|_| NO_PLACE)?;
        Ok(at)
    }
}

/// Never seen: places are looked up right after they were found.
const NO_PLACE: Rejected = Rejected { reason: Reason::KeysFull, retry_at: None };
