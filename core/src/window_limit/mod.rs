//! Window limiters: at most so many in each window of time.
//!
//! # Why
//! Some callees count calls in windows, and a limit in a contract is often worded so ("1000 a day"). A
//! [token bucket](crate::bucket) can let twice the count through around a period's edge; for those who must not, or who
//! must count as their callee does, these limiters count windows.
//!
//! # State picture
//! ```text
//!   FixedWindow      |  n of n  |  n of n  |  n of n  |      counts start over at each line; up to twice the count
//!                    +----------+----------+----------+      within one period across a line
//!
//!   SlidingCounter   | previous |  current |                 current + previous x what of it is in the window <= n:
//!                    +----------+----------+                 as if the previous ones had come evenly
//!                         [---- period ---]
//!
//!   SlidingLog         x  x x    xx   x    x                 every grant is remembered for a period: never more than n
//!                         [---- period ---]
//! ```
//!
//! | kind | any period has | bytes | reservations | cost of a grant |
//! | --- | --- | --- | --- | --- |
//! | [`FixedWindow`] | up to 2 n | 24 | yes | constant; up to 64 steps after idle time if aligned |
//! | [`SlidingCounter`] | up to 2 n in the worst case, n for an even load | 24 | no | constant; a refusal up to 96 steps |
//! | [`SlidingLog`] | n | 8 per token of the limit | no | constant per token |
//!
//! # Contract
//! - A refusal says when the same request would succeed; more than the limit is refused for ever.
//! - Cancelled tokens are not counted any more: at once in a sliding window; in a fixed one if nothing was taken since,
//!   or if it is still the same window and nobody was told to wait.
//! - A `now` up to a second before an earlier one is of a call that comes late and counts as the later. A clock that
//!   steps back gives nothing, and locks a limiter for no longer than two periods and a second.
//!
//! # Defaults
//! A fixed window begins with the first token that is taken when all are there, unless it is
//! [aligned](FixedWindow::aligned_to); reservations go a minute ahead at most.
//!
//! # Example
//! ```
//! use core::time::Duration;
//! use fusebox::{FixedWindow, Gate, Instant, Limiter, SlidingCounter, SlidingLog, checked};
//!
//! const SECOND: Duration = Duration::from_secs(1);
//! let at = Instant::from_millis;
//!
//! let mut fixed = Limiter::new(checked!(FixedWindow::new(2, SECOND)));
//! assert!(fixed.try_acquire_n(2, at(900)).is_ok());
//! assert_eq!(fixed.try_acquire(at(1_000)).unwrap_err().retry_at, Some(at(1_900)));
//!
//! let mut counter = Limiter::new(checked!(SlidingCounter::new(2, SECOND)));
//! assert!(counter.try_acquire_n(2, at(0)).is_ok());
//! // Half of the first window's two are in the second one's period at 1.5 s.
//! assert_eq!(counter.try_acquire(at(1_000)).unwrap_err().retry_at, Some(at(1_500)));
//!
//! let mut log = Limiter::new(checked!(SlidingLog::<2>::new(SECOND)));
//! assert!(log.try_acquire(at(0)).is_ok());
//! assert!(log.try_acquire(at(700)).is_ok());
//! assert_eq!(log.try_acquire(at(900)).unwrap_err().retry_at, Some(at(1_000)));
//! ```
//!
//! # When not
//! To keep load even, a token bucket is better: windows let everybody in at their beginning.

mod counter;
mod fixed;
mod log;
#[cfg(test)]
mod tests;

pub use counter::{CounterState, CounterTokens, SlidingCounter};
pub use fixed::{FixedState, FixedTokens, FixedWindow};
pub use log::{LogState, LogTokens, SlidingLog};

use core::time::Duration;

use crate::{ConfigError, Instant, Reason, Rejected, nanos};

const NEVER: Rejected = Rejected { reason: Reason::OverBurst, retry_at: None };

/// A refusal until `at`, if that comes.
fn not_until(at: Instant) -> Rejected {
    Rejected { reason: Reason::RateLimited, retry_at: (at < Instant::MAX).then_some(at) }
}

/// A period in nanoseconds: above zero, and at most 146 years, so that twice as much is still a time.
const fn checked_period(period: Duration) -> Result<u64, ConfigError> {
    let period = nanos(period);
    if period == 0 || period > 1 << 62 {
        return Err(ConfigError::new("period", "above zero, and no longer than 146 years"));
    }
    Ok(period)
}

/// A number of tokens, at most 2^31, so that twice as many are still a number.
const fn checked_count(count: u32) -> Result<u32, ConfigError> {
    if count == 0 || count > 1 << 31 {
        return Err(ConfigError::new("count", "from 1 to 2^31 tokens"));
    }
    Ok(count)
}
