//! A breaker that carries its own configuration, and breakers that share one.

use super::config::BreakerConfig;
use super::machine::BreakerState;
use super::permit::Permit;
use super::rule::TripRule;
use super::{Snapshot, State, Transition};
use crate::{Gate, GateKind, Instant, Outcome, Rejected};

/// A circuit breaker: see the [module](super).
#[derive(Clone, Debug)]
pub struct Breaker<R: TripRule, const TRIALS: usize = 1> {
    config: BreakerConfig<R, TRIALS>,
    state: BreakerState<R, TRIALS>,
}

impl<R: TripRule, const TRIALS: usize> Breaker<R, TRIALS> {
    /// Closed, nothing recorded.
    #[must_use]
    pub const fn new(config: BreakerConfig<R, TRIALS>) -> Self {
        Self { config, state: BreakerState::new() }
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &BreakerConfig<R, TRIALS> {
        &self.config
    }

    /// Opens it as if the rule had tripped; it goes half-open by itself. Nothing happens if it is open or forced.
    pub fn trip(&mut self, now: Instant) {
        self.state.trip(&self.config, now);
    }

    /// Ends the open interval, for who knows that the callee is back: trials go out. Nothing happens unless it is open.
    pub fn half_open(&mut self, now: Instant) {
        self.state.half_open(now);
    }

    /// Refuses all calls until [`reset`](Self::reset); ends a dry run.
    pub fn force_open(&mut self, now: Instant) {
        self.state.force_open(now);
    }

    /// Lets all calls through, recording nothing, until [`reset`](Self::reset); ends a dry run.
    pub fn force_closed(&mut self, now: Instant) {
        self.state.force_closed(now);
    }

    /// Starts over as closed, then measures and announces as ever but refuses nothing, until [`reset`](Self::reset):
    /// what would have been refused is counted. To try a configuration on real traffic.
    pub fn dry_run(&mut self, now: Instant) {
        self.state.dry_run(now);
    }

    /// Back to closed with nothing recorded; ends whatever was forced. Totals go on.
    pub fn reset(&mut self, now: Instant) {
        self.state.reset(now);
    }

    /// Takes the transitions since the last call, made into one.
    pub const fn poll_event(&mut self) -> Option<Transition> {
        self.state.poll_event()
    }

    /// What it can tell about itself at `now`.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        self.state.snapshot(&self.config, now)
    }

    /// The state, as of the last call.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state.state()
    }
}

impl<R: TripRule, const TRIALS: usize> Gate for Breaker<R, TRIALS> {
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
        self.state.cancel(&self.config, permit, now);
    }

    #[inline]
    fn poll_timeout(&self) -> Option<Instant> {
        self.state.poll_timeout(&self.config)
    }

    #[inline]
    fn handle_timeout(&mut self, now: Instant) {
        self.state.handle_timeout(&self.config, now);
    }
}

/// Many breakers, one configuration.
impl<R: TripRule, const TRIALS: usize> GateKind for BreakerConfig<R, TRIALS> {
    type State = BreakerState<R, TRIALS>;
    type Permit = Permit;
    const FRESH: Self::State = BreakerState::new();

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
        state.cancel(self, permit, now);
    }

    fn poll_timeout(&self, state: &Self::State) -> Option<Instant> {
        state.poll_timeout(self)
    }

    fn handle_timeout(&self, state: &mut Self::State, now: Instant) {
        state.handle_timeout(self, now);
    }

    /// When it is closed, lets all calls through and remembers no bad one.
    fn rests_at(&self, state: &Self::State) -> Option<Instant> {
        state.rests_at(self)
    }

    /// Forced open, forced closed or a dry run.
    fn is_held(&self, state: &Self::State) -> bool {
        state.is_held()
    }

    fn longest_refusal(&self) -> u64 {
        self.longest_refusal()
    }
}
