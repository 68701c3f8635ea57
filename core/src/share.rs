//! Sharing is a layer, not a property of a machine: [`Lock`] + [`Shared`] + [`Guard`].

use core::cell::RefCell;

use crate::{Clock, Gate, Moment, Outcome, Rejected};

/// Exclusive access to a value behind `&self`.
///
/// Implemented for [`RefCell`] here, for `std::sync::Mutex` under the feature `std`, and for embassy-sync's blocking
/// mutex by the embassy adapter. Over `critical-section` it is three lines:
/// `critical_section::with(|cs| f(&mut self.0.borrow_ref_mut(cs)))`.
pub trait Lock {
    /// What is locked.
    type Value;

    /// Runs `f` with exclusive access and returns its answer. `f` must be short, and must not come back to the same
    /// lock: that is a deadlock or a panic, as the lock has it. fusebox never does.
    fn with<R>(&self, f: impl FnOnce(&mut Self::Value) -> R) -> R;
}

impl<T> Lock for RefCell<T> {
    type Value = T;

    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.borrow_mut())
    }
}

/// A poisoned mutex is used as it is: machines hold no invariant that a panic of another thread could leave half-done.
#[cfg(feature = "std")]
impl<T> Lock for std::sync::Mutex<T> {
    type Value = T;

    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// A [`Gate`] that many callers use through `&self`. The methods are those of [`Gate`].
///
/// The time is an [`Instant`](crate::Instant), or a clock that is read only if the answer depends on it: a closed breaker
/// that looks at no times is asked and told without. A tuple of gates may read it once for each: where that must be one
/// time, or is dear, give a [`Moment`] of it.
pub trait SharedGate {
    /// See [`Gate::Permit`].
    type Permit;

    /// See [`Gate::try_acquire`].
    ///
    /// # Errors
    /// [`Rejected`] says why not and when to come back.
    fn try_acquire(&self, now: impl Clock) -> Result<Self::Permit, Rejected>;

    /// See [`Gate::release`].
    fn release(&self, permit: Self::Permit, outcome: Outcome, now: impl Clock);

    /// See [`Gate::cancel`].
    fn cancel(&self, permit: Self::Permit, now: impl Clock);
}

impl<S: SharedGate> SharedGate for &S {
    type Permit = S::Permit;

    #[expect(clippy::inline_always, reason = "a permit that comes back through memory costs as much as all else")]
    #[inline(always)]
    fn try_acquire(&self, now: impl Clock) -> Result<S::Permit, Rejected> {
        (**self).try_acquire(now)
    }
    #[inline]
    fn release(&self, permit: S::Permit, outcome: Outcome, now: impl Clock) {
        (**self).release(permit, outcome, now);
    }
    #[inline]
    fn cancel(&self, permit: S::Permit, now: impl Clock) {
        (**self).cancel(permit, now);
    }
}

/// No gate: lets everything through.
impl SharedGate for () {
    type Permit = ();

    #[inline]
    fn try_acquire(&self, _now: impl Clock) -> Result<(), Rejected> {
        Ok(())
    }
    #[inline]
    fn release(&self, _permit: (), _outcome: Outcome, _now: impl Clock) {}
    #[inline]
    fn cancel(&self, _permit: (), _now: impl Clock) {}
}

/// `None` lets everything through: so that the type does not depend on whether there is a gate.
impl<S: SharedGate> SharedGate for Option<S> {
    type Permit = Option<S::Permit>;

    #[inline]
    fn try_acquire(&self, now: impl Clock) -> Result<Self::Permit, Rejected> {
        self.as_ref().map(|gate| gate.try_acquire(now)).transpose()
    }
    #[inline]
    fn release(&self, permit: Self::Permit, outcome: Outcome, now: impl Clock) {
        if let (Some(gate), Some(permit)) = (self, permit) {
            gate.release(permit, outcome, now);
        }
    }
    #[inline]
    fn cancel(&self, permit: Self::Permit, now: impl Clock) {
        if let (Some(gate), Some(permit)) = (self, permit) {
            gate.cancel(permit, now);
        }
    }
}

/// As tuples of gates are gates: for gates that are shared each in its own way. Gates behind one lock are cheaper as
/// `Shared` over their tuple.
impl<A: SharedGate, B: SharedGate> SharedGate for (A, B) {
    type Permit = (A::Permit, B::Permit);

    #[expect(clippy::inline_always, reason = "a permit that comes back through memory costs as much as all else")]
    #[inline(always)]
    fn try_acquire(&self, now: impl Clock) -> Result<Self::Permit, Rejected> {
        let outer = self.0.try_acquire(&now)?;
        match self.1.try_acquire(&now) {
            Ok(inner) => Ok((outer, inner)),
            Err(rejected) => {
                self.0.cancel(outer, now);
                Err(rejected)
            }
        }
    }

    #[inline]
    fn release(&self, (outer, inner): Self::Permit, outcome: Outcome, now: impl Clock) {
        self.1.release(inner, outcome, &now);
        self.0.release(outer, outcome, now);
    }

