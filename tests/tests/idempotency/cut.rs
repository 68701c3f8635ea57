//! Calls that are dropped at each poll, and operations that panic.

use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use fusebox::Clock;
use fusebox_drive::idempotent::{IdempotentError, Origin, Request, Store, Unfinished};
use fusebox_drive::sleep_until;

use super::suite::{A, Failed, ran};
use super::*;

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn pass(time: &ManualTimer, units: u32) {
    time.block_on(sleep_until(&&time, time.now().saturating_add(MS * units))).unwrap();
}

/// Polls `call` so many times, a millisecond apart, and drops it; what it said, if it came to that.
fn cut<F: Future>(time: &ManualTimer, call: F, polls: u32) -> Option<F::Output> {
    let mut call = pin!(call);
    for _ in 0..polls {
        if let Poll::Ready(output) = poll(call.as_mut()) {
            return Some(output);
        }
        pass(time, 1);
    }
    None
}

async fn effect(time: &ManualTimer, effects: &Cell<u32>, value: u32) -> Result<u32, Failed> {
    effects.set(effects.get() + 1);
    sleep_until(&time, time.now().saturating_add(MS * 5)).await;
    Ok(value)
}

fn in_flight(calls: &Memory) -> usize {
    calls.with(|table| table.snapshot().in_flight)
}

#[test]
fn a_runner_may_be_dropped_at_any_poll() {
    for on_drop in [Unfinished::Hold, Unfinished::Free] {
        for polls in 0..8 {
            let (time, effects) = (ManualTimer::default(), Cell::new(0));
            let timer = &&time;
            let calls = memory(timer, MS, fusebox_tokio::NotifyWakes::new()).with_on_drop(on_drop);
            let answer = cut(&time, calls.call(&1, A, || effect(&time, &effects, 7)), polls);
            let has_run = answer.map(|answer| assert_eq!(ran(answer), (7, true))).is_some();
            assert_eq!(has_run, polls > 5);
            assert_eq!(in_flight(calls.store()), usize::from((1..6).contains(&polls) && on_drop == Unfinished::Hold));
            let second = time.block_on(calls.call(&1, A, || effect(&time, &effects, 8))).unwrap();
            assert_eq!(ran(second), if has_run { (7, false) } else { (8, true) });
            let waited = (1..6).contains(&polls) && on_drop == Unfinished::Hold;
            assert_eq!(time.now() >= fusebox::Instant::from_millis(100), waited, "{polls} polls");
            assert_eq!((effects.get(), in_flight(calls.store())), (if polls == 0 || has_run { 1 } else { 2 }, 0));
        }
    }
}

/// What the operation held is gone before somebody else may run.
#[test]
fn a_runner_ends_before_its_key_is_free() {
    struct Held<'a>(&'a Memory, &'a Cell<u32>);
    impl Drop for Held<'_> {
        fn drop(&mut self) {
            assert_eq!(in_flight(self.0), 1);
            self.1.set(self.1.get() + 1);
        }
    }
    let (time, dropped) = (ManualTimer::default(), Cell::new(0));
    let timer = &&time;
    let calls = memory(timer, MS, fusebox_tokio::NotifyWakes::new()).with_on_drop(Unfinished::Free);
    for polls in [1, 3] {
        let operation = || {
            let held = Held(calls.store(), &dropped);
            async move {
                sleep_until(timer, timer.now().saturating_add(MS * 2)).await;
                drop(held);
                Err::<u32, _>(Failed)
            }
        };
        let ended = cut(&time, calls.call(&1, A, operation), polls).is_some();
        assert_eq!((ended, in_flight(calls.store())), (polls == 3, 0));
    }
    assert_eq!(dropped.get(), 2);
}

