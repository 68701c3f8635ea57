//! leaky-bucket: a token bucket behind a lock; where it need not be fair, an atomic in front of it.

use core::time::Duration;

use ::leaky_bucket::RateLimiter;

use super::{TOKENS, sure};
use crate::{Entry, Work};

pub(super) fn entries() -> Vec<Entry> {
    let [fair, unfair] = [true, false].map(limiter);
    vec![
        Entry::new(Work::Token, "leaky-bucket", move || sure(fair.try_acquire(1))),
        Entry::new(Work::Token, "leaky-bucket, not fair", move || sure(unfair.try_acquire(1)))
            .with_threads(&[1])
            .with_note("two threads can lose all of its tokens; then `try_acquire` refuses for good"),
    ]
}

fn limiter(fair: bool) -> RateLimiter {
    let tokens = TOKENS as usize;
    RateLimiter::builder()
        .max(tokens)
        .initial(tokens)
        .refill(TOKENS.div_ceil(100) as usize)
        .interval(Duration::from_millis(10))
        .fair(fair)
        .build()
}
