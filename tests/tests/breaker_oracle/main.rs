//! Law: the breaker decides exactly as its module's contract says.
//!
//! A naive model, written from the contract alone, is driven side by side with the real machine through long random
//! histories: every rule; late, cancelled, leaked and lapsed permits; hints that make sense and others; every manual
//! state; clocks that step back, jump far and reach the end of time. After each operation all that can be seen of both
//! is equal. Each refusal is tried a nanosecond before `retry_at` and then; each eighth state is left alone until it may
//! be forgotten.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::missing_const_for_fn, clippy::integer_division, reason = "a test may round, and needs no const")]
#![allow(clippy::too_many_arguments, unreachable_pub, missing_docs, reason = "a test")]

mod drive;
mod model;
mod rules;

use std::time::Duration;

use drive::{Drive, Happened};
use fusebox::{
    Backoff, Consecutive, CountWindow, Either, Ewma, FailureCount, FailureRate, Jitter, SlowRate, TimeWindow, TripRule,
};
use model::Spec;
use rules::{Fade, Limit, Look, Rule};

const EACH: u32 = 300_000;

const fn ns(n: u64) -> Duration {
    Duration::from_nanos(n)
}

fn growing(first: u64, cap: u64) -> Backoff {
    Backoff::exponential(ns(first), ns(cap)).unwrap()
}

/// One trial, one success to close, nothing else asked for.
fn plain(rule: Rule, open: Backoff) -> Spec {
    Spec {
        rule,
        open,
        seed: 0,
        max_hint: None,
        slow_after: None,
        trial_ttl: 25,
        half_open_for: None,
        slow_start: None,
        trials: 1,
        to_close: 1,
    }
}

fn run<R: TripRule, const N: usize>(rule: R, spec: &Spec, seed: u32) -> Happened {
    let happened = Drive::<R, N>::new(rule, spec, seed).run(EACH);
    println!("{seed:2}: {EACH} operations, {happened:?}");
    let Happened { trips, refused, lapsed, more } = happened;
    let is_rare = |expected: bool, times: u32, often: u32| if expected { times < often } else { times > 0 };
    assert!(trips > 1_000 && refused > 5_000 && lapsed > 100 && more.closed > 200, "too little happened");
    assert!(!is_rare(spec.max_hint.is_some(), more.hinted, 500), "too few hints");
    assert!(!is_rare(spec.half_open_for.is_some(), more.gave_up, 200), "too few ends of half-open");
    assert!(!is_rare(spec.slow_start.is_some(), more.shared_out, 500), "too few slow starts");
    assert!(more.shared_out < more.started_slowly || spec.slow_start.is_none());
    happened
}

fn row(threshold: u32) -> (Consecutive, Rule) {
    (Consecutive::new(threshold).unwrap(), Rule::InARow(threshold as usize))
}

fn limit(permille: u16, minimum: u32) -> Limit {
    Limit { permille: permille.into(), minimum: minimum as usize }
}

fn last(size: u16, permille: u16, minimum: u32) -> (FailureRate<CountWindow<2>>, Rule) {
    let rule = Rule::LastCalls { look: Look::Failed, size: size.into(), limit: limit(permille, minimum) };
    (FailureRate::of_last(size, permille, minimum).unwrap(), rule)
}

fn slow_last(size: u16, permille: u16, minimum: u32) -> (SlowRate<CountWindow<1>>, Rule) {
    let rule = Rule::LastCalls { look: Look::Slow, size: size.into(), limit: limit(permille, minimum) };
    (SlowRate::of_last(size, permille, minimum).unwrap(), rule)
}

fn in_time<const B: usize>(look: Look, span: u64, permille: u16, minimum: u32) -> Rule {
    let (bucket, buckets) = (u128::from(span).div_ceil(B as u128), B as u128);
    Rule::LastNanos { look, bucket, buckets, limit: limit(permille, minimum) }
}

fn within<const B: usize>(span: u64, permille: u16, minimum: u32) -> (FailureRate<TimeWindow<B>>, Rule) {
    (FailureRate::within(ns(span), permille, minimum).unwrap(), in_time::<B>(Look::Failed, span, permille, minimum))
}

fn slow_within<const B: usize>(span: u64, permille: u16, minimum: u32) -> (SlowRate<TimeWindow<B>>, Rule) {
    (SlowRate::within(ns(span), permille, minimum).unwrap(), in_time::<B>(Look::Slow, span, permille, minimum))
}

fn either<A: TripRule, B: TripRule>((a, a_): (A, Rule), (b, b_): (B, Rule)) -> (Either<A, B>, Rule) {
    (Either(a, b), Rule::AnyOf(vec![a_, b_]))
}

#[test]
fn failures_in_a_row() {
    let ((one, one_), (two, two_), (three, three_)) = (row(1), row(2), row(3));
    run::<_, 1>(one, &Spec { trial_ttl: 15, ..plain(one_, growing(20, 20)) }, 1);
    let hints = Spec { max_hint: Some(90), slow_after: Some(25), trials: 2, ..plain(two_, growing(20, 170)) };
    run::<_, 2>(two, &hints, 2);
    let slow_start = Spec { slow_start: Some((100, 320)), slow_after: Some(10), trials: 3, to_close: 3, ..hints };
    run::<_, 3>(three, &Spec { max_hint: None, rule: three_, open: growing(5, 40), ..slow_start }, 3);
}

