//! Law: tasks are watched, probes keep their beat and their timeout, and changes are heard of, on every runtime; and
//! whoever is dropped, wherever, holds nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a test may panic")]
#![allow(clippy::missing_const_for_fn, reason = "a test needs no const")]

mod listener;
mod runtimes;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use Status::{Degraded, Healthy, Unhealthy, Unknown};
use fusebox::health::{Basis, Component, ComponentBuilder, Health, HealthChange, ProbeConfig, Reading, Status};
use fusebox::{Breaker, BreakerConfig, Clock, Consecutive, Gate, Instant, Outcome, Shared, SharedGate, State, checked};
use fusebox_drive::{Bell, Monitor, Timer};
use fusebox_tests::block_on;
use fusebox_tokio::{HealthMonitor, monitor};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// Every 100 ms, 30 ms at most, the first one at once.
const PROBES: ProbeConfig = checked!(
    ProbeConfig::builder()
        .stagger(Duration::ZERO)
        .period(Duration::from_millis(100))
        .timeout(Duration::from_millis(30))
        .build()
);

fn database() -> Component {
    Component::critical("database").failures(2).successes(1).probed(&PROBES).build().unwrap()
}

fn task(silence: u64) -> Component {
    Component::task("task", ms(silence)).build().unwrap()
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Runs until virtual time is `millis`.
fn paused<F: Future>(millis: u64, future: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async { drop(tokio::time::timeout(ms(millis), future).await) });
}

fn millis(at: Instant) -> u128 {
    at.saturating_since(Instant::EPOCH).as_millis()
}

fn told(change: HealthChange) -> (Status, Status, u128) {
    (change.from.status, change.to.status, millis(change.at))
}

