//! One class of a bulkhead, as a gate.

use super::{ClassBulkhead, ClassPermit};
use crate::{Clock, Gate, Instant, Lock, Outcome, Rejected, Shared, SharedGate};

/// One class of a [`ClassBulkhead`], as a [`Gate`]: what goes into a tuple of gates.
#[derive(Debug)]
pub struct ClassGate<'a, const N: usize> {
    bulkhead: &'a mut ClassBulkhead<N>,
    class: usize,
}

impl<const N: usize> ClassBulkhead<N> {
    /// One class, as a gate.
    pub const fn class(&mut self, class: usize) -> ClassGate<'_, N> {
        ClassGate { bulkhead: self, class }
    }
}

impl<const N: usize> Gate for ClassGate<'_, N> {
    type Permit = ClassPermit;

    #[inline]
    fn try_acquire(&mut self, now: Instant) -> Result<ClassPermit, Rejected> {
        self.bulkhead.try_acquire(self.class, now)
    }

    #[inline]
    fn release(&mut self, permit: ClassPermit, outcome: Outcome, now: Instant) {
        self.bulkhead.release(permit, outcome, now);
    }

    #[inline]
    fn cancel(&mut self, permit: ClassPermit, now: Instant) {
        self.bulkhead.cancel(permit, now);
    }

    /// Nothing is ever armed.
    #[inline]
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    #[inline]
    fn handle_timeout(&mut self, _now: Instant) {}
}

/// One class of a shared [`ClassBulkhead`]: what a pipeline or a [`Guard`](crate::Guard) takes. Costs nothing to make.
///
/// ```
/// use core::{cell::RefCell, num::NonZeroU32};
/// use fusebox::bulkhead::{Class, ClassBulkhead};
/// use fusebox::{Instant, Shared, SharedGate, checked};
///
/// let classes = checked!(ClassBulkhead::new(NonZeroU32::new(2).unwrap(), [Class::new().reserve(500), Class::new()]));
/// let shared = Shared::new(RefCell::new(classes));
/// let (critical, rest) = (shared.class(0), shared.class(1));
/// assert!(rest.try_acquire(Instant::EPOCH).is_ok());
/// assert!(rest.try_acquire(Instant::EPOCH).is_err());
/// assert!(critical.try_acquire(Instant::EPOCH).is_ok());
/// ```
#[derive(Debug)]
pub struct SharedClass<'a, L> {
    shared: &'a Shared<L>,
    class: usize,
}

impl<L> Clone for SharedClass<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for SharedClass<'_, L> {}

impl<const N: usize, L: Lock<Value = ClassBulkhead<N>>> Shared<L> {
    /// One class, as a gate.
    pub const fn class(&self, class: usize) -> SharedClass<'_, L> {
        SharedClass { shared: self, class }
    }
}

impl<const N: usize, L: Lock<Value = ClassBulkhead<N>>> SharedGate for SharedClass<'_, L> {
    type Permit = ClassPermit;

    #[inline]
    fn try_acquire(&self, now: impl Clock) -> Result<ClassPermit, Rejected> {
        let now = now.now();
        self.shared.with(|bulkhead| bulkhead.try_acquire(self.class, now))
    }
    #[inline]
    fn release(&self, permit: ClassPermit, outcome: Outcome, now: impl Clock) {
        let now = now.now();
        self.shared.with(|bulkhead| bulkhead.release(permit, outcome, now));
    }
    #[inline]
    fn cancel(&self, permit: ClassPermit, now: impl Clock) {
        let now = now.now();
        self.shared.with(|bulkhead| bulkhead.cancel(permit, now));
    }
}
