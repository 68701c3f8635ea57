//! The parts that have something to say, and those that have not.

use super::{Facts, Review};
use crate::adaptive::LimitRule;
use crate::breaker::{Sample, TripRule};
use crate::bulkhead::SharedClass;
use crate::kind::GateKind;
use crate::recovery::Ladder;
use crate::{
    AdaptiveLimit, Breaker, BreakerConfig, Bulkhead, ClassBulkhead, ConcurrencyBudget, Instant, KeyedGate,
    LeasedBulkhead, Limiter, Lock, NoBudget, RetryBudget, Shared, Throttle,
};
#[cfg(target_has_atomic = "64")]
use crate::{BreakerState, sync};

impl<R: TripRule, const TRIALS: usize> Review for BreakerConfig<R, TRIALS> {
    /// The rule is asked what it makes of one failure, and how long it remembers it.
    fn review(&self, facts: &mut Facts) {
        let (mut memory, start) = (R::EMPTY, Instant::EPOCH);
        let trips = self.rule().record(&mut memory, Sample { failed: true, slow: true }, start);
        let window = self.rule().rests_at(&memory).map(|at| at.nanos_since(start));
        facts.breaker(trips, window, self.trial_ttl);
    }
}

impl<R: TripRule, const TRIALS: usize> Review for Breaker<R, TRIALS> {
    fn review(&self, facts: &mut Facts) {
        self.config().review(facts);
    }
}

impl<const BUCKETS: usize> Review for RetryBudget<BUCKETS> {
    fn review(&self, facts: &mut Facts) {
        facts.budget();
    }
}

impl Review for ConcurrencyBudget {
    fn review(&self, facts: &mut Facts) {
        facts.budget();
    }
}

#[cfg(target_has_atomic = "64")]
impl<R: TripRule, const TRIALS: usize, L> Review for sync::BreakerOver<R, TRIALS, L>
where
    L: Lock<Value = BreakerState<R, TRIALS>>,
{
    fn review(&self, facts: &mut Facts) {
        self.config().review(facts);
    }
}

#[cfg(target_has_atomic = "64")]
impl Review for sync::Bulkhead {}
#[cfg(target_has_atomic = "64")]
impl<L> Review for sync::TokenBucketOver<L> {}
impl<L> Review for SharedClass<'_, L> {}
impl<L, K> Review for KeyedGate<'_, L, K> {}
impl<A, const N: usize> Review for Ladder<A, N> {}
impl Review for () {}
impl Review for NoBudget {}
impl Review for Bulkhead {}
impl<const N: usize> Review for LeasedBulkhead<N> {}
impl<const N: usize> Review for ClassBulkhead<N> {}
impl<C: GateKind> Review for Limiter<C> {}
impl<A: LimitRule> Review for AdaptiveLimit<A> {}
impl<const BUCKETS: usize> Review for Throttle<BUCKETS> {}

impl<L: Lock<Value: Review>> Review for Shared<L> {
    fn review(&self, facts: &mut Facts) {
        self.with(|part| part.review(facts));
    }
}

impl<P: Review> Review for Option<P> {
    fn review(&self, facts: &mut Facts) {
        if let Some(part) = self {
            part.review(facts);
        }
    }
}

impl<A: Review, B: Review> Review for (A, B) {
    fn review(&self, facts: &mut Facts) {
        self.0.review(facts);
        self.1.review(facts);
    }
}

impl<A: Review, B: Review, C: Review> Review for (A, B, C) {
    fn review(&self, facts: &mut Facts) {
        self.0.review(facts);
        self.1.review(facts);
        self.2.review(facts);
    }
}

macro_rules! delegate {
    ($($pointer:ty),*) => {$(
        impl<P: Review + ?Sized> Review for $pointer {
            fn review(&self, facts: &mut Facts) {
                (**self).review(facts);
            }
        }
    )*};
}

delegate!(&P);
#[cfg(feature = "std")]
delegate!(std::sync::Arc<P>);
