//! The limiters, as the vectors ask them.

use std::time::Duration;

use fusebox::bucket::{BucketState, JointTokens, Tokens};
use fusebox::window_limit::FixedTokens;
use fusebox::{
    FixedWindow, Gate, GateKind, Instant, Limiter, Quota, Quotas, Rejected, Reserving, TokenBucket, WarmUp, Weighted,
};

use crate::fields::NotExpressible;

const LONG: Duration = Duration::from_secs(1 << 30);

type Done = Result<(), NotExpressible>;

fn not_for_this(op: &str) -> NotExpressible {
    NotExpressible::new(format!("step.op = {op}: not for this algorithm"))
}

pub(crate) trait Subject {
    /// Takes `n` tokens for use no later than `until`; when they are ready.
    fn reserve(&mut self, n: u32, until: Instant, now: Instant) -> Result<Instant, Rejected>;
    /// What there is; below zero, so many are reserved.
    fn available(&self, now: Instant) -> i64;
    /// When the next one is ready.
    fn next(&self, now: Instant) -> Instant;
    /// Takes all there is; how many.
    fn drain(&mut self, _now: Instant) -> Result<u32, NotExpressible> {
        Err(not_for_this("drain"))
    }
    /// Gives back what was taken last.
    fn cancel(&mut self, _now: Instant) -> Done {
        Err(not_for_this("cancel_waiter"))
    }
    fn set_rate(&mut self, _per_second: f64, _now: Instant) -> Done {
        Err(not_for_this("set_rate"))
    }
    fn set_limit(&mut self, _limit: u32, _now: Instant) -> Done {
        Err(not_for_this("set_limit"))
    }
}

/// Capacity, tokens per period, period in nanoseconds, tokens at first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) capacity: u32,
    pub(crate) refill: u32,
    pub(crate) period: u64,
    pub(crate) tokens: u32,
}

/// Token buckets that hold at once.
pub(crate) struct Greedy<const N: usize> {
    kind: Quotas<N>,
    states: [BucketState; N],
    taken: Vec<JointTokens<N>>,
}

impl<const N: usize> Greedy<N> {
    pub(crate) fn new(limits: [Limit; N], now: Instant) -> Result<Self, NotExpressible> {
        let (mut quotas, mut states) = ([Quota::per_second(1)?; N], [Quota::FRESH; N]);
        for ((quota, state), limit) in quotas.iter_mut().zip(&mut states).zip(limits) {
            let period = Duration::from_nanos(limit.period);
            *quota = Quota::new(limit.refill, period)?.with_burst(limit.capacity)?.with_max_wait(LONG);
            drop(quota.try_acquire_n(state, limit.capacity - limit.tokens, now));
        }
        Ok(Self { kind: Quotas::new(quotas), states, taken: vec![] })
    }
}

impl<const N: usize> Subject for Greedy<N> {
    fn reserve(&mut self, n: u32, until: Instant, now: Instant) -> Result<Instant, Rejected> {
        let reserved = self.kind.reserve_until(&mut self.states, n, until, now)?;
        let ready_at = reserved.ready_at();
        self.taken.push(reserved.into_permit());
        Ok(ready_at)
    }
    fn available(&self, now: Instant) -> i64 {
        self.kind.available(&self.states, now).into()
    }
    fn next(&self, now: Instant) -> Instant {
        let next = self.kind.reserve_until(&mut self.states.clone(), 1, Instant::MAX, now);
        next.map_or(Instant::MAX, |reserved| reserved.ready_at())
    }
    fn drain(&mut self, now: Instant) -> Result<u32, NotExpressible> {
        let n = self.kind.available(&self.states, now);
        drop(self.kind.try_acquire_n(&mut self.states, n, now));
        Ok(n)
    }
    fn cancel(&mut self, now: Instant) -> Done {
        if let Some(tokens) = self.taken.pop() {
            self.kind.cancel(&mut self.states, tokens, now);
        }
        Ok(())
    }
}

