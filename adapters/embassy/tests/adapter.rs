//! The adapter under embassy-time's mock driver: time moves only when a test says so.
#![allow(clippy::panic, clippy::expect_used, reason = "a test fails by panicking")]

use std::future::{Future, pending, ready};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use embassy_sync::blocking_mutex::raw::{CriticalSectionRawMutex, NoopRawMutex};
use embassy_time::MockDriver;
use fusebox_embassy::fusebox::{
    Backoff, Cause, Clock, Entropy, Instant, Lock, Quota, Reason, RetryPolicy, TokenBucket, checked,
};
use fusebox_embassy::{
    EmbassyLock, EmbassyTimer, FairTurns, Pipeline, Timer, Turns, fair_pipeline, pipeline, timeout_at,
};

/// The driver is one for the whole process, so tests take turns.
fn clock() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    MockDriver::get().reset();
    guard
}

fn advance(millis: u64) {
    MockDriver::get().advance(embassy_time::Duration::from_millis(millis));
}

#[derive(Default)]
struct Wakes(AtomicU32);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A task by hand: polls, and counts how often it was woken.
#[derive(Default)]
struct Task(Arc<Wakes>);

impl Task {
    fn poll<F: Future>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.0));
        future.poll(&mut Context::from_waker(&waker))
    }

    fn wakes(&self) -> u32 {
        self.0.0.load(Ordering::Relaxed)
    }
}

/// Polls until `future` is ready, a millisecond at a time.
fn run<F: Future>(future: F) -> F::Output {
    let (mut future, task) = (pin!(future), Task::default());
    loop {
        if let Poll::Ready(answer) = task.poll(future.as_mut()) {
            return answer;
        }
        advance(1);
    }
}

#[test]
fn the_clock_counts_nanoseconds_from_the_epoch() {
    let _clock = clock();
    assert_eq!(EmbassyTimer::new().now(), Instant::EPOCH);
    advance(1_234);
    assert_eq!(EmbassyTimer::new().now(), Instant::from_millis(1_234));
}

#[test]
fn a_sleep_wakes_its_task_at_its_tick_and_not_before() {
    let _clock = clock();
    let (mut sleep, task) = (pin!(EmbassyTimer.sleep_until(Instant::from_millis(20))), Task::default());
    assert!(task.poll(sleep.as_mut()).is_pending());
    advance(19);
    assert_eq!(task.wakes(), 0);
    advance(1);
    assert_eq!(task.wakes(), 1);
    assert!(task.poll(sleep).is_ready());
}

#[test]
fn a_timeout_drops_what_takes_too_long() {
    let _clock = clock();
    let at = Instant::from_millis(30);
    assert_eq!(run(timeout_at(&EmbassyTimer, at, pending::<()>())), None);
    assert_eq!(EmbassyTimer.now(), at);
    assert_eq!(run(timeout_at(&EmbassyTimer, at, ready(7))), Some(7));
}

#[test]
fn a_lock_gives_access() {
    let lock = EmbassyLock::<NoopRawMutex, _>::new(1);
    lock.with(|value| *value += 1);
    assert_eq!(lock.with(|value| *value), 2);
}

static RETRIED: Pipeline<CriticalSectionRawMutex, TokenBucket> = pipeline(
    TokenBucket::new(checked!(Quota::per_second(100))),
    checked!(
        RetryPolicy::builder()
            .attempts(3)
            .backoff(checked!(Backoff::constant(Duration::from_millis(50))))
            .attempt_timeout(Duration::from_millis(100))
            .build()
    ),
    Entropy::new(1),
);

#[test]
fn a_static_pipeline_times_out_waits_and_retries() {
    let _clock = clock();
    let answer = run(RETRIED.call(|attempt| async move {
        match attempt.number {
            1 => pending().await,
            2 => Err("bus fault"),
            _ => Ok(attempt.number),
        }
    }));
    assert_eq!(answer, Ok(3));
    // 100 ms until the first attempt's timeout, and two delays of 50 ms.
    assert_eq!(EmbassyTimer.now(), Instant::from_millis(200));
}

type Line<const N: usize> = FairTurns<CriticalSectionRawMutex, N>;

