//! reliakit: plain machines without sharing, like fusebox's core; its docs say to put them behind a lock of one's own.

use std::hint::black_box;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ::reliakit::backoff::{Backoff, full_jitter};
use ::reliakit::bulkhead::Bulkhead;
use ::reliakit::circuit::{CircuitBreaker, RollingBreaker};
use ::reliakit::ratelimit::RateLimiter;
use ::reliakit::retry::{RetryPolicy, retry_async};
use ::tokio::time::{sleep, timeout};

use super::{
    ATTEMPTS, DELAYS, HOUR, IN_A_ROW, PLACES, RETRY_DELAYS, SCHEDULE, SECOND, TOKENS, WINDOW, awaited, fails, sure,
    tick, ticked,
};
use crate::floor::ready;
use crate::{Entry, Work};

const LOCKED: &str = "reliakit in a std Mutex";

pub(super) fn entries() -> Vec<Entry> {
    vec![
        closed(),
        window(),
        open(),
        token(),
        bulkhead(),
        delay(),
        retry(),
        pipeline(Work::Pipeline),
        pipeline(Work::LimitedPipeline),
    ]
}

fn lock<T>(machine: &Mutex<T>) -> MutexGuard<'_, T> {
    machine.lock().unwrap_or_else(PoisonError::into_inner)
}

const fn now() -> u64 {
    black_box(1)
}

const fn consecutive() -> CircuitBreaker {
    CircuitBreaker::new(IN_A_ROW, HOUR.as_secs())
}

fn closed() -> Entry {
    let breaker = Mutex::new(consecutive());
    Entry::new(Work::ClosedBreaker, LOCKED, move || {
        sure(lock(&breaker).allow(now()));
        lock(&breaker).on_success();
    })
}

fn window() -> Entry {
    let breaker = Mutex::new(RollingBreaker::<WINDOW>::new(50, HOUR.as_secs()));
    Entry::looped(Work::WindowBreaker, LOCKED, move |times| {
        for call in 0..times {
            sure(lock(&breaker).allow(now()));
            if fails(call) {
                lock(&breaker).on_failure(now());
            } else {
                lock(&breaker).on_success();
            }
        }
    })
}

fn open() -> Entry {
    let mut breaker = consecutive();
    breaker.trip(now());
    let breaker = Mutex::new(breaker);
    Entry::new(Work::OpenBreaker, LOCKED, move || sure(!lock(&breaker).allow(now())))
}

fn token() -> Entry {
    let limiter = Mutex::new(RateLimiter::new(u64::from(TOKENS), 1, 1));
    ticked(Work::Token, LOCKED, move || {
        let now = tick();
        sure(lock(&limiter).try_acquire_one(now));
    })
}

fn bulkhead() -> Entry {
    let bulkhead = Mutex::new(Bulkhead::new(PLACES));
    Entry::new(Work::Bulkhead, LOCKED, move || {
        sure(lock(&bulkhead).try_acquire_one());
        lock(&bulkhead).release_one();
    })
}

fn delay() -> Entry {
    let [first, cap] = DELAYS;
    let backoff = Backoff::exponential(first, 2).with_max_delay(cap);
    Entry::looped(Work::Delay, "reliakit", move |times| {
        let mut random = fastrand::Rng::new();
        let mut delays = backoff.delays();
        for call in 0..times {
            if call % SCHEDULE == 0 {
                delays = backoff.delays();
            }
            black_box(delays.next().map(|delay| full_jitter(delay, random.u32(..))));
        }
    })
}

fn policy() -> RetryPolicy {
    let [first, cap] = RETRY_DELAYS;
    let backoff = Backoff::exponential(first, 2).with_max_delay(cap);
    RetryPolicy::new(ATTEMPTS, backoff).unwrap_or(RetryPolicy::single(backoff))
}

fn retry() -> Entry {
    awaited(Work::Retry, "reliakit", policy(), async |policy, _| {
        sure(retry_async(policy, ready, |_| true, |delay| sleep(full_jitter(delay, fastrand::u32(..)))).await.is_ok());
    })
}

/// What its readers would write: a lock around what is asked per attempt.
struct Gates {
    breaker: CircuitBreaker,
    limiter: Option<RateLimiter>,
    bulkhead: Bulkhead,
}

impl Gates {
    fn admit(&mut self, nanos: u64) -> bool {
        self.breaker.allow(nanos)
            && self.limiter.as_mut().is_none_or(|limiter| limiter.try_acquire_one(nanos))
            && self.bulkhead.try_acquire_one()
    }

    fn report(&mut self, nanos: u64, success: bool) {
        self.bulkhead.release_one();
        if success {
            self.breaker.on_success();
        } else {
            self.breaker.on_failure(nanos);
        }
    }
}

struct Pipeline {
    policy: RetryPolicy,
    since: Instant,
    gates: Mutex<Gates>,
}

impl Pipeline {
    fn nanos(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    async fn attempt(&self) -> Result<u32, u32> {
        let now = self.nanos();
        if !lock(&self.gates).admit(now) {
            return Err(0);
        }
        let answer = timeout(SECOND, ready()).await.unwrap_or(Err(0));
        lock(&self.gates).report(now, answer.is_ok());
        answer
    }
}

fn pipeline(work: Work) -> Entry {
    let limiter = (work == Work::LimitedPipeline).then(|| RateLimiter::new(u64::from(TOKENS), 1, 1));
    let gates = Gates { breaker: consecutive(), limiter, bulkhead: Bulkhead::new(PLACES) };
    let pipeline = Pipeline { policy: policy(), since: Instant::now(), gates: Mutex::new(gates) };
    awaited(work, "reliakit in a std Mutex, with tokio", pipeline, async |pipeline, _| {
        let sleeps = |delay| sleep(full_jitter(delay, fastrand::u32(..)));
        sure(retry_async(&pipeline.policy, || pipeline.attempt(), |_| true, sleeps).await.is_ok());
    })
}
