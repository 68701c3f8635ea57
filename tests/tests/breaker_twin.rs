//! Law: the breaker's atomic twin and the plain breaker give the same answers to the same sequence of operations, and
//! from many threads at once nothing is lost.
#![allow(clippy::unwrap_used, clippy::panic, clippy::too_many_lines, missing_docs, reason = "a test may panic")]
#![allow(clippy::integer_division, reason = "a test may round")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fusebox::breaker::{Permit, SlowRate};
use fusebox::entropy::nth;
use fusebox::{
    Backoff, Breaker, BreakerConfig, BreakerState, Consecutive, CountWindow, Either, Ewma, FailureCount, FailureRate,
    Gate, Instant, Jitter, Lock, Outcome, Reason, SharedGate, State, TimeWindow, TripRule, sync,
};

const NS: fn(u64) -> Duration = Duration::from_nanos;

fn config<R: TripRule>(rule: R) -> BreakerConfig<R, 2> {
    BreakerConfig::builder(rule)
        .open_interval(Backoff::exponential(NS(20), NS(170)).unwrap().with_jitter(Jitter::Equal))
        .seed(5)
        .max_hint(NS(60))
        .slow_after(NS(25))
        .trial_ttl(NS(15))
        .half_open_for(NS(90))
        .slow_start(100, NS(64))
        .successes_to_close(2)
        .trials::<2>()
        .build()
        .unwrap()
}

/// Random operations on both; the shares of operations that took the twin's fast path and that opened it.
fn agree<R: TripRule>(rule: R, seed: u32, operations: u32) {
    let (mut plain, twin) = (Breaker::new(config(rule)), sync::Breaker::new(config(rule)));
    let mut held: Vec<(Permit, Permit)> = vec![];
    let (mut now, mut rolled) = (1_000_u64, 0_u32);
    let mut roll = |below: u32| {
        rolled += 1;
        nth(seed, rolled) % below
    };
    for n in 0..operations {
        let at = Instant::from_nanos(now);
        let which = roll(64) as usize;
        match roll(200) {
            0..=69 => match (plain.try_acquire(at), twin.try_acquire(at)) {
                (Ok(a), Ok(b)) => {
                    assert_eq!(a, b, "operation {n}");
                    held.push((a, b));
                }
                (Err(a), Err(b)) => assert_eq!(a, b, "operation {n}"),
                (a, b) => panic!("operation {n}: {a:?} and {b:?}"),
            },
            70..=139 if !held.is_empty() => {
                let (a, b) = held.swap_remove(which % held.len());
                let failing = if (n >> 9) % 2 == 0 { 1 } else { 7 };
                let outcome = match roll(10) {
                    9 => Outcome::Ignored,
                    8 => Outcome::Unavailable { retry_at: Instant::from_nanos(now + u64::from(roll(90))) },
                    x if x < failing => Outcome::Failure,
                    _ => Outcome::Success,
                };
                plain.release(a, outcome, at);
                twin.release(b, outcome, at);
            }
            140..=144 if !held.is_empty() => {
                let (a, b) = held.swap_remove(which % held.len());
                plain.cancel(a, at);
                twin.cancel(b, at);
            }
            145..=154 => {
                plain.handle_timeout(at);
                twin.handle_timeout(at);
            }
            155..=159 => assert_eq!(plain.poll_event(), twin.poll_event(), "operation {n}"),
            160 => {
                plain.trip(at);
                twin.trip(at);
            }
            161 => {
                plain.half_open(at);
                twin.half_open(at);
            }
            162 if roll(8) == 0 => {
                plain.force_open(at);
                twin.force_open(at);
            }
            163 if roll(8) == 0 => {
                plain.force_closed(at);
                twin.force_closed(at);
            }
            164 if roll(8) == 0 => {
                plain.dry_run(at);
                twin.dry_run(at);
            }
            165 => {
                plain.reset(at);
                twin.reset(at);
            }
            166..=190 => now += u64::from(roll(12)),
            191..=197 => {
                if let Some(timer) = plain.poll_timeout() {
                    now = now.max(timer.as_nanos().saturating_sub(roll(2).into()));
                }
            }
            198 => now = now.saturating_sub(u64::from(roll(300))),
            _ => now += 1_007 * u64::from(roll(100)),
        }
        if held.len() > 12 {
            drop(held.remove(0));
        }
        assert_eq!(plain.poll_timeout(), twin.poll_timeout(), "operation {n}");
        assert_eq!(plain.state(), twin.state(), "operation {n}");
        if n % 7 == 0 {
            assert_eq!(plain.snapshot(at), twin.snapshot(at), "operation {n}");
        }
    }
    let end = plain.snapshot(Instant::from_nanos(now));
    assert_eq!(end, twin.snapshot(Instant::from_nanos(now)));
    println!("{rule:?}: {operations} operations, {} trips, {} refused, {} lapsed", end.trips, end.refused, end.lapsed);
    assert!(end.trips > operations / 2_000 && end.refused > operations / 200 && end.lapsed > operations / 4_000);
}