#[test]
fn turns_go_round_in_the_order_of_asking() {
    let line = Line::<3>::new();
    let (mut first, mut second, mut third) = (pin!(line.turn()), pin!(line.turn()), pin!(line.turn()));
    let (a, b, c) = (Task::default(), Task::default(), Task::default());
    let Poll::Ready(Ok(turn)) = a.poll(first.as_mut()) else { panic!("the line is free") };
    assert!(b.poll(second.as_mut()).is_pending());
    assert!(c.poll(third.as_mut()).is_pending());

    drop(turn);
    assert_eq!((b.wakes(), c.wakes()), (1, 0));
    // Neither the last in line nor a newcomer gets past the one that was woken.
    assert!(c.poll(third.as_mut()).is_pending());
    assert!(Task::default().poll(pin!(line.turn())).is_pending());
    let Poll::Ready(Ok(turn)) = b.poll(second) else { panic!("it is its turn") };
    drop(turn);
    assert_eq!(c.wakes(), 1);
    assert!(c.poll(third).is_ready());
}

#[test]
fn a_full_line_refuses_and_a_free_place_is_taken_again() {
    let line = Line::<1>::new();
    let task = Task::default();
    let Poll::Ready(Ok(_turn)) = task.poll(pin!(line.turn())) else { panic!("the line is free") };
    let mut waiting = Box::pin(line.turn());
    assert!(task.poll(waiting.as_mut()).is_pending());
    let Poll::Ready(Err(refused)) = task.poll(pin!(line.turn())) else { panic!("no place is left") };
    assert_eq!((refused.reason, refused.retry_at), (Reason::QueueFull, None));
    drop(waiting);
    assert!(task.poll(pin!(line.turn())).is_pending());
}

#[test]
fn whoever_leaves_the_line_hands_on_the_turn() {
    let line = Line::<3>::new();
    let (a, b, c, d) = (Task::default(), Task::default(), Task::default(), Task::default());
    let Poll::Ready(Ok(turn)) = a.poll(pin!(line.turn())) else { panic!("the line is free") };
    let (mut second, mut third, mut fourth) = (Box::pin(line.turn()), Box::pin(line.turn()), Box::pin(line.turn()));
    assert!(b.poll(second.as_mut()).is_pending());
    assert!(c.poll(third.as_mut()).is_pending());
    assert!(d.poll(fourth.as_mut()).is_pending());
    drop(third);
    assert_eq!(d.wakes(), 0, "the turn is still out");
    drop(turn);
    assert_eq!(b.wakes(), 1);
    drop(second); // woken, but gone before it could take its turn
    assert_eq!(d.wakes(), 1);
    assert!(d.poll(fourth.as_mut()).is_ready());
}

#[test]
fn a_moved_task_is_woken_where_it_polled_last() {
    let line = Line::<1>::new();
    let (before, after) = (Task::default(), Task::default());
    let Poll::Ready(Ok(turn)) = before.poll(pin!(line.turn())) else { panic!("the line is free") };
    let mut waiting = pin!(line.turn());
    assert!(before.poll(waiting.as_mut()).is_pending());
    assert!(after.poll(waiting.as_mut()).is_pending());
    drop(turn);
    assert_eq!((before.wakes(), after.wakes()), (0, 1));
}

static QUEUED: Pipeline<CriticalSectionRawMutex, TokenBucket, Line<1>> = fair_pipeline(
    TokenBucket::new(checked!(Quota::new(1, Duration::from_millis(10)))),
    checked!(RetryPolicy::builder().attempts(1).deadline(Duration::from_millis(100)).wait_for_gates().build()),
    Entropy::new(1),
);

#[test]
fn a_fair_pipeline_serves_in_order_and_refuses_when_full() {
    let _clock = clock();
    let call = || QUEUED.call(|_| ready(Ok::<_, ()>(EmbassyTimer.now())));
    assert_eq!(run(call()), Ok(Instant::EPOCH));
    let (mut first, mut second) = (pin!(call()), pin!(call()));
    let (a, b) = (Task::default(), Task::default());
    assert!(a.poll(first.as_mut()).is_pending()); // has the turn, waits for a token
    assert!(b.poll(second.as_mut()).is_pending()); // stands behind
    let refused = run(call()).expect_err("no place is left");
    assert!(matches!(refused.cause, Cause::Refused(rejected) if rejected.reason == Reason::QueueFull));
    advance(10);
    assert_eq!((a.wakes(), b.wakes()), (1, 0));
    assert_eq!(a.poll(first), Poll::Ready(Ok(Instant::from_millis(10))));
    assert_eq!(b.wakes(), 1);
    assert_eq!(run(second), Ok(Instant::from_millis(20)));
}
