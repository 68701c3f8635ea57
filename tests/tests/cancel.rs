//! Law: a call may be dropped at any poll, and may panic anywhere; everything it held goes back.
//!
//! Calls are polled by hand on a clock that is moved by hand, and dropped after every possible number of polls.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::missing_const_for_fn, reason = "a test needs no const functions")]

use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fusebox::{
    Backoff, Breaker, BreakerConfig, Cause, Consecutive, Entropy, Outcome, RetryPolicy, Shared, State, checked,
};
use fusebox_drive::{CallError, Class, NoTurns, Pipeline, Turns};
use fusebox_tokio::FairTurns;
use manual::{Counting, Event, Manual, Operation, Script, ns};

mod manual {
    //! A clock, a timer, a gate and an operation that do as they are told and write down what happens to them.

    use std::cell::{Cell, RefCell};
    use std::future::Future;
    use std::pin::Pin;
    use std::rc::Rc;
    use std::task::{Context, Poll};
    use std::time::Duration;

    use fusebox::{Clock, Gate, Instant, Outcome, Reason, Rejected};
    use fusebox_drive::Timer;
    use fusebox_drive::blocking::BlockingTimer;

    pub(super) fn ns(n: u64) -> Duration {
        Duration::from_nanos(n)
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    pub(super) enum Event {
        Granted,
        Refused,
        Started,
        Dropped,
        Told(Outcome),
        Cancelled,
    }

    /// A clock moved by hand, the same in all clones.
    #[derive(Clone, Debug, Default)]
    pub(super) struct Manual {
        pub(super) now: Rc<Cell<u64>>,
        /// Sleeps made so far.
        pub(super) sleeps: Rc<Cell<u32>>,
        /// How many sleeps will end too early.
        pub(super) early: Rc<Cell<u32>>,
        pub(super) log: Rc<RefCell<Vec<Event>>>,
    }

    impl Manual {
        pub(super) fn advance(&self, by: u64) {
            self.now.set(self.now.get() + by);
        }

        pub(super) fn note(&self, event: Event) {
            self.log.borrow_mut().push(event);
        }

        pub(super) fn count(&self, event: Event) -> usize {
            self.log.borrow().iter().filter(|e| **e == event).count()
        }

        /// All permits that were granted and are not back.
        pub(super) fn out(&self) -> usize {
            let back = |event: &&Event| matches!(event, Event::Told(_) | Event::Cancelled);
            self.count(Event::Granted) - self.log.borrow().iter().filter(back).count()
        }

        fn is_early(&self) -> bool {
            self.early.replace(self.early.get().saturating_sub(1)) > 0
        }
    }

    impl Clock for Manual {
        fn now(&self) -> Instant {
            Instant::from_nanos(self.now.get())
        }
    }

    pub(super) struct Sleep(Manual, Instant);

    impl Future for Sleep {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            if self.0.now() >= self.1 || self.0.is_early() { Poll::Ready(()) } else { Poll::Pending }
        }
    }

    impl Timer for Manual {
        type Sleep = Sleep;

        fn sleep_until(&self, deadline: Instant) -> Sleep {
            self.sleeps.set(self.sleeps.get() + 1);
            Sleep(self.clone(), deadline)
        }
    }

    impl BlockingTimer for Manual {
        fn wait(&self, duration: Duration) {
            self.sleeps.set(self.sleeps.get() + 1);
            self.advance(if self.is_early() { 1 } else { fusebox::nanos(duration) });
        }
    }

    /// A gate that writes down all it is asked and told, and refuses the first few questions for 3 ns each.
    #[derive(Debug)]
    pub(super) struct Counting {
        pub(super) time: Manual,
        pub(super) refusals: u32,
    }

    impl Gate for Counting {
        type Permit = ();

        fn try_acquire(&mut self, now: Instant) -> Result<(), Rejected> {
            if self.refusals > 0 {
                self.refusals -= 1;
                self.time.note(Event::Refused);
                return Err(Rejected { reason: Reason::RateLimited, retry_at: Some(now.after(3)) });
            }
            self.time.note(Event::Granted);
            Ok(())
        }

