//! A bucket for each of many keys, and how many bytes it takes.

use ::fusebox::{Instant, LeanQuota, checked};
use fusebox_drive::KeyedLimiter;
use fusebox_tokio::ShardedKeyed;

use crate::Entry;
use crate::keys::{BURST, FEW, Hashing, MANY, RATE, entry};

const QUOTA: LeanQuota = checked!(checked!(LeanQuota::per_second(RATE)).with_burst(BURST));

pub(crate) fn entries() -> Vec<Entry> {
    vec![
        lean("fusebox, 1k keys", FEW),
        lean("fusebox, 1M keys", MANY),
        sharded("fusebox, sharded, 1k keys", FEW),
        sharded("fusebox, sharded, 1M keys", MANY),
    ]
}

fn lean(who: &'static str, keys: usize) -> Entry {
    let limiter = move || match KeyedLimiter::<u64, _>::with_hasher(QUOTA, keys, Hashing::default()) {
        Ok(limiter) => limiter,
        Err(error) => unreachable!("constant: {error}"),
    };
    entry(
        who,
        keys,
        limiter,
        |_| (),
        |limiter, key, nanos| limiter.try_acquire(key, Instant::from_nanos(nanos)).is_ok(),
    )
}

/// Half as many places again, as its documentation says.
fn sharded(who: &'static str, keys: usize) -> Entry {
    let limiter = move || match ShardedKeyed::builder(QUOTA, keys + (keys >> 1)).hasher(Hashing::default()).build() {
        Ok(limiter) => limiter,
        Err(error) => unreachable!("constant: {error}"),
    };
    entry(
        who,
        keys,
        limiter,
        |_| (),
        |limiter, key, nanos| limiter.try_acquire(key, Instant::from_nanos(nanos)).is_ok(),
    )
}
