//! Law: nobody can wedge a half-open breaker. A trial that is dropped, forgotten or never ends costs its place until it
//! is dropped or its lease is over, and nothing else; the same on bare machines, through guards, from blocking threads
//! and on every runtime.
//!
//! One set of scenarios, many ways to run a trial. Time is the kit's logical one, so every instant is exact on real
//! timers too; what users make, with the real clock, is at the end.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::integer_division, clippy::missing_const_for_fn, reason = "a test may round down, and needs no const")]

mod runtimes;
mod scenarios;
mod ways;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn, ready};
use std::mem::forget;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::time::Duration;

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use fusebox::breaker::Snapshot;
use fusebox::{
    Breaker, BreakerConfig, Cause, Clock, Consecutive, Entropy, Gate, Guard, Instant, Lock, Outcome, Quota, Reason,
    Rejected, RetryPolicy, Shared, SharedGate, State, TokenBucket,
};
use fusebox_drive::blocking::BlockingTimer;
use fusebox_drive::{CallError, Class, NoTurns, Pipeline, Timer, Turns, sleep_until};
use fusebox_kit::logical::Logical;
use fusebox_tests::ManualTimer;
use tokio::task::yield_now;

use runtimes::*;
use scenarios::*;
use ways::*;

/// What users make, with the runtime's own clock: nothing here depends on how fast the machine is.
async fn as_made<T: Timer, L: Lock<Value = Breaker<Consecutive>>, W: Turns>(
    plain: impl Fn(L::Value, RetryPolicy) -> Pipeline<T, Shared<L>>,
    fair: impl Fn(L::Value, RetryPolicy) -> Pipeline<T, Shared<L>, W>,
) {
    for forgets in [true, false] {
        recovers(plain(Gates::fresh(TTL, None), patient(MINUTE)), forgets).await;
        recovers(fair(Gates::fresh(TTL, None), patient(MINUTE)), forgets).await;
    }
}

async fn recovers<T: Timer, L: Lock<Value: Gates>, W: Turns>(pipeline: Pipeline<T, Shared<L>, W>, forgets: bool) {
    let now = || pipeline.timer().now();
    pipeline.call(|_| ready(Err::<(), _>("down"))).await.unwrap_err();
    sleep_until(pipeline.timer(), now().after(OPEN)).await;
    let mut hung = Some(Box::pin(pipeline.call(|_| pending::<Result<(), &str>>())));
    let before = now();
    assert!(once(hung.as_mut().unwrap().as_mut()).await.is_pending());
    let (earliest, latest) = (before.after(TTL), now().after(TTL));
    if forgets {
        forget(hung.take());
    }
    let asked = now();
    match pipeline.gate().try_acquire(asked) {
        Err(Rejected { reason, retry_at: Some(at) }) => {
            assert!(reason == Reason::TrialsOut && earliest <= at && at <= latest, "{earliest} {at} {latest}");
        }
        Err(never) => panic!("{never}"),
        // A slow machine: the lease is over already.
        Ok(permit) => {
            assert!(asked >= earliest, "one trial too many");
            pipeline.gate().cancel(permit, asked);
        }
    }
    pipeline.call(|_| ready(Ok::<_, &str>(()))).await.unwrap();
    assert!(now() >= earliest);
    let told = pipeline.gate().with(|gates| gates.told(now()));
    assert_eq!((told.state, told.lapsed, told.trips), (State::Closed, 1, 1));
}

/// Counts the operations that run.
#[derive(Default)]
struct Running {
    now: AtomicUsize,
    most: AtomicUsize,
    ever: AtomicUsize,
}

struct Run<'a>(&'a Running);

