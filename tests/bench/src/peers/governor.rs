//! governor: a token bucket by GCRA.

use core::num::NonZeroU32;

use ::governor::clock::{Clock, QuantaClock};
use ::governor::nanos::Nanos;
use ::governor::{Quota, RateLimiter};

use super::{TICK, TOKENS, sure, tick, ticked};
use crate::keys::{BURST, Hashing, RATE, SIZES, entry};
use crate::{Entry, Work};

pub(super) const QUOTA: Quota = Quota::per_second(NonZeroU32::new(TOKENS).unwrap());

pub(super) fn entries() -> Vec<Entry> {
    let real = RateLimiter::direct_with_clock(QUOTA, QuantaClock::default());
    let given = RateLimiter::direct_with_clock(QUOTA, Ticks);
    let [few, many] = SIZES;
    vec![
        Entry::new(Work::Token, "governor, by its QuantaClock", move || sure(real.check().is_ok())),
        ticked(Work::Token, "governor", move || sure(given.check().is_ok())),
        keyed(few),
        keyed(many).with_note("36 bytes per key"),
    ]
}

fn keyed(size: (Work, usize)) -> Entry {
    const QUOTA: Quota = Quota::per_second(NonZeroU32::new(RATE).unwrap()).allow_burst(NonZeroU32::new(BURST).unwrap());
    let limiter = || RateLimiter::dashmap_with_clock_and_hasher(QUOTA, Ticks, Hashing::default());
    entry("governor", size, limiter, |nanos| TICK.set(nanos), |limiter, key, _| limiter.check_key(key).is_ok())
}

/// Its own `FakeRelativeClock` is an atomic that threads share; this one lets governor be as fast as it is.
struct Ticks;

impl Clock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(tick())
    }
}
