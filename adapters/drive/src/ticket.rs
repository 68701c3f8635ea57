//! What an attempt that is out has to give back.

use fusebox::{Clock, Outcome, Rejected, SharedBudget, SharedGate};

use crate::parts::{Parts, PermitOf, WithdrawalOf};

/// The permit of an attempt, and what it was paid with. Dropped, it says that the attempt was cancelled, or that it failed
/// if whatever ran then has panicked.
///
/// It is filled and emptied where it is: who copies at once what has just been written in parts waits for it, in all for
/// longer than the rest of a call takes.
pub(crate) struct Ticket<'a, L: Parts> {
    layers: &'a L,
    permit: Option<PermitOf<L>>,
    paid: Option<WithdrawalOf<L>>,
    runs: bool,
}

impl<'a, L: Parts> Ticket<'a, L> {
    /// For nothing.
    #[inline]
    pub(crate) const fn none(layers: &'a L) -> Self {
        Self { layers, permit: None, paid: None, runs: true }
    }

    /// Asks the gates of an attempt.
    #[inline]
    pub(crate) fn try_acquire(&mut self, now: &impl Clock) -> Result<(), Rejected> {
        self.permit = Some(self.layers.gate().try_acquire(now)?);
        Ok(())
    }

    /// With what the attempt was paid.
    #[inline]
    pub(crate) fn paid_with(&mut self, paid: Option<WithdrawalOf<L>>) {
        self.paid = paid;
    }

    /// Whether code of the attempt runs from now on: if it panics, that is a failure; dropped otherwise, it is nobody's
    /// fault.
    #[inline]
    pub(crate) const fn runs(&mut self, runs: bool) {
        self.runs = runs;
    }

    /// The attempt ended; what it was paid with.
    #[inline]
    pub(crate) fn release(&mut self, outcome: Outcome, now: &impl Clock) -> Option<WithdrawalOf<L>> {
        if let Some(permit) = self.permit.take() {
            self.layers.gate().release(permit, outcome, now);
        }
        self.paid.take()
    }
}

impl<L: Parts> Ticket<'_, L> {
    #[cold]
    #[inline(never)]
    fn dropped(&mut self) {
        if let Some(permit) = self.permit.take() {
            let outcome = if self.runs { Outcome::Failure } else { Outcome::Ignored };
            self.layers.gate().release(permit, outcome, self.layers.timer());
        }
        if let Some(paid) = self.paid.take() {
            self.layers.budget().release(paid, Outcome::Ignored, self.layers.timer().now());
        }
    }
}

impl<L: Parts> Drop for Ticket<'_, L> {
    #[inline]
    fn drop(&mut self) {
        if self.permit.is_some() || self.paid.is_some() {
            self.dropped();
        }
    }
}
