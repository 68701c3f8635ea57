//! ratelimit: a token bucket of atomics.

use core::time::Duration;

use ::ratelimit::{Builder, Clock, Ratelimiter, StdClock};

use super::{TOKENS, sure, tick, ticked, valid};
use crate::{Entry, Work};

pub(super) fn entries() -> Vec<Entry> {
    let (real, given) = (full(StdClock::new()), full(Ticks));
    vec![
        Entry::new(Work::Token, "ratelimit, by its StdClock", move || sure(real.try_wait().is_ok())),
        ticked(Work::Token, "ratelimit", move || sure(given.try_wait().is_ok())),
    ]
}

fn full<C: Clock>(clock: C) -> Ratelimiter<C> {
    let tokens = u64::from(TOKENS);
    valid(Builder::with_clock(tokens, clock).initial_available(tokens).build())
}

struct Ticks;

impl Clock for Ticks {
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(tick())
    }
}
