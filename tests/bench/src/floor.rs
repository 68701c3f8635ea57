//! As little as possible.

use std::hint::black_box;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::time::Instant;

use crate::{Entry, Work};

pub(crate) fn entries() -> Vec<Entry> {
    let [load, add, swap] = [const { AtomicU64::new(0) }; 3];
    vec![
        Entry::new(Work::Floor, "nothing", || ()),
        Entry::new(Work::Floor, "load", move || {
            black_box(load.load(Acquire));
        }),
        Entry::new(Work::Floor, "fetch_add", move || {
            black_box(add.fetch_add(1, AcqRel));
        }),
        Entry::new(Work::Floor, "compare_exchange", move || {
            let mut seen = swap.load(Relaxed);
            while let Err(other) = swap.compare_exchange_weak(seen, seen.wrapping_add(1), AcqRel, Relaxed) {
                seen = other;
            }
            black_box(seen);
        }),
        Entry::new(Work::Floor, "Instant::now", || {
            black_box(Instant::now());
        }),
        Entry::awaited(Work::Floor, "ready await", ready),
    ]
}

/// What every call in these measurements does.
pub(crate) async fn ready() -> Result<u32, u32> {
    black_box(Ok(1))
}