/// Fixed windows; of several, a request takes its tokens from each, and the last one to have them decides.
pub(crate) struct Fixed {
    limiters: Vec<Limiter<FixedWindow>>,
    limits: Vec<Limit>,
    line: Instant,
    taken: Vec<Vec<FixedTokens>>,
}

impl Fixed {
    pub(crate) fn new(limits: &[Limit], line: Instant, now: Instant) -> Result<Self, NotExpressible> {
        let mut limiters = vec![];
        for limit in limits {
            let mut limiter = Limiter::new(window(*limit, line)?);
            drop(limiter.try_acquire_n(limit.capacity - limit.tokens, now));
            limiters.push(limiter);
        }
        Ok(Self { limiters, limits: limits.to_vec(), line, taken: vec![] })
    }
}

fn window(limit: Limit, line: Instant) -> Result<FixedWindow, NotExpressible> {
    let window = FixedWindow::new(limit.refill, Duration::from_nanos(limit.period))?.with_burst(limit.capacity)?;
    Ok(window.aligned_to(line).with_max_wait(LONG))
}

impl Subject for Fixed {
    fn reserve(&mut self, n: u32, until: Instant, now: Instant) -> Result<Instant, Rejected> {
        let (mut limiters, mut ready_at, mut taken) = (self.limiters.clone(), now, vec![]);
        for limiter in &mut limiters {
            let reserved = limiter.reserve_until(n, until, now)?;
            ready_at = ready_at.max(reserved.ready_at());
            taken.push(reserved.into_permit());
        }
        self.limiters = limiters;
        self.taken.push(taken);
        Ok(ready_at)
    }
    fn available(&self, now: Instant) -> i64 {
        self.limiters.iter().map(|limiter| limiter.balance(now)).min().unwrap_or(0)
    }
    fn next(&self, now: Instant) -> Instant {
        let each = self.limiters.iter().map(|limiter| limiter.clone().reserve(1, now));
        each.map(|next| next.map_or(Instant::MAX, |reserved| reserved.ready_at())).max().unwrap_or(Instant::MAX)
    }
    fn drain(&mut self, now: Instant) -> Result<u32, NotExpressible> {
        let n = u32::try_from(self.available(now)).unwrap_or(0);
        self.limiters.iter_mut().for_each(|limiter| drop(limiter.try_acquire_n(n, now)));
        Ok(n)
    }
    fn cancel(&mut self, now: Instant) -> Done {
        let taken = self.taken.pop().unwrap_or_default();
        self.limiters.iter_mut().zip(taken).for_each(|(limiter, tokens)| limiter.cancel(tokens, now));
        Ok(())
    }
    fn set_limit(&mut self, limit: u32, now: Instant) -> Done {
        for (limiter, was) in self.limiters.iter_mut().zip(&self.limits) {
            limiter.set_window(window(Limit { capacity: limit, refill: limit, ..*was }, self.line)?, now);
        }
        Ok(())
    }
}

/// One token at a time, at fixed instants; several are so many instants in a row.
pub(crate) struct Smooth(Limiter<FixedWindow>);

impl Smooth {
    pub(crate) fn new(interval: u64, line: Instant) -> Result<Self, NotExpressible> {
        Ok(Self(Limiter::new(window(Limit { capacity: 1, refill: 1, period: interval, tokens: 1 }, line)?)))
    }
}

impl Subject for Smooth {
    fn reserve(&mut self, n: u32, until: Instant, now: Instant) -> Result<Instant, Rejected> {
        let (before, mut ready_at) = (self.0.clone(), now);
        for _ in 0..n {
            match self.0.reserve_until(1, until, now) {
                Ok(reserved) => ready_at = reserved.ready_at(),
                Err(rejected) => {
                    self.0 = before;
                    return Err(rejected);
                }
            }
        }
        Ok(ready_at)
    }
    fn available(&self, now: Instant) -> i64 {
        self.0.balance(now)
    }
    fn next(&self, now: Instant) -> Instant {
        self.0.clone().reserve(1, now).map_or(Instant::MAX, |reserved| reserved.ready_at())
    }
}

