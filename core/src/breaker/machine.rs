//! The breaker's state machine.

use super::config::BreakerConfig;
use super::rule::{Counts, Sample, TripRule};
use super::trials::Trials;
use super::{Snapshot, State, Transition};
use crate::backoff::Schedule;
use crate::{Gate, Instant, Outcome, Reason, Rejected, entropy};

/// Permission to make one call. 16 bytes.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a permit must go back to its breaker: release or cancel it"]
pub struct Permit {
    started: Instant,
    generation: u32,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Kind {
    Call,
    Trial(u16),
    /// Let through by hand or by a dry run; its outcome says nothing.
    Unjudged,
}

/// What exists only in a phase lives in that phase.
#[derive(Clone, Debug)]
enum Phase<W, const TRIALS: usize> {
    Closed { window: W },
    Open { until: Instant, interval: u64, schedule: Schedule },
    HalfOpen { trials: Trials<TRIALS>, successes: u16, failures: u16, schedule: Schedule },
    ForcedOpen,
    ForcedClosed,
}

/// The machine with its configuration kept elsewhere, so that many breakers can share one. The methods are those of
/// [`Breaker`], each with the configuration as an argument; always give the same one.
#[derive(Clone, Debug)]
pub struct BreakerState<R: TripRule, const TRIALS: usize = 1> {
    phase: Phase<R::Window, TRIALS>,
    since: Instant,
    generation: u32,
    refused: u32,
    lapsed: u32,
    trips: u32,
    /// The state before the first transition that nobody has taken yet.
    untold: Option<State>,
    dry_run: bool,
}

impl<R: TripRule, const TRIALS: usize> Default for BreakerState<R, TRIALS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: TripRule, const TRIALS: usize> BreakerState<R, TRIALS> {
    /// Closed, nothing recorded.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            phase: Phase::Closed { window: R::EMPTY },
            since: Instant::EPOCH,
            generation: 0,
            refused: 0,
            lapsed: 0,
            trips: 0,
            untold: None,
            dry_run: false,
        }
    }

    /// The state, as of the last call.
    #[must_use]
    pub const fn state(&self) -> State {
        match self.phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
            Phase::ForcedOpen => State::ForcedOpen,
            Phase::ForcedClosed => State::ForcedClosed,
        }
    }

    /// The one place where the phase changes: a new generation, and an event unless the state stays the same.
    fn enter(&mut self, phase: Phase<R::Window, TRIALS>, now: Instant) {
        let from = self.state();
        self.phase = phase;
        self.generation = self.generation.wrapping_add(1);
        if self.state() != from {
            self.since = now;
            self.untold = self.untold.or(Some(from));
        }
    }

    fn open(&mut self, config: &BreakerConfig<R, TRIALS>, mut schedule: Schedule, now: Instant) {
        self.trips = self.trips.saturating_add(1);
        let interval = config.open.next(&mut schedule, entropy::nth(config.seed, self.trips));
        self.enter(Phase::Open { until: now.after(interval), interval, schedule }, now);
    }

    fn close(&mut self, now: Instant) {
        self.enter(Phase::Closed { window: R::EMPTY }, now);
    }

    /// See [`Gate::try_acquire`].
    ///
    /// # Errors
    /// [`Reason::Open`], [`Reason::TrialsOut`], or [`Reason::ForcedOpen`], which has no `retry_at`.
    #[inline]
    pub fn try_acquire(&mut self, config: &BreakerConfig<R, TRIALS>, now: Instant) -> Result<Permit, Rejected> {
        if let Phase::Closed { .. } = self.phase {
            return Ok(Permit { started: now, generation: self.generation, kind: Kind::Call });
        }
        self.try_acquire_unless_closed(config, now)
    }

    fn try_acquire_unless_closed(
        &mut self,
        config: &BreakerConfig<R, TRIALS>,
        now: Instant,
    ) -> Result<Permit, Rejected> {
        self.handle_timeout(config, now);
        let kind = match self.admit(config, now) {
            Ok(kind) => kind,
            Err(rejected) => {
                self.refused = self.refused.saturating_add(1);
                if !self.dry_run {
                    return Err(rejected);
                }
                Kind::Unjudged
            }
        };
        Ok(Permit { started: now, generation: self.generation, kind })
    }

    fn admit(&mut self, config: &BreakerConfig<R, TRIALS>, now: Instant) -> Result<Kind, Rejected> {
        match &mut self.phase {
            Phase::Closed { .. } => Ok(Kind::Call),
            Phase::ForcedClosed => Ok(Kind::Unjudged),
            Phase::ForcedOpen => Err(Rejected { reason: Reason::ForcedOpen, retry_at: None }),
            Phase::Open { until, .. } => Err(Rejected { reason: Reason::Open, retry_at: Some(*until) }),
            Phase::HalfOpen { trials, successes, failures, .. } => {
                let judged = usize::from(*successes) + usize::from(*failures);
                // More than could still matter would only be load on a callee that may be down.
                let wanted = judged + trials.out() < usize::from(config.trials_needed);
                let number = if wanted { trials.take(now, config.trial_ttl) } else { None };
                let retry_at = trials.next_expiry();
                number.map(Kind::Trial).ok_or(Rejected { reason: Reason::TrialsOut, retry_at })
            }
        }
    }

    /// See [`Gate::release`].
    #[inline]
    pub fn release(&mut self, config: &BreakerConfig<R, TRIALS>, permit: Permit, outcome: Outcome, now: Instant) {
        if permit.generation != self.generation {
            return; // of an earlier phase
        }
        let slow = now.nanos_since(permit.started) > config.slow_after;
        match permit.kind {
            Kind::Call => self.record(config, outcome, slow, now),
            Kind::Trial(number) => self.judge(config, number, outcome, slow, now),
            Kind::Unjudged => {}
        }
    }

    fn record(&mut self, config: &BreakerConfig<R, TRIALS>, outcome: Outcome, slow: bool, now: Instant) {
        let Phase::Closed { window } = &mut self.phase else { return };
        if outcome == Outcome::Ignored {
            return;
        }
        let sample = Sample { failed: outcome == Outcome::Failure, slow };
        let met = config.rule.record(window, sample, now);
        if met && (sample.failed || sample.slow) {
            self.open(config, Schedule::new(), now);
        }
    }

    fn judge(&mut self, config: &BreakerConfig<R, TRIALS>, number: u16, outcome: Outcome, slow: bool, now: Instant) {
        self.handle_timeout(config, now); // its own lease may be over
        let Phase::HalfOpen { trials, successes, failures, schedule } = &mut self.phase else { return };
        if !trials.give_back(number) || outcome == Outcome::Ignored {
            return;
        }
        if outcome == Outcome::Success && !slow {
            *successes = successes.saturating_add(1);
            if *successes >= config.successes_to_close {
                self.close(now);
            }
        } else {
            *failures = failures.saturating_add(1);
            if *failures > config.failures_tolerated {
                let schedule = *schedule;
                self.open(config, schedule, now);
            }
        }
    }

    /// See [`Gate::cancel`].
    #[inline]
    pub fn cancel(&mut self, config: &BreakerConfig<R, TRIALS>, permit: Permit, now: Instant) {
        self.release(config, permit, Outcome::Ignored, now);
    }

    /// See [`Gate::poll_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Open { until, .. } => Some(*until),
            Phase::HalfOpen { trials, .. } => trials.next_expiry(),
            Phase::Closed { .. } | Phase::ForcedOpen | Phase::ForcedClosed => None,
        }
    }

    /// See [`Gate::handle_timeout`].
    pub fn handle_timeout(&mut self, config: &BreakerConfig<R, TRIALS>, now: Instant) {
        match &mut self.phase {
            Phase::Open { until, schedule, .. } if now >= *until => {
                let schedule = *schedule;
                self.enter(Phase::HalfOpen { trials: Trials::EMPTY, successes: 0, failures: 0, schedule }, now);
            }
            // Further away than the whole interval: the clock stepped back.
            Phase::Open { until, interval, .. } => *until = (*until).min(now.after(*interval)),
            Phase::HalfOpen { trials, .. } => {
                self.lapsed = self.lapsed.saturating_add(trials.expire(now, config.trial_ttl));
            }
            Phase::Closed { .. } | Phase::ForcedOpen | Phase::ForcedClosed => {}
        }
    }

    /// See [`Breaker::trip`].
    pub fn trip(&mut self, config: &BreakerConfig<R, TRIALS>, now: Instant) {
        match &self.phase {
            Phase::Closed { .. } => self.open(config, Schedule::new(), now),
            Phase::HalfOpen { schedule, .. } => {
                let schedule = *schedule;
                self.open(config, schedule, now);
            }
            Phase::Open { .. } | Phase::ForcedOpen | Phase::ForcedClosed => {}
        }
    }

    /// See [`Breaker::force_open`].
    pub fn force_open(&mut self, now: Instant) {
        self.dry_run = false;
        if self.state() != State::ForcedOpen {
            self.enter(Phase::ForcedOpen, now);
        }
    }

    /// See [`Breaker::force_closed`].
    pub fn force_closed(&mut self, now: Instant) {
        self.dry_run = false;
        if self.state() != State::ForcedClosed {
            self.enter(Phase::ForcedClosed, now);
        }
    }

    /// See [`Breaker::dry_run`].
    pub fn dry_run(&mut self, now: Instant) {
        if !self.dry_run {
            self.reset(now);
            self.dry_run = true;
        }
    }

    /// See [`Breaker::reset`].
    pub fn reset(&mut self, now: Instant) {
        self.dry_run = false;
        self.close(now);
    }

    /// See [`Breaker::poll_event`].
    pub const fn poll_event(&mut self) -> Option<Transition> {
        match self.untold.take() {
            Some(from) => Some(Transition { from, to: self.state(), at: self.since }),
            None => None,
        }
    }

    /// See [`Breaker::snapshot`].
    #[must_use]
    pub fn snapshot(&self, config: &BreakerConfig<R, TRIALS>) -> Snapshot {
        Snapshot {
            state: self.state(),
            since: self.since,
            dry_run: self.dry_run,
            counts: match &self.phase {
                Phase::Closed { window } => config.rule.counts(window),
                _ => Counts::default(),
            },
            refused: self.refused,
            lapsed: self.lapsed,
            trips: self.trips,
        }
    }
}

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

    /// What it can tell about itself.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.state.snapshot(&self.config)
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
        self.state.poll_timeout()
    }

    #[inline]
    fn handle_timeout(&mut self, now: Instant) {
        self.state.handle_timeout(&self.config, now);
    }
}
