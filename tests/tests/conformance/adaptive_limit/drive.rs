//! Calls with so many in flight.

use fusebox::adaptive::{LimitRule, Permit};
use fusebox::{AdaptiveLimit, Gate, Instant, Outcome};

use super::config::{Rule, Spec};
use crate::fields::NotExpressible;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) end: Instant,
    pub(crate) rtt: u64,
    pub(crate) in_flight: u16,
    pub(crate) dropped: bool,
}

/// The limit after each of `calls`.
pub(crate) fn limits(spec: &Spec, calls: &[Call]) -> Result<Vec<u16>, NotExpressible> {
    match spec.rule {
        Rule::Aimd(rule) => Crowd::new(AdaptiveLimit::new(spec.config(rule)?)).run(calls),
        Rule::Vegas(rule) => Crowd::new(AdaptiveLimit::new(spec.config(rule)?)).run(calls),
    }
}

/// A limit, and calls that only fill it.
struct Crowd<A: LimitRule> {
    limit: AdaptiveLimit<A>,
    others: Vec<Permit>,
}

impl<A: LimitRule> Crowd<A> {
    const fn new(limit: AdaptiveLimit<A>) -> Self {
        Self { limit, others: vec![] }
    }

    /// All start under the first limit, each among as many as it says: later ones may be too many.
    fn run(mut self, calls: &[Call]) -> Result<Vec<u16>, NotExpressible> {
        let mut permits = Vec::new();
        for call in calls {
            let start = Instant::from_nanos(call.end.as_nanos().saturating_sub(call.rtt));
            permits.push((call, self.start(start, call.in_flight)?));
        }
        let mut told = Vec::new();
        for (call, permit) in permits {
            let outcome = if call.dropped { Outcome::Unavailable { retry_at: Instant::MAX } } else { Outcome::Success };
            self.limit.release(permit, outcome, call.end);
            told.push(self.limit.limit());
        }
        Ok(told)
    }

    fn start(&mut self, start: Instant, in_flight: u16) -> Result<Permit, NotExpressible> {
        let refused = |_| NotExpressible::new("step.inflight: above the limit");
        while self.limit.snapshot().in_flight + 1 < in_flight {
            self.others.push(self.limit.try_acquire(start).map_err(refused)?);
        }
        while self.limit.snapshot().in_flight + 1 > in_flight {
            let other = self.others.pop().ok_or_else(|| NotExpressible::new("step.inflight: fewer than the steps"))?;
            self.limit.cancel(other, start);
        }
        self.limit.try_acquire(start).map_err(refused)
    }
}
