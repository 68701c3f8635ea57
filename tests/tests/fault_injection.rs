//! Law: faults come as often as ordered, by chance and yet the same each time; and what is wrapped in them ends as told.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test may panic")]
#![allow(clippy::integer_division, clippy::missing_const_for_fn, clippy::cast_possible_truncation)]

use std::cell::{Cell, RefCell};
use std::future::{Future, ready};
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use fusebox::fault::{End, FaultBuilder, FaultConfig, FaultSnapshot, Faults, Outage};
use fusebox::{Clock, Instant};
use fusebox_drive::blocking::BlockingTimer;
use fusebox_drive::{Faulty, sleep_until, timeout_at};
use fusebox_tests::ManualTimer;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// Pearson's sum over how far counts are from what is expected.
fn chi_square(counts: &[u32], expected: &[f64]) -> f64 {
    counts.iter().zip(expected).map(|(n, expected)| (f64::from(*n) - expected).powi(2) / expected).sum()
}

/// 99.99 % of right generators stay below, for so many classes less one; over all seeds a few are beyond.
const LIMITS: [(usize, f64); 3] = [(2, 18.4), (1, 15.2), (15, 44.3)];

fn limit(freedom: usize) -> f64 {
    LIMITS.iter().find(|(of, _)| *of == freedom).unwrap().1
}

#[test]
fn ends_and_times_are_as_often_as_ordered() {
    const CALLS: u32 = 20_000;
    let config = FaultConfig::builder().errors(300).hangs(50).jitter(ms(16)).slow(125, ms(1_000)).build().unwrap();
    let mut beyond = 0;
    for seed in 0..200 {
        let (mut ends, mut slow, mut late) = ([0; 3], [0; 2], [0; 16]);
        for call in 0..CALLS {
            let fault = config.fault(seed, call, Instant::EPOCH);
            ends[fault.end as usize] += 1;
            if fault.end == End::Hang {
                assert_eq!(fault.at, Instant::MAX);
                continue;
            }
            let nanos = fault.at.as_nanos();
            slow[usize::from(nanos >= 1_000_000_000)] += 1;
            late[(nanos % 1_000_000_000 / 1_000_000) as usize] += 1;
        }
        let (all, ended) = (f64::from(CALLS), f64::from(ends[0] + ends[1]));
        let too_far = [
            chi_square(&ends, &[all * 0.65, all * 0.3, all * 0.05]) > limit(2),
            chi_square(&slow, &[ended * 0.875, ended * 0.125]) > limit(1),
            chi_square(&late, &[ended / 16.0; 16]) > limit(15),
        ];
        beyond += too_far.iter().filter(|far| **far).count();
    }
    assert!(beyond <= 2, "{beyond} of 600 are beyond what chance does once in 10000");
}

/// Whether a call fails says nothing about the next one, nor about how long it takes.
#[test]
fn faults_are_independent() {
    const CALLS: u32 = 100_000;
    let config = FaultConfig::builder().errors(500).slow(500, ms(10)).build().unwrap();
    for seed in 0..20 {
        let call = |n| {
            let fault = config.fault(seed, n, Instant::EPOCH);
            (usize::from(fault.end == End::Error), usize::from(fault.at > Instant::EPOCH))
        };
        let (mut next, mut slow) = ([0; 4], [0; 4]);
        for n in 0..CALLS {
            let ((fails, is_slow), (fails_next, _)) = (call(n), call(n + 1));
            next[fails * 2 + fails_next] += 1;
            slow[fails * 2 + is_slow] += 1;
        }
        for counts in [next, slow] {
            // Three degrees of freedom: 25.9 is beyond one in 100000.
            assert!(chi_square(&counts, &[f64::from(CALLS) / 4.0; 4]) < 25.9, "seed {seed}: {counts:?}");
        }
    }
}

type Wrapped<'t, const OUTAGES: usize> = Faulty<&'t ManualTimer, RefCell<Faults<OUTAGES>>>;

fn wrapped<const N: usize>(timer: &ManualTimer, builder: FaultBuilder<N>) -> Wrapped<'_, N> {
    Faulty::new(timer, RefCell::new(Faults::new(builder.build().unwrap(), 1)))
}

