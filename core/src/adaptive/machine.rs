//! The limit, its calls and what they teach it.

use super::baseline::{self, Baseline};
use super::config::AdaptiveConfig;
use super::fixed::Estimate;
use super::headroom::Peak;
use super::round::{Round, Told};
use super::rule::{LimitRule, Sample};
use super::{AdaptiveSnapshot, LimitChange};
use crate::{Instant, Outcome, Reason, Rejected};

/// Permission to make one call. 16 bytes.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a permit must go back to its limit: release or cancel it"]
pub struct Permit {
    started: Instant,
    /// Which limit it was let in under.
    epoch: u32,
    /// How many there were, itself included.
    in_flight: u16,
    /// Its number among those.
    number: u8,
}

/// The machine with its configuration kept elsewhere, so that many limits can share one; always give the same one.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AdaptiveState<A: LimitRule> {
    /// `None`: the initial limit.
    estimate: Option<Estimate>,
    pub(super) memory: A::Memory,
    baseline: Baseline,
    peak: Peak,
    round: Round,
    event: Option<LimitChange>,
    /// When the last one in flight came back.
    idle_since: Option<Instant>,
    last_rtt: Option<u64>,
    pub(super) epoch: u32,
    pub(super) dropped: u32,
    pub(super) refused: u32,
    in_flight: u16,
}

/// Longer calls count as that long: three days leave room for 16 bits.
const LONGEST: u64 = (1 << 48) - 1;

