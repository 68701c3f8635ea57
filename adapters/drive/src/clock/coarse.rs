//! A clock that is cheap to read.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Instant as StdInstant;

use fusebox::{Clock, Instant};

/// The time as a thread of its own saw it last: reading it is one load.
///
/// It is never early, and late by up to its interval, by more while the thread gets no processor. A span between two
/// readings is off by as much either way: a timeout may end that much early, and a limit lets up to rate x interval more
/// through, in steps. Times well above the interval do not mind. Clones share the thread, which ends within an interval of
/// the last of them.
///
/// A process that forks has no such thread in the child: a clock from before the fork stands still there, and no timeout
/// of it ever ends. Make the clock afterwards.
///
/// ```
/// use std::time::Duration;
/// use fusebox_drive::fusebox::{Clock, RetryPolicy};
/// use fusebox_drive::{CoarseClock, Pipeline, ThreadTimer, entropy};
///
/// let clock = CoarseClock::every(Duration::from_millis(1))?;
/// let before = clock.now();
/// let pipeline = Pipeline::builder(ThreadTimer::new(), entropy()).clock(clock.clone()).build().unwrap();
/// assert_eq!(pipeline.call_blocking(|_| Ok::<_, ()>(7)), Ok(7));
/// std::thread::sleep(Duration::from_millis(50));
/// assert!(clock.now() > before);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CoarseClock {
    nanos: Arc<AtomicU64>,
}

impl CoarseClock {
    /// A clock whose epoch is now, and whose thread looks at the time once per `interval`: a millisecond, say.
    ///
    /// # Errors
    /// `InvalidInput` when `interval` is below a microsecond, which would keep a processor busy, or above a minute; what the
    /// system says when it cannot make the thread.
    pub fn every(interval: Duration) -> io::Result<Self> {
        if interval < Duration::from_micros(1) || interval > Duration::from_secs(60) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "interval: from a microsecond to a minute"));
        }
        let nanos = Arc::new(AtomicU64::new(0));
        let shown = Arc::downgrade(&nanos);
        thread::Builder::new().name("coarse clock".into()).spawn(move || tick(&shown, interval))?;
        Ok(Self { nanos })
    }
}

/// Shows the time for as long as anybody may look.
fn tick(shown: &Weak<AtomicU64>, interval: Duration) {
    let epoch = StdInstant::now();
    while let Some(nanos) = shown.upgrade() {
        nanos.store(fusebox::nanos(epoch.elapsed()), Ordering::Relaxed);
        drop(nanos);
        thread::sleep(interval);
    }
}

impl Clock for CoarseClock {
    #[inline]
    fn now(&self) -> Instant {
        Instant::from_nanos(self.nanos.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused() {
        for interval in [Duration::ZERO, Duration::from_nanos(999), Duration::from_secs(61), Duration::MAX] {
            assert!(CoarseClock::every(interval).is_err_and(|error| error.kind() == io::ErrorKind::InvalidInput));
        }
    }

    #[test]
    fn it_is_late_but_never_early_and_its_thread_ends_with_it() {
        let before = StdInstant::now();
        let Ok(clock) = CoarseClock::every(Duration::from_millis(1)) else { return };
        let (mut last, mut steps) = (clock.now(), 0);
        while steps < 5 {
            let now = clock.now();
            assert!(now >= last && now <= Instant::EPOCH.saturating_add(before.elapsed()));
            steps += u32::from(now > last);
            last = now;
        }
        let nanos = Arc::downgrade(&clock.nanos);
        drop(clock);
        while nanos.strong_count() > 0 {
            thread::yield_now();
        }
    }
}
