//! The breaker's state machine.

use super::config::BreakerConfig;
use super::permit::{Kind, Permit};
use super::rule::TripRule;
use super::trials::Trials;
use super::{State, Transition};
use crate::backoff::Schedule;
use crate::{Instant, Outcome, Reason, Rejected, entropy};

#[cfg(test)]
mod overflow_tests;
mod view;

#[cfg(target_has_atomic = "64")]
pub(crate) use view::Standing;

/// What exists only in a phase lives in that phase.
#[derive(Clone, Debug)]
enum Phase<const TRIALS: usize> {
    /// While it starts slowly, the share of a call that has been saved up, of 2^32.
    Closed {
        saved: Option<u32>,
    },
    Open {
        until: Instant,
        interval: u64,
        schedule: Schedule,
    },
    HalfOpen {
        trials: Trials<TRIALS>,
        successes: u16,
        failures: u16,
        schedule: Schedule,
    },
    ForcedOpen,
    ForcedClosed,
}

/// The machine with its configuration kept elsewhere, so that many breakers can share one. The methods are those of
/// [`Breaker`](super::Breaker), each with the configuration as an argument; always give the same one.
#[derive(Clone, Debug)]
pub struct BreakerState<R: TripRule, const TRIALS: usize = 1> {
    phase: Phase<TRIALS>,
    /// Calls while closed, trials while half-open; while open, what was there when it opened.
    memory: R::Memory,
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
            phase: Phase::Closed { saved: None },
            memory: R::EMPTY,
            since: Instant::EPOCH,
            generation: 0,
            refused: 0,
            lapsed: 0,
            trips: 0,
            untold: None,
            dry_run: false,
        }
    }

    /// The one place where the phase changes: a new generation, and an event unless the state stays the same.
    fn enter(&mut self, phase: Phase<TRIALS>, now: Instant) {
        let from = self.state();
        self.phase = phase;
        self.generation = self.generation.wrapping_add(1);
        if !matches!(self.phase, Phase::Open { .. }) {
            self.memory = R::EMPTY;
        }
        if self.state() != from {
            self.since = now;
            self.untold = self.untold.or(Some(from));
        }
    }

    fn open(&mut self, config: &BreakerConfig<R, TRIALS>, hint: Option<Instant>, now: Instant) {
        let mut schedule = self.schedule();
        self.trips = self.trips.saturating_add(1);
        let own = config.open.next(&mut schedule, entropy::nth(config.seed, self.trips));
        // A hint that is over already is nonsense.
        let hinted = hint.map_or(0, |at| at.nanos_since(now)).min(config.max_hint);
        let interval = if hinted > 0 { hinted } else { own };
        self.enter(Phase::Open { until: now.after(interval), interval, schedule }, now);
    }

    /// Where the open intervals stand; from the first again once it has been closed.
    const fn schedule(&self) -> Schedule {
        match self.phase {
            Phase::Open { schedule, .. } | Phase::HalfOpen { schedule, .. } => schedule,
            Phase::Closed { .. } | Phase::ForcedOpen | Phase::ForcedClosed => Schedule::new(),
        }
    }

    fn half_open_at(&mut self, now: Instant) {
        let schedule = self.schedule();
        self.enter(Phase::HalfOpen { trials: Trials::EMPTY, successes: 0, failures: 0, schedule }, now);
    }

    /// See [`Gate::try_acquire`](crate::Gate::try_acquire).
    ///
    /// # Errors
    /// [`Reason::Open`], [`Reason::TrialsOut`], [`Reason::SlowStart`], or [`Reason::ForcedOpen`], which has no
    /// `retry_at`.
    #[inline]
    pub fn try_acquire(&mut self, config: &BreakerConfig<R, TRIALS>, now: Instant) -> Result<Permit, Rejected> {
        if let Phase::Closed { saved: None } = self.phase {
            return Ok(Permit::for_call(self.generation, now));
        }
        self.acquire_unless_closed(config, now)
    }

    fn acquire_unless_closed(&mut self, config: &BreakerConfig<R, TRIALS>, now: Instant) -> Result<Permit, Rejected> {
        self.handle_timeout(config, now);
        let kind = match self.admit(config, now) {
            Ok(kind) => kind,
            Err(rejected) => {
                self.refused = self.refused.saturating_add(1);
                if !self.dry_run {
                    return Err(rejected);
                }
                self.unrefused()
            }
        };
        Ok(Permit { started: now, generation: self.generation, kind })
    }

    /// What a dry run makes of a refusal: a closed breaker goes on recording.
    const fn unrefused(&self) -> Kind {
        if let Phase::Closed { .. } = self.phase { Kind::Call } else { Kind::Unjudged }
    }

    fn admit(&mut self, config: &BreakerConfig<R, TRIALS>, now: Instant) -> Result<Kind, Rejected> {
        match &mut self.phase {
            Phase::Closed { .. } => self.admit_share(config, now),
            Phase::ForcedClosed => Ok(Kind::Unjudged),
            Phase::ForcedOpen => Err(Rejected { reason: Reason::ForcedOpen, retry_at: None }),
            Phase::Open { until, .. } => Err(Rejected { reason: Reason::Open, retry_at: Some(*until) }),
            Phase::HalfOpen { trials, successes, failures, .. } => {
                let judged = usize::from(*successes) + usize::from(*failures);
                // More than could still matter would only be load on a callee that may be down.
                let wanted = judged + trials.out() < usize::from(config.trials_needed);
                let number = if wanted { trials.take(now, config.trial_ttl) } else { None };
                number
                    .map(Kind::Trial)
                    .ok_or_else(|| Rejected { reason: Reason::TrialsOut, retry_at: self.next_trial_at(config) })
            }
        }
    }

    /// A slow start: each call adds the present share, each whole lets one through. The first one goes through, since
    /// a whole has been saved up.
    fn admit_share(&mut self, config: &BreakerConfig<R, TRIALS>, now: Instant) -> Result<Kind, Rejected> {
        let Phase::Closed { saved } = &mut self.phase else { return Ok(Kind::Unjudged) };
        let elapsed = now.nanos_since(self.since);
        let (Some(before), Some(ramp)) = (*saved, config.slow_start.filter(|ramp| elapsed < ramp.length())) else {
            *saved = None;
            return Ok(Kind::Call);
        };
        let (credit, whole) = before.overflowing_add(ramp.share(elapsed));
        *saved = Some(credit);
        if whole {
            return Ok(Kind::Call);
        }
        let retry_at = self.since.after(ramp.whole_at(credit)).max(now);
        Err(Rejected { reason: Reason::SlowStart, retry_at: Some(retry_at) })
    }

    /// When a half-open breaker whose trials are out asks for another one, if nothing comes back.
    fn next_trial_at(&self, config: &BreakerConfig<R, TRIALS>) -> Option<Instant> {
        let Phase::HalfOpen { trials, .. } = &self.phase else { return None };
        let ends = self.since.after(config.half_open_for);
        match trials.next_expiry() {
            Some(expiry) if expiry < ends => Some(expiry),
            // It reopens first.
            _ => {
                let entropy = entropy::nth(config.seed, self.trips.saturating_add(1));
                Some(ends.after(config.open.next(&mut self.schedule(), entropy)))
            }
        }
    }

    /// See [`Gate::release`](crate::Gate::release).
    #[inline]
    pub fn release(&mut self, config: &BreakerConfig<R, TRIALS>, permit: Permit, outcome: Outcome, now: Instant) {
        if permit.generation != self.generation {
            return; // of an earlier phase
        }
        match permit.kind {
            Kind::Call => self.record(config, &permit, outcome, now),
            Kind::Trial(number) => self.judge(config, &permit, number, outcome, now),
            Kind::Unjudged => {}
        }
    }

    fn record(&mut self, config: &BreakerConfig<R, TRIALS>, permit: &Permit, outcome: Outcome, now: Instant) {
        let Some(sample) = config.sample(permit, outcome, now) else { return };
        let met = config.rule.record(&mut self.memory, sample, now);
        if met && sample.is_bad() {
            self.open(config, outcome.hint(), now);
        }
    }

    fn judge(
        &mut self,
        config: &BreakerConfig<R, TRIALS>,
        permit: &Permit,
        number: u16,
        outcome: Outcome,
        now: Instant,
    ) {
        self.handle_timeout(config, now); // its own lease may be over
        let Phase::HalfOpen { trials, successes, failures, .. } = &mut self.phase else { return };
        if !trials.give_back(number) {
            return;
        }
        let Some(sample) = config.sample(permit, outcome, now) else { return };
        let count = if sample.is_bad() { &mut *failures } else { &mut *successes };
        *count = count.saturating_add(1);
        let lost = *failures > config.failures_tolerated;
        let won = *successes >= config.successes_to_close;
        config.rule.record(&mut self.memory, sample, now);
        if lost {
            self.open(config, outcome.hint(), now);
        } else if won {
            self.enter(Phase::Closed { saved: config.slow_start.map(|_| u32::MAX) }, now);
        }
    }

    /// See [`Gate::cancel`](crate::Gate::cancel).
    #[inline]
    pub fn cancel(&mut self, config: &BreakerConfig<R, TRIALS>, permit: Permit, now: Instant) {
        if let Phase::Closed { saved: Some(saved) } = &mut self.phase {
            if permit.generation == self.generation {
                *saved = u32::MAX; // the whole that it took
            }
        }
        self.release(config, permit, Outcome::Ignored, now);
    }

    /// See [`Gate::handle_timeout`](crate::Gate::handle_timeout).
    pub fn handle_timeout(&mut self, config: &BreakerConfig<R, TRIALS>, now: Instant) {
        // Later only if the clock stepped back; while open, the counts are as of then.
        self.since = if self.state() == State::Open { self.since } else { self.since.min(now) };
        if let Phase::HalfOpen { trials, .. } = &mut self.phase {
            let end = config.half_open_ends(self.since).filter(|end| now >= *end);
            // What would have lapsed later did not: the phase was over. So polling makes no difference.
            self.lapsed = self.lapsed.saturating_add(trials.expire(end.unwrap_or(now), config.trial_ttl));
            if let Some(end) = end {
                self.open(config, None, end);
            }
        }
        if let Phase::Open { until, interval, .. } = &mut self.phase {
            // Further away than the whole interval: the clock stepped back.
            *until = (*until).min(now.after(*interval));
            if now >= *until {
                self.half_open_at(now);
            }
        }
    }

    /// See [`Breaker::trip`](super::Breaker::trip).
    pub fn trip(&mut self, config: &BreakerConfig<R, TRIALS>, now: Instant) {
        self.handle_timeout(config, now); // it may be half-open by now
        if matches!(self.phase, Phase::Closed { .. } | Phase::HalfOpen { .. }) {
            self.open(config, None, now);
        }
    }

    /// See [`Breaker::half_open`](super::Breaker::half_open).
    pub fn half_open(&mut self, now: Instant) {
        if let Phase::Open { .. } = self.phase {
            self.half_open_at(now);
        }
    }

    /// See [`Breaker::force_open`](super::Breaker::force_open).
    pub fn force_open(&mut self, now: Instant) {
        self.dry_run = false;
        if self.state() != State::ForcedOpen {
            self.enter(Phase::ForcedOpen, now);
        }
    }

    /// See [`Breaker::force_closed`](super::Breaker::force_closed).
    pub fn force_closed(&mut self, now: Instant) {
        self.dry_run = false;
        if self.state() != State::ForcedClosed {
            self.enter(Phase::ForcedClosed, now);
        }
    }

    /// See [`Breaker::dry_run`](super::Breaker::dry_run).
    pub fn dry_run(&mut self, now: Instant) {
        if !self.dry_run {
            self.start_over(true, now);
        }
    }

    /// See [`Breaker::reset`](super::Breaker::reset).
    pub fn reset(&mut self, now: Instant) {
        self.start_over(false, now);
    }

    /// Closed; the beginning and the end of a dry run are told even if it was closed before.
    fn start_over(&mut self, dry_run: bool, now: Instant) {
        let from = self.state();
        self.enter(Phase::Closed { saved: None }, now);
        if self.dry_run != dry_run {
            self.dry_run = dry_run;
            self.since = now;
            self.untold = self.untold.or(Some(from));
        }
    }

    /// See [`Breaker::poll_event`](super::Breaker::poll_event).
    pub const fn poll_event(&mut self) -> Option<Transition> {
        match self.untold.take() {
            Some(from) => Some(Transition { from, to: self.state(), dry_run: self.dry_run, at: self.since }),
            None => None,
        }
    }
}
