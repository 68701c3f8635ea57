//! Waiting for an instant, whatever the runtime's sleep is like.

use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};

use fusebox::{Clock, Instant};
use pin_project_lite::pin_project;

/// A clock that can wake its caller.
///
/// Round waits up to what the runtime can do: waking a tick late costs that tick, waking early costs a second sleep.
pub trait Timer: Clock {
    /// Ends at the instant it was made for, or a little later.
    type Sleep: Future<Output = ()>;

    /// A sleep until `deadline`.
    fn sleep_until(&self, deadline: Instant) -> Self::Sleep;
}

impl<T: Timer + ?Sized> Timer for &T {
    type Sleep = T::Sleep;

    fn sleep_until(&self, deadline: Instant) -> T::Sleep {
        (**self).sleep_until(deadline)
    }
}

pin_project! {
    /// One sleep, armed at the first poll that needs it and again only if the deadline changed.
    pub(crate) struct Alarm<'t, T: Timer> {
        timer: &'t T,
        armed: Option<Instant>,
        #[pin]
        sleep: Option<T::Sleep>,
    }
}

impl<'t, T: Timer> Alarm<'t, T> {
    pub(crate) const fn new(timer: &'t T) -> Self {
        Self { timer, armed: None, sleep: None }
    }

    /// Ready when a sleep towards `deadline` has ended, early perhaps.
    pub(crate) fn poll_sleep(self: Pin<&mut Self>, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if *this.armed != Some(deadline) {
            this.sleep.set(Some(this.timer.sleep_until(deadline)));
            *this.armed = Some(deadline);
        }
        if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
            ready!(sleep.poll(cx));
        }
        *this.armed = None;
        Poll::Ready(())
    }

    /// Ready once the clock shows `deadline`. The clock decides, not the sleep: one that ends early is armed again.
    pub(crate) fn poll_until(mut self: Pin<&mut Self>, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.now() < deadline {
            ready!(self.as_mut().poll_sleep(deadline, cx));
        }
        Poll::Ready(())
    }

    /// Ready when the clock shows `deadline`, or a sleep towards it has ended: early perhaps, and should the clock have
    /// stepped back meanwhile, the one who asked knows better how much is left of it.
    #[inline]
    pub(crate) fn poll_nap(
        self: Pin<&mut Self>,
        deadline: Option<Instant>,
        now: &impl Clock,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        match deadline {
            Some(deadline) if now.now() < deadline => self.poll_sleep(deadline, cx),
            Some(_) => Poll::Ready(()),
            None => Poll::Pending,
        }
    }

    /// Sleeps once towards `deadline`; see [`poll_nap`](Self::poll_nap).
    pub(crate) async fn nap(mut self: Pin<&mut Self>, deadline: Instant) {
        let timer = self.timer;
        poll_fn(|cx| self.as_mut().poll_nap(Some(deadline), timer, cx)).await;
    }

    /// Waits for `deadline`.
    pub(crate) async fn until(mut self: Pin<&mut Self>, deadline: Instant) {
        poll_fn(|cx| self.as_mut().poll_until(deadline, cx)).await;
    }

    /// Runs `future` until `deadline`; `None` when that came first. No timer is touched if it is ready at once.
    pub(crate) async fn race<F: Future>(
        mut self: Pin<&mut Self>,
        deadline: Option<Instant>,
        mut future: Pin<&mut F>,
    ) -> Option<F::Output> {
        poll_fn(|cx| self.as_mut().poll_race(deadline, future.as_mut(), cx)).await
    }

    #[inline]
    pub(crate) fn poll_race<F: Future>(
        self: Pin<&mut Self>,
        deadline: Option<Instant>,
        future: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<F::Output>> {
        match (future.poll(cx), deadline) {
            (Poll::Ready(answer), _) => Poll::Ready(Some(answer)),
            (Poll::Pending, Some(deadline)) => self.poll_until(deadline, cx).map(|()| None),
            (Poll::Pending, None) => Poll::Pending,
        }
    }
}

/// Runs `future` until `deadline`; `None` when that came first. The future is polled before the clock is read, so one
/// that is ready at once wins and pays for no timer.
///
/// # Cancel safety
/// Dropping it drops `future`; nothing else is held.
pub async fn timeout_at<T: Timer, F: Future>(timer: &T, deadline: Instant, future: F) -> Option<F::Output> {
    let alarm = pin!(Alarm::new(timer));
    alarm.race(Some(deadline), pin!(future)).await
}

/// Waits until the clock shows `deadline`, however early the runtime's sleep wakes.
///
/// # Cancel safety
/// Nothing is held.
pub async fn sleep_until<T: Timer>(timer: &T, deadline: Instant) {
    pin!(Alarm::new(timer)).until(deadline).await;
}
