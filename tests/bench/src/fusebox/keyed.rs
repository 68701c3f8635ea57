//! A bucket for each of many keys, and how many bytes it takes.

use ::fusebox::{Instant, LeanQuota, checked};
use fusebox_drive::KeyedLimiter;
use fusebox_tokio::ShardedKeyed;

use crate::keys::{BURST, Hashing, RATE, SIZES, entry};
use crate::{Entry, Work};

const QUOTA: LeanQuota = checked!(checked!(LeanQuota::per_second(RATE)).with_burst(BURST));

pub(crate) fn entries() -> Vec<Entry> {
    let [few, many] = SIZES;
    vec![lean(few), lean(many).with_note("20 bytes per key"), sharded(few), sharded(many).with_note("52 bytes per key")]
}

fn lean(size: (Work, usize)) -> Entry {
    let limiter = move || match KeyedLimiter::<u64, _>::with_hasher(QUOTA, size.1, Hashing::default()) {
        Ok(limiter) => limiter,
        Err(error) => unreachable!("constant: {error}"),
    };
    entry(
        "fusebox",
        size,
        limiter,
        |_| (),
        |limiter, key, nanos| limiter.try_acquire(key, Instant::from_nanos(nanos)).is_ok(),
    )
}

/// Half as many places again, as its documentation says.
fn sharded(size: (Work, usize)) -> Entry {
    let limiter = move || match ShardedKeyed::builder(QUOTA, size.1 + (size.1 >> 1)).hasher(Hashing::default()).build()
    {
        Ok(limiter) => limiter,
        Err(error) => unreachable!("constant: {error}"),
    };
    entry(
        "fusebox, for gates of any kind",
        size,
        limiter,
        |_| (),
        |limiter, key, nanos| limiter.try_acquire(key, Instant::from_nanos(nanos)).is_ok(),
    )
}