    #[inline]
    fn cancel(&self, (outer, inner): Self::Permit, now: impl Clock) {
        self.1.cancel(inner, &now);
        self.0.cancel(outer, now);
    }
}

impl<A: SharedGate, B: SharedGate, C: SharedGate> SharedGate for (A, B, C) {
    type Permit = (A::Permit, (B::Permit, C::Permit));

    #[expect(clippy::inline_always, reason = "a permit that comes back through memory costs as much as all else")]
    #[inline(always)]
    fn try_acquire(&self, now: impl Clock) -> Result<Self::Permit, Rejected> {
        let (a, b, c) = self;
        (a, (b, c)).try_acquire(now)
    }

    #[inline]
    fn release(&self, permit: Self::Permit, outcome: Outcome, now: impl Clock) {
        let (a, b, c) = self;
        (a, (b, c)).release(permit, outcome, now);
    }

    #[inline]
    fn cancel(&self, permit: Self::Permit, now: impl Clock) {
        let (a, b, c) = self;
        (a, (b, c)).cancel(permit, now);
    }
}

/// A machine (or a tuple of machines) behind a [`Lock`].
///
/// ```
/// use core::{cell::RefCell, time::Duration};
/// use fusebox::{Instant, Quota, Shared, SharedGate, TokenBucket, checked};
///
/// let bucket = Shared::new(RefCell::new(TokenBucket::new(checked!(Quota::new(1, Duration::from_secs(1))))));
/// assert!(bucket.try_acquire(Instant::EPOCH).is_ok());
/// assert!(bucket.try_acquire(Instant::EPOCH).is_err());
/// ```
#[derive(Debug)]
pub struct Shared<L>(L);

impl<L> Shared<L> {
    /// Shares what `lock` holds.
    pub const fn new(lock: L) -> Self {
        Self(lock)
    }
}

impl<L: Lock> Shared<L> {
    /// Runs `f` on the machine: to read a snapshot, take an event, force a state.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(&mut L::Value) -> R) -> R {
        self.0.with(f)
    }
}

impl<L: Lock<Value: Gate>> SharedGate for Shared<L> {
    type Permit = <L::Value as Gate>::Permit;

    #[inline]
    fn try_acquire(&self, now: impl Clock) -> Result<Self::Permit, Rejected> {
        let now = now.now();
        self.with(|gate| gate.try_acquire(now))
    }
    #[inline]
    fn release(&self, permit: Self::Permit, outcome: Outcome, now: impl Clock) {
        let now = now.now();
        self.with(|gate| gate.release(permit, outcome, now));
    }
    #[inline]
    fn cancel(&self, permit: Self::Permit, now: impl Clock) {
        let now = now.now();
        self.with(|gate| gate.cancel(permit, now));
    }
}

/// Owns a permit and gives it back when dropped: as [`Outcome::Ignored`], unless told otherwise.
///
/// This is what makes a future that holds it safe to drop. To report, call [`release`](Guard::release); if the thing
/// never ran, [`cancel`](Guard::cancel).
#[derive(Debug)]
#[must_use = "dropping the guard gives the permit back at once"]
pub struct Guard<'a, S: SharedGate, C: Clock> {
    gate: &'a S,
    clock: &'a C,
    permit: Option<S::Permit>,
    /// `None`: it never ran.
    on_drop: Option<Outcome>,
}

impl<'a, S: SharedGate, C: Clock> Guard<'a, S, C> {
    /// Asks `gate` at the time that `clock` shows.
    ///
    /// # Errors
    /// What the gate says.
    #[inline]
    pub fn try_acquire(gate: &'a S, clock: &'a C) -> Result<Self, Rejected> {
        let permit = gate.try_acquire(Moment::new(clock))?;
        Ok(Self { gate, clock, permit: Some(permit), on_drop: Some(Outcome::Ignored) })
    }

    /// What the gate is to be told if the guard is dropped from now on. A driver sets `Failure` around code that may
    /// panic and `Ignored` where it may only be cancelled.
    #[inline]
    pub const fn on_drop(&mut self, outcome: Outcome) {
        self.on_drop = Some(outcome);
    }

    /// If the guard is dropped from now on, the permit is cancelled: what it is for has not begun yet.
    #[inline]
    pub const fn cancel_on_drop(&mut self) {
        self.on_drop = None;
    }

    /// It ran and ended with `outcome`.
    #[inline]
    pub fn release(mut self, outcome: Outcome) {
        self.on_drop(outcome);
    }

    /// It never ran.
    #[inline]
    pub fn cancel(mut self) {
        self.cancel_on_drop();
    }

    /// Takes the permit out; giving it back is the caller's from here on.
    #[must_use = "a permit must go back to its gate"]
    pub fn disarm(mut self) -> Option<S::Permit> {
        self.permit.take()
    }
}

impl<S: SharedGate, C: Clock> Drop for Guard<'_, S, C> {
    #[inline]
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let now = Moment::new(self.clock);
        match self.on_drop {
            Some(outcome) => self.gate.release(permit, outcome, now),
            None => self.gate.cancel(permit, now),
        }
    }
}
