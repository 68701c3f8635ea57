//! Longer windows.

use std::hint::black_box;
use std::time::Duration;

use fusebox::{
    BreakerConfig, CountWindow, FailureRate, Gate, Instant, Limiter, Outcome, SharedGate, SlidingLog, TimeWindow,
    TripRule, checked, sync,
};

use crate::curve::{Curve, Point};

/// Twice the longest window.
const CALLS: u32 = 20_000;
const SPAN: Duration = Duration::from_secs(10);
/// Nanoseconds; a hundred calls in the shortest bucket of time.
const BETWEEN: u64 = 100_000;

pub(crate) fn curves() -> Vec<Curve> {
    vec![
        Curve::new(
            "breaker, calls: all succeed",
            [good::<10, 1>(), good::<100, 4>(), good::<1_000, 32>(), good::<10_000, 313>()],
        ),
        Curve::new(
            "breaker, calls: 1 % fail",
            [mixed::<10, 1>(), mixed::<100, 4>(), mixed::<1_000, 32>(), mixed::<10_000, 313>()],
        ),
        Curve {
            pays_for_all: true,
            ..Curve::new(
                "breaker, calls: a failure after successes",
                [failure::<10, 1>(), failure::<100, 4>(), failure::<1_000, 32>(), failure::<10_000, 313>()],
            )
        },
        Curve::new("breaker, buckets of time: 1 % fail", [within::<10>(), within::<100>(), within::<1_000>()]),
        Curve::new("sliding log: granted", [log::<10>(), log::<100>(), log::<1_000>(), log::<10_000>()]),
        Curve::new("sliding log: cancelled", [cancel::<10>(), cancel::<100>(), cancel::<1_000>(), cancel::<10_000>()]),
    ]
}

type Last<const WORDS: usize> = FailureRate<CountWindow<WORDS>>;

/// Never trips here.
const fn last<const SIZE: u16, const WORDS: usize>() -> sync::Breaker<Last<WORDS>> {
    sync::Breaker::new(checked!(BreakerConfig::builder(checked!(Last::<WORDS>::of_last(SIZE, 500, 10))).build()))
}

fn good<const SIZE: u16, const WORDS: usize>() -> Point {
    calls(SIZE.into(), last::<SIZE, WORDS>, |_call| Outcome::Success)
}

fn mixed<const SIZE: u16, const WORDS: usize>() -> Point {
    calls(SIZE.into(), last::<SIZE, WORDS>, one_in_a_hundred_fails)
}

fn within<const BUCKETS: usize>() -> Point {
    type Within<const BUCKETS: usize> = FailureRate<TimeWindow<BUCKETS>>;
    let breaker = || {
        sync::Breaker::new(checked!(BreakerConfig::builder(checked!(Within::<BUCKETS>::within(SPAN, 500, 20))).build()))
    };
    calls(size(BUCKETS), breaker, one_in_a_hundred_fails)
}

const fn one_in_a_hundred_fails(call: u32) -> Outcome {
    if call % 100 == 99 { Outcome::Failure } else { Outcome::Success }
}

/// Of a breaker whose window is full.
fn calls<R: TripRule + 'static>(
    size: u32,
    breaker: impl Fn() -> sync::Breaker<R> + 'static,
    outcome: impl Fn(u32) -> Outcome + Copy + 'static,
) -> Point {
    Point::lasting(size, CALLS, move || {
        let breaker = breaker();
        let mut calls = 0;
        let mut batch = move || {
            for call in calls..calls + CALLS {
                ask(&breaker, outcome(call), Instant::from_nanos(BETWEEN * u64::from(call)));
            }
            calls += CALLS;
        };
        batch();
        batch
    })
}

fn ask<R: TripRule>(breaker: &sync::Breaker<R>, outcome: Outcome, now: Instant) {
    match breaker.try_acquire(now) {
        Ok(permit) => breaker.release(black_box(permit), outcome, now),
        Err(rejected) => unreachable!("{rejected}"),
    }
}

/// The second one, when the first is about to leave the window.
fn failure<const SIZE: u16, const WORDS: usize>() -> Point {
    let breaker = || {
        let breaker = last::<SIZE, WORDS>();
        ask(&breaker, Outcome::Failure, Instant::EPOCH);
        (1..SIZE).for_each(|_| ask(&breaker, Outcome::Success, Instant::EPOCH));
        breaker
    };
    Point::once(SIZE, breaker, |breaker| ask(breaker, Outcome::Failure, Instant::EPOCH))
}

/// All tokens are taken, and each has just come back when it is taken again.
fn full_log<const N: usize>() -> Limiter<SlidingLog<N>> {
    let mut log = Limiter::new(checked!(SlidingLog::<N>::new(SPAN)));
    for n in 0..N as u64 {
        let _tokens = log.try_acquire(Instant::from_nanos(n));
    }
    log
}

fn log<const N: usize>() -> Point {
    Point::once(size(N), full_log::<N>, |log| {
        let _tokens = black_box(log.try_acquire(Instant::from_secs(10)));
    })
}

/// The last that was taken.
fn cancel<const N: usize>() -> Point {
    let log = || {
        let mut log = full_log::<N>();
        let tokens = log.try_acquire(Instant::from_secs(10));
        (log, tokens.ok())
    };
    Point::once(size(N), log, |(log, tokens)| {
        if let Some(tokens) = tokens.take() {
            log.cancel(tokens, Instant::from_secs(10));
        }
    })
}

/// All of them fit.
fn size(n: usize) -> u32 {
    u32::try_from(n).unwrap_or_default()
}