        fn release(&mut self, (): (), outcome: Outcome, _: Instant) {
            self.time.note(Event::Told(outcome));
        }

        fn cancel(&mut self, (): (), _: Instant) {
            self.time.note(Event::Cancelled);
        }

        fn poll_timeout(&self) -> Option<Instant> {
            None
        }

        fn handle_timeout(&mut self, _: Instant) {}
    }

    #[derive(Clone, Copy)]
    pub(super) enum Script {
        /// Pending so often, then this answer.
        Answers(u32, Result<u32, &'static str>),
        Hangs,
        /// Pending so often, then a panic.
        Panics(u32),
    }

    /// An operation that follows its script.
    pub(super) struct Operation(Manual, Script);

    impl Operation {
        pub(super) fn new(time: &Manual, script: Script) -> Self {
            time.note(Event::Started);
            Self(time.clone(), script)
        }
    }

    impl Future for Operation {
        type Output = Result<u32, &'static str>;

        fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            match &mut self.1 {
                Script::Answers(0, answer) => return Poll::Ready(*answer),
                Script::Panics(0) => std::panic::resume_unwind(Box::new("boom")),
                Script::Answers(left, _) | Script::Panics(left) => *left -= 1,
                Script::Hangs => {}
            }
            Poll::Pending
        }
    }