/// Polls all of them until the first one ends.
async fn race<const K: usize>(mut futures: [Pin<Box<dyn Future<Output = ()> + '_>>; K]) {
    poll_fn(|cx| {
        let ends = futures.iter_mut().any(|future| future.as_mut().poll(cx).is_ready());
        if ends { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[test]
fn probes_keep_their_beat_and_their_timeout() {
    let health: HealthMonitor<1> = monitor([database()]);
    let log = RefCell::new(Vec::new());
    paused(1_050, async {
        let health: HealthMonitor<1> = monitor([database()]);
        let number = Cell::new(0);
        let probe = || {
            let n = number.replace(number.get() + 1);
            let line = health.with(|health, now| (now, health.component(0, now).unwrap().status));
            log.borrow_mut().push((millis(line.0), line.1));
            async move {
                match n {
                    1 => pending().await, // late
                    2 => {
                        tokio::time::sleep(ms(29)).await;
                        Reading::Healthy
                    }
                    3 | 4 => {
                        tokio::time::sleep(ms(31)).await; // late
                        Reading::Healthy
                    }
                    5 => Reading::Degraded,
                    6 => Reading::Unhealthy,
                    _ => Reading::Healthy,
                }
            }
        };
        health.probe(0, PROBES, 0, probe).await;
    });
    let seen = log.into_inner();
    let times: Vec<_> = seen.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, (0..=10).map(|n| n * 100).collect::<Vec<_>>());
    let before: Vec<_> = seen.iter().map(|(_, status)| *status).collect();
    assert_eq!(before[..6], [Unknown, Healthy, Healthy, Healthy, Healthy, Unhealthy]);
    assert_eq!(before[6..], [Degraded, Degraded, Healthy, Healthy, Healthy]);
    // There is no such component.
    assert_eq!(poll(pin!(health.probe(1, PROBES, 0, || ready(true)))), Poll::Ready(()));
    assert_eq!(poll(pin!(health.heartbeat(1, ms(1)))), Poll::Ready(()));
}

#[test]
fn a_fleet_does_not_probe_together() {
    let spread = checked!(ProbeConfig::builder().initial_delay(Duration::from_secs(1)).build());
    let mut first: Vec<u128> = (0..50)
        .map(|_| {
            let at = Cell::new(0);
            paused(20_000, async {
                let health: HealthMonitor<1> = monitor([database()]);
                let seed = fusebox_tokio::entropy().draw();
                let probe = || {
                    at.set(millis(health.timer().now()));
                    pending::<bool>()
                };
                drop(tokio::time::timeout(ms(11_002), health.probe(0, spread, seed, probe)).await);
            });
            at.get()
        })
        .collect();
    first.sort_unstable();
    println!("{first:?}");
    assert!(first[0] >= 1_000 && first[49] <= 11_001, "after the delay, within the first period");
    assert!(first[0] < 3_500 && first[49] > 8_500 && first.windows(15).all(|some| some[14] - some[0] > 100));
}

/// Heartbeats stop with their task, a probe fails, all is told of at the time it happens, and the watchdog starves.
#[test]
fn changes_are_heard_of_when_they_happen() {
    let (log, feeds) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    paused(990, async {
        let health: HealthMonitor<2> = monitor([database(), task(50)]);
        let works = |now: Instant| !(at(250)..at(550)).contains(&now);
        let listen = async {
            loop {
                let change = health.changed().await;
                assert_eq!(change.at, health.timer().now());
                log.borrow_mut().push(told(change));
            }
        };
        let beat = async {
            // The last one is at 680 ms.
            drop(tokio::time::timeout(ms(690), health.heartbeat(1, ms(20))).await);
            pending::<()>().await;
        };
        let feed = |may: Result<(), fusebox::health::Held<'static>>| {
            feeds.borrow_mut().push((millis(health.timer().now()), may.map_err(|held| held.component)));
        };
        race([
            Box::pin(listen),
            Box::pin(health.probe(0, PROBES, 0, || ready(works(health.timer().now())))),
            Box::pin(beat),
            Box::pin(health.guard_watchdog(ms(40), feed)),
        ])
        .await;
    });
    let expected =
        [(Unknown, Healthy, 0), (Healthy, Unhealthy, 400), (Unhealthy, Healthy, 600), (Healthy, Unhealthy, 730)];
    assert_eq!(*log.borrow(), expected);
    let feeds = feeds.into_inner();
    assert!(feeds.iter().all(|(at, may)| *may == if *at < 730 { Ok(()) } else { Err(1) }), "{feeds:?}");
    let times: Vec<_> = feeds.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, (0..25).map(|n| n * 40).collect::<Vec<_>>());
}

/// Dropped at every await: what comes after sees nothing of it but the silence.
#[test]
fn dropped_anywhere_holds_nothing() {
    for cut in 0..12 {
        paused(5_000, async {
            let out = Cell::new(0);
            let health: HealthMonitor<2> = monitor([database(), task(40)]);
            let probe = || {
                struct Out<'a>(&'a Cell<i32>);
                impl Drop for Out<'_> {
                    fn drop(&mut self) {
                        self.0.set(self.0.get() - 1);
                    }
                }
                out.set(out.get() + 1);
                let here = Out(&out);
                async move {
                    tokio::time::sleep(ms(10)).await;
                    drop(here);
                    true
                }
            };
            {
                let mut probing = pin!(health.probe(0, PROBES, 0, probe));
                let mut beating = pin!(health.heartbeat(1, ms(20)));
                let mut listening = pin!(health.changed());
                for _ in 0..cut {
                    let _ = (poll(probing.as_mut()), poll(beating.as_mut()));
                    if poll(listening.as_mut()).is_ready() {
                        listening.set(health.changed());
                    }
                    tokio::time::sleep(ms(10)).await;
                }
            }
            assert_eq!(out.get(), 0);
            tokio::time::sleep(ms(500)).await;
            health.with(Health::handle_timeout);
            let lines: Vec<_> = health.with(|health, now| health.components(now).collect());
            assert!(
                lines.iter().skip(1).all(|line| line.basis == if cut == 0 { Basis::Starting } else { Basis::Silent })
            );
            // And all goes on.
            let again = race([
                Box::pin(health.probe(0, PROBES, 0, || ready(true))),
                Box::pin(health.heartbeat(1, ms(20))),
                Box::pin(tokio::time::sleep(ms(5))),
            ]);
            again.await;
            assert_eq!(health.snapshot().status, Status::Healthy);
        });
    }
}

