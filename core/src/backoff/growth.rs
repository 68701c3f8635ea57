//! How delays grow before jitter.

use core::time::Duration;

use super::Schedule;
use super::polly::Curve;
use crate::entropy::scale;
use crate::nanos;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Growth {
    Constant,
    Linear {
        step: u64,
    },
    /// The factor as a whole part and a fraction of 2^32.
    Exponential {
        whole: u32,
        fraction: u32,
    },
    Fibonacci,
    /// Neither empty nor with a zero in it.
    Table(&'static [Duration]),
    /// Doubles; with decorrelated jitter, the curve.
    Polly(Curve),
}

impl Growth {
    /// The delay after those of `past`; `first` before any.
    #[inline]
    pub(super) fn plain(self, first: u64, past: Schedule) -> u64 {
        let last = past.last;
        if last == 0 {
            return first;
        }
        match self {
            Self::Constant => first,
            Self::Linear { step } => last.saturating_add(step),
            Self::Exponential { whole, fraction } => {
                last.saturating_mul(u64::from(whole)).saturating_add(scale(last, fraction))
            }
            Self::Fibonacci => last.saturating_add(past.before),
            Self::Table(delays) => entry(delays, past.before),
            Self::Polly(_) => last.saturating_add(last),
        }
    }

    /// Where a call stands when `plain` has come after `past`.
    #[inline]
    pub(super) const fn after(self, plain: u64, past: Schedule) -> Schedule {
        let before = if matches!(self, Self::Table(_)) { past.before.saturating_add(1) } else { past.last };
        Schedule { last: plain, before }
    }

    /// The longest delay, if it comes to an end by itself.
    pub(super) const fn longest(self, first: u64) -> u64 {
        match self {
            Self::Constant => first,
            Self::Table(delays) => longest(delays),
            Self::Linear { .. } | Self::Exponential { .. } | Self::Fibonacci | Self::Polly(_) => u64::MAX,
        }
    }
}

/// The last one repeats.
fn entry(delays: &[Duration], number: u64) -> u64 {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    delays.get(number).or(delays.last()).map_or(0, |delay| nanos(*delay))
}

const fn longest(mut delays: &[Duration]) -> u64 {
    let mut longest = 0;
    while let [delay, others @ ..] = delays {
        if nanos(*delay) > longest {
            longest = nanos(*delay);
        }
        delays = others;
    }
    longest
}
