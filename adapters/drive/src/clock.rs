//! Clocks of one's choice.

#[cfg(feature = "std")]
mod coarse;
#[cfg(feature = "quanta")]
mod tsc;

use core::time::Duration;

#[cfg(feature = "std")]
pub use coarse::CoarseClock;
use fusebox::{Clock, Instant};
#[cfg(feature = "quanta")]
pub use tsc::TscClock;

use crate::Timer;
use crate::blocking::BlockingTimer;

/// A clock of one's choice, with the sleep of a runtime: what a pipeline takes for its timer. Most of what a call costs
/// that succeeds is its reading of the clock.
///
/// | clock | a reading | and what for it |
/// | --- | --- | --- |
/// | the runtime's own | some 25 to 35 ns on Linux | exact; tokio's follows `tokio::time::pause` |
#[cfg_attr(
    feature = "quanta",
    doc = "| [`TscClock`] | about a third of that | off by some parts in a million; reads the processor's counter, where there is a good one |"
)]
#[cfg_attr(feature = "std", doc = "| [`CoarseClock`] | a load from memory | late by up to its interval; a thread |")]
///
/// The two clocks need not have the same epoch, but should run at the same rate: a sleep is as long as the way to the
/// deadline by `clock`, and should it end early by `clock`, the rest is slept as well.
#[derive(Clone, Copy, Debug)]
pub struct WithClock<C, T> {
    /// Says what time it is.
    pub clock: C,
    /// Sleeps.
    pub timer: T,
}

impl<C: Clock, T> Clock for WithClock<C, T> {
    #[inline]
    fn now(&self) -> Instant {
        self.clock.now()
    }
}

impl<C: Clock, T: Timer> Timer for WithClock<C, T> {
    type Sleep = T::Sleep;

    fn sleep_until(&self, deadline: Instant) -> T::Sleep {
        let left = deadline.nanos_since(self.clock.now());
        self.timer.sleep_until(self.timer.now().after(left))
    }
}

impl<C: Clock, T: BlockingTimer> BlockingTimer for WithClock<C, T> {
    fn wait(&self, duration: Duration) {
        self.timer.wait(duration);
    }
}
