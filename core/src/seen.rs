//! Calls that come late, and clocks that step back: what all limiters make of a `now` before an earlier one.

use crate::Instant;

/// By how much less than the latest `now` another one may be and still be a call that comes late: its thread read the
/// clock, and was kept from asking while others did. Were each of them taken for a step of the clock, the time between
/// would be counted twice, and tokens given for it.
pub(crate) const LATE: u64 = 1_000_000_000;

/// About the latest time that was shown: no more than [`LATE`] before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Seen(Instant);

impl Seen {
    pub(crate) const NEVER: Self = Self(Instant::EPOCH);

    /// The time that counts for a call at `now`, and by how many nanoseconds everything remembered must move back
    /// because the clock did.
    #[inline]
    pub(crate) fn look(&mut self, now: Instant) -> (Instant, u64) {
        let behind = self.0.nanos_since(now);
        // Written no more often than need be: an atomic twin takes its lock for it.
        if behind > LATE || now.nanos_since(self.0) > LATE {
            self.0 = now;
        }
        (now.max(self.0), if behind > LATE { behind } else { 0 })
    }

    pub(crate) const fn instant(self) -> Instant {
        self.0
    }

    #[cfg(target_has_atomic = "64")]
    pub(crate) const fn from_instant(at: Instant) -> Self {
        Self(at)
    }
}

/// `at` moved back.
pub(crate) const fn earlier_by(at: Instant, nanos: u64) -> Instant {
    Instant::from_nanos(at.as_nanos().saturating_sub(nanos))
}
