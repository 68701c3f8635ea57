//! Health that is fed by tasks and probes, and listened to.

use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Poll, ready};
use core::time::Duration;

use fusebox::health::{Beat, Health, HealthChange, HealthSnapshot, Held, ProbeConfig, Pulse, Reading, Status};
use fusebox::{Instant, Lock, Shared};

use crate::alarm::Alarm;
use crate::{Bell, Timer};

/// A [`Health`] that any number of tasks report to: as they go, by heartbeats, or through probes on a schedule. One
/// task may listen for changes, and one may feed a watchdog.
///
/// What tasks run here never ends by itself: spawn it, or join it with the rest of the program. A probe whose task is
/// gone gives no more readings, so its component falls silent; nothing else is held.
#[derive(Debug)]
pub struct Monitor<T, L, B> {
    timer: T,
    health: Shared<L>,
    bell: B,
}

impl<T, L, B> Monitor<T, L, B> {
    /// Watches over what `lock` holds.
    pub const fn new(timer: T, lock: L, bell: B) -> Self {
        Self { timer, health: Shared::new(lock), bell }
    }

    /// The timer whose clock all instants are of.
    pub const fn timer(&self) -> &T {
        &self.timer
    }
}

impl<T: Timer, L: Lock<Value = Health<N>>, B: Bell, const N: usize> Monitor<T, L, B> {
    /// Runs `f` on the health, with the time: to report, to read, to pause. Waits for nothing; fine in an interrupt if
    /// the lock is.
    pub fn with<R>(&self, f: impl FnOnce(&mut Health<N>, Instant) -> R) -> R {
        let (answer, is_news) = self.locked(|health, now| {
            let before = health.poll_timeout();
            let answer = f(health, now);
            let is_sooner = health.poll_timeout().is_some_and(|due| before.is_none_or(|before| due < before));
            (answer, is_sooner || health.has_event())
        });
        if is_news {
            self.bell.ring();
        }
        answer
    }

    /// See [`Health::record`].
    pub fn record(&self, component: usize, reading: impl Into<Reading>) -> Option<Status> {
        let reading = reading.into();
        self.with(|health, now| health.record(component, reading, now))
    }

    /// See [`Health::check_in`].
    pub fn check_in(&self, component: usize) -> Option<Status> {
        self.record(component, Reading::Healthy)
    }

    /// How the whole is.
    pub fn snapshot(&self) -> HealthSnapshot {
        self.locked(|health, now| health.snapshot(now))
    }

    /// Probes `component` as `config` says, one probe at a time: `probe` makes one, and what that gives is the reading.
    /// One that is late is dropped and read as unhealthy. `entropy` says where in the stagger the first one comes: draw
    /// another one for each component. Ends only if there is no such component.
    ///
    /// A probe that never yields cannot be late; neither can it be restarted.
    ///
    /// # Cancel safety
    /// Dropping the future drops the probe that is out, if one is, without a reading.
    pub async fn probe<F: Future<Output: Into<Reading>>>(
        &self,
        component: usize,
        config: ProbeConfig,
        entropy: u32,
        mut probe: impl FnMut() -> F,
    ) {
        if component >= N {
            return;
        }
        let mut pulse = Pulse::new(config, entropy);
        let mut alarm = pin!(Alarm::new(&self.timer));
        loop {
            let now = self.timer.now();
            match pulse.next(now) {
                Beat::Wait { until } => alarm.as_mut().nap(until).await,
                Beat::Probe { deadline } => {
                    let answer = within(alarm.as_mut(), &self.timer, deadline.nanos_since(now), pin!(probe())).await;
                    self.record(component, answer.map_or(Reading::Unhealthy, Into::into));
                }
            }
        }
    }

    /// Checks in for the task `component` now and then again, each time after `every`: as long as this future is polled,
    /// its executor runs. `every`, at least a millisecond, should be less than half of the silence that the task may
    /// keep. Ends only if there is no such component.
    ///
    /// # Cancel safety
    /// Nothing is held. Dropping it ends the checking in.
    pub async fn heartbeat(&self, component: usize, every: Duration) {
        self.repeat(every, || self.check_in(component).is_some()).await;
    }

    /// Asks now and then again, each time after `every`, whether the watchdog may be fed, and hands the answer to `feed`:
    /// it feeds the watchdog, or writes down which task holds it back. `every`, at least a millisecond, should be less than
    /// half of the watchdog's time.
    ///
    /// # Cancel safety
    /// Nothing is held. Dropping it ends the feeding.
    pub async fn guard_watchdog(&self, every: Duration, mut feed: impl FnMut(Result<(), Held<'static>>)) {
        let ask = || {
            feed(self.with(Health::may_feed));
            true
        };
        self.repeat(every, ask).await;
    }

    /// The next change of the whole, when there is one; sees to it that what time brings is noticed when it happens.
    /// Only one task at a time should wait for it.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: a change is taken only in the poll that returns it.
    pub async fn changed(&self) -> HealthChange {
        let mut alarm = pin!(Alarm::new(&self.timer));
        loop {
            let (event, due) = self.locked(|health, now| {
                health.handle_timeout(now);
                (health.poll_event(), health.poll_timeout())
            });
            if let Some(event) = event {
                return event;
            }
            let mut heard = pin!(self.bell.heard());
            poll_fn(|cx| match (heard.as_mut().poll(cx), due) {
                (Poll::Pending, Some(due)) => alarm.as_mut().poll_sleep(due, cx),
                (poll, _) => poll,
            })
            .await;
        }
    }

    /// The clock is read under the lock, so that the health never sees it step back for a race.
    fn locked<R>(&self, f: impl FnOnce(&mut Health<N>, Instant) -> R) -> R {
        self.health.with(|health| f(health, self.timer.now()))
    }

    /// Acts as long as that says to go on.
    async fn repeat(&self, every: Duration, mut act: impl FnMut() -> bool) {
        // Never so short that other tasks would not run in between.
        let every = every.max(Duration::from_millis(1));
        let mut alarm = pin!(Alarm::new(&self.timer));
        while act() {
            alarm.as_mut().nap(self.timer.now().saturating_add(every)).await;
        }
    }
}

/// Runs `future` for `timeout` nanoseconds; `None` when they came first. A clock that steps back meanwhile gives it as
/// long again at most.
async fn within<T: Timer, F: Future>(
    mut alarm: Pin<&mut Alarm<'_, T>>,
    timer: &T,
    timeout: u64,
    mut future: Pin<&mut F>,
) -> Option<F::Output> {
    let mut deadline = timer.now().after(timeout);
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        loop {
            let now = timer.now();
            deadline = deadline.min(now.after(timeout));
            if now >= deadline {
                return Poll::Ready(None);
            }
            ready!(alarm.as_mut().poll_sleep(deadline, cx));
        }
    })
    .await
}
