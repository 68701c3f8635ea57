//! Laws of the retry budget and the throttle: they are what naive models of their rules say, to the billionth of a token
//! and the last bit of entropy; and what they are for holds: retries do not make a storm, and what is sent to an overloaded
//! callee follows what it accepts.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::integer_division, clippy::float_cmp, reason = "a test may round, and knows its own numbers")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "numbers of the tests are small"
)]
#![allow(clippy::missing_const_for_fn, reason = "a test needs no const functions")]

mod budget;
mod overload;
mod storm;
mod throttle;

use fusebox::Instant;
use fusebox_tests::Dice;

const SECOND: u64 = 1_000_000_000;

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

/// The time after `now`: mostly a little later, sometimes much, sometimes earlier.
fn time_after(dice: &mut Dice, now: u64, usual: u64) -> u64 {
    let next = match dice.below(1_000) {
        0..=499 => now,
        500..=979 => now.saturating_add(dice.below(usual)),
        980..=989 => now.saturating_add(dice.below(100 * usual)),
        990..=996 => now.saturating_sub(dice.below(20 * usual)),
        997 => dice.below(now.saturating_add(1)),
        998 => now.saturating_add(dice.below(1 << 40)),
        _ if dice.one_in(20) => u64::MAX - 2 + dice.below(2),
        _ => now / 2,
    };
    next.min(Instant::MAX.as_nanos())
}
