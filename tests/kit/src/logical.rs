//! Logical time: a timer whose clock shows the end of the sleep that ended last, and nothing in between.
//!
//! On a real runtime a sleep of 20 ms takes 20.1 ms, or 23 ms when the machine is busy. Here both read 20 ms, and what
//! should have happened at 60 ms happens after it however late both are seen. So a trace on real timers is the one of
//! virtual time, to the nanosecond, and a slow machine makes a run longer, never different. The runtime's sleeps and
//! wake-ups are real; an early one shows, because time has not come then.

use core::cell::Cell;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use fusebox::{Clock, Instant};
use fusebox_drive::Timer;
use pin_project_lite::pin_project;

/// No sleep.
const FREE: u64 = u64::MAX;

/// See the [module](self).
#[derive(Debug)]
pub struct Logical<T> {
    timer: T,
    origin: Instant,
    now: Cell<u64>,
    /// When the sleeps under way end.
    ends: [Cell<u64>; 16],
}

impl<T: Timer> Logical<T> {
    /// Logical time that starts at zero now.
    pub fn new(timer: T) -> Self {
        let origin = timer.now();
        Self { timer, origin, now: Cell::new(0), ends: [const { Cell::new(FREE) }; 16] }
    }
}

impl<T> Clock for Logical<T> {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.now.get())
    }
}

impl<'g, T: Timer> Timer for &'g Logical<T> {
    type Sleep = Sleep<'g, T>;

    /// # Panics
    /// At the seventeenth sleep at a time: the scenario does not need so many.
    #[expect(clippy::expect_used, reason = "a test")]
    fn sleep_until(&self, deadline: Instant) -> Self::Sleep {
        let end = deadline.as_nanos();
        let entry = self.ends.iter().find(|entry| entry.get() == FREE).expect("at most 16 sleeps");
        entry.set(end);
        let inner = self.timer.sleep_until(self.origin.after(end));
        Sleep { inner, over: false, end, time: self, _entry: Entry(entry) }
    }
}

/// Strikes a sleep off the list when it is dropped.
#[derive(Debug)]
struct Entry<'g>(&'g Cell<u64>);

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.0.set(FREE);
    }
}

pin_project! {
    /// A sleep in logical time.
    #[derive(Debug)]
    pub struct Sleep<'g, T: Timer> {
        #[pin]
        inner: T::Sleep,
        over: bool,
        end: u64,
        time: &'g Logical<T>,
        _entry: Entry<'g>,
    }
}

impl<T: Timer> Future for Sleep<'_, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if !*this.over {
            ready!(this.inner.poll(cx));
            *this.over = true;
        }
        let time = *this.time;
        if time.ends.iter().any(|end| end.get() < *this.end) {
            // Both are over, but the other one was first: let it be seen.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if time.timer.now() >= time.origin.after(*this.end) {
            time.now.set(time.now.get().max(*this.end));
        }
        Poll::Ready(())
    }
}
