//! One limit per key, the keys in a pseudo-random order.

use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;
use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use ::fusebox::entropy::nth;

use crate::entry::sure;
use crate::{Entry, Work};

/// The default of all, but without its random seed, so that counts are the same on every run.
pub(crate) type Hashing = BuildHasherDefault<DefaultHasher>;

/// How many.
pub(crate) const SIZES: [(Work, usize); 2] = [(Work::ThousandKeys, 1_000), (Work::MillionKeys, 1_000_000)];

/// Tokens per second, and in each bucket: none is ever full again, and none is ever empty.
pub(crate) const RATE: u32 = 1;
pub(crate) const BURST: u32 = u32::MAX;

/// Keys that are all different, in no order.
pub(crate) fn keys(how_many: usize) -> Vec<u64> {
    let mut keys = Vec::with_capacity(how_many);
    keys.extend((0..).take(how_many).map(|n| u64::from(nth(1, n)) << 32 | u64::from(n)));
    keys
}

/// Takes a token of a key that has been seen before. `begin` sets the thread's clock, if it has one; a call is told the
/// time, too, in nanoseconds: 10 after the last.
pub(crate) fn entry<L: Send + Sync + 'static>(
    who: &'static str,
    (work, how_many): (Work, usize),
    limiter: impl Fn() -> L + Send + Sync + 'static,
    begin: impl Fn(u64) + Send + Sync + 'static,
    once: impl Fn(&L, &u64, u64) -> bool + Send + Sync + 'static,
) -> Entry {
    let (ticks, made) = (AtomicU64::new(0), OnceLock::new());
    Entry::looped(work, who, move |times| {
        // Not before it is wanted: a million keys take a while.
        let (limiter, keys) = made.get_or_init(|| {
            let (limiter, keys) = (limiter(), keys(how_many));
            begin(0);
            for key in &keys {
                sure(once(&limiter, key, 0));
            }
            (limiter, keys)
        });
        let tick = ticks.fetch_add(times, Ordering::Relaxed);
        begin(10 * tick);
        let skipped = usize::try_from(tick).unwrap_or_default() % keys.len();
        for (tick, key) in (tick..tick + times).zip(keys.iter().cycle().skip(skipped)) {
            sure(once(limiter, black_box(key), 10 * tick));
        }
    })
}