#[test]
fn an_open_breaker_degrades_and_no_more() {
    paused(10_000, async {
        let config = BreakerConfig::builder(Consecutive::new(1).unwrap()).open_for(ms(300)).build().unwrap();
        let breaker = Shared::new(std::sync::Mutex::new(Breaker::new(config)));
        let component: ComponentBuilder = Component::critical("payments").failures(1).successes(1).probed(&PROBES);
        let health: HealthMonitor<1> = monitor([component.build().unwrap()]);
        let now = || health.timer().now();
        let read = || {
            breaker.with(|breaker| breaker.handle_timeout(now()));
            ready(Reading::from(&breaker.with(|breaker| breaker.snapshot(now()))))
        };
        let life = async {
            tokio::time::sleep(ms(50)).await;
            let permit = breaker.try_acquire(now()).unwrap();
            breaker.release(permit, Outcome::Failure, now());
            tokio::time::sleep(ms(100)).await;
            assert_eq!((health.snapshot().status, health.snapshot().is_ready()), (Status::Degraded, true));
            tokio::time::sleep(ms(300)).await;
            assert_eq!(
                (breaker.with(|breaker| breaker.state()), health.snapshot().status),
                (State::HalfOpen, Status::Degraded)
            );
            let trial = breaker.try_acquire(now()).unwrap();
            breaker.release(trial, Outcome::Success, now());
            tokio::time::sleep(ms(100)).await;
            assert_eq!(health.snapshot().status, Status::Healthy);
        };
        race([Box::pin(health.probe(0, PROBES, 0, read)), Box::pin(life)]).await;
    });
}

/// A clock that is set by hand, with sleeps that end when tokio's do.
#[derive(Clone)]
struct Stepping(Arc<std::sync::atomic::AtomicI64>, fusebox_tokio::TokioTimer);

impl Clock for Stepping {
    fn now(&self) -> Instant {
        let nanos = i64::try_from(self.1.now().as_nanos()).unwrap() + self.0.load(Ordering::SeqCst);
        Instant::from_nanos(u64::try_from(nanos).unwrap())
    }
}

impl Timer for Stepping {
    type Sleep = tokio::time::Sleep;

    fn sleep_until(&self, deadline: Instant) -> tokio::time::Sleep {
        tokio::time::sleep(deadline.saturating_since(self.now()))
    }
}

/// The clock steps back by an hour while a probe hangs, and again while it waits for the next one: neither takes longer
/// than its own interval more.
#[test]
fn a_clock_that_steps_back_delays_no_probe_for_long() {
    let starts = RefCell::new(Vec::new());
    paused(1_000, async {
        let hour = 3_600_000_000_000;
        let (step, tokio_timer) =
            (Arc::new(std::sync::atomic::AtomicI64::new(2 * hour)), fusebox_tokio::TokioTimer::new());
        let timer = Stepping(Arc::clone(&step), tokio_timer);
        let lock = std::sync::Mutex::new(Health::new([database()]));
        let health = Monitor::new(timer, lock, fusebox_tokio::NotifyBell::default());
        let probe = || {
            starts.borrow_mut().push(millis(tokio_timer.now()));
            pending::<bool>()
        };
        let steps = async {
            tokio::time::sleep(ms(10)).await;
            step.fetch_sub(hour, Ordering::SeqCst);
            tokio::time::sleep(ms(150)).await;
            step.fetch_sub(hour, Ordering::SeqCst);
            pending::<()>().await;
        };
        race([Box::pin(health.probe(0, PROBES, 0, probe)), Box::pin(steps)]).await;
    });
    let starts = starts.into_inner();
    println!("{starts:?}");
    assert!(starts.windows(2).all(|two| (60..=230).contains(&(two[1] - two[0]))), "{starts:?}");
    assert!(starts.len() >= 7);
}

/// An interval of nothing at all is taken for the shortest: other tasks run in between.
#[test]
fn no_interval_is_too_short() {
    let feeds = Cell::new(0);
    paused(9, async {
        let health: HealthMonitor<1> = monitor([task(100)]);
        let feed = |_| {
            feeds.set(feeds.get() + 1);
            assert!(feeds.get() < 100, "it does nothing else");
        };
        health.guard_watchdog(Duration::ZERO, feed).await;
    });
    assert_eq!(feeds.get(), 10);
}
