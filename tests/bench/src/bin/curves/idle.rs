//! Longer idle.

use std::hint::black_box;
use std::time::Duration;

use fusebox::budget::After;
use fusebox::health::{Component, Health};
use fusebox::{
    AdaptiveConfig, AdaptiveLimit, AdaptiveRate, AdaptiveRateConfig, Breaker, BreakerConfig, Budget, BudgetConfig,
    Ewma, FailureRate, FixedWindow, Gate, Gradient2, Instant, LeanQuota, Limiter, Outcome, Quota, RetryBudget,
    SharedGate, SlidingCounter, Throttle, ThrottleConfig, TimeWindow, TripRule, checked, sync,
};
use fusebox_drive::KeyedLimiter;

use crate::curve::{Curve, Point};

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;
/// Nanoseconds.
const TIMES: [u64; 12] =
    [1, 1_000, 1_000_000, SECOND, 5 * SECOND, 10 * SECOND, 60 * SECOND, HOUR, DAY, 30 * DAY, 365 * DAY, 3_652 * DAY];
const SPAN: Duration = Duration::from_secs(10);

/// Calls before, and how far apart: as long as the span.
const BEFORE: u64 = 100;
const BETWEEN: u64 = 100_000_000;

pub(crate) fn curves() -> Vec<Curve> {
    vec![
        Curve {
            // Once a second the time is written.
            from: 1.0,
            ..curve("token bucket", || sync::TokenBucket::new(checked!(Quota::per_second(100))), token)
        },
        curve("`KeyedLimiter`", limiter, |limiter, _call, now| {
            let _ = black_box(limiter.try_acquire(&1, now));
        }),
        curve("fixed window", || Limiter::new(checked!(FixedWindow::new(1_000, SPAN))), acquire),
        curve("sliding counter", || Limiter::new(checked!(SlidingCounter::new(1_000, SPAN))), acquire),
        curve("breaker, 10 buckets of time", window::<10>, call),
        curve("breaker, 1000 buckets of time", window::<1_000>, call),
        curve("breaker, weighted by time", weighted, call),
        curve("retry budget", || RetryBudget::<10>::new(checked!(BudgetConfig::builder().build())), retry),
        curve("throttle", || Throttle::<10>::new(checked!(ThrottleConfig::builder().window(SPAN).build()), 1), acquire),
        curve("adaptive limit", || AdaptiveLimit::new(ADAPTIVE), acquire),
        Curve {
            // Twice a second the rate is computed.
            from: 0.5,
            ..curve("adaptive rate", || AdaptiveRate::new(AdaptiveRateConfig::AWS), acquire)
        },
        curve("health", || Health::new([TASK]), check_in),
    ]
}

const ADAPTIVE: AdaptiveConfig<Gradient2> = checked!(AdaptiveConfig::builder(Gradient2::DEFAULT).build());
const TASK: Component = checked!(Component::task("loop", SPAN).build());

/// One call after a time of idleness, of a machine that has had calls before.
fn curve<M: 'static>(
    name: &str,
    machine: impl Fn() -> M + Copy + 'static,
    call: impl Fn(&mut M, u64, Instant) + Copy + 'static,
) -> Curve {
    let used = move || {
        let mut machine = machine();
        (1..=BEFORE).for_each(|n| call(&mut machine, n, Instant::from_nanos(n * BETWEEN)));
        machine
    };
    let points = TIMES.map(|idle| {
        let now = Instant::from_nanos(BEFORE * BETWEEN + idle);
        #[expect(clippy::cast_precision_loss, reason = "for the axis")]
        Point::once(idle as f64 / 1e9, used, move |machine| call(machine, 1, black_box(now)))
    });
    Curve::new(name, points)
}

fn token(bucket: &mut sync::TokenBucket, _call: u64, now: Instant) {
    let _ = black_box(bucket.try_acquire(now));
}

fn limiter() -> KeyedLimiter<u64> {
    match KeyedLimiter::new(checked!(LeanQuota::per_second(100)), 1) {
        Ok(limiter) => limiter,
        Err(error) => unreachable!("constant: {error}"),
    }
}

fn acquire<G: Gate>(gate: &mut G, _call: u64, now: Instant) {
    if let Ok(permit) = gate.try_acquire(now) {
        gate.release(black_box(permit), Outcome::Success, now);
    }
}

const fn window<const BUCKETS: usize>() -> Breaker<FailureRate<TimeWindow<BUCKETS>>> {
    Breaker::new(checked!(BreakerConfig::builder(checked!(FailureRate::within(SPAN, 500, 20))).build()))
}

const fn weighted() -> Breaker<Ewma> {
    Breaker::new(checked!(BreakerConfig::builder(checked!(Ewma::by_time(500, SPAN, 20))).build()))
}

/// One in ten failed, before.
fn call<R: TripRule>(breaker: &mut Breaker<R>, call: u64, now: Instant) {
    let outcome = if call.is_multiple_of(10) { Outcome::Failure } else { Outcome::Success };
    if let Ok(permit) = breaker.try_acquire(now) {
        breaker.release(black_box(permit), outcome, now);
    }
}

fn retry(budget: &mut RetryBudget, _call: u64, now: Instant) {
    budget.deposit(now);
    let _ = black_box(budget.try_withdraw(After::Failure, now));
}

fn check_in(health: &mut Health<1>, _call: u64, now: Instant) {
    health.check_in(0, now);
    let _ = black_box(health.may_feed(now));
}