/// A bucket whose requests wait for one token and owe the others: the next one waits for them.
pub(crate) struct PayLater {
    bucket: TokenBucket,
    burst_seconds: f64,
    taken: Vec<Tokens>,
}

impl PayLater {
    pub(crate) fn new(per_second: f64, burst_seconds: f64, now: Instant) -> Result<Self, NotExpressible> {
        let mut bucket = TokenBucket::new(Self::quota(per_second, burst_seconds)?);
        // What is stored at first is nothing: the one for which nobody waits.
        let stored = bucket.quota().burst() - 1;
        drop(bucket.try_acquire_n(stored, now));
        Ok(Self { bucket, burst_seconds, taken: vec![] })
    }

    /// The one for which nobody waits comes on top of what is stored.
    fn quota(per_second: f64, burst_seconds: f64) -> Result<Quota, NotExpressible> {
        Ok(rate(per_second)?.with_burst((per_second * burst_seconds) as u32 + 1)?.with_max_wait(LONG))
    }
}

fn rate(per_second: f64) -> Result<Quota, NotExpressible> {
    let quota = if per_second.fract() == 0.0 {
        Quota::per_second(per_second as u32)
    } else {
        Quota::new(1, Duration::from_secs_f64(1.0 / per_second))
    };
    Ok(quota?)
}

impl Subject for PayLater {
    fn reserve(&mut self, n: u32, until: Instant, now: Instant) -> Result<Instant, Rejected> {
        let reserved = self.bucket.reserve_until(1, until, now)?;
        let ready_at = reserved.ready_at();
        if n == 1 {
            self.taken.push(reserved.into_permit());
        } else {
            self.bucket.settle(reserved.into_permit(), n, now);
        }
        Ok(ready_at)
    }
    fn available(&self, now: Instant) -> i64 {
        self.bucket.available(now).into()
    }
    fn next(&self, now: Instant) -> Instant {
        self.bucket.clone().reserve(1, now).map_or(Instant::MAX, |reserved| reserved.ready_at())
    }
    fn cancel(&mut self, now: Instant) -> Done {
        if let Some(tokens) = self.taken.pop() {
            self.bucket.cancel(tokens, now);
        }
        Ok(())
    }
    fn set_rate(&mut self, per_second: f64, now: Instant) -> Done {
        self.bucket.set_quota(Self::quota(per_second, self.burst_seconds)?, now);
        Ok(())
    }
}

/// A warm-up.
pub(crate) struct Warming(Limiter<WarmUp>, Duration);

impl Warming {
    pub(crate) fn new(per_second: f64, warm_up: u64) -> Result<Self, NotExpressible> {
        let warm_up = Duration::from_nanos(warm_up);
        Ok(Self(Limiter::new(Self::kind(per_second, warm_up)?), warm_up))
    }

    fn kind(per_second: f64, warm_up: Duration) -> Result<WarmUp, NotExpressible> {
        Ok(WarmUp::new(rate(per_second)?.with_burst(1_000)?.with_max_wait(LONG), warm_up)?)
    }
}

impl Subject for Warming {
    fn reserve(&mut self, n: u32, until: Instant, now: Instant) -> Result<Instant, Rejected> {
        Ok(self.0.reserve_until(n, until, now)?.ready_at())
    }
    fn available(&self, now: Instant) -> i64 {
        self.0.available(now).into()
    }
    fn next(&self, now: Instant) -> Instant {
        self.0.clone().reserve(1, now).map_or(Instant::MAX, |reserved| reserved.ready_at())
    }
    fn set_rate(&mut self, per_second: f64, now: Instant) -> Done {
        self.0.set_warm_up(Self::kind(per_second, self.1)?, now);
        Ok(())
    }
}
