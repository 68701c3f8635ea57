//! What holds calls in flight: fusebox's limits, and the published rules in floats.

use fusebox::adaptive::{LimitRule, Permit};
use fusebox::{AdaptiveConfig, AdaptiveLimit, Gate, Instant, Outcome};

pub(crate) trait Limiter {
    /// The number of the call, if it may start.
    fn start(&mut self, now: u64) -> Option<usize>;
    fn end_as(&mut self, call: usize, outcome: Outcome, now: u64);
    fn end(&mut self, call: usize, now: u64) {
        self.end_as(call, Outcome::Success, now);
    }
    fn limit(&self) -> u16;
}

/// Things by number.
struct Slots<T>(Vec<Option<T>>);

impl<T> Slots<T> {
    fn put(&mut self, thing: T) -> usize {
        let free = self.0.iter().position(Option::is_none).unwrap_or(self.0.len());
        if free == self.0.len() {
            self.0.push(None);
        }
        self.0[free] = Some(thing);
        free
    }
}

pub(crate) struct Fused<A: LimitRule> {
    gate: AdaptiveLimit<A>,
    permits: Slots<Permit>,
}

impl<A: LimitRule> Fused<A> {
    pub(crate) const fn new(config: AdaptiveConfig<A>) -> Self {
        Self { gate: AdaptiveLimit::new(config), permits: Slots(vec![]) }
    }

    /// Nobody waits any longer.
    pub(crate) fn end_all(&mut self, now: u64) {
        for call in 0..self.permits.0.len() {
            if let Some(permit) = self.permits.0[call].take() {
                self.gate.cancel(permit, Instant::from_nanos(now));
            }
        }
    }
}

impl<A: LimitRule> Limiter for Fused<A> {
    fn start(&mut self, now: u64) -> Option<usize> {
        let permit = self.gate.try_acquire(Instant::from_nanos(now)).ok()?;
        Some(self.permits.put(permit))
    }

    fn end_as(&mut self, call: usize, outcome: Outcome, now: u64) {
        let permit = self.permits.0[call].take().unwrap();
        self.gate.release(permit, outcome, Instant::from_nanos(now));
    }

    fn limit(&self) -> u16 {
        self.gate.limit()
    }
}

/// A limit by a rule in floats: how the published ones behave.
pub(crate) struct Published<R> {
    rule: R,
    limit: f64,
    calls: Slots<(u64, usize)>,
    in_flight: usize,
}

/// `limit, time, in flight`
pub(crate) trait Rule {
    fn update(&mut self, limit: f64, rtt: f64, in_flight: f64) -> f64;
}

impl<R: Rule> Published<R> {
    pub(crate) const fn new(rule: R) -> Self {
        Self { rule, limit: 20.0, calls: Slots(vec![]), in_flight: 0 }
    }
}

impl<R: Rule> Limiter for Published<R> {
    fn start(&mut self, now: u64) -> Option<usize> {
        if self.in_flight as f64 >= self.limit.floor() {
            return None;
        }
        self.in_flight += 1;
        Some(self.calls.put((now, self.in_flight)))
    }

    fn end_as(&mut self, call: usize, _outcome: Outcome, now: u64) {
        let (started, in_flight) = self.calls.0[call].take().unwrap();
        self.in_flight -= 1;
        let rtt = (now - started) as f64;
        self.limit = self.rule.update(self.limit, rtt, in_flight as f64).clamp(1.0, 200.0);
    }

    fn limit(&self) -> u16 {
        self.limit as u16
    }
}

/// `Gradient2Limit` with its defaults.
#[derive(Default)]
pub(crate) struct Gradient2 {
    long: f64,
    sum: f64,
    calls: f64,
}

impl Rule for Gradient2 {
    fn update(&mut self, limit: f64, rtt: f64, in_flight: f64) -> f64 {
        if self.calls < 10.0 {
            self.calls += 1.0;
            self.sum += rtt;
            self.long = self.sum / self.calls;
        } else {
            self.long += (rtt - self.long) * 2.0 / 601.0;
        }
        let long = self.long;
        if long > 2.0 * rtt {
            self.long *= 0.95;
        }
        if in_flight < limit / 2.0 {
            return limit;
        }
        let gradient = (1.5 * long / rtt).clamp(0.5, 1.0);
        limit * 0.8 + (limit * gradient + 4.0) * 0.2
    }
}

/// `VegasLimit` with its defaults: probes by believing a call.
#[derive(Default)]
pub(crate) struct Vegas {
    no_load: f64,
    calls: f64,
}

impl Rule for Vegas {
    fn update(&mut self, limit: f64, rtt: f64, in_flight: f64) -> f64 {
        self.calls += 1.0;
        if self.calls >= 0.75 * 30.0 * limit {
            self.calls = 0.0;
            self.no_load = rtt;
            return limit;
        }
        if self.no_load == 0.0 || rtt < self.no_load {
            self.no_load = rtt;
            return limit;
        }
        let queue = (limit * (1.0 - self.no_load / rtt)).ceil();
        let lg = limit.log10().floor().max(1.0);
        if in_flight * 2.0 < limit {
            limit
        } else if queue <= lg {
            limit + 6.0 * lg
        } else if queue < 3.0 * lg {
            limit + lg
        } else if queue > 6.0 * lg {
            limit - lg
        } else {
            limit
        }
    }
}
