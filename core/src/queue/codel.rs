//! Controlled delay: is there a standing queue, and which of it is shed?

use core::time::Duration;

use crate::{ConfigError, Instant, nanos};

/// Controlled delay, as folly has it: when even the shortest wait of an interval was longer than the target, the queue
/// is standing, not a burst, and counts as overloaded for the next interval. While it does, whatever has waited for
/// longer than twice the target is shed; never the first of an interval, so something always gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Codel {
    target: u64,
    interval: u64,
}

impl Codel {
    /// A target of 5 ms and an interval of 100 ms: what folly and RFC 8289 start from.
    pub const DEFAULT: Self = Self { target: 5_000_000, interval: 100_000_000 };

    /// Waits of up to `target` are well, if that is so at least once within each `interval`. The interval should hold
    /// many pops and be about the longest burst that is welcome.
    ///
    /// # Errors
    /// When the target is zero, or the interval is not longer.
    pub const fn new(target: Duration, interval: Duration) -> Result<Self, ConfigError> {
        if target.is_zero() {
            return Err(ConfigError::new("target", "every wait is longer than none"));
        }
        if nanos(interval) <= nanos(target) {
            return Err(ConfigError::new("interval", "must be longer than the target"));
        }
        Ok(Self { target: nanos(target), interval: nanos(interval) })
    }

    /// Whether what is first now, after waiting for `waited` nanoseconds, is shed. Once for each question whose turn it
    /// is.
    pub(super) fn sheds(&self, delays: &mut Delays, waited: u64, now: Instant) -> bool {
        if delays.sampled && now > delays.ends {
            delays.ends = now.after(self.interval);
            delays.overloaded = delays.shortest > self.target;
            delays.sampled = false;
        }
        if !delays.sampled {
            delays.sampled = true;
            delays.shortest = waited;
            return false;
        }
        delays.shortest = delays.shortest.min(waited);
        delays.overloaded && waited > self.target.saturating_mul(2)
    }
}

/// What is remembered of the waits of one class.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Delays {
    /// The shortest of this interval.
    pub(super) shortest: u64,
    /// When the interval ends.
    ends: Instant,
    /// Whether the interval has had its first.
    sampled: bool,
    /// Whether the interval before had no wait within the target.
    pub(super) overloaded: bool,
}

impl Delays {
    pub(super) const NONE: Self = Self { shortest: 0, ends: Instant::EPOCH, sampled: false, overloaded: false };

    /// The clock has stepped back by so many nanoseconds.
    pub(super) const fn step_back(&mut self, by: u64) {
        self.ends = back(self.ends, by);
    }
}

/// `nanos` before `at`; the epoch when that is before the epoch.
pub(super) const fn back(at: Instant, nanos: u64) -> Instant {
    Instant::from_nanos(at.as_nanos().saturating_sub(nanos))
}
