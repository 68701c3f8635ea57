//! Which key is forgotten when a new one needs a place: the one rule of all tables, whatever they keep their slots in.

use core::time::Duration;

use crate::{GateKind, Instant, Outcome, Reason, Rejected, nanos};

/// Permission to start one thing for one key. It stays good for nothing but to be given back when its key has been
/// forgotten since.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a permit must go back to its table: release or cancel it"]
pub struct KeyedPermit<P> {
    place: u32,
    incarnation: u32,
    inner: P,
}

impl<P> KeyedPermit<P> {
    /// The place that was given to [`Slot::try_acquire`].
    #[must_use]
    pub const fn place(&self) -> u32 {
        self.place
    }
}

/// A key and what its gate remembers. For those who build a table.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Slot<K, S> {
    key: K,
    state: S,
    /// When it was last asked or told something.
    used: Instant,
    /// Tells the permits of this key from those of the keys that were here before.
    incarnation: u32,
    /// Permits that have not come back.
    out: u32,
}

impl<K, S> Slot<K, S> {
    /// A slot for `key`, which is new at `now`.
    pub const fn new(key: K, fresh: S, now: Instant) -> Self {
        Self { key, state: fresh, used: now, incarnation: 0, out: 0 }
    }

    /// Forgets its key for `key`, which is new at `now`. Outcomes for the old one are dropped from here on.
    pub fn renew(&mut self, key: K, fresh: S, now: Instant) {
        let incarnation = self.incarnation.wrapping_add(1);
        *self = Self { incarnation, ..Self::new(key, fresh, now) };
    }

    /// The key.
    pub const fn key(&self) -> &K {
        &self.key
    }

    /// What its gate remembers.
    pub const fn state(&self) -> &S {
        &self.state
    }

    /// The key and its state, to be changed. That is no use: the time since the last one goes on.
    pub const fn parts_mut(&mut self) -> (&K, &mut S) {
        (&self.key, &mut self.state)
    }

    /// The state, to be changed; counts as a use.
    pub const fn use_at(&mut self, now: Instant) -> &mut S {
        self.used = now;
        &mut self.state
    }

    /// Asks for the key, which is at `place` of its table.
    ///
    /// # Errors
    /// What the key's gate says.
    pub fn try_acquire<C>(&mut self, kind: &C, place: u32, now: Instant) -> Result<KeyedPermit<C::Permit>, Rejected>
    where
        C: GateKind<State = S>,
    {
        let inner = kind.try_acquire(self.use_at(now), now)?;
        self.out = self.out.saturating_add(1);
        Ok(KeyedPermit { place, incarnation: self.incarnation, inner })
    }

    /// See [`Gate::release`](crate::Gate::release).
    pub fn release<C>(&mut self, kind: &C, permit: KeyedPermit<C::Permit>, outcome: Outcome, now: Instant)
    where
        C: GateKind<State = S>,
    {
        if let Some(permit) = self.take_back(permit) {
            kind.release(self.use_at(now), permit, outcome, now);
        }
    }

    /// See [`Gate::cancel`](crate::Gate::cancel).
    pub fn cancel<C>(&mut self, kind: &C, permit: KeyedPermit<C::Permit>, now: Instant)
    where
        C: GateKind<State = S>,
    {
        if let Some(permit) = self.take_back(permit) {
            kind.cancel(self.use_at(now), permit, now);
        }
    }

    fn take_back<P>(&mut self, permit: KeyedPermit<P>) -> Option<P> {
        if permit.incarnation != self.incarnation {
            return None; // of a key that is forgotten
        }
        self.out = self.out.saturating_sub(1);
        Some(permit.inner)
    }

    /// From when on the key may be forgotten, if it is left alone.
    fn rests_at<C: GateKind<State = S>>(&mut self, kind: &C, idle: u64, now: Instant) -> Option<Instant> {
        if kind.is_held(&self.state) {
            return None;
        }
        // Later than now only if the clock stepped back: then it is idle from here on.
        self.used = self.used.min(now);
        let unused = self.used.after(idle);
        Some(kind.rests_at(&self.state).map_or(unused, |at| at.min(unused)))
    }
}

/// Decides which key is forgotten. For those who build a table; one for each slice of slots.
///
/// - Only a key at rest is: its gate is no different from a new one ([`GateKind::rests_at`]), or nobody used it for the
///   idle time, which is never shorter than the gate can refuse.
/// - A key with permits out goes only if all that were looked at have some: its outcomes would be lost.
/// - What is held by hand stays.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Eviction {
    idle: u64,
    /// Where the next search starts. It moves on, so that a new key is not the first to go again.
    hand: usize,
    /// The slot whose rest the last refusal announced: looked at first, so that the announcement comes true.
    announced: Option<usize>,
    evicted: u32,
    full: u32,
}

impl Eviction {
    /// Keys unused for `idle`, or for as long as they can refuse if that is longer, are at rest.
    #[must_use]
    pub const fn new(idle: Duration) -> Self {
        Self { idle: nanos(idle), hand: 0, announced: None, evicted: 0, full: 0 }
    }

    /// Keys forgotten.
    #[must_use]
    pub const fn evicted(&self) -> u32 {
        self.evicted
    }

    /// New keys refused.
    #[must_use]
    pub const fn full(&self) -> u32 {
        self.full
    }

    /// The slot to [`renew`](Slot::renew) for a new key; looks at no more than `look` + 1 of them.
    ///
    /// # Errors
    /// [`Reason::KeysFull`] with the earliest instant at which one of those looked at will be at rest, or `None` when all
    /// of them are held by hand.
    pub fn victim<K, C: GateKind>(
        &mut self,
        kind: &C,
        slots: &mut [Slot<K, C::State>],
        look: usize,
        now: Instant,
    ) -> Result<usize, Rejected> {
        let idle = self.idle.max(kind.longest_refusal());
        let look = look.min(slots.len());
        let round = (self.hand..slots.len()).chain(0..self.hand).take(look);
        let mut with_permits_out = None;
        let mut soonest: Option<(Instant, usize)> = None;
        for at in self.announced.take().into_iter().chain(round) {
            let Some(slot) = slots.get_mut(at) else { continue };
            match slot.rests_at(kind, idle, now) {
                Some(Instant::MAX) | None => {} // never
                Some(rest) if rest > now => soonest = Some(soonest.map_or((rest, at), |other| other.min((rest, at)))),
                Some(_) if slot.out == 0 => return Ok(self.evict(at)),
                Some(_) => with_permits_out = with_permits_out.or(Some(at)),
            }
        }
        if let Some(at) = with_permits_out {
            return Ok(self.evict(at));
        }
        let next = self.hand + look;
        self.hand = if next < slots.len() { next } else { next - slots.len() };
        self.announced = soonest.map(|(_, at)| at);
        self.full = self.full.saturating_add(1);
        Err(Rejected { reason: Reason::KeysFull, retry_at: soonest.map(|(rest, _)| rest) })
    }

    const fn evict(&mut self, at: usize) -> usize {
        self.hand = at + 1;
        self.evicted = self.evicted.saturating_add(1);
        at
    }
}