#[test]
fn rates_of_the_last_calls() {
    let ((half, half_), (third, third_), (all, all_)) = (last(10, 500, 4), last(37, 333, 12), last(3, 1_000, 3));
    let open = growing(20, 90).with_jitter(Jitter::Equal);
    let wide = Spec { trials: 4, to_close: 2, seed: 7, slow_after: Some(12), ..plain(half_, open) };
    run::<_, 4>(half, &Spec { half_open_for: Some(60), ..wide }, 4);
    let many = Spec { to_close: 3, max_hint: Some(1 << 40), half_open_for: Some(45), ..plain(third_, growing(20, 20)) };
    run::<_, 1>(third, &many, 5);
    let all = (
        all,
        Spec { trials: 2, to_close: 4, trial_ttl: 60, slow_start: Some((1, 999)), ..plain(all_, growing(7, 1 << 60)) },
    );
    run::<_, 2>(all.0, &all.1, 6);
}

#[test]
fn rates_within_a_time() {
    let ((four, four_), (one, one_), (ten, ten_)) =
        (within::<4>(100, 400, 3), within::<1>(50, 600, 2), within::<10>(333, 500, 5));
    let open = growing(10, 300).with_jitter(Jitter::Full);
    let spec = Spec { trials: 2, seed: 9, slow_after: Some(30), max_hint: Some(40), ..plain(four_, open) };
    run::<_, 2>(four, &spec, 7);
    run::<_, 1>(one, &Spec { half_open_for: Some(80), to_close: 2, ..plain(one_, growing(15, 60)) }, 8);
    run::<_, 3>(ten, &Spec { slow_start: Some((300, 64)), trials: 3, to_close: 2, ..plain(ten_, growing(9, 9)) }, 9);
}

#[test]
fn slow_calls() {
    let ((last, last_), (time, time_)) = (slow_last(8, 500, 3), slow_within::<5>(120, 400, 3));
    let open = growing(20, 90).with_jitter(Jitter::Decorrelated);
    let spec = Spec { slow_after: Some(9), seed: 3, half_open_for: Some(25), ..plain(last_, open) };
    run::<_, 1>(last, &spec, 10);
    let hints =
        Spec { slow_after: Some(14), max_hint: Some(1), trials: 2, to_close: 2, ..plain(time_, growing(3, 30)) };
    run::<_, 2>(time, &Spec { slow_start: Some((800, 96)), half_open_for: Some(200), ..hints }, 11);
}

#[test]
fn so_many_failures() {
    let in_calls = FailureCount::<CountWindow<1>>::of_last(7, 3).unwrap();
    let spec = plain(Rule::SoMany(3, Box::new(last(7, 1, 1).1)), growing(12, 100));
    run::<_, 2>(in_calls, &Spec { trials: 2, max_hint: Some(70), ..spec }, 17);
    let in_time = FailureCount::<TimeWindow<4>>::within(ns(120), 4).unwrap();
    let spec = plain(Rule::SoMany(4, Box::new(within::<4>(120, 1, 1).1)), growing(12, 100));
    run::<_, 1>(in_time, &Spec { slow_start: Some((200, 80)), ..spec }, 18);
}

#[test]
fn weighted_rates() {
    let weighted = |fade, permille, minimum| Rule::Weighted { fade, limit: limit(permille, minimum) };
    let calls = (Ewma::by_calls(437, 10, 4).unwrap(), weighted(Fade::Calls(10.0), 437, 4));
    let one = (Ewma::by_calls(700, 1, 1).unwrap(), weighted(Fade::Calls(1.0), 700, 1));
    let time = (Ewma::by_time(411, ns(60), 3).unwrap(), weighted(Fade::Nanos(60.0), 411, 3));
    run::<_, 2>(calls.0, &Spec { trials: 2, slow_after: Some(40), ..plain(calls.1, growing(20, 20)) }, 12);
    run::<_, 1>(one.0, &Spec { slow_start: Some((500, 100)), max_hint: Some(64), ..plain(one.1, growing(8, 64)) }, 13);
    run::<_, 2>(time.0, &Spec { half_open_for: Some(33), trials: 2, ..plain(time.1, growing(5, 50)) }, 14);
}

#[test]
fn either_of_two_rules() {
    let (both, both_) = either(row(4), either(last(20, 600, 10), slow_within::<3>(90, 500, 4)));
    let spec = Spec { slow_after: Some(20), max_hint: Some(300), trials: 2, ..plain(both_, growing(10, 80)) };
    run::<_, 2>(both, &Spec { half_open_for: Some(90), slow_start: Some((50, 200)), ..spec }, 15);
    let (slow, slow_) = either(slow_last(6, 500, 2), row(2));
    run::<_, 1>(slow, &Spec { slow_after: Some(16), ..plain(slow_, growing(30, 500)) }, 16);
}
