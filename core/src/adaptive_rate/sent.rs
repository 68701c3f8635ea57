//! At which rate calls are sent, as the AWS SDKs measure it.

use super::Rate;
use crate::Instant;
use crate::bucket::Fine;
use crate::entropy::scale;
use crate::seen::earlier_by;

/// Half a second.
const PIECE: u64 = 500_000_000;
/// 1/5 of 2^32.
const OLD: u32 = 858_993_459;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Sent {
    pub(super) rate: Rate,
    /// When the current piece began.
    began: Instant,
    /// Calls that ended in it.
    count: u32,
}

impl Sent {
    pub(super) const NOTHING: Self = Self { rate: Rate::ZERO, began: Instant::EPOCH, count: 0 };

    const fn is_nothing(&self) -> bool {
        self.count == 0 && self.rate.0 == 0
    }

    /// One more.
    pub(super) fn record(&mut self, now: Instant) {
        if self.is_nothing() {
            self.began = now;
        }
        self.count = self.count.saturating_add(1);
        let elapsed = now.nanos_since(self.began);
        if elapsed >= PIECE {
            self.close(Fine::from_units(elapsed).whole(Fine::from_units(PIECE), u32::MAX));
        }
    }

    /// So many pieces are over.
    fn close(&mut self, pieces: u32) {
        let twice = u64::from(self.count) * u64::from(Rate::ONE.0) * 2;
        let current = Fine::from_units(twice).over(pieces);
        let (now, before) = (current.min(u32::MAX.into()), u64::from(self.rate.0));
        // A fifth of the difference stays, and nothing of it in the end.
        let rate = now.saturating_add(scale(before.saturating_sub(now), OLD));
        self.rate = Rate::at_most(rate.saturating_sub(scale(now.saturating_sub(before), OLD)));
        self.began = self.began.after(PIECE * u64::from(pieces));
        self.count = 0;
    }

    pub(super) const fn move_back(&mut self, nanos: u64) {
        self.began = earlier_by(self.began, nanos);
    }

    /// When it says nothing about who calls then.
    pub(super) const fn stale_at(&self) -> Instant {
        if self.is_nothing() { Instant::EPOCH } else { self.began.after(2 * PIECE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    fn every(ms: u64, n: u64, sent: &mut Sent, from: u64) -> u64 {
        (0..n).for_each(|n| sent.record(at(from + n * ms)));
        from + n * ms
    }

    #[test]
    fn a_steady_rate_is_found() {
        let mut sent = Sent::NOTHING;
        let end = every(50, 11, &mut sent, 1_000);
        assert_eq!(sent.rate.whole(), 17); // 4/5 of 22, as the piece ends with the first one of the next
        every(50, 100, &mut sent, end);
        assert!(sent.rate.to_bits().abs_diff(20 << 12) < 4, "{sent:?}");
    }

    #[test]
    fn idle_time_counts() {
        let mut sent = Sent::NOTHING;
        let end = every(50, 200, &mut sent, 0);
        sent.record(at(end + 3_600_000));
        assert_eq!((sent.rate.whole(), sent.count), (4, 0)); // a fifth of before
        assert_eq!(sent.stale_at().nanos_since(at(end + 3_600_000)), 1_000_000_000);
        assert_eq!(Sent::NOTHING.stale_at(), Instant::EPOCH);
    }

    #[test]
    fn counts_and_times_stop_at_their_ends() {
        let mut sent = Sent { count: u32::MAX, ..Sent::NOTHING };
        sent.record(Instant::MAX);
        assert_eq!(sent.rate, Rate(6_554)); // 4/5 of 2^32 calls in 68 years
        let mut sent = Sent { count: u32::MAX, ..Sent::NOTHING };
        sent.record(at(500));
        assert_eq!(sent.rate.to_bits(), 3_435_973_837);
        sent.record(at(1_000));
        assert_eq!(sent.rate.whole(), 167_773); // a fifth of it
    }
}