#[test]
fn the_twin_agrees_with_the_plain_breaker() {
    const EACH: u32 = 300_000;
    agree(Consecutive::new(1).unwrap(), 1, EACH);
    agree(Consecutive::new(3).unwrap(), 2, EACH);
    agree(Consecutive::new(u32::MAX).unwrap(), 3, EACH / 100);
    agree(FailureRate::<CountWindow<1>>::of_last(10, 500, 4).unwrap(), 4, EACH);
    agree(FailureRate::<CountWindow<1>>::of_last(25, 400, 10).unwrap(), 5, EACH);
    agree(FailureRate::<CountWindow<2>>::of_last(40, 400, 10).unwrap(), 6, EACH);
    agree(SlowRate::<CountWindow<1>>::of_last(10, 300, 4).unwrap(), 7, EACH);
    agree(FailureRate::<TimeWindow<4>>::within(NS(200), 400, 5).unwrap(), 8, EACH);
    agree(FailureCount::<CountWindow<1>>::of_last(9, 4).unwrap(), 11, EACH);
    agree(Ewma::by_calls(400, 8, 4).unwrap(), 9, EACH);
    let slow = SlowRate::<CountWindow<1>>::of_last(10, 300, 4).unwrap();
    agree(Either(Consecutive::new(3).unwrap(), slow), 10, EACH);
}

/// A lock that counts how often it is taken.
struct Counting<'a, T>(Mutex<T>, &'a AtomicU32);

impl<T> Lock for Counting<'_, T> {
    type Value = T;

    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.with(f)
    }
}

/// How often the lock is taken by `calls` calls, of which every tenth fails, on a breaker that does not trip.
fn locks_taken<R: TripRule>(rule: R, calls: u32) -> u32 {
    let taken = AtomicU32::new(0);
    let lock = Counting(Mutex::new(BreakerState::new()), &taken);
    let config = BreakerConfig::builder(rule).slow_after(NS(25)).build().unwrap();
    let twin = sync::BreakerOver::<R, 1, _>::over(config, lock);
    let at = Instant::from_secs(1);
    for n in 0..calls {
        let permit = twin.try_acquire(at).unwrap();
        twin.release(permit, if n % 10 == 9 { Outcome::Failure } else { Outcome::Success }, at);
    }
    taken.load(Ordering::Relaxed)
}

#[test]
fn a_closed_twin_takes_its_lock_for_failures_only() {
    // The first call finds out that it is closed; a hundred fail.
    assert_eq!(locks_taken(Consecutive::new(5).unwrap(), 1_000), 101);
    assert_eq!(locks_taken(FailureRate::<CountWindow<4>>::of_last(100, 500, 10).unwrap(), 1_000), 101);
    assert_eq!(locks_taken(FailureRate::<CountWindow<40>>::of_last(1_280, 500, 10).unwrap(), 1_000), 101);
    let slow = SlowRate::<CountWindow<1>>::of_last(10, 300, 4).unwrap();
    assert_eq!(locks_taken(Either(Consecutive::new(3).unwrap(), slow), 1_000), 101);
    // The first outcome begins the window.
    assert_eq!(locks_taken(FailureRate::<TimeWindow<4>>::within(NS(200), 400, 5).unwrap(), 1_000), 102);
    // Where each outcome weighs by when it came, each takes it.
    assert_eq!(locks_taken(Ewma::by_calls(400, 8, 4).unwrap(), 1_000), 1_001);
}

/// Each thread reports so many failures, no two of them more than the threshold minus one apart.
#[test]
fn no_outcome_of_many_threads_is_lost() {
    const THREADS: u32 = 4;
    const EACH: u32 = 20_000;
    let at = Instant::from_secs(1);
    let rule = Consecutive::new(THREADS * EACH).unwrap();
    let breaker = sync::Breaker::<_, 1>::new(BreakerConfig::builder(rule).build().unwrap());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let breaker = &breaker;
            scope.spawn(move || {
                for n in 0..EACH {
                    // The very last failure of all is left out.
                    if thread > 0 || n > 0 {
                        let permit = breaker.try_acquire(at).unwrap();
                        breaker.release(permit, Outcome::Failure, at);
                    }
                }
            });
        }
    });
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(breaker.snapshot(at).counts.failed.unwrap().bad, THREADS * EACH - 1);
    let last = breaker.try_acquire(at).unwrap();
    breaker.release(last, Outcome::Failure, at);
    assert_eq!(breaker.state(), State::Open);
}

/// Threads fail, trip, try and recover; at no time are there more trials than allowed, and it opens as often as told.
#[test]
fn trials_are_never_more_than_allowed() {
    const ROUNDS: u64 = 300;
    let rule = Consecutive::new(2).unwrap();
    let config = BreakerConfig::builder(rule).open_for(NS(10)).trials::<2>().successes_to_close(2).build().unwrap();
    let breaker = sync::Breaker::new(config);
    let (trials, most) = (AtomicU32::new(0), AtomicU32::new(0));
    for round in 0..ROUNDS {
        let at = Instant::from_nanos(1_000 * round);
        breaker.trip(at);
        let later = Instant::from_nanos(1_000 * round + 10);
        let admitted = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| match breaker.try_acquire(later) {
                    Ok(permit) => {
                        admitted.fetch_add(1, Ordering::Relaxed);
                        most.fetch_max(trials.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        trials.fetch_sub(1, Ordering::SeqCst);
                        breaker.release(
                            permit,
                            if round % 2 == 0 { Outcome::Success } else { Outcome::Failure },
                            later,
                        );
                    }
                    Err(refused) => assert!(matches!(refused.reason, Reason::TrialsOut | Reason::Open)),
                });
            }
        });
        if round % 2 == 0 {
            assert_eq!(breaker.state(), State::Closed);
        } else {
            assert_eq!(breaker.state(), State::Open);
            assert!(admitted.into_inner() <= 2);
            breaker.reset(later);
        }
    }
    assert!(most.into_inner() <= 4, "two trials, and calls once it has closed");
}