/// One place to wait: whoever is dropped must not keep it.
#[test]
fn who_waits_may_be_dropped_at_any_poll() {
    for polls in 0..6 {
        let (time, effects) = (ManualTimer::default(), Cell::new(0));
        let timer = &&time;
        let calls = memory(timer, MS, fusebox_embassy::WakeList::<CriticalSectionRawMutex, 1>::new());
        let mut first = pin!(calls.call(&1, A, || effect(&time, &effects, 7)));
        assert!(poll(first.as_mut()).is_pending());
        assert!(cut(&time, calls.call(&1, A, || effect(&time, &effects, 8)), polls).is_none_or(|_| polls > 5));
        let mut third = pin!(calls.call(&1, A, || effect(&time, &effects, 9)));
        assert!(poll(third.as_mut()).is_pending(), "it has a place");
        let Poll::Ready(fourth) = poll(pin!(calls.call(&1, A, || effect(&time, &effects, 9)))) else { panic!() };
        let Err(IdempotentError::Refused(full)) = fourth else { panic!("{fourth:?}") };
        let lease = Some(fusebox::Instant::from_millis(100));
        assert_eq!((full.reason, full.retry_at), (fusebox::Reason::QueueFull, lease));
        pass(&time, 5);
        assert!(poll(first.as_mut()).is_ready());
        let Poll::Ready(third) = poll(third.as_mut()) else { panic!("it was woken") };
        assert_eq!((ran(third), effects.get()), ((7, false), 1));
    }
}

/// Wherever a call to the database was cut, the key is there again after its lease, with one answer for all.
#[test]
fn calls_to_a_database_may_be_dropped_at_any_poll() {
    let mut ends = [0; 3];
    for polls in 0..60 {
        let (time, effects) = (ManualTimer::default(), Cell::new(0));
        let timer = &&time;
        let calls = remote(timer, MS);
        let ended = cut(&time, calls.call(&1, A, || effect(&time, &effects, 7)), polls).is_some();
        let second = time.block_on(calls.call(&1, A, || effect(&time, &effects, 8))).unwrap();
        let (value, has_run) = ran(second);
        assert!(effects.get() <= 2 && has_run == (value == 8), "{polls} polls");
        assert!(!ended || value == 7);
        assert!(time.now() <= fusebox::Instant::from_millis(u64::from(polls) + 130));
        let third = time.block_on(calls.call(&1, A, || effect(&time, &effects, 9))).unwrap();
        assert_eq!(ran(third), (value, false));
        ends[if ended { 0 } else { 1 + usize::from(has_run) }] += 1;
    }
    assert!(ends.iter().all(|n| *n > 0), "ended, stored all the same, run again: {ends:?}");
}

#[test]
fn a_panic_is_as_being_dropped() {
    for on_drop in [Unfinished::Hold, Unfinished::Free] {
        for place in 0..3 {
            let time = ManualTimer::default();
            let timer = &&time;
            let calls = memory(timer, MS, fusebox_tokio::NotifyWakes::new()).with_on_drop(on_drop);
            let judge = |_: &Failed| if place == 0 { panic!("in the judge") } else { Unfinished::Free };
            let operation = || {
                assert!(place != 1, "before the operation");
                async move { if place == 2 { panic!("in the operation") } else { Err::<u32, _>(Failed) } }
            };
            let call = calls.call_with(Request::new(&1, A), judge, operation);
            catch_unwind(AssertUnwindSafe(|| time.block_on(call).map(|_| ()))).unwrap_err();
            let effects = Cell::new(0);
            let second = time.block_on(calls.call(&1, A, || effect(&time, &effects, 8))).unwrap();
            assert_eq!(ran(second), (8, true));
            assert_eq!(time.now().as_nanos() / 1_000_000, if on_drop == Unfinished::Hold { 105 } else { 5 });
        }
    }
}

/// The answer is there when the runner is dropped while it waits for the database to say so.
#[test]
fn what_was_stored_is_stored() {
    let time = ManualTimer::default();
    let timer = &&time;
    let calls = remote(timer, MS).with_on_drop(Unfinished::Free);
    let effects = Cell::new(0);
    time.block_on(calls.call(&1, A, || effect(&time, &effects, 7))).unwrap().unwrap();
    let again = time.block_on(calls.call(&1, A, || effect(&time, &effects, 8))).unwrap().unwrap();
    assert_eq!((again.value, again.origin), (7, Origin::Stored));
    let asked = time.block_on(calls.store().begin(&1, A, &time)).unwrap();
    assert!(matches!(asked, Ok(Ok(_))));
}
