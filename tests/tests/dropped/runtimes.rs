//! The runtimes.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use fusebox::{Clock, Instant, Lock};
use fusebox_drive::idempotent::Wakes;
use fusebox_drive::{Bell, Timer, Turns, timeout_at};
use fusebox_tests::block_on;

/// What a runtime supplies.
pub(crate) trait Runtime {
    type Timer: Timer + Clone;
    type Turns: Turns + Default;
    type Bell: Bell + Default;
    type Wakes: Wakes + Default;
    type Locked<V>: Lock<Value = V>;
    /// How many may drain a queue at a time.
    const WORKERS: usize = 2;
    /// Whether time waits for the machine, however slow that is.
    const EXACT: bool = false;

    fn name(&self) -> &'static str;
    fn timer(&self) -> Self::Timer;
    fn lock<V>(value: V) -> Self::Locked<V>;
    /// Runs `future` to its end, and panics when it has none.
    fn block_on<F: Future>(&self, future: F) -> F::Output;
}

/// A shared machine may stand still for a while.
const PATIENCE: Duration = Duration::from_secs(20);
const STUCK: &str = "somebody waits for something that never comes";

/// Time that is a number and moves when nobody has anything to do. Its sleeps wake those who wait for them, and no others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manual(Rc<RefCell<Time>>);

#[derive(Debug, Default)]
struct Time {
    now: u64,
    /// The sleeps that somebody waits for: when they end, and whom they wake.
    sleeps: Vec<(u64, Waker)>,
}

pub(crate) struct ManualSleep(Manual, u64);

impl Manual {
    /// Moves on to the next sleep that somebody waits for.
    fn pass(&self) -> Option<()> {
        let Time { now, sleeps } = &mut *self.0.borrow_mut();
        *now = sleeps.iter().map(|(end, _)| *end).min()?;
        for (_, waker) in sleeps.extract_if(.., |(end, _)| *end <= *now) {
            waker.wake();
        }
        Some(())
    }
}

impl Clock for Manual {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.borrow().now)
    }
}

impl Timer for Manual {
    type Sleep = ManualSleep;

    fn sleep_until(&self, deadline: Instant) -> ManualSleep {
        ManualSleep(self.clone(), deadline.as_nanos())
    }
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Time { now, sleeps } = &mut *self.0.0.borrow_mut();
        if *now >= self.1 {
            return Poll::Ready(());
        }
        sleeps.push((self.1, cx.waker().clone()));
        Poll::Pending
    }
}

impl Runtime for Manual {
    type Timer = Self;
    type Turns = fusebox_tokio::FairTurns;
    type Bell = fusebox_tokio::NotifyBell;
    type Wakes = fusebox_tokio::NotifyWakes;
    type Locked<V> = RefCell<V>; // panics if it is entered twice
    const EXACT: bool = true;

    fn name(&self) -> &'static str {
        "manual time"
    }

    fn timer(&self) -> Self {
        self.clone()
    }

    fn lock<V>(value: V) -> RefCell<V> {
        RefCell::new(value)
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        block_on(future, || self.pass()).expect(STUCK)
    }
}

pub(crate) struct Tokio<const PAUSED: bool>(tokio::runtime::Runtime, &'static str);

impl Tokio<true> {
    pub(crate) fn paused() -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        Self(builder.enable_time().start_paused(true).build().unwrap(), "tokio, paused")
    }
}

impl Tokio<false> {
    pub(crate) fn real() -> Self {
        Self(tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap(), "tokio")
    }

    /// Wakes come from other threads.
    pub(crate) fn threads() -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        Self(builder.worker_threads(2).enable_time().build().unwrap(), "tokio, many threads")
    }
}

impl<const PAUSED: bool> Runtime for Tokio<PAUSED> {
    type Timer = fusebox_tokio::TokioTimer;
    type Turns = fusebox_tokio::FairTurns;
    type Bell = fusebox_tokio::NotifyBell;
    type Wakes = fusebox_tokio::NotifyWakes;
    type Locked<V> = Mutex<V>;
    const EXACT: bool = PAUSED;

    fn name(&self) -> &'static str {
        self.1
    }

    fn timer(&self) -> Self::Timer {
        let _in_runtime = self.0.enter();
        fusebox_tokio::TokioTimer::new()
    }

    fn lock<V>(value: V) -> Mutex<V> {
        Mutex::new(value)
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(async { tokio::time::timeout(PATIENCE, future).await }).expect(STUCK)
    }
}

/// async-std if true, else smol.
pub(crate) struct AsyncIo<const ASYNC_STD: bool>;

impl<const ASYNC_STD: bool> Runtime for AsyncIo<ASYNC_STD> {
    type Timer = fusebox_async_std::AsyncIoTimer;
    type Turns = fusebox_async_std::FairTurns;
    type Bell = fusebox_async_std::NotifyBell;
    type Wakes = fusebox_async_std::NotifyWakes;
    type Locked<V> = Mutex<V>;

    fn name(&self) -> &'static str {
        if ASYNC_STD { "async-std" } else { "smol" }
    }

    fn timer(&self) -> Self::Timer {
        fusebox_async_std::AsyncIoTimer::new()
    }

    fn lock<V>(value: V) -> Mutex<V> {
        Mutex::new(value)
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        let timer = self.timer();
        let future = timeout_at(&timer, timer.now().saturating_add(PATIENCE), future);
        if ASYNC_STD { async_std::task::block_on(future) } else { smol::block_on(future) }.expect(STUCK)
    }
}

pub(crate) struct Embassy;

impl Embassy {
    fn pass(millis: u64) {
        embassy_time::MockDriver::get().advance(embassy_time::Duration::from_millis(millis));
    }
}

impl Runtime for Embassy {
    type Timer = fusebox_embassy::EmbassyTimer;
    type Turns = fusebox_embassy::FairTurns<CriticalSectionRawMutex, 4>;
    type Bell = fusebox_embassy::SignalBell<CriticalSectionRawMutex>;
    type Wakes = fusebox_embassy::WakeList<CriticalSectionRawMutex, 2>;
    type Locked<V> = fusebox_embassy::EmbassyLock<CriticalSectionRawMutex, V>;
    const WORKERS: usize = 1;
    const EXACT: bool = true;

    fn name(&self) -> &'static str {
        "embassy"
    }

    fn timer(&self) -> Self::Timer {
        fusebox_embassy::EmbassyTimer::new()
    }

    fn lock<V>(value: V) -> Self::Locked<V> {
        fusebox_embassy::EmbassyLock::new(value)
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        let mut idles = 0;
        let idle = || {
            idles += 1;
            Self::pass(1);
            (idles < 10_000).then_some(())
        };
        let output = block_on(future, idle).expect(STUCK);
        Self::pass(60_000); // the queue of timers is short: those of sleeps that were dropped leave it
        output
    }
}