impl<A: LimitRule> AdaptiveState<A> {
    /// Nothing in flight, nothing learnt.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            estimate: None,
            memory: A::EMPTY,
            baseline: Baseline::UNKNOWN,
            peak: Peak::NONE,
            round: Round::EMPTY,
            event: None,
            idle_since: None,
            last_rtt: None,
            epoch: 0,
            dropped: 0,
            refused: 0,
            in_flight: 0,
        }
    }

    /// See [`AdaptiveLimit::limit`](super::AdaptiveLimit::limit).
    #[must_use]
    pub const fn limit(&self, config: &AdaptiveConfig<A>) -> u16 {
        let limit = self.estimate(config).whole();
        if !self.baseline.is_probing() {
            return limit;
        }
        let lowered = limit >> 2;
        if lowered > config.least { lowered } else { config.least }
    }

    const fn estimate(&self, config: &AdaptiveConfig<A>) -> Estimate {
        match self.estimate {
            Some(estimate) => estimate,
            None => Estimate::of(config.initial),
        }
    }

    /// See [`Gate::try_acquire`](crate::Gate::try_acquire).
    ///
    /// # Errors
    /// See [`Gate::try_acquire`](crate::Gate::try_acquire).
    #[inline]
    pub fn try_acquire(&mut self, config: &AdaptiveConfig<A>, now: Instant) -> Result<Permit, Rejected> {
        self.forget(config, now);
        if self.in_flight >= self.limit(config) {
            self.refused = self.refused.saturating_add(1);
            return Err(Rejected { reason: Reason::LimitReached, retry_at: None });
        }
        self.in_flight += 1;
        if self.round.is_new() && self.baseline.is_measuring(config.rule.no_load(), config.source) {
            self.round = Round::of(baseline::CALLS);
        }
        let (in_flight, number) = (self.in_flight, self.round.start(self.in_flight));
        Ok(Permit { started: now, epoch: self.epoch, in_flight, number })
    }

    /// See [`Gate::release`](crate::Gate::release).
    pub fn release(&mut self, config: &AdaptiveConfig<A>, permit: Permit, outcome: Outcome, now: Instant) {
        let in_flight = self.in_flight;
        self.give_back(now);
        let rtt = now.nanos_since(permit.started).min(LONGEST);
        let Some(dropped) = self.says_dropped(config, outcome, rtt) else { return };
        let before = self.limit(config);
        self.last_rtt = Some(rtt);
        if dropped {
            self.dropped = self.dropped.saturating_add(1);
            if config.every_call || permit.epoch == self.epoch {
                let sample = self.sample(config, permit.in_flight.max(in_flight));
                self.judge(config, Sample { rtt, dropped, ..sample });
            }
        } else {
            self.learn(config, &permit, rtt, now);
        }
        self.announce(before, self.limit(config), now);
    }

    /// See [`Gate::cancel`](crate::Gate::cancel).
    pub const fn cancel(&mut self, _permit: Permit, now: Instant) {
        self.give_back(now);
    }

    const fn give_back(&mut self, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.in_flight == 0 {
            self.idle_since = Some(now);
        }
    }

    /// Whether the call was dropped or served; `None` if it says nothing about load. A call that took no time, or less,
    /// was measured by a clock that stepped back or is too coarse.
    fn says_dropped(&self, config: &AdaptiveConfig<A>, outcome: Outcome, rtt: u64) -> Option<bool> {
        if rtt == 0 {
            return None;
        }
        let too_long = config.timeout.is_some_and(|timeout| rtt > timeout);
        match outcome {
            Outcome::Ignored => None,
            Outcome::Success => Some(too_long),
            Outcome::Unavailable { .. } => Some(true),
            Outcome::Failure if config.timeout.is_some() => too_long.then_some(true),
            // A failure that is faster than the work was no work.
            Outcome::Failure => self.baseline.time(config.source).is_some_and(|no_load| rtt >= no_load).then_some(true),
        }
    }

    const fn sample(&self, config: &AdaptiveConfig<A>, in_flight: u16) -> Sample {
        Sample { rtt: 0, in_flight, dropped: false, no_load: self.baseline.time(config.source) }
    }

    fn learn(&mut self, config: &AdaptiveConfig<A>, permit: &Permit, rtt: u64, now: Instant) {
        let (wanted, source) = (config.rule.no_load(), config.source);
        let shortest = self.baseline.observe(wanted, source, rtt);
        let in_flight = self.peak.with(&config.headroom, permit.in_flight, now);
        if self.baseline.is_measuring(wanted, source) {
            if self.round_is_over(permit, rtt, in_flight) {
                self.baseline.measured(wanted, self.round.told());
                self.next_round();
            }
        } else if config.every_call {
            if !shortest {
                self.judge(config, Sample { rtt, ..self.sample(config, in_flight) });
            }
        } else if self.round_is_over(permit, rtt, in_flight) {
            let told = self.round.told();
            self.next_round();
            if let Some(Told { mean, in_flight, .. }) = told {
                self.judge(config, Sample { rtt: mean, ..self.sample(config, in_flight) });
            }
        }
        if self.baseline.begins_probe(wanted, source, now) {
            self.next_round();
        }
    }

    /// Adds a call to the round, unless it was let in before; whether there are enough.
    fn round_is_over(&mut self, permit: &Permit, rtt: u64, in_flight: u16) -> bool {
        permit.epoch == self.epoch && self.round.add(permit.number, rtt, in_flight)
    }

    /// What the rule makes of `sample`, within what is allowed.
    fn judge(&mut self, config: &AdaptiveConfig<A>, sample: Sample) {
        let old = self.estimate(config);
        let told = config.rule.update(&mut self.memory, old, &sample);
        let new = if sample.dropped {
            told.min(old)
        } else if config.headroom.bound(sample.in_flight) < old {
            config.headroom.unused(old)
        } else {
            told
        };
        let new = config.held(new);
        if new != old {
            self.estimate = Some(new);
            self.next_round();
        }
    }

    /// Calls that are out tell of the limit of before.
    const fn next_round(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.round = Round::EMPTY;
    }

    /// Starts afresh when it was idle for long enough. Totals go on, and so do the epochs.
    fn forget(&mut self, config: &AdaptiveConfig<A>, now: Instant) {
        let (Some(after), Some(since), 0) = (config.forget_after, self.idle_since, self.in_flight) else { return };
        if now.nanos_since(since) < after {
            return;
        }
        let before = self.limit(config);
        let Self { event, last_rtt, epoch, dropped, refused, .. } = *self;
        *self = Self { event, last_rtt, epoch, dropped, refused, ..Self::new() };
        self.announce(before, self.limit(config), now);
    }

    fn announce(&mut self, before: u16, limit: u16, now: Instant) {
        if before != limit {
            let from = self.event.map_or(before, |event| event.from);
            self.event = Some(LimitChange { from, to: limit, at: now });
        }
    }

    /// See [`AdaptiveLimit::poll_event`](super::AdaptiveLimit::poll_event).
    pub const fn poll_event(&mut self) -> Option<LimitChange> {
        self.event.take()
    }

    /// See [`AdaptiveLimit::snapshot`](super::AdaptiveLimit::snapshot).
    #[must_use]
    pub const fn snapshot(&self, config: &AdaptiveConfig<A>) -> AdaptiveSnapshot {
        AdaptiveSnapshot {
            limit: self.limit(config),
            in_flight: self.in_flight,
            no_load_nanos: self.baseline.time(config.source),
            last_nanos: self.last_rtt,
            probing: self.baseline.is_probing(),
            dropped: self.dropped,
            refused: self.refused,
        }
    }

    /// See [`GateKind::rests_at`](crate::GateKind::rests_at).
    pub(super) fn rests_at(&self, config: &AdaptiveConfig<A>) -> Option<Instant> {
        if self.in_flight > 0 {
            None
        } else if self.limit(config) >= config.initial {
            Some(Instant::EPOCH)
        } else {
            Some(self.idle_since?.after(config.forget_after?))
        }
    }
}

impl<A: LimitRule> Default for AdaptiveState<A> {
    fn default() -> Self {
        Self::new()
    }
}
