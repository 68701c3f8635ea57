//! Budgets that many callers use.

use super::{After, Budget};
use crate::{Instant, Lock, Outcome, Rejected, Shared, SharedGate};

/// A [`Budget`] that many callers use through `&self`: one for all pipelines to one callee. The methods are those of
/// `Budget` and [`Gate`](crate::Gate).
pub trait SharedBudget {
    /// What a retry was paid with.
    type Withdrawal;

    /// Whether it counts at all: only [`NoBudget`] and `None` do not.
    #[inline]
    fn counts(&self) -> bool {
        true
    }

    /// See [`Budget::deposit`].
    fn deposit(&self, now: Instant);

    /// See [`Budget::try_withdraw`].
    ///
    /// # Errors
    /// See [`Budget::try_withdraw`].
    fn try_withdraw(&self, after: After, now: Instant) -> Result<Self::Withdrawal, Rejected>;

    /// See [`Gate::release`](crate::Gate::release).
    fn release(&self, withdrawal: Self::Withdrawal, outcome: Outcome, now: Instant);

    /// See [`Gate::cancel`](crate::Gate::cancel).
    fn cancel(&self, withdrawal: Self::Withdrawal, now: Instant);

    /// See [`Budget::settle`].
    fn settle(&self, last: Option<Self::Withdrawal>, outcome: Outcome, now: Instant);
}

impl<L: Lock<Value: Budget>> SharedBudget for Shared<L> {
    type Withdrawal = <Self as SharedGate>::Permit;

    #[inline]
    fn deposit(&self, now: Instant) {
        self.with(|budget| budget.deposit(now));
    }
    #[inline]
    fn try_withdraw(&self, after: After, now: Instant) -> Result<Self::Withdrawal, Rejected> {
        self.with(|budget| budget.try_withdraw(after, now))
    }
    #[inline]
    fn release(&self, withdrawal: Self::Withdrawal, outcome: Outcome, now: Instant) {
        SharedGate::release(self, withdrawal, outcome, now);
    }
    #[inline]
    fn cancel(&self, withdrawal: Self::Withdrawal, now: Instant) {
        SharedGate::cancel(self, withdrawal, now);
    }
    #[inline]
    fn settle(&self, last: Option<Self::Withdrawal>, outcome: Outcome, now: Instant) {
        self.with(|budget| budget.settle(last, outcome, now));
    }
}

/// No budget: every retry is free.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBudget;

impl SharedBudget for NoBudget {
    type Withdrawal = ();

    #[inline]
    fn counts(&self) -> bool {
        false
    }
    #[inline]
    fn deposit(&self, _now: Instant) {}
    #[inline]
    fn try_withdraw(&self, _after: After, _now: Instant) -> Result<(), Rejected> {
        Ok(())
    }
    #[inline]
    fn release(&self, _withdrawal: (), _outcome: Outcome, _now: Instant) {}
    #[inline]
    fn cancel(&self, _withdrawal: (), _now: Instant) {}
    #[inline]
    fn settle(&self, _last: Option<()>, _outcome: Outcome, _now: Instant) {}
}

/// `None` is no budget: so that the type does not depend on whether there is one.
impl<B: SharedBudget> SharedBudget for Option<B> {
    type Withdrawal = Option<B::Withdrawal>;

    #[inline]
    fn counts(&self) -> bool {
        self.as_ref().is_some_and(B::counts)
    }
    #[inline]
    fn deposit(&self, now: Instant) {
        if let Some(budget) = self {
            budget.deposit(now);
        }
    }
    #[inline]
    fn try_withdraw(&self, after: After, now: Instant) -> Result<Self::Withdrawal, Rejected> {
        self.as_ref().map(|budget| budget.try_withdraw(after, now)).transpose()
    }
    #[inline]
    fn release(&self, withdrawal: Self::Withdrawal, outcome: Outcome, now: Instant) {
        if let (Some(budget), Some(withdrawal)) = (self, withdrawal) {
            budget.release(withdrawal, outcome, now);
        }
    }
    #[inline]
    fn cancel(&self, withdrawal: Self::Withdrawal, now: Instant) {
        if let (Some(budget), Some(withdrawal)) = (self, withdrawal) {
            budget.cancel(withdrawal, now);
        }
    }
    #[inline]
    fn settle(&self, last: Option<Self::Withdrawal>, outcome: Outcome, now: Instant) {
        if let Some(budget) = self {
            budget.settle(last.flatten(), outcome, now);
        }
    }
}

/// A pointer to a shared budget is one.
macro_rules! delegate {
    ($($pointer:ty),*) => {$(
        impl<B: SharedBudget + ?Sized> SharedBudget for $pointer {
            type Withdrawal = B::Withdrawal;

            #[inline]
            fn counts(&self) -> bool {
                (**self).counts()
            }
            #[inline]
            fn deposit(&self, now: Instant) {
                (**self).deposit(now);
            }
            #[inline]
            fn try_withdraw(&self, after: After, now: Instant) -> Result<B::Withdrawal, Rejected> {
                (**self).try_withdraw(after, now)
            }
            #[inline]
            fn release(&self, withdrawal: B::Withdrawal, outcome: Outcome, now: Instant) {
                (**self).release(withdrawal, outcome, now);
            }
            #[inline]
            fn cancel(&self, withdrawal: B::Withdrawal, now: Instant) {
                (**self).cancel(withdrawal, now);
            }
            #[inline]
            fn settle(&self, last: Option<B::Withdrawal>, outcome: Outcome, now: Instant) {
                (**self).settle(last, outcome, now);
            }
        }
    )*};
}

delegate!(&B);
#[cfg(feature = "std")]
delegate!(std::sync::Arc<B>);
