//! What one adaptive rate remembers, and the rule.

use super::config::AdaptiveRateConfig;
use super::curve::Curve;
use super::sent::Sent;
use super::stock::Stock;
use super::{AdaptiveRateSnapshot, Rate};
use crate::bucket::Fine;
use crate::gate::earlier;
use crate::seen::{LATE, earlier_by};
use crate::{Instant, Outcome, Reason, Rejected};

/// What an [`AdaptiveRate`](super::AdaptiveRate) remembers beside its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AdaptiveRateState {
    limit: Option<Limit>,
    stock: Stock,
    sent: Sent,
    /// The latest time that was shown.
    seen: Instant,
    pub(super) throttled: u32,
    pub(super) refused: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Limit {
    rate: Rate,
    curve: Curve,
    /// When the last call was throttled.
    since: Instant,
}

/// Permission for one call.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "release it with how it ended; cancel it to get the token back"]
pub struct Permit {
    /// The end of its span; zero when there was no limit.
    end: Fine,
}

impl AdaptiveRateState {
    /// Nobody was throttled yet.
    pub(super) const UNLIMITED: Self =
        Self { limit: None, stock: Stock::EMPTY, sent: Sent::NOTHING, seen: Instant::EPOCH, throttled: 0, refused: 0 };

    pub(super) fn try_acquire(&mut self, config: &AdaptiveRateConfig, now: Instant) -> Result<Permit, Rejected> {
        let now = self.look(config, now);
        let Some(limit) = &self.limit else { return Ok(Permit { end: Fine::ZERO }) };
        if let Some(end) = self.stock.take() {
            return Ok(Permit { end });
        }
        self.refused = self.refused.saturating_add(1);
        let token_at = now.after(self.stock.wait(limit.rate));
        Err(Rejected {
            reason: Reason::RateLimited,
            retry_at: earlier(Some(token_at), config.forgets_at(limit.since)).filter(|at| *at < Instant::MAX),
        })
    }

    pub(super) fn release(&mut self, config: &AdaptiveRateConfig, outcome: Outcome, now: Instant) {
        let now = self.look(config, now);
        self.sent.record(now);
        match outcome {
            Outcome::Unavailable { .. } => self.throttle(config, now),
            Outcome::Success | Outcome::Failure => self.follow(config, now),
            Outcome::Ignored => {}
        }
    }

    pub(super) fn cancel(&mut self, config: &AdaptiveRateConfig, permit: &Permit, now: Instant) {
        self.look(config, now);
        self.stock.give_back(permit.end);
    }

    /// The time that counts for a call at `now`; what is due by then is done.
    fn look(&mut self, config: &AdaptiveRateConfig, now: Instant) -> Instant {
        let behind = self.seen.nanos_since(now);
        if behind > LATE {
            self.move_back(behind);
        }
        let now = now.max(self.seen);
        if let Some(limit) = &self.limit {
            self.stock.make(limit.rate, now.nanos_since(self.seen));
            if config.forgets_at(limit.since).is_some_and(|at| now >= at) {
                self.limit = None;
            }
        }
        self.seen = now;
        now
    }

    /// The clock stepped back: no time has passed, so everything is as far away as it was.
    const fn move_back(&mut self, nanos: u64) {
        self.seen = earlier_by(self.seen, nanos);
        self.sent.move_back(nanos);
        if let Some(limit) = &mut self.limit {
            limit.since = earlier_by(limit.since, nanos);
        }
    }

    fn throttle(&mut self, config: &AdaptiveRateConfig, now: Instant) {
        self.throttled = self.throttled.saturating_add(1);
        let peak = match &self.limit {
            Some(limit) => limit.rate.min(self.sent.rate),
            None => self.sent.rate,
        };
        if self.limit.is_none() {
            self.stock.clear();
        }
        let rate = config.shape.lowered(peak).max(config.least);
        self.limit = Some(Limit { rate, curve: config.shape.curve(peak), since: now });
    }

    /// Along the curve, but no further ahead than what is asked for.
    fn follow(&mut self, config: &AdaptiveRateConfig, now: Instant) {
        if let Some(limit) = &mut self.limit {
            let rate = config.shape.rate(limit.curve, now.nanos_since(limit.since));
            let twice = Rate::at_most(u64::from(self.sent.rate.0) * 2);
            limit.rate = rate.min(twice).max(config.least);
        }
    }

    pub(super) fn rests_at(&self, config: &AdaptiveRateConfig) -> Option<Instant> {
        let stale_at = self.sent.stale_at();
        match &self.limit {
            Some(limit) => config.forgets_at(limit.since).map(|at| at.max(stale_at)),
            None => Some(stale_at),
        }
    }

    pub(super) fn snapshot(&self) -> AdaptiveRateSnapshot {
        AdaptiveRateSnapshot {
            rate: self.limit.map(|limit| limit.rate),
            sent: self.sent.rate,
            throttled_at: self.limit.map(|limit| limit.curve.peak),
            back_at: self.limit.map(|limit| limit.since.after(limit.curve.back_nanos())),
            throttled: self.throttled,
            refused: self.refused,
        }
    }
}
