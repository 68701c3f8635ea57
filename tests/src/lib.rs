//! What the tests of the host share: a runtime whose time is a number, and chance that is the same in every run.
#![forbid(unsafe_code)]

mod dice;

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

pub use dice::Dice;
use fusebox::{Clock, Instant};
use fusebox_drive::Timer;

/// Time that passes only when [`block_on`](ManualTimer::block_on) has nothing else to do.
#[derive(Debug, Default)]
pub struct ManualTimer {
    now: Cell<u64>,
    /// The earliest end of the sleeps that were polled since time last passed.
    next: Cell<Option<u64>>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Polls `future` whenever it is woken, and calls `idle` when it is not; `None` when `idle` says there is no use.
pub fn block_on<F: Future>(future: F, mut idle: impl FnMut() -> Option<()>) -> Option<F::Output> {
    let mut future = pin!(future);
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(flag.clone());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        if !flag.0.swap(false, Ordering::SeqCst) {
            idle()?;
        }
    }
}

impl ManualTimer {
    /// Lets so many nanoseconds pass.
    pub fn advance(&self, nanos: u64) {
        self.now.set(self.now.get() + nanos);
    }

    /// Runs `future` to its end, jumping over idle time; `None` when it waits for something that never comes.
    pub fn block_on<F: Future>(&self, future: F) -> Option<F::Output> {
        block_on(future, || self.next.take().map(|next| self.now.set(next)))
    }
}

impl Clock for ManualTimer {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.now.get())
    }
}

impl<'t> Timer for &'t ManualTimer {
    type Sleep = ManualSleep<'t>;

    fn sleep_until(&self, deadline: Instant) -> ManualSleep<'t> {
        ManualSleep { timer: self, end: deadline.as_nanos() }
    }
}

/// A sleep of a [`ManualTimer`].
#[derive(Debug)]
pub struct ManualSleep<'t> {
    timer: &'t ManualTimer,
    end: u64,
}

impl Future for ManualSleep<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.now.get() >= self.end {
            return Poll::Ready(());
        }
        let next = self.timer.next.get().unwrap_or(u64::MAX);
        self.timer.next.set(Some(next.min(self.end)));
        Poll::Pending
    }
}

/// The README's quick starts, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// How late the sleeps of a real clock may end on a machine that others use too.
pub const SHARED_MACHINE: std::time::Duration = std::time::Duration::from_secs(5);

/// A test on each runtime: `$body` is an async function of a timer, a line, and how much later than asked its sleeps may
/// end; zero or a tick unless the clock is a real one.
#[macro_export]
macro_rules! on_each_runtime {
    ($body:ident) => {
        #[test]
        fn manual_time() {
            let timer = $crate::ManualTimer::default();
            let late = ::core::time::Duration::ZERO;
            timer.block_on($body(&timer, fusebox_tokio::FairTurns::new(), late)).unwrap();
        }

        #[tokio::test(start_paused = true)]
        async fn tokio_paused() {
            let late = ::core::time::Duration::from_millis(1);
            $body(fusebox_tokio::TokioTimer::new(), fusebox_tokio::FairTurns::new(), late).await;
        }

        #[tokio::test]
        async fn tokio_real() {
            $body(fusebox_tokio::TokioTimer::new(), fusebox_tokio::FairTurns::new(), $crate::SHARED_MACHINE).await;
        }

        #[test]
        fn async_std() {
            let (timer, turns) = (fusebox_async_std::AsyncIoTimer::new(), fusebox_async_std::FairTurns::new());
            async_std::task::block_on($body(timer, turns, $crate::SHARED_MACHINE));
        }

        #[test]
        fn smol() {
            let (timer, turns) = (fusebox_async_std::AsyncIoTimer::new(), fusebox_async_std::FairTurns::new());
            ::smol::block_on($body(timer, turns, $crate::SHARED_MACHINE));
        }

        #[test]
        fn embassy() {
            use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
            let turns = fusebox_embassy::FairTurns::<CriticalSectionRawMutex, 8>::new();
            let timer = fusebox_embassy::EmbassyTimer::new();
            let idle = || {
                embassy_time::MockDriver::get().advance(embassy_time::Duration::from_millis(1));
                Some(())
            };
            $crate::block_on($body(timer, turns, ::core::time::Duration::from_millis(1)), idle).unwrap();
        }
    };
}
