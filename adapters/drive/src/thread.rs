//! Time and entropy from `std`.

use core::time::Duration;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Instant as StdInstant;

use fusebox::{Clock, Entropy, Instant};

use crate::blocking::BlockingTimer;

/// The monotonic clock of `std`, counted from the making of this value, and `thread::sleep`.
///
/// ```
/// use std::sync::Mutex;
/// use fusebox_drive::fusebox::{Breaker, BreakerConfig, Consecutive, RetryPolicy, Shared, checked};
/// use fusebox_drive::{Pipeline, ThreadTimer, entropy};
///
/// let breaker = Breaker::new(checked!(BreakerConfig::builder(checked!(Consecutive::new(5))).build()));
/// let database = Pipeline::new(ThreadTimer::new(), Shared::new(Mutex::new(breaker)), RetryPolicy::ONCE, entropy());
/// assert_eq!(database.call_blocking(|_attempt| "42".parse::<u32>()), Ok(42));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ThreadTimer {
    epoch: StdInstant,
}

impl ThreadTimer {
    /// A timer whose epoch is now. Share one (it is `Copy`): instants of two do not compare.
    #[must_use]
    pub fn new() -> Self {
        Self { epoch: StdInstant::now() }
    }
}

impl Default for ThreadTimer {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ThreadTimer {
    #[inline]
    fn now(&self) -> Instant {
        Instant::EPOCH.saturating_add(self.epoch.elapsed())
    }
}

impl BlockingTimer for ThreadTimer {
    fn wait(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// Entropy from the operating system, by way of the standard library's hash keys.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "any 32 of the 64 bits do")]
pub fn entropy() -> Entropy {
    Entropy::new(RandomState::new().hash_one(0_u32) as u32)
}