    impl Drop for Operation {
        fn drop(&mut self) {
            self.0.note(Event::Dropped);
        }
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

type Gated<G, W = NoTurns> = Pipeline<Manual, Shared<RefCell<G>>, W>;

fn policy() -> RetryPolicy {
    let builder = RetryPolicy::builder().attempts(3).backoff(Backoff::constant(ns(4)).unwrap());
    builder.attempt_timeout(ns(6)).deadline(ns(200)).wait_for_gates().build().unwrap()
}

fn fair<W: Turns>(refusals: u32, turns: W) -> (Manual, Gated<Counting, W>) {
    let time = Manual::default();
    let gate = Shared::new(RefCell::new(Counting { time: time.clone(), refusals }));
    (time.clone(), Pipeline::fair(time, gate, turns, policy(), Entropy::new(1)))
}

fn plain(refusals: u32) -> (Manual, Gated<Counting>) {
    fair(refusals, NoTurns)
}

/// Waits for gates, fails, waits, times out, waits, answers. Polled `polls` times, a nanosecond apart, then dropped.
fn eventful<W: Turns>(time: &Manual, pipeline: &Gated<Counting, W>, polls: usize) -> Option<Result<u32, ()>> {
    let scripts = [Script::Answers(3, Err("no")), Script::Hangs, Script::Answers(2, Ok(7))];
    let call = pipeline.call(|attempt| Operation::new(time, scripts[usize::from(attempt.number) - 1]));
    let mut call = pin!(call);
    for _ in 0..polls {
        if let Poll::Ready(answer) = poll(call.as_mut()) {
            return Some(answer.map_err(|_| ()));
        }
        time.advance(1);
    }
    None
}

fn dropped_at_every_poll<W: Turns>(turns: impl Fn() -> W) {
    let mut ignored = 0;
    for polls in 0.. {
        let (time, pipeline) = fair(2, turns());
        let answer = eventful(&time, &pipeline, polls);
        assert_eq!(time.out(), 0, "{polls} polls: {:?}", time.log);
        assert_eq!(time.count(Event::Started), time.count(Event::Dropped), "{polls} polls");
        // Nothing is held any more: the next caller needs one poll.
        let next = pipeline.call(|_| Operation::new(&time, Script::Answers(0, Ok(1))));
        pipeline.gate().with(|gate| gate.refusals = 0);
        assert_eq!(poll(pin!(next)), Poll::Ready(Ok(1)), "{polls} polls");
        ignored += time.count(Event::Told(Outcome::Ignored));
        if let Some(answer) = answer {
            assert_eq!(answer, Ok(7));
            assert_eq!(time.count(Event::Told(Outcome::Failure)), 2);
            println!("the whole call took {polls} polls; {ignored} of its cuts were within an attempt");
            assert!(polls > 20 && ignored > 8);
            return;
        }
    }
}

#[test]
fn a_call_dropped_at_any_poll_holds_nothing() {
    dropped_at_every_poll(|| NoTurns);
    dropped_at_every_poll(FairTurns::new);
}

#[test]
fn a_dropped_trial_is_free_again() {
    let mut breaker = Breaker::new(checked!(
        BreakerConfig::builder(checked!(Consecutive::new(1))).open_for(Duration::from_nanos(10)).build()
    ));
    let time = Manual::default();
    breaker.trip(fusebox::Clock::now(&time));
    time.now.set(10);
    let gate = Shared::new(RefCell::new((Counting { time: time.clone(), refusals: 0 }, breaker)));
    let pipeline = Pipeline::new(time.clone(), gate, RetryPolicy::ONCE, Entropy::new(1));
    for polls in 1..10 {
        {
            let mut call = pin!(pipeline.call(|_| Operation::new(&time, Script::Hangs)));
            for _ in 0..polls {
                assert!(poll(call.as_mut()).is_pending());
            }
            // Its place is taken; and who is refused by the breaker gives back what outer gates granted.
            let other = poll(pin!(pipeline.call(|_| Operation::new(&time, Script::Hangs))));
            assert!(matches!(other, Poll::Ready(Err(CallError { cause: Cause::Refused(_), attempts: 0, .. }))));
            assert_eq!(time.out(), 1);
        }
        assert_eq!(time.out(), 0);
        assert_eq!(pipeline.gate().with(|gate| gate.1.state()), State::HalfOpen, "neither success nor failure");
    }
    assert_eq!(poll(pin!(pipeline.call(|_| Operation::new(&time, Script::Answers(0, Ok(1)))))), Poll::Ready(Ok(1)));
    assert_eq!(pipeline.gate().with(|gate| gate.1.state()), State::Closed);
}

/// Of three in line, any may leave at any time: those behind move up, in order.
#[test]
fn the_line_moves_up_whoever_leaves() {
    for leaver in 0..3 {
        for polls in 1..8 {
            let (time, pipeline) = fair(1, FairTurns::new());
            let call = |_| Some(Box::pin(pipeline.call(|_| Operation::new(&time, Script::Answers(1, Ok(1))))));
            let (mut calls, mut done) = ([0, 1, 2].map(call), vec![]);
            for round in 0..40 {
                for (n, slot) in calls.iter_mut().enumerate() {
                    if round == polls && n == leaver {
                        *slot = None;
                    }
                    if slot.as_mut().is_some_and(|call| poll(call.as_mut()).is_ready()) {
                        *slot = None;
                        done.push(n);
                    }
                }
                time.advance(1);
            }
            let left = done.iter().filter(|n| **n != leaver).count();
            assert_eq!((left, time.out()), (2, 0), "{leaver} left after {polls} polls: {done:?}");
            assert!(done.is_sorted(), "out of order: {done:?}");
        }
    }
}

#[test]
fn the_line_is_for_the_gates_and_not_for_the_operation() {
    let (time, pipeline) = fair(0, FairTurns::new());
    let mut calls = [1, 2].map(|_| Box::pin(pipeline.call(|_| Operation::new(&time, Script::Hangs))));
    assert!(calls.iter_mut().all(|call| poll(call.as_mut()).is_pending()));
    assert_eq!((time.count(Event::Started), time.out()), (2, 2));
}

#[test]
fn a_panic_anywhere_is_a_failure() {
    let (time, pipeline) = plain(0);
    let failures = || (time.out(), time.count(Event::Told(Outcome::Failure)), time.log.borrow().len());
    for polls in 0..3 {
        let mut call = Box::pin(pipeline.call(|_| Operation::new(&time, Script::Panics(polls))));
        assert!(catch_unwind(AssertUnwindSafe(|| while poll(call.as_mut()).is_pending() {})).is_err());
    }
    assert_eq!(failures(), (0, 3, 12)); // each granted, started, dropped, told
    let in_closure = || poll(pin!(pipeline.call(|_| -> Operation { resume_unwind(Box::new("boom")) }))).is_ready();
    assert!(catch_unwind(AssertUnwindSafe(in_closure)).is_err());
    assert_eq!(failures(), (0, 4, 14));
    let judge = |_: &Result<u32, &str>| -> Class { resume_unwind(Box::new("boom")) };
    let answer = |_| Operation::new(&time, Script::Answers(0, Ok(1)));
    let in_classifier = || poll(pin!(pipeline.call_with(judge, answer))).is_ready();
    assert!(catch_unwind(AssertUnwindSafe(in_classifier)).is_err());
    assert_eq!(failures(), (0, 5, 18));
}

#[test]
fn an_attempt_that_times_out_is_dropped_first_and_then_a_failure() {
    let (time, pipeline) = plain(0);
    let mut call = pin!(pipeline.call(|_| Operation::new(&time, Script::Hangs)));
    let error = loop {
        match poll(call.as_mut()) {
            Poll::Ready(answer) => break answer.unwrap_err(),
            Poll::Pending => time.advance(1),
        }
    };
    let spent = (error.cause, error.last, error.attempts, error.timed_out, error.elapsed);
    assert_eq!(spent, (Cause::Exhausted, None, 3, 3, ns(6 + 4 + 6 + 4 + 6)));
    let attempt = [Event::Granted, Event::Started, Event::Dropped, Event::Told(Outcome::Failure)];
    assert_eq!(*time.log.borrow(), attempt.repeat(3));
}

#[test]
fn an_operation_that_is_ready_at_once_arms_no_sleep() {
    let (time, pipeline) = plain(0);
    let call = pipeline.call(|_| Operation::new(&time, Script::Answers(0, Ok(5))));
    assert_eq!(poll(pin!(call)), Poll::Ready(Ok(5)));
    assert_eq!(time.sleeps.get(), 0);
    let mut call = pin!(pipeline.call(|_| Operation::new(&time, Script::Answers(3, Ok(5)))));
    while poll(call.as_mut()).is_pending() {}
    assert_eq!(time.sleeps.get(), 1, "one sleep for one deadline, however often polled");
}

#[test]
fn a_sleep_that_wakes_early_is_armed_again() {
    let (time, pipeline) = plain(1);
    time.early.set(4);
    let mut call = pin!(pipeline.call(|_| Operation::new(&time, Script::Answers(0, Ok(5)))));
    for _ in 0..3 {
        assert!(poll(call.as_mut()).is_pending());
        time.advance(1);
    }
    assert_eq!(poll(call), Poll::Ready(Ok(5)));
    assert_eq!(time.sleeps.get(), 5);
}

#[test]
fn blocking_calls_give_back_too() {
    let (time, pipeline) = plain(2);
    time.early.set(2);
    let mut tries = 0;
    let call = || {
        pipeline.call_blocking(|attempt| -> Result<u32, &str> {
            tries += 1;
            assert_eq!((attempt.number, time.out()), (tries, 1));
            if tries == 2 { resume_unwind(Box::new("boom")) } else { Err("no") }
        })
    };
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    let (refused, told) = (Event::Refused, Event::Told(Outcome::Failure));
    assert_eq!(*time.log.borrow(), [refused, refused, Event::Granted, told, Event::Granted, told]);
    // Two waits of 3 ns for the gate and one of 4 ns, the first of which woke early twice.
    assert_eq!((time.now.get(), time.sleeps.get()), (10, 5));

    let judge = |_: &_| -> Class { resume_unwind(Box::new("boom")) };
    let call = || pipeline.call_blocking_with(judge, |_| Ok::<_, &str>(1));
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    assert_eq!((time.out(), time.count(told)), (0, 3));
    assert_eq!(pipeline.call_blocking(|_| Ok::<_, &str>(9)), Ok(9));
}
