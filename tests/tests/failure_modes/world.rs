//! Virtual time, callers at a steady rate, and what they call.

use std::cell::RefCell;
use std::future::Future;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use fusebox::entropy::nth;
use fusebox::{Clock, FaultConfig, Faults, Instant};
use fusebox_tokio::{Faulty, TokioTimer, sleep_until};
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinSet, LocalSet, spawn_local};

pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Runs `world` in virtual time.
pub(crate) fn virtually<F: Future>(world: F) -> F::Output {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, world)
}

/// Milliseconds since the beginning.
pub(crate) fn millis(clock: &impl Clock) -> u64 {
    clock.now().as_nanos() / 1_000_000
}

/// The callee failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// When something happened, in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Times(RefCell<Vec<u64>>);

impl Times {
    pub(crate) fn note(&self, clock: &impl Clock) {
        self.0.borrow_mut().push(millis(clock));
    }

    pub(crate) fn count(&self, within: Range<u64>) -> f64 {
        self.0.borrow().iter().filter(|at| within.contains(at)).count() as f64
    }

    /// The most in a tenth of a second.
    pub(crate) fn busiest_tenth(&self, within: Range<u64>) -> f64 {
        within.step_by(100).map(|from| self.count(from..from + 100)).fold(0.0, f64::max)
    }
}

/// A callee with faults to order.
pub(crate) struct Callee<const N: usize = 0> {
    timer: TokioTimer,
    faulty: Faulty<TokioTimer, RefCell<Faults<N>>>,
    pub(crate) attempts: Times,
}

impl<const N: usize> Callee<N> {
    pub(crate) fn new(timer: TokioTimer, faults: FaultConfig<N>, seed: u32) -> Rc<Self> {
        let faults = RefCell::new(Faults::new(faults, seed));
        Rc::new(Self { timer, faulty: Faulty::new(timer, faults), attempts: Times::default() })
    }

    pub(crate) async fn call(&self) -> Result<(), Broken> {
        self.answer(()).await
    }

    pub(crate) async fn answer<V>(&self, value: V) -> Result<V, Broken> {
        self.attempts.note(&self.timer);
        self.faulty.call(async { Ok(value) }, || Broken).await
    }

    /// Other faults from `at` on.
    pub(crate) fn change(self: &Rc<Self>, at: Duration, faults: FaultConfig<N>) {
        let callee = self.clone();
        spawn_local(async move {
            sleep_until(&callee.timer, Instant::EPOCH.saturating_add(at)).await;
            callee.faulty.faults().with(|now| now.set_config(faults));
        });
    }
}

/// So many workers and a line in front of them. It does not notice that a caller has gone: what is in line is done all the
/// same.
pub(crate) struct Server {
    workers: Semaphore,
}

impl Server {
    pub(crate) fn new(workers: usize) -> Rc<Self> {
        Rc::new(Self { workers: Semaphore::new(workers) })
    }

    /// Does `work` when it is its turn.
    pub(crate) async fn serve<V: 'static>(
        self: Rc<Self>,
        work: impl Future<Output = Result<V, Broken>> + 'static,
    ) -> Result<V, Broken> {
        let (reply, answer) = oneshot::channel();
        spawn_local(async move {
            let _worker = self.workers.acquire().await.unwrap();
            // Nobody waits for it any more, perhaps.
            drop(reply.send(work.await));
        });
        answer.await.unwrap_or(Err(Broken))
    }
}

/// How a call went. Milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Call<A> {
    pub(crate) at: u64,
    pub(crate) took: u64,
    pub(crate) answer: A,
}

/// Calls, so many a second, within these milliseconds, evenly but for a bit of chance within each gap.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) per_second: u64,
    pub(crate) within: Range<u64>,
    pub(crate) seed: u32,
}

impl Load {
    /// What became of them, once the last one has ended.
    pub(crate) async fn calls<A: 'static, F>(&self, timer: TokioTimer, call: impl Fn(u64) -> F) -> Calls<A>
    where
        F: Future<Output = A> + 'static,
    {
        let gap = 1_000_000_000 / self.per_second;
        let first = Instant::from_millis(self.within.start);
        let mut callers = JoinSet::new();
        for n in 0..(self.within.end - self.within.start) * self.per_second / 1_000 {
            let chance = (gap * u64::from(nth(self.seed, n as u32))) >> 32;
            let at = first.after(n * gap + chance);
            let call = call(n);
            callers.spawn_local(async move {
                sleep_until(&timer, at).await;
                let at = millis(&timer);
                let answer = call.await;
                Call { at, took: millis(&timer) - at, answer }
            });
        }
        Calls(callers.join_all().await)
    }
}

/// What became of calls.
#[derive(Clone, Debug)]
pub(crate) struct Calls<A>(pub(crate) Vec<Call<A>>);

impl<A: Clone> Calls<A> {
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Those that started then.
    pub(crate) fn started(&self, within: Range<u64>) -> Self {
        Self(self.0.iter().filter(|call| within.contains(&call.at)).cloned().collect())
    }

    pub(crate) fn count(&self, is: impl Fn(&A) -> bool) -> f64 {
        self.0.iter().filter(|call| is(&call.answer)).count() as f64
    }

    pub(crate) fn percent(&self, is: impl Fn(&A) -> bool) -> f64 {
        100.0 * self.count(is) / self.0.len() as f64
    }

    /// 99 of 100 took no longer.
    pub(crate) fn p99(&self) -> f64 {
        let mut times: Vec<u64> = self.0.iter().map(|call| call.took).collect();
        times.sort_unstable();
        times[times.len() * 99 / 100] as f64
    }

    /// The most that were out at a time.
    pub(crate) fn most_at_once(&self) -> f64 {
        let starts = self.0.iter().map(|call| (call.at, 1));
        let mut changes: Vec<_> = starts.chain(self.0.iter().map(|call| (call.at + call.took, -1))).collect();
        changes.sort_unstable();
        let mut out = 0;
        changes.iter().fold(0.0, |most: f64, (_, change)| {
            out += change;
            most.max(f64::from(out))
        })
    }
}

impl<V: Clone, E: Clone> Calls<Result<V, E>> {
    pub(crate) fn percent_served(&self) -> f64 {
        self.percent(Result::is_ok)
    }

    /// How long after `end` the last one started that was not served, in seconds.
    pub(crate) fn recovery(&self, end: u64) -> f64 {
        let failed = self.0.iter().filter(|call| call.answer.is_err());
        failed.map(|call| call.at.saturating_sub(end)).max().unwrap_or(0) as f64 / 1e3
    }
}
