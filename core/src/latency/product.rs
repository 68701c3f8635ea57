//! The product limit over buckets.

use core::num::NonZeroU32;

use super::Bound;
use super::buckets::{LAST, Window, begin};
use crate::entropy::scale;

/// More than all rounding of the product, and less than the smallest step that one of 65534 latencies makes.
const SLACK: u32 = 1 << 12;

/// Where `permille` of 1000 have ended.
pub(super) fn quantile(previous: &Window, current: &Window, permille: u16) -> Bound {
    let goal = surviving_at(permille);
    let mut watched = previous.total() + current.total();
    // As a fraction of 2^32.
    let mut surviving = u32::MAX;
    let mut last = 0;
    for ((at, older), newer) in (0..).zip(previous.counts()).zip(current.counts()) {
        let (ended, censored) = (older.0 + newer.0, older.1 + newer.1);
        if ended > 0 {
            surviving -= lost(surviving, ended, watched);
            if surviving <= goal && at < LAST {
                return Bound::AtMost(begin(at + 1));
            }
        }
        if ended + censored > 0 {
            last = at;
        }
        watched -= ended + censored;
    }
    Bound::AtLeast(begin(last))
}

/// What is left when `permille` have ended, as a fraction of 2^32.
fn surviving_at(permille: u16) -> u32 {
    const ONE: u32 = 4_294_968; // 2^32 / 1000, rounded up
    u32::from(1_000_u16.saturating_sub(permille)).saturating_mul(ONE).saturating_add(SLACK)
}

/// How much `surviving` shrinks when `ended` of those `watched` end.
#[expect(clippy::integer_division, clippy::cast_possible_truncation, reason = "once in 16 records; at most surviving")]
fn lost(surviving: u32, ended: u32, watched: u32) -> u32 {
    let Some(by) = NonZeroU32::new(watched).filter(|_| ended < watched) else {
        return surviving;
    };
    // Both fit 16 bits, so the quotient comes in two halves.
    let (whole, rest) = ((ended << 16) / by, (ended << 16) % by);
    scale(surviving.into(), (whole << 16) | ((rest << 16) / by)) as u32
}
