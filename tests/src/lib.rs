//! What the tests of the host share: a runtime whose time is a number.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

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
