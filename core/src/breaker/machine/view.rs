//! What a breaker tells about itself without changing.

#[cfg(target_has_atomic = "64")]
use core::ops::Range;

use super::{BreakerState, Phase};
use crate::Instant;
use crate::breaker::config::BreakerConfig;
use crate::breaker::rule::{Counts, TripRule};
use crate::breaker::{Snapshot, State};
use crate::gate::earlier;

/// What can be answered without changing anything but counts.
#[cfg(target_has_atomic = "64")]
pub(crate) enum Standing {
    /// All calls are let through; good ones that end in this span can be taken in later.
    Grants { good_alike: Range<Instant> },
    /// All that ask in this span are refused until its end.
    Refuses(Range<Instant>),
    /// Nothing.
    Changes,
}

impl<R: TripRule, const TRIALS: usize> BreakerState<R, TRIALS> {
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

    /// See [`Gate::poll_timeout`](crate::Gate::poll_timeout).
    #[must_use]
    pub fn poll_timeout(&self, config: &BreakerConfig<R, TRIALS>) -> Option<Instant> {
        match &self.phase {
            Phase::Open { until, .. } => Some(*until),
            Phase::HalfOpen { trials, .. } => earlier(trials.next_expiry(), config.half_open_ends(self.since)),
            Phase::Closed { .. } | Phase::ForcedOpen | Phase::ForcedClosed => None,
        }
    }

    /// See [`GateKind::rests_at`](crate::GateKind::rests_at).
    #[must_use]
    pub fn rests_at(&self, config: &BreakerConfig<R, TRIALS>) -> Option<Instant> {
        match self.phase {
            Phase::Closed { saved } if !self.dry_run => {
                let started = match (saved, config.slow_start) {
                    (Some(_), Some(ramp)) => self.since.after(ramp.length()),
                    _ => Instant::EPOCH,
                };
                Some(config.rule.rests_at(&self.memory)?.max(started))
            }
            _ => None,
        }
    }

    /// See [`GateKind::is_held`](crate::GateKind::is_held).
    #[must_use]
    pub const fn is_held(&self) -> bool {
        self.dry_run || matches!(self.phase, Phase::ForcedOpen | Phase::ForcedClosed)
    }

    /// What an atomic twin may answer by itself.
    #[cfg(target_has_atomic = "64")]
    pub(crate) fn standing(&self, config: &BreakerConfig<R, TRIALS>) -> Standing {
        match self.phase {
            Phase::Closed { saved: None } => {
                Standing::Grants { good_alike: config.rule.alike(&self.memory).unwrap_or(Instant::MAX..Instant::EPOCH) }
            }
            Phase::Open { until, interval, .. } if !self.dry_run => {
                Standing::Refuses(Instant::from_nanos(until.as_nanos().saturating_sub(interval))..until)
            }
            _ => Standing::Changes,
        }
    }

    /// Takes in good calls of this phase that an atomic twin has counted.
    #[cfg(target_has_atomic = "64")]
    pub(crate) fn catch_up(&mut self, config: &BreakerConfig<R, TRIALS>, good: u32) {
        config.rule.record_good(&mut self.memory, good);
    }

    /// Takes in refusals that an atomic twin has counted.
    #[cfg(target_has_atomic = "64")]
    pub(crate) const fn refused(&mut self, count: u32) {
        self.refused = self.refused.saturating_add(count);
    }

    #[cfg(target_has_atomic = "64")]
    pub(crate) const fn generation(&self) -> u32 {
        self.generation
    }

    /// See [`Breaker::snapshot`](crate::Breaker::snapshot).
    #[must_use]
    pub fn snapshot(&self, config: &BreakerConfig<R, TRIALS>, now: Instant) -> Snapshot {
        let counts = match self.phase {
            Phase::Closed { .. } | Phase::HalfOpen { .. } => config.rule.counts(&self.memory, now),
            Phase::Open { .. } => config.rule.counts(&self.memory, self.since),
            Phase::ForcedOpen | Phase::ForcedClosed => Counts::default(),
        };
        Snapshot {
            state: self.state(),
            since: self.since,
            nanos_in_state: now.nanos_since(self.since),
            dry_run: self.dry_run,
            counts,
            refused: self.refused,
            lapsed: self.lapsed,
            trips: self.trips,
        }
    }
}
