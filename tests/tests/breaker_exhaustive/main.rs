//! Law: whatever happens, in whatever order, a breaker keeps its promises.
//!
//! Every sequence of events up to a depth is tried on small breakers: two trials, times of a few nanoseconds, steps of
//! the clock in both directions, at most four calls out at once. Histories that lead to the same state (machine and
//! permits out, times relative to the clock) are followed on as one, and counted as all those they stand for. In every
//! state:
//!
//! - no more trials are out than allowed;
//! - if the callee is healthy from here on, a few steps and a bounded time lead to closed and everything admitted,
//!   unless it is forced;
//! - an outcome of an earlier phase changes nothing; a cancelled call decides nothing;
//! - a refusal's `retry_at` is honest: refused a nanosecond before, admitted then.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::missing_const_for_fn, clippy::format_push_string, reason = "a test")]
#![allow(unreachable_pub, missing_docs, reason = "a test")]

mod search;
mod world;

use std::time::Duration;

use fusebox::breaker::BreakerBuilder;
use fusebox::{Backoff, Breaker, BreakerConfig, Consecutive, FailureRate, Gate, Instant, State, TimeWindow, TripRule};
use search::{Searched, search};
use world::{Ending, Event, Limits, START, TRIALS};

const OPEN: u64 = 2;
const LONGEST_OPEN: u64 = 4;
const TTL: u64 = 3;
const LIMITS: Limits =
    Limits { open: LONGEST_OPEN, slow_after: None, trial_ttl: TTL, half_open_for: None, slow_start: 0 };

const AUTOMATIC: &[Event] = &[
    Event::Ask,
    Event::Tick,
    Event::StepBack,
    Event::Oldest(Ending::Success),
    Event::Oldest(Ending::Failure),
    Event::Newest(Ending::Success),
    Event::Newest(Ending::Failure),
    Event::CancelOldest,
    Event::Timer,
];

const HINTS: &[Event] = &[
    Event::Ask,
    Event::Tick,
    Event::StepBack,
    Event::Oldest(Ending::Success),
    Event::Oldest(Ending::Failure),
    Event::Oldest(Ending::Unavailable(0)),
    Event::Oldest(Ending::Unavailable(3)),
    Event::Newest(Ending::Unavailable(u64::MAX)),
    Event::HalfOpen,
];

const BY_HAND: &[Event] = &[
    Event::Ask,
    Event::Tick,
    Event::Oldest(Ending::Success),
    Event::Oldest(Ending::Failure),
    Event::Newest(Ending::Failure),
    Event::Timer,
    Event::Trip,
    Event::HalfOpen,
    Event::ForceOpen,
    Event::ForceClosed,
    Event::DryRun,
    Event::Reset,
];

fn ns(n: u64) -> Duration {
    Duration::from_nanos(n)
}

fn builder<R: TripRule>(rule: R, to_close: u16) -> BreakerBuilder<R, TRIALS> {
    let open = Backoff::exponential(ns(OPEN), ns(LONGEST_OPEN)).unwrap();
    BreakerConfig::builder(rule).open_interval(open).trial_ttl(ns(TTL)).successes_to_close(to_close).trials()
}

fn in_a_row(to_close: u16) -> BreakerBuilder<Consecutive, TRIALS> {
    builder(Consecutive::new(2).unwrap(), to_close)
}

fn closed<R: TripRule>(builder: BreakerBuilder<R, TRIALS>) -> Breaker<R, TRIALS> {
    Breaker::new(builder.build().unwrap())
}

/// Half-open at the start of the search.
fn tripped<R: TripRule>(builder: BreakerBuilder<R, TRIALS>) -> Breaker<R, TRIALS> {
    let mut breaker = closed(builder);
    breaker.trip(Instant::from_nanos(START - OPEN));
    breaker.handle_timeout(Instant::from_nanos(START));
    assert_eq!(breaker.state(), State::HalfOpen);
    breaker
}

fn look<R: TripRule>(name: &str, breaker: Breaker<R, TRIALS>, limits: Limits, events: &[Event], depth: usize) {
    let Searched { sequences, states, complete } = search(&breaker, limits, events, depth);
    let all = if complete { ", no others however deep" } else { "" };
    println!("{name}, from {}: {sequences} sequences of up to {depth}, {states} states{all}", breaker.state());
    assert!(sequences > 10_000_000, "{name}: too few");
}

#[test]
fn plain() {
    look("plain", closed(in_a_row(1)), LIMITS, AUTOMATIC, 14);
    for to_close in [1, 2, 3] {
        look(&format!("{to_close} to close"), tripped(in_a_row(to_close)), LIMITS, AUTOMATIC, 13);
    }
}

#[test]
fn slow_calls() {
    let limits = Limits { slow_after: Some(1), ..LIMITS };
    look("slow calls", closed(in_a_row(1).slow_after(ns(1))), limits, AUTOMATIC, 11);
    look("slow calls", tripped(in_a_row(2).slow_after(ns(1))), limits, AUTOMATIC, 11);
}

#[test]
fn half_open_for_a_while() {
    for limit in [2, 5] {
        let limits = Limits { half_open_for: Some(limit), ..LIMITS };
        let breaker = in_a_row(2).half_open_for(ns(limit));
        look(&format!("half-open for {limit}"), tripped(breaker), limits, AUTOMATIC, 13);
    }
}

#[test]
fn slow_start() {
    // The ramp rounds up to its 32 steps.
    let limits = Limits { slow_start: 32, ..LIMITS };
    for permille in [300, 700] {
        look("slow start", tripped(in_a_row(1).slow_start(permille, ns(32))), limits, AUTOMATIC, 12);
    }
}

#[test]
fn hints() {
    let limits = Limits { open: 6, ..LIMITS };
    look("hints", closed(in_a_row(1).max_hint(ns(6))), limits, HINTS, 13);
    look("hints", tripped(in_a_row(2).max_hint(ns(1))), LIMITS, HINTS, 13);
}

#[test]
fn window_of_time() {
    let rule = FailureRate::<TimeWindow<2>>::within(ns(4), 500, 2).unwrap();
    look("window of time", closed(builder(rule, 1)), LIMITS, AUTOMATIC, 13);
}

#[test]
fn by_hand() {
    look("by hand", closed(in_a_row(2)), LIMITS, BY_HAND, 11);
    let limits = Limits { open: 6, half_open_for: Some(4), slow_start: 32, ..LIMITS };
    let all = in_a_row(2).max_hint(ns(6)).half_open_for(ns(4)).slow_start(400, ns(32));
    look("by hand, all in use", tripped(all), limits, BY_HAND, 10);
}
