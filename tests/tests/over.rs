//! Law: a call that is over holds nothing and does nothing more, although its future is still there.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, ready};
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fusebox::budget::After;
use fusebox::{
    Breaker, BreakerConfig, Call, Cause, Clock, Consecutive, Ended, Entropy, HedgePolicy, Instant, Plan, Policy,
    Reason, RetryPolicy, Shared, Step, checked, sync,
};
use fusebox_drive::slots::{End, Runs, Slot};
use fusebox_drive::{Attempt, Drive, Pipeline};
use fusebox_tests::ManualTimer;
use fusebox_tokio::FairTurns;

const NS: fn(u64) -> Duration = Duration::from_nanos;

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

const fn places(n: u32) -> sync::Bulkhead {
    sync::Bulkhead::new(NonZeroU32::new(n).unwrap())
}

#[test]
fn polled_again_it_does_not_call_again() {
    let time = ManualTimer::default();
    let pipeline = Pipeline::new(&time, (), RetryPolicy::ONCE, Entropy::new(1));
    let charged = Cell::new(0);
    let mut call = pin!(pipeline.call(|_| {
        charged.set(charged.get() + 1);
        ready(Ok::<_, ()>(1))
    }));
    assert_eq!(poll(call.as_mut()), Poll::Ready(Ok(1)));
    assert_eq!((poll(call.as_mut()), charged.get()), (Poll::Pending, 1));
}

#[test]
fn it_keeps_no_loser_of_a_hedge() {
    let time = ManualTimer::default();
    let policy = HedgePolicy::<2>::builder(NS(10)).build().unwrap();
    let pipeline = Pipeline::new(&time, places(2), policy, Entropy::new(1));
    let alive = Rc::new(());
    let mut call = pin!(pipeline.call(|attempt: Attempt| {
        let alive = alive.clone();
        async move {
            if attempt.number == 1 {
                pending::<()>().await;
            }
            drop(alive);
            Ok::<_, ()>(attempt.number)
        }
    }));
    assert!(poll(call.as_mut()).is_pending());
    time.advance(10);
    assert_eq!(poll(call.as_mut()), Poll::Ready(Ok(2)));
    assert_eq!((pipeline.gate().in_flight(), Rc::strong_count(&alive)), (0, 1));
}

#[test]
fn it_hands_the_turn_on() {
    const TRIPS: BreakerConfig<Consecutive> = checked!(BreakerConfig::builder(checked!(Consecutive::new(1))).build());
    let time = ManualTimer::default();
    let policy = RetryPolicy::builder().wait_for_gates().deadline(NS(1_000)).build().unwrap();
    let gate = Shared::new(RefCell::new(Breaker::new(TRIPS)));
    gate.with(|breaker| breaker.force_open(Instant::EPOCH));
    let pipeline = Pipeline::fair(&time, gate, FairTurns::new(), policy, Entropy::new(1));
    let mut first = pin!(pipeline.call(|_| ready(Ok::<_, ()>(1))));
    assert!(matches!(poll(first.as_mut()), Poll::Ready(Err(_))));
    pipeline.gate().with(|breaker| breaker.reset(Instant::EPOCH));
    let mut second = pin!(pipeline.call(|_| ready(Ok::<_, ()>(1))));
    assert_eq!(poll(second.as_mut()), Poll::Ready(Ok(1)));
}

#[test]
fn a_panic_ends_it_at_once() {
    let time = ManualTimer::default();
    let pipeline = Pipeline::new(&time, places(1), RetryPolicy::ONCE, Entropy::new(1));
    for polls_before in 0..2 {
        let mut call = pin!(pipeline.call(|_| async move {
            if polls_before > 0 {
                yield_once().await;
            }
            resume_unwind(Box::new("boom"));
            #[allow(unreachable_code, reason = "its type")]
            Ok::<u32, ()>(1)
        }));
        for _ in 0..polls_before {
            assert!(poll(call.as_mut()).is_pending());
        }
        assert!(catch_unwind(AssertUnwindSafe(|| poll(call.as_mut()))).is_err());
        assert_eq!((pipeline.gate().in_flight(), poll(call.as_mut())), (0, Poll::Pending));
    }
}

async fn yield_once() {
    let mut again = false;
    std::future::poll_fn(|_| if std::mem::replace(&mut again, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// A policy that has fewer places than its plan starts attempts, and drops what it never started.
#[derive(Debug)]
struct Nonsense;

#[derive(Default)]
struct NonsensePlan {
    started: u16,
    dropped: bool,
    over: Option<Cause>,
}

impl Policy for Nonsense {
    type Plan<'p> = NonsensePlan;

    fn plan(&self, _call: Call) -> NonsensePlan {
        NonsensePlan::default()
    }

    fn waits_for_gates(&self) -> bool {
        false
    }

    fn deadline(&self) -> Option<Duration> {
        None
    }

    fn attempt_timeout(&self) -> Option<Duration> {
        None
    }
}

impl Plan for NonsensePlan {
    fn next_if_paid(&mut self, _now: impl Clock, _pay: impl FnOnce(After) -> bool) -> Step {
        match (self.over, self.dropped) {
            (Some(cause), true) => Step::Finish(fusebox::Verdict::GaveUp(cause)),
            (Some(_), false) => Step::Drop { attempt: 7 },
            (None, _) => {
                self.started += 1;
                Step::Start { attempt: self.started, deadline: None }
            }
        }
    }

    fn ended_if_paid(&mut self, attempt: u16, ended: Ended, _: impl Clock, _: impl FnOnce(After) -> bool) {
        match ended {
            Ended::Refused(rejected) => self.over = Some(Cause::Refused(rejected)),
            Ended::TimedOut => self.dropped = attempt == 7,
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn feed(&mut self, _entropy: u32) {}
}

impl Drive for Nonsense {
    type Slots<R: Runs> = Slot<R, End>;
}

#[test]
fn a_plan_that_starts_too_many_and_drops_what_is_not_there_comes_to_an_end() {
    let time = ManualTimer::default();
    let pipeline = Pipeline::new(&time, places(9), Nonsense, Entropy::new(1));
    let mut call = pin!(pipeline.call(|_| pending::<Result<(), ()>>()));
    let Poll::Ready(Err(error)) = poll(call.as_mut()) else { unreachable!("pending, or good") };
    assert!(matches!(error.cause, Cause::Refused(rejected) if rejected.reason == Reason::OthersFirst));
    assert_eq!(pipeline.gate().in_flight(), 0);
}