#[test]
fn an_operation_is_delayed_refused_or_never_run() {
    let timer = ManualTimer::default();
    let outages = [Outage::error(ms(100), ms(100)), Outage::hang(ms(200), ms(100))];
    let faulty = wrapped(&timer, FaultConfig::builder().latency(ms(7)).outages(outages));
    let ran = Cell::new(0);
    let call = || {
        let operation = async {
            ran.set(ran.get() + 1);
            sleep_until(&&timer, timer.now().saturating_add(ms(5))).await;
            Ok(3)
        };
        faulty.call(operation, || "injected")
    };
    assert_eq!(timer.block_on(call()), Some(Ok(3)));
    assert_eq!((ran.get(), timer.now()), (1, at(12)), "its own time comes on top");
    timer.block_on(sleep_until(&&timer, at(100))).unwrap();
    assert_eq!(timer.block_on(call()), Some(Err("injected")));
    assert_eq!((ran.get(), timer.now()), (1, at(107)));
    timer.block_on(sleep_until(&&timer, at(200))).unwrap();
    assert_eq!(timer.block_on(timeout_at(&&timer, at(250), call())), Some(None));
    assert_eq!(ran.get(), 1);
    assert_eq!(faulty.faults().with(|faults| faults.snapshot()), FaultSnapshot { answered: 1, failed: 1, hung: 1 });
    // A failing operation fails as it does.
    timer.block_on(sleep_until(&&timer, at(300))).unwrap();
    let own = faulty.call(ready(Err::<(), _>("own")), || "injected");
    assert_eq!(timer.block_on(own), Some(Err("own")));
}

#[test]
fn a_call_counts_from_its_first_poll_and_may_be_dropped() {
    let timer = ManualTimer::default();
    let faulty = wrapped(&timer, FaultConfig::builder().latency(ms(7)));
    let total = || faulty.faults().with(|faults| faults.snapshot().answered);
    {
        let mut call = pin!(faulty.call(ready(Ok::<_, ()>(())), || ()));
        assert_eq!(total(), 0);
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(total(), 1);
    }
    assert_eq!(timer.block_on(faulty.call(ready(Ok::<_, ()>(())), || ())), Some(Ok(())));
    assert_eq!(total(), 2);
}

#[test]
fn on_tokio() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let run = |seed| {
        runtime.block_on(async {
            let config = FaultConfig::builder().errors(400).latency(ms(1)).jitter(ms(20)).build().unwrap();
            let timer = fusebox_tokio::TokioTimer::new();
            let faulty = Faulty::new(timer, std::sync::Mutex::new(Faults::new(config, seed)));
            let mut log = vec![];
            for _ in 0..50 {
                let answer = faulty.call(ready(Ok(())), || "injected").await;
                log.push((answer, timer.now().as_nanos() / 1_000_000));
            }
            log
        })
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
    assert_eq!(run(5).len(), 50);
}

struct Hand(Cell<u64>);

impl Clock for Hand {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.get())
    }
}

impl BlockingTimer for Hand {
    /// Ends early.
    fn wait(&self, duration: Duration) {
        self.0.set(self.0.get() + u64::try_from(duration.as_nanos()).unwrap().div_ceil(2));
    }
}

#[test]
fn blocking_ends_at_the_deadline_at_the_latest() {
    let hand = Hand(Cell::new(0));
    let outages = [Outage::error(ms(100), ms(100)), Outage::hang(ms(200), ms(100))];
    let config = FaultConfig::builder().latency(ms(10)).outages(outages).build().unwrap();
    let faulty = Faulty::new(&hand, RefCell::new(Faults::new(config, 1)));
    let call = |begins: u64, deadline: u64| {
        hand.0.set(begins * 1_000_000);
        let answer = faulty.call_blocking(at(deadline), || Ok(3), || "injected");
        (answer, hand.now().as_nanos() / 1_000_000)
    };
    assert_eq!(call(0, 50), (Ok(3), 10));
    assert_eq!(call(0, 10), (Ok(3), 10), "just in time");
    assert_eq!(call(0, 9), (Err("injected"), 9));
    assert_eq!(call(100, 150), (Err("injected"), 110));
    assert_eq!(call(200, 250), (Err("injected"), 250));
    assert_eq!(call(50, 10), (Err("injected"), 50), "it is over already");
}
