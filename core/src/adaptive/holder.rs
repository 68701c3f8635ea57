//! A limit that carries its own configuration, and limits that share one.

use super::config::AdaptiveConfig;
use super::machine::{AdaptiveState, Permit};
use super::rule::LimitRule;
use super::{AdaptiveSnapshot, LimitChange};
use crate::{Gate, GateKind, Instant, Outcome, Rejected};

/// An adaptive limit: see the [module](super).
#[derive(Clone, Debug)]
pub struct AdaptiveLimit<A: LimitRule> {
    config: AdaptiveConfig<A>,
    pub(super) state: AdaptiveState<A>,
}

impl<A: LimitRule> AdaptiveLimit<A> {
    /// At its initial limit, nothing in flight, nothing learnt.
    #[must_use]
    pub const fn new(config: AdaptiveConfig<A>) -> Self {
        Self { config, state: AdaptiveState::new() }
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &AdaptiveConfig<A> {
        &self.config
    }

    /// How many may be in flight at once. A release may raise it by more than one, and so make room for several who
    /// wait.
    #[must_use]
    pub const fn limit(&self) -> u16 {
        self.state.limit(&self.config)
    }

    /// Takes the changes of the limit since the last call, made into one.
    pub const fn poll_event(&mut self) -> Option<LimitChange> {
        self.state.poll_event()
    }

    /// What it can tell about itself.
    #[must_use]
    pub const fn snapshot(&self) -> AdaptiveSnapshot {
        self.state.snapshot(&self.config)
    }
}

impl<A: LimitRule> Gate for AdaptiveLimit<A> {
    type Permit = Permit;

    #[inline]
    fn try_acquire(&mut self, now: Instant) -> Result<Permit, Rejected> {
        self.state.try_acquire(&self.config, now)
    }

    #[inline]
    fn release(&mut self, permit: Permit, outcome: Outcome, now: Instant) {
        self.state.release(&self.config, permit, outcome, now);
    }

    #[inline]
    fn cancel(&mut self, permit: Permit, now: Instant) {
        self.state.cancel(permit, now);
    }

    /// Nothing is ever armed: only calls teach.
    #[inline]
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    #[inline]
    fn handle_timeout(&mut self, _now: Instant) {}
}

/// Many limits, one configuration.
impl<A: LimitRule> GateKind for AdaptiveConfig<A> {
    type State = AdaptiveState<A>;
    type Permit = Permit;
    const FRESH: Self::State = AdaptiveState::new();

    #[inline]
    fn try_acquire(&self, state: &mut Self::State, now: Instant) -> Result<Permit, Rejected> {
        state.try_acquire(self, now)
    }

    #[inline]
    fn release(&self, state: &mut Self::State, permit: Permit, outcome: Outcome, now: Instant) {
        state.release(self, permit, outcome, now);
    }

    #[inline]
    fn cancel(&self, state: &mut Self::State, permit: Permit, now: Instant) {
        state.cancel(permit, now);
    }

    fn poll_timeout(&self, _state: &Self::State) -> Option<Instant> {
        None
    }

    fn handle_timeout(&self, _state: &mut Self::State, _now: Instant) {}

    /// When nothing is in flight, and the limit is the initial one at least, or will be forgotten. With a lower limit
    /// and no [`forget_after`](super::AdaptiveBuilder::forget_after) a key is kept for ever.
    fn rests_at(&self, state: &Self::State) -> Option<Instant> {
        state.rests_at(self)
    }

    fn is_held(&self, _state: &Self::State) -> bool {
        false
    }

    /// For ever: only a release makes room.
    fn longest_refusal(&self) -> u64 {
        u64::MAX
    }
}