impl<'a> Run<'a> {
    fn start(running: &'a Running) -> Self {
        running.ever.fetch_add(1, Ordering::SeqCst);
        running.most.fetch_max(running.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Self(running)
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// 64 tasks at a half-open breaker. A macro, since only the real types of lines and locks show that their futures are
/// `Send`; what the tasks share is leaked.
macro_rules! crowd {
    ($gates:ty, $pipeline:path, forget: $forgets:literal) => {{
        let ttl = if $forgets { 10 * TTL } else { 60 * MINUTE };
        let pipeline: &'static _ = Box::leak(Box::new($pipeline(<$gates>::fresh(ttl, None), RetryPolicy::ONCE)));
        let running: &'static Running = Box::leak(Box::default());
        let now = || pipeline.timer().now();
        let told = || pipeline.gate().with(|gates: &mut $gates| gates.told(now()));
        pipeline.call(|_| ready(Err::<(), _>("down"))).await.unwrap_err();
        sleep_until(pipeline.timer(), now().after(OPEN)).await;
        // Each is let in four times, and then dropped after some polls or says nothing; or tries once and forgets it.
        let task = |task: usize| {
            tokio::spawn(async move {
                let mine = AtomicUsize::new(0);
                while mine.load(Ordering::SeqCst) < 4 {
                    let before = mine.load(Ordering::SeqCst);
                    let operation = async |_| {
                        let _run = Run::start(running);
                        mine.fetch_add(1, Ordering::SeqCst);
                        for _ in 0..task % 3 {
                            yield_now().await;
                        }
                        if $forgets { pending().await } else { Err::<(), _>(()) }
                    };
                    let mut call = Box::pin(pipeline.call_with(|_: &Result<(), ()>| Class::Ignore, operation));
                    let mut polls = task % 4;
                    while once(call.as_mut()).await.is_pending() {
                        let started = mine.load(Ordering::SeqCst) > before;
                        if started && polls == 0 {
                            break;
                        }
                        polls -= usize::from(started);
                        yield_now().await;
                    }
                    if $forgets {
                        return forget(call);
                    }
                    yield_now().await;
                }
            })
        };
        let count = |of: &AtomicUsize| of.load(Ordering::SeqCst);
        let (all, started) = (<$gates>::TRIALS, now());
        if !$forgets {
            // As many at once as there may be, so that one more would show.
            let mut held = vec![];
            for _ in 0..all {
                held.push(Box::pin(pipeline.call(async |_| {
                    let _run = Run::start(running);
                    pending::<Result<(), ()>>().await
                })));
                assert!(once(held.last_mut().unwrap().as_mut()).await.is_pending());
            }
        }
        for wave in 1..=if $forgets { 3 } else { 1 } {
            for task in (0..64).map(task).collect::<Vec<_>>() {
                tokio::time::timeout(Duration::from_secs(60), task).await.unwrap().unwrap();
            }
            assert_eq!(told().state, State::HalfOpen);
            if $forgets {
                // No more in any stretch of a lease than there are places.
                let leases = usize::try_from(now().nanos_since(started) / ttl).unwrap();
                let ever = count(&running.ever);
                assert!((wave * all..=(leases + 1) * all).contains(&ever), "wave {wave}: {ever}");
                sleep_until(pipeline.timer(), now().after(ttl)).await;
            } else {
                assert_eq!((count(&running.now), count(&running.most)), (0, all));
                assert_eq!((count(&running.ever), told().lapsed), (256 + all, 0));
            }
        }
        for _ in 0..<$gates>::TO_CLOSE {
            pipeline.call(|_| ready(Ok::<_, ()>(()))).await.unwrap();
        }
        let lapsed = if $forgets { count(&running.ever) } else { 0 };
        assert_eq!((told().state, told().lapsed as usize), (State::Closed, lapsed));
    }};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_gets_no_trial_too_many() {
    crowd!(Breaker<Consecutive>, fusebox_tokio::pipeline, forget: false);
    crowd!(Breaker<Consecutive>, fusebox_tokio::fair_pipeline, forget: true);
    crowd!(Breaker<Consecutive, 2>, fusebox_tokio::pipeline, forget: true);
    crowd!(Breaker<Consecutive, 2>, fusebox_tokio::fair_pipeline, forget: false);
    crowd!(Breaker<Consecutive, 3>, fusebox_tokio::pipeline, forget: true);
    crowd!(Breaker<Consecutive, 3>, fusebox_tokio::fair_pipeline, forget: false);
    crowd!((Breaker<Consecutive, 3>, TokenBucket), fusebox_tokio::pipeline, forget: false);
    crowd!((Breaker<Consecutive, 3>, TokenBucket), fusebox_tokio::fair_pipeline, forget: true);
}

fn by_hand<W: Way>(new: impl Fn(Option<u64>) -> W) {
    fusebox_tests::block_on(suite(new), || None).unwrap();
}

fn threads<G: Gates>(limit: Option<u64>, retry: RetryPolicy) -> Threads<G> {
    let gates = Shared::new(Mutex::new(G::fresh(TTL, limit)));
    Threads(Arc::new(Pipeline::new(Hand::default(), gates, retry, Entropy::new(1))))
}

fn without_a_runtime<G: Gates>() {
    let shared = |limit| Shared::new(RefCell::new(G::fresh(TTL, limit)));
    by_hand(|limit| Raw::<G, false>(Hand::default(), shared(limit)));
    by_hand(|limit| Raw::<G, true>(Hand::default(), shared(limit)));
    by_hand(|limit| Guards(Hand::default(), shared(limit)));
    by_hand(|limit| threads::<G>(limit, RetryPolicy::ONCE));
}

#[test]
fn machines_guards_and_threads() {
    without_a_runtime::<Breaker<Consecutive>>();
    without_a_runtime::<Breaker<Consecutive, 2>>();
    without_a_runtime::<Breaker<Consecutive, 3>>();
    without_a_runtime::<(Breaker<Consecutive>, TokenBucket)>();
    without_a_runtime::<(Breaker<Consecutive, 3>, TokenBucket)>();
}

#[test]
fn driver_in_manual_time() {
    run(&ManualTimer::default(), true);
}

#[test]
fn tokio_paused() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    run(&runtime, true);
    runtime.block_on(as_made(fusebox_tokio::pipeline, fusebox_tokio::fair_pipeline));
}

#[test]
fn tokio_real() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().unwrap();
    run(&runtime, false);
    runtime.block_on(as_made(fusebox_tokio::pipeline, fusebox_tokio::fair_pipeline));
}

#[test]
fn async_std() {
    run(&AsyncIo::<true>, false);
    async_std::task::block_on(as_made(fusebox_async_std::pipeline, fusebox_async_std::fair_pipeline));
}

#[test]
fn smol() {
    run(&AsyncIo::<false>, false);
    smol::block_on(as_made(fusebox_async_std::pipeline, fusebox_async_std::fair_pipeline));
}

#[test]
fn embassy() {
    run(&Embassy, true);
    Embassy.block_on(as_made(
        |gate, retry| fusebox_embassy::pipeline::<CriticalSectionRawMutex, _, _>(gate, retry, Entropy::new(1)),
        |gate, retry| fusebox_embassy::fair_pipeline::<CriticalSectionRawMutex, _, _, 8>(gate, retry, Entropy::new(1)),
    ));
}

/// A trial that the breaker grants and the bucket refuses never was.
#[test]
fn a_trial_refused_further_in_takes_no_place() {
    let time = Hand::default();
    let bucket = TokenBucket::new(Quota::per_second(1).unwrap());
    let way = Raw::<_, false>(time, Shared::new(RefCell::new((Breaker::<Consecutive, 3>::fresh(TTL, None), bucket))));
    let scenario = async {
        trip(&way).await; // takes the only token
        way.until(way.now().after(OPEN)).await;
        for _ in 0..9 {
            refused(&way, Reason::RateLimited, Instant::from_secs(1)).await;
        }
        way.until(Instant::from_secs(1)).await;
        way.end(way.begin().await.ok().unwrap(), true).await;
        refused_until(&way, Reason::RateLimited, Instant::from_secs(2)).await;
        way.end(way.begin().await.ok().unwrap(), true).await;
        assert_eq!((way.told().state, way.told().lapsed), (State::Closed, 0));
    };
    fusebox_tests::block_on(scenario, || None).unwrap();
}

/// A thread that waits behind a hung one is let in when the lease is over, and not before.
#[test]
fn a_thread_waits_for_the_end_of_the_lease() {
    let way = threads::<Breaker<Consecutive>>(None, patient(2 * TTL));
    let scenario = async {
        trip(&way).await;
        way.until(way.now().after(OPEN)).await;
        let (hung, end) = (way.begin().await.ok().unwrap(), way.now().after(TTL));
        assert_eq!(way.0.call_blocking(|_| Ok::<_, ()>(way.now())), Ok(end));
        way.end(hung, false).await;
        assert_eq!((way.told().state, way.told().lapsed), (State::Closed, 1));
    };
    fusebox_tests::block_on(scenario, || None).unwrap();
}
