//! Gates of any type, in a pipeline that is put together at run time.

use std::any::Any;

use fusebox::{Clock, Instant, Outcome, Rejected, SharedGate};

/// A [`SharedGate`] with the type of its permits rubbed out.
pub(crate) trait AnyGate {
    fn try_acquire(&self, now: Instant) -> Result<Box<dyn Any>, Rejected>;
    fn release(&self, permit: Box<dyn Any>, outcome: Outcome, now: Instant);
    fn cancel(&self, permit: Box<dyn Any>, now: Instant);
}

impl<S: SharedGate<Permit: 'static>> AnyGate for S {
    fn try_acquire(&self, now: Instant) -> Result<Box<dyn Any>, Rejected> {
        SharedGate::try_acquire(self, now).map(|permit| Box::new(permit) as _)
    }
    fn release(&self, permit: Box<dyn Any>, outcome: Outcome, now: Instant) {
        SharedGate::release(self, *permit.downcast().unwrap(), outcome, now);
    }
    fn cancel(&self, permit: Box<dyn Any>, now: Instant) {
        SharedGate::cancel(self, *permit.downcast().unwrap(), now);
    }
}

/// A place for a gate; an empty one lets everything through.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a>(Option<&'a dyn AnyGate>);

/// Places on one side of a plan.
pub(crate) const PLACES: usize = 3;

/// What a pipeline takes for its gates.
pub(crate) type Places<'a> = (Place<'a>, Place<'a>, Place<'a>);

/// `gates`, outermost first, at most [`PLACES`].
pub(crate) fn places<'a>(gates: &[&'a dyn AnyGate]) -> Places<'a> {
    let place = |n: usize| Place(gates.get(n).copied());
    (place(0), place(1), place(2))
}

impl SharedGate for Place<'_> {
    type Permit = Option<Box<dyn Any>>;

    fn try_acquire(&self, now: impl Clock) -> Result<Self::Permit, Rejected> {
        let now = now.now();
        self.0.map(|gate| gate.try_acquire(now)).transpose()
    }
    fn release(&self, permit: Self::Permit, outcome: Outcome, now: impl Clock) {
        if let (Some(gate), Some(permit)) = (self.0, permit) {
            gate.release(permit, outcome, now.now());
        }
    }
    fn cancel(&self, permit: Self::Permit, now: impl Clock) {
        if let (Some(gate), Some(permit)) = (self.0, permit) {
            gate.cancel(permit, now.now());
        }
    }
}
