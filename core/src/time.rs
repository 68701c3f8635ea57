//! Time as the machines see it: an opaque, never-failing [`Instant`] that the caller passes in.
//!
//! Machines never read a clock. Adapters read one through [`Clock`] and hand the value over, so every decision can be
//! tested, replayed and simulated.

use core::cell::Cell;
use core::num::NonZeroU64;
use core::time::Duration;

/// A point in time: nanoseconds since the epoch of whichever [`Clock`] made it.
///
/// Covers 584 years; arithmetic saturates at both ends instead of failing. `Option<Instant>` is 8 bytes. Instants of
/// different clocks must not be mixed; nothing can check that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Instant(NonZeroU64);

impl Instant {
    /// The clock's epoch, the earliest instant.
    pub const EPOCH: Self = Self(NonZeroU64::MIN);
    /// The latest instant that can be told; used as "never".
    pub const MAX: Self = Self(NonZeroU64::MAX);

    /// The instant `nanos` nanoseconds after the epoch, at most [`Instant::MAX`].
    #[inline]
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        // Stored plus one, so that zero is free for `None`.
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }

    /// The instant `micros` microseconds after the epoch, at most [`Instant::MAX`].
    #[inline]
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self::from_nanos(micros.saturating_mul(1_000))
    }

    /// The instant `millis` milliseconds after the epoch, at most [`Instant::MAX`].
    #[inline]
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_nanos(millis.saturating_mul(1_000_000))
    }

    /// The instant `secs` seconds after the epoch, at most [`Instant::MAX`].
    #[inline]
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self::from_nanos(secs.saturating_mul(NANOS_PER_SEC))
    }

    /// Nanoseconds since the epoch.
    #[inline]
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0.get() - 1
    }

    /// The instant `nanos` nanoseconds later, at most [`Instant::MAX`].
    #[inline]
    #[must_use]
    pub const fn after(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Nanoseconds from `earlier` to `self`; 0 when `earlier` is not earlier.
    #[inline]
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.get().saturating_sub(earlier.0.get())
    }

    /// The instant `duration` later, at most [`Instant::MAX`]. For set-up code: on small cores a [`Duration`] costs a
    /// 64-bit multiplication that [`Instant::after`] does without.
    #[inline]
    #[must_use]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        self.after(nanos(duration))
    }

    /// The time from `earlier` to `self`; zero when `earlier` is not earlier. Divides, so it is for reports, not for
    /// hot paths on small cores.
    #[inline]
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }
}

impl core::fmt::Debug for Instant {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?}", Duration::from_nanos(self.as_nanos()))
    }
}

/// Prints the time since the clock's epoch, for instance `1.25s`.
impl core::fmt::Display for Instant {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Debug::fmt(self, f)
    }
}

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// `duration` in nanoseconds, at most `u64::MAX` (584 years).
#[must_use]
pub const fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(NANOS_PER_SEC).saturating_add(duration.subsec_nanos() as u64)
}

/// A source of [`Instant`]s. Read by adapters, never by machines.
///
/// It should not step back. If it does, machines stay safe: none is locked for longer than its own configured
/// interval, none grants the same thing twice, none panics.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Instant;
}

/// A clock that stands still: where the time is known already.
impl Clock for Instant {
    #[inline]
    fn now(&self) -> Instant {
        *self
    }
}

/// A clock that is read when somebody asks for the first time, and then stands still: one decision, one time.
#[derive(Debug)]
pub struct Moment<'a, C: ?Sized> {
    clock: &'a C,
    read: Cell<Option<Instant>>,
}

impl<'a, C: Clock + ?Sized> Moment<'a, C> {
    /// Of `clock`, not read yet.
    #[inline]
    #[must_use]
    pub const fn new(clock: &'a C) -> Self {
        Self { clock, read: Cell::new(None) }
    }

    // Out of line: there are many places that may need the time, and few that do.
    #[cold]
    #[inline(never)]
    fn look(&self) -> Instant {
        let now = self.clock.now();
        self.read.set(Some(now));
        now
    }
}

impl<C: Clock + ?Sized> Clock for Moment<'_, C> {
    #[inline]
    fn now(&self) -> Instant {
        self.read.get().unwrap_or_else(|| self.look())
    }
}

impl<C: Clock + ?Sized> Clock for &C {
    #[inline]
    fn now(&self) -> Instant {
        (**self).now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_saturate() {
        assert_eq!(Instant::from_nanos(u64::MAX), Instant::MAX);
        assert_eq!(Instant::MAX.after(1), Instant::MAX);
        assert_eq!(Instant::EPOCH.nanos_since(Instant::MAX), 0);
        assert_eq!(Instant::from_secs(u64::MAX), Instant::MAX);
        assert_eq!(nanos(Duration::MAX), u64::MAX);
        assert_eq!(size_of::<Option<Instant>>(), 8);
    }

    #[test]
    fn nanos_round_trip() {
        for n in [0, 1, 999, 1_000_000_007, u64::MAX - 1] {
            assert_eq!(Instant::from_nanos(n).as_nanos(), n);
        }
        assert_eq!(Instant::from_millis(3).nanos_since(Instant::from_micros(1)), 2_999_000);
    }
}
