//! The processor's own counter.

use fusebox::{Clock, Instant};

/// The time stamp counter of the processor, by way of the crate `quanta`: the monotonic clock of the system on machines
/// without a reliable one. Making one takes a while the first time (up to 200 ms): it is measured against the system's,
/// and runs apart from it by some parts in a million. On machines whose counter starts anew when they are suspended, it
/// stands still until the counter is where it was: not for those.
///
/// ```
/// use fusebox_drive::TscClock;
/// use fusebox_drive::fusebox::Clock;
///
/// let clock = TscClock::new();
/// let before = clock.now();
/// assert!(clock.now() >= before);
/// ```
#[derive(Clone, Debug)]
pub struct TscClock {
    clock: quanta::Clock,
    epoch: u64,
}

impl TscClock {
    /// A clock whose epoch is now. Share one, or clones of one: instants of two do not compare.
    #[must_use]
    pub fn new() -> Self {
        let clock = quanta::Clock::new();
        let epoch = clock.raw();
        Self { clock, epoch }
    }
}

impl Default for TscClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TscClock {
    #[inline]
    fn now(&self) -> Instant {
        Instant::from_nanos(self.clock.delta_as_nanos(self.epoch, self.clock.raw()))
    }
}
